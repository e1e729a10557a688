"""`cyberterr elastic`: what waits for the cluster, send it, mend what was refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cyberterr.cli.options import (
    config_option,
    debug_option,
    handle_errors,
    output_option,
    say,
    store_option,
)
from cyberterr.cli.setup import setup
from cyberterr.config import load
from cyberterr.errors import STORE_UNREACHABLE

if TYPE_CHECKING:
    from cyberterr.pipeline.elastic import Status


@click.group()
def elastic() -> None:
    """Set up Elasticsearch for findings, see what waits for it, send it."""


elastic.add_command(setup)


@elastic.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@store_option
@config_option
@debug_option
@handle_errors
def status(form: str, store_url: str | None, settings_file: Path | None) -> None:
    """Say what waits to be sent, and what is wrong; exit code 5 where something is."""
    from cyberterr.pipeline import elastic as pipeline

    known = pipeline.status(load(settings_file), store_url)
    if form == "json":
        click.echo(msgspec.json.encode(pipeline.facts(known)))
    else:
        _print_status(known)
    if known.troubles:
        sys.exit(STORE_UNREACHABLE)


def _print_status(known: Status) -> None:
    from cyberterr.pipeline.findings import plain

    state = known.state
    since = f", the oldest since {state.oldest:%Y-%m-%d %H:%M} UTC" if state.oldest else ""
    rows = [
        ("cluster", known.cluster),
        ("link", "works" if not known.link else "does not work"),
        ("templates", "cannot be seen" if known.templates is None else _version(known.templates)),
        ("waiting", f"{state.waiting} documents, {state.waiting_bytes:,} bytes{since}"),
        ("refused", f"{state.dead} documents for good"),
        ("dropped", ", ".join(f"{n} of {d}" for d, n in state.dropped.items()) or "none"),
    ]
    if state.last_error:
        over = "" if state.failures else ", over since"
        time = f"{state.last_error.time:%Y-%m-%d %H:%M} UTC"
        rows.append(("last error", f"{state.last_error.text} ({time}{over})"))
    if state.next_try and state.failures:
        rows.append(("next try", f"{state.next_try:%Y-%m-%d %H:%M:%S} UTC"))
    for name, value in rows:
        click.echo(f"{name:<10}  {plain(value, 2000)}")
    for trouble in known.troubles:
        say(f"warning: {trouble}")


def _version(templates: int) -> str:
    return f"version {templates}" if templates else "not installed"


@elastic.command()
@click.option(
    "--from", "former", metavar="URL", help="Send what waits for this former cluster too."
)
@store_option
@config_option
@debug_option
@handle_errors
def replay(former: str | None, store_url: str | None, settings_file: Path | None) -> None:
    """Send all that waits now; exit code 5 where something waits still."""
    from cyberterr.pipeline import elastic as pipeline

    done, state = pipeline.replay(
        load(settings_file),
        store_url,
        lambda waiting: say(f"{waiting} waiting"),
        former=former,
    )
    refused = f", {done.dead} refused for good" if done.dead else ""
    say(f"{done.delivered} sent{refused}, {state.waiting} waiting")
    if done.busy:
        say("another program is sending already")
    if done.trouble:
        say(f"warning: {done.trouble.text}")
    if state.waiting:
        sys.exit(STORE_UNREACHABLE)


@elastic.group("dead-letters")
def dead_letters() -> None:
    """See and mend what the cluster refused for good."""


@dead_letters.command("list")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@store_option
@config_option
@debug_option
@handle_errors
def list_(form: str, store_url: str | None, settings_file: Path | None) -> None:
    """List what was refused, and the server's reason."""
    from cyberterr.pipeline import elastic as pipeline
    from cyberterr.pipeline.findings import plain

    with pipeline.dead_letters(load(settings_file), store_url) as letters:
        for letter in letters:
            if form == "json":
                click.echo(msgspec.json.encode(pipeline.described(letter)))
            else:
                click.echo(f"{letter.id}  {letter.created:%Y-%m-%d %H:%M} UTC  {letter.dataset}")
                click.echo(f"    {plain(letter.reason, 1000)}")


@dead_letters.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@store_option
@config_option
@debug_option
@handle_errors
def retry(ids: tuple[str, ...], store_url: str | None, settings_file: Path | None) -> None:
    """Let them wait again, all or those with an ID: what refused them has been mended."""
    from cyberterr.pipeline import elastic as pipeline

    say(f"{pipeline.retry(load(settings_file), store_url, ids)} are sent again")


@dead_letters.command()
@output_option
@store_option
@config_option
@debug_option
@handle_errors
def export(output: Path, store_url: str | None, settings_file: Path | None) -> None:
    """Write them to a file with their documents, JSON, one a line."""
    from cyberterr.pipeline import elastic as pipeline

    say(f"{pipeline.export(load(settings_file), store_url, output)} documents in {output}")
