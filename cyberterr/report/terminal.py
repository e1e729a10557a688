"""Findings as a table on a terminal, or as plain lines where the output is piped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cyberterr.contracts.finding import Finding, Severity
from cyberterr.contracts.run import Run
from cyberterr.contracts.site import Site
from cyberterr.report.text import Lang, number, plain, say, size, span, who, zone
from cyberterr.report.words import SEVERITY, limits, verdict, word

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text as Line

CONTEXT_SHOWN = 20
LIMITS_SHOWN = 8
WARNINGS_SHOWN = 10
COLOUR = {
    Severity.CRITICAL: "bold white on red",
    Severity.HIGH: "bold red",
    Severity.MEDIUM: "bold yellow",
    Severity.LOW: "cyan",
}


def show(findings: Sequence[Finding], run: Run, console: Console, lang: Lang = "en") -> None:
    """Print *findings* worst first, then what was read and what was not examined."""
    ordered = sorted(findings, key=Finding.rank)
    alarms = [f for f in ordered if f.severity >= Severity.MEDIUM]
    context = [f for f in ordered if f.severity < Severity.MEDIUM]
    kept = context[:CONTEXT_SHOWN]
    _print(console, verdict(findings, run, lang), "bold")
    if ordered:
        table([*alarms, *kept], run.site, console, lang)
    if len(context) > len(kept):
        _print(console, f"+{number(len(context) - len(kept), lang)} {word('more', lang)}", "dim")
    console.print()
    _facts(run, console, lang)
    _limits(run, console, lang)


def table(findings: Sequence[Finding], site: Site, console: Console, lang: Lang = "en") -> None:
    """Print *findings*, in the order given: severity, title, who → whom, reason, id, first seen.

    Every text of a finding may come from an attacker: it is printed without markup and control
    characters. Fits 80 columns.
    """
    from rich.table import Table

    grid = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False, expand=True, header_style="dim")
    grid.add_column(word("severity", lang), no_wrap=True)
    grid.add_column(word("what", lang), ratio=1, overflow="fold")
    grid.add_column(word("first_seen", lang), no_wrap=True)
    zoned = zone(site.time_zone)
    for finding in findings:
        severity = say(SEVERITY[finding.severity], lang)
        start = finding.start.astimezone(zoned)
        grid.add_row(
            _line(severity.upper(), COLOUR[finding.severity]),
            _what(finding, site, lang),
            _line(f"{start:%Y-%m-%d %H:%M}"),
        )
    console.print(grid)


def _what(finding: Finding, site: Site, lang: Lang) -> RenderableType:
    from rich.console import Group

    return Group(
        _line(say(finding.title, lang), "bold"),
        _line(who(finding, site, lang)),
        _line(say(finding.reason, lang)),
        _line(f"id {plain(finding.id, 40)}", "dim"),
    )


def _facts(run: Run, console: Console, lang: Lang) -> None:
    per_second = run.packets / run.seconds if run.seconds > 0 else 0.0
    amounts = [
        f"{number(run.packets, lang)} {word('packets', lang)}" if run.packets else "",
        f"{number(run.flows, lang)} {word('flows', lang)}",
        f"{number(run.dropped, lang)} {word('lost', lang)}" if run.packets else "",
        f"{number(run.evicted, lang)} {word('evicted', lang)}" if run.packets else "",
        size(run.bytes, lang),
        span(run.seconds, lang),
        f"{number(round(per_second), lang)} {word('packets', lang)}/s" if per_second else "",
    ]
    _print(console, f"{word('facts', lang)}{_colon(lang)}{', '.join(a for a in amounts if a)}")
    if run.suppressed:
        n = number(run.suppressed, lang)
        _print(console, f"{word('suppressed', lang)}{_colon(lang)}{n}")
    for warning in run.warnings[:WARNINGS_SHOWN]:
        _print(console, f"{word('warning', lang)}{_colon(lang)}{plain(warning)}", "yellow")
    if len(run.warnings) > WARNINGS_SHOWN:
        n = number(len(run.warnings) - WARNINGS_SHOWN, lang)
        _print(console, f"+{n} {word('warnings', lang).lower()}", "yellow")


def _limits(run: Run, console: Console, lang: Lang) -> None:
    lines = limits(run, lang)
    _print(console, f"{word('limits', lang)}{_colon(lang).rstrip()}")
    for line in lines[:LIMITS_SHOWN]:
        _print(console, f"- {line}", "dim")
    if len(lines) > LIMITS_SHOWN:
        n = number(len(lines) - LIMITS_SHOWN, lang)
        _print(console, f"- +{n} {word('more_limits', lang)} (--report FILE.html)", "dim")


def _colon(lang: Lang) -> str:
    return "\u00a0: " if lang == "fr" else ": "


def _line(text: str, style: str = "") -> Line:
    # rich reads markup only in str, never in its own Text.
    from rich.text import Text

    return Text(text, style=style, overflow="fold")


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(_line(text, style), highlight=False)
