"""One frame as nfstream 6.6.0 reads it.

Behaviour taken from nfstream's published engine, retold in a few lines; `differences.py` holds it
to the byte against what nfstream counted. Ports that lie beyond the captured bytes, which nfstream
reads from whatever its buffer holds, are given as 0.
"""

from __future__ import annotations

from typing import NamedTuple

from decode import big

GTP, TZSP, CAPWAP = 2152, 37008, 5247
EXTENSIONS = {0, 43, 44, 59, 60, 135}


class Counted(NamedTuple):
    """What nfstream counts of a frame, and for whom."""

    src: bytes
    dst: bytes
    src_port: int
    dst_port: int
    protocol: int
    vlan: int
    size: int
    tunnel: str


class _Place(NamedTuple):
    """Where nfstream looks for an IP header, and what it remembers from the headers before."""

    at: int
    by_type: bool
    """whether an EtherType announced IPv4; only then the next two are kept up to date"""
    vlan: int
    tunnel: str = ""
    fragment_bits: int = 0
    protocol: int = 0


def counted(frame: bytes) -> Counted | None:
    """What nfstream counts of *frame*; None where it leaves it out."""
    place = _link(frame, _Place(0, False, 0))
    return None if place is None else _network(frame, place)


def _link(frame: bytes, place: _Place) -> _Place | None:
    at, vlan = place.at, place.vlan
    if len(frame) < at + 28:
        return None
    kind, at = big(frame, at + 12), at + 14
    if kind <= 1500:
        if frame[at] == 0xAA or frame[at + 1] == 0xAA:
            kind, at = 0, at + 8  # its type is compared in the wrong byte order
        elif frame[at] == 0x42 or frame[at + 1] == 0x42:
            return None
    while kind in (0x8100, 0x8847, 0x8848, 0x8864):
        if kind == 0x8864:
            kind, at = 0x0800, at + 8
            continue
        if len(frame) <= at + 4:
            return None
        if kind == 0x8100:
            vlan, kind, at = big(frame, at) & 0x0FFF, big(frame, at + 2), at + 4
            continue
        bottom, kind, at = frame[at + 2] & 1, 0x0800, at + 4
        while not bottom and len(frame) > at + 4:
            bottom, at = frame[at + 2] & 1, at + 4
    return place._replace(at=at, by_type=kind == 0x0800, vlan=vlan)


def _network(frame: bytes, place: _Place) -> Counted | None:
    """Whatever the EtherType was: the first four bits say which IP it is."""
    at, bits, protocol = place.at, place.fragment_bits, place.protocol
    while True:
        if len(frame) < at + 20:
            return None
        version, header = frame[at] >> 4, (frame[at] & 15) * 4
        if version == 4:
            if place.by_type:
                bits, protocol = big(frame, at + 6), frame[at + 9]
            if frame[at + 9] in (4, 41) and header:
                at += header
                continue
            if bits & 0x1FFF:
                return None
            after = at + header
            break
        if version != 6 or len(frame) < at + 40 + big(frame, at + 4):
            return None
        extended = _extensions(frame, at)
        if extended is None:
            return None
        content, protocol, left = extended
        if protocol not in (4, 41):
            after = at + left  # not where UDP begins, but where nfstream looks for it
            break
        at = content
    here = place._replace(at=at, fragment_bits=bits, protocol=protocol)
    inner: _Place | None = here
    if protocol == 17:
        inner = _in_udp(frame, after, here) if len(frame) >= after + 8 else None
    if inner is None:
        return None
    if inner is here or inner.tunnel == "GTP":  # what GTP holds is not looked into any further
        return _transport(frame, inner)
    return _network(frame, inner)


def _in_udp(frame: bytes, at: int, place: _Place) -> _Place | None:
    """Where the content of a tunnel over UDP begins; *place* itself where there is none."""
    ports, at = {big(frame, at), big(frame, at + 2)}, at + 8
    if GTP in ports and len(frame) > at + 8:
        return _in_gtp(frame, at, place)
    if TZSP in ports:
        if len(frame) < at + 4:
            return None
        if frame[at : at + 4] == b"\x01\0\0\x01" and len(frame) > at + 5:
            length = 1 if frame[at + 4] in (0, 1) else frame[at + 5]
            return _link(frame, place._replace(at=at + 4 + length, tunnel="TZSP"))
    if CAPWAP in ports and len(frame) > at + 1 and frame[at] & 0x0F == 0:
        at += (frame[at + 1] & 0xF8) >> 1
        if len(frame) > at + 32:  # an 802.11 header, then LLC
            at += 24
            by_type = big(frame, at + 6) == 0x0800
            return place._replace(at=at + 8, by_type=by_type, tunnel="CAPWAP")
    return place


def _in_gtp(frame: bytes, at: int, place: _Place) -> _Place | None:
    flags, message = frame[at], frame[at + 1]
    if flags >> 5 != 1 or message != 0xFF:
        return place
    at += 12 if flags & 7 else 8
    while flags & 4 and at < len(frame):
        step = frame[at] * 4
        at += step
        if not step or at >= len(frame):
            return place
        if frame[at - 1] == 0:
            break
    if at >= len(frame):
        return place
    least = {4: 20, 6: 40}.get(frame[at] >> 4)
    if least is None or len(frame) < at + least:
        return None
    return place._replace(at=at, tunnel="GTP")


def _extensions(frame: bytes, at: int) -> tuple[int, int, int] | None:
    """(where the content begins, its protocol, how long it is) of an IPv6 packet."""
    protocol, left, at = frame[at + 6], big(frame, at + 4), at + 40
    room = len(frame) - at
    while room > 1 and protocol in EXTENSIONS:
        if protocol == 59 or left < 2 or (protocol == 44 and (left < 8 or room < 5)):
            return None
        if protocol == 44 and big(frame, at + 2) >> 3:
            return None
        step = 8 if protocol == 44 else (frame[at + 1] + 1) * 8
        room -= 5 if protocol == 44 else step
        if left < step or room < 0:
            return None
        protocol, left, at = frame[at], left - step, at + step
    return at, protocol, left


def _transport(frame: bytes, place: _Place) -> Counted | None:
    at, held = place.at, len(frame) - place.at
    if frame[at] >> 4 == 4:
        header, size, protocol = (frame[at] & 15) * 4, big(frame, at + 2), frame[at + 9]
        left, content = (size - header) & 0xFFFF, at + header
        if held < 20 or header > held or max(size, held) < header + left:
            return None
        src, dst = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    else:
        size = 40 + big(frame, at + 4)
        extended = _extensions(frame, at) if held >= size else None
        if extended is None:
            return None
        content, protocol, left = extended
        src, dst = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    ports = (0, 0)
    with_ports = {6: 20, 17: 8}.get(protocol)
    if with_ports and left >= with_ports and len(frame) >= content + 4:
        ports = (big(frame, content), big(frame, content + 2))
    return Counted(src, dst, *ports, protocol, place.vlan, size, place.tunnel)
