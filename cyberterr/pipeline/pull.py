"""Decisions taken in Kibana come back: alerts of our findings that were closed with a reason."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from cyberterr.config import Elastic, home
from cyberterr.contracts.store import Store, Verdict
from cyberterr.elastic.cluster import Cluster
from cyberterr.elastic.connection import connect
from cyberterr.errors import StoreError, UsageError
from cyberterr.review import decisions
from cyberterr.store.elastic import ElasticStore
from cyberterr.store.sqlite import SqliteStore

VERDICTS: Mapping[str, Verdict] = {
    "false_positive": "false_positive",
    "true_positive": "true_positive",
    "benign_positive": "benign",
}
"""Reasons for closing an alert that say what a finding was; duplicate, other and so on do not."""
OVERLAP = dt.timedelta(minutes=10)
"""Asked for again each time: Kibana's clocks differ, and what it writes is searchable later."""
_SPACE = re.compile(r"[a-z0-9_-]{1,200}")
_FIELDS = {
    name: f"kibana.alert.{name}"
    for name in ("workflow_reason", "workflow_user", "workflow_status_updated_at")
} | {"finding_id": "kibana.alert.original_event.id"}

_Fate = Literal["added", "known", "overruled", "no_verdict", "unknown"]


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the closed alerts."""

    index: str
    """where they were looked for"""
    added: int = 0
    """decisions that were not here yet"""
    known: int = 0
    overruled: int = 0
    """left out: somebody decided here later than in Kibana"""
    unknown: int = 0
    """of findings that are not in the store"""
    no_verdict: Mapping[str, int]
    """closed for a reason that is no decision: how many of each; empty where none was given"""


class _Closed(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that was closed."""

    finding_id: str
    workflow_status_updated_at: dt.datetime
    workflow_reason: str = ""
    workflow_user: str = ""


def pull(store: SqliteStore | ElasticStore, settings: Elastic, space: str) -> Pulled:
    """Add to *store* what people decided on our alerts in Kibana since the last time.

    Doing it twice adds nothing; an alert that is closed again for another reason does. How far we
    came is remembered in the data folder.

    Args:
        store: where decisions go.
        settings: whose cluster Kibana works on, where *store* is no cluster itself.
        space: Kibana's space.

    Raises:
        UsageError: no space can have that name, or no cluster is set.
        StoreError: the store, the cluster or the data folder cannot be used.
    """
    if not _SPACE.fullmatch(space):
        raise UsageError(
            f"no space is called {space!r}",
            hint="as in Kibana's address: /s/SPACE/",
            where="--space",
        )
    if isinstance(store, ElasticStore):
        return _pull(store, store.cluster, space, into=store.cluster.url)
    with contextlib.closing(connect(settings)) as cluster:
        return _pull(store, cluster, space, into=str(store.path.absolute()))


def _pull(store: Store, cluster: Cluster, space: str, *, into: str) -> Pulled:
    index = f".alerts-security.alerts-{space}"
    cursor, key = home() / "pulled.json", f"{cluster.url}/{index} into {into}"
    times = _read(cursor)
    fates: Counter[_Fate] = Counter()
    reasons: Counter[str] = Counter()
    for closed in _closed(cluster, index, times.get(key)):
        fate = _take(store, closed)
        fates[fate] += 1
        if fate == "no_verdict":
            reasons[closed.workflow_reason] += 1
        times[key] = closed.workflow_status_updated_at
    _write(cursor, times)
    return Pulled(
        index=index,
        added=fates["added"],
        known=fates["known"],
        overruled=fates["overruled"],
        unknown=fates["unknown"],
        no_verdict=dict(reasons),
    )


def _closed(cluster: Cluster, index: str, since: dt.datetime | None) -> Iterator[_Closed]:
    """Closed alerts of our findings, in the order in which they were closed.

    Fields: elastic/kibana, packages/kbn-alerts-as-data-utils, security_schema.ts.
    """
    filters: list[Mapping[str, Any]] = [
        {"term": {"kibana.alert.workflow_status": "closed"}},
        {"term": {"kibana.alert.original_event.dataset": "cyberterr.finding"}},
        {"exists": {"field": _FIELDS["finding_id"]}},
        {"exists": {"field": _FIELDS["workflow_status_updated_at"]}},
    ]
    if since is not None:
        first = (since - OVERLAP).isoformat()
        filters.append({"range": {_FIELDS["workflow_status_updated_at"]: {"gte": first}}})
    body = {
        "query": {"bool": {"filter": filters}},
        "_source": False,
        "fields": [{"field": name} for name in _FIELDS.values()],
        "sort": [{_FIELDS["workflow_status_updated_at"]: "asc"}, {"kibana.alert.uuid": "asc"}],
    }
    for page in cluster.pages(index, body):
        for hit in page:
            found = hit["fields"]
            values = {name: found[field][0] for name, field in _FIELDS.items() if field in found}
            yield msgspec.convert(values, _Closed)


def _take(store: Store, closed: _Closed) -> _Fate:
    verdict = VERDICTS.get(closed.workflow_reason)
    if verdict is None:
        return "no_verdict"
    decision = decisions.decision(
        closed.finding_id,
        verdict,
        reason=f"closed in Kibana as {closed.workflow_reason.replace('_', ' ')}",
        author=closed.workflow_user or "Kibana",
        now=closed.workflow_status_updated_at,
    )
    made = store.decisions(decision.finding_id)
    if decision in made:
        return "known"
    if any(one.time > decision.time for one in made):
        return "overruled"
    try:
        store.decide(decision)
    except KeyError:
        return "unknown"
    return "added"


def _read(cursor: Path) -> dict[str, dt.datetime]:
    try:
        return msgspec.json.decode(cursor.read_bytes(), type=dict[str, dt.datetime])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(
            f"how far we came cannot be read: {error}",
            hint="delete it: everything is asked for again, and nothing comes in twice",
            where=str(cursor),
        ) from None


def _write(cursor: Path, times: Mapping[str, dt.datetime]) -> None:
    fresh = cursor.with_name(cursor.name + ".new")
    try:
        cursor.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(times))
        fresh.replace(cursor)
    except OSError as error:
        raise StoreError(
            f"how far we came cannot be kept: {error.strerror}",
            hint="the decisions are in; next time everything is asked for again",
            where=str(cursor),
        ) from None
