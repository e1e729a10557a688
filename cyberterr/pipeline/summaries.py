"""Summaries of one detector by window: in memory, and on disk where there are too many."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from cyberterr.contracts.detector import Card
from cyberterr.pipeline.merging import merge

SHARES = 16
"""Parts on disk that are judged one after the other, where the card says what may stand apart."""
ROW_GROUP = 20_000
"""Rows that are read from disk together; a file is sorted by window."""
SHARED_ROWS = 100_000
"""Rows on disk from which windows are judged in shares."""
FRAME_BYTES = 8_192
"""What the smallest frame takes, beside its rows."""
PACKED_BYTES = 3 << 20
"""Rows of many small windows stay in memory up to this: it was their frames that took the room."""

Window = dt.datetime


class _Spill(NamedTuple):
    """What was in memory at one time: one file a share, and the windows they hold."""

    paths: list[Path]
    rows: dict[Window, int]


class Summaries:
    """What one detector has summarised so far.

    Attributes:
        size: bytes in memory.
    """

    def __init__(self, card: Card) -> None:
        self.size = 0
        self._card = card
        self._parts: dict[Window, list[pl.DataFrame]] = {}
        self._packed: dict[Window, int] = {}
        self._pack: list[pl.DataFrame] = []
        self._spills: list[_Spill] = []
        self._written = 0

    def windows(self) -> list[Window]:
        """Windows with rows, in order."""
        on_disk = (spill.rows for spill in self._spills)
        return sorted(set(self._parts).union(self._packed, *on_disk))

    def add(self, part: pl.DataFrame) -> Iterable[Window]:
        """Take *part*, a shaped summary; the windows it touches."""
        by_window = part.partition_by("window", as_dict=True)
        for (window,), rows in by_window.items():
            parts = self._parts.setdefault(window, [])
            parts.append(rows)
            self.size += _size(rows)
            # Doubling keeps the cost of merging linear in the rows that come.
            if sum(p.height for p in parts[1:]) >= parts[0].height:
                self._compact(window)
        return [window for (window,) in by_window]

    def spill(self, folder: Path) -> None:
        """Write everything that is in memory to *folder*, and free it; small windows are packed."""
        if not self._parts:
            return
        rows = merge(
            self._card, [*self._pack, *(p for parts in self._parts.values() for p in parts)]
        )
        by_window = dict(rows.group_by("window").len().iter_rows())
        self._parts.clear()
        if rows.estimated_size() <= PACKED_BYTES:
            self._packed, self._pack, self.size = by_window, [rows], _size(rows)
            return
        self._packed, self._pack, self.size = {}, [], 0
        shares = range(SHARES) if self._card.apart else (0,)
        self._written += 1
        stem = f"{self._card.id}-{self._written}"
        paths = [folder / f"{stem}-{share}.parquet" for share in shares]
        for share, path in zip(shares, paths, strict=True):
            self._share(rows, share).write_parquet(path, row_group_size=ROW_GROUP)
        self._spills.append(_Spill(paths, by_window))

    def shares(self, windows: Sequence[Window]) -> Sequence[int | None]:
        """Shares in which *windows* are to be read; None alone: all at once."""
        on_disk = sum(spill.rows.get(window, 0) for spill in self._spills for window in windows)
        return range(SHARES) if on_disk >= SHARED_ROWS and self._card.apart else (None,)

    def read(self, windows: Sequence[Window], share: int | None) -> pl.DataFrame:
        """Rows of *windows* (some of `windows`, without a gap), one per window and entity.

        Args:
            windows: at least one, in order.
            share: one of `shares`; None reads all.
        """
        for window in windows:
            if window in self._parts:
                self._compact(window)
        parts = [self._share(p, share) for w in windows for p in self._parts.get(w, ())]
        wanted = pl.col("window").is_between(windows[0], windows[-1])
        parts += [self._share(pack.filter(wanted), share) for pack in self._pack]
        for spill in self._spills:
            if not spill.rows.keys().isdisjoint(windows):
                paths = spill.paths if share is None else [spill.paths[share]]
                parts += [pl.scan_parquet(path).filter(wanted).collect() for path in paths]
        return merge(self._card, parts)

    def forget(self, before: Window) -> list[Window]:
        """Drop the windows that began before *before*; which they were."""
        gone = [window for window in self.windows() if window < before]
        for window in gone:
            self.size -= sum(map(_size, self._parts.pop(window, ())))
            self._packed.pop(window, None)
            for spill in self._spills:
                spill.rows.pop(window, None)
        if gone and self._pack:
            self.size -= sum(map(_size, self._pack))
            self._pack = [pack.filter(pl.col("window") >= before) for pack in self._pack]
            self.size += sum(map(_size, self._pack))
        for path in (path for spill in self._spills if not spill.rows for path in spill.paths):
            path.unlink()
        self._spills = [spill for spill in self._spills if spill.rows]
        return gone

    def _share(self, rows: pl.DataFrame, share: int | None) -> pl.DataFrame:
        if share is None or not self._card.apart:
            return rows
        return rows.filter(pl.struct(self._card.apart).hash(seed=0) % SHARES == share)

    def _compact(self, window: Window) -> None:
        parts = self._parts[window]
        if len(parts) > 1:
            whole = merge(self._card, parts)
            self.size += _size(whole) - sum(map(_size, parts))
            self._parts[window] = [whole]


def _size(frame: pl.DataFrame) -> int:
    return int(frame.estimated_size()) + FRAME_BYTES
