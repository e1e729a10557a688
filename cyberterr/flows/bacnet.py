"""BACnet/IP (ANSI/ASHRAE 135-2020): BVLC (annex J), NPDU (clause 6), APDU (clauses 20, 21)."""

from __future__ import annotations

from cyberterr.contracts.ot import Functions
from cyberterr.flows.ot import UNKNOWN, Pdu
from cyberterr.flows.stream import NotThisProtocol

CONFIRMED: Functions = {
    0: ("AcknowledgeAlarm", "control"),
    1: ("ConfirmedCOVNotification", "other"),
    2: ("ConfirmedEventNotification", "other"),
    3: ("GetAlarmSummary", "read"),
    4: ("GetEnrollmentSummary", "read"),
    5: ("SubscribeCOV", "other"),
    6: ("AtomicReadFile", "read"),
    7: ("AtomicWriteFile", "write"),
    8: ("AddListElement", "write"),
    9: ("RemoveListElement", "write"),
    10: ("CreateObject", "write"),
    11: ("DeleteObject", "write"),
    12: ("ReadProperty", "read"),
    13: ("ReadPropertyConditional", "read"),
    14: ("ReadPropertyMultiple", "read"),
    15: ("WriteProperty", "write"),
    16: ("WritePropertyMultiple", "write"),
    17: ("DeviceCommunicationControl", "control"),
    18: ("ConfirmedPrivateTransfer", "other"),
    19: ("ConfirmedTextMessage", "other"),
    20: ("ReinitializeDevice", "control"),
    21: ("VT-Open", "other"),
    22: ("VT-Close", "other"),
    23: ("VT-Data", "other"),
    24: ("Authenticate", "other"),
    25: ("RequestKey", "other"),
    26: ("ReadRange", "read"),
    27: ("LifeSafetyOperation", "control"),
    28: ("SubscribeCOVProperty", "other"),
    29: ("GetEventInformation", "read"),
    30: ("SubscribeCOVPropertyMultiple", "other"),
    31: ("ConfirmedCOVNotificationMultiple", "other"),
    32: ("ConfirmedAuditNotification", "other"),
    33: ("AuditLogQuery", "read"),
}
"""BACnetConfirmedServiceChoice."""

UNCONFIRMED: Functions = {
    0: ("I-Am", "diagnostic"),
    1: ("I-Have", "diagnostic"),
    2: ("UnconfirmedCOVNotification", "other"),
    3: ("UnconfirmedEventNotification", "other"),
    4: ("UnconfirmedPrivateTransfer", "other"),
    5: ("UnconfirmedTextMessage", "other"),
    6: ("TimeSynchronization", "write"),
    7: ("Who-Has", "diagnostic"),
    8: ("Who-Is", "diagnostic"),
    9: ("UTCTimeSynchronization", "write"),
    10: ("WriteGroup", "write"),
    11: ("UnconfirmedCOVNotificationMultiple", "other"),
    12: ("UnconfirmedAuditNotification", "other"),
    13: ("Who-Am-I", "diagnostic"),
    14: ("You-Are", "write"),
}
"""BACnetUnconfirmedServiceChoice; the numbers overlap with the confirmed ones, the names do not."""

_FORWARDED = 4
_CARRY = frozenset((_FORWARDED, 9, 10, 11))  # BVLC functions with an NPDU inside
_OBJECT = 0x0C  # context tag 0, 4 bytes: BACnetObjectIdentifier


def read(data: bytes) -> Pdu | None:
    """Decode one datagram; None where it carries no service (routing, segment-ack, reject, abort).

    `address` is the whole BACnetObjectIdentifier: 10 bits of type, 22 bits of instance.

    Raises:
        NotThisProtocol: it is no BACnet/IP.
    """
    if len(data) < 4 or data[0] != 0x81 or data[2] << 8 | data[3] > len(data):
        raise NotThisProtocol
    if data[1] not in _CARRY:
        return None
    try:
        return _apdu(data, _behind_npdu(data, 10 if data[1] == _FORWARDED else 4))
    except IndexError:
        return None


def _behind_npdu(data: bytes, at: int) -> int:
    if data[at] != 1:
        raise NotThisProtocol
    control = data[at + 1]
    if control & 0x80:  # a message of the network layer: no APDU follows
        return len(data)
    at += 2
    if control & 0x20:
        at += 3 + data[at + 2]
    if control & 0x08:
        at += 3 + data[at + 2]
    return at + 1 if control & 0x20 else at


def _apdu(data: bytes, at: int) -> Pdu | None:
    kind, segmented = data[at] >> 4, bool(data[at] & 0x08)
    if kind == 0:
        at += 5 if segmented else 3
        name, meaning = CONFIRMED.get(data[at], UNKNOWN)
        return Pdu(data[at], name, meaning, None, _object(data, at + 1), True)
    if kind == 1:
        name, meaning = UNCONFIRMED.get(data[at + 1], UNKNOWN)
        return Pdu(data[at + 1], name, meaning, None, None, True)
    if kind in (2, 3, 5):
        at += 4 if kind == 3 and segmented else 2
        name, meaning = CONFIRMED.get(data[at], UNKNOWN)
        if kind == 5:
            name += ", error"
        return Pdu(data[at], name, meaning, None, None, False)
    return None


def _object(data: bytes, at: int) -> int | None:
    if len(data) < at + 5 or data[at] != _OBJECT:
        return None
    return int.from_bytes(data[at + 1 : at + 5], "big")
