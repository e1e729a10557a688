"""Findings written to a file for other programs: JSON, CSV for a spreadsheet, ECS lines."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from cyberterr.contracts.store import Case, Decision
from cyberterr.errors import UsageError
from cyberterr.pipeline.findings import document

Format = Literal["json", "csv", "ndjson-ecs"]

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters that make a spreadsheet compute a cell (OWASP, CSV injection)."""

COLUMNS = (
    "id", "revision", "severity", "score", "family", "rule", "start", "end", "actor", "victim",
    "victim_port", "scope", "title_en", "title_fr", "reason_en", "reason_fr", "sensor",
    "verdict", "verdict_reason", "verdict_author", "verdict_time", "suppressed_by",
)  # fmt: skip


def export(cases: Sequence[Case], form: Format) -> str:
    """*cases* as text: a JSON array, CSV with a header, or one ECS document a line."""
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(cases), indent=2).decode() + "\n"
    if form == "ndjson-ecs":
        return "".join(msgspec.json.encode(document(case)).decode() + "\n" for case in cases)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    table.writerow(COLUMNS)
    table.writerows(_row(case) for case in cases)
    return text.getvalue()


def write(path: Path, text: str) -> None:
    """Put *text* into *path*, whole or not at all, readable by its owner only.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(
            f"the file cannot be written: {error.strerror}", hint="-o FILE", where=str(path)
        ) from error


def _row(case: Case) -> list[str | int | float]:
    finding, decision = case.finding, case.decision
    cells: list[str | int | float | None] = [
        finding.id,
        finding.revision,
        int(finding.severity),
        round(finding.score, 4),
        finding.family,
        finding.rule,
        finding.start.isoformat(),
        finding.end.isoformat(),
        finding.actor,
        finding.victim,
        finding.victim_port,
        finding.scope,
        finding.title.en,
        finding.title.fr,
        finding.reason.en,
        finding.reason.fr,
        finding.sensor,
        *_decided(decision),
        " ".join(case.suppressed_by),
    ]
    return [_guarded(cell) for cell in cells]


def _decided(decision: Decision | None) -> tuple[str, ...]:
    if decision is None:
        return ("",) * 4
    return (decision.verdict, decision.reason, decision.author, decision.time.isoformat())


def _guarded(cell: str | int | float | None) -> str | int | float:
    if cell is None:
        return ""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
