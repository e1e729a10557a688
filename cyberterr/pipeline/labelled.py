"""Labelled recordings: MANIFEST.csv of a folder, and scores of clips that a model never saw."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cyberterr import content
from cyberterr.contracts.media import Answer
from cyberterr.errors import UsageError
from cyberterr.pipeline.calibration import Scored

SYNTHETIC = frozenset({"spoof", "fake", "synthetic", "generated", "partial"})
GENUINE = frozenset({"bonafide", "bona-fide", "genuine", "real"})
UNKNOWN = "unknown"
DIGITS = 16
"""of a SHA-256 that name a file: more than enough among some thousands"""


class Row(NamedTuple):
    """One labelled file, and under one condition what was said of it."""

    file: str
    synthetic: bool
    source: str
    """generator, or corpus of a genuine clip"""
    corpus: str
    language: str
    partial: bool
    """synthetic only in parts: mostly genuine words"""
    condition: str = "clean"
    scheme: str = ""
    score: float | None = None
    """raw or calibrated, higher is synthetic; None where nothing could be examined"""
    answer: Answer | None = None
    seen: bool = False
    """whether a model was trained on it"""
    reason: str = ""
    """code of the first decisive limit"""

    def scored(self) -> Scored:
        """What calibration reads of it; only of a row with a score."""
        return Scored(float(self.score or 0.0), self.synthetic, self.source, self.corpus)


def manifest(folder: Path) -> list[Row]:
    """Files that MANIFEST.csv of *folder* names and labels; missing columns are unknown.

    Raises:
        UsageError: there is no manifest, or no row with a file and a label.
    """
    path = folder / "MANIFEST.csv"
    rows = [
        row for values in _lines(path)
        if (row := _row(values)) and (folder / row.file).resolve().is_relative_to(folder.resolve())
    ]  # fmt: skip
    if not rows:
        raise UsageError(
            "no row has a file and a label",
            hint="the columns file and label are needed (bonafide or spoof); generator, corpus and "
            "language are used where they are there",
            where=str(path),
        )
    return list({row.file: row for row in rows}.values())


def left_out(path: Path, known: dict[str, Row]) -> list[Row]:
    """Scores of a CSV file: file, label, generator, corpus, language, condition, scheme, score.

    A file that has several scores under one condition and scheme counts once, with its first: a
    mean of several would be another, better model than the one that ships.

    Args:
        path: may be compressed by gzip.
        known: rows of the manifest, for what the file does not say.

    Raises:
        UsageError: it cannot be read, or holds no score.
    """
    found: dict[tuple[str, str, str], Row] = {}
    for values in _lines(path):
        row = _row(values) or known.get(values.get("file") or "")
        try:
            score = float(values.get("score") or "nan")
        except ValueError:
            score = math.nan
        if row is None or not math.isfinite(score):
            continue
        told = known.get(row.file)
        row = row._replace(
            condition=values.get("condition") or "clean",
            scheme=values.get("scheme") or "left out",
            score=score,
            partial=row.partial or bool(told and told.partial),
        )
        found.setdefault((row.scheme, row.condition, row.file), row)
    if not found:
        raise UsageError("no row has a file, a label and a score", where=str(path))
    return list(found.values())


def shipped_left_out() -> Path | None:
    """The left-out scores that come with a shipped model, if any."""
    found = sorted(content.folder("models").glob("*/left_out.csv*"))
    return found[0] if found else None


def trained_on(further: str) -> frozenset[str]:
    """First DIGITS of the SHA-256 of files that installed models were trained on, as they say."""
    places = [content.folder("models"), *([Path(further)] if further else [])]
    paths = [path for place in places for path in sorted(place.glob("*/trained_on.txt"))]
    words = " ".join(path.read_text(encoding="utf-8") for path in paths).split()
    return frozenset(word[:DIGITS] for word in words if len(word) >= DIGITS)


def _row(values: dict[str, str | None]) -> Row | None:
    file, label = values.get("file"), (values.get("label") or "").strip().lower()
    if not file or label not in SYNTHETIC | GENUINE:
        return None
    synthetic = label in SYNTHETIC
    corpus = values.get("corpus") or UNKNOWN
    told = " ".join(values.get(key) or "" for key in ("label", "generator", "source_set", "kind"))
    return Row(
        file=file,
        synthetic=synthetic,
        source=(values.get("generator") or UNKNOWN) if synthetic else corpus,
        corpus=corpus,
        language=values.get("language") or UNKNOWN,
        partial=synthetic and "partial" in told.lower(),
    )


def _lines(path: Path) -> Iterator[dict[str, str | None]]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode("utf-8-sig", errors="replace")
        yield from csv.DictReader(text.splitlines())
    except (OSError, EOFError, csv.Error) as error:
        raise UsageError(f"it cannot be read: {error}", where=str(path)) from None
