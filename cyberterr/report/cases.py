"""Findings beside what people made of them, on a terminal: the list, and one in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cyberterr.contracts.finding import Finding, Measure, Text
from cyberterr.contracts.media import Media
from cyberterr.contracts.site import Site
from cyberterr.contracts.store import Case, Decision, Suppression
from cyberterr.report import media_terminal
from cyberterr.report.terminal import COLOUR
from cyberterr.report.text import Lang, label, moment, number, plain, quantity, say, who, zone
from cyberterr.report.words import SEVERITY, STATE, word

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as Line

VERDICT = {
    "true_positive": Text("true positive", "vrai positif"),
    "false_positive": Text("false positive", "faux positif"),
    "benign": Text("benign", "bénin"),
}
WORDS = {
    "open": Text("open", "à décider"),
    "decision": Text("Decision", "Décision"),
    "decisions": Text("Decisions", "Décisions"),
    "revisions": Text("Revisions", "Révisions"),
    "suppressed": Text("suppressed by", "masqué par"),
    "nothing": Text("No finding matches.", "Aucun constat ne correspond."),
    "until": Text("until", "jusqu’au"),
    "none": Text("No suppression is in force.", "Aucun masquage n’est en vigueur."),
    "hides": Text("hides now", "masque maintenant"),
}


def _word(key: str, lang: Lang) -> str:
    return say(WORDS[key], lang)


def hidden(count: int, suppressions: int, lang: Lang) -> str:
    """How many findings how many suppressions cover, in a sentence."""
    n, m = number(count, lang), number(suppressions, lang)
    if lang == "fr":
        s, p = ("s" if count > 1 else ""), ("s" if suppressions > 1 else "")
        return f"{n} constat{s} masqué{s} par {m} règle{p} de masquage"
    return f"{n} hidden by {m} suppression{'' if suppressions == 1 else 's'}"


def show_list(cases: Sequence[Case], site: Site, console: Console, lang: Lang) -> None:
    """Print one block per case, in the order given; hostile text is made plain."""
    from rich.console import Group
    from rich.table import Table

    if not cases:
        console.print(_line(_word("nothing", lang)))
        return
    grid = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False, expand=True, header_style="dim")
    grid.add_column(word("severity", lang), no_wrap=True)
    grid.add_column(word("what", lang), ratio=1, overflow="fold")
    grid.add_column(word("first_seen", lang), no_wrap=True)
    grid.add_column(_word("decision", lang), overflow="fold")
    zoned = zone(site.time_zone)
    for case in cases:
        finding = case.finding
        grid.add_row(
            _line(say(SEVERITY[finding.severity], lang).upper(), COLOUR[finding.severity]),
            Group(
                _line(say(finding.title, lang), "bold"),
                _line(who(finding, site, lang)),
                _line(f"id {plain(finding.id, 40)}", "dim"),
            ),
            _line(f"{finding.start.astimezone(zoned):%Y-%m-%d %H:%M}"),
            _line("\n".join(_state(case, lang))),
        )
    console.print(grid)


def _state(case: Case, lang: Lang) -> list[str]:
    lines = [say(VERDICT[case.decision.verdict], lang) if case.decision else _word("open", lang)]
    if case.suppressed_by:
        lines.append(f"{_word('suppressed', lang)} {plain(', '.join(case.suppressed_by))}")
    return lines


def show_one(
    case: Case,
    revisions: Sequence[Finding],
    decisions: Sequence[Decision],
    site: Site,
    console: Console,
    lang: Lang,
) -> None:
    """Print everything a person needs to decide on one finding."""
    finding = case.finding
    severity = say(SEVERITY[finding.severity], lang).upper()
    zoned = site.time_zone
    _print(console, f"{severity}  {say(finding.title, lang)}", COLOUR[finding.severity])
    _print(console, who(finding, site, lang))
    if isinstance(finding.media, Media):
        _print(console, f"{moment(finding.start, zoned, lang)} ({plain(zoned)})")
        _print(console, " · ".join(_state(case, lang)))
        media_terminal.one(finding, console, lang)
        media_terminal.errors(finding.media.evidence, console, lang)
    else:
        _told(case, site, console, lang)
    history = [
        f"{moment(d.time, zoned, lang)}  {say(VERDICT[d.verdict], lang)}  {plain(d.author)}: "
        f"{plain(d.reason, 2000)}"
        for d in decisions
    ]
    _block(console, _word("decisions", lang), history)
    older = [
        f"{r.revision}: {say(SEVERITY[r.severity], lang)}, {number(round(r.score, 2), lang)}, "
        f"→ {moment(r.end, zoned, lang)}"
        for r in revisions
    ]
    _block(console, _word("revisions", lang), older)
    details = [
        f"{word('id', lang)}: {plain(finding.id)}",
        f"{word('rule', lang)}: {plain(finding.rule)}",
        f"{word('score', lang)}: {number(round(finding.score, 2), lang)}",
        f"{word('sensor', lang)}: {plain(finding.sensor)}",
        f"{word('attack', lang)}: {plain(', '.join(finding.attack))}",
        f"{word('addresses', lang)}: {plain(', '.join(finding.related), 4000)}",
    ]
    _block(console, word("details", lang), [d for d in details if not d.endswith(": ")])


def _told(case: Case, site: Site, console: Console, lang: Lang) -> None:
    """What a finding on the network says of itself."""
    finding, zoned = case.finding, site.time_zone
    _print(console, say(finding.reason, lang))
    first, last = moment(finding.start, zoned, lang), moment(finding.end, zoned, lang)
    _print(console, f"{first} → {last} ({plain(zoned)})")
    _print(console, " · ".join(_state(case, lang)))
    measures = [_measure(measure, lang) for measure in finding.measures]
    _block(console, word("measures", lang), measures)
    innocent = [f"{say(e.text, lang)} [{say(STATE[e.state], lang)}]" for e in finding.explanations]
    _block(console, word("innocent", lang), innocent)
    unseen = [say(text, lang) for text in finding.not_examined]
    _block(console, word("not_examined", lang), unseen)
    _block(console, word("next", lang), [say(text, lang) for text in finding.next_steps])


def show_suppressions(
    suppressions: Sequence[tuple[Suppression, int]], site: Site, console: Console, lang: Lang
) -> None:
    """Print each suppression in force with its scope, expiry, author, reason and effect."""
    if not suppressions:
        _print(console, _word("none", lang))
    for suppression, count in suppressions:
        until = f"{_word('until', lang)} {moment(suppression.expires, site.time_zone, lang)}"
        _print(console, f"{suppression.id}  {scope(suppression)}", "bold")
        _print(console, f"  {until}, {plain(suppression.author)}: {plain(suppression.reason)}")
        _print(console, f"  {_word('hides', lang)}: {number(count, lang)}")


def scope(suppression: Suppression) -> str:
    """What *suppression* covers, in `key=value` words."""
    pairs = (
        ("rule", suppression.rule),
        ("actor", suppression.actor),
        ("victim", suppression.victim),
        ("detail", suppression.detail),
        ("network", suppression.network),
        ("port", suppression.port),
    )
    return " ".join(f"{key}={plain(str(value))}" for key, value in pairs if value is not None)


def _measure(measure: Measure, lang: Lang) -> str:
    normal = word("unknown", lang)
    if measure.baseline is not None:
        normal = quantity(measure.baseline, measure.unit, lang)
    value = quantity(measure.value, measure.unit, lang)
    return f"{label(measure, lang)}: {value} ({word('normal', lang).lower()}: {normal})"


def _block(console: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print()
        _print(console, title, "bold")
        for line in lines:
            _print(console, f"- {line}")


def _line(text: str, style: str = "") -> Line:
    # rich reads markup only in str, never in its own Text.
    from rich.text import Text

    return Text(text, style=style, overflow="fold")


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(_line(text, style), highlight=False)
