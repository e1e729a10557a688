"""The progress bar of a scan: on stderr, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyberterr.pipeline.sources import Reading


@contextmanager
def progress(reading: Reading, *, quiet: bool) -> Iterator[None]:
    """Show bytes, packets, flows, rate and time left of *reading* while the block runs."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(bar_width=20),
        DownloadColumn(),
        TextColumn("{task.fields[packets]:,} packets, {task.fields[flows]:,} flows"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, packets=0, flows=0, rate=0)

        def show(now: Reading) -> None:
            total = now.bytes_total
            # Compressed sources give more bytes than lie on disk: then there is no honest total.
            known = total if total is not None and now.bytes <= total else None
            bar.update(
                task,
                total=known,
                completed=now.bytes,
                packets=now.packets,
                flows=now.flows,
                rate=(now.packets or now.flows) / max(0.001, time.monotonic() - started),
            )

        reading.changed = show
        yield
