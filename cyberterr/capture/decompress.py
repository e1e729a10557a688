"""gzip, Zstandard and xz as streams: bounded memory, several members, damage told once."""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol, cast

import zstandard

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Compression = Literal["", "gz", "zst", "xz"]

MAGIC: dict[Compression, bytes] = {
    "gz": b"\x1f\x8b\x08",
    "zst": b"\x28\xb5\x2f\xfd",
    "xz": b"\xfd7zXZ\x00",
}
MAGIC_BYTES = max(map(len, MAGIC.values()))
INPUT_BYTES = 4096
"""Fed at once: the worst Zstandard bomb makes 128 MiB of it, gzip 4 MiB, xz 28 MiB."""
WINDOW_BYTES = 128 << 20
XZ_MEMORY_BYTES = 256 << 20
BUFFER_BYTES = 1 << 20


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def compression_of(magic: bytes) -> Compression:
    """The compression whose magic number *magic* starts with; empty if none."""
    return next((name for name, start in MAGIC.items() if magic.startswith(start)), "")


def replayed(head: bytes, rest: BinaryIO) -> BinaryIO:
    """A stream that gives *head*, then what *rest* still holds: how a pipe is looked at."""
    return cast(BinaryIO, io.BufferedReader(_Replay(head, rest), BUFFER_BYTES))


def decompressed(
    stream: BinaryIO, compression: Compression, warn: Callable[[str], None]
) -> BinaryIO:
    """*stream* decompressed; where it is cut off or damaged it ends, after one warning."""
    raw = _Decompressed(stream, compression, warn)
    return cast(BinaryIO, io.BufferedReader(raw, BUFFER_BYTES))


def on_disk(stream: BinaryIO, given: int) -> int:
    """How many bytes of the source went into the *given* bytes that *stream* gave so far.

    Fewer than *given* where it is compressed; the size of the file at its end, so that a person
    can be told how much is left.
    """
    layer = getattr(stream, "raw", None)
    while isinstance(layer, _Readable):
        if isinstance(layer, _Decompressed):
            return layer.taken
        layer = getattr(layer.below, "raw", None)
    return given


def _decoder(compression: Compression) -> _Decoder:
    if compression == "gz":
        return zlib.decompressobj(wbits=31)
    if compression == "xz":
        return lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES)
    return zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).decompressobj()


class _Readable(io.RawIOBase):
    def __init__(self, below: BinaryIO) -> None:
        self.below = below

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self.below.close()
        super().close()


class _Replay(_Readable):
    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__(rest)
        self._head = memoryview(head)

    def readinto(self, buffer: WriteableBuffer) -> int:
        wanted = memoryview(buffer)
        data = self._head[: len(wanted)]
        self._head = self._head[len(data) :]
        if not data:
            data = memoryview(self.below.read1(len(wanted)))  # type: ignore[attr-defined]  # buffered
        wanted[: len(data)] = data
        return len(data)


class _Decompressed(_Readable):
    """Members one after the other, as `cat a.gz b.gz` makes them."""

    def __init__(
        self, stream: BinaryIO, compression: Compression, warn: Callable[[str], None]
    ) -> None:
        super().__init__(stream)
        self._compression = compression
        self._warn = warn
        self._decoder: _Decoder | None = None
        self._left = b""
        self._ready = memoryview(b"")
        self._given = 0
        self.taken = 0
        self._spent = False

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._ready and not self._spent:
            self._fill()
        wanted = memoryview(buffer)
        data = self._ready[: len(wanted)]
        wanted[: len(data)] = data
        self._ready = self._ready[len(data) :]
        self._given += len(data)
        return len(data)

    def _fill(self) -> None:
        data, self._left = self._left, b""
        if self._decoder is None:
            data = data.lstrip(b"\0")  # padding is allowed
            # Never more than one piece at once: a thousand empty members may hide a bomb.
            while len(data) < MAGIC_BYTES and (more := self._more()):
                data = (data + more).lstrip(b"\0")
            if not data:
                self._spent = True
                return
            if compression_of(data) != self._compression:
                self._end("something else follows the compressed data")
                return
            self._decoder = _decoder(self._compression)
        elif not data and not (data := self._more()):
            self._end("the compressed data is cut off")
            return
        try:
            self._ready = memoryview(self._decoder.decompress(data))
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, MemoryError) as error:
            self._end(f"the compressed data is damaged ({error})")
            return
        if self._decoder.eof:
            self._left, self._decoder = self._decoder.unused_data, None

    def _more(self) -> bytes:
        data = self.below.read(INPUT_BYTES)
        self.taken += len(data)
        return data

    def _end(self, why: str) -> None:
        self._spent = True
        self._warn(f"{why}; read as far as it goes, {self._given:,} bytes")
