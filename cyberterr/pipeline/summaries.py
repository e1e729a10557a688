"""Summaries of one detector by window: in memory, and on disk where there are too many."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from cyberterr.contracts.detector import Card
from cyberterr.pipeline.merging import merge

SHARES = 16
"""Parts on disk that are judged one after the other, where the card says what may stand apart."""

Window = dt.datetime


class Summaries:
    """What one detector has summarised so far.

    Attributes:
        size: bytes in memory.
    """

    def __init__(self, card: Card) -> None:
        self.size = 0
        self._card = card
        self._parts: dict[Window, list[pl.DataFrame]] = {}
        self._on_disk: dict[Window, list[list[Path]]] = {}

    def windows(self) -> list[Window]:
        """Windows with rows, in order."""
        return sorted(self._parts.keys() | self._on_disk.keys())

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
        """Write everything that is in memory to *folder*, and free it."""
        for window, parts in self._parts.items():
            rows = merge(self._card, parts)
            shares = range(SHARES) if self._card.apart else (0,)
            times = self._on_disk.setdefault(window, [])
            stem = f"{self._card.id}-{window:%Y%m%dT%H%M%S}-{len(times)}"
            times.append([folder / f"{stem}-{share}.parquet" for share in shares])
            for share, path in zip(shares, times[-1], strict=True):
                self._share(rows, share).write_parquet(path)
        self._parts.clear()
        self.size = 0

    def shares(self, windows: Sequence[Window]) -> Sequence[int | None]:
        """Shares in which *windows* are to be read; None alone: all at once."""
        spilled = any(window in self._on_disk for window in windows)
        return range(SHARES) if spilled and self._card.apart else (None,)

    def read(self, windows: Sequence[Window], share: int | None) -> pl.DataFrame:
        """Rows of *windows* (at least one), one per window and entity; of one *share*, or all."""
        return pl.concat([self._window(window, share) for window in windows])

    def forget(self, window: Window) -> None:
        """Drop what is known of *window*."""
        self.size -= sum(map(_size, self._parts.pop(window, ())))
        for paths in self._on_disk.pop(window, ()):
            for path in paths:
                path.unlink()

    def _window(self, window: Window, share: int | None) -> pl.DataFrame:
        if window in self._parts:
            self._compact(window)
        parts = [self._share(part, share) for part in self._parts.get(window, ())]
        for paths in self._on_disk.get(window, ()):
            wanted = paths if share is None else [paths[share]]
            parts += [pl.read_parquet(path) for path in wanted]
        return merge(self._card, parts)

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
    return int(frame.estimated_size())
