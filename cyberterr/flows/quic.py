"""The ClientHello in the Initial packets of QUIC v1 and v2 (RFC 9000, 9001, 9369).

Initial packets are encrypted with keys that everyone on the path can derive: that hides nothing.
What follows them is secret. Other versions (drafts, Google's own) are not recognised.
"""

from __future__ import annotations

from collections.abc import Iterator
from hmac import digest
from typing import NamedTuple

from cyberterr.flows import tls
from cyberterr.flows.row import Row
from cyberterr.flows.stream import NotThisProtocol

_LONG_HEADER = 0xC0
_MAX_ID = 20
_SAMPLE_AT, _SAMPLE_BYTES = 4, 16
_PING, _ACK, _ACK_ECN, _CRYPTO = 1, 2, 3, 6

_MAX_TRIES = 12
"""Decryptions of one connection: a hello in three datagrams, a Retry, and some lost packets."""
_MAX_COALESCED = 4
_MAX_FRAMES = 256
_MAX_RANGES = 64
_MAX_CRYPTO = 16_384


class _Version(NamedTuple):
    """What differs between the versions (RFC 9001 §5.2, RFC 9369 §3)."""

    salt: bytes
    label: bytes
    initial: int
    """type of an Initial packet in the long header"""
    retry: int


_VERSIONS = {
    b"\x00\x00\x00\x01": _Version(
        bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"), b"quic ", 0, 3
    ),
    b"\x6b\x33\x43\xcf": _Version(
        bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"), b"quicv2 ", 1, 0
    ),
}


class _Initial(NamedTuple):
    """A protected Initial packet, cut where its packet number begins."""

    version: _Version
    connection_id: bytes
    """of the destination"""
    header: bytes
    body: bytes


class _Keys(NamedTuple):
    key: bytes
    iv: bytes
    header: bytes


def starts(datagram: bytes) -> bool:
    """Whether *datagram* begins with a long header of a version we read."""
    return datagram[:1] >= b"\xc0" and datagram[1:5] in _VERSIONS


class Conversation:
    """The ClientHello of one connection: in one datagram or several, in any order.

    The work is bounded: at most 12 packets are decrypted and 16 KiB kept.
    """

    __slots__ = ("_from_src", "_keys", "_pieces", "_time_ns", "_tries", "done")

    def __init__(self) -> None:
        self.done = False
        self._from_src: bool | None = None
        self._keys: _Keys | None = None
        self._pieces: dict[int, bytes] = {}
        self._time_ns = 0
        self._tries = 0

    def hear(self, time_ns: int, from_src: bool, datagram: bytes) -> list[Row]:
        """Read one datagram of either side; the row of the hello once it is whole."""
        if self._from_src not in (None, from_src):
            return []
        try:
            for initial in _initials(datagram):
                plain = self._decrypt(initial)
                if plain is None:
                    continue
                self._from_src = from_src
                self._time_ns = self._time_ns or time_ns
                for offset, piece in _crypto(plain):
                    self._keep(offset, piece)
            hello = tls.handshake_hello(self._together(), "q") if self._pieces else None
        except NotThisProtocol:
            self.done = True
            return []
        self.done = hello is not None or self._tries >= _MAX_TRIES
        return [Row("tls", self._time_ns, tuple(hello), turned=not from_src)] if hello else []

    def _decrypt(self, initial: _Initial) -> bytes | None:
        """With the keys known; after a Retry (RFC 9001 §5.2) with those of the new id."""
        known = (self._keys,) if self._keys else ()
        for keys in (*known, _client_keys(initial)):
            if self._tries >= _MAX_TRIES:
                return None
            self._tries += 1
            plain = _opened(initial, keys)
            if plain is not None:
                self._keys = keys
                return plain
        return None

    def _keep(self, offset: int, piece: bytes) -> None:
        held = sum(map(len, self._pieces.values())) + len(piece)
        if held > _MAX_CRYPTO or offset + len(piece) > _MAX_CRYPTO:
            raise NotThisProtocol
        if len(piece) > len(self._pieces.get(offset, b"")):
            self._pieces[offset] = piece

    def _together(self) -> bytes:
        """The bytes from the first one up to the first gap."""
        data = b""
        for offset in sorted(self._pieces):
            if offset > len(data):
                break
            data += self._pieces[offset][len(data) - offset :]
        return data


