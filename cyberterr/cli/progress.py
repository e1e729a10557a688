"""How far a scan is, on stderr: a bar on a terminal, lines in the journal of a service."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cyberterr.cli.options import say

if TYPE_CHECKING:
    from cyberterr.pipeline.pace import Pace
    from cyberterr.pipeline.sources import Reading
    from cyberterr.pipeline.verify import Progress

LOOK_EVERY_S = 0.25
STATUS_EVERY_S = 900.0
"""How often a live scan says how it is where no person looks at a bar."""


@contextlib.contextmanager
def progress(reading: Reading, *, quiet: bool, live: bool = False) -> Iterator[set[str]]:
    """Show how far *reading* is while the block runs.

    On a terminal a bar: bytes, packets, flows, rate and time left. A live scan instead shows the
    rate, what was lost and how late it is, and says warnings and errors as they come, because
    its end may be months away; without a terminal it says a status line every `STATUS_EVERY_S`.

    Yields:
        The warnings and errors that were said already; it grows while the block runs.
    """
    said: set[str] = set()
    terminal = sys.stderr.isatty()
    if quiet or not (terminal or live):
        yield said
        return
    from cyberterr.pipeline.pace import Pace

    pace, over = Pace(), threading.Event()
    with _shown(reading, pace, live=live) if terminal else _lines(reading, pace) as show:

        def look() -> None:
            while not over.wait(LOOK_EVERY_S):
                pace.look(reading)
                with contextlib.suppress(OSError):  # nobody reads stderr: no reason to stop
                    show()
                    if live:
                        _say_news(reading, said)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield said
        finally:
            over.set()
            thread.join()
            if terminal:  # a small capture is over before the first look
                pace.look(reading)
                with contextlib.suppress(OSError):
                    show()
            if live:
                _say_news(reading, said)


@contextlib.contextmanager
def watched(progress: Progress, *, quiet: bool) -> Iterator[None]:
    """Show how far the examination of recordings is while the block runs, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    over = threading.Event()
    columns = (
        TextColumn("{task.fields[status]}", markup=False),
        BarColumn(bar_width=20),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None, status="")

        def look() -> None:
            while not over.wait(LOOK_EVERY_S):
                status = f"{progress.done}/{progress.files}  {progress.heard_s:,.0f} s"
                bars.update(task, total=progress.total_s, completed=progress.heard_s, status=status)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def status(reading: Reading, pace: Pace | None = None, *, live: bool = False) -> str:
    """One line about *reading*: packets, flows, what was lost; rate and lag where they are known.

    Args:
        reading: what was read so far.
        pace: how fast; None where it is over.
        live: whether packets come as they are sent, so that there is a lag.
    """
    parts = [
        f"{reading.packets:,} packets",
        f"{reading.flows:,} flows",
        f"{reading.dropped:,} packets lost",
        f"{reading.evicted:,} flows closed early",
    ]
    if pace is not None:
        parts.append(f"{pace.per_second:,.0f}/s")
    if pace is not None and live:
        parts.append(f"{pace.lag_s:.1f} s behind, {pace.worst_lag_s:.1f} s at most")
    return ", ".join(parts)


def _say_news(reading: Reading, said: set[str]) -> None:
    errors = [f"error: {error}" for error in reading.errors]
    for text in [*(f"warning: {text}" for text in reading.warnings), *errors]:
        if text not in said:
            said.add(text)
            say(text)


@contextlib.contextmanager
def _lines(reading: Reading, pace: Pace) -> Iterator[Callable[[], None]]:
    due = time.monotonic() + STATUS_EVERY_S

    def show() -> None:
        nonlocal due
        if time.monotonic() >= due:
            say(f"{reading.source}: {status(reading, pace, live=True)}")
            pace.mark(reading)
            due += STATUS_EVERY_S

    yield show


@contextlib.contextmanager
def _shown(reading: Reading, pace: Pace, *, live: bool) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: list[ProgressColumn] = [TextColumn("{task.fields[status]}")]
    if not live:
        columns = [BarColumn(bar_width=20), DownloadColumn(), *columns, TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, status="")

        def show() -> None:
            bar.update(
                task,
                total=reading.bytes_total,
                completed=reading.bytes,
                status=status(reading, pace, live=live),
            )

        yield show
