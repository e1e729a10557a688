"""`cyberterr findings`: list what was found, look closer, decide, export."""

from __future__ import annotations

import datetime as dt
import getpass
import re
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypedDict, TypeVar, Unpack

import click
import msgspec

from cyberterr.cli.options import (
    config_option,
    console,
    debug_option,
    handle_errors,
    lang_option,
    output_option,
    say,
    store_option,
)
from cyberterr.config import load
from cyberterr.contracts.finding import Severity
from cyberterr.contracts.store import Query, Verdict
from cyberterr.errors import UsageError
from cyberterr.pipeline import findings as pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyberterr.pipeline.export import Format
    from cyberterr.pipeline.findings import Lang

P = ParamSpec("P")
R = TypeVar("R")
_AGO = re.compile(r"(\d{1,5})([hd])")


class _Filters(TypedDict):
    severity: str | None
    families: tuple[str, ...]
    since: dt.datetime | None
    address: str | None
    decided: bool | None


class _Since(click.ParamType[dt.datetime]):
    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> dt.datetime:
        if isinstance(value, dt.datetime):
            return value
        text = str(value)
        if ago := _AGO.fullmatch(text):
            unit = "hours" if ago[2] == "h" else "days"
            return _now() - dt.timedelta(**{unit: int(ago[1])})
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no time; say 24h, 7d, 2026-11-01 or 2026-11-01T08:00", param)
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _filters(command: Callable[P, R]) -> Callable[P, R]:
    for option in (
        click.option("--all", "everything", is_flag=True, help="Suppressed ones too."),
        click.option("--decided/--undecided", default=None, help="With or without a decision."),
        click.option("--address", metavar="IP", help="Actor or victim."),
        click.option("--since", type=_Since(), help="24h, 7d, or a time (UTC unless it says)."),
        click.option("--family", "families", multiple=True, help="scan, beacon …; repeatable."),
        click.option(
            "--severity",
            type=click.Choice([s.name.lower() for s in Severity]),
            help="At least so severe.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def findings() -> None:
    """List what was found, look closer, decide, export."""


@findings.command("list")
@_filters
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@lang_option
@store_option
@config_option
@debug_option
@handle_errors
def list_(
    form: str,
    lang: Lang,
    store_url: str | None,
    settings_file: Path | None,
    everything: bool,
    **filters: Unpack[_Filters],
) -> None:
    """List findings, worst first, one line per incident."""
    settings = load(settings_file)
    with pipeline.open_store(store_url, settings) as store:
        listing = pipeline.listing(store, _query(filters), _now(), include_suppressed=everything)
        _warn(store.warnings)
    if form == "json":
        for case in listing.cases:
            click.echo(msgspec.json.encode(pipeline.document(case)))
    else:
        pipeline.show_list(listing.cases, settings.site, console(), lang)
    _count_hidden(listing, lang)


@findings.command()
@click.argument("finding_id", metavar="ID")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@lang_option
@store_option
@config_option
@debug_option
@handle_errors
def show(
    finding_id: str, form: str, lang: Lang, store_url: str | None, settings_file: Path | None
) -> None:
    """Show all that is known of one finding; the first characters of its ID are enough."""
    settings = load(settings_file)
    with pipeline.open_store(store_url, settings) as store:
        known = pipeline.dossier(store, finding_id, _now())
        _warn(store.warnings)
    if form == "json":
        click.echo(msgspec.json.encode(pipeline.document(known.case)))
    else:
        pipeline.show_one(
            known.case, known.revisions, known.decisions, settings.site, console(), lang
        )


@findings.command()
@click.argument("finding_id", metavar="ID")
@click.argument("verdict", type=click.Choice(pipeline.VERDICTS))
@click.option("--reason", required=True, help="One sentence: why.")
@click.option("--author", metavar="NAME", help="Who decides [default: the system's user].")
@click.option("--suppress", is_flag=True, help="Hide what is like this false positive.")
@click.option("--days", type=int, help="How long to hide it, 1 to 400; needed with --suppress.")
@click.option(
    "--scope",
    default="",
    metavar="WORDS",
    help="What must be the same: rule,actor,victim,detail,port [default: all but the port].",
)
@click.option("--network", metavar="CIDR", help="Hide only actors in this network.")
@store_option
@config_option
@debug_option
@handle_errors
def decide(
    finding_id: str,
    verdict: Verdict,
    reason: str,
    author: str | None,
    suppress: bool,
    days: int | None,
    scope: str,
    network: str | None,
    store_url: str | None,
    settings_file: Path | None,
) -> None:
    """Record what a finding was: VERDICT is true_positive, false_positive or benign."""
    if suppress and days is None:
        raise UsageError("a suppression must expire", hint="--suppress --days 90")
    if not suppress and (days is not None or scope or network):
        raise UsageError("--days, --scope and --network belong to --suppress")
    settings = load(settings_file)
    with pipeline.open_store(store_url, settings) as store:
        _, suppression = pipeline.decide(
            store,
            finding_id,
            verdict,
            reason=reason,
            author=_user() if author is None else author,
            now=_now(),
            days=days,
            scope=tuple(word.strip() for word in scope.split(",") if word.strip()),
            network=network,
        )
        say("decided")
        if suppression is not None:
            count = pipeline.covered_by(store, suppression)
            say(
                f"suppression {suppression.id} hides {pipeline.scope(suppression)} until "
                f"{suppression.expires:%Y-%m-%d}: {count} of the findings kept now"
            )
        _warn(store.warnings)
        pipeline.flush(store, settings.elastic, lambda text: _warn([text]))


@findings.command()
@_filters
@click.option("--format", "form", type=click.Choice(["json", "csv", "ndjson-ecs"]), default="json")
@output_option
@lang_option
@store_option
@config_option
@debug_option
@handle_errors
def export(
    form: Format,
    output: Path,
    lang: Lang,
    store_url: str | None,
    settings_file: Path | None,
    everything: bool,
    **filters: Unpack[_Filters],
) -> None:
    """Write findings to a file: JSON, CSV for a spreadsheet, or ECS documents one a line."""
    from cyberterr.pipeline import export as exporting

    with pipeline.open_store(store_url, load(settings_file)) as store:
        listing = pipeline.listing(store, _query(filters), _now(), include_suppressed=everything)
        _warn(store.warnings)
    exporting.write(output, exporting.export(listing.cases, form))
    say(f"{len(listing.cases)} findings in {output}")
    _count_hidden(listing, lang)


@findings.command()
@click.option(
    "--space",
    default="default",
    show_default=True,
    help="Kibana's space: /s/SPACE/ in its address.",
)
@store_option
@config_option
@debug_option
@handle_errors
def pull(space: str, store_url: str | None, settings_file: Path | None) -> None:
    """Take in what people decided on our alerts in Kibana: those closed with a verdict."""
    from cyberterr.pipeline import pull as pulling

    settings = load(settings_file)
    with pipeline.open_store(store_url, settings) as store:
        pulled = pulling.pull(store, settings.elastic, space)
        _warn(store.warnings)
        pipeline.flush(store, settings.elastic, lambda text: _warn([text]))
    say(f"{pulled.index}: {pulled.added} new decisions, {pulled.known} known already")
    for reason, count in sorted(pulled.no_verdict.items()):
        why = f"the reason {reason}, which is no verdict" if reason else "no reason"
        say(f"{count} alerts were closed with {why}")
    if pulled.unknown:
        say(f"{pulled.unknown} decisions are on findings that are not kept here")
    if pulled.overruled:
        say(f"{pulled.overruled} decisions were left out: somebody decided later here")


@findings.group()
def suppressions() -> None:
    """See and lift what hides findings."""


@suppressions.command("list")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@lang_option
@store_option
@config_option
@debug_option
@handle_errors
def list_suppressions(
    form: str, lang: Lang, store_url: str | None, settings_file: Path | None
) -> None:
    """List the suppressions in force, and how many findings each hides."""
    settings = load(settings_file)
    with pipeline.open_store(store_url, settings) as store:
        active = pipeline.active(store, _now())
    if form == "json":
        for suppression, count in active:
            click.echo(msgspec.json.encode({**msgspec.structs.asdict(suppression), "hides": count}))
    else:
        pipeline.show_suppressions(active, settings.site, console(), lang)


@suppressions.command()
@click.argument("suppression_id", metavar="ID")
@store_option
@config_option
@debug_option
@handle_errors
def remove(suppression_id: str, store_url: str | None, settings_file: Path | None) -> None:
    """Lift a suppression: what it hid is listed again."""
    settings = load(settings_file)
    with pipeline.open_store(store_url, settings) as store:
        if not store.unsuppress(suppression_id):
            raise UsageError(
                f"no suppression has the id {suppression_id!r}",
                hint="cyberterr findings suppressions list",
            )
        pipeline.flush(store, settings.elastic, lambda text: _warn([text]))
    say("removed")


def _query(filters: _Filters) -> Query:
    severity = filters["severity"]
    return Query(
        severity=Severity[severity.upper()] if severity else 0,
        families=filters["families"],
        since=filters["since"],
        address=_address(filters["address"]),
        decided=filters["decided"],
    )


def _address(text: str | None) -> str | None:
    try:
        return None if text is None else str(ip_address(text))  # as findings spell it
    except ValueError:
        raise UsageError(f"{text!r} is no address", hint="--address 10.0.5.7") from None


def _count_hidden(listing: pipeline.Listing, lang: Lang) -> None:
    if listing.hidden:
        say(pipeline.hidden(listing.hidden, listing.suppressions, lang))


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        say(f"warning: {warning}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise UsageError("the system does not name its user", hint="--author NAME") from None


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
