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
from cyberterr.pipeline.merging import merge, shaped

LATENESS = dt.timedelta(minutes=35)
"""A flow is reported when it ends: at most the active (30 min) and idle (2 min) time-out late."""

MAX_BYTES = 64 * 2**20
"""Summaries a detector keeps in memory; beyond it they wait on disk until their window's turn."""

_DEFECTS = (Exception, pl.exceptions.PanicException)

Window = dt.datetime


@dataclass(slots=True)
class _State:
    """What one detector knows so far."""

    parts: dict[Window, list[pl.DataFrame]] = field(default_factory=dict)
    on_disk: dict[Window, list[Path]] = field(default_factory=dict)
    size: int = 0
    """bytes in memory"""
    changed: set[Window] = field(default_factory=set)
    """windows with rows that were not judged yet"""
    claims: dict[Window, list[Claim]] = field(default_factory=dict)
    """what was claimed of windows that may still change"""
    open: dict[Subject, tuple[Window, Finding]] = field(default_factory=dict)
    """incidents of settled windows that may go on, with their last window"""
    told: dict[str, Finding] = field(default_factory=dict)
    """open incidents as they were last given out, by id"""

    def windows(self) -> list[Window]:
        return sorted(self.parts.keys() | self.on_disk.keys())


def _size(frame: pl.DataFrame) -> int:
    return int(frame.estimated_size())


class Judging:
    """Detectors at work on one stream of tables; give it parts, ask it for findings.

    Args:
        detectors: detectors to run; those that need a learned normal and have none are skipped.
        site: what is ours.
        normals: what `learn network` kept, by the detector's id.
        lateness: how long after its end a window may still get rows.
        max_bytes: summaries per detector kept in memory; the rest waits on disk, none is dropped.
            The window at judgement and its history must fit in memory.
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
        self._states = {d.card.id: _State() for d in self._detectors}
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
        for detector in self._detectors:
            try:
                self._take(detector, tables)
            except _DEFECTS as error:
                self._note(detector, error)

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
            self._states = {d.card.id: _State() for d in self._detectors}
            if self._folder:
                self._folder.cleanup()
                self._folder = None
        return sorted(findings, key=Finding.rank)

    def _note(self, detector: Detector, error: BaseException) -> None:
        first_line = str(error).partition("\n")[0]
        self.failed.setdefault(detector.card.id, f"{type(error).__name__}: {first_line}")

    def _take(self, detector: Detector, tables: Tables) -> None:
        card, state = detector.card, self._states[detector.card.id]
        summary = detector.summarise(tables, self._site)
        if not summary.height:
            return
        for (window,), part in shaped(card, summary).partition_by("window", as_dict=True).items():
            parts = state.parts.setdefault(window, [])
            parts.append(part)
            state.size += _size(part)
            state.changed.add(window)
            # Doubling keeps the cost of merging linear in the rows that come.
            if sum(p.height for p in parts[1:]) >= parts[0].height:
                self._compact(card, state, window)
        if state.size > self._max_bytes:
            self._to_disk(card, state)

    def _compact(self, card: Card, state: _State, window: Window) -> None:
        parts = state.parts[window]
        if len(parts) > 1:
            whole = merge(card, parts)
            state.size += _size(whole) - sum(_size(part) for part in parts)
            state.parts[window] = [whole]

    def _to_disk(self, card: Card, state: _State) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cyberterr-")
        for window, parts in state.parts.items():
            paths = state.on_disk.setdefault(window, [])
            stamp = f"{window:%Y%m%dT%H%M%S}"
            path = Path(self._folder.name) / f"{card.id}-{stamp}-{len(paths)}.parquet"
            merge(card, parts).write_parquet(path)
            paths.append(path)
        state.parts.clear()
        state.size = 0

    def _summary(self, card: Card, state: _State, windows: Sequence[Window]) -> pl.DataFrame:
        frames: list[pl.DataFrame] = []
        for window in windows:
            if window in state.parts:
                self._compact(card, state, window)
            parts = [*state.parts.get(window, ())]
            parts += [pl.read_parquet(path) for path in state.on_disk.get(window, ())]
            frames.append(merge(card, parts))
        return pl.concat(frames)

    def _judge(self, detector: Detector, now: dt.datetime | None) -> list[Finding]:
        card, state = detector.card, self._states[detector.card.id]
        known = state.windows()
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
        card = detector.card
        rows = self._summary(card, state, [window])
        before = [w for w in known if window - card.history <= w < window]
        view = View(
            start=window,
            window=rows,
            history=self._summary(card, state, before) if before else rows.clear(),
            site=self._site,
            normal=self._normals.get(card.id),
        )
        return list(detector.judge(view))

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
        for window in state.windows():
            if window < oldest - card.history:
                state.size -= sum(_size(part) for part in state.parts.pop(window, ()))
                for path in state.on_disk.pop(window, ()):
                    path.unlink()
                state.changed.discard(window)
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
