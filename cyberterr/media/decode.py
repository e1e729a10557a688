"""Open a recording: a bounded child decodes it, block by block, while we listen."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from cyberterr.contracts.media import Provenance
from cyberterr.errors import SourceError
from cyberterr.media.recording import Container, Native
from cyberterr.media.sandbox import Bounds
from cyberterr.media.wire import Refusal, Say, receive

T = TypeVar("T")
_READ = 1 << 20


class Recording:
    """An opened recording; `blocks()` is read once, to its end, before `native` is known."""

    container: Container
    provenance: Provenance
    native: Native

    def __init__(self, name: str, file: BinaryIO, size: int, pipe: BinaryIO) -> None:
        self.name = name
        self.size = size
        """bytes, as they were when it was opened"""
        self._file, self._pipe = file, pipe
        self.provenance = Provenance()
        self.container = self._told(Say.CONTAINER, Container)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono sound at 16 kHz, float32 in -1..1, about ten seconds each.

        Raises:
            SourceError: the decoder met its bounds, or the sound ends in what cannot be decoded.
        """
        while True:
            what, payload = self._next()
            if what is Say.SOUND:
                yield np.frombuffer(payload, np.float32)
            elif what is Say.PROVENANCE:
                self.provenance = msgspec.json.decode(payload, type=Provenance)
            elif what is Say.NATIVE:
                self.native = msgspec.json.decode(payload, type=Native)
                return

    def sha256(self) -> str:
        """SHA-256 of the file as it was opened."""
        total = hashlib.sha256()
        place = 0
        while place < self.size:
            block = os.pread(self._file.fileno(), min(_READ, self.size - place), place)
            if not block:
                break
            total.update(block)
            place += len(block)
        return total.hexdigest()

    def _told(self, what: Say, kind: type[T]) -> T:
        said, payload = self._next()
        if said is not what:
            raise SourceError("the decoder lost its way", where=self.name)
        return msgspec.json.decode(payload, type=kind)

    def _next(self) -> tuple[Say, bytes]:
        try:
            message = receive(self._pipe)
        except (ValueError, msgspec.DecodeError):
            message = None
        if message is None:
            raise SourceError(
                "decoding was stopped: the file needs more memory or time than any sound of its "
                "length, as damaged and malicious files do",
                hint="ask for the original, or export it anew as wav or flac",
                where=self.name,
            )
        if message[0] is Say.REFUSED:
            why = msgspec.json.decode(message[1], type=Refusal)
            raise SourceError(why.message, hint=why.hint, where=self.name)
        return message


@contextlib.contextmanager
def opened(
    source: Path | BinaryIO, *, name: str = "", bounds: Bounds | None = None, trust: str = ""
) -> Iterator[Recording]:
    """Open *source*, a path or an open file that can be sought; the child ends with the block.

    Raises:
        SourceError: it cannot be read, or holds no sound that can be decoded.
    """
    name = name or str(source if isinstance(source, Path) else source.name)
    try:
        file = source.open("rb", buffering=0) if isinstance(source, Path) else source
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise SourceError("the file is empty", hint="copy it anew", where=name)
        reading, writing = os.pipe()
        try:
            # A descriptor of its own: the child must not move our place in the file.
            again = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
            try:
                _nursery.order(again, writing, size, bounds or Bounds(), trust)
            finally:
                os.close(again)
        finally:
            os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            yield Recording(name, file, size, pipe)
    except OSError as error:
        raise SourceError(f"it cannot be read: {error.strerror or error}", where=name) from None
    finally:
        if isinstance(source, Path) and "file" in locals():
            file.close()


class _Nursery:
    """The warm process, started when the first file comes and ended with us."""

    _orders: socket.socket | None = None
    _process: subprocess.Popen[bytes] | None = None

    def order(self, file: int, pipe: int, size: int, bounds: Bounds, trust: str) -> None:
        """Have a child decode the first *size* bytes of *file* into *pipe*."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._orders is not None  # noqa: S101 - just started
        order = msgspec.json.encode({"size": size, "bounds": bounds})
        trusted = os.memfd_create("trust")
        try:
            os.write(trusted, trust.encode())
            socket.send_fds(self._orders, [order], [file, pipe, trusted])
        finally:
            os.close(trusted)

    def _start(self) -> None:
        self.stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cyberterr.media.nursery", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._orders = ours
        atexit.register(self.stop)

    def stop(self) -> None:
        """End it; a child at work ends when its pipe closes."""
        if self._orders is not None:
            self._orders.close()
        if self._process is not None:
            self._process.wait(timeout=5)
        self._orders = self._process = None


_nursery = _Nursery()
