"""A table of counts and estimates: Markdown for documents, plain values for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from cyberterr.contracts.rate import wilson
from cyberterr.pipeline import roc
from cyberterr.pipeline.roc import Estimate


class Count(NamedTuple):
    """So many of so many, with the 95 % interval of the share."""

    hits: int
    trials: int
    low: float
    high: float


def of_one_source(hits: int, trials: int) -> Count:
    """With Wilson's interval: every trial is one of its own."""
    return Count(hits, trials, *wilson(hits, trials))


def of_many(sources: Sequence[str], hits: Sequence[bool]) -> Count:
    """With the interval when whole sources are drawn anew: trials of one source are alike."""
    _, low, high = roc.share(sources, hits)
    return Count(sum(hits), len(hits), low, high)


Cell = str | int | float | Estimate | Count


class Table(NamedTuple):
    """Rows under a title, as the documents quote them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def document(self) -> dict[str, object]:
        """As plain values, for JSON."""
        rows = [dict(zip(self.columns, map(_plain, row), strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows}

    def markdown(self) -> str:
        """As a Markdown table."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        body = "\n".join(f"| {' | '.join(map(_shown, line))} |" for line in lines)
        return f"### {self.title}\n\n{body}\n"


def _plain(cell: Cell) -> object:
    if isinstance(cell, (Count, Estimate)):
        return {name: _plain(value) for name, value in cell._asdict().items()}
    return None if isinstance(cell, float) and math.isnan(cell) else cell


def _shown(cell: Cell) -> str:
    if isinstance(cell, Count):
        if not cell.trials:
            return "–"
        return f"{cell.hits} of {cell.trials} ({cell.low:.0%}-{cell.high:.0%})"
    if isinstance(cell, Estimate):
        return (
            "–" if math.isnan(cell.value) else f"{cell.value:.3f} [{cell.low:.3f}-{cell.high:.3f}]"
        )
    if isinstance(cell, float):
        return "–" if math.isnan(cell) else f"{cell:.3f}"
    return str(cell).replace("|", "/").replace("\n", " ")
