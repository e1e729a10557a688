"""Verdicts on a terminal: plain words first, then limits, evidence and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cyberterr.contracts.finding import Finding
from cyberterr.contracts.media import Evidence, Media, Segment
from cyberterr.report import media_words as words
from cyberterr.report.media_pictures import highest
from cyberterr.report.text import Lang, label, plain, quantity, say, size, span

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as Line

COLOUR = {"signs_of_synthesis": "bold red", "cannot_say": "bold yellow", "no_sign_found": "bold"}
BAR = 60
"""columns of the timeline"""
STEPS = "▁▂▃▄▅▆▇█"


def show(findings: Sequence[Finding], console: Console, lang: Lang) -> None:
    """Print the verdicts of *findings*, worst first; hostile text is made plain.

    Of several files a table comes first, and only what needs a person is told in full.
    """
    found = [f for f in findings if isinstance(f.media, Media)]
    found.sort(key=words.rank)
    if not found:
        _print(console, words.word("none", lang))
    if len(found) > 1:
        _table(found, console, lang)
    for finding in found:
        media = _media(finding)
        if len(found) > 1:
            if media.answer == "no_sign_found":
                continue
            console.print()
        _print(console, plain(media.name) or "–", "dim")
        _print(console, say(finding.title, lang).upper(), COLOUR[media.answer])
        one(finding, console, lang)
        decide = words.word("decide", lang).format(id=finding.id)
        _print(console, decide, "dim")
    errors([e for finding in found for e in _media(finding).evidence], console, lang)


def one(finding: Finding, console: Console, lang: Lang) -> None:
    """Print what is said of one file, below its name and answer."""
    media = _media(finding)
    sure = f"{words.word('how_sure', lang)}{words.colon(lang)}{words.how_sure(media, lang)}"
    _print(console, say(finding.reason, lang))
    _print(console, sure)
    _block(console, "limits", [say(limit.text, lang) for limit in media.limits], lang)
    if len(media.segments) > 1:
        _block(console, "timeline", [timeline(media.segments, media.seconds or 0.0, lang)], lang)
    measures = [
        f"{label(m, lang)}{words.colon(lang)}{quantity(m.value, m.unit, lang)}"
        for m in media.quality
    ]
    _block(console, "quality", measures, lang)
    _block(console, "provenance", words.provenance(media, lang), lang)
    innocent = [say(each.text, lang) for each in finding.explanations]
    _block(console, "innocent", innocent, lang)
    known = {limit.text for limit in media.limits}
    unseen = [say(text, lang) for text in finding.not_examined if text not in known]
    _block(console, "not_examined", unseen, lang)
    _block(console, "next", [say(text, lang) for text in finding.next_steps], lang)
    facts = f"{plain(media.mime)}, {size(media.size, lang)}, {span(media.seconds or 0.0, lang)}"
    _print(console, f"{words.word('file', lang)}{words.colon(lang)}{facts}", "dim")
    _print(console, f"SHA-256 {plain(media.sha256)}", "dim")


def errors(evidence: Sequence[Evidence], console: Console, lang: Lang) -> None:
    """Print the measured errors of the models, each once."""
    for model, lines in words.rates(evidence, lang):
        console.print()
        _block(console, "errors", [*lines, f"({model})"], lang)


def timeline(segments: Sequence[Segment], seconds: float, lang: Lang) -> str:
    """The highest score in each part of a recording, as a row of bars."""
    scores, end = highest(segments, seconds, BAR)
    bars = "".join(" " if s is None else STEPS[min(int(s * 8), 7)] for s in scores)
    return f"0 |{bars}| {words.at(end, lang)}"


def _table(found: Sequence[Finding], console: Console, lang: Lang) -> None:
    from rich.table import Table

    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    grid.add_column(words.word("file", lang), overflow="fold")
    grid.add_column(words.word("answer", lang), overflow="fold")
    grid.add_column(words.word("short_score", lang), no_wrap=True)
    for finding in found:
        media = _media(finding)
        grid.add_row(
            _line(plain(media.name) or "–"),
            _line(say(finding.title, lang), COLOUR[media.answer]),
            _line(words.score(media, lang)),
        )
    console.print(grid)


def _media(finding: Finding) -> Media:
    assert isinstance(finding.media, Media)  # noqa: S101 - only verdicts are shown
    return finding.media


def _block(console: Console, key: str, lines: Sequence[str], lang: Lang) -> None:
    from rich.padding import Padding

    if not lines:
        return
    _print(console, words.word(key, lang), "bold")
    for line in lines:
        console.print(Padding(_line(line), (0, 0, 0, 2), expand=False), highlight=False)


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(_line(text, style), highlight=False)


def _line(text: str, style: str = "") -> Line:
    # rich reads markup only in str, never in its own Text.
    from rich.text import Text

    return Text(text, style=style, overflow="fold")
