"""What is ours: the one source for detectors, deception and the never-block list."""

from __future__ import annotations

import datetime as dt
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec

Network = IPv4Network | IPv6Network

PRIVATE = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
)
"""Own networks where the settings name none (RFC 1918, 6598, 3927, 4193, 4291)."""


class Scanner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine that may scan, until *until* (an authorisation without end is refused)."""

    address: str
    until: dt.date
    reason: str


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[site]` part of the settings."""

    name: str = "site"
    sensor: str = "sensor"
    time_zone: str = "Europe/Paris"
    networks: tuple[str, ...] = PRIVATE
    gateways: tuple[str, ...] = ()
    dns_servers: tuple[str, ...] = ()
    assets: dict[str, str] = {}
    """address → name people know it by"""
    scanners: tuple[Scanner, ...] = ()

    def own(self) -> tuple[Network, ...]:
        """The own networks, parsed."""
        return tuple(ip_network(text, strict=False) for text in self.networks)

    def is_own(self, address: str) -> bool:
        """Whether *address* lies in the own networks; False for what is not an address."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.own() if network.version == parsed.version)

    def may_scan(self, address: str, when: dt.datetime) -> bool:
        """Whether *address* is an authorised scanner at *when*."""
        return any(s.address == address and when.date() <= s.until for s in self.scanners)

    def name_of(self, address: str) -> str:
        """*address*, with the asset's name where the settings give one."""
        return f"{self.assets[address]} ({address})" if address in self.assets else address
