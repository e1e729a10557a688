"""IEC 60870-5-104:2006 (APCI, clause 5) and the ASDUs of IEC 60870-5-101:2003 (clause 7)."""

from __future__ import annotations

from cyberterr.contracts.ot import Functions
from cyberterr.flows.ot import Pdu
from cyberterr.flows.stream import NotThisProtocol

FUNCTIONS: Functions = {
    1: ("M_SP_NA_1", "read"), 2: ("M_SP_TA_1", "read"), 3: ("M_DP_NA_1", "read"),
    4: ("M_DP_TA_1", "read"), 5: ("M_ST_NA_1", "read"), 6: ("M_ST_TA_1", "read"),
    7: ("M_BO_NA_1", "read"), 8: ("M_BO_TA_1", "read"), 9: ("M_ME_NA_1", "read"),
    10: ("M_ME_TA_1", "read"), 11: ("M_ME_NB_1", "read"), 12: ("M_ME_TB_1", "read"),
    13: ("M_ME_NC_1", "read"), 14: ("M_ME_TC_1", "read"), 15: ("M_IT_NA_1", "read"),
    16: ("M_IT_TA_1", "read"), 17: ("M_EP_TA_1", "read"), 18: ("M_EP_TB_1", "read"),
    19: ("M_EP_TC_1", "read"), 20: ("M_PS_NA_1", "read"), 21: ("M_ME_ND_1", "read"),
    30: ("M_SP_TB_1", "read"), 31: ("M_DP_TB_1", "read"), 32: ("M_ST_TB_1", "read"),
    33: ("M_BO_TB_1", "read"), 34: ("M_ME_TD_1", "read"), 35: ("M_ME_TE_1", "read"),
    36: ("M_ME_TF_1", "read"), 37: ("M_IT_TB_1", "read"), 38: ("M_EP_TD_1", "read"),
    39: ("M_EP_TE_1", "read"), 40: ("M_EP_TF_1", "read"),
    45: ("C_SC_NA_1", "control"), 46: ("C_DC_NA_1", "control"), 47: ("C_RC_NA_1", "control"),
    48: ("C_SE_NA_1", "control"), 49: ("C_SE_NB_1", "control"), 50: ("C_SE_NC_1", "control"),
    51: ("C_BO_NA_1", "control"), 58: ("C_SC_TA_1", "control"), 59: ("C_DC_TA_1", "control"),
    60: ("C_RC_TA_1", "control"), 61: ("C_SE_TA_1", "control"), 62: ("C_SE_TB_1", "control"),
    63: ("C_SE_TC_1", "control"), 64: ("C_BO_TA_1", "control"),
    70: ("M_EI_NA_1", "other"),
    100: ("C_IC_NA_1", "read"), 101: ("C_CI_NA_1", "read"), 102: ("C_RD_NA_1", "read"),
    103: ("C_CS_NA_1", "write"), 104: ("C_TS_NA_1", "diagnostic"), 105: ("C_RP_NA_1", "control"),
    106: ("C_CD_NA_1", "diagnostic"), 107: ("C_TS_TA_1", "diagnostic"),
    110: ("P_ME_NA_1", "write"), 111: ("P_ME_NB_1", "write"), 112: ("P_ME_NC_1", "write"),
    113: ("P_AC_NA_1", "control"),
    120: ("F_FR_NA_1", "other"), 121: ("F_SR_NA_1", "other"), 122: ("F_SC_NA_1", "read"),
    123: ("F_LS_NA_1", "other"), 124: ("F_AF_NA_1", "other"), 125: ("F_SG_NA_1", "other"),
    126: ("F_DR_TA_1", "other"), 127: ("F_SC_NB_1", "read"),
}  # fmt: skip
"""Type identifications (60870-5-101, 7.2.1): M_ monitors, C_ commands, P_ sets, F_ moves files."""


def read(data: bytes, asks: bool) -> tuple[list[Pdu], int]:
    """Decode every complete APDU; also the bytes they took.

    Only I-format frames carry an ASDU; acknowledgements and link control (S, U) give no unit.

    Raises:
        NotThisProtocol: the first frame is none of IEC 104.
    """
    found: list[Pdu] = []
    at, size = 0, len(data)
    while size - at >= 6:
        length = data[at + 1]
        if data[at] != 0x68 or not 4 <= length <= 253:
            if at:
                return found, size
            raise NotThisProtocol
        end = at + 2 + length
        if end > size:
            break
        if not data[at + 2] & 1 and length >= 10:
            found.append(_asdu(data, at + 6, end))
        at = end
    return found, at


def _asdu(data: bytes, at: int, end: int) -> Pdu:
    function = data[at]
    name, kind = FUNCTIONS.get(function) or (f"type {function}", "other")
    return Pdu(
        function,
        name,
        kind,
        data[at + 4] | data[at + 5] << 8,
        int.from_bytes(data[at + 6 : at + 9], "little") if end >= at + 9 else None,
    )
