"""What was written to the local store goes to the cluster of the settings too.

A cluster that cannot be reached never fails a scan: documents wait in the outbox, and a warning
says so.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from cyberterr.config import Elastic
from cyberterr.contracts.documents import of_run
from cyberterr.contracts.run import Run
from cyberterr.contracts.store import Store
from cyberterr.elastic.connection import connect
from cyberterr.errors import CyberterrError, StoreError
from cyberterr.store import outbox
from cyberterr.store.connection import opened
from cyberterr.store.elastic import ElasticStore
from cyberterr.store.sender import deliver, now
from cyberterr.store.sqlite import SqliteStore

TRY_S = 10.0
"""How long a program that ends tries to send what waits."""
SEND_AGAIN_S = 60.0
"""How often a live scan looks for documents of other programs, and for those left over."""
NO_TIME = "there was no time for more"

Warn = Callable[[str], None]


class Sent(NamedTuple):
    """How things stand after a try."""

    state: outbox.State
    dead: int
    """documents that the cluster refused for good in this try"""
    why: str
    """why something still waits; empty where nothing does, or where another program sends it"""
    hint: str = ""


class Counted:
    """Queues what a scan read in numbers: one document for each part of it, so that sums are right.

    Args:
        store: the store of the scan; nothing is queued where nothing of it goes to a cluster.
        sensor: name of the sensor.
    """

    def __init__(self, store: Store | None, sensor: str) -> None:
        self._store: SqliteStore | ElasticStore | None = None
        if isinstance(store, ElasticStore) or (isinstance(store, SqliteStore) and store.forward):
            self._store = store
        self._sensor = sensor
        self._before: tuple[Run, int] | None = None

    def add(self, run: Run, findings: int, warn: Warn) -> None:
        """Queue what *run*, which found so many *findings*, did since the last call."""
        if self._store is None:
            return
        part, found = run, findings
        if self._before is not None:
            part, found = _since(run, self._before[0]), findings - self._before[1]
        try:
            self._store.queue([of_run(part, found, sensor=self._sensor)])
        except StoreError as error:
            warn(f"what was read is not counted at the cluster: {error.message}")
        self._before = run, findings


def _since(run: Run, before: Run) -> Run:
    counts = ("seconds", "bytes", "packets", "flows", "evicted", "dropped", "suppressed")
    return msgspec.structs.replace(
        run,
        started=before.started + dt.timedelta(seconds=before.seconds),
        warnings=run.warnings[len(before.warnings) :],
        **{name: getattr(run, name) - getattr(before, name) for name in counts},
    )


def flush(store: Store, settings: Elastic, warn: Warn) -> None:
    """Send what waits in the outbox of *store*, for ten seconds at most; the rest is a warning."""
    end = time.monotonic() + TRY_S
    sent = _try(store, settings, lambda: end - time.monotonic(), warn, first=True)
    if sent and sent.why and sent.state.waiting:
        warn(f"{sent.state.waiting} documents wait for {_said(sent)}")


@contextlib.contextmanager
def sending(
    opened: Callable[[], Store], settings: Elastic, warn: Warn
) -> Iterator[Callable[[], None]]:
    """Send what comes into the outbox while the block runs, in a thread with its own connection.

    Args:
        opened: opens the store.
        settings: `[elastic]`.
        warn: takes what went wrong, and that it goes well again; called from the thread.

    Yields:
        A function that asks for sending, because something new is there. It returns at once.
    """
    store = opened()
    if not isinstance(store, SqliteStore) or store.forward is None:
        store.close()
        yield lambda: None
        return
    asked, over = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=_work, args=(store, settings, warn, asked, over), daemon=True, name="sender"
    )
    thread.start()
    try:
        yield asked.set
    finally:
        over.set()
        asked.set()
        thread.join(TRY_S)  # a request may take longer; cut off, it is sent again


def _work(
    store: SqliteStore,
    settings: Elastic,
    warn: Warn,
    asked: threading.Event,
    over: threading.Event,
) -> None:
    told, first = "", True
    while not over.is_set():
        pause = SEND_AGAIN_S
        try:
            sent = _try(store, settings, lambda: 0 if over.is_set() else float("inf"), warn, first)
            first = False
            if sent and sent.why != told:
                target = sent.state.target
                warn(f"documents wait for {_said(sent)}" if sent.why else f"{target}: well again")
                told = sent.why
            if sent and sent.state.next_try:
                left = (sent.state.next_try - now()).total_seconds()
                pause = max(0.1, min(left, SEND_AGAIN_S))
        except Exception as error:  # a defect here must not end it unseen
            warn(f"our own error beside the scan: {type(error).__name__}: {error}")
        asked.wait(pause)
        asked.clear()


def _try(
    store: Store, settings: Elastic, seconds_left: Callable[[], float], warn: Warn, first: bool
) -> Sent | None:
    """Send what is due; None where nothing is to be done, or where it cannot even be tried.

    When this program tries for the *first* time, a refusal of earlier does not count: a person may
    have mended it.
    """
    if not isinstance(store, SqliteStore) or store.forward is None:
        return None
    target = store.forward.target
    try:
        with opened(store.path) as db:
            state = outbox.state(db, target)
        if not state.waiting:
            return Sent(state, 0, "")
        with contextlib.closing(connect(settings)) as cluster:
            done = deliver(
                store.path,
                cluster,
                settings,
                seconds_left=seconds_left,
                at_once=first and state.stopped,
            )
        with opened(store.path) as db:
            state = outbox.state(db, target)
    except CyberterrError as error:
        warn(f"nothing was sent to {target}: {error.message}")
        return None
    if done.dead:
        warn(
            f"{target} refused {done.dead} documents for good: "
            "cyberterr elastic dead-letters list says why"
        )
    if done.busy or not state.waiting:
        return Sent(state, done.dead, "")
    if done.trouble:
        return Sent(state, done.dead, done.trouble.text, done.trouble.hint)
    why = "it does not take some of them now" if done.postponed else NO_TIME
    return Sent(state, done.dead, why, "cyberterr elastic replay sends them")


def _said(sent: Sent) -> str:
    return f"{sent.state.target}: {sent.why}" + (f"\n  {sent.hint}" if sent.hint else "")
