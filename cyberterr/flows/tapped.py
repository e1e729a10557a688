"""The payloads that the meter tapped, as messages for layer 7."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv6Address

from cyberterr.flows.layer7 import Message

HEADER = struct.Struct("=QqQQQQIIHHBBBB")
"""`TappedHeader` of native/meter.h."""
_REMEMBERED = 65_536
_text_of: dict[tuple[int, int, int], str] = {}


def _address(high: int, low: int, v4: int) -> str:
    known = _text_of.get((high, low, v4))
    if known is None:
        if len(_text_of) >= _REMEMBERED:
            _text_of.clear()
        if v4:
            known = ".".join(str(low >> shift & 255) for shift in (24, 16, 8, 0))
        else:
            known = str(IPv6Address(high << 64 | low))
        _text_of[high, low, v4] = known
    return known


def messages(raw: bytes) -> Iterator[Message]:
    """The messages in *raw*, as the meter gave it, in the order of the capture."""
    at = 0
    while at < len(raw):
        (
            flow_id, time_ns, source_high, source_low, destination_high, destination_low,
            seq, size, source_port, destination_port, protocol, from_source, v4, _,
        ) = HEADER.unpack_from(raw, at)  # fmt: skip
        at += HEADER.size
        yield Message(
            time_ns,
            flow_id,
            bool(from_source),
            _address(source_high, source_low, v4),
            _address(destination_high, destination_low, v4),
            source_port,
            destination_port,
            protocol,
            seq,
            raw[at : at + size],
        )
        at += (size + 7) & ~7
