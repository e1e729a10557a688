"""What waits for the cluster behind `[elastic]`: how things stand, send it, what was refused."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cyberterr.config import Elastic, Settings, home
from cyberterr.contracts.documents import DATASETS, stream
from cyberterr.elastic import templates
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.refusal import ClusterError
from cyberterr.errors import UsageError
from cyberterr.store import outbox
from cyberterr.store.connection import opened
from cyberterr.store.outbox import Dead, State
from cyberterr.store.sender import Delivery, deliver

SQLITE = "sqlite:///"
TELL_EVERY_S = 2.0
"""how often a replay says how far it is"""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand with the cluster."""

    cluster: str
    link: str
    """empty: it takes our documents; else why not"""
    templates: int | None
    """version of the templates there; 0 none, None where we may not look or cannot"""
    state: State
    former: Mapping[str, int]
    """clusters that were named before, and how many documents wait for each"""

    @property
    def troubles(self) -> list[str]:
        """What a person should see to, a sentence each; empty where all is well."""
        state = self.state
        wrong = [f"the link does not work: {self.link}"] if self.link else []
        if state.failures and state.last_error:
            hint = f" ({state.last_error.hint})" if state.last_error.hint else ""
            wrong.append(f"sending fails: {state.last_error.text}{hint}")
        if self.templates is not None and self.templates < templates.VERSION:
            known = f"of version {self.templates}" if self.templates else "not installed"
            wrong.append(f"the templates are {known}: cyberterr elastic setup")
        if state.dead:
            wrong.append(f"{state.dead} refused for good: cyberterr elastic dead-letters list")
        for url, count in self.former.items():
            wrong.append(f"{count} wait for {url}: cyberterr elastic replay --from {url}")
        return wrong


def status(settings: Settings, store_url: str | None) -> Status:
    """How things stand with the cluster that `[elastic]` names.

    Raises:
        UsageError: none is named.
        StoreError: the store file cannot be read.
    """
    target = named(settings.elastic)
    link, version = _link(settings.elastic)
    with opened(store_file(store_url)) as db:
        others = [outbox.state(db, url) for url in outbox.targets(db) if url != target]
        state = outbox.state(db, target)
    former = {one.target: one.waiting for one in others if one.waiting}
    return Status(cluster=target, link=link, templates=version, state=state, former=former)


def facts(known: Status) -> dict[str, Any]:
    """*known* for other programs."""
    state = known.state
    return {
        "cluster": known.cluster,
        "ok": not known.troubles,
        "troubles": known.troubles,
        "templates": known.templates,
        "waiting": state.waiting,
        "waiting_bytes": state.waiting_bytes,
        "oldest": state.oldest,
        "dead": state.dead,
        "dropped": state.dropped,
        "failures": state.failures,
        "last_error": state.last_error and state.last_error._asdict(),
        "next_try": state.next_try,
        "former": known.former,
    }


def _link(settings: Elastic) -> tuple[str, int | None]:
    """Why documents would not be taken (empty: they would), and the version of the templates."""
    try:
        with contextlib.closing(connect(settings)) as cluster:
            return _not_let(cluster, settings.namespace), templates.installed(cluster)
    except ClusterError as error:
        return error.message, None


def _not_let(cluster: Cluster, namespace: str) -> str:
    names = [stream(dataset, namespace) for dataset in DATASETS]
    wanted = {"index": [{"names": names, "privileges": ["create_doc", "auto_configure"]}]}
    try:
        said = cluster.ask(Request("POST", "/_security/user/_has_privileges", wanted))
    except ClusterError as error:
        if error.kind != "rejected":
            raise
        return _not_there(cluster)
    if said["has_all_requested"]:
        return ""
    return f"{said['username']} may not add documents to {stream('cyberterr.*', namespace)}"


def _not_there(cluster: Cluster) -> str:
    # A cluster without Elastic's security: that it answers is all that can be asked.
    try:
        cluster.ask(Request("GET", "/_cluster/health"))
    except ClusterError as error:
        if error.status != 403:  # known, and not allowed to look: OpenSearch with its security
            raise
    return ""


