"""The room of the outbox: what waits too long or beyond its bytes is dropped, counted and told."""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import Any

from cyberterr.contracts.documents import of_drop
from cyberterr.store import outbox
from cyberterr.store.connection import from_us, to_us, transaction

AT_ONCE = 5000
"""documents dropped in one transaction at most"""


def trim(
    db: sqlite3.Connection,
    target: str,
    *,
    max_bytes: int,
    max_age: dt.timedelta,
    now: dt.datetime,
) -> int:
    """Drop what waits too long, then what is worth least until the rest has room; how many.

    Dead letters are dropped alike. What was dropped is counted; `tell_drops` tells the cluster.
    """
    total, oldest = db.execute(
        "SELECT coalesce(sum(bytes), 0), min(created) FROM outbox WHERE target = ? AND worth < ?",
        (target, outbox.ABOUT_DROPS),
    ).fetchone()
    limit = to_us(now - max_age)
    count = 0
    while total > max_bytes or (oldest is not None and oldest < limit):
        with transaction(db):
            rows = db.execute(
                "SELECT number, dataset, bytes, created FROM outbox"
                " WHERE target = ? AND worth < ? ORDER BY created >= ?, worth, number LIMIT ?",
                (target, outbox.ABOUT_DROPS, limit, AT_ONCE),
            ).fetchall()
            for number, dataset, size, created in rows:
                if (old := created < limit) or total > max_bytes:
                    why = f"waited more than {max_age.days} days" if old else "no more room"
                    db.execute("DELETE FROM outbox WHERE number = ?", (number,))
                    _count(db, (target, dataset, why, 0, 1, size, created))
                    total -= size
                    count += 1
        if not rows:  # erased meanwhile by another program
            break
        oldest = rows[-1][3]
    return count


def tell_drops(db: sqlite3.Connection, target: str, now: dt.datetime) -> bool:
    """Queue one document for each kind of what was dropped and not told yet; whether any was."""
    untold = "FROM dropped WHERE target = ? AND told = 0"
    if db.execute(f"SELECT 1 {untold}", (target,)).fetchone() is None:
        return False
    with transaction(db):
        rows = db.execute(
            f"SELECT dataset, why, documents, bytes, oldest {untold}",
            (target,),
        ).fetchall()
        db.execute(f"DELETE {untold}", (target,))
        for dataset, why, documents, size, oldest in rows:
            _count(db, (target, dataset, why, 1, documents, size, oldest))
            told = of_drop(
                time=now,
                dataset=dataset,
                documents=documents,
                size=size,
                oldest=from_us(oldest),
                why=why,
            )
            outbox.queue(db, target, [told], now)
    return True


def _count(db: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    db.execute(
        "INSERT INTO dropped VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (target, dataset, why, told) DO UPDATE SET"
        " documents = documents + excluded.documents, bytes = bytes + excluded.bytes,"
        " oldest = min(oldest, excluded.oldest)",
        row,
    )
