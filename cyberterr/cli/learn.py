"""`cyberterr learn`: what is normal here, from a period known to be clean."""

from __future__ import annotations

from pathlib import Path

import click

from cyberterr.cli.options import config_option, debug_option, handle_errors, say
from cyberterr.cli.progress import progress, watched
from cyberterr.errors import UsageError


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


@learn.command()
@click.argument("recordings", nargs=-1, metavar="[FOLDER]...")
@click.option("--forget", is_flag=True, help="Go back to the calibration that was shipped.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no talk.")
@config_option
@debug_option
@handle_errors
def voices(
    recordings: tuple[str, ...], forget: bool, quiet: bool, settings_file: Path | None
) -> None:
    """Calibrate false alarms on FOLDER: at least 20 recordings of your own, known to be genuine.

    Council meetings, radio, telephone: as many days, rooms and people as you have. Kept are their
    hashes and scores; no sound, no voice, no name. They can only make the tool more careful.
    """
    from cyberterr import config
    from cyberterr.pipeline.learn_voices import learn_voices
    from cyberterr.pipeline.verify import Progress
    from cyberterr.pipeline.voices import forget as forgotten

    if forget == bool(recordings):
        raise UsageError("name recordings to learn from, or --forget what was learned")
    if forget:
        models = forgotten()
        say(f"forgotten: {', '.join(models)}" if models else "nothing was learned before")
        return
    settings = config.load(settings_file)
    progressing = Progress()
    with watched(progressing, quiet=quiet):
        learned = learn_voices(recordings, settings, progressing)
    if quiet:
        return
    for failed in learned[0].failed:
        say(f"warning: {failed.error}")
    for each in learned:
        own = each.own
        say(
            f"model {own.model}: {len(own.recordings)} recordings, {own.speech_s:,.0f} s of "
            f"speech, {own.set_aside} set aside"
        )
        say(f"{each.alarms} of them would have been accused as shipped; {own.name.en}")
        say("the threshold is higher here now" if each.raised else "the shipped threshold holds")
        say(f"kept in {each.path}; every verification now uses it")
