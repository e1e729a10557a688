"""What the store asks a cluster: last revisions, and which incidents may match."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from cyberterr.contracts.documents import from_ecs, time_text
from cyberterr.contracts.fields import FIELDS
from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Case, Decision, Query
from cyberterr.elastic.cluster import WHOLE, Cluster, Request
from cyberterr.errors import StoreError
from cyberterr.store.revisions import Kept

CHUNK = 1000
"""incidents asked for at once"""
REVISION = "cyberterr.finding.revision"
ASKED = (
    "event.id", "event.end", "event.ingested", "event.severity", "event.action", "rule.category",
    "source.ip", "destination.ip", REVISION, "cyberterr.decision.finding_id",
    "cyberterr.suppression.id", "cyberterr.suppression.expires",
    "cyberterr.notice.channel", "cyberterr.notice.finding_id",
)  # fmt: skip
"""fields that must be mapped as `FIELDS` says for the answers to be right"""
_MISSING_IS_EMPTY = {"ignore_unavailable": "true", "allow_no_indices": "true"}

Hit = Mapping[str, Any]


def check_mapping(cluster: Cluster, streams: Sequence[str]) -> bool:
    """Whether any of *streams* is there.

    Raises:
        StoreError: one is there, and was not made by our template: it would answer wrongly.
    """
    path = f"/{','.join(streams)}/_field_caps"
    params = {"fields": ",".join(ASKED), **_MISSING_IS_EMPTY}
    answer = cluster.ask(Request("GET", path, None, params))
    wanted = {field.name: field.type for field in FIELDS}
    wrong = [
        name
        for name in ASKED
        if answer["indices"] and set(answer["fields"].get(name, {})) != {wanted[name]}
    ]
    if wrong:
        raise setup_first(cluster, f"{wrong[0]} is not mapped as {wanted[wrong[0]]}")
    return bool(answer["indices"])


def setup_first(cluster: Cluster, why: str) -> StoreError:
    """That the cluster is not prepared for our documents."""
    return StoreError(
        f"the cluster is not set up for cyberterr: {why}",
        hint="run cyberterr elastic setup first",
        where=cluster.url,
    )


def last(cluster: Cluster, index: str, ids: Sequence[str]) -> list[Hit]:
    """The last revision of each of at most `CHUNK` *ids*, in no order."""
    found: list[Hit] = _search(cluster, index, _last(ids))["hits"]["hits"]
    return found


def kept(cluster: Cluster, index: str, ids: Sequence[str]) -> dict[str, Kept]:
    """What is kept of *ids*, by id."""
    known: dict[str, Kept] = {}
    for chunk in chunks(ids):
        size = len(chunk)
        highest = {"highest": {"max": {"field": "event.severity"}}}
        terms = {"field": "event.id", "size": size, "shard_size": size}
        body = {
            **_last(chunk),
            "_source": ["event.id", "event.end", REVISION, "cyberterr.finding.windows"],
            "aggs": {"ids": {"terms": terms, "aggs": highest}},
        }
        answer = _search(cluster, index, body)
        groups = answer.get("aggregations", {"ids": {"buckets": []}})["ids"]["buckets"]
        severity = {group["key"]: int(group["highest"]["value"]) for group in groups}
        for hit in answer["hits"]["hits"]:
            event, own = hit["_source"]["event"], hit["_source"]["cyberterr"]["finding"]
            known[event["id"]] = Kept(
                revision=own["revision"],
                content=_content(hit["_id"], event["id"]),
                end=dt.datetime.fromisoformat(event["end"]),
                windows=own["windows"],
                severity=severity[event["id"]],
            )
    return known


def matching(cluster: Cluster, index: str, query: Query) -> list[str]:
    """Ids of the incidents of which any revision matches *query*, its decisions aside, sorted.

    Times are compared in milliseconds, as the index keeps them: rather one too many.
    """
    filters: list[Mapping[str, Any]] = [{"range": {"event.severity": {"gte": query.severity}}}]
    if query.families:
        filters.append(one_of("rule.category", query.families))
    for field, since in (("event.end", query.since), ("event.ingested", query.stored_since)):
        if since is not None:
            filters.append({"range": {field: {"gte": milliseconds(since)}}})
    if query.address is not None:
        either = [{"term": {f"{side}.ip": query.address}} for side in ("source", "destination")]
        filters.append({"bool": {"should": either}})
    return ids(cluster, index, all_of(*filters))


def ids(cluster: Cluster, index: str, query: Mapping[str, Any]) -> list[str]:
    """The `event.id` of every document that matches, each once, sorted."""
    pages = cluster.pages(index, {"query": query, "_source": ["event.id"]})
    return sorted({hit["_source"]["event"]["id"] for page in pages for hit in page})


def beginning(cluster: Cluster, index: str, prefix: str) -> list[str]:
    """The first hundred ids that begin with *prefix*, sorted."""
    body = {
        "size": 100,
        "query": {"prefix": {"event.id": prefix}},
        "collapse": {"field": "event.id"},
        "sort": [{"event.id": "asc"}],
        "_source": ["event.id"],
    }
    hits = _search(cluster, index, body)["hits"]["hits"]
    return [hit["_source"]["event"]["id"] for hit in hits]


def each(cluster: Cluster, index: str, query: Mapping[str, Any]) -> dict[str, Hit]:
    """Every document that matches, by `_id`; of one that is there twice, the first."""
    found: dict[str, Hit] = {}
    for page in cluster.pages(index, {"query": query}):
        for hit in page:
            found[hit["_id"]] = min(found.get(hit["_id"], hit), hit, key=ingested)
    return found


def decided(cluster: Cluster, index: str, ids: Sequence[str]) -> dict[str, Decision]:
    """The latest decision on each of *ids* that has one."""
    latest: dict[str, Hit] = {}
    query = {"query": one_of("cyberterr.decision.finding_id", ids)}
    for page in cluster.pages(index, query):
        for hit in page:
            id = hit["_source"]["cyberterr"]["decision"]["finding_id"]
            latest[id] = max(latest.get(id, hit), hit, key=order)
    return {id: decision(hit) for id, hit in latest.items()}


def matches(query: Query, case: Case) -> bool:
    """Whether the last revision and its decision are what *query* looks for."""
    finding = case.finding
    return (
        finding.severity >= query.severity
        and (not query.families or finding.family in query.families)
        and (query.since is None or finding.end >= query.since)
        and (query.stored_since is None or case.stored >= query.stored_since)
        and (query.address is None or query.address in (finding.actor, finding.victim))
        and (query.decided is None or query.decided == (case.decision is not None))
    )


def milliseconds(moment: dt.datetime) -> str:
    """*moment* rounded down to what a `date` field keeps."""
    return time_text(moment.replace(microsecond=moment.microsecond // 1000 * 1000))


def ingested(hit: Hit) -> dt.datetime:
    """When the document of *hit* was sent."""
    return dt.datetime.fromisoformat(hit["_source"]["event"]["ingested"])


def finding(hit: Hit) -> Finding:
    """The finding of *hit*; see `from_ecs`."""
    return from_ecs(hit["_source"])


def decision(hit: Hit) -> Decision:
    """The decision of *hit*."""
    return msgspec.convert(hit["_source"]["cyberterr"]["decision"], Decision)


def order(hit: Hit) -> tuple[dt.datetime, dt.datetime, str]:
    """Sort key of decisions: older first by their time, then by when they were sent."""
    return decision(hit).time, ingested(hit), hit["_id"]


def one_of(field: str, values: Sequence[str]) -> dict[str, Any]:
    """That *field* is one of *values*."""
    return {"terms": {field: list(values)}}


def all_of(*filters: Mapping[str, Any]) -> dict[str, Any]:
    """That all *filters* match."""
    return {"bool": {"filter": filters}}


def chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    """*ids* in parts of `CHUNK`."""
    rest = iter(ids)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _last(ids: Sequence[str]) -> dict[str, Any]:
    # A document sent again after a rollover is there twice: the first one counts.
    return {
        "size": len(ids),
        "query": one_of("event.id", ids),
        "collapse": {"field": "event.id"},
        "sort": [{REVISION: "desc"}, {"event.end": "desc"}, {"event.ingested": "asc"}],
    }


def _search(cluster: Cluster, index: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 (JSON)
    return cluster.ask(Request("POST", f"/{index}/_search", body, {**_MISSING_IS_EMPTY, **WHOLE}))


def _content(document_id: str, finding_id: str) -> str:
    # As `of_finding` makes it: the beginning of the id, a hyphen, the beginning of the hash.
    return document_id.removeprefix(f"{finding_id[:24]}-")[:24]