def replay(
    settings: Settings,
    store_url: str | None,
    tell: Callable[[int], None],
    *,
    former: str | None = None,
) -> tuple[Delivery, State]:
    """Send all that waits now; what was done, and what waits still.

    Args:
        settings: where to.
        store_url: whose outbox.
        tell: called now and then with how many wait still.
        former: URL of a cluster that was named before; what waits for it is sent too.

    Raises:
        UsageError: no cluster is named, or nothing waits for *former*.
        StoreError: the store file cannot be read.
    """
    target, path = named(settings.elastic), store_file(store_url)
    if former is not None:
        _take_over(path, former.rstrip("/"), target)
    due = time.monotonic() + TELL_EVERY_S

    def no_limit() -> float:  # asked before each request
        nonlocal due
        if time.monotonic() >= due:
            tell(_state(path, target).waiting)
            due = time.monotonic() + TELL_EVERY_S
        return math.inf

    with contextlib.closing(connect(settings.elastic)) as cluster:
        done = deliver(path, cluster, settings.elastic, seconds_left=no_limit, at_once=True)
    return done, _state(path, target)


def _state(path: Path, target: str) -> State:
    with opened(path) as db:
        return outbox.state(db, target)


def _take_over(path: Path, former: str, target: str) -> None:
    with opened(path) as db:
        known = [url for url in outbox.targets(db) if url != target]
        if former not in known:
            raise UsageError(
                f"nothing waits for {former}",
                hint=f"documents wait for: {', '.join(known) or 'no other cluster'}",
                where="--from",
            )
        outbox.redirect(db, former, target)


@contextlib.contextmanager
def dead_letters(settings: Settings, store_url: str | None) -> Iterator[Iterator[Dead]]:
    """What the cluster refused for good, one after the other.

    Raises:
        UsageError: no cluster is named.
        StoreError: the store file cannot be read.
    """
    target = named(settings.elastic)
    with opened(store_file(store_url)) as db:
        yield outbox.dead_letters(db, target)


def described(letter: Dead) -> dict[str, Any]:
    """*letter* for other programs, without its document."""
    return {
        "id": letter.id,
        "dataset": letter.dataset,
        "created": letter.created,
        "attempts": letter.attempts,
        "reason": letter.reason,
    }


def export(settings: Settings, store_url: str | None, file: Path) -> int:
    """Write the dead letters to *file*, with their documents, one a line; how many.

    Raises:
        UsageError: no cluster is named, or the file cannot be written.
        StoreError: the store file cannot be read.
    """
    from cyberterr.pipeline.export import write

    with dead_letters(settings, store_url) as letters:
        lines = [
            msgspec.json.encode({**described(letter), "document": msgspec.Raw(letter.body)})
            for letter in letters
        ]
    write(file, "".join(f"{line.decode()}\n" for line in lines))
    return len(lines)


def retry(settings: Settings, store_url: str | None, ids: Sequence[str]) -> int:
    """Let dead letters wait again, those with *ids* or all of them; how many there were.

    Raises:
        UsageError: no cluster is named, or an id is none.
        StoreError: the store file cannot be written.
    """
    target = named(settings.elastic)
    with opened(store_file(store_url)) as db:
        known = {letter.id for letter in outbox.dead_letters(db, target)}
        if unknown := [name for name in ids if name not in known]:
            raise UsageError(
                f"no dead letter has the id {unknown[0]!r}",
                hint="cyberterr elastic dead-letters list",
            )
        return outbox.retry(db, target, list(ids) or None)


def named(settings: Elastic) -> str:
    """URL of the cluster, as the outbox knows it.

    Raises:
        UsageError: none is named.
    """
    target = outbox.forward(settings)
    if target is None:
        raise UsageError("no cluster is named", hint='url = "https://…:9200" in [elastic]')
    return target.target


def store_file(store_url: str | None) -> Path:
    """The file with the outbox: that of the local store.

    Raises:
        UsageError: the URL names no file.
    """
    if store_url is None:
        return home() / "cyberterr.db"
    if store_url.startswith(SQLITE) and store_url != SQLITE:
        return Path(store_url.removeprefix(SQLITE))
    raise UsageError(
        "the outbox lies in the local store",
        hint="--store sqlite:///PATH; the cluster is url in [elastic]",
        where="--store",
    )
