"""S7comm (Siemens) in COTP (ISO 8073) in TPKT (RFC 1006).

Siemens publishes no standard; codes as in Wireshark's packet-s7comm documentation.
"""

from __future__ import annotations

from cyberterr.contracts.ot import Functions
from cyberterr.flows.ot import UNKNOWN, Pdu
from cyberterr.flows.stream import NotThisProtocol

FUNCTIONS: Functions = {
    0x00: ("CPU services", "other"),
    0x04: ("Read Var", "read"),
    0x05: ("Write Var", "write"),
    0x1A: ("Request download", "control"),
    0x1B: ("Download block", "control"),
    0x1C: ("Download ended", "control"),
    0x1D: ("Start upload", "read"),
    0x1E: ("Upload", "read"),
    0x1F: ("End upload", "read"),
    0x28: ("PI-Service", "control"),
    0x29: ("PLC Stop", "control"),
    0xF0: ("Setup communication", "other"),
}
"""Functions of a job (ROSCTR 1) and of its answer (2, 3)."""

USERDATA: Functions = {
    0x0: ("Mode transition", "control"),
    0x1: ("Programmer commands", "control"),
    0x2: ("Cyclic services", "read"),
    0x3: ("Block functions", "read"),
    0x4: ("CPU functions", "diagnostic"),
    0x5: ("Security", "control"),
    0x6: ("PBC functions", "other"),
    0x7: ("Time functions", "read"),
    0xF: ("NC programming", "control"),
}
"""Function groups of ROSCTR 7; the code is 0x700 and the group."""

_SET_CLOCK = frozenset((0x02, 0x04))
_DATA = 0xF0
_CLASSIC, _PLUS = 0x32, 0x72
_JOB, _USERDATA = 1, 7
_REQUEST, _RESPONSE = 0x31, 0x32


def read(data: bytes, asks: bool) -> tuple[list[Pdu], int]:
    """Decode every complete TPKT packet; also the bytes they took.

    Connection set-up of COTP gives no unit, nor do other protocols over TPKT (MMS).

    Raises:
        NotThisProtocol: the first packet is no TPKT.
    """
    found: list[Pdu] = []
    at, size = 0, len(data)
    while size - at >= 4:
        length = data[at + 2] << 8 | data[at + 3]
        if data[at] != 3 or data[at + 1] != 0 or length < 7:
            if at:
                return found, size
            raise NotThisProtocol
        if at + length > size:
            break
        start = at + 5 + data[at + 4]
        if data[at + 5] == _DATA and start < at + length:
            body = data[start : at + length]
            pdu = _classic(body) if body[0] == _CLASSIC else _plus(body)
            if pdu is not None:
                found.append(pdu)
        at += length
    return found, at


def _classic(body: bytes) -> Pdu | None:
    if len(body) < 10:
        return None
    kind_of_message = body[1]
    at = 12 if kind_of_message in (2, 3) else 10
    parameters = body[at : at + (body[6] << 8 | body[7])]
    if kind_of_message == _USERDATA:
        return _userdata(parameters)
    if not parameters:
        return None
    function = parameters[0]
    name, kind = FUNCTIONS.get(function, UNKNOWN)
    request = kind_of_message == _JOB
    address = None
    if request and function in (4, 5) and len(parameters) >= 14 and parameters[2] == 0x12:
        address = int.from_bytes(parameters[11:14], "big") >> 3
    return Pdu(function, name, kind, None, address, request)


def _userdata(parameters: bytes) -> Pdu | None:
    if len(parameters) < 7:
        return None
    group = parameters[5] & 0x0F
    name, kind = USERDATA.get(group, UNKNOWN)
    if group == 7 and parameters[6] in _SET_CLOCK:
        kind = "write"
    return Pdu(0x700 | group, name, kind, None, None, parameters[5] >> 4 == 4)


def _plus(body: bytes) -> Pdu | None:
    """S7comm-plus is only named: its content is integrity-protected or encrypted."""
    if body[0] != _PLUS or len(body) < 9:
        return None
    at = 4
    if body[1] == 3:  # version 3 puts a digest in front
        at += 1 + body[4]
    if len(body) < at + 5:
        return None
    opcode = body[at]
    if opcode not in (_REQUEST, _RESPONSE):  # notifications have no function
        return Pdu(opcode, "S7comm-plus", "other", None, None, False)
    return Pdu(
        body[at + 3] << 8 | body[at + 4], "S7comm-plus", "other", None, None, opcode == _REQUEST
    )
