"""DNP3 (IEEE Std 1815-2012): link layer (clause 9), transport (8), application (4)."""

from __future__ import annotations

from cyberterr.contracts.ot import DNP3
from cyberterr.flows.ot import UNKNOWN, Pdu
from cyberterr.flows.stream import NotThisProtocol

_FIRST = 0x40
_BLOCK = 16


def read(data: bytes, asks: bool) -> tuple[list[Pdu], int]:
    """Decode every complete link frame; also the bytes they took.

    One unit for each application fragment, at its first frame; frames of the link layer alone
    (reset, status) give none. Check sums are not verified.

    Raises:
        NotThisProtocol: the first frame is none of DNP3.
    """
    found: list[Pdu] = []
    at, size = 0, len(data)
    while size - at >= 10:
        length = data[at + 2]
        if data[at] != 0x05 or data[at + 1] != 0x64 or length < 5:
            if at:
                return found, size
            raise NotThisProtocol
        user = length - 5
        end = at + 10 + user + 2 * -(-user // _BLOCK)
        if end > size:
            break
        if user >= 3 and data[at + 10] & _FIRST:
            found.append(_pdu(data, at, end))
        at = end
    return found, at


def _pdu(data: bytes, at: int, end: int) -> Pdu:
    function = data[at + 12]
    name, kind = DNP3.get(function, UNKNOWN)
    answers = function >= 129
    station = at + 6 if answers else at + 4
    return Pdu(
        function,
        name,
        kind,
        data[station] | data[station + 1] << 8,
        None if answers else _first_index(data[at + 13 : min(end, at + 26)]),
        not answers,
    )


def _first_index(header: bytes) -> int | None:
    """First point of the first object header: group, variation, qualifier, range."""
    if len(header) < 4:
        return None
    qualifier = header[2]
    if qualifier == 0x17 and len(header) >= 5:
        return header[4]
    if qualifier == 0x28 and len(header) >= 7:
        return header[5] | header[6] << 8
    if qualifier == 0x00:
        return header[3]
    if qualifier == 0x01 and len(header) >= 5:
        return header[3] | header[4] << 8
    return None
