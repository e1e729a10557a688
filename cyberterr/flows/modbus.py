"""Modbus/TCP (Application Protocol V1.1b3; Messaging on TCP/IP Guide V1.0b)."""

from __future__ import annotations

from cyberterr.contracts.ot import MODBUS
from cyberterr.flows.ot import UNKNOWN, Pdu
from cyberterr.flows.stream import NotThisProtocol

_UMAS = {
    **dict.fromkeys((0x21, 0x23, 0x25, 0x71), ("UMAS write", "write")),
    **dict.fromkeys((0x20, 0x22, 0x24, 0x70), ("UMAS read", "read")),
    **dict.fromkeys((0x33, 0x34, 0x35), ("UMAS program download", "control")),
    0x40: ("UMAS start PLC", "control"),
    0x41: ("UMAS stop PLC", "control"),
}
"""Not in a standard: as published by Kaspersky ICS CERT, "The secrets of UMAS" (2022)."""

_HEADER = 7
_MAX_LENGTH = 260  # the standard says 254; devices exceed it by a few bytes
_ECHOED = frozenset((5, 6, 15, 16, 22))
_ADDRESSED = frozenset((1, 2, 3, 4, 24)) | _ECHOED


def read(data: bytes, asks: bool) -> tuple[list[Pdu], int]:
    """Decode every complete unit; also the bytes they took.

    Args:
        data: one side's bytes from a unit boundary on.
        asks: whether that side is the client.

    Raises:
        NotThisProtocol: the first unit is none of Modbus.
    """
    found: list[Pdu] = []
    at, size = 0, len(data)
    while size - at >= _HEADER + 1:
        length = data[at + 4] << 8 | data[at + 5]
        if data[at + 2] or data[at + 3] or not 2 <= length <= _MAX_LENGTH:
            if found:
                return found, size
            raise NotThisProtocol
        end = at + 6 + length
        if end > size:
            break
        found.append(_pdu(data, at, end, asks))
        at = end
    return found, at


def _pdu(data: bytes, at: int, end: int, asks: bool) -> Pdu:
    code = data[at + 7]
    function = code & 0x7F
    name, kind = MODBUS.get(function, UNKNOWN)
    if function == 90 and asks and end - at > 9:
        name, kind = _UMAS.get(data[at + 9], (name, kind))
    address = None
    if code & 0x80:
        name += ", exception"
    elif function == 23 and asks:
        if end - at >= 14:
            address = data[at + 12] << 8 | data[at + 13]  # the place it writes to
    elif end - at >= 10 and function in (_ADDRESSED if asks else _ECHOED):
        address = data[at + 8] << 8 | data[at + 9]
    return Pdu(function, name, kind, data[at + 6], address)
