"""The embedded store: one SQLite file of documents that are only ever created."""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from cyberterr.contracts.documents import (
    Document,
    content_hash,
    of_decision,
    of_finding,
    of_suppression,
)
from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Case, Decision, Erased, Notice, Query, Suppression
from cyberterr.errors import StoreError
from cyberterr.store import outbox, spool
from cyberterr.store.connection import connect, from_us, in_words, to_us, transaction
from cyberterr.store.revisions import Kept, as_kept, revised

_D = TypeVar("_D", Finding, Decision, Suppression, Notice)


class SqliteStore:
    """The `Store` in the file *path*; opened when first used, and again after a failure.

    Args:
        path: made where there is none.
        forward: where what is written goes too, through the outbox in the same file.

    Attributes:
        warnings: what went wrong without stopping anything, for the caller to show.
    """

    def __init__(self, path: Path, *, forward: outbox.Forward | None = None) -> None:
        self.path = path
        self.forward = forward
        self.warnings: list[str] = []
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def put(self, findings: Iterable[Finding]) -> list[Finding]:
        """See `Store.put`; kept aside means a file beside the store, named like it plus .spool."""
        wanted = list(findings)
        try:
            with self._open() as db:
                self._take_spool(db)
                return self._insert(db, wanted)
        except StoreError as error:
            raise spool.aside(spool.beside(self.path), wanted, error) from error.__cause__

    def get(self, finding_id: str) -> Finding | None:
        """See `Store.get`."""
        with self._open() as db:
            return _last(db, finding_id)

    def latest(self, ids: Iterable[str]) -> dict[str, Finding]:
        """See `Store.latest`."""
        with self._open() as db:
            return {id: found for id in ids if (found := _last(db, id)) is not None}

    def ids(self, prefix: str) -> list[str]:
        """See `Store.ids`."""
        with self._open() as db:
            rows = db.execute(
                "SELECT id FROM incident WHERE id >= ? AND id < ? ORDER BY id LIMIT 100",
                (prefix, prefix + "\U0010ffff"),
            )
            return [row[0] for row in rows]

    def revisions(self, finding_id: str) -> list[Finding]:
        """See `Store.revisions`."""
        with self._open() as db:
            rows = db.execute(
                "SELECT document FROM finding WHERE incident = ? ORDER BY revision", (finding_id,)
            )
            return [_read(row[0], Finding) for row in rows]

    def find(self, query: Query) -> list[Case]:
        """See `Store.find`."""
        where, values = _conditions(query)
        with self._open() as db:
            rows = db.execute(
                f"""SELECT f.document, f.stored, d.document FROM finding f
                LEFT JOIN decision d
                  ON d.number = (SELECT max(number) FROM decision WHERE incident = f.incident)
                WHERE f.revision = (SELECT max(revision) FROM finding WHERE incident = f.incident)
                {where}""",  # noqa: S608  (the conditions are our own text, values are bound)
                values,
            )
            cases = [
                Case(
                    finding=_read(document, Finding),
                    stored=from_us(stored),
                    decision=None if decision is None else _read(decision, Decision),
                )
                for document, stored, decision in rows
            ]
        return sorted(cases, key=lambda case: case.finding.rank())

    def decide(self, decision: Decision) -> None:
        """See `Store.decide`."""
        with self._open() as db, transaction(db):
            try:
                db.execute(
                    "INSERT INTO decision (incident, document) VALUES (?, ?)",
                    (decision.finding_id, msgspec.json.encode(decision)),
                )
            except sqlite3.IntegrityError:
                raise KeyError(decision.finding_id) from None
            finding = _last(db, decision.finding_id)
            assert finding is not None  # noqa: S101 (an incident has one)
            self._queue(db, [of_decision(decision, finding)])

    def decisions(self, finding_id: str) -> list[Decision]:
        """See `Store.decisions`."""
        with self._open() as db:
            rows = db.execute(
                "SELECT document FROM decision WHERE incident = ? ORDER BY number", (finding_id,)
            )
            return [_read(row[0], Decision) for row in rows]

    def suppress(self, suppression: Suppression) -> None:
        """See `Store.suppress`."""
        with self._open() as db, transaction(db):
            db.execute(
                "INSERT INTO suppression (id, expires, document) VALUES (?, ?, ?)",
                (suppression.id, to_us(suppression.expires), msgspec.json.encode(suppression)),
            )
            self._queue(db, [of_suppression(suppression)])

    def suppressions(self) -> list[Suppression]:
        """See `Store.suppressions`."""
        with self._open() as db:
            rows = db.execute("SELECT document FROM suppression ORDER BY number")
            return [_read(row[0], Suppression) for row in rows]

    def unsuppress(self, suppression_id: str) -> bool:
        """See `Store.unsuppress`."""
        with self._open() as db, transaction(db):
            lifted = db.execute(
                "SELECT document FROM suppression WHERE id = ?", (suppression_id,)
            ).fetchone()
            if lifted is not None:
                db.execute("DELETE FROM suppression WHERE id = ?", (suppression_id,))
                by = _user(), dt.datetime.now(dt.UTC)
                self._queue(db, [of_suppression(_read(lifted[0], Suppression), lifted=by)])
        return lifted is not None

    def notices(self, channel: str) -> Mapping[str, Notice]:
        """See `Store.notices`."""
        with self._open() as db:
            rows = db.execute("SELECT document FROM notice WHERE channel = ?", (channel,))
            told = [_read(row[0], Notice) for row in rows]
        return {notice.finding_id: notice for notice in told}

    def notice(self, new: Notice, old: Notice | None) -> bool:
        """See `Store.notice`."""
        key = (new.finding_id, new.channel)
        document = msgspec.json.encode(new)
        with self._open() as db, transaction(db):
            if old is not None:
                change = db.execute(
                    "UPDATE notice SET document = ?"
                    " WHERE incident = ? AND channel = ? AND document = ?",
                    (document, *key, msgspec.json.encode(old)),
                )
                return bool(change.rowcount)
            try:
                db.execute("INSERT INTO notice VALUES (?, ?, ?)", (*key, document))
            except sqlite3.IntegrityError:  # told by another program, or erased meanwhile
                return False
            return True

    def erase(self, before: dt.datetime) -> Erased:
        """See `Store.erase`; freed pages are overwritten, the write-ahead log is emptied.

        What still waits to be sent about an erased finding goes too.
        """
        limit = (to_us(before),)
        old = "SELECT incident FROM finding GROUP BY incident HAVING max(stored) <= ?"
        with self._open() as db:
            with transaction(db):
                decisions = db.execute(
                    f"SELECT count(*) FROM decision WHERE incident IN ({old})",  # noqa: S608 (ours)
                    limit,
                ).fetchone()[0]
                db.execute(
                    f"DELETE FROM outbox WHERE incident IN ({old})",  # noqa: S608 (ours)
                    limit,
                )
                findings = db.execute(
                    f"DELETE FROM incident WHERE id IN ({old})",  # noqa: S608 (ours)
                    limit,
                ).rowcount
                suppressions = db.execute(
                    "DELETE FROM suppression WHERE expires <= ?", limit
                ).rowcount
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy and findings:
            self.warnings.append(
                f"{self.path}: another program is reading; what was erased stays in "
                f"{self.path.name}-wal until the next time"
            )
        return Erased(findings=findings, decisions=decisions, suppressions=suppressions)

    def queue(self, documents: Iterable[Document]) -> None:
        """Send *documents* that are no part of the store too, such as `of_run`."""
        with self._open() as db, transaction(db):
            self._queue(db, documents)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._db is not None and not self._is_there():
                self.close()
            if self._db is None:
                self._db = connect(self.path)
                self._inode = self.path.stat().st_ino
                try:
                    self._take_spool(self._db)
                except sqlite3.OperationalError as error:  # reading works without it
                    self.warnings.append(f"{spool.beside(self.path)}: findings wait here: {error}")
            yield self._db
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a defect of ours, not of the store
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise in_words(error, self.path) from error
        except msgspec.MsgspecError as error:
            raise StoreError(
                f"a document in the store is damaged: {error}",
                hint="was it written by a newer cyberterr, or edited by hand?",
                where=str(self.path),
            ) from error

    def _is_there(self) -> bool:
        # A file that was moved or deleted would swallow what we write to it.
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _queue(self, db: sqlite3.Connection, documents: Iterable[Document]) -> None:
        if self.forward is not None:
            outbox.queue(db, self.forward.target, documents, dt.datetime.now(dt.UTC))

    def _take_spool(self, db: sqlite3.Connection) -> None:
        put = partial(self._insert, db)
        if warning := spool.taken_in(spool.beside(self.path), put):
            self.warnings.append(warning)

    def _insert(self, db: sqlite3.Connection, findings: Iterable[Finding]) -> list[Finding]:
        """Insert what is new or revised in one transaction; returns it as it was inserted."""
        now = to_us(dt.datetime.now(dt.UTC))
        inserted = []
        with transaction(db):
            for finding in map(as_kept, findings):
                fresh = revised(finding, _kept(db, finding.id))
                if fresh is None:
                    continue
                db.execute("INSERT OR IGNORE INTO incident VALUES (?)", (fresh.id,))
                db.execute(
                    "INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        fresh.id,
                        fresh.revision,
                        content_hash(fresh),
                        fresh.family,
                        int(fresh.severity),
                        fresh.actor,
                        fresh.victim,
                        to_us(fresh.end),
                        fresh.windows,
                        now,
                        msgspec.json.encode(fresh),
                    ),
                )
                inserted.append(fresh)
            self._queue(db, map(of_finding, inserted))
        return inserted


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container nobody may have given it a name
        return str(os.getuid())


