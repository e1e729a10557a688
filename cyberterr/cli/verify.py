"""`cyberterr verify`: recordings become verdicts, each with its evidence and its limits."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from cyberterr.cli.options import (
    config_option,
    console,
    debug_option,
    handle_errors,
    lang_option,
    say,
    store_option,
)
from cyberterr.cli.progress import watched

if TYPE_CHECKING:
    from cyberterr.contracts.store import Store
    from cyberterr.pipeline.verify import Failed, Verified


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write FILE.html or FILE.pdf: one file that opens offline.",
)
@click.option(
    "--keep-evidence", is_flag=True, help="Keep a copy of each file in the data folder's evidence/."
)
@click.option("--no-store", is_flag=True, help="Keep nothing.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no talk but errors.")
@store_option
@config_option
@lang_option
@debug_option
@handle_errors
def verify(
    files: tuple[str, ...],
    output: Literal["table", "json"],
    report: Path | None,
    keep_evidence: bool,
    no_store: bool,
    quiet: bool,
    store_url: str | None,
    settings_file: Path | None,
    lang: Literal["en", "fr"],
) -> None:
    """Look for signs of synthesis in FILE: recordings, folders of them, or - for standard input.

    Read are wav, aiff, flac, mp3, m4a/aac, ogg/opus, webm, amr, 3gp, wma, and the sound of mp4, mov
    and mkv. The answer is *signs of synthesis*, *no sign found* (which proves nothing) or *cannot
    say*, with the reason. Nothing leaves this machine; of a recording only hashes and facts are
    kept.
    """
    from cyberterr import config
    from cyberterr.pipeline import report_path
    from cyberterr.pipeline import verify as pipeline
    from cyberterr.pipeline.findings import open_store

    settings = config.load(settings_file)
    if report:
        report_path.check(report, (".html", ".htm", ".pdf"))
    progress = pipeline.Progress()
    verified: list[Verified] = []
    failed: list[Failed] = []
    with contextlib.ExitStack() as stack:
        store: Store | None = None
        if not no_store:
            store = open_store(store_url, settings)
            stack.callback(store.close)
        stack.enter_context(watched(progress, quiet=quiet))
        for each in pipeline.verify(
            files, settings, store, progress, keep_evidence=keep_evidence, picture=bool(report)
        ):
            if output == "json":
                click.echo(msgspec.json.encode(pipeline.document(each)))
            if isinstance(each, pipeline.Failed):
                failed.append(each)
            else:
                verified.append(each if report else each._replace(loudest=()))
                if each.kept and not quiet:
                    say(f"a copy is kept: {each.kept}")
    if report:
        pipeline.report(report, verified, settings, lang)
    if output == "table":
        pipeline.show([each.finding for each in verified], console(), lang)
    errors = [*(each.error for each in failed), *progress.errors]
    for text in progress.warnings if not quiet else ():
        say(f"warning: {text}")
    for error in errors:
        say(f"error: {error}")
    sys.exit(pipeline.exit_code(errors))
