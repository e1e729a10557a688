"""`cyberterr scan`: captures, logs, folders or a live interface become explained findings."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from functools import partial
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
from cyberterr.cli.progress import progress, status
from cyberterr.errors import CyberterrError, UsageError

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
@click.option("--since", default="", metavar="TIME", help="elastic: 24h, 7d, or a time (UTC).")
@click.option("--until", default="", metavar="TIME", help="elastic: where it ends [default: now].")
@click.option("--sensor", "sensors", multiple=True, help="elastic: only what it saw; repeatable.")
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
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no talk but errors.")
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
    since: str,
    until: str,
    sensors: tuple[str, ...],
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
    and Argus; plain or compressed. elastic:INDEX[,INDEX] reads what Packetbeat, Zeek and Suricata
    sent to the cluster in the settings. Findings come worst first, each with its reason in a
    sentence.
    """
    from cyberterr import config
    from cyberterr.pipeline import scan as pipeline
    from cyberterr.pipeline.findings import open_store
    from cyberterr.pipeline.sources import Reading, within
    from cyberterr.pipeline.watch import watch

    if bool(sources) == bool(interface):
        raise UsageError(
            "name either sources or an interface",
            hint="cyberterr scan capture.pcap, or cyberterr scan -i eth0",
        )
    if interface is None and (duration or bpf):
        raise UsageError("--duration and --filter need -i INTERFACE")
    if since or until or sensors:
        sources = within(sources, since, until, sensors)
    # A service manager ends us with SIGTERM: what was read is judged and kept, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = config.load(settings_file)
    if len(sensors) == 1:
        named = msgspec.structs.replace(settings.site, sensor=sensors[0])
        settings = msgspec.structs.replace(settings, site=named)
    opened = None if no_store else partial(open_store, store_url, settings)
    if report:
        pipeline.check_report(report)
    reading = Reading()
    with progress(reading, quiet=quiet, live=bool(interface)) as said:
        if interface:
            result = watch(
                interface,
                settings,
                opened,
                reading,
                _print_json if output == "json" else partial(_announce, lang=lang, quiet=quiet),
                bpf=bpf,
                duration_s=duration,
                engine=engine,
                indicators=indicators,
            )
        else:
            with opened() if opened else contextlib.nullcontext() as store:
                result = pipeline.scan(
                    sources, settings, store, reading, engine=engine, indicators=indicators
                )
    if report:  # before anything is printed: whoever reads that may go away
        try:
            pipeline.report_html(report, result.findings, result.run, lang)
        except CyberterrError as error:
            result.errors.append(error)
    if output == "table":
        with _standard_output():
            pipeline.show(result.findings, result.run, console(), lang)
    elif not interface:
        for finding in result.findings:
            _print_json(finding)
    if not quiet and (interface or output == "json"):
        say(status(reading))
    _talk(result, said, warnings=output == "json" and not quiet)
    sys.exit(result.exit_code(LEVELS[fail_on]))


def _print_json(finding: Finding) -> None:
    from cyberterr.contracts.documents import to_ecs

    with _standard_output():
        click.echo(msgspec.json.encode(to_ecs(finding)))


def _announce(finding: Finding, *, lang: Literal["en", "fr"], quiet: bool) -> None:
    """One line when an incident is first seen or gets worse; what goes on is no news."""
    from cyberterr.pipeline.watch import headline

    if finding.kind == "alert" and not quiet:
        say(headline(finding, lang))


@contextlib.contextmanager
def _standard_output() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # who read it has enough
        raise
    except OSError as error:
        raise CyberterrError(
            f"standard output cannot be written: {error.strerror}",
            hint="what was found is in the store, unless --no-store was given",
        ) from None


def _talk(result: Result, said: set[str], *, warnings: bool) -> None:
    """Say what was not said yet; errors even where a person wants it quiet."""
    lines = [f"warning: {text}" for text in result.run.warnings] if warnings else []
    if warnings and result.run.suppressed:
        lines.append(f"{result.run.suppressed} findings are hidden by suppressions")
    for line in [*lines, *(f"error: {error}" for error in result.errors)]:
        if line not in said:
            say(line)
