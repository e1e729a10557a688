"""`cyberterr flows`: the meter alone; packets or logs become a flow table on disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cyberterr.cli.options import config_option, debug_option, handle_errors, say
from cyberterr.cli.progress import progress

if TYPE_CHECKING:
    from cyberterr.pipeline.sources import Engine


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="FILE.parquet, FILE.csv, FILE.json (one object a line), or - for CSV on standard output.",
)
@click.option(
    "--engine", type=click.Choice(["auto", "ours", "pyshark"]), default="auto", show_default=True
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no talk.")
@config_option
@debug_option
@handle_errors
def flows(
    sources: tuple[str, ...],
    output: Path,
    engine: Engine,
    quiet: bool,
    settings_file: Path | None,
) -> None:
    """Write the flow table of SOURCE: one row per bidirectional flow (docs/reference/flows.md)."""
    from cyberterr import config
    from cyberterr.pipeline.flows import write_flows
    from cyberterr.pipeline.sources import Reading

    settings = config.load(settings_file)
    reading = Reading()
    with progress(reading, quiet=quiet):
        rows = write_flows(sources, output, settings, reading, engine=engine)
    for error in reading.errors:
        say(f"error: {error}")
    if not quiet:
        for warning in reading.warnings:
            say(f"warning: {warning}")
        say(f"{rows} flows of {reading.packets} packets, {reading.evicted} closed early")
    sys.exit(max((error.exit_code for error in reading.errors), default=0))
