"""Run detectors over tables: summarise each part, merge, judge each window, join incidents.

Map, merge and judge are the only three steps, so the findings are the same however the input was
split and in whatever order its parts came; a run on many machines needs no second implementation.
"""

from __future__ import annotations

import bisect
import datetime as dt
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import polars as pl

from cyberterr.contracts.detector import Card, Detector, View
from cyberterr.contracts.finding import Claim, Finding
from cyberterr.contracts.flow import Tables
from cyberterr.contracts.site import Site
from cyberterr.pipeline.incidents import Subject, joined, subject
from cyberterr.pipeline.merging import shaped
from cyberterr.pipeline.summaries import Summaries, Window

LATENESS = dt.timedelta(minutes=35)
"""A flow is reported when it ends: at most the active (30 min) and idle (2 min) time-out late."""

MAX_BYTES = 96 * 2**20
"""Summaries kept in memory; beyond it the largest wait on disk until their window's turn."""

_DEFECTS = (Exception, pl.exceptions.PanicException)


@dataclass(slots=True)
class _State:
    """What one detector knows so far."""

    summaries: Summaries
    changed: set[Window] = field(default_factory=set)
    """windows with rows that were not judged yet"""
    claims: dict[Window, list[Claim]] = field(default_factory=dict)
    """what was claimed of windows that may still change"""
    open: dict[Subject, tuple[Window, Finding]] = field(default_factory=dict)
    """incidents of settled windows that may go on, with their last window"""
    told: dict[str, Finding] = field(default_factory=dict)
    """open incidents as they were last given out, by id"""


