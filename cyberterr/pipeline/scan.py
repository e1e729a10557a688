"""Sources to findings, the whole path in one file."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.contracts import Detector, Finding, Tables, Text
from cyberterr.contracts.run import Run, Skipped
from cyberterr.contracts.store import Store
from cyberterr.errors import FOUND, OUR_OWN_ERROR, SEVEREST_FIRST, CyberterrError, StoreError
from cyberterr.pipeline import learn, notify, retention
from cyberterr.pipeline.findings import visible
from cyberterr.pipeline.indicators import informed, load
from cyberterr.pipeline.judging import Judging
from cyberterr.pipeline.sources import Engine, Reading, read_live, read_tables
from cyberterr.report import html, terminal

JUDGE_EVERY_S = 10.0
"""Live: how often closed windows are judged."""
DAY_S = 86_400.0

report_html = html.write
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
        return next((code for code in SEVEREST_FIRST if code in codes), 0)


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
    judging = _judging(settings, indicators, reading)
    span = _Span()
    _housekeeping(settings, store, reading)

    def take(tables: Tables) -> None:
        judging.add(tables)
        span.widen(tables)

    _each(read_tables(paths, settings, reading, engine=engine), take)
    findings = judging.close()
    names = tuple(str(path) for path in paths)
    return _kept(findings, settings, store, reading, judging, span, names, started)


def watch(
    interface: str,
    settings: Settings,
    store: Store | None,
    reading: Reading,
    told: Callable[[Finding], None],
    *,
    bpf: str = "",
    duration_s: int | None = None,
    engine: Engine = "auto",
    indicators: Sequence[Path] = (),
) -> Result:
    """Scan a live interface until *duration_s* or an interrupt; tell findings as windows close."""
    started = dt.datetime.now(dt.UTC)
    judging = _judging(settings, indicators, reading)
    span = _Span()
    everything: dict[str, Finding] = {}

    def tell(findings: Iterable[Finding]) -> None:
        for finding in _stored(findings, store, errors):
            everything[finding.id] = finding
            told(finding)

    errors: list[CyberterrError] = []
    due = clean = time.monotonic()

    def take(tables: Tables) -> None:
        nonlocal due, clean
        judging.add(tables)
        span.widen(tables)
        if time.monotonic() >= due:
            tell(judging.close(dt.datetime.now(dt.UTC)))
            _notified(settings, store, reading)
            due = time.monotonic() + JUDGE_EVERY_S
        if time.monotonic() >= clean:
            _housekeeping(settings, store, reading)
            clean = time.monotonic() + DAY_S

    live = read_live(interface, settings, reading, bpf=bpf, duration_s=duration_s, engine=engine)
    _each(live, take)
    tell(judging.close())
    findings = sorted(everything.values(), key=Finding.rank)
    result = _kept(findings, settings, store, reading, judging, span, (interface,), started)
    return result._replace(errors=[*result.errors, *errors])


def _each(parts: Generator[Tables, None, None], take: Callable[[Tables], None]) -> None:
    """Give every part to *take*; after an interrupt only what the reading still holds."""
    try:
        for tables in parts:
            take(tables)
    except KeyboardInterrupt:
        # It may have come while we judged: then the reading has to hear of it.
        with contextlib.suppress(StopIteration, KeyboardInterrupt):
            take(parts.throw(KeyboardInterrupt()))
            for tables in parts:
                take(tables)


def _housekeeping(settings: Settings, store: Store | None, reading: Reading) -> None:
    """Delete what the retention setting no longer allows to be kept."""
    if store is None:
        return
    try:
        removed = retention.enforce(store, settings.retention, dt.datetime.now(dt.UTC))
    except StoreError as error:
        reading.warn(f"old findings could not be deleted: {error.message}")
    else:
        for text in removed.warnings:
            reading.warn(text)


def _notified(settings: Settings, store: Store | None, reading: Reading) -> None:
    """Tell the people that the settings name; a channel that fails is a warning."""
    if store is None:
        return
    try:
        told = notify.tell(store, settings.notify, dt.datetime.now(dt.UTC))
    except StoreError as error:
        told = [f"nobody could be notified: {error.message}"]
    for text in told:
        reading.warn(text)


class _Span:
    """First and last instant of all flows."""

    first: dt.datetime | None = None
    last: dt.datetime | None = None

    def widen(self, tables: Tables) -> None:
        flows = tables.flows
        if flows.height:
            first, last = flows["start"].min(), flows["end"].max()
            assert isinstance(first, dt.datetime)  # noqa: S101 - a Datetime column
            assert isinstance(last, dt.datetime)  # noqa: S101
            self.first = min(self.first or first, first)
            self.last = max(self.last or last, last)


def _judging(settings: Settings, indicators: Sequence[Path], reading: Reading) -> Judging:
    detectors = content.detectors()
    if indicators:
        known = load(indicators, settings.site)
        detectors = informed(detectors, known)
        for text in known.warnings:
            reading.warn(text)
    return Judging(detectors, settings.site, learn.normals())


def _stored(
    findings: Iterable[Finding], store: Store | None, errors: list[CyberterrError]
) -> Iterator[Finding]:
    """*findings* as the store numbers them; a store that fails is an error and loses nothing."""
    found = list(findings)
    if store is not None and found:
        try:
            numbered = {finding.id: finding for finding in store.put(found)}
        except StoreError as error:
            errors.append(error)
        else:
            found = [numbered.get(f.id) or store.get(f.id) or f for f in found]
    yield from found


def _kept(
    findings: list[Finding],
    settings: Settings,
    store: Store | None,
    reading: Reading,
    judging: Judging,
    span: _Span,
    names: tuple[str, ...],
    started: dt.datetime,
) -> Result:
    errors = list(reading.errors)
    shown = list(_stored(findings, store, errors))
    _notified(settings, store, reading)
    hidden = 0
    if store is not None and not any(isinstance(error, StoreError) for error in errors):
        listing = visible(store, shown, dt.datetime.now(dt.UTC))
        shown, hidden = [case.finding for case in listing.cases], listing.hidden
    if judging.failed:
        errors += [CyberterrError(text, exit_code=OUR_OWN_ERROR) for text in judging.warnings]
    run = Run(
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
        warnings=tuple(reading.warnings),
        examined=judging.examined,
        skipped=tuple(Skipped(name, _reason(why)) for name, why in judging.skipped.items()),
        not_examined=_blind_spots(content.detectors(), judging.examined),
        site=settings.site,
    )
    return Result(sorted(shown, key=Finding.rank), run, errors)


def _reason(why: str) -> Text:
    return Text(why, "rien n’a encore été appris : lancez `cyberterr learn network`")


def _blind_spots(detectors: Sequence[Detector], examined: Sequence[str]) -> tuple[Text, ...]:
    spots = [spot for d in detectors if d.card.id in examined for spot in d.card.blind_spots]
    return tuple(dict.fromkeys(spots))
