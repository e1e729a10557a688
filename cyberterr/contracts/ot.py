"""Function codes of machine protocols, as their standards number and name them."""

from __future__ import annotations

Functions = dict[int, tuple[str, str]]
"""Function code to its name in the standard and its kind (column `kind` of the OT table)."""

MODBUS: Functions = {
    1: ("Read Coils", "read"),
    2: ("Read Discrete Inputs", "read"),
    3: ("Read Holding Registers", "read"),
    4: ("Read Input Registers", "read"),
    5: ("Write Single Coil", "write"),
    6: ("Write Single Register", "write"),
    7: ("Read Exception Status", "diagnostic"),
    8: ("Diagnostics", "diagnostic"),
    11: ("Get Comm Event Counter", "diagnostic"),
    12: ("Get Comm Event Log", "diagnostic"),
    15: ("Write Multiple Coils", "write"),
    16: ("Write Multiple Registers", "write"),
    17: ("Report Server ID", "diagnostic"),
    20: ("Read File Record", "read"),
    21: ("Write File Record", "write"),
    22: ("Mask Write Register", "write"),
    23: ("Read/Write Multiple Registers", "write"),
    24: ("Read FIFO Queue", "read"),
    43: ("Encapsulated Interface Transport", "diagnostic"),
    90: ("UMAS", "other"),
}
"""Modbus Application Protocol V1.1b3, section 5.1.

90 is Schneider's, and its inner function decides the kind."""

DNP3: Functions = {
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
"""IEEE Std 1815-2012, clause 4.4, table of function codes."""
