"""Learn what is normal here: a clean period of traffic becomes one frame per learning detector."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import polars as pl

from cyberterr import content
from cyberterr.config import Settings, home
from cyberterr.contracts import Detector, LearningDetector
from cyberterr.errors import SourceError, UsageError
from cyberterr.pipeline.merging import merge, shaped
from cyberterr.pipeline.sources import Reading, read_tables

MIN_WINDOWS = 24
"""windows with traffic; below a day of them what is usual cannot be told from chance"""

_PROVENANCE = "provenance.json"


class Learned(NamedTuple):
    """What one run of `learn` kept."""

    folder: Path
    detectors: tuple[str, ...]
    windows: int
    first: dt.datetime
    last: dt.datetime


def folder() -> Path:
    """Where the learned normal lies: `normal/` in the data folder."""
    return home() / "normal"


def learners(detectors: Iterable[Detector]) -> list[LearningDetector]:
    """Those of *detectors* that compare with a clean period."""
    return [cast(LearningDetector, d) for d in detectors if hasattr(d, "learn")]


def learn(paths: Sequence[str | Path], settings: Settings, reading: Reading) -> Learned:
    """Fit every learning detector on *paths*, a period known to be clean, and keep the result.

    Raises:
        SourceError: a source could not be read; a period with holes is not learned from.
        UsageError: the period has fewer than MIN_WINDOWS windows.
    """
    chosen = learners(content.detectors())
    parts: dict[str, list[pl.DataFrame]] = {d.card.id: [] for d in chosen}
    for tables in read_tables(paths, settings, reading):
        for detector in chosen:
            kept = parts[detector.card.id]
            kept.append(shaped(detector.card, detector.summarise(tables, settings.site)))
            if len(kept) > 1 and sum(p.height for p in kept[1:]) >= kept[0].height:
                parts[detector.card.id] = [merge(detector.card, kept)]
    if reading.errors:
        raise SourceError(
            f"nothing was learned, since a source could not be read: {reading.errors[0].message}",
            hint="learn from sources that are whole",
            where=reading.errors[0].where,
        )
    whole = {d.card.id: merge(d.card, parts[d.card.id]) for d in chosen if parts[d.card.id]}
    windows = (
        pl.concat(
            [
                pl.Series("window", [], pl.Datetime("ns", "UTC")),
                *(frame["window"] for frame in whole.values()),
            ]
        )
        .unique()
        .sort()
    )
    if len(windows) < MIN_WINDOWS:
        raise UsageError(
            f"the clean period has traffic in {len(windows)} hours, at least {MIN_WINDOWS} are "
            "needed to tell what is usual",
            hint="give a longer capture or several days of logs, and name the own networks in "
            "[site] networks where they are public addresses",
        )
    first, last = windows[0], windows[-1]
    target = folder()
    target.mkdir(parents=True, exist_ok=True)
    for detector in chosen:
        normal = detector.learn(whole[detector.card.id], settings.site)
        normal.write_parquet(target / f"{detector.card.id}.parquet")
    provenance = {
        "learned": dt.datetime.now(dt.UTC).isoformat(),
        "first_window": first.isoformat(),
        "last_window": last.isoformat(),
        "windows": len(windows),
        "sources": {str(path): _digest(Path(path)) for path in paths},
        "detectors": {name: frame.height for name, frame in whole.items()},
    }
    (target / _PROVENANCE).write_text(json.dumps(provenance, indent=2), encoding="utf-8")
    return Learned(target, tuple(whole), len(windows), first, last)


def normals() -> dict[str, pl.DataFrame]:
    """What was learned, by the detector's id; empty before `learn`.

    Raises:
        UsageError: a kept frame cannot be read.
    """
    found: dict[str, pl.DataFrame] = {}
    for path in sorted(folder().glob("*.parquet")):
        try:
            found[path.stem] = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise UsageError(
                f"the learned normal cannot be read: {error}",
                hint="learn again: cyberterr learn network SOURCE...",
                where=str(path),
            ) from None
    return found


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder in the order of their names."""
    total = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if not file.is_file():
            continue
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()
