"""`cyberterr dissect`: what was said in a flow, or in those of a finding, message by message."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import click
import msgspec

from cyberterr.cli.options import (
    config_option,
    debug_option,
    handle_errors,
    say,
    store_option,
)
from cyberterr.cli.progress import progress
from cyberterr.errors import UsageError


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="CAPTURE...")
@click.option(
    "--flow",
    "flow_ids",
    type=click.IntRange(0, 2**64 - 1),
    multiple=True,
    metavar="ID",
    help="A flow, by the flow_id that `cyberterr flows` gives it; may be repeated.",
)
@click.option(
    "--finding",
    "finding_ids",
    multiple=True,
    metavar="ID",
    help="The flows between the hosts of a stored finding, in its time; may be repeated.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no talk.")
@store_option
@config_option
@debug_option
@handle_errors
def dissect(
    sources: tuple[str, ...],
    flow_ids: tuple[int, ...],
    finding_ids: tuple[str, ...],
    quiet: bool,
    store_url: str | None,
    settings_file: Path | None,
) -> None:
    """Show the DNS, TLS, HTTP, SSH and machine messages of chosen flows, with tshark.

    One JSON object a line: time, flow_id, direction, protocol and fields, named as in Wireshark's
    display filters. Passwords, cookies, user names and bodies are never among them.
    """
    from cyberterr import config
    from cyberterr.pipeline import dissect as pipeline
    from cyberterr.pipeline.findings import dossier, open_store
    from cyberterr.pipeline.sources import Reading

    if not flow_ids and not finding_ids:
        raise UsageError(
            "say which flows",
            hint="--flow ID (cyberterr flows CAPTURE -o - lists them), or --finding ID",
        )
    settings = config.load(settings_file)
    findings = []
    if finding_ids:
        now = dt.datetime.now(dt.UTC)
        with open_store(store_url, settings) as store:
            findings = [dossier(store, id, now).case.finding for id in finding_ids]
    reading, count = Reading(), 0
    with progress(reading, quiet=quiet or sys.stdout.isatty()):
        for message in pipeline.dissect(
            sources, settings, reading, flow_ids=flow_ids, findings=findings
        ):
            click.echo(msgspec.json.encode(message))
            count += 1
    for error in reading.errors:
        say(f"error: {error}")
    if not quiet:
        for warning in reading.warnings:
            say(f"warning: {warning}")
        say(f"{count} messages")
    sys.exit(max((error.exit_code for error in reading.errors), default=0))
