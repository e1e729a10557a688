"""Small pictures of a verdict: its timeline, where a band lies, how much it weighs.

Colours stand as attributes, which a browser's style sheet overrides and a PDF needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cyberterr.contracts.media import Band, Segment
from cyberterr.report.spectrogram import LEFT, WIDTH, time_axis

COLUMNS = 240
"""bars of a timeline"""
HIGH = 70
"""height of a timeline"""
SIDE = 150
"""width of the picture of a band"""


def highest(
    segments: Sequence[Segment], seconds: float, columns: int
) -> tuple[list[float | None], float]:
    """The highest score in each of *columns* equal parts, None where none was judged; the end."""
    end = max(seconds, max(each.end for each in segments), 0.01)
    scores: list[float | None] = [None] * columns
    for segment in segments:
        first = min(int(segment.start / end * columns), columns - 1)
        last = max(min(int(segment.end / end * columns), columns), first + 1)
        for column in range(first, last):
            scores[column] = max(scores[column] or 0.0, segment.score)
    return scores, end


def timeline(segments: Sequence[Segment], seconds: float, alt: str, axis: str) -> str:
    """Scores over the whole recording as SVG; *alt* says what it shows, *axis* is time's name."""
    scores, end = highest(segments, seconds, COLUMNS)
    step = (WIDTH - LEFT) / COLUMNS
    bars = "".join(
        f"M{LEFT + step * place:.1f} {HIGH}"
        f"V{HIGH - max(score, 0.01) * (HIGH - 4):.1f}h{step:.2f}V{HIGH}z"
        for place, score in enumerate(scores)
        if score is not None
    )
    return (
        f'<svg class="picture" viewBox="0 0 {WIDTH} {HIGH + 34}" role="img" font-size="12.5" '
        f'aria-label="{escape(alt)}">'
        f'<path class="grid" d="M{LEFT} 4H{WIDTH}M{LEFT} {HIGH // 2 + 2}H{WIDTH}" '
        'stroke="#bbb" fill="none"/>'
        f'<path class="fill" d="{bars}" fill="#8a6100"/>'
        f'<path class="axis" d="M{LEFT} {HIGH}H{WIDTH}" stroke="#444" fill="none"/>'
        f'<text x="{LEFT - 8}" y="12" text-anchor="end">1</text>'
        f'<text x="{LEFT - 8}" y="{HIGH}" text-anchor="end">0</text>'
        f"{time_axis(end, HIGH, axis)}</svg>"
    )


def extent(bands: Sequence[Band]) -> tuple[float, float]:
    """The lowest and highest level that any of *bands* shows."""
    levels = [level for b in bands for level in (b.value, *b.genuine, *b.synthetic)]
    return min(levels), max(levels)


def band(shown: Band, ends: tuple[float, float]) -> str:
    """Where *shown* lies beside genuine (above) and synthetic (below) speech, between *ends*."""
    low, high = ends

    def at(level: float) -> float:
        return (SIDE - 4) * (level - low) / max(high - low, 1e-9) + 2

    def stripe(between: tuple[float, float], y: int, kind: str, colour: str) -> str:
        left, right = at(between[0]), at(between[1])
        return (
            f'<rect class="{kind}" x="{left:.1f}" y="{y}" width="{max(right - left, 2):.1f}" '
            f'height="7" fill="{colour}"/>'
        )

    return (
        f'<svg class="where" viewBox="0 0 {SIDE} 18" aria-hidden="true">'
        f"{stripe(shown.genuine, 1, 'genuine', '#7fa6ad')}"
        f"{stripe(shown.synthetic, 10, 'synthetic', '#d99a85')}"
        f'<rect class="here" x="{at(shown.value) - 1:.1f}" y="0" width="2.5" height="18"/></svg>'
    )


def weight(value: float, largest: float) -> str:
    """*value* as a bar from the middle: to the right it raised the score, to the left lowered."""
    length = 30 * min(abs(value) / max(largest, 1e-9), 1.0)
    start = 30 if value >= 0 else 30 - length
    return (
        '<svg class="weight" viewBox="0 0 60 14" aria-hidden="true">'
        f'<rect class="fill" x="{start:.1f}" y="2" width="{max(length, 0.5):.1f}" height="10" '
        'fill="#8a6100"/><rect class="here" x="29.5" y="0" width="1" height="14"/></svg>'
    )
