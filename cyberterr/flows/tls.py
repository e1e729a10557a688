"""TLS ClientHello (RFC 8446 §4.1.2): server name, ALPN, version and JA4 fingerprint.

JA4 as FoxIO publishes it (BSD-3-Clause): github.com/FoxIO-LLC/ja4, technical_details/JA4.md.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, NamedTuple

from cyberterr.flows.row import Row
from cyberterr.flows.stream import NotThisProtocol, Stream

RECOGNISED_BYTES = 6
"""From so many on `starts` is sure."""

_HANDSHAKE = 0x16
_CLIENT_HELLO = 1
_MAX_HELLO = 32_768
_MAX_RECORD = 16_384 + 256

_SERVER_NAME, _SIGNATURES, _ALPN, _VERSIONS = 0, 13, 16, 43

_NAMES = {
    0x0304: "TLS 1.3",
    0x0303: "TLS 1.2",
    0x0302: "TLS 1.1",
    0x0301: "TLS 1.0",
    0x0300: "SSL 3.0",
}
_JA4_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_NONE = "0" * 12


class ClientHello(NamedTuple):
    """What a client shows of itself before encryption starts."""

    server_name: str | None
    alpn: str | None
    ja4: str
    version: str | None


def starts(data: bytes) -> bool:
    """Whether *data* can be the start of a ClientHello in a TLS record."""
    return data[:2] == b"\x16\x03" and (len(data) < 6 or data[5] == _CLIENT_HELLO)


def hello_follows(data: bytes, segment: bytes) -> bool:
    """Whether *segment*, the end of *data*, begins a ClientHello behind another protocol's words.

    As in RDP, PostgreSQL, LDAP and XMPP, which agree on TLS in ways of their own.
    """
    behind = RECOGNISED_BYTES <= len(segment) < len(data)
    return behind and starts(segment) and data.endswith(segment)


def client_hello(data: bytes) -> ClientHello | None:
    """Decode the ClientHello at the start of a TLS stream, however many records carry it.

    Args:
        data: what the client sent so far, from the first byte on.

    Returns:
        The hello, or None while bytes are missing.

    Raises:
        NotThisProtocol: it is no ClientHello, its lengths contradict each other, or it is too long.
    """
    handshake, at = b"", 0
    while True:
        if len(data) - at < 5:
            if data[at : at + 1] not in (b"", b"\x16"):
                raise NotThisProtocol
            return None
        length = data[at + 3] << 8 | data[at + 4]
        if data[at] != _HANDSHAKE or data[at + 1] != 3 or not 0 < length <= _MAX_RECORD:
            raise NotThisProtocol
        handshake += data[at + 5 : at + 5 + length]
        at += 5 + length
        hello = handshake_hello(handshake, "t")
        if hello is not None or at > len(data):
            return hello


def handshake_hello(handshake: bytes, transport: Literal["t", "q"]) -> ClientHello | None:
    """Decode the ClientHello at the start of the handshake messages of a client.

    Args:
        handshake: what the client sent so far, without the layer that carried it.
        transport: that layer, in JA4's letters: t for TLS over TCP, q for QUIC.

    Returns:
        The hello, or None while bytes are missing.

    Raises:
        NotThisProtocol: it is no ClientHello, its lengths contradict each other, or it is too long.
    """
    if handshake and handshake[0] != _CLIENT_HELLO:
        raise NotThisProtocol
    if len(handshake) < 4:
        return None
    needed = 4 + int.from_bytes(handshake[1:4], "big")
    if needed > _MAX_HELLO:
        raise NotThisProtocol
    return _decode(handshake[4:needed], transport) if len(handshake) >= needed else None


class Conversation:
    """The first ClientHello of a connection; nothing after it is readable."""

    __slots__ = ("_time_ns", "done")

    def __init__(self) -> None:
        self._time_ns = 0
        self.done = False

    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]:
        """Read the client's side, for which *asks* is true.

        Raises:
            NotThisProtocol: as `client_hello`.
        """
        if not asks:
            return []
        self._time_ns = self._time_ns or time_ns
        hello = client_hello(stream.data)
        if hello is None:
            return []
        self.done = True
        return [Row("tls", self._time_ns, tuple(hello))]

    def end(self) -> list[Row]:
        """Nothing: half a hello is no hello."""
        return []


def _decode(body: bytes, transport: str) -> ClientHello:
    version, at = _u16(body, 0), 34
    at += 1 + _u8(body, at)
    ciphers = _plain(_block(body, at))
    at += 2 + _u16(body, at)
    at += 1 + _u8(body, at)
    extensions = _extensions(_block(body, at)) if at < len(body) else {}
    offered = extensions.get(_VERSIONS)
    if offered is not None:
        version = max(_plain(offered[1 : 1 + _u8(offered, 0)]), default=0)
    alpn = _first_alpn(extensions.get(_ALPN))
    return ClientHello(
        server_name=_server_name(extensions.get(_SERVER_NAME)),
        alpn=alpn.decode("ascii", "backslashreplace") if alpn else None,
        ja4=transport + _ja4(version, ciphers, extensions, alpn),
        version=_NAMES.get(version),
    )


def _ja4(version: int, ciphers: list[int], extensions: dict[int, bytes], alpn: bytes) -> str:
    """JA4 without its first letter, the transport."""
    shown = [code for code in extensions if not _grease(code)]
    listed = _hexes(sorted(code for code in shown if code not in (_SERVER_NAME, _ALPN)))
    signatures = _hexes(_plain(_block(extensions.get(_SIGNATURES, b"\0\0"), 0)))
    return (
        f"{_JA4_VERSIONS.get(version, '00')}{'d' if _SERVER_NAME in extensions else 'i'}"
        f"{min(len(ciphers), 99):02d}{min(len(shown), 99):02d}{_ends(alpn)}"
        f"_{_short_hash(_hexes(sorted(ciphers)))}"
        f"_{_short_hash(f'{listed}_{signatures}' if listed and signatures else listed)}"
    )


def _ends(alpn: bytes) -> str:
    """First and last character of the first ALPN value, by JA4's rules for odd ones."""
    if not alpn:
        return "00"
    first, last = alpn[:1], alpn[-1:]
    if first.isalnum() and last.isalnum():
        return (first + last).decode("ascii")
    return first.hex()[0] + last.hex()[1]


