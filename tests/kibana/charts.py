"""A panel as a Vega-Lite chart, drawn as Lens draws its kind: numbers, tables, bars, heat maps."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cyberterr.kibana.labels import LABELS, OPEN
from cyberterr.kibana.panel import Lang, Measure, Panel, Search, fields, say
from cyberterr.kibana.query import rows

LINE = 21
INK, QUIET, BLUE = "#1b2733", "#56646f", "#0072b2"
FONT = "DejaVu Sans"
LETTER = 6.1
"""pixels of a letter of 11 px, as it is on average"""
DAYS = {
    "en": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "fr": ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."],
}
CONFIG = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "labelFontSize": 11,
        "domain": False,
        "ticks": False,
        "title": None,
        "grid": False,
        "labelPadding": 6,
    },
    "text": {"color": INK, "fontSize": 11, "font": FONT},
}

Spec = dict[str, Any]


def chart(panel: Panel | Search, answer: Any, width: int, height: int, lang: Lang) -> Spec:
    """What *panel* shows of *answer*, within so many pixels.

    Raises:
        ValueError: there is nothing to show.
    """
    if not answer["hits"]["total"]["value"]:
        raise ValueError(f"{panel.id} has no documents")
    if isinstance(panel, Search):
        return _list(panel, answer, width, height, lang)
    found = rows(panel, answer, lang=lang)
    if not any(row[panel.measures[0].name] for row in found):
        raise ValueError(f"{panel.id} has nothing to show")
    if panel.kind == "number":
        return _number(panel, found[0], width, height, lang)
    if panel.kind == "table":
        return _table(panel, found, width, height, lang)
    if panel.kind == "bars":
        return _bars(panel, found, width, height, lang)
    return _over_time(panel, found, width, height, lang)


def _number(panel: Panel, found: dict[str, Any], width: int, height: int, lang: Lang) -> Spec:
    first, *second = panel.measures
    texts = [
        (_written(found[first.name], first, lang), height * 0.52, 34, INK, "bold"),
        (say(first.label, lang), height * 0.52 - 38, 11, QUIET, "normal"),
    ]
    if second:
        beside = f"{_written(found[second[0].name], second[0], lang)} {say(second[0].label, lang)}"
        if second[0].unit == "date":
            when = _written(found[second[0].name], second[0], lang)
            beside = f"{say(second[0].label, lang)}, {when}"
        texts.append((beside, height * 0.52 + 30, 11.5, INK, "normal"))
    return _texts(
        [
            {"x": 0, "y": max(y, 8), "text": t, "size": s, "colour": c, "weight": b}
            for t, y, s, c, b in texts
        ],
        width,
        height,
    )


def _texts(values: list[dict[str, Any]], width: int, height: int) -> Spec:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for value in values:
        style = tuple(value.get(k) for k in ("size", "colour", "weight", "align"))
        groups.setdefault(style, []).append(value)
    place = {axis: {"field": axis, "type": "quantitative", "scale": None} for axis in "xy"}
    layers = [
        {
            "data": {"values": same},
            "mark": {
                "type": "text",
                "align": align or "left",
                "baseline": "middle",
                "fontSize": size or 11,
                "color": colour or INK,
                "fontWeight": weight or "normal",
            },
            "encoding": {
                **{axis: {**way, "axis": None} for axis, way in place.items()},
                "text": {"field": "text"},
            },
        }
        for (size, colour, weight, align), same in groups.items()
    ]
    return {"width": width, "height": height, "layer": layers}


def _table(panel: Panel, found: list[dict[str, Any]], width: int, height: int, lang: Lang) -> Spec:
    assert panel.by is not None
    heads = [say(panel.by.label, lang), *(say(m.label, lang) for m in panel.measures)]
    lines = [
        [str(row["by"]), *(_written(row[m.name], m, lang) for m in panel.measures)] for row in found
    ]
    return _grid(heads, lines, width, height, lang, right=range(1, len(heads)))


def _list(panel: Search, answer: Any, width: int, height: int, lang: Lang) -> Spec:
    columns = ["@timestamp", *fields(panel, lang)]
    heads = ["@timestamp", *(say(LABELS[name], lang) for name in columns[1:])]
    hits = answer["hits"]["hits"]
    lines = [[_cell(hit["fields"].get(name, [""]), name, lang) for name in columns] for hit in hits]
    return _grid(heads, lines, width, height, lang)


def _cell(values: list[Any], name: str, lang: Lang) -> str:
    if name == "event.url":
        return say(OPEN, lang) if values[0] else ""
    if name == "@timestamp" or name.endswith("expires"):
        moment = dt.datetime.fromisoformat(values[0]) if values[0] else None
        return _moment(moment, lang) if moment else ""
    return ", ".join(str(value) for value in values)


def _grid(
    heads: list[str],
    lines: list[list[str]],
    width: int,
    height: int,
    lang: Lang,
    right: range = range(0),
) -> Spec:
    """Rows of text; what has no room is cut with a sign, as Kibana does."""
    room = int((height - LINE) // LINE)
    shown = lines if len(lines) <= room else lines[: room - 1]
    wide = [
        LETTER * max(len(head) * 1.05, *(len(line[i]) for line in shown), 0) + 18
        for i, head in enumerate(heads)
    ]
    spare = width - sum(wide)
    while spare < 0:
        widest = max(range(len(wide)), key=wide.__getitem__)
        cut = min(-spare, max(wide[widest] * 0.06, 1))
        wide[widest] -= cut
        spare += cut
    gap = spare / len(wide)
    values, x = [], 0.0
    for i, head in enumerate(heads):
        box = wide[i] + gap
        at, align = (x + box - 14, "right") if i in right else (x, "left")
        texts = [head, *(line[i] for line in shown)]
        for n, text in enumerate(texts):
            letters = int((box - 10) / LETTER)
            cut = text if len(text) <= letters else text[: letters - 1] + "…"
            style = {"weight": "bold", "colour": QUIET} if n == 0 else {}
            values.append({"x": at, "y": 8 + n * LINE, "text": cut, "align": align, **style})
        x += box
    if len(shown) < len(lines):
        more = {"en": "and {} more", "fr": "et {} de plus"}[lang].format(len(lines) - len(shown))
        y = 8 + (len(shown) + 1) * LINE
        values.append({"x": 0, "y": y, "text": more, "colour": QUIET, "align": "left"})
    return _texts(values, width, height)


def _bars(panel: Panel, found: list[dict[str, Any]], width: int, height: int, lang: Lang) -> Spec:
    measure = panel.measures[0]
    values = [
        {
            "by": str(r["by"]),
            "value": r[measure.name],
            "text": _written(r[measure.name], measure, lang),
        }
        for r in found
    ]
    order = [value["by"] for value in values]
    side = min(max(len(by) for by in order) * LETTER + 14, width * 0.6)
    encoding = {
        "y": {"field": "by", "type": "nominal", "sort": order, "axis": {"labelLimit": 400}},
        "x": {"field": "value", "type": "quantitative", "axis": None},
    }
    return {
        "width": width - side - 34,
        "height": min(height - 6, 34 * len(order)),
        "data": {"values": values},
        "encoding": encoding,
        "layer": [
            {"mark": {"type": "bar", "color": BLUE, "height": {"band": 0.62}}},
            {
                "mark": {"type": "text", "align": "left", "dx": 5, "fontWeight": "bold"},
                "encoding": {"text": {"field": "text"}},
            },
        ],
    }


def _over_time(
    panel: Panel, found: list[dict[str, Any]], width: int, height: int, lang: Lang
) -> Spec:
    measure = panel.measures[0]
    values = [
        {
            "day": _day(row["time"], lang),
            "by": row.get("by", ""),
            "value": row[measure.name],
            "text": _written(row[measure.name], measure, lang),
        }
        for row in found
    ]
    days = list(dict.fromkeys(value["day"] for value in values))
    x = {
        "field": "day",
        "type": "ordinal",
        "sort": days,
        "axis": {"labelAngle": 0, "orient": "bottom"},
    }
    if panel.by is None:
        return {
            "width": width - 4,
            "height": height - 24,
            "data": {"values": values},
            "encoding": {
                "x": {**x, "scale": {"paddingInner": 0.35, "paddingOuter": 0.2}},
                "y": {"field": "value", "type": "quantitative", "axis": None},
            },
            "layer": [
                {"mark": {"type": "bar", "color": BLUE}},
                {
                    "mark": {"type": "text", "dy": -8, "fontWeight": "bold"},
                    "encoding": {"text": {"field": "text"}},
                },
            ],
        }
    order = list(dict.fromkeys(value["by"] for value in values))
    highest = max(value["value"] for value in values)
    side = max(len(by) for by in order) * LETTER + 14
    return {
        "width": width - side,
        "height": height - 24,
        "data": {"values": values},
        "encoding": {
            "x": {**x, "scale": {"padding": 0.04}},
            "y": {
                "field": "by",
                "type": "nominal",
                "sort": order,
                "axis": {"labelLimit": 400},
                "scale": {"padding": 0.08},
            },
        },
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 3},
                "encoding": {
                    "color": {
                        "field": "value",
                        "type": "quantitative",
                        "legend": None,
                        "scale": {"domain": [0, max(highest, 3)], "range": ["#edf1f5", "#08519c"]},
                    }
                },
            },
            {
                "mark": {"type": "text", "fontSize": 12},
                "encoding": {
                    "text": {"field": "text"},
                    "color": {
                        "condition": {
                            "test": f"datum.value > {max(highest, 3) / 2}",
                            "value": "#ffffff",
                        },
                        "value": INK,
                    },
                },
            },
        ],
    }


def _written(value: Any, measure: Measure, lang: Lang) -> str:
    if value is None:
        return "–"
    if measure.unit == "date":
        return _moment(dt.datetime.fromtimestamp(value / 1000, dt.UTC), lang)
    if measure.unit == "percent":
        return f"{100 * value:.0f}{' ' if lang == 'fr' else ''}%"
    if measure.unit == "bytes":
        size = f"{value / 1e9:.1f}" if value >= 1e9 else f"{value / 1e6:.0f}"
        unit = (
            ("Go" if lang == "fr" else "GB") if value >= 1e9 else ("Mo" if lang == "fr" else "MB")
        )
        return f"{size} {unit}".replace(".", "," if lang == "fr" else ".")
    text = f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{int(value):,}"
    text = text.replace(",", " ").replace(".", ",") if lang == "fr" else text
    return f"{text} s" if measure.unit == "seconds" else text


def _moment(moment: dt.datetime, lang: Lang) -> str:
    return moment.strftime("%d/%m/%Y %H:%M" if lang == "fr" else "%Y-%m-%d %H:%M")


def _day(time: int, lang: Lang) -> str:
    day = dt.datetime.fromtimestamp(time / 1000, dt.UTC)
    return f"{DAYS[lang][day.weekday()]} {day.day}"