def _last(db: sqlite3.Connection, finding_id: str) -> Finding | None:
    row = db.execute(
        "SELECT document FROM finding WHERE incident = ? ORDER BY revision DESC LIMIT 1",
        (finding_id,),
    ).fetchone()
    return None if row is None else _read(row[0], Finding)


def _kept(db: sqlite3.Connection, finding_id: str) -> Kept | None:
    last = db.execute(
        "SELECT revision, hash, ended, windows FROM finding"
        " WHERE incident = ? ORDER BY revision DESC LIMIT 1",
        (finding_id,),
    ).fetchone()
    if last is None:
        return None
    (highest,) = db.execute(
        "SELECT max(severity) FROM finding WHERE incident = ?", (finding_id,)
    ).fetchone()
    revision, content, ended, windows = last
    return Kept(revision, content, from_us(ended), windows, highest)


def _conditions(query: Query) -> tuple[str, list[Any]]:
    clauses = ["f.severity >= ?"]
    values: list[Any] = [query.severity]
    if query.families:
        clauses.append(f"f.family IN ({', '.join('?' * len(query.families))})")
        values += query.families
    if query.since is not None:
        clauses.append("f.ended >= ?")
        values.append(to_us(query.since))
    if query.stored_since is not None:
        clauses.append("f.stored >= ?")
        values.append(to_us(query.stored_since))
    if query.address is not None:
        clauses.append("? IN (f.actor, f.victim)")
        values.append(query.address)
    if query.decided is not None:
        clauses.append(f"d.number IS {'NOT ' if query.decided else ''}NULL")
    return "".join(f" AND {clause}" for clause in clauses), values


def _read(document: bytes, kind: type[_D]) -> _D:
    return msgspec.json.decode(document, type=kind)
