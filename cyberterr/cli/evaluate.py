"""`cyberterr evaluate`: measured rates on a labelled set, with their intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cyberterr.cli.options import config_option, console, debug_option, handle_errors, say

if TYPE_CHECKING:
    from cyberterr.pipeline.evaluate import Scores


@click.group()
def evaluate() -> None:
    """Measure how much is found, and how often in vain, on material with known truth."""


@evaluate.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.option("-q", "--quiet", is_flag=True, help="Do not name each file.")
@config_option
@debug_option
@handle_errors
def network(
    folder: Path, form: Literal["table", "json"], quiet: bool, settings_file: Path | None
) -> None:
    """Judge FOLDER (GROUND_TRUTH.json, MANIFEST.csv): incidents found, false alarms a site-day."""
    from cyberterr import config
    from cyberterr.pipeline.evaluate import evaluate as measured

    def told(name: str) -> None:
        if not quiet:
            say(name)

    scores = measured(folder, config.load(settings_file), told)
    if form == "json":
        click.echo(json.dumps(scores.document(), indent=2))
    else:
        _show(scores)


@evaluate.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--left-out",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE.csv[.gz]",
    help="Scores of these files by models that knew neither their source nor their corpus.",
)
@click.option(
    "--as-shipped", is_flag=True, help="Run the shipped model, though it was trained on the files."
)
@click.option("--conditions", is_flag=True, help="Also after codecs, noise, a telephone, a room.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.option("-q", "--quiet", is_flag=True, help="Do not say what is going on.")
@config_option
@debug_option
@handle_errors
def audio(
    folder: Path,
    left_out: Path | None,
    as_shipped: bool,
    conditions: bool,
    form: Literal["table", "json"],
    quiet: bool,
    settings_file: Path | None,
) -> None:
    """Judge the recordings of FOLDER (MANIFEST.csv: file, label, generator, corpus, language)."""
    from cyberterr import config
    from cyberterr.pipeline.evaluate_audio import evaluate_audio

    def told(name: str) -> None:
        if not quiet:
            say(name)

    measured = evaluate_audio(
        folder,
        config.load(settings_file),
        told,
        left_out=left_out,
        as_shipped=as_shipped,
        conditions=conditions,
    )
    if form == "json":
        tables = [table.document() for table in measured.tables]
        click.echo(json.dumps({"tables": tables, "notes": measured.notes}, indent=2))
        return
    for table in measured.tables:
        click.echo(table.markdown())
    for note in measured.notes:
        click.echo(f"- {note}")


def _show(scores: Scores) -> None:
    from rich.table import Table

    screen = console()
    table = Table("incident", "file", "found at", "right alarms", "other alarms")
    for incident in scores.incidents:
        table.add_row(
            incident.attack,
            incident.file,
            str(incident.severity or "not found"),
            str(incident.findings),
            str(incident.others),
        )
    screen.print(table)
    quiet = Table("benign network", "site-days", "at 21", "at 47", "at 73+", "worst day")
    for part in scores.quiet:
        quiet.add_row(
            part.network,
            *(str(n) for n in (part.site_days, part.low, part.medium, part.high, part.worst_day)),
        )
    screen.print(quiet)
    for attack in sorted({i.attack for i in scores.incidents}):
        screen.print(f"  {attack}: {_rate(scores.rate(attack))}")
    screen.print(f"found at 47 or above: {_rate(scores.rate())}")
    screen.print(f"right among alarms on attack files: {_rate(scores.precision())}")
    for name in scores.unreadable:
        say(f"not read: {name}")


def _rate(rate: tuple[int, int, float, float]) -> str:
    hits, trials, low, high = rate
    return f"{hits} of {trials} (95 %: {low:.0%} to {high:.0%})"
