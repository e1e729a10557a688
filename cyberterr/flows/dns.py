"""DNS messages (RFC 1035, 2782, 3596; mDNS RFC 6762, LLMNR RFC 4795) from hostile bytes."""

from __future__ import annotations

import struct
from functools import lru_cache
from socket import AF_INET6, inet_ntop
from typing import NamedTuple

from cyberterr.flows.row import Row
from cyberterr.flows.stream import NotThisProtocol, Stream

_ID = 2  # the id is cut off before decoding, so offsets in the message are 2 too high
_MAX_NAME = 255
_MAX_JUMPS = 32
_MAX_ANSWERS = 128
_MAX_TEXT = 1024
_MEMO_BYTES = 512

_HEADER = struct.Struct(">HHH")
_RECORD = struct.Struct(">HHIH")
_SRV = struct.Struct(">HHH")
_SOA = struct.Struct(">IIIII")

_RESPONSE = 0x8000
_RESERVED = 0x0040
_OPCODES = frozenset((0, 1, 2, 4, 5, 6))

QTYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 11: "WKS", 12: "PTR", 13: "HINFO",
    15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC",
    33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 41: "OPT", 43: "DS", 44: "SSHFP",
    45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3",
    51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY",
    64: "SVCB", 65: "HTTPS", 99: "SPF", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR",
    255: "ANY", 256: "URI", 257: "CAA",
}  # fmt: skip
"""IANA "Resource Record (RR) TYPEs"; others are written TYPE65280 (RFC 3597)."""

RCODES = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED",
    6: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI",
}  # fmt: skip
"""IANA "DNS RCODEs" of the header; others are written RCODE12."""

_NAMED = frozenset((2, 5, 12, 39))


class DnsMessage(NamedTuple):
    """One DNS message, less its id: the first question and every answer record as text."""

    response: bool
    query: str | None
    qtype: str | None
    rcode: str
    answers: tuple[str, ...]


def decode(message: bytes) -> tuple[int, DnsMessage]:
    """Decode one DNS message to its id and content.

    Polls repeat, so short messages are remembered without their id (at most 8,192 of them).

    Args:
        message: the whole message, without the length prefix it has over TCP.

    Raises:
        NotThisProtocol: the header is not one of DNS.
    """
    if len(message) < 12:
        raise NotThisProtocol
    body = message[_ID:]
    read = _remembered if len(body) <= _MEMO_BYTES else _decode
    return message[0] << 8 | message[1], read(body)


class Conversation:
    """DNS over TCP: whole messages, in either direction, for whoever matches them."""

    __slots__ = ("_messages",)
    done = False

    def __init__(self) -> None:
        self._messages: list[bytes] = []

    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]:
        """Keep every complete message for `take` (2-byte length prefix, RFC 1035 §4.2.2).

        Raises:
            NotThisProtocol: a length is too small for a DNS header.
        """
        data, at = stream.data, 0
        while at + 2 <= len(data):
            length = data[at] << 8 | data[at + 1]
            if length < 12:
                raise NotThisProtocol
            if at + 2 + length > len(data):
                break
            self._messages.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        if at:
            stream.take(at)
        return []

    def take(self) -> list[bytes]:
        """The messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def end(self) -> list[Row]:
        """Nothing: half a message is no message."""
        return []


def _decode(body: bytes) -> DnsMessage:
    flags, questions, records = _HEADER.unpack_from(body)
    if flags >> 11 & 15 not in _OPCODES or flags & _RESERVED or questions > 64:
        raise NotThisProtocol
    rcode = RCODES.get(flags & 15) or f"RCODE{flags & 15}"
    response = flags >= _RESPONSE
    query = qtype = None
    answers: list[str] = []
    try:
        at = 10
        for number in range(questions):
            name, at = _name(body, at)
            code = body[at] << 8 | body[at + 1]
            at += 4
            if number == 0:
                query, qtype = name, QTYPES.get(code) or f"TYPE{code}"
        if response:
            for _ in range(min(records, _MAX_ANSWERS)):
                at = _skip_name(body, at)
                kind, _, _, length = _RECORD.unpack_from(body, at)
                at += 10
                if at + length > len(body):
                    break
                answers.append(_data(body, kind, at, length))
                at += length
    except (IndexError, ValueError, struct.error):
        pass  # cut off or broken behind this point; what was read before it stands
    return DnsMessage(response, query, qtype, rcode, tuple(answers))


_remembered = lru_cache(maxsize=8192)(_decode)


def _name(body: bytes, at: int) -> tuple[str, int]:
    """The name at *at* and the offset behind it; pointers only lead backwards, and not for ever."""
    labels: list[bytes] = []
    length = jumps = 0
    behind = -1
    limit = at
    while size := body[at]:
        if size >= 0xC0:
            target = ((size & 0x3F) << 8 | body[at + 1]) - _ID
            if behind < 0:
                behind = at + 2
            jumps += 1
            if not 10 <= target < limit or jumps > _MAX_JUMPS:
                raise ValueError
            at = limit = target
        elif size < 0x40:
            at += 1
            labels.append(body[at : at + size])
            at += size
            length += size + 1
            if length > _MAX_NAME:
                raise ValueError
        else:
            raise ValueError
    return _text(labels), behind if behind >= 0 else at + 1


def _skip_name(body: bytes, at: int) -> int:
    """The offset behind the name at *at*."""
    while size := body[at]:
        if size >= 0xC0:
            return at + 2
        if size >= 0x40:
            raise ValueError
        at += size + 1
    return at + 1


def _text(labels: list[bytes]) -> str:
    r"""Labels as one lower-case name; not printable: `\ddd` (RFC 1035 §5.1)."""
    joined = b".".join(labels)
    if joined.isascii() and joined.count(b".") == len(labels) - 1 and b"\\" not in joined:
        name = joined.decode("ascii")
        if name.isprintable():
            return name.lower()
    return ".".join(_escape(label, b".\\") for label in labels).lower()


def _escape(raw: bytes, special: bytes) -> str:
    return "".join(
        (f"\\{chr(byte)}" if byte in special else chr(byte))
        if 32 <= byte < 127
        else f"\\{byte:03d}"
        for byte in raw
    )


def _data(body: bytes, kind: int, at: int, length: int) -> str:
    """The data of one record as text."""
    raw = body[at : at + length]
    if kind == 1 and length == 4:
        return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"
    if kind == 28 and length == 16:
        return inet_ntop(AF_INET6, raw)
    if kind in _NAMED:
        return _name(body, at)[0]
    if kind == 15 and length > 2:
        return f"{raw[0] << 8 | raw[1]} {_name(body, at + 2)[0]}"
    if kind == 16:
        return _strings(raw)
    if kind == 33 and length > 6:
        priority, weight, port = _SRV.unpack_from(raw)
        return f"{priority} {weight} {port} {_name(body, at + 6)[0]}"
    if kind == 6:
        primary, behind = _name(body, at)
        mailbox, behind = _name(body, behind)
        return " ".join((primary, mailbox, *map(str, _SOA.unpack_from(body, behind))))
    return f"{QTYPES.get(kind) or f'TYPE{kind}'}, {length} bytes"


def _strings(raw: bytes) -> str:
    """The character strings of a TXT record, joined, at most 1,024 characters."""
    parts, at = [], 0
    while at < len(raw):
        parts.append(raw[at + 1 : at + 1 + raw[at]])
        at += raw[at] + 1
    return _escape(b"".join(parts)[:_MAX_TEXT], b"\\")
