"""`cyberterr learn`: what is normal here, from a period known to be clean."""

from __future__ import annotations

from pathlib import Path

import click

from cyberterr.cli.options import config_option, debug_option, handle_errors, say
from cyberterr.cli.progress import progress


@click.group()
def learn() -> None:
    """Learn what is normal here, from material known to be clean."""


@learn.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no talk.")
@config_option
@debug_option
@handle_errors
def network(sources: tuple[str, ...], quiet: bool, settings_file: Path | None) -> None:
    """Fit the learning detectors on SOURCE: captures or logs of at least a clean day."""
    from cyberterr import config
    from cyberterr.pipeline.learn import learn as fit
    from cyberterr.pipeline.sources import Reading

    settings = config.load(settings_file)
    reading = Reading()
    with progress(reading, quiet=quiet):
        learned = fit(sources, settings, reading)
    if not quiet:
        for warning in reading.warnings:
            say(f"warning: {warning}")
        say(
            f"learned {', '.join(learned.detectors)} from {learned.windows} hours, "
            f"{learned.first:%Y-%m-%d %H:%M} to {learned.last:%Y-%m-%d %H:%M} UTC"
        )
        say(f"kept in {learned.folder}; every scan now compares with it")
