"""Opening the SQLite file so that only its owner reads it, and its failures in words."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from cyberterr.errors import StoreError
from cyberterr.store import schema

BUSY_SECONDS = 5.0
"""How long another writer may hold the store before we give up."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def connect(path: Path) -> sqlite3.Connection:
    """Open the store file, making it (0600) and its folder (0700) where there is none.

    Raises:
        StoreError: the file is of another program or a newer version.
        sqlite3.Error, OSError: it cannot be opened; see `in_words`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        raise StoreError("the store is no file", hint="name one: sqlite:///PATH", where=str(path))
    _make_private(path)
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA synchronous = FULL")  # a decision survives a power cut
        schema.prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the store file while the block runs; what fails in it is a StoreError in words."""
    try:
        db = connect(path)
    except (sqlite3.Error, OSError) as error:
        raise in_words(error, path) from error
    try:
        with contextlib.closing(db):
            yield db
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
        raise  # a defect of ours, not of the store
    except sqlite3.Error as error:
        raise in_words(error, path) from error


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that the block writes, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def to_us(moment: dt.datetime) -> int:
    """Whole microseconds since the epoch; integers, so that no bit is rounded away."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def from_us(us: int) -> dt.datetime:
    """The moment of so many microseconds since the epoch."""
    return _EPOCH + dt.timedelta(microseconds=us)


def _make_private(path: Path) -> None:
    # SQLite gives the -wal and -shm files beside it the same mode. An old file is never opened
    # here: closing it would drop every lock this process has on it (POSIX advisory locks).
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)


def in_words(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """What happened to the store at *path*, and what to try."""
    if isinstance(error, OSError):
        return StoreError(
            f"the store cannot be opened: {error.strerror or error}",
            hint="check the folder's owner and mode, or name another with --store sqlite:///PATH",
            where=str(path),
        )
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        message = f"another program has held the store for more than {BUSY_SECONDS:.0f} s"
        hint = f"try again when it is done; `fuser {path}` names it"
    elif code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        message = f"the store is damaged, or no SQLite database ({error})"
        hint = (
            f"put your backup back, or move it aside (mv {path} {path}.damaged) and scan again: "
            "the same findings come back with the same ids, decisions only from a backup"
        )
    elif code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        message = f"the disk is full or does not answer ({error})"
        hint = f"make room in {path.parent}, then run the command again"
    else:
        message = f"the store cannot be written ({error})"
        hint = "check the owner and mode of the folder and of the files in it"
    return StoreError(message, hint=hint, where=str(path))
