"""Tables of the SQLite store, and the error for a file that is not ours or newer than us."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cyberterr.errors import StoreError

VERSION = 1
APPLICATION = 0x43594254
"""`PRAGMA application_id`: "CYBT", so that `file` and we can tell whose database it is."""

TABLES = """
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
"""Times are microseconds since the epoch; documents are the JSON of the contracts."""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file; check those of an old one.

    Raises:
        StoreError: the file belongs to another program, or to a newer cyberterr.
    """
    if _is_empty(db):
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")  # two programs may be the first at once
        if _is_empty(db):
            for statement in filter(str.strip, TABLES.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    if _pragma(db, "application_id") != APPLICATION:
        raise StoreError(
            "this SQLite database belongs to another program",
            hint="name another file with --store sqlite:///PATH",
            where=str(path),
        )
    version = _pragma(db, "user_version")
    if version > VERSION:
        raise StoreError(
            f"the store has schema {version}, this cyberterr knows up to {VERSION}",
            hint="install the newer cyberterr that wrote it, or name another file with --store",
            where=str(path),
        )


def _is_empty(db: sqlite3.Connection) -> bool:
    return not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
