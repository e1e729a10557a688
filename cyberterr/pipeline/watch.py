"""A live interface to findings, for minutes or for months, in bounded memory."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cyberterr.config import Settings
from cyberterr.contracts import Finding, Tables
from cyberterr.contracts.store import Store
from cyberterr.errors import SourceError, StoreError
from cyberterr.pipeline.findings import visible
from cyberterr.pipeline.forward import Counted, sending
from cyberterr.pipeline.pace import Pace
from cyberterr.pipeline.scan import (
    Result,
    Span,
    ended,
    in_turn,
    judging_of,
    run_of,
    stored,
    undisturbed,
)
from cyberterr.pipeline.sources import Engine, Reading, read_live
from cyberterr.pipeline.upkeep import upkeep
from cyberterr.report.text import Lang, say
from cyberterr.report.words import SEVERITY

JUDGE_EVERY_S = 10.0
"""How often closed windows are judged."""
COUNT_EVERY_S = 3600.0
"""How often the cluster is told what was read."""
MOST_LISTED = 1_000
"""Findings kept in memory for the list at the end."""
LATE_S = 5.0
"""Lag from which on a person should know of it."""

Told = Callable[[Finding], None]


def watch(
    interface: str,
    settings: Settings,
    opened: Callable[[], Store] | None,
    reading: Reading,
    told: Told,
    *,
    bpf: str = "",
    duration_s: int | None = None,
    engine: Engine = "auto",
    indicators: Sequence[Path] = (),
) -> Result:
    """Scan a live interface until *duration_s* or an interrupt; tell findings as windows close.

    The result lists the worst `MOST_LISTED` findings and says how many more there were.

    Args:
        interface: as in `ip link`.
        settings: what is ours, who is told, what is kept.
        opened: opens the store; None keeps nothing.
        reading: filled while the scan runs; a capture that ends by itself is in its errors.
        told: takes each finding and each later revision of it, suppressed ones left out.
        bpf: capture filter (pcap-filter(7)).
        duration_s: seconds until it ends; None goes on until an interrupt.
        engine: `pyshark` dissects with tshark, at most some hundred packets a second.
        indicators: files of known bad addresses and names.

    Raises:
        MissingPartError: dumpcap is absent or may not capture.
        UsageError: the filter or the settings are wrong.
    """
    started = dt.datetime.now(dt.UTC)
    judging = judging_of(settings, indicators, reading)
    span, pace = Span(), Pace()
    store = opened() if opened else None
    telling = Telling(store, reading, told)
    counted = Counted(store, settings.site.sensor)
    reading.changed = pace.look
    due = time.monotonic() + JUDGE_EVERY_S
    hour = time.monotonic() + COUNT_EVERY_S

    def take(tables: Tables) -> None:
        nonlocal due, hour
        judging.add(tables)
        span.widen(tables)
        if time.monotonic() >= due:
            with undisturbed() as held:
                if telling.tell(judging.close(dt.datetime.now(dt.UTC))):
                    ask()
                    send()
            for text in judging.warnings:
                reading.warn(text)
            due = time.monotonic() + JUDGE_EVERY_S
            if held:
                raise KeyboardInterrupt
        if time.monotonic() >= hour:
            hour += COUNT_EVERY_S
            run = run_of(
                settings, reading, judging, span, (interface,), started, hidden=telling.hidden
            )
            counted.add(run, telling.count, reading.warn)
            send()

    live = read_live(interface, settings, reading, bpf=bpf, duration_s=duration_s, engine=engine)
    with contextlib.ExitStack() as beside:
        ask = send = _nobody
        if opened:
            ask = beside.enter_context(upkeep(opened, settings, reading.warn))
            send = beside.enter_context(sending(opened, settings.elastic, reading.warn))
        try:
            in_turn(live, take)
        except SourceError as error:
            reading.errors.append(error)
        with undisturbed():
            telling.tell(judging.close())
    if pace.worst_lag_s > LATE_S:
        reading.warn(f"it was up to {pace.worst_lag_s:.0f} s behind the traffic")
    if telling.left_out:
        reading.warn(
            f"the worst {MOST_LISTED} findings are listed; {telling.left_out} more were told as "
            f"they came{'' if store is None else ': cyberterr findings list'}"
        )
    return ended(
        telling.worst(), settings, store, reading, judging, span, (interface,), started,
        hidden=telling.hidden, left_out=telling.left_out, counted=counted,
    )  # fmt: skip


def headline(finding: Finding, lang: Lang) -> str:
    """One line for a log: how severe, what, and where to read more."""
    colon = " : " if lang == "fr" else ": "
    what = f"{say(SEVERITY[finding.severity], lang)}{colon}{say(finding.title, lang)}"
    return f"{what} (cyberterr findings show {finding.id[:12]})"


class Telling:
    """Stores findings, tells those that no suppression covers, and keeps the worst of them.

    Attributes:
        left_out: findings told and no longer among the worst; one that rises in severity after
            it fell out counts twice.
        hidden: findings that a suppression covered when they came.
    """

    def __init__(
        self, store: Store | None, reading: Reading, told: Told, *, most: int = MOST_LISTED
    ) -> None:
        self.left_out = self.hidden = 0
        self._store, self._reading, self._told, self._most = store, reading, told, most
        self._kept: dict[str, Finding] = {}

    def tell(self, findings: Iterable[Finding]) -> bool:
        """Store and tell *findings*; whether there was one."""
        found = stored(findings, self._store, self._reading)
        shown = self._not_suppressed(found)
        alerts = {finding.id for finding in found if finding.kind == "alert"}
        self.hidden += len(alerts - {finding.id for finding in shown})
        for finding in shown:
            self._keep(finding)
            self._told(finding)
        return bool(found)

    @property
    def count(self) -> int:
        """How many findings were told."""
        return len(self._kept) + self.left_out

    def worst(self) -> list[Finding]:
        """What is kept, worst first."""
        return sorted(self._kept.values(), key=Finding.rank)

    def _not_suppressed(self, found: list[Finding]) -> list[Finding]:
        if self._store is None or not found:
            return found
        try:
            cases = visible(self._store, found, dt.datetime.now(dt.UTC)).cases
        except StoreError:  # already told by `stored`; then rather too much than nothing
            return found
        return [case.finding for case in cases]

    def _keep(self, finding: Finding) -> None:
        self._kept[finding.id] = finding
        if len(self._kept) > self._most:
            mildest = max(self._kept.values(), key=Finding.rank)
            del self._kept[mildest.id]
            self.left_out += mildest is not finding or finding.kind == "alert"


def _nobody() -> None:
    """Nothing is stored, so nobody is to be told."""
