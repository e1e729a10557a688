"""The search behind a panel, as Lens sends it, and the rows that its answer holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyberterr.kibana.condition import query
from cyberterr.kibana.panel import Groups, Lang, Measure, Panel, Search, Terms, fields, say

ROWS = 50
"""of a list of documents"""


def panel_query(panel: Panel | Search, *, lang: Lang = "en", zone: str = "UTC") -> dict[str, Any]:
    """The body of the search behind *panel*, without the time range that people choose.

    Args:
        panel: what is asked.
        lang: of the columns of a list.
        zone: in which a timeline's days begin; Lens takes the browser's, and bars as wide as the
            chosen time asks for.
    """
    if isinstance(panel, Search):
        return {
            "size": ROWS,
            "query": query(panel.where),
            "sort": [{field: order} for field, order in panel.sort],
            "fields": ["@timestamp", *fields(panel, lang)],
            "_source": False,
        }
    found = {measure.name: _measure(measure) for measure in panel.measures}
    aggregations: dict[str, Any] = found if panel.by is None else _by(panel.by, panel, found)
    if panel.kind == "timeline":
        days = {"field": "@timestamp", "calendar_interval": "day", "time_zone": zone}
        aggregations = {"time": {"date_histogram": days, "aggs": aggregations}}
    return {"size": 0, "query": query(panel.where), "aggs": aggregations}


def rows(panel: Panel, answer: Mapping[str, Any], *, lang: Lang = "en") -> list[dict[str, Any]]:
    """What *answer* says, a row each: `time` (ms) and `by` where there are such, and the measures.

    A measure of nothing is None: a share of no findings, the highest of no documents.
    """
    found = answer["aggregations"]
    if panel.kind != "timeline":
        return _rows(panel, found, lang)
    days = found["time"]["buckets"]
    return [{"time": day["key"], **row} for day in days for row in _rows(panel, day, lang)]


def _by(by: Terms | Groups, panel: Panel, found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(by, Groups):
        chosen = {str(i): query([condition]) for i, (_, condition) in enumerate(by.groups)}
        return {"by": {"filters": {"filters": chosen}, "aggs": found}}
    first = panel.measures[0]
    order = f"{first.name}>value" if first.where else first.name
    terms = {"field": by.field, "size": by.size, "order": {order: "desc"}}
    return {"by": {"terms": terms, "aggs": found}}


def _measure(measure: Measure) -> dict[str, Any]:
    if measure.of == "share":
        part = {"filter": query(measure.where), "aggs": {"value": _distinct(measure.field)}}
        return {
            "filter": {"match_all": {}},
            "aggs": {"part": part, "all": _distinct(measure.field)},
        }
    value: dict[str, Any]
    if measure.of == "distinct":
        value = _distinct(measure.field)
    elif measure.of == "highest":
        value = {"max": {"field": measure.field}}
    else:
        value = {"percentiles": {"field": measure.field, "percents": [50]}}
    return {"filter": query(measure.where), "aggs": {"value": value}} if measure.where else value


def _distinct(field: str) -> dict[str, Any]:
    return {"cardinality": {"field": field}}


def _rows(panel: Panel, found: Mapping[str, Any], lang: Lang) -> list[dict[str, Any]]:
    if panel.by is None:
        return [_values(panel, found)]
    buckets = found["by"]["buckets"]
    if isinstance(panel.by, Groups):
        labels = [say(label, lang) for label, _ in panel.by.groups]
        keyed = zip(labels, (buckets[str(i)] for i in range(len(labels))), strict=True)
        return [{"by": label, **_values(panel, bucket)} for label, bucket in keyed]
    return [{"by": bucket["key"], **_values(panel, bucket)} for bucket in buckets]


def _values(panel: Panel, found: Mapping[str, Any]) -> dict[str, Any]:
    return {measure.name: _value(measure, found[measure.name]) for measure in panel.measures}


def _value(measure: Measure, found: Mapping[str, Any]) -> Any:  # noqa: ANN401 (JSON)
    if measure.of == "share":
        whole = found["all"]["value"]
        return found["part"]["value"]["value"] / whole if whole else None
    if measure.where:
        found = found["value"]
    if measure.of == "median":
        return found["values"]["50.0"]
    return found["value"]