def _short_hash(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:12] if text else _NONE


def _hexes(codes: list[int]) -> str:
    return ",".join([f"{code:04x}" for code in codes])


def _grease(code: int) -> bool:
    """Reserved values that clients mix in at random (RFC 8701)."""
    return code & 0x0F0F == 0x0A0A and code >> 8 == code & 0xFF


def _plain(raw: bytes) -> list[int]:
    """A list of 16-bit codes without GREASE."""
    codes = [raw[at] << 8 | raw[at + 1] for at in range(0, len(raw) - 1, 2)]
    return [code for code in codes if not _grease(code)]


def _extensions(raw: bytes) -> dict[int, bytes]:
    """Extension code to data, in the order sent (RFC 8446 §4.2 forbids doubles)."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(raw):
        found[_u16(raw, at)] = _block(raw, at + 2)
        at += 4 + _u16(raw, at + 2)
    return found


def _server_name(raw: bytes | None) -> str | None:
    if raw is None or len(raw) < 5 or raw[2] != 0:
        return None
    name = raw[5 : 5 + _u16(raw, 3)].decode("ascii", "backslashreplace").lower().rstrip(".")
    return name or None


def _first_alpn(raw: bytes | None) -> bytes:
    return raw[3 : 3 + raw[2]] if raw is not None and len(raw) > 3 else b""


def _block(raw: bytes, at: int) -> bytes:
    """The bytes behind a 16-bit length, all of them or none."""
    length = _u16(raw, at)
    block = raw[at + 2 : at + 2 + length]
    if len(block) < length:
        raise NotThisProtocol
    return block


def _u8(raw: bytes, at: int) -> int:
    if at >= len(raw):
        raise NotThisProtocol
    return raw[at]


def _u16(raw: bytes, at: int) -> int:
    if at + 2 > len(raw):
        raise NotThisProtocol
    return raw[at] << 8 | raw[at + 1]
