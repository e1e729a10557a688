"""One frame read by the standards: every VLAN tag and every IP layer, outermost first.

Plain Python, written from the RFCs and from the flow table's contract, apart from the meter's C:
what both say of a capture has been read twice.
"""

from __future__ import annotations

from typing import NamedTuple

DEEPEST = 10
IPIP, TCP, UDP, IN6, GRE, SCTP, UDPLITE = 4, 6, 17, 41, 47, 132, 136
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
VXLAN_PORT = 4789
VLAN_TAGS = {0x8100: "802.1Q", 0x88A8: "802.1ad", 0x9100: "QinQ 9100", 0x9200: "QinQ 9200"}
SNAP = b"\xaa\xaa\x03\0\0\0"


class Layer(NamedTuple):
    """One IP layer."""

    src: bytes
    dst: bytes
    src_port: int
    dst_port: int
    protocol: int
    size: int
    """bytes of the IP packet on the wire, padding left out"""
    stated: int
    """bytes of the IP packet by its own length field"""
    fragment: tuple[int, bool] | None
    """(identification, whether it is the first one)"""
    inside: str
    """the tunnel it came in; empty outside of one"""


class Reading(NamedTuple):
    """What a frame holds; no layers: nothing that IP carries could be read."""

    tags: tuple[int, ...] = ()
    layers: tuple[Layer, ...] = ()
    between: tuple[str, ...] = ()
    """names of what stood between the first Ethernet header and IP"""


def ethernet(data: bytes, wire: int, inside: str = "", depth: int = 0) -> Reading:
    """Read an Ethernet frame of which *data* was captured and that was *wire* bytes long."""
    if len(data) < 14:
        return Reading()
    kind, data, wire = big(data, 12), data[14:], wire - 14
    if kind >= 0x0600:
        return _ether_type(kind, data, wire, inside, depth)
    if len(data) < 8 or data[:6] != SNAP:
        return Reading()
    return _after("SNAP", _ether_type(big(data, 6), data[8:], wire - 8, inside, depth))


def _ether_type(kind: int, data: bytes, wire: int, inside: str, depth: int) -> Reading:
    if depth > DEEPEST:
        return Reading()
    if kind in (0x0800, 0x86DD):
        return _ip(data, wire, inside, depth + 1)
    if kind in VLAN_TAGS and len(data) >= 4:
        found = _ether_type(big(data, 2), data[4:], wire - 4, inside, depth + 1)
        found = found._replace(tags=(big(data, 0) & 0x0FFF, *found.tags))
        return _after(VLAN_TAGS[kind], found)
    if kind in (0x8847, 0x8848):
        return _after("MPLS", _mpls(data, wire, inside, depth))
    if kind == 0x8864 and len(data) >= 6:  # RFC 2516
        stated = big(data, 4)
        found = _ppp(data[6 : 6 + stated], min(wire - 6, stated), inside, depth)
        return _after("PPPoE", found)
    if kind == 0x8926 and len(data) >= 6:  # 802.1BR
        found = _ether_type(big(data, 4), data[6:], wire - 6, inside, depth + 1)
        return _after("VN-Tag", found)
    if kind == 0x880B:
        return _ppp(data, wire, inside, depth)
    if kind == 0x6558:
        return ethernet(data, wire, inside, depth + 1)
    return Reading()


def _after(name: str, found: Reading) -> Reading:
    return found._replace(between=(name, *found.between))


def _mpls(data: bytes, wire: int, inside: str, depth: int) -> Reading:
    """RFC 3032; nothing says what is under the last label, so its first four bits decide."""
    while len(data) >= 4 and not data[2] & 1:
        data, wire = data[4:], wire - 4
    data, wire = data[4:], wire - 4
    version = data[0] >> 4 if data else None
    if version in (4, 6):
        return _ip(data, wire, inside, depth + 1)
    if version == 0:  # RFC 4448: a control word, then Ethernet
        return ethernet(data[4:], wire - 4, inside, depth + 1)
    return Reading()


def _ppp(data: bytes, wire: int, inside: str, depth: int) -> Reading:
    if data[:2] == b"\xff\x03":
        data, wire = data[2:], wire - 2
    size = 1 if data and data[0] & 1 else 2
    if len(data) < size:
        return Reading()
    protocol = int.from_bytes(data[:size], "big")
    kind = {0x0021: 0x0800, 0x0057: 0x86DD, 0x0281: 0x8847}.get(protocol, 0)
    return _ether_type(kind, data[size:], wire - size, inside, depth + 1)


