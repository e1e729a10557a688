"""The outbox: documents that wait for a cluster, in the store's own file.

What is worth most goes first and is dropped last (`room`); of equal worth the oldest comes first.
Every function works on an open store file (`connection.connect`); times are aware.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from cyberterr.config import Elastic
from cyberterr.contracts.documents import Document
from cyberterr.elastic.refusal import Kind
from cyberterr.store.connection import from_us, to_us, transaction

CHUNK = 500
"""documents in one request at most"""
CHUNK_BYTES = 5_000_000
WRITTEN_BY_PEOPLE = 100
"""worth of decisions and suppressions; that of a finding is its severity, of what scans read 0"""
ABOUT_DROPS = 101
"""worth of what says that documents were dropped; it is never dropped itself"""


class Forward(NamedTuple):
    """That everything written to a store is sent to a cluster too."""

    target: str
    """URL of the cluster, as `Cluster.url` gives it"""


class Waiting(NamedTuple):
    """One document to be sent."""

    number: int
    id: str
    dataset: str
    incident: str | None
    """id of the finding it is about"""
    attempts: int
    body: bytes
    """JSON that ends with the object `event`, so that what is set when it is sent can be added"""


class Dead(NamedTuple):
    """One document that the cluster will never take as it is."""

    id: str
    dataset: str
    created: dt.datetime
    attempts: int
    reason: str
    body: bytes


class Postponed(NamedTuple):
    """A document to be tried again."""

    number: int
    until: dt.datetime
    reason: str


class Trouble(NamedTuple):
    """What last went wrong with a cluster as a whole."""

    kind: Kind
    text: str
    hint: str
    """what to try"""
    time: dt.datetime


class State(NamedTuple):
    """How things stand with one cluster."""

    target: str
    waiting: int
    waiting_bytes: int
    oldest: dt.datetime | None
    """when the document that waits longest was queued"""
    dead: int
    dropped: Mapping[str, int]
    """documents dropped since the store was made, by dataset"""
    last_error: Trouble | None
    """kept after things went well again: see `failures`"""
    failures: int
    """requests that failed since the last one that went well"""
    next_try: dt.datetime | None
    """None: at once"""

    @property
    def stopped(self) -> bool:
        """Whether only a person can mend it."""
        error = self.last_error
        return bool(self.failures and error and error.kind != "weather")


def forward(settings: Elastic) -> Forward | None:
    """Where `[elastic]` says that documents go; None: nowhere."""
    return Forward(settings.url.rstrip("/")) if settings.url else None


def queue(
    db: sqlite3.Connection, target: str, documents: Iterable[Document], now: dt.datetime
) -> None:
    """Let *documents* wait for *target*, within the caller's transaction; twice is once."""
    for document in documents:
        body = encoded(document.body)
        db.execute(
            "INSERT OR IGNORE INTO outbox (target, id, dataset, incident, worth, created, bytes,"
            " body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                target,
                document.id,
                document.dataset,
                _incident(document),
                _worth(document),
                to_us(now),
                len(body),
                body,
            ),
        )


def take(
    db: sqlite3.Connection,
    target: str,
    now: dt.datetime,
    *,
    documents: int = CHUNK,
    size: int = CHUNK_BYTES,
) -> list[Waiting]:
    """The next documents to send, *size* bytes at most, but always one; they stay where they are.

    Whoever sends them says with `settle` what became of them.
    """
    taken: list[Waiting] = []
    rows = db.execute(
        "SELECT number, id, dataset, incident, attempts, body FROM outbox"
        " WHERE target = ? AND state = 'waiting' AND due <= ? ORDER BY worth DESC, number LIMIT ?",
        (target, to_us(now), documents),
    )
    with contextlib.closing(rows):
        for waiting in map(Waiting._make, rows):
            size -= len(waiting.body)
            if size < 0 and taken:
                break
            taken.append(waiting)
    return taken


def settle(
    db: sqlite3.Connection,
    target: str,
    *,
    delivered: Iterable[int] = (),
    dead: Iterable[tuple[int, str]] = (),
    postponed: Iterable[Postponed] = (),
) -> None:
    """Note what became of documents by their numbers: gone, never to be sent (why), or later."""
    with transaction(db):
        db.executemany(
            "DELETE FROM outbox WHERE number = ? AND target = ?", ((n, target) for n in delivered)
        )
        db.executemany(
            "UPDATE outbox SET state = 'dead', attempts = attempts + 1, reason = ?"
            " WHERE number = ? AND target = ?",
            ((reason, number, target) for number, reason in dead),
        )
        db.executemany(
            "UPDATE outbox SET due = ?, attempts = attempts + 1, reason = ?"
            " WHERE number = ? AND target = ?",
            ((to_us(one.until), one.reason, one.number, target) for one in postponed),
        )


