"""DNP3 (IEEE Std 1815-2012): link layer (clause 9), transport (8), application (4)."""

from __future__ import annotations

from cyberterr.flows.ot import UNKNOWN, Functions, Pdu
from cyberterr.flows.stream import NotThisProtocol

FUNCTIONS: Functions = {
    0: ("Confirm", "other"),
    1: ("Read", "read"),
    2: ("Write", "write"),
    3: ("Select", "control"),
    4: ("Operate", "control"),
    5: ("Direct Operate", "control"),
    6: ("Direct Operate, No Acknowledgement", "control"),
    7: ("Immediate Freeze", "control"),
    8: ("Immediate Freeze, No Acknowledgement", "control"),
    9: ("Freeze and Clear", "control"),
    10: ("Freeze and Clear, No Acknowledgement", "control"),
    11: ("Freeze at Time", "control"),
    12: ("Freeze at Time, No Acknowledgement", "control"),
    13: ("Cold Restart", "control"),
    14: ("Warm Restart", "control"),
    15: ("Initialize Data", "control"),
    16: ("Initialize Application", "control"),
    17: ("Start Application", "control"),
    18: ("Stop Application", "control"),
    19: ("Save Configuration", "control"),
    20: ("Enable Unsolicited Responses", "control"),
    21: ("Disable Unsolicited Responses", "control"),
    22: ("Assign Class", "write"),
    23: ("Delay Measurement", "diagnostic"),
    24: ("Record Current Time", "diagnostic"),
    25: ("Open File", "read"),
    26: ("Close File", "other"),
    27: ("Delete File", "write"),
    28: ("Get File Information", "read"),
    29: ("Authenticate File", "other"),
    30: ("Abort File Transfer", "other"),
    31: ("Activate Configuration", "control"),
    32: ("Authentication Request", "other"),
    33: ("Authentication Request, No Acknowledgement", "other"),
    129: ("Response", "other"),
    130: ("Unsolicited Response", "other"),
    131: ("Authentication Response", "other"),
}
"""Clause 4.4, table of function codes."""

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
    name, kind = FUNCTIONS.get(function, UNKNOWN)
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
