"""The spool: findings kept aside as JSON lines while the store is out of reach."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from cyberterr.contracts.finding import Finding
from cyberterr.errors import StoreError

BATCH = 1000
"""Lines handed on at once: a spool of months does not have to fit into memory."""


def beside(store: Path) -> Path:
    """The spool of the store file *store*, in the same folder."""
    return store.with_name(store.name + ".spool")


def keep(path: Path, findings: Sequence[Finding]) -> None:
    """Append *findings* to the spool, all of them or none.

    Raises:
        OSError: the folder or the disk does not take them.
    """
    lines = memoryview(b"".join(msgspec.json.encode(finding) + b"\n" for finding in findings))
    with _locked(path) as file:
        end = os.lseek(file, 0, os.SEEK_END)
        if end and os.pread(file, 1, end - 1) != b"\n":  # a writer was killed in mid-line
            lines = memoryview(b"\n" + lines)
        try:
            while lines:
                lines = lines[os.write(file, lines) :]
            os.fsync(file)
        except OSError:
            os.ftruncate(file, end)
            raise


def take(path: Path, put: Callable[[list[Finding]], object]) -> int:
    """Hand the spooled findings to *put*, then empty the spool; returns the lines left in it.

    A line that is no finding (of a newer version, or cut) stays for a person or a newer version.
    Stopped between *put* and the end, the same findings come again, which the store notices.

    Raises:
        OSError: the spool cannot be read or written.
    """
    if not path.exists() or not path.stat().st_size:
        return 0
    left: list[bytes] = []
    with _locked(path) as descriptor, open(descriptor, "r+b", closefd=False) as file:
        while batch := list(islice(file, BATCH)):
            findings: list[Finding] = []
            for line in batch:
                try:
                    findings.append(msgspec.json.decode(line, type=Finding))
                except msgspec.MsgspecError:
                    left.append(line)
            put(findings)
        file.seek(0)
        file.writelines(left)
        file.truncate()
    return len(left)


def taken_in(path: Path, put: Callable[[list[Finding]], object]) -> str:
    """As `take`; returns what a person should know of the spool, or an empty text."""
    try:
        left = take(path, put)
    except OSError as error:
        return f"{path}: findings wait here, and cannot be taken in: {error}"
    return f"{path}: {left} lines are no findings this version can read" if left else ""


def aside(path: Path, findings: Sequence[Finding], error: StoreError) -> StoreError:
    """Keep *findings* in the spool because of *error*; the error that also says where they wait."""
    if not findings:
        return error
    try:
        keep(path, findings)
        fate = f"{len(findings)} findings wait in {path} and are taken in with the next write"
    except OSError as second:
        fate = f"{len(findings)} findings could not be kept in {path} either: {second.strerror}"
    return StoreError(error.message, hint=f"{fate}\n  {error.hint}", where=error.where)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    # Never unlinked: a second process may wait for the lock of the very file we would remove.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