def _ip(data: bytes, wire: int, inside: str, depth: int) -> Reading:
    if depth > DEEPEST or not data:
        return Reading()
    version = data[0] >> 4
    if version == 4 and len(data) >= 20:
        return _ipv4(data, wire, inside, depth)
    if version == 6 and len(data) >= 40:
        return _ipv6(data, wire, inside, depth)
    return Reading()


def _ipv4(data: bytes, wire: int, inside: str, depth: int) -> Reading:
    header, stated, bits = (data[0] & 15) * 4, big(data, 2), big(data, 6)
    size = min(stated, wire) if stated else wire  # 0: the network card fills it in later
    if not 20 <= header <= len(data) or size < header:
        return Reading()
    offset, more = bits & 0x1FFF, bits & 0x2000
    fragment = (big(data, 4), offset == 0) if offset or more else None
    layer = Layer(data[12:16], data[16:20], 0, 0, data[9], size, stated, fragment, inside)
    return _transport(layer, data[header:size], size - header, depth)


def _ipv6(data: bytes, wire: int, inside: str, depth: int) -> Reading:
    length = big(data, 4)
    size = min(wire, 40 + length) if length else wire
    protocol, at, fragment = data[6], 40, None
    layer = Layer(data[8:24], data[24:40], 0, 0, protocol, size, 40 + length, None, inside)
    data = data[:size]
    while protocol in (HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION):
        layer = layer._replace(protocol=protocol)
        if len(data) < at + 8:
            return Reading(layers=(layer,))
        step = (data[at + 1] + 1) * 8
        if protocol == AUTHENTICATION:
            step = (data[at + 1] + 2) * 4
        elif protocol == FRAGMENT:
            step, bits = 8, big(data, at + 2)
            if bits & 0xFFF9:
                fragment = (int.from_bytes(data[at + 4 : at + 8], "big"), bits & 0xFFF8 == 0)
        if len(data) < at + step:
            return Reading(layers=(layer,))
        protocol, at = data[at], at + step
        if fragment and not fragment[1]:
            break
    layer = layer._replace(protocol=protocol, fragment=fragment)
    return _transport(layer, data[at:], size - at, depth)


def _transport(layer: Layer, data: bytes, wire: int, depth: int) -> Reading:
    """The layer with its ports, and what it carries where it is a tunnel."""
    if layer.fragment and not layer.fragment[1]:
        return Reading(layers=(layer,))
    if layer.protocol in (TCP, UDP, UDPLITE, SCTP) and len(data) >= 4:
        layer = layer._replace(src_port=big(data, 0), dst_port=big(data, 2))
    content = _tunnelled(layer, data, wire, depth)
    if not content.layers:
        return Reading(layers=(layer,))
    return Reading(content.tags, (layer, *content.layers))


def _tunnelled(layer: Layer, data: bytes, wire: int, depth: int) -> Reading:
    if layer.protocol == UDP and layer.dst_port == VXLAN_PORT and not layer.fragment:
        if len(data) < 16 or data[8:10] != b"\x08\0":  # RFC 7348
            return Reading()
        stated = big(data, 4) if big(data, 4) >= 8 else wire
        return ethernet(data[16:stated], min(wire, stated) - 16, "VXLAN", depth)
    if layer.protocol in (IPIP, IN6):
        return _ip(data, wire, "IP in IP", depth + 1)
    if layer.protocol == GRE and len(data) >= 4:
        return _gre(data, wire, depth)
    return Reading()


def _gre(data: bytes, wire: int, depth: int) -> Reading:
    """RFC 2784 and 2890; version 1 is PPTP's (RFC 2637)."""
    flags, kind = big(data, 0), big(data, 2)
    version = flags & 7
    at = 4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
    at += 4 if version == 1 and flags & 0x0080 else 0
    if version > 1 or len(data) < at:
        return Reading()
    return _ether_type(kind, data[at:], wire - at, "GRE", depth)


def big(data: bytes, at: int) -> int:
    """Read 16 bits at *at*, in network order."""
    return data[at] << 8 | data[at + 1]