class Judging:
    """Detectors at work on one stream of tables; give it parts, ask it for findings.

    Args:
        detectors: detectors to run; those that need a learned normal and have none are skipped.
        site: what is ours.
        normals: what `learn network` kept, by the detector's id.
        lateness: how long after its end a window may still get rows.
        max_bytes: summaries kept in memory; the rest waits on disk, none is dropped. The window
            at judgement and its history must fit in memory, or a share of them where the card
            says what may stand apart.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        site: Site,
        normals: Mapping[str, pl.DataFrame],
        *,
        lateness: dt.timedelta = LATENESS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.skipped = {
            d.card.id: "nothing learned yet: run `cyberterr learn network` on a clean period"
            for d in detectors
            if d.card.needs_normal and d.card.id not in normals
        }
        """detectors that do not run, with the reason"""
        self.failed: dict[str, str] = {}
        """detectors that met a defect of their own, with the first error; the others went on"""
        self._detectors = [d for d in detectors if d.card.id not in self.skipped]
        self._site = site
        self._normals = normals
        self._lateness = lateness
        self._max_bytes = max_bytes
        self._states = self._new_states()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def examined(self) -> tuple[str, ...]:
        """Ids of the detectors that ran, without those that failed."""
        return tuple(d.card.id for d in self._detectors if d.card.id not in self.failed)

    @property
    def warnings(self) -> list[str]:
        """One line per detector that failed."""
        return [f"detector {name} failed: {why}" for name, why in self.failed.items()]

    def add(self, tables: Tables) -> None:
        """Summarise *tables*, one part of the stream, and keep only the summaries."""
        if not len(tables):
            return  # a quiet second of a live line
        for detector in self._detectors:
            try:
                self._take(detector, tables)
            except _DEFECTS as error:
                self._note(detector, error)
        sizes = {name: state.summaries.size for name, state in self._states.items()}
        if sum(sizes.values()) > self._max_bytes:
            self._to_disk(sizes)

    def close(self, now: dt.datetime | None = None) -> list[Finding]:
        """Findings that are new or changed, worst first.

        Args:
            now: time the stream has reached, aware. Windows that ended *lateness* before it are
                judged for good, and windows still open too where the card allows it. None: the
                stream is over, every window is judged, and everything is forgotten afterwards.
        """
        findings: list[Finding] = []
        for detector in self._detectors:
            findings += self._judge(detector, now)
        if now is None:
            self._states = self._new_states()
            if self._folder:
                self._folder.cleanup()
                self._folder = None
        return sorted(findings, key=Finding.rank)

    def _note(self, detector: Detector, error: BaseException) -> None:
        first_line = str(error).partition("\n")[0]
        self.failed.setdefault(detector.card.id, f"{type(error).__name__}: {first_line}")

    def _new_states(self) -> dict[str, _State]:
        return {d.card.id: _State(Summaries(d.card)) for d in self._detectors}

    def _take(self, detector: Detector, tables: Tables) -> None:
        state = self._states[detector.card.id]
        summary = detector.summarise(tables, self._site)
        if summary.height:
            state.changed.update(state.summaries.add(shaped(detector.card, summary)))

    def _to_disk(self, sizes: Mapping[str, int]) -> None:
        """Spill the largest summaries until half of what is allowed is left."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cyberterr-")
        total = sum(sizes.values())
        for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if total <= self._max_bytes // 2:
                break
            summaries = self._states[name].summaries
            summaries.spill(Path(self._folder.name))
            total -= sizes[name] - summaries.size

    def _judge(self, detector: Detector, now: dt.datetime | None) -> list[Finding]:
        card, state = detector.card, self._states[detector.card.id]
        known = state.summaries.windows()
        settled = {w for w in known if self._is_settled(card, w, now)}
        # A window is judged beside its history, so new rows there concern it too.
        concerned: set[Window] = set()
        for window in state.changed:
            first = bisect.bisect_left(known, window)
            concerned.update(known[first : bisect.bisect_right(known, window + card.history)])
        for window in sorted(concerned):
            if window in settled or card.early:
                try:
                    state.claims[window] = self._claims(detector, state, window, known)
                except _DEFECTS as error:
                    self._note(detector, error)
                state.changed.discard(window)
        findings = self._incidents(card, state, settled)
        if now is not None:
            self._forget(card, state, now)
        return findings

    def _is_settled(self, card: Card, window: Window, now: dt.datetime | None) -> bool:
        return now is None or window + card.window + self._lateness <= now

    def _claims(
        self, detector: Detector, state: _State, window: Window, known: Sequence[Window]
    ) -> list[Claim]:
        summaries = state.summaries
        before = [w for w in known if window - detector.card.history <= w < window]
        claims: list[Claim] = []
        for share in summaries.shares([window, *before]):
            rows = summaries.read([window], share)
            if not rows.height:
                continue
            view = View(
                start=window,
                window=rows,
                history=summaries.read(before, share) if before else rows.clear(),
                past=bool(before),
                site=self._site,
                normal=self._normals.get(detector.card.id),
            )
            claims += detector.judge(view)
        return sorted(claims, key=_order)

    def _incidents(self, card: Card, state: _State, settled: set[Window]) -> list[Finding]:
        final: dict[Subject, list[tuple[Window, Claim]]] = {}
        passing: dict[Subject, list[tuple[Window, Claim]]] = {}
        for window, claims in state.claims.items():
            for claim in claims:
                group = final if window in settled else passing
                group.setdefault(subject(claim), []).append((window, claim))
        news: list[Finding] = []
        for who in sorted(final.keys() | passing.keys()):
            lasting = joined(final.get(who, ()), card, self._site.sensor, state.open.get(who))
            if lasting:
                state.open[who] = lasting[-1]
            shown = joined(
                passing.get(who, ()), card, self._site.sensor, lasting[-1] if lasting else None
            )
            for _, finding in [*lasting[:-1], *shown]:
                # While a window is open its counts grow all the time: only a worse
                # severity is news then, the rest is told when the window settles.
                news += self._news(state, finding, whole=who in final)
        for window in settled:
            state.claims.pop(window, None)
        return news

    def _news(self, state: _State, finding: Finding, *, whole: bool) -> list[Finding]:
        told = state.told.get(finding.id)
        if told is not None:
            worse = finding.severity > told.severity
            same = msgspec.structs.replace(finding, revision=told.revision, kind=told.kind) == told
            if same or not (whole or worse):
                return []
            finding = msgspec.structs.replace(
                finding, revision=told.revision + 1, kind="alert" if worse else "event"
            )
        state.told[finding.id] = finding
        return [finding]

    def _forget(self, card: Card, state: _State, now: dt.datetime) -> None:
        oldest = now - self._lateness - card.window
        state.changed.difference_update(state.summaries.forget(oldest - card.history))
        for who, (last, _) in list(state.open.items()):
            if last + card.window + card.gap < oldest:
                del state.open[who]
        alive = {finding.id for _, finding in state.open.values()}
        # An incident only seen in open windows has no place in `open` yet.
        recent = oldest - card.gap
        state.told = {
            name: finding
            for name, finding in state.told.items()
            if name in alive or finding.end >= recent
        }


def _order(claim: Claim) -> tuple[str, str, str, str, dt.datetime]:
    """The same whether a window was judged at once or in shares."""
    return claim.rule, claim.actor or "", claim.victim or "", claim.scope, claim.start