def failed(db: sqlite3.Connection, target: str, trouble: Trouble, next_try: dt.datetime) -> None:
    """Note that a whole request failed: nothing is sent before *next_try*."""
    db.execute(
        "INSERT INTO target VALUES (?, 1, ?, ?, ?, ?, ?) ON CONFLICT (url) DO UPDATE SET"
        " failures = failures + 1, next_try = excluded.next_try, kind = excluded.kind,"
        " reason = excluded.reason, hint = excluded.hint, failed = excluded.failed",
        (target, to_us(next_try), *trouble[:3], to_us(trouble.time)),
    )


def went_well(db: sqlite3.Connection, target: str) -> None:
    """Note that the cluster takes documents."""
    db.execute(
        "UPDATE target SET failures = 0, next_try = 0 WHERE url = ? AND failures > 0", (target,)
    )


def state(db: sqlite3.Connection, target: str) -> State:
    """How things stand with *target*."""
    counts = {
        name: (count, size, oldest)
        for name, count, size, oldest in db.execute(
            "SELECT state, count(*), sum(bytes), min(created) FROM outbox"
            " WHERE target = ? GROUP BY state",
            (target,),
        )
    }
    waiting, size, oldest = counts.get("waiting", (0, 0, None))
    standing = db.execute(
        "SELECT failures, next_try, kind, reason, hint, failed FROM target WHERE url = ?",
        (target,),
    ).fetchone()
    failures, next_try = standing[:2] if standing else (0, 0)
    return State(
        target=target,
        waiting=waiting,
        waiting_bytes=size,
        oldest=None if oldest is None else from_us(oldest),
        dead=counts.get("dead", (0,))[0],
        dropped=dict(
            db.execute(
                "SELECT dataset, sum(documents) FROM dropped WHERE target = ? GROUP BY dataset",
                (target,),
            )
        ),
        last_error=_trouble(*standing[2:]) if standing else None,
        failures=failures,
        next_try=from_us(next_try) if next_try else None,
    )


def _trouble(kind: Kind, text: str, hint: str, time: int) -> Trouble:
    return Trouble(kind, text, hint, from_us(time))


def targets(db: sqlite3.Connection) -> list[str]:
    """Every cluster that something waits for, or that something was said of."""
    rows = db.execute(
        "SELECT target FROM outbox UNION SELECT url FROM target UNION SELECT target FROM dropped"
    )
    return sorted(url for (url,) in rows)


def dead_letters(db: sqlite3.Connection, target: str) -> Iterator[Dead]:
    """What *target* will never take as it is, what is worth most first."""
    rows = db.execute(
        "SELECT id, dataset, created, attempts, reason, body FROM outbox"
        " WHERE target = ? AND state = 'dead' ORDER BY worth DESC, number",
        (target,),
    )
    for name, dataset, created, attempts, reason, body in rows:
        yield Dead(name, dataset, from_us(created), attempts, reason, body)


def retry(db: sqlite3.Connection, target: str, ids: Sequence[str] | None = None) -> int:
    """Let dead letters wait again, all of them or those with *ids*; how many there were."""
    again = "UPDATE outbox SET state = 'waiting', due = 0 WHERE target = ? AND state = 'dead'"
    with transaction(db):
        if ids is None:
            return db.execute(again, (target,)).rowcount
        return sum(db.execute(f"{again} AND id = ?", (target, name)).rowcount for name in ids)


def hurry(db: sqlite3.Connection, target: str) -> None:
    """Let what was postponed be tried at once."""
    with transaction(db):
        db.execute("UPDATE outbox SET due = 0 WHERE target = ? AND due > 0", (target,))
        db.execute("UPDATE target SET next_try = 0 WHERE url = ?", (target,))


def redirect(db: sqlite3.Connection, old: str, new: str) -> int:
    """Send to *new* what waits for *old*, dead letters too; how many documents there were."""
    with transaction(db):
        (count,) = db.execute("SELECT count(*) FROM outbox WHERE target = ?", (old,)).fetchone()
        db.execute(
            "UPDATE OR IGNORE outbox SET target = ?, state = 'waiting', due = 0 WHERE target = ?",
            (new, old),
        )
        db.execute("DELETE FROM outbox WHERE target = ?", (old,))  # what waits for both
    return int(count)


def forget(db: sqlite3.Connection, incidents: Iterable[str]) -> None:
    """Delete what waits about findings that were erased, within the caller's transaction."""
    db.executemany("DELETE FROM outbox WHERE incident = ?", ((one,) for one in incidents))


def encoded(body: Mapping[str, Any]) -> bytes:
    """The JSON of a document's *body*, with `event` at its end; see `sender.stamped`."""
    return msgspec.json.encode(
        {**{k: v for k, v in body.items() if k != "event"}, "event": body["event"]}
    )


def _worth(document: Document) -> int:
    match document.dataset:
        case "cyberterr.finding":
            return document.severity
        case "cyberterr.health":
            return ABOUT_DROPS if "dropped" in document.body["cyberterr"] else 0
        case _:
            return WRITTEN_BY_PEOPLE


def _incident(document: Document) -> str | None:
    if document.dataset == "cyberterr.finding":
        return str(document.body["event"]["id"])
    [own] = document.body["cyberterr"].values()
    found: str | None = own.get("finding_id")
    return found
