"""Tables of the SQLite store, and the error for a file that is not ours or newer than us."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from cyberterr.errors import StoreError

APPLICATION = 0x43594254
"""`PRAGMA application_id`: "CYBT", so that `file` and we can tell whose database it is."""

FINDINGS = """
CREATE TABLE incident (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE finding (
  incident TEXT NOT NULL REFERENCES incident ON DELETE CASCADE,
  revision INTEGER NOT NULL,
  hash     TEXT NOT NULL,
  family   TEXT NOT NULL,
  severity INTEGER NOT NULL,
  actor    TEXT,
  victim   TEXT,
  ended    INTEGER NOT NULL,
  windows  INTEGER NOT NULL,
  stored   INTEGER NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (incident, revision)
);
CREATE INDEX finding_severity ON finding (severity, stored);
CREATE INDEX finding_actor ON finding (actor);
CREATE INDEX finding_victim ON finding (victim);
CREATE TABLE decision (
  number   INTEGER PRIMARY KEY,
  incident TEXT NOT NULL REFERENCES incident ON DELETE CASCADE,
  document BLOB NOT NULL
);
CREATE INDEX decision_incident ON decision (incident);
CREATE TABLE suppression (
  number   INTEGER PRIMARY KEY,
  id       TEXT NOT NULL UNIQUE,
  expires  INTEGER NOT NULL,
  document BLOB NOT NULL
);
CREATE TABLE notice (
  incident TEXT NOT NULL REFERENCES incident ON DELETE CASCADE,
  channel  TEXT NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (incident, channel)
) WITHOUT ROWID;
"""

OUTBOX = """
CREATE TABLE outbox (
  number   INTEGER PRIMARY KEY AUTOINCREMENT,
  target   TEXT NOT NULL,
  id       TEXT NOT NULL,
  dataset  TEXT NOT NULL,
  incident TEXT,
  worth    INTEGER NOT NULL,
  state    TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead')),
  due      INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  reason   TEXT NOT NULL DEFAULT '',
  created  INTEGER NOT NULL,
  bytes    INTEGER NOT NULL,
  body     BLOB NOT NULL,
  UNIQUE (target, id)
);
CREATE INDEX outbox_next ON outbox (target, state, worth DESC, number, due, created, bytes);
CREATE INDEX outbox_incident ON outbox (incident);
CREATE TABLE target (
  url      TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  next_try INTEGER NOT NULL,
  kind     TEXT NOT NULL,
  reason   TEXT NOT NULL,
  hint     TEXT NOT NULL,
  failed   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE dropped (
  target    TEXT NOT NULL,
  dataset   TEXT NOT NULL,
  why       TEXT NOT NULL,
  told      INTEGER NOT NULL,
  documents INTEGER NOT NULL,
  bytes     INTEGER NOT NULL,
  oldest    INTEGER NOT NULL,
  PRIMARY KEY (target, dataset, why, told)
) WITHOUT ROWID;
"""
"""A number is never used twice: it names a document while it is on its way."""

STEPS = (FINDINGS, OUTBOX)
"""Step n makes schema n + 1 of schema n. Times are microseconds since the epoch."""
VERSION = len(STEPS)
PATIENCE_S = 5.0
"""How long another program may hold a file that both make anew."""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file; check those of an old one, and add what it lacks.

    Raises:
        StoreError: the file belongs to another program, or to a newer cyberterr.
    """
    if _is_empty(db):
        _write_ahead(db)
    else:
        _check(db, path)
    if _version(db) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")  # two programs may be the first at once
    for step in STEPS[_version(db) :]:
        for statement in filter(str.strip, step.split(";")):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def _write_ahead(db: sqlite3.Connection) -> None:
    # SQLite does not wait here for another connection, whatever time-out it was given.
    limit = time.monotonic() + PATIENCE_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > limit:
                raise
        time.sleep(0.01)


def _check(db: sqlite3.Connection, path: Path) -> None:
    if _pragma(db, "application_id") != APPLICATION:
        raise StoreError(
            "this SQLite database belongs to another program",
            hint="name another file with --store sqlite:///PATH",
            where=str(path),
        )
    if (version := _version(db)) > VERSION:
        raise StoreError(
            f"the store has schema {version}, this cyberterr knows up to {VERSION}",
            hint="install the newer cyberterr that wrote it, or name another file with --store",
            where=str(path),
        )


def _is_empty(db: sqlite3.Connection) -> bool:
    return not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]


def _version(db: sqlite3.Connection) -> int:
    return _pragma(db, "user_version")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
