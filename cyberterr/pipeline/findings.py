"""Findings as a person works with them: open the store, list, look closer, decide, suppress."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cyberterr.config import Elastic, Settings, home
from cyberterr.contracts.documents import to_ecs
from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Case, Decision, Query, Store, Suppression, Verdict
from cyberterr.elastic.connection import connect
from cyberterr.errors import UsageError
from cyberterr.pipeline.forward import flush as flush
from cyberterr.report.cases import hidden as hidden
from cyberterr.report.cases import scope as scope
from cyberterr.report.cases import show_list as show_list
from cyberterr.report.cases import show_one as show_one
from cyberterr.report.cases import show_suppressions as show_suppressions
from cyberterr.report.text import Lang as Lang
from cyberterr.report.text import plain as plain
from cyberterr.review import decisions, suppressions
from cyberterr.store.elastic import ElasticStore
from cyberterr.store.outbox import forward
from cyberterr.store.sqlite import SqliteStore

SQLITE = "sqlite:///"
VERDICTS = decisions.VERDICTS
SCOPES = suppressions.SCOPES


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Cases worst first, and how many of those asked for are hidden by how many suppressions."""

    cases: tuple[Case, ...]
    hidden: int
    suppressions: int


class Dossier(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept about one finding, oldest first."""

    case: Case
    revisions: tuple[Finding, ...]
    decisions: tuple[Decision, ...]


def open_store(
    url: str | None = None, settings: Settings | None = None
) -> SqliteStore | ElasticStore:
    """The store at *url*, by default `cyberterr.db` in the data folder.

    Args:
        url: `sqlite:///PATH`, or the address of a cluster: `https://HOST:9200`.
        settings: `[elastic]` says who we are at its own cluster, and at no other: there only the
            environment variable CYBERTERR_ELASTIC_API_KEY does.

    Raises:
        UsageError: the URL is none that we can open.
    """
    settings = settings or Settings()
    local = home() / "cyberterr.db"
    if url is None:
        return SqliteStore(local, forward=forward(settings.elastic))
    if url.startswith(SQLITE) and url != SQLITE:
        return SqliteStore(Path(url.removeprefix(SQLITE)))
    if url.startswith(("https://", "http://")):
        asked = access(url, settings.elastic)
        return ElasticStore(connect(asked), local, asked)
    raise UsageError(
        f"no store is called {url!r}", hint="sqlite:///PATH or https://HOST:9200", where="--store"
    )


def access(url: str, known: Elastic) -> Elastic:
    """How to reach the cluster at *url*: as *known* says where it is the same, else as nobody.

    Raises:
        UsageError: it is no address of a cluster.
    """
    try:
        asked = msgspec.convert({"url": url, "namespace": known.namespace}, Elastic)
        origin = _origin(url)
    except (msgspec.ValidationError, ValueError):  # the latter: a port that is no number
        raise UsageError(
            "that is no address of a cluster",
            hint="https://HOST:9200; who you are is said in [elastic] or the environment",
            where="--store",
        ) from None
    return known if known.url and origin == _origin(known.url) else asked


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else None)


def listing(
    store: Store, query: Query, now: dt.datetime, *, include_suppressed: bool = False
) -> Listing:
    """Cases that match *query*; suppressed ones are left out and counted, or shown and counted."""
    return _listing(store, store.find(query), now, include_suppressed)


def visible(store: Store, findings: Sequence[Finding], now: dt.datetime) -> Listing:
    """*findings*, stored or not, without those that are suppressed at *now*."""
    cases = [Case(finding=f, stored=now) for f in sorted(findings, key=Finding.rank)]
    return _listing(store, cases, now, include_suppressed=False)


def _listing(
    store: Store, cases: Sequence[Case], now: dt.datetime, include_suppressed: bool
) -> Listing:
    marked = suppressions.marked(cases, store.suppressions(), now)
    covered = [case for case in marked if case.suppressed_by]
    return Listing(
        cases=tuple(c for c in marked if include_suppressed or not c.suppressed_by),
        hidden=len(covered),
        suppressions=len({id for case in covered for id in case.suppressed_by}),
    )


def dossier(store: Store, prefix: str, now: dt.datetime) -> Dossier:
    """All about the one finding whose id begins with *prefix*.

    Raises:
        UsageError: there is none, or more than one.
    """
    finding_id = resolve(store, prefix)
    revisions = store.revisions(finding_id)
    made = store.decisions(finding_id)
    case = Case(finding=revisions[-1], stored=now, decision=made[-1] if made else None)
    [case] = suppressions.marked([case], store.suppressions(), now)
    return Dossier(case=case, revisions=tuple(revisions), decisions=tuple(made))


def resolve(store: Store, prefix: str) -> str:
    """The whole id that begins with *prefix*.

    Raises:
        UsageError: there is none, or more than one.
    """
    ids = store.ids(prefix) if prefix else []
    if prefix in ids or len(ids) == 1:
        return prefix if prefix in ids else ids[0]
    if not ids:
        raise UsageError(f"no finding has the id {prefix!r}", hint="cyberterr findings list")
    few = ", ".join(ids[:5])
    raise UsageError(f"more than one finding begins with {prefix!r}", hint=f"{few}: give more")


def decide(
    store: Store,
    prefix: str,
    verdict: Verdict,
    *,
    reason: str,
    author: str,
    now: dt.datetime,
    days: int | None = None,
    scope: Sequence[str] = (),
    network: str | None = None,
) -> tuple[Decision, Suppression | None]:
    """Record what a person made of a finding; with *days*, suppress what is like it so long.

    Raises:
        UsageError: no such finding, no reason, or a suppression that may not be; nothing is kept.
    """
    finding_id = resolve(store, prefix)
    decision = decisions.decision(finding_id, verdict, reason=reason, author=author, now=now)
    made = None
    if days is not None:
        finding = store.revisions(finding_id)[-1]
        made = suppressions.suppression(finding, decision, days=days, scope=scope, network=network)
    store.decide(decision)
    if made is not None:
        store.suppress(made)
    return decision, made


def covered_by(store: Store, suppression: Suppression) -> int:
    """How many of the findings kept *suppression* covers."""
    return sum(suppressions.covers(suppression, c.finding) for c in store.find(Query()))


def active(store: Store, now: dt.datetime) -> list[tuple[Suppression, int]]:
    """Suppressions that have not expired, oldest first, and how many findings each hides."""
    valid = [s for s in store.suppressions() if now < s.expires]
    cases = store.find(Query()) if valid else []
    return [(s, sum(suppressions.covers(s, c.finding) for c in cases)) for s in valid]


def document(case: Case) -> dict[str, Any]:
    """The ECS document of *case*, with what people made of it under `cyberterr`."""
    ecs = to_ecs(case.finding)
    if case.decision is not None:
        ecs["cyberterr"]["decision"] = {
            key: value
            for key, value in msgspec.to_builtins(case.decision).items()
            if key != "finding_id"
        }
    if case.suppressed_by:
        ecs["cyberterr"]["suppressed_by"] = list(case.suppressed_by)
    return ecs
