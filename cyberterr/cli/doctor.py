"""`cyberterr doctor`: what is installed, what is missing, what it would add."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from cyberterr.errors import PART_MISSING

_MARKS = {"ok": "ok", "missing": "--", "broken": "!!"}


@click.command()
@click.option(
    "--config",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file to examine instead of the one in the data folder.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
def doctor(settings_file: Path | None, form: str) -> None:
    """Say what is installed, what is missing, and what it would add.

    Exit code 0: a scan of a capture works. 4: not even that.
    """
    from cyberterr.pipeline import doctor as pipeline

    parts = pipeline.examine(settings_file)
    works = pipeline.can_scan(parts)
    if form == "json":
        for part in parts:
            click.echo(msgspec.json.encode(part).decode())
    else:
        width = max(len(part.name) for part in parts)
        for part in parts:
            click.echo(f"{_MARKS[part.state]}  {part.name:<{width}}  {part.found}")
            if part.state != "ok":
                click.echo(f"    {'':<{width}}  would add: {part.adds}")
            if part.remedy:
                click.echo(f"    {'':<{width}}  try: {part.remedy}")
        click.echo("A scan of a capture works." if works else "A scan of a capture does not work.")
    sys.exit(0 if works else PART_MISSING)