def _initials(datagram: bytes) -> Iterator[_Initial]:
    """The Initial packets at the front of *datagram* (RFC 9000 §12.2, §17.2).

    Raises:
        NotThisProtocol: a length leads beyond the datagram.
    """
    at = 0
    for _ in range(_MAX_COALESCED):
        version = _VERSIONS.get(datagram[at + 1 : at + 5])
        if version is None or datagram[at] < _LONG_HEADER:
            return
        kind = datagram[at] >> 4 & 3
        if kind == version.retry:
            return
        connection_id, after = _connection_id(datagram, at + 5)
        _, after = _connection_id(datagram, after)
        if kind == version.initial:
            token_bytes, after = _varint(datagram, after)
            after += token_bytes
        length, after = _varint(datagram, after)
        end = after + length
        if end > len(datagram):
            raise NotThisProtocol
        if kind == version.initial:
            yield _Initial(version, connection_id, datagram[at:after], datagram[after:end])
        at = end


def _client_keys(initial: _Initial) -> _Keys:
    """Derive what the client protects its Initial packets with (RFC 9001 §5.1, §5.2)."""
    version = initial.version
    secret = digest(version.salt, initial.connection_id, "sha256")  # HKDF-Extract (RFC 5869)
    client = _expand_label(secret, b"client in", 32)
    return _Keys(
        _expand_label(client, version.label + b"key", 16),
        _expand_label(client, version.label + b"iv", 12),
        _expand_label(client, version.label + b"hp", 16),
    )


def _expand_label(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 §7.1); one block is enough for at most 32 bytes."""
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return digest(secret, info + b"\1", "sha256")[:length]


def _opened(initial: _Initial, keys: _Keys) -> bytes | None:
    """The frames of *initial* (RFC 9001 §5.3, §5.4); None where the keys do not fit."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import ECB

    header, body = initial.header, initial.body
    if len(body) < _SAMPLE_AT + _SAMPLE_BYTES:
        return None
    # One block, as RFC 9001 §5.4.3 asks for: what makes ECB weak does not arise.
    encryptor = Cipher(AES(keys.header), ECB()).encryptor()  # noqa: S305
    mask = encryptor.update(body[_SAMPLE_AT : _SAMPLE_AT + _SAMPLE_BYTES])
    first = header[0] ^ mask[0] & 0x0F
    number_bytes = (first & 3) + 1
    number = bytes(a ^ b for a, b in zip(body[:number_bytes], mask[1:], strict=False))
    nonce = int.from_bytes(keys.iv, "big") ^ int.from_bytes(number, "big")
    try:
        return AESGCM(keys.key).decrypt(
            nonce.to_bytes(12, "big"),
            body[number_bytes:],
            bytes([first]) + header[1:] + number,
        )
    except InvalidTag:
        return None


def _crypto(plain: bytes) -> Iterator[tuple[int, bytes]]:
    """Offset and data of the CRYPTO frames in a decrypted Initial packet (RFC 9000 §19).

    Raises:
        NotThisProtocol: a frame that may not be there, or that leads beyond the packet.
    """
    at = 0
    for _ in range(_MAX_FRAMES):
        at = len(plain) - len(plain[at:].lstrip(b"\0"))
        if at >= len(plain):
            return
        kind, at = _varint(plain, at)
        if kind in (_ACK, _ACK_ECN):
            at = _behind_ack(plain, at, counts=kind == _ACK_ECN)
        elif kind == _CRYPTO:
            offset, at = _varint(plain, at)
            length, at = _varint(plain, at)
            if at + length > len(plain):
                raise NotThisProtocol
            yield offset, plain[at : at + length]
            at += length
        elif kind != _PING:
            raise NotThisProtocol


def _behind_ack(plain: bytes, at: int, *, counts: bool) -> int:
    _, at = _varint(plain, at)
    _, at = _varint(plain, at)
    ranges, at = _varint(plain, at)
    if ranges > _MAX_RANGES:
        raise NotThisProtocol
    for _ in range(1 + 2 * ranges + 3 * counts):
        _, at = _varint(plain, at)
    return at


def _connection_id(raw: bytes, at: int) -> tuple[bytes, int]:
    if at >= len(raw) or raw[at] > _MAX_ID:
        raise NotThisProtocol
    end = at + 1 + raw[at]
    return raw[at + 1 : end], end


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer and the offset behind it (RFC 9000 §16)."""
    if at >= len(raw):
        raise NotThisProtocol
    end = at + (1 << (raw[at] >> 6))
    if end > len(raw):
        raise NotThisProtocol
    return int.from_bytes(raw[at:end], "big") & (1 << 8 * (end - at) - 2) - 1, end
