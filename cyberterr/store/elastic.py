"""The store of several people: data streams of Elasticsearch, written through the local outbox."""

from __future__ import annotations

import datetime as dt
import getpass
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from cyberterr.config import Elastic
from cyberterr.contracts.documents import (
    Document,
    of_decision,
    of_finding,
    of_notice,
    of_suppression,
    stream,
    time_text,
)
from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Case, Decision, Erased, Notice, Query, Suppression
from cyberterr.elastic.cluster import Cluster
from cyberterr.elastic.refusal import ClusterError, Outcome
from cyberterr.elastic.templates import installed
from cyberterr.errors import StoreError
from cyberterr.store import delivery, outbox, search, sender, spool
from cyberterr.store.connection import opened, transaction
from cyberterr.store.delivery import READABLE
from cyberterr.store.revisions import Kept, as_kept, revised
from cyberterr.store.search import Hit, all_of, one_of

MAY_DELETE = (
    "erasing needs the privilege delete on logs-cyberterr.*-*, which our keys do not have; "
    "the cluster itself deletes what is over its days"
)


class ElasticStore:
    """The `Store` in the data streams `logs-cyberterr.*-NAMESPACE` of a cluster.

    What is written is committed to the outbox first: where the cluster takes nothing, it waits
    there and StoreError says so. Two programs that revise an incident at the same moment may give
    two revisions one number; then the one that covers more of it counts.

    Args:
        cluster: where documents live; closed with the store.
        outbox_path: the local store file that has the outbox; the spool lies beside it.
        settings: `[elastic]`: last part of the streams' names, and what may wait how long.

    Attributes:
        warnings: what went wrong without stopping anything, for the caller to show.
    """

    def __init__(self, cluster: Cluster, outbox_path: Path, settings: Elastic) -> None:
        self.cluster = cluster
        self.warnings: list[str] = []
        self._outbox_path = outbox_path
        self._settings = settings
        self._findings = stream("cyberterr.finding", settings.namespace)
        self._decisions = stream("cyberterr.decision", settings.namespace)
        self._notices = stream("cyberterr.notice", settings.namespace)
        self._checked = self._made = False

    def __enter__(self) -> ElasticStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the cluster."""
        self.cluster.close()

    def put(self, findings: Iterable[Finding]) -> list[Finding]:
        """See `Store.put`; kept aside means a file beside the outbox, named like it plus .spool."""
        wanted, file = list(findings), spool.beside(self._outbox_path)
        try:
            self._settle()
            if warning := spool.taken_in(file, self._insert):
                self.warnings.append(warning)
            fresh = self._revised(wanted)
        except StoreError as error:
            raise spool.aside(file, wanted, error) from error
        self._write([of_finding(finding) for finding in fresh])
        return fresh

    def get(self, finding_id: str) -> Finding | None:
        """See `Store.get`."""
        found = self._cases([finding_id])
        return found[0].finding if found else None

    def latest(self, ids: Iterable[str]) -> dict[str, Finding]:
        """See `Store.latest`."""
        cases = (case for chunk in search.chunks(list(ids)) for case in self._cases(chunk))
        return {case.finding.id: case.finding for case in cases}

    def ids(self, prefix: str) -> list[str]:
        """See `Store.ids`."""
        self._check()
        return search.beginning(self.cluster, self._findings, prefix)

    def revisions(self, finding_id: str) -> list[Finding]:
        """See `Store.revisions`."""
        self._check()
        hits = search.each(self.cluster, self._findings, one_of("event.id", [finding_id]))
        kept = [f for hit in hits.values() if (f := self._read(hit)) is not None]
        return sorted(kept, key=lambda f: (f.revision, f.end, f.windows))

    def find(self, query: Query) -> list[Case]:
        """See `Store.find`; in memory are the ids that may match and the cases that do."""
        self._check()
        cases: list[Case] = []
        for chunk in search.chunks(search.matching(self.cluster, self._findings, query)):
            decided = search.decided(self.cluster, self._decisions, chunk)
            for case in self._cases(chunk):
                case = msgspec.structs.replace(case, decision=decided.get(case.finding.id))
                if search.matches(query, case):
                    cases.append(case)
        return sorted(cases, key=lambda case: case.finding.rank())

    def decide(self, decision: Decision) -> None:
        """See `Store.decide`."""
        self._settle()
        finding = self.get(decision.finding_id)
        if finding is None:
            raise KeyError(decision.finding_id)
        self._write([of_decision(decision, finding)])

    def decisions(self, finding_id: str) -> list[Decision]:
        """See `Store.decisions`; of equal times the one that was sent first is the older."""
        self._check()
        query = one_of("cyberterr.decision.finding_id", [finding_id])
        hits = search.each(self.cluster, self._decisions, query)
        return [search.decision(hit) for hit in sorted(hits.values(), key=search.order)]

    def suppress(self, suppression: Suppression) -> None:
        """See `Store.suppress`."""
        self._settle()
        self._write([of_suppression(suppression)])

    def suppressions(self) -> list[Suppression]:
        """See `Store.suppressions`."""
        self._check()
        hits = search.each(
            self.cluster, self._decisions, {"exists": {"field": "cyberterr.suppression.id"}}
        )
        made: dict[str, Suppression] = {}
        lifted = set()
        for hit in sorted(hits.values(), key=search.ingested):
            one = msgspec.convert(hit["_source"]["cyberterr"]["suppression"], Suppression)
            if hit["_source"]["event"]["action"] == "suppression-lifted":
                lifted.add(one.id)
            else:
                made[one.id] = one
        return [one for id, one in made.items() if id not in lifted]

    def unsuppress(self, suppression_id: str) -> bool:
        """See `Store.unsuppress`; that it was lifted is a document too, by the system's user."""
        self._settle()
        by = getpass.getuser(), dt.datetime.now(dt.UTC)
        found = [one for one in self.suppressions() if one.id == suppression_id]
        self._write([of_suppression(one, lifted=by) for one in found])
        return bool(found)

    def notices(self, channel: str) -> Mapping[str, Notice]:
        """See `Store.notices`."""
        self._check()
        return self._told(one_of("cyberterr.notice.channel", [channel]))

    def notice(self, new: Notice, old: Notice | None) -> bool:
        """See `Store.notice`; what replaces *old* has one id, which the cluster creates once.

        In the moment of a rollover two may win: ids are unique in one backing index only.
        """
        self._settle()
        same = all_of(
            one_of("cyberterr.notice.finding_id", [new.finding_id]),
            one_of("cyberterr.notice.channel", [new.channel]),
        )
        if self._told(same).get(new.finding_id) != old or not self._exists(new.finding_id):
            return False
        document = of_notice(new, old)
        ingested = time_text(dt.datetime.now(dt.UTC))
        encoded = outbox.encoded(document.body)
        body = sender.stamped(document.dataset, encoded, self._settings, ingested)
        [outcome] = self.cluster.create([(self._notices, document.id, body)], refresh=READABLE)
        self._must_be_done([outcome])
        return outcome.status != 409

    def erase(self, before: dt.datetime) -> Erased:
        """See `Store.erase`; to within a millisecond.

        The cluster finds what is deleted no more, and frees its disks of it when it next merges.
        """
        self._settle()
        limit = search.milliseconds(before)
        aged = {"range": {"event.ingested": {"lte": limit}}}
        newer = {"range": {"event.ingested": {"gt": limit}}}
        findings = decisions = 0
        for chunk in search.chunks(search.ids(self.cluster, self._findings, aged)):
            going_on = all_of(newer, one_of("event.id", chunk))
            gone = sorted({*chunk} - {*search.ids(self.cluster, self._findings, going_on)})
            decided = one_of("cyberterr.decision.finding_id", gone)
            decisions += len(self._delete(self._decisions, decided))
            self._delete(self._notices, one_of("cyberterr.notice.finding_id", gone))
            # Findings last: what fails before is found again the next time.
            self._delete(self._findings, one_of("event.id", gone))
            with opened(self._outbox_path) as db, transaction(db):
                outbox.forget(db, gone)  # dead letters about them
            findings += len(gone)
        suppressions = sum(one.expires <= before for one in self.suppressions())
        expired = {"range": {"cyberterr.suppression.expires": {"lte": limit}}}
        self._delete(self._decisions, expired)
        return Erased(findings=findings, decisions=decisions, suppressions=suppressions)

    def _check(self) -> None:
        if not self._checked:
            streams = (self._findings, self._decisions, self._notices)
            self._made = search.check_mapping(self.cluster, streams)
            self._checked = True

    def _settle(self) -> None:
        """Be sure that documents are mapped rightly, and that none of ours waits any more."""
        self._check()
        if not self._made and installed(self.cluster) == 0:
            raise search.setup_first(self.cluster, "it has no templates of ours")
        self._made = True
        delivery.deliver(self._outbox_path, self.cluster, self._settings)

    def queue(self, documents: Sequence[Document]) -> None:
        """Send *documents* that are no part of the store too, such as `of_run`."""
        self._settle()
        self._write(documents)

    def _write(self, documents: Sequence[Document]) -> None:
        delivery.write(self._outbox_path, self.cluster, self._settings, documents)

    def _insert(self, findings: Sequence[Finding]) -> None:
        self._write([of_finding(finding) for finding in self._revised(findings)])

    def _revised(self, findings: Sequence[Finding]) -> list[Finding]:
        """What of *findings* is new or revised, as it is to be written."""
        known = search.kept(self.cluster, self._findings, list({f.id: 1 for f in findings}))
        fresh = []
        for finding in map(as_kept, findings):
            last = known.get(finding.id)
            if (new := revised(finding, last)) is not None:
                fresh.append(new)
                known[new.id] = Kept.of(new, last)
        return fresh

    def _exists(self, finding_id: str) -> bool:
        return bool(search.last(self.cluster, self._findings, [finding_id]))

    def _cases(self, ids: Sequence[str]) -> list[Case]:
        """The last revisions of *ids*, without decisions."""
        self._check()
        return [
            Case(finding=finding, stored=search.ingested(hit))
            for hit in search.last(self.cluster, self._findings, ids)
            if (finding := self._read(hit)) is not None
        ]

    def _read(self, hit: Hit) -> Finding | None:
        try:
            return search.finding(hit)
        except (msgspec.ValidationError, LookupError, TypeError, AttributeError) as error:
            where = f"{hit['_index']}/{hit['_id']}"
            self.warnings.append(f"{where}: no finding that this version can read: {error!r}")
            return None

    def _told(self, query: Mapping[str, object]) -> dict[str, Notice]:
        """The last notice of each finding: the one that no other replaces."""
        told = {
            id: msgspec.convert(hit["_source"]["cyberterr"]["notice"], Notice)
            for id, hit in search.each(self.cluster, self._notices, query).items()
        }
        ends = (one for one in told.values() if of_notice(one, one).id not in told)
        return {one.finding_id: one for one in sorted(ends, key=lambda one: one.time)}

    def _delete(self, index: str, query: Mapping[str, object]) -> set[str]:
        """Delete what matches for good; returns the `_id` of each."""
        gone: set[str] = set()
        for page in self.cluster.pages(index, {"query": query, "_source": False}):
            found = [(hit["_index"], hit["_id"]) for hit in page]
            try:
                self._must_be_done(self.cluster.delete(found, refresh=READABLE))
            except ClusterError as error:
                if error.kind == "refused":
                    error.hint = MAY_DELETE
                raise
            gone.update(hit["_id"] for hit in page)
        return gone

    def _must_be_done(self, outcomes: Iterable[Outcome]) -> None:
        for one in outcomes:
            if one.kind != "delivered":
                verb = "is not ready" if one.kind == "weather" else "refuses"
                message = f"the cluster {verb}: {one.reason}"
                where = self.cluster.url
                raise ClusterError(message, kind=one.kind, status=one.status, where=where)
