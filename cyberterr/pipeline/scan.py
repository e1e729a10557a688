"""Sources to findings, the whole path in one file."""

from __future__ import annotations

import contextlib
import datetime as dt
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import msgspec

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.contracts import Detector, Finding, Tables, Text
from cyberterr.contracts.run import Run, Skipped
from cyberterr.contracts.store import Store
from cyberterr.errors import (
    FOUND,
    OUR_OWN_ERROR,
    SEVEREST_FIRST,
    USAGE,
    CyberterrError,
    StoreError,
)
from cyberterr.pipeline import learn, report_path
from cyberterr.pipeline.findings import visible
from cyberterr.pipeline.forward import Counted, flush
from cyberterr.pipeline.indicators import informed, load
from cyberterr.pipeline.judging import Judging
from cyberterr.pipeline.sources import Engine, Reading, read_tables
from cyberterr.pipeline.upkeep import clean, tell
from cyberterr.report import html, terminal
from cyberterr.store.revisions import as_kept

report_html = html.write
check_report = report_path.check
show = terminal.show


class Result(NamedTuple):
    """What a scan ends with."""

    findings: list[Finding]
    """worst first, suppressed ones left out and counted in `run`"""
    run: Run
    errors: list[CyberterrError]

    def exit_code(self, fail_on: int | None = None) -> int:
        """The severest of what happened; FOUND where a finding reaches *fail_on*."""
        codes = {error.exit_code for error in self.errors}
        if fail_on is not None and any(f.severity >= fail_on for f in self.findings):
            codes.add(FOUND)
        severest = next((code for code in SEVEREST_FIRST if code in codes), 0)
        # A report that cannot be written is a wrong call that shows only at the end.
        return USAGE if USAGE in codes and severest in (0, FOUND) else severest


def scan(
    paths: Sequence[str | Path],
    settings: Settings,
    store: Store | None,
    reading: Reading,
    *,
    engine: Engine = "auto",
    indicators: Sequence[Path] = (),
) -> Result:
    """Read *paths*, judge, keep the findings in *store* and give those not suppressed.

    An interrupt (Ctrl-C) ends the reading; what was read until then is judged and kept.
    """
    started = dt.datetime.now(dt.UTC)
    judging = judging_of(settings, indicators, reading)
    span = Span()
    if store is not None:
        clean(store, settings, reading.warn)

    def take(tables: Tables) -> None:
        judging.add(tables)
        span.widen(tables)

    in_turn(read_tables(paths, settings, reading, engine=engine), take)
    with undisturbed():
        # As they come back from a store, so that they read alike without one.
        findings = stored(map(as_kept, judging.close()), store, reading)
    names = tuple(str(path) for path in paths)
    return ended(findings, settings, store, reading, judging, span, names, started)


def in_turn(parts: Generator[Tables, None, None], take: Callable[[Tables], None]) -> None:
    """Give every one of *parts* to *take*; after an interrupt only what the reading still holds."""
    try:
        for tables in parts:
            take(tables)
    except KeyboardInterrupt:
        # It may have come while we judged: then the reading has to hear of it.
        with contextlib.suppress(StopIteration, KeyboardInterrupt):
            take(parts.throw(KeyboardInterrupt()))
            for tables in parts:
                take(tables)


@contextlib.contextmanager
def undisturbed() -> Iterator[list[int]]:
    """Hold back the first interrupt: what a detector gave must reach the store.

    A second one gets through: then a person does not want to wait. For the main thread only.

    Yields:
        A list of the signals held back so far, which the caller may raise afterwards.
    """
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if held:
            signal.default_int_handler(number, frame)
        held.append(number)

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Span:
    """First and last instant of all flows."""

    first: dt.datetime | None = None
    last: dt.datetime | None = None

    def widen(self, tables: Tables) -> None:
        """Take in the flows of *tables*."""
        flows = tables.flows
        if flows.height:
            first, last = flows["start"].min(), flows["end"].max()
            assert isinstance(first, dt.datetime)  # noqa: S101 - a Datetime column
            assert isinstance(last, dt.datetime)  # noqa: S101
            self.first = min(self.first or first, first)
            self.last = max(self.last or last, last)


