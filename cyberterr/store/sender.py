"""The sender: documents of the outbox to their cluster, with a back-off of our own.

Killed at any moment nothing is lost and nothing doubled: a document leaves the outbox after the
cluster acknowledged it, and what it has already it refuses by its id (409), which is delivery.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from cyberterr.config import Elastic
from cyberterr.contracts.documents import stream, time_text
from cyberterr.elastic.cluster import TIMEOUT_S, Cluster, Refresh
from cyberterr.elastic.refusal import ClusterError, Outcome
from cyberterr.store import outbox, room
from cyberterr.store.connection import in_words, opened
from cyberterr.store.outbox import Postponed, Trouble, Waiting

SHORTEST_S = 1.0
LONGEST_S = 300.0
"""Pauses after failures: at random up to a limit that doubles (full jitter), and one second at
least. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/"""
REFUSED_S = 3600.0
"""pause after a refusal: only a person can mend it"""
GIVEN_UP = 3
"""documents that are given up one by one before it is said that it is not them"""


class Delivery(NamedTuple):
    """What one call did."""

    delivered: int = 0
    dead: int = 0
    """documents that the cluster will never take as they are"""
    postponed: int = 0
    """documents that it did not take now, one by one"""
    trouble: Trouble | None = None
    """why it ended before everything was sent"""
    busy: bool = False
    """another sender is at work; nothing was done"""


def now() -> dt.datetime:
    """The time as this machine has it."""
    return dt.datetime.now(dt.UTC)


def deliver(
    path: Path,
    cluster: Cluster,
    settings: Elastic,
    *,
    seconds_left: Callable[[], float] = lambda: float("inf"),
    at_once: bool = False,
    refresh: Refresh = "false",
    clock: Callable[[], dt.datetime] = now,
    chance: Callable[[], float] = random.random,
) -> Delivery:
    """Send everything that is due for *cluster*; in memory is never more than one chunk.

    Args:
        path: the store file with the outbox.
        cluster: where to; its URL is the target in the outbox.
        settings: namespace, link, and what may wait how long.
        seconds_left: how long it may go on yet; asked before each request.
        at_once: try although a pause after a failure is not over.
        refresh: see `Cluster.create`.
        clock: the time.
        chance: a random number, 0 ≤ x < 1.

    Raises:
        StoreError: the store file cannot be used. What the cluster refuses is in the answer.
    """
    target = cluster.url
    with opened(path) as db, _alone(path, target) as alone:
        if not alone:
            return Delivery(busy=True)
        bytes_, days = settings.outbox_mb * 1_000_000, dt.timedelta(days=settings.outbox_days)
        room.trim(db, target, max_bytes=bytes_, max_age=days, now=clock())
        state = outbox.state(db, target)
        if at_once:
            outbox.hurry(db, target)
        elif state.next_try and clock() < state.next_try:
            return Delivery(trouble=state.last_error)
        done, failures = Delivery(), state.failures
        # After failures less is tried: what is too much for a server then still gets through.
        documents, size = max(1, outbox.CHUNK >> min(failures, 9)), outbox.CHUNK_BYTES
        while (left := seconds_left()) > 0:
            chunk = outbox.take(db, target, clock(), documents=documents, size=size)
            if not chunk:
                if room.tell_drops(db, target, clock()):
                    continue
                break
            ingested = time_text(clock())
            lines = [_line(waiting, settings, ingested) for waiting in chunk]
            seconds = min(TIMEOUT_S, max(left, 1.0))
            answers, error = _asked(cluster, lines, refresh, seconds)
            if error and _is_about_documents(error, done):
                if len(chunk) > 1:  # one of them is why: look for it in halves
                    if error.kind == "too_large":
                        size = sum(len(one.body) for one in chunk) // 2
                    else:
                        documents = len(chunk) // 2
                    continue
                answers, error = [Outcome("rejected", error.status, error.message)], None
            if not error:
                done, error = _settled(db, target, chunk, answers, done, clock(), chance)
            if error:
                trouble = _failed(db, target, error, failures, clock(), chance)
                return done._replace(trouble=trouble)
            outbox.went_well(db, target)
            room.tell_drops(db, target, clock())
            failures, documents = 0, min(2 * documents, outbox.CHUNK)
        return done


def _asked(
    cluster: Cluster, lines: Sequence[tuple[str, str, bytes]], refresh: Refresh, seconds: float
) -> tuple[list[Outcome], ClusterError | None]:
    try:
        return cluster.create(lines, refresh=refresh, timeout_s=seconds), None
    except ClusterError as error:
        return [], error


def stamped(
    dataset: str, body: bytes, settings: Elastic, ingested: str, *, incident: str | None = None
) -> bytes:
    """*body*, `outbox.encoded`, with what is known only now: when, where to, and the link."""
    event = f',"ingested":"{ingested}"'.encode()
    if settings.link and incident:
        event += b',"url":' + msgspec.json.encode(settings.link.replace("{id}", incident))
    place = {"type": "logs", "dataset": dataset, "namespace": settings.namespace}
    return body[:-2] + event + b'},"data_stream":' + msgspec.json.encode(place) + b"}"


def _line(waiting: Waiting, settings: Elastic, ingested: str) -> tuple[str, str, bytes]:
    """Data stream, id and body of what is sent."""
    dataset, incident = waiting.dataset, waiting.incident
    body = stamped(dataset, waiting.body, settings, ingested, incident=incident)
    return stream(dataset, settings.namespace), waiting.id, body


def _is_about_documents(error: ClusterError, done: Delivery) -> bool:
    """Whether a whole request was refused for what is in it, and not for what takes none at all.

    A server of another kind says 400 too, without naming an error; a proxy may find every request
    too large. So after some documents were given up and none was taken, it is not the documents.
    """
    if done.dead >= GIVEN_UP and not done.delivered:
        return False
    named = error.kind == "rejected" and error.status == 400 and bool(error.type)
    return named or error.kind == "too_large"


def _settled(
    db: sqlite3.Connection,
    target: str,
    chunk: Sequence[Waiting],
    answered: Sequence[Outcome],
    done: Delivery,
    moment: dt.datetime,
    chance: Callable[[], float],
) -> tuple[Delivery, ClusterError | None]:
    """Note the answer for each of *chunk*; an error where it says something of the cluster."""
    both = list(zip(chunk, answered, strict=True))
    delivered = [one.number for one, said in both if said.kind == "delivered"]
    dead = [(one.number, said.reason) for one, said in both if said.kind == "rejected"]
    postponed = [
        Postponed(one.number, moment + pause(one.attempts, chance), said.reason)
        for one, said in both
        if said.kind == "weather"
    ]
    outbox.settle(db, target, delivered=delivered, dead=dead, postponed=postponed)
    done = done._replace(
        delivered=done.delivered + len(delivered),
        dead=done.dead + len(dead),
        postponed=done.postponed + len(postponed),
    )
    refused = next((said for said in answered if said.kind == "refused"), None)
    if refused:
        return done, ClusterError(refused.reason, kind="refused", where=target)
    if len(postponed) > len(delivered):
        return done, ClusterError(postponed[0].reason, kind="weather", where=target)
    return done, None


def _failed(
    db: sqlite3.Connection,
    target: str,
    error: ClusterError,
    failures: int,
    moment: dt.datetime,
    chance: Callable[[], float],
) -> Trouble:
    if error.kind == "weather":
        wait = pause(failures, chance, at_least=error.retry_after_s)
    else:
        wait = dt.timedelta(seconds=REFUSED_S)
    trouble = Trouble(error.kind, error.message, error.hint, moment)
    outbox.failed(db, target, trouble, moment + wait)
    return trouble


def pause(
    failures: int, chance: Callable[[], float], *, at_least: float = SHORTEST_S
) -> dt.timedelta:
    """How long to wait after so many failures in a row; an hour at most."""
    limit = min(LONGEST_S, SHORTEST_S * 2 ** min(failures + 1, 20))
    return dt.timedelta(seconds=min(max(chance() * limit, at_least, SHORTEST_S), REFUSED_S))


@contextlib.contextmanager
def _alone(path: Path, target: str) -> Iterator[bool]:
    """Whether no other sender is at work for *target*: a lock that ends with its process."""
    name = f"{path.name}.sending-{hashlib.sha256(target.encode()).hexdigest()[:8]}"
    lock = path.with_name(name)
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise in_words(error, lock) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
