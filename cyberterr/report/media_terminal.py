"""Verdicts on a terminal: plain words first, then limits, evidence and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cyberterr.contracts.finding import Finding
from cyberterr.contracts.media import Media, Segment
from cyberterr.report import media_words as words
from cyberterr.report.text import Lang, label, plain, quantity, say, size, span

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as Line

COLOUR = {"signs_of_synthesis": "bold red", "cannot_say": "bold yellow", "no_sign_found": "bold"}
BAR = 60
"""columns of the timeline"""
STEPS = " ▁▂▃▄▅▆▇█"


def show(findings: Sequence[Finding], console: Console, lang: Lang) -> None:
    """Print the verdicts of *findings*, worst first; hostile text is made plain."""
    ordered = sorted((f for f in findings if isinstance(f.media, Media)), key=Finding.rank)
    if not ordered:
        _print(console, words.word("none", lang))
    for place, finding in enumerate(ordered):
        if place:
            console.print()
        assert isinstance(finding.media, Media)  # noqa: S101 - chosen above
        _one(finding, finding.media, console, lang)


def _one(finding: Finding, media: Media, console: Console, lang: Lang) -> None:
    _print(console, plain(media.name) or "-", "dim")
    _print(console, say(finding.title, lang).upper(), COLOUR[media.answer])
    _print(console, say(finding.reason, lang))
    _print(
        console, f"{words.word('how_sure', lang)}{words.colon(lang)}{words.how_sure(media, lang)}"
    )
    _block(console, "errors", words.rates(media.evidence, lang), lang)
    _block(console, "limits", [say(limit.text, lang) for limit in media.limits], lang)
    if media.segments and len(media.segments) > 1:
        _block(console, "timeline", [timeline(media.segments, media.seconds or 0.0, lang)], lang)
    measures = [
        f"{label(m, lang)}{words.colon(lang)}{quantity(m.value, m.unit, lang)}"
        for m in media.quality
    ]
    _block(console, "quality", ["; ".join(measures)], lang)
    _block(console, "provenance", words.provenance(media, lang), lang)
    innocent = [say(each.text, lang) for each in finding.explanations]
    _block(console, "innocent", innocent, lang)
    known = {limit.text for limit in media.limits}
    unseen = [say(text, lang) for text in finding.not_examined if text not in known]
    _block(console, "not_examined", unseen, lang)
    _block(console, "next", [say(text, lang) for text in finding.next_steps], lang)
    facts = [
        plain(media.mime),
        size(media.size, lang),
        span(media.seconds or 0.0, lang),
        f"SHA-256 {media.sha256}",
    ]
    _print(console, f"{words.word('file', lang)}{words.colon(lang)}{', '.join(facts)}", "dim")
    decide = words.word("decide", lang).format(id=finding.id)
    _print(console, decide, "dim")


def timeline(segments: Sequence[Segment], seconds: float, lang: Lang) -> str:
    """The highest score in each part of a recording, as a row of bars."""
    end = max(seconds, segments[-1].end)
    highest = [0.0] * BAR
    heard = [False] * BAR
    for segment in segments:
        first = min(int(segment.start / end * BAR), BAR - 1)
        last = min(int(segment.end / end * BAR), BAR)
        for column in range(first, max(last, first + 1)):
            highest[column] = max(highest[column], segment.score)
            heard[column] = True
    bars = "".join(
        STEPS[1 + int(score * 7.99)] if known else STEPS[0]
        for score, known in zip(highest, heard, strict=True)
    )
    return f"0 |{bars}| {words.at(end, lang)}"


def _block(console: Console, key: str, lines: Sequence[str], lang: Lang) -> None:
    if not lines:
        return
    _print(console, words.word(key, lang), "bold")
    for line in lines:
        _print(console, f"  {line}")


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(_line(text, style), highlight=False)


def _line(text: str, style: str) -> Line:
    # rich reads markup only in str, never in its own Text.
    from rich.text import Text

    return Text(text, style=style, overflow="fold")
