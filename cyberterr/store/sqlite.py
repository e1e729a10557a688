"""The embedded store: one SQLite file of documents that are only ever created."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from cyberterr.contracts.documents import content_hash
from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Case, Decision, Erased, Notice, Query, Suppression
from cyberterr.errors import StoreError
from cyberterr.store import spool
from cyberterr.store.connection import connect, in_words

_D = TypeVar("_D", Finding, Decision, Suppression, Notice)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class SqliteStore:
    """The `Store` in the file *path*; opened when first used, and again after a failure.

    Attributes:
        warnings: what went wrong without stopping anything, for the caller to show.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
                return _insert(db, wanted)
        except StoreError as error:
            raise self._keep_aside(wanted, error) from error.__cause__

    def get(self, finding_id: str) -> Finding | None:
        """See `Store.get`."""
        revisions = self.revisions(finding_id)
        return revisions[-1] if revisions else None

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
                    stored=_EPOCH + dt.timedelta(microseconds=stored),
                    decision=None if decision is None else _read(decision, Decision),
                )
                for document, stored, decision in rows
            ]
        return sorted(cases, key=lambda case: case.finding.rank())

    def decide(self, decision: Decision) -> None:
        """See `Store.decide`."""
        with self._open() as db, _transaction(db):
            try:
                db.execute(
                    "INSERT INTO decision (incident, document) VALUES (?, ?)",
                    (decision.finding_id, msgspec.json.encode(decision)),
                )
            except sqlite3.IntegrityError:
                raise KeyError(decision.finding_id) from None

    def decisions(self, finding_id: str) -> list[Decision]:
        """See `Store.decisions`."""
        with self._open() as db:
            rows = db.execute(
                "SELECT document FROM decision WHERE incident = ? ORDER BY number", (finding_id,)
            )
            return [_read(row[0], Decision) for row in rows]

    def suppress(self, suppression: Suppression) -> None:
        """See `Store.suppress`."""
        with self._open() as db, _transaction(db):
            db.execute(
                "INSERT INTO suppression (id, expires, document) VALUES (?, ?, ?)",
                (suppression.id, _us(suppression.expires), msgspec.json.encode(suppression)),
            )

    def suppressions(self) -> list[Suppression]:
        """See `Store.suppressions`."""
        with self._open() as db:
            rows = db.execute("SELECT document FROM suppression ORDER BY number")
            return [_read(row[0], Suppression) for row in rows]

    def unsuppress(self, suppression_id: str) -> bool:
        """See `Store.unsuppress`."""
        with self._open() as db, _transaction(db):
            return bool(
                db.execute("DELETE FROM suppression WHERE id = ?", (suppression_id,)).rowcount
            )

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
        with self._open() as db, _transaction(db):
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
        """See `Store.erase`; freed pages are overwritten, the write-ahead log is emptied."""
        limit = (_us(before),)
        old = "SELECT incident FROM finding GROUP BY incident HAVING max(stored) <= ?"
        with self._open() as db:
            with _transaction(db):
                decisions = db.execute(
                    f"SELECT count(*) FROM decision WHERE incident IN ({old})",  # noqa: S608 (ours)
                    limit,
                ).fetchone()[0]
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

    def _take_spool(self, db: sqlite3.Connection) -> None:
        file = spool.beside(self.path)
        try:
            left = spool.take(file, lambda findings: _insert(db, findings))
        except OSError as error:
            self.warnings.append(f"{file}: findings wait here, and cannot be taken in: {error}")
            return
        if left:
            self.warnings.append(f"{file}: {left} lines are no findings this version can read")

    def _keep_aside(self, findings: list[Finding], error: StoreError) -> StoreError:
        if not findings:
            return error
        file = spool.beside(self.path)
        try:
            spool.keep(file, findings)
            fate = f"{len(findings)} findings wait in {file} and are taken in with the next write"
        except OSError as second:
            fate = f"{len(findings)} findings could not be kept in {file} either: {second.strerror}"
        hint = f"{fate}\n  {error.hint}"
        return StoreError(error.message, hint=hint, where=error.where)


def _insert(db: sqlite3.Connection, findings: Iterable[Finding]) -> list[Finding]:
    """Insert what is new or revised in one transaction; returns it as it was inserted."""
    now = _us(dt.datetime.now(dt.UTC))
    inserted = []
    with _transaction(db):
        for finding in findings:
            fresh = _revised(db, finding)
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
                    _us(fresh.end),
                    fresh.windows,
                    now,
                    _document(fresh),
                ),
            )
            inserted.append(fresh)
    return inserted


def _document(finding: Finding) -> bytes:
    """The JSON of *finding*; ValueError where it would not come back (NaN has no JSON)."""
    document = msgspec.json.encode(finding)
    try:
        _read(document, Finding)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{finding.detector}: a detector gave a number that is not finite: {error}"
        ) from None
    return document


def _revised(db: sqlite3.Connection, finding: Finding) -> Finding | None:
    """*finding* with its revision and kind; None where it says nothing that is not kept."""
    last = db.execute(
        "SELECT revision, hash, ended, windows FROM finding"
        " WHERE incident = ? ORDER BY revision DESC LIMIT 1",
        (finding.id,),
    ).fetchone()
    if last is None:
        return msgspec.structs.replace(finding, revision=1)
    revision, content, ended, windows = last
    if content_hash(finding) == content or (_us(finding.end), finding.windows) < (ended, windows):
        return None
    (highest,) = db.execute(
        "SELECT max(severity) FROM finding WHERE incident = ?", (finding.id,)
    ).fetchone()
    kind = "alert" if finding.severity > highest else "event"
    return msgspec.structs.replace(finding, revision=revision + 1, kind=kind)


def _conditions(query: Query) -> tuple[str, list[Any]]:
    clauses = ["f.severity >= ?"]
    values: list[Any] = [query.severity]
    if query.families:
        clauses.append(f"f.family IN ({', '.join('?' * len(query.families))})")
        values += query.families
    if query.since is not None:
        clauses.append("f.ended >= ?")
        values.append(_us(query.since))
    if query.stored_since is not None:
        clauses.append("f.stored >= ?")
        values.append(_us(query.stored_since))
    if query.address is not None:
        clauses.append("? IN (f.actor, f.victim)")
        values.append(query.address)
    if query.decided is not None:
        clauses.append(f"d.number IS {'NOT ' if query.decided else ''}NULL")
    return "".join(f" AND {clause}" for clause in clauses), values


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _read(document: bytes, kind: type[_D]) -> _D:
    return msgspec.json.decode(document, type=kind)


def _us(moment: dt.datetime) -> int:
    """Whole microseconds since the epoch; integers, so that no bit is rounded away."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)
