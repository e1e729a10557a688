"""`cyberterr scan`: captures, logs, folders or a live interface become explained findings."""

from __future__ import annotations

import signal
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
from cyberterr.cli.progress import progress
from cyberterr.errors import UsageError

if TYPE_CHECKING:
    from cyberterr.contracts.finding import Finding
    from cyberterr.pipeline.scan import Result
    from cyberterr.pipeline.sources import Engine

LEVELS = {"never": None, "low": 21, "medium": 47, "high": 73, "critical": 99}


@click.command()
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("-i", "--interface", help="Capture live on this interface instead of SOURCE.")
@click.option("--duration", type=click.IntRange(min=1), help="Live: seconds after which it ends.")
@click.option("--filter", "bpf", default="", help="Live: capture filter (pcap-filter(7)).")
@click.option(
    "--engine",
    type=click.Choice(["auto", "ours", "pyshark"]),
    default="auto",
    show_default=True,
    help="pyshark reads captures through tshark: slower, and knows every format of Wireshark.",
)
@click.option(
    "--indicators",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Known bad addresses, names, URLs, JA4: CSV, STIX 2.1 or MISP; may be repeated.",
)
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write FILE.html.")
@click.option(
    "--fail-on",
    type=click.Choice(list(LEVELS)),
    default="never",
    show_default=True,
    help="Exit with 10 if a finding is at least this severe.",
)
@click.option("--no-store", is_flag=True, help="Keep nothing.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no talk.")
@store_option
@config_option
@lang_option
@debug_option
@handle_errors
def scan(
    sources: tuple[str, ...],
    interface: str | None,
    duration: int | None,
    bpf: str,
    engine: Engine,
    indicators: tuple[Path, ...],
    output: Literal["table", "json"],
    report: Path | None,
    fail_on: str,
    no_store: bool,
    quiet: bool,
    store_url: str | None,
    settings_file: Path | None,
    lang: Literal["en", "fr"],
) -> None:
    """Look for attacks in SOURCE: captures, flow logs, folders of them, or - for standard input.

    Read are pcap and pcapng, what else Wireshark reads (with tshark), Zeek, Suricata EVE, nfdump
    and Argus; plain or compressed. Findings come worst first, each with its reason in a sentence.
    """
    from cyberterr import config
    from cyberterr.pipeline import scan as pipeline
    from cyberterr.pipeline.findings import open_store
    from cyberterr.pipeline.sources import Reading

    if bool(sources) == bool(interface):
        raise UsageError(
            "name either sources or an interface",
            hint="cyberterr scan capture.pcap, or cyberterr scan -i eth0",
        )
    if interface is None and (duration or bpf):
        raise UsageError("--duration and --filter need -i INTERFACE")
    # A service manager ends us with SIGTERM: what was read is judged and kept, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = config.load(settings_file)
    store = None if no_store else open_store(store_url)
    reading = Reading()
    with progress(reading, quiet=quiet):
        if interface:
            result = pipeline.watch(
                interface,
                settings,
                store,
                reading,
                _print_json if output == "json" else (lambda finding: say(finding.title.en)),
                bpf=bpf,
                duration_s=duration,
                engine=engine,
                indicators=indicators,
            )
        else:
            result = pipeline.scan(
                sources, settings, store, reading, engine=engine, indicators=indicators
            )
    if output == "table":
        pipeline.show(result.findings, result.run, console(), lang)
    elif not interface:
        for finding in result.findings:
            _print_json(finding)
    if report:
        pipeline.report_html(report, result.findings, result.run, lang)
    if not quiet:
        _talk(result, output)
    sys.exit(result.exit_code(LEVELS[fail_on]))


def _print_json(finding: Finding) -> None:
    from cyberterr.contracts.finding import to_ecs

    click.echo(msgspec.json.encode(to_ecs(finding)))


def _talk(result: Result, output: str) -> None:
    if output == "json":
        for warning in result.run.warnings:
            say(f"warning: {warning}")
        if result.run.suppressed:
            say(f"{result.run.suppressed} findings are hidden by suppressions")
    for error in result.errors:
        say(f"error: {error}")
