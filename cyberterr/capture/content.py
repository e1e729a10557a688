"""What the first bytes of a file say it is: magic numbers, log headers, JSON keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

PCAP = (
    b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1",  # microseconds
    b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1",  # nanoseconds
    b"\xa1\xb2\xcd\x34", b"\x34\xcd\xb2\xa1",  # Kuznetsov's "modified" records
)  # fmt: skip
PCAPNG = b"\x0a\x0d\x0d\x0a"
NFDUMP = (b"\x0c\xa5", b"\xa5\x0c")
NFDUMP_VERSIONS = (1, 2)

WIRESHARK = {
    b"snoop\0\0\0": "snoop",
    b"RTSS": "Network Monitor 1",
    b"GMBU": "Network Monitor 2",
    b"btsnoop\0": "btsnoop",
    b"iptrace 1.0": "iptrace",
    b"iptrace 2.0": "iptrace",
    b"TRSNIFF data    \x1a": "Sniffer (DOS)",
    b"XCP\0": "Sniffer (Windows) or NetXRay",
    b"\x05VNF": "Visual Networks",
    b"\x7fver": "EtherPeek or OmniPeek",
    b"TR\0d\0": "HP-UX nettl",
    b"\x42\xd2\x00\x34\x12\x66\x22\x88": "RADCOM",
    b"ObserverPktBuffe": "Network Instruments Observer",
    b"\x00\x00\x02\x00\x12\x05\x00\x10": "Tektronix K12",
    b"\x1c\x00\x01\xac": "IXIA",
    b"\x1c\x00\x01\xab": "IXIA",
    b"V0208": "Aethra",
    b"EyeSDN": "EyeSDN",
}
"""Magic numbers of captures that tshark reads (Wireshark's wiretap); nothing else gets there."""

_ELSE = {
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive (unpack it first)",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive (unpack it first)",
    b"BZh": "bzip2 data (unpack it first)",
    b"\x04\x22\x4d\x18": "LZ4 data (unpack it first)",
    b"\x7fELF": "a program",
    b"SQLite format 3\0": "an SQLite database",
}

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a line that is no JSON, or not of the type asked for."""

ZEEK_LOGS = ("conn", "dns", "ssl", "http", "ssh")

Kind = Literal["pcap", "pcapng", "wireshark", "zeek", "eve", "nfdump", "nfdump-csv", "binetflow"]


class Content(NamedTuple):
    """What a file holds; `unused` is a Zeek log that no detector reads."""

    kind: Kind | Literal["unused"]
    detail: str = ""
    json: bool = False


def recognise(head: bytes, *, complete: bool) -> Content | None:
    """What *head* is the beginning of; None if unknown, or, unless *complete*, not yet known."""
    if head.startswith(PCAP):
        return Content("pcap")
    if head.startswith(PCAPNG):
        return Content("pcapng")
    if head.startswith(NFDUMP) and len(head) >= 4:
        order: Literal["little", "big"] = "little" if head[:1] == b"\x0c" else "big"
        if int.from_bytes(head[2:4], order) in NFDUMP_VERSIONS:
            return Content("nfdump")
    for magic, name in WIRESHARK.items():
        if head.startswith(magic):
            return Content("wireshark", name)
    lines = head.splitlines(keepends=True)
    if lines and not complete and not lines[-1].endswith((b"\n", b"\r")):
        lines.pop()
    if head.startswith(b"#"):
        return _zeek_header(lines)
    if head.lstrip()[:1] == b"{":
        return _json(lines[:5])
    return _table(lines[0]) if lines else None


def described(head: bytes) -> str:
    """What *head* looks like, for the message that refuses it."""
    for magic, name in _ELSE.items():
        if head.startswith(magic):
            return name
    is_text = not set(head[:512]) & set(range(9))
    return "a text file of another kind" if is_text else "of an unknown kind"


def _zeek_header(lines: list[bytes]) -> Content | None:
    """Zeek's own header: `#path` names the log; without one, its columns do."""
    for line in lines:
        name, _, value = line.rstrip(b"\r\n").partition(b"\t")
        if name == b"#path":
            return _zeek(value.decode("utf-8", "replace"), json=False)
        if name == b"#fields":
            log = _log_of(value.decode("utf-8", "replace").split("\t"))
            return _zeek(log, json=False) if log else None
    return None


def _json(lines: list[bytes]) -> Content | None:
    for line in lines:
        try:
            record = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        except NOT_JSON:
            continue
        if "event_type" in record:
            return Content("eve")
        path = record["_path"] if "_path" in record else msgspec.Raw(b"")
        log = bytes(path).strip(b'"').decode("utf-8", "replace") or _log_of(record)
        if log:
            return _zeek(log, json=True)
    return None


def _zeek(log: str, *, json: bool) -> Content:
    return Content("zeek" if log in ZEEK_LOGS else "unused", log[:40], json)


def _log_of(keys: Iterable[str]) -> str:
    """Which Zeek log has these keys; unset fields are left out of JSON, so only sure ones count."""
    names = set(keys)
    if "ts" not in names:
        return ""
    if not {"id.orig_h", "id.resp_h"} <= names:
        return "without addresses"
    if "proto" in names and names & {"conn_state", "orig_pkts", "missed_bytes"}:
        return "conn"
    if "proto" in names and names & {"trans_id", "qtype", "rejected"}:
        return "dns"
    if names & {"established", "ssl_history"}:
        return "ssl"
    if {"trans_depth", "request_body_len"} <= names and not names & {"call_id", "request_path"}:
        return "http"
    if names & {"auth_attempts", "auth_success", "hasshVersion"} and "client" in names:
        return "ssh"
    return "of another kind"


def _table(line: bytes) -> Content | None:
    text = line.decode("utf-8", "replace").strip()
    columns = set(text.replace("\t", ",").split(","))
    if {"StartTime", "Proto", "SrcAddr", "DstAddr"} <= columns:
        return Content("binetflow")
    if {"ts", "pr", "sa", "da"} <= columns or {"firstSeen", "srcAddr", "dstAddr"} <= columns:
        return Content("nfdump-csv")
    return None
