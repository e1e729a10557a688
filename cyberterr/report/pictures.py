"""Pictures of what happened: one inline SVG per finding, coloured by the page's style sheet.

Numbers outside ±1e15 and times outside 1970-9999 are not drawn: nothing measured looks like that.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from cyberterr.contracts.finding import Picture, Text
from cyberterr.report.text import Lang, number, plain, say, size, zone
from cyberterr.report.words import word

POINTS = 500
WIDTH, HEIGHT = 640.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 74.0, 624.0, 22.0, 200.0
LARGEST = 1e15
LAST_TIME = 253_000_000_000.0
"""in the year 9987: the last century that every time zone can show"""
TIME_STEPS = (
    *(0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800),
)
"""seconds between two marks of a time axis"""
ROW = 26.0
"""height of one bar"""
BARS = 24
"""bars that fit a page"""
NAMED = 64
"""targets of a grid that are shown with their number"""
STEMS = 60
"""dots that are tied to the time axis by a line; more would be a hatching"""


class Scale(NamedTuple):
    """A linear map from *low*..*high* to *start*..*end* in picture units."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where *value* lies, held inside the axis."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def draw(picture: Picture, lang: Lang, time_zone: str) -> str:
    """SVG element of *picture*, safe to put into a page; empty where there is nothing to draw."""
    kinds: dict[str, Callable[[Picture, Lang, str], str]] = {
        "timeline": _timeline,
        "fan_out": _fan_out,
        "rate": _rate,
        "bars": _bars,
    }
    return kinds[picture.kind](picture, lang, time_zone)


def bar(value: float, baseline: float | None) -> str:
    """A small bar of *value*, with a tick where *baseline* lies; empty for odd numbers."""
    known = baseline if baseline is not None and 0 <= baseline <= LARGEST else None
    if known is None or not 0 <= value <= LARGEST or max(value, known) <= 0:
        return ""
    scale = Scale(0.0, max(value, known), 0.0, 118.0)
    kind = "over" if value > known else "under"
    return (
        '<svg class="mini" viewBox="0 0 120 14" aria-hidden="true" focusable="false">'
        '<rect class="track" x="0" y="4" width="120" height="6" rx="3"/>'
        f'<rect class="{kind}" x="0" y="4" width="{max(scale(value), 2):.1f}" height="6" rx="3"/>'
        f'<rect class="tick" x="{scale(known):.1f}" y="0" width="2" height="14"/></svg>'
    )


def _timeline(picture: Picture, lang: Lang, time_zone: str) -> str:
    """Ticks for the events on top; below, their values or the time since the one before."""
    # A value that never changes says nothing: the intervals do.
    valued = len(picture.y) == len(picture.x) and len(set(picture.y)) > 1
    if valued:
        events = _kept(picture.x, picture.y, timed=True)
        dots, title = events, say(picture.y_label, lang)
    else:
        events = _kept(picture.x, picture.x, timed=True)
        dots = [(b, b - a) for (a, _), (b, _) in pairwise(events)]
        title = word("interval", lang)
    if not events:
        return ""
    along = _time_scale([t for t, _ in events])
    up = _scale([*(v for _, v in dots), *_base(picture)], BOTTOM, 66.0)
    ticks = "".join(f"M{along(t):.1f} 10V34" for t, _ in events)
    stems = "".join(f"M{along(t):.1f} {BOTTOM:.0f}V{up(v):.1f}" for t, v in dots)
    parts = [
        _frame(along, up, lang, time_zone, title, 52),
        _label(LEFT - 8, 26, word("events", lang), "end"),
        f'<path class="ticks" d="{ticks}"/>',
        f'<path class="stem" d="{stems}"/>' if len(dots) <= STEMS else "",
        "".join(
            f'<circle class="dot" cx="{along(t):.1f}" cy="{up(v):.1f}" r="3"/>' for t, v in dots
        ),
    ]
    if picture.baseline is not None:
        parts.append(_level(picture.baseline, up, lang, word("at_most", lang)))
    elif dots and not valued:
        parts.append(_level(median(v for _, v in dots), up, lang, word("median", lang), " s"))
    alt = word("timeline_y_alt" if valued else "timeline_alt", lang)
    return _svg(HEIGHT, alt.format(n=number(len(picture.x), lang)), parts)


def _fan_out(picture: Picture, lang: Lang, time_zone: str) -> str:
    """Targets over time where the touches have times, else a grid with one dot per target."""
    alt = word("fan_out_alt", lang).format(n=number(len(set(picture.x)), lang))
    if len(picture.y) != len(picture.x):
        return _grid(sorted(set(picture.x)), alt, say(picture.x_label, lang))
    touches = _kept(picture.y, picture.x, timed=True)
    if not touches:
        return ""
    along = _time_scale([t for t, _ in touches])
    up = _scale([v for _, v in touches], BOTTOM, TOP + 8, zero=False)
    dots = "".join(
        f'<circle class="dot" cx="{along(t):.1f}" cy="{up(v):.1f}" r="2.6"/>' for t, v in touches
    )
    return _svg(HEIGHT, alt, [_frame(along, up, lang, time_zone, say(picture.x_label, lang)), dots])


