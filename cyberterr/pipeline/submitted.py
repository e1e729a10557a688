"""The files that a person submits: found in folders, opened with care, copied where asked for."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from cyberterr.config import home
from cyberterr.errors import SourceError, StoreError

STDIN = "-"
MOST_STDIN = 4 << 30
"""bytes taken from standard input, which is kept on disk while it is examined"""
_BLOCK = 1 << 20


def files(paths: Sequence[str]) -> Iterator[str]:
    """Every file of *paths*: folders are read to their depths, in the order of names.

    A folder that cannot be listed stands for itself: opening it will say why.
    """
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            yield from sorted(_inside(path))
        else:
            yield path


def _inside(folder: str) -> list[str]:
    found: list[str] = []

    def closed(error: OSError) -> None:
        found.append(error.filename)

    for place, _, names in os.walk(folder, onerror=closed):
        paths = [Path(place) / name for name in names]
        found += [str(each) for each in paths if each.is_file()]
    return found


@contextlib.contextmanager
def opened(path: str, name: str) -> Iterator[BinaryIO]:
    """Open *path*, told as *name*; standard input as a file that goes when it is closed.

    Raises:
        SourceError: it cannot be read, is no ordinary file, or too much comes from standard input.
    """
    with contextlib.ExitStack() as stack:
        try:
            if path == STDIN:
                file = stack.enter_context(tempfile.TemporaryFile(buffering=0))
                _spool(file, name)
            else:
                file = stack.enter_context(open(path, "rb", buffering=0, opener=_opener))
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise SourceError(
                        "it is no ordinary file", hint="name a file, a folder, or -", where=name
                    )
        except (OSError, ValueError) as error:  # the latter: a NUL in the name
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise SourceError(f"it cannot be read: {why}", where=name) from None
        yield file


def _opener(path: str, flags: int) -> int:
    # Not blocking: a named pipe that nobody writes to must not hold us.
    return os.open(path, flags | os.O_NONBLOCK)


def _spool(file: BinaryIO, name: str) -> None:
    left = MOST_STDIN
    while block := sys.stdin.buffer.read(min(_BLOCK, left)):
        file.write(block)
        left -= len(block)
    if not left:
        raise SourceError("standard input is longer than 4 GiB", where=name)


def keep(source: BinaryIO, size: int, sha256: str) -> Path:
    """A copy of the first *size* bytes of *source*, which may have grown, in the data folder.

    Readable by its owner only, whole or not at all, and called by its hash.

    Raises:
        StoreError: it cannot be written.
    """
    path = home() / "evidence" / sha256
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _copy(source, size, path)
    except OSError as error:
        raise StoreError(
            f"the copy cannot be kept: {error.strerror or error}", where=str(path)
        ) from None
    return path


def _copy(source: BinaryIO, size: int, path: Path) -> None:
    source.seek(0)
    descriptor, part = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            while size > 0 and (block := source.read(min(_BLOCK, size))):
                size -= file.write(block)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
