"""Writing to a cluster through the outbox: committed here first, then sent, and never in doubt."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from pathlib import Path

from cyberterr.config import Elastic
from cyberterr.contracts.documents import Document
from cyberterr.elastic.cluster import Cluster, Refresh
from cyberterr.errors import StoreError
from cyberterr.store import outbox, sender
from cyberterr.store.connection import opened, transaction

BUSY_SECONDS = 30.0
"""how long another sender may be at work before we give up"""
READABLE: Refresh = "true"
"""what was written can be searched at once: people write little, and need not wait a second"""


def write(path: Path, cluster: Cluster, settings: Elastic, documents: Sequence[Document]) -> None:
    """Commit *documents* to the outbox in the store file *path*, then send them.

    Raises:
        StoreError: they wait on; or the cluster never takes them, and they are dead letters.
    """
    if not documents:
        return
    with opened(path) as db, transaction(db):
        outbox.queue(db, cluster.url, documents, dt.datetime.now(dt.UTC))
    deliver(path, cluster, settings)
    written = {document.id for document in documents}
    with opened(path) as db:
        dead = [one for one in outbox.dead_letters(db, cluster.url) if one.id in written]
    if dead:
        raise StoreError(
            f"the cluster refuses {len(dead)} of {len(written)} documents for good: "
            f"{dead[0].reason}",
            hint="cyberterr elastic dead-letters list shows them all",
            where=cluster.url,
        )


def deliver(path: Path, cluster: Cluster, settings: Elastic) -> None:
    """Send all that waits for *cluster*, whoever wrote it.

    Raises:
        StoreError: some of it waits on.
    """
    done = _sent(path, cluster, settings)
    with opened(path) as db:
        waiting = outbox.state(db, cluster.url).waiting
    if waiting:
        why, hint = "the cluster does not take all of it", ""
        if done.trouble:
            why, hint = done.trouble.text, f"\n  {done.trouble.hint}"
        fate = f"{waiting} documents wait in {path}, to be sent with the next write"
        raise StoreError(why, hint=fate + hint, where=cluster.url)


def _sent(path: Path, cluster: Cluster, settings: Elastic) -> sender.Delivery:
    limit = time.monotonic() + BUSY_SECONDS
    while True:
        done = sender.deliver(path, cluster, settings, at_once=True, refresh=READABLE)
        if not done.busy:
            return done
        if time.monotonic() > limit:
            raise StoreError(
                f"another program has been sending for more than {BUSY_SECONDS:.0f} s",
                hint="what is to be sent waits; cyberterr elastic status says how much",
                where=str(path),
            )
        time.sleep(0.05)