def judging_of(settings: Settings, indicators: Sequence[Path], reading: Reading) -> Judging:
    """Every detector at work, with what was learned here and the known *indicators*.

    Raises:
        UsageError: a file of indicators cannot be read.
    """
    detectors = content.detectors()
    if indicators:
        known = load(indicators, settings.site)
        detectors = informed(detectors, known)
        for text in known.warnings:
            reading.warn(text)
    return Judging(detectors, settings.site, learn.normals())


def stored(findings: Iterable[Finding], store: Store | None, reading: Reading) -> list[Finding]:
    """*findings* as *store* numbers them; a store that fails is an error and loses nothing."""
    found = list(findings)
    if store is None or not found:
        return found
    try:
        numbered = {finding.id: finding for finding in store.put(found)}
        known = store.latest(f.id for f in found if f.id not in numbered)
        return [numbered.get(f.id) or known.get(f.id) or f for f in found]
    except StoreError as error:
        # A store that fails for months is one error, as it was the last time.
        reading.errors = [e for e in reading.errors if not isinstance(e, StoreError)]
        reading.errors.append(error)
        return found


def ended(
    findings: Sequence[Finding],
    settings: Settings,
    store: Store | None,
    reading: Reading,
    judging: Judging,
    span: Span,
    names: tuple[str, ...],
    started: dt.datetime,
    *,
    hidden: int = 0,
    left_out: int = 0,
    counted: Counted | None = None,
) -> Result:
    """What a scan that found *findings*, all stored, ends with; people are told first.

    Not among *findings* are those *hidden* by a suppression, and those *left_out* of memory; what
    was *counted* of this scan already is not counted again.
    """
    if store is not None:
        tell(store, settings, reading.warn)
    shown = list(findings)
    works = store is not None and not any(isinstance(e, StoreError) for e in reading.errors)
    if store is not None and works:
        listing = visible(store, shown, dt.datetime.now(dt.UTC))
        shown, hidden = [case.finding for case in listing.cases], hidden + listing.hidden
    run = run_of(settings, reading, judging, span, names, started, hidden=hidden)
    if store is not None and works:
        counted = counted or Counted(store, settings.site.sensor)
        counted.add(run, len(findings) + left_out, reading.warn)
        flush(store, settings.elastic, reading.warn)
        run = msgspec.structs.replace(run, warnings=_warnings(reading))
    errors = list(reading.errors)
    if judging.failed:
        errors += [CyberterrError(text, exit_code=OUR_OWN_ERROR) for text in judging.warnings]
    return Result(sorted(shown, key=Finding.rank), run, errors)


def run_of(
    settings: Settings,
    reading: Reading,
    judging: Judging,
    span: Span,
    names: tuple[str, ...],
    started: dt.datetime,
    *,
    hidden: int,
) -> Run:
    """What a scan has done until now."""
    return Run(
        sources=names,
        started=started,
        seconds=(dt.datetime.now(dt.UTC) - started).total_seconds(),
        bytes=reading.bytes,
        packets=reading.packets,
        flows=reading.flows,
        first=span.first,
        last=span.last,
        evicted=reading.evicted,
        dropped=reading.dropped,
        suppressed=hidden,
        warnings=_warnings(reading),
        examined=judging.examined,
        skipped=tuple(Skipped(name, _reason(why)) for name, why in judging.skipped.items()),
        not_examined=_blind_spots(content.detectors(), judging.examined),
        site=settings.site,
    )


def _warnings(reading: Reading) -> tuple[str, ...]:
    more = (f"{reading.unsaid} more warnings",) if reading.unsaid else ()
    return (*reading.warnings, *more)


def _reason(why: str) -> Text:
    return Text(why, "rien n’a encore été appris : lancez `cyberterr learn network`")


def _blind_spots(detectors: Sequence[Detector], examined: Sequence[str]) -> tuple[Text, ...]:
    spots = [spot for d in detectors if d.card.id in examined for spot in d.card.blind_spots]
    return tuple(dict.fromkeys(spots))