def _grid(targets: Sequence[float], alt: str, title: str) -> str:
    values = [x for x in targets if abs(x) <= LARGEST][:POINTS]
    if not values:
        return ""
    named = len(values) <= NAMED
    across = 8 if named else 40
    side = (WIDTH - 20) / across
    high = ROW if named else side
    rows = math.ceil(len(values) / across)
    parts = []
    for i, value in enumerate(values):
        x, y = 10 + side * (i % across), TOP + 10 + high * (i // across + 0.5)
        x = x + 8 if named else x + side / 2
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        if named:
            # A port is a name, not an amount: no thousands.
            parts.append(_label(x + 9, y + 4.5, f"{value:.6g}", "start"))
    ends = f"{values[0]:.6g} – {values[-1]:.6g}"
    heading = title if named else f"{title}{', ' if title else ''}{ends}"
    return _svg(TOP + 20 + high * rows, alt, [_label(10, 16, heading, "start"), *parts])


def _rate(picture: Picture, lang: Lang, time_zone: str) -> str:
    """Steps over time with the area below filled, and what is normal as a line."""
    steps = _kept(picture.x, picture.y, timed=True)
    if not steps:
        return ""
    gaps = [b - a for (a, _), (b, _) in pairwise(steps) if b > a]
    width = median(gaps) if gaps else 1.0
    last = min(steps[-1][0] + width, LAST_TIME)
    along = _time_scale([steps[0][0], last])
    up = _scale([*(v for _, v in steps), *_base(picture)], BOTTOM, TOP + 8)
    ends = [*(t for t, _ in steps[1:]), last]
    start, floor = along(steps[0][0]), up(0.0)
    path = ""
    for (t, value), end in zip(steps, ends, strict=True):
        path += f"V{up(value):.1f}H{along(min(end, t + width)):.1f}"
        if end - t > 1.5 * width:  # no row is no traffic, not the last rate going on
            path += f"V{floor:.1f}H{along(end):.1f}"
    parts = [
        _frame(along, up, lang, time_zone, say(picture.y_label, lang)),
        f'<path class="area" d="M{start:.1f} {floor:.1f}{path}V{floor:.1f}Z"/>',
        f'<path class="line" d="M{start:.1f} {floor:.1f}{path}"/>',
    ]
    if picture.baseline is not None:
        parts.append(_level(picture.baseline, up, lang, word("at_most", lang)))
    top = number(max(v for _, v in steps), lang)
    return _svg(HEIGHT, word("rate_alt", lang).format(n=number(len(steps), lang), top=top), parts)


def _bars(picture: Picture, lang: Lang, _time_zone: str) -> str:
    """One horizontal bar per position, its name before it, its length behind it."""
    heights = picture.y or picture.x
    names = picture.labels or ("",) * len(heights)
    rows = [(n, v) for n, v in zip(names, heights, strict=False) if 0 <= v <= LARGEST][:BARS]
    if not rows:
        return ""
    bottom = TOP + 8 + ROW * len(rows)
    scale = _scale([*(v for _, v in rows), *_base(picture)], 210.0, 520.0)
    parts = [_label(210, 16, say(picture.y_label, lang), "start")]
    shown = size if picture.y_label.en == "bytes" else number
    for i, (name, value) in enumerate(rows):
        y = TOP + 8 + ROW * i
        parts += [
            _label(202, y + 14, _named(name, lang), "end"),
            f'<rect class="fill" x="210" y="{y + 3:.1f}" '
            f'width="{max(scale(value) - 210, 1):.1f}" height="{ROW - 10:.0f}" rx="2"/>',
            _label(max(scale(value), 211) + 8, y + 14, shown(value, lang), "start"),
        ]
    for baseline in _base(picture):
        x = scale(baseline)
        text = f"{word('at_most', lang)} {shown(baseline, lang)}"
        parts.append(f'<path class="base" d="M{x:.1f} {TOP + 4:.1f}V{bottom + 4:.1f}"/>')
        parts.append(_label(x, bottom + 18, text, "middle", "basename"))
    top = shown(max(v for _, v in rows), lang)
    alt = word("bars_alt", lang).format(n=number(len(rows), lang), top=top)
    return _svg(bottom + (26 if _base(picture) else 4), alt, parts)


def _named(name: str | Text, lang: Lang) -> str:
    return plain(say(name, lang) if isinstance(name, Text) else name, 26)


def _kept(xs: Sequence[float], ys: Sequence[float], *, timed: bool) -> list[tuple[float, float]]:
    """Points that can be drawn, in order of x, thinned to POINTS with both ends kept."""
    low, high = (0.0, LAST_TIME) if timed else (-LARGEST, LARGEST)
    points = sorted(
        (float(x), float(y))
        for x, y in zip(xs, ys, strict=False)
        if low <= x <= high and abs(y) <= LARGEST
    )
    if len(points) <= POINTS:
        return points
    step = (len(points) - 1) / (POINTS - 1)
    return [points[round(i * step)] for i in range(POINTS)]


def _base(picture: Picture) -> list[float]:
    known = picture.baseline is not None and abs(picture.baseline) <= LARGEST
    return [picture.baseline] if known and picture.baseline is not None else []


def _time_scale(times: Sequence[float]) -> Scale:
    low, high = min(times), max(times)
    if high - low < 1e-3:
        low, high = max(low - 1.0, 0.0), high + 1.0
    return Scale(low, high, LEFT + 6, RIGHT - 6)


def _scale(values: Sequence[float], start: float, end: float, *, zero: bool = True) -> Scale:
    """A scale over *values*, from zero where *zero*, its top a little above the highest."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-9 * max(1.0, abs(high)):
        high = low + max(1.0, abs(low) * 0.1)
    return Scale(low, high + (high - low) * 0.06, start, end)


def _marks(scale: Scale, wanted: int = 4) -> list[float]:
    """Round numbers along *scale*: steps of 1, 2 or 5 times a power of ten."""
    raw = (scale.high - scale.low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(scale.low / step)
    count = math.floor((scale.high - first * step) / step) + 1
    return [(first + i) * step for i in range(min(count, 12))]


def _time_marks(scale: Scale, time_zone: str, wanted: int = 6) -> list[tuple[float, str]]:
    """Round local times along *scale* and how they are written; the first also says the day."""
    length = scale.high - scale.low
    step = next((s for s in TIME_STEPS if length / s <= wanted), None)
    if step is None:
        step = math.ceil(length / wanted / 86_400) * 86_400
    tz = zone(time_zone)
    shift = (dt.datetime.fromtimestamp(scale.low, tz).utcoffset() or dt.timedelta()).total_seconds()
    first = math.ceil((scale.low + shift) / step) * step - shift
    moments = [t for i in range(wanted + 1) if (t := first + i * step) <= scale.high]
    marks = []
    for t in moments:
        # A float is good to a microsecond here; rounding keeps 59.9999 s from reading 59.
        local = dt.datetime.fromtimestamp(round(t, 3), tz)
        if step >= 86_400:
            text = f"{local:%Y-%m-%d}"
        elif step >= 60:
            text = f"{local:%H:%M}"
        else:
            digits = 0 if step >= 1 else 3 if step < 0.1 else 1
            text = f"{local:%H:%M:%S.%f}"[: 9 + digits if digits else 8]
        marks.append((t, text))
    return marks


def _frame(
    along: Scale, up: Scale, lang: Lang, time_zone: str, title: str, title_y: float = 14
) -> str:
    """Grid, numbers on the left, times below, what both mean."""
    parts = [
        _label(
            LEFT - 8 if len(title) < 12 else 8,
            title_y,
            title,
            "end" if len(title) < 12 else "start",
        )
    ]
    for value in _marks(up):
        y = up(value)
        parts.append(f'<path class="grid" d="M{LEFT:.0f} {y:.1f}H{RIGHT:.0f}"/>')
        parts.append(_label(LEFT - 8, y + 4, number(float(f"{value:.6g}"), lang), "end"))
    for t, text in _time_marks(along, time_zone):
        x = along(t)
        parts.append(f'<path class="mark" d="M{x:.1f} {BOTTOM:.0f}v5"/>')
        parts.append(_label(min(max(x, 36), RIGHT - 20), BOTTOM + 19, text, "middle"))
    day = dt.datetime.fromtimestamp(along.low, zone(time_zone))
    name = time_zone if zone(time_zone) is not dt.UTC else "UTC"
    below = f"{word('time', lang)} ({name}), {day:%Y-%m-%d}"
    parts.append(f'<path class="axis" d="M{LEFT:.0f} {BOTTOM:.0f}H{RIGHT:.0f}"/>')
    parts.append(_label(RIGHT, BOTTOM + 40, below, "end"))
    return "".join(parts)


def _level(value: float, up: Scale, lang: Lang, name: str, unit: str = "") -> str:
    """A dashed line at *value*, named at its right end."""
    if not abs(value) <= LARGEST:
        return ""
    y = up(value)
    text = f"{name} {number(value, lang)}{unit}"
    return f'<path class="base" d="M{LEFT:.0f} {y:.1f}H{RIGHT:.0f}"/>' + _label(
        RIGHT, y - 5, text, "end", "basename"
    )


def _label(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    safe = escape(plain(text, 80))
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{safe}</text>'


def _svg(height: float, alt: str, parts: Sequence[str]) -> str:
    title = escape(alt)
    return (
        f'<svg class="picture" role="img" aria-label="{title}" '
        f'viewBox="0 0 {WIDTH:.0f} {height:.0f}"><title>{title}</title>{"".join(parts)}</svg>'
    )
