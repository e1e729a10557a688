"""From what tshark dissected (its `ek` output) to the innermost IP layer of a packet.

tshark names the layers of a packet in `frame.protocols`, outermost first; a layer that occurs
twice is a list in that order. Values are text, numbers or lists of them: nothing is taken on trust.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import Any

from cyberterr.contracts.packet import Packet

Fields = Mapping[str, Any]

VXLAN_PORT = 4789
FURTHEST_S = 9_000_000_000
"""Seconds from 1970 that nanoseconds in 64 bits can hold: the year 2255; beyond it is clamped."""
_TRANSPORTS = {"tcp", "udp", "udplite", "sctp", "icmp", "icmpv6"}
_AFTER_IP = {"ipv6.hopopts", "ipv6.routing", "ipv6.fraghdr", "ipv6.dstopts", "mipv6"}
_LINKS_IN_TUNNELS = {"eth", "ethertype", "vlan", "mpls", "ppp", "llc"}
_DIRECT_TUNNELS = {("ip", "ip"): "ipip", ("ip", "ipv6"): "6in4"}
_DIRECT_TUNNELS |= {("ipv6", "ip"): "4in6", ("ipv6", "ipv6"): "6in6"}
_EXTENSIONS = {0: "hopopts", 43: "routing", 44: "fraghdr", 60: "dstopts"}
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58


class _Ip:
    """One IP layer and what was found directly above it."""

    def __init__(
        self, name: str, fields: Fields, vlan: int, tunnel: str | None, tunnel_id: int
    ) -> None:
        self.vlan, self.tunnel, self.tunnel_id = vlan, tunnel, tunnel_id
        self.transport: Fields = {}
        prefix = f"{name}_{name}_"
        self.src, self.dst = str(fields[f"{prefix}src"]), str(fields[f"{prefix}dst"])
        self.fragment: tuple[int, bool] | None = None
        self.later = False
        if name == "ip":
            self.ttl = _number(fields, "ip_ip_ttl")
            self.protocol = _number(fields, "ip_ip_proto")
            self.bytes = _number(fields, "ip_ip_len")
            self.headers = _number(fields, "ip_ip_hdr_len")
            self._fragmented(fields, "ip_ip_frag_offset", "ip_ip_flags_mf", "ip_ip_id")
        else:
            self.ttl = _number(fields, "ipv6_ipv6_hlim")
            self.bytes = 40 + _number(fields, "ipv6_ipv6_plen")
            self.headers = 40
            self.protocol = self._walk_extensions(fields, _number(fields, "ipv6_ipv6_nxt"))

    def _fragmented(self, fields: Fields, offset: str, more: str, identification: str) -> None:
        self.later = _number(fields, offset) > 0
        if self.later or _number(fields, more):
            self.fragment = (_number(fields, identification), not self.later)

    def _walk_extensions(self, fields: Fields, following: int) -> int:
        """Follow the chain of IPv6 extension headers (RFC 8200, section 4) to what it carries."""
        met: Counter[int] = Counter()
        while following in _EXTENSIONS and not self.later and sum(met.values()) < 16:
            name = f"ipv6_{_EXTENSIONS[following]}"
            header = _nth(fields.get(name), met[following])
            prefix = f"{name}_{name}_"
            if f"{prefix}nxt" not in header:
                break
            met[following] += 1
            if following == 44:
                self.headers += 8
                self._fragmented(header, f"{prefix}offset", f"{prefix}more", f"{prefix}ident")
            else:
                self.headers += 8 * (_number(header, f"{prefix}len") + 1)
            following = _number(header, f"{prefix}nxt")
        return following

    @property
    def ports(self) -> tuple[int, int]:
        for name in ("tcp_tcp", "udp_udp", "udplite_udp", "sctp_sctp"):
            if f"{name}_srcport" in self.transport:
                found = self.transport
                return _number(found, f"{name}_srcport"), _number(found, f"{name}_dstport")
        return 0, 0

    def payload_bytes(self) -> int:
        carried = max(0, self.bytes - self.headers)
        if self.protocol == _TCP and "tcp_tcp_len" in self.transport:
            return _number(self.transport, "tcp_tcp_len")
        if self.protocol == _UDP and "udp_udp_length" in self.transport:
            return max(0, min(_number(self.transport, "udp_udp_length"), carried) - 8)
        return carried


def packet_of(frame: Fields, layers: Mapping[str, Any]) -> Packet | None:
    """Give the innermost IP layer of one packet; None where it carries no IP at all.

    Args:
        frame: fields of tshark's `frame` layer.
        layers: layer name → its fields, or a list of them.

    Raises:
        ValueError: there is an IP layer, or a time, that could not be read.
    """
    names = str(frame.get("frame_frame_protocols", "")).split(":")
    ip = _innermost(names, layers)
    if ip is None:
        if "ip" in names or "ipv6" in names or "_ws.malformed" in names:
            raise ValueError("tshark could not read the IP header")
        return None
    src_port, dst_port = ip.ports
    transport = ip.transport
    tcp = ip.protocol == _TCP
    text = transport.get("tcp_tcp_payload" if tcp else "udp_udp_payload", "")
    return Packet(
        time_ns=_nanoseconds(frame.get("frame_frame_time_epoch")),
        src_ip=ip.src,
        dst_ip=ip.dst,
        src_port=src_port,
        dst_port=dst_port,
        protocol=ip.protocol,
        ip_bytes=ip.bytes,
        payload_bytes=ip.payload_bytes(),
        tcp_flags=_number(transport, "tcp_tcp_flags") & 0xFF if tcp else 0,
        ttl=ip.ttl,
        vlan=ip.vlan or None,
        tunnel=ip.tunnel,
        tunnel_id=ip.tunnel_id,
        seq=_number(transport, "tcp_tcp_seq_raw") if tcp else 0,
        fragment=ip.fragment,
        payload=_bytes(text) if ip.protocol in (_TCP, _UDP) else b"",
        icmp_type=_icmp_type(ip),
    )


def _icmp_type(ip: _Ip) -> int | None:
    name = {_ICMP: "icmp_icmp_type", _ICMPV6: "icmpv6_icmpv6_type"}.get(ip.protocol, "")
    return _number(ip.transport, name) if name in ip.transport else None


def _innermost(names: list[str], layers: Mapping[str, Any]) -> _Ip | None:
    """Walk inwards; what cannot be read in a tunnel leaves the packet that carried it."""
    met: Counter[str] = Counter()
    ip: _Ip | None = None
    ip_name = ""
    vlan = 0
    tunnel: tuple[str, int] | None = None
    if "_ws_malformed" in layers and names[-1] in ("ip", "ipv6"):
        names = names[:-1]  # its header is what is malformed
    for name in names:
        fields = _nth(layers.get(name), met[name])
        met[name] += 1
        if name == "vlan":
            vlan = vlan or _number(fields, "vlan_vlan_id")
        if name in ("ip", "ipv6"):
            direct = _DIRECT_TUNNELS.get((ip_name, name)) if tunnel is None else None
            entered = tunnel or ((direct, ip.tunnel_id if ip else 0) if direct else (None, 0))
            try:
                ip = _Ip(name, fields, vlan, *entered)
            except (KeyError, ValueError):
                return ip
            ip_name, tunnel = name, None
        elif ip is None or name in _AFTER_IP:
            continue
        elif name in _TRANSPORTS and tunnel is None and not ip.later:
            ip.transport = fields
            if name != "udp" or ip.fragment or ip.ports[1] != VXLAN_PORT:
                return ip  # an ICMP error quotes another packet: it is not a tunnel
        elif name == "vxlan" and ip.transport:
            tunnel = ("vxlan", _number(fields, "vxlan_vxlan_vni"))
        elif name == "gre" and tunnel is None and not ip.transport:
            tunnel = ("gre", _number(fields, "gre_gre_key"))
        elif name == "ah" and ip_name == "ipv6":
            ip.headers += 4 * (_number(fields, "ah_ah_length") + 2)
            ip.protocol = _number(fields, "ah_ah_next_header")
        elif tunnel is None or name not in _LINKS_IN_TUNNELS:
            return ip
    return ip


def _nth(layer: Any, index: int) -> Fields:  # noqa: ANN401 (what JSON holds)
    if isinstance(layer, list):
        layer = layer[index] if index < len(layer) else {}
    elif index > 0:
        layer = {}
    return layer if isinstance(layer, dict) else {}


def _number(fields: Fields, name: str) -> int:
    """Field *name* as a number; 0 where it is absent (a header that was cut off)."""
    value = fields.get(name, 0)
    if isinstance(value, list):
        value = value[0] if value else 0
    if isinstance(value, bool | int):
        return int(value)
    text = str(value)
    if text in ("True", "true"):
        return 1
    if text in ("False", "false", "None", ""):
        return 0
    return int(text, 0)


def _bytes(text: Any) -> bytes:  # noqa: ANN401 (what JSON holds)
    if isinstance(text, list):
        text = text[0] if text else ""
    return bytes.fromhex(str(text or "").replace(":", ""))


def _nanoseconds(epoch: Any) -> int:  # noqa: ANN401 (what JSON holds)
    """Read tshark's time: seconds with nine decimals, or ISO 8601 from Wireshark 4.2 on."""
    text = str(epoch)
    whole, _, decimals = text.rstrip("Z").partition(".")
    fraction = int(decimals[:9].ljust(9, "0")) if decimals else 0
    if "T" in whole:
        moment = dt.datetime.fromisoformat(whole).replace(tzinfo=dt.UTC)
        return int(moment.timestamp()) * 10**9 + fraction
    seconds = max(-FURTHEST_S, min(FURTHEST_S, int(whole)))
    return seconds * 10**9 + (-fraction if whole.startswith("-") else fraction)
