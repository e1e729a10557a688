"""One decoded packet: what an engine that decodes by itself hands to the flow table."""

from __future__ import annotations

from typing import NamedTuple


class Packet(NamedTuple):
    """The innermost IP layer of one packet."""

    time_ns: int
    """since the epoch"""
    src_ip: str
    dst_ip: str
    src_port: int
    """0 where the protocol has none, or where a later fragment hides it"""
    dst_port: int
    protocol: int
    """IANA number of what IP carries, after IPv6 extension headers"""
    ip_bytes: int
    """length of the IP packet, headers included"""
    payload_bytes: int
    """bytes above TCP or UDP; above IP for other protocols and later fragments"""
    tcp_flags: int
    """the low eight flags of TCP (FIN 1, SYN 2, RST 4 …); 0 for other protocols"""
    ttl: int
    """time to live, or hop limit"""
    vlan: int | None
    """outermost 802.1Q tag; None where untagged"""
    tunnel: str | None
    """gre, vxlan, ipip, 6in4, 4in6, 6in6: the innermost tunnel; None outside of one"""
    tunnel_id: int
    """VXLAN network identifier or GRE key; 0 where there is none"""
    seq: int
    """TCP sequence number; 0 for other protocols"""
    fragment: tuple[int, bool] | None
    """(identification, whether it is the first one) of a fragment; None for a whole packet"""
    payload: bytes
    """what the capture holds of the bytes above TCP or UDP"""
    icmp_type: int | None = None
    """None for other protocols, and where it was not captured"""
