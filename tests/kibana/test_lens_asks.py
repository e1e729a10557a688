"""What Lens and Discover are told to ask is what `test_panels` asks the server.

The saved objects are read here as Kibana reads them, column by column, and turned into a search;
it must be the search of `panel_query`, whose numbers are counted by hand.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cyberterr.config import Elastic
from cyberterr.kibana import bundle
from cyberterr.kibana.bundle import DASHBOARDS, SEARCHES
from cyberterr.kibana.panel import Panel
from cyberterr.kibana.query import ROWS, panel_query

OBJECTS = [json.loads(line) for line in bundle.ndjson(Elastic()).splitlines()]
LENS = {
    panel["panelIndex"]: panel["embeddableConfig"]["attributes"]["state"]
    for one in OBJECTS
    if one["type"] == "dashboard"
    for panel in json.loads(one["attributes"]["panelsJSON"])
    if panel["type"] == "lens"
}
DISCOVER = {one["id"]: one["attributes"] for one in OBJECTS if one["type"] == "search"}
PANELS = {p.id: p for board in DASHBOARDS for p in board.panels if isinstance(p, Panel)}


def search(kql: str) -> dict[str, Any]:
    """The query that Kibana makes of *kql*."""
    return {"bool": {"filter": [clause(part) for part in kql.split(" and ")]}}


def clause(part: str) -> dict[str, Any]:
    name, test, value = re.fullmatch(r"([@\w.]+)(: | >= )(.+)", part).groups()
    if value == "*":
        return {"exists": {"field": name}}
    if test == " >= ":
        return {"range": {name: {"gte": json.loads(value)}}}
    values = value.strip("()").split(" or ")
    return {"terms": {name: [json.loads(one) for one in values]}}


def metric(column: dict[str, Any]) -> dict[str, Any]:
    field = column["sourceField"]
    asked = {
        "unique_count": {"cardinality": {"field": field}},
        "max": {"max": {"field": field}},
        "median": {"percentiles": {"field": field, "percents": [50]}},
    }[column["operationType"]]
    if "filter" not in column:
        return asked
    return {"filter": search(column["filter"]["query"]), "aggs": {"value": asked}}


def formula(column: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    (math,) = (columns[name] for name in column["references"])
    part, whole = (columns[name] for name in math["params"]["tinymathAst"]["args"])
    assert math["params"]["tinymathAst"]["name"] == "divide"
    typed = (
        f"unique_count({part['sourceField']}, kql='{part['filter']['query']}') / "
        f"unique_count({whole['sourceField']})"
    )
    assert column["params"]["formula"] == typed
    return {"filter": {"match_all": {}}, "aggs": {"part": metric(part), "all": metric(whole)}}


def asked_by_lens(state: dict[str, Any]) -> dict[str, Any]:
    (layer,) = state["datasourceStates"]["formBased"]["layers"].values()
    columns = layer["columns"]
    buckets, found = [], {}
    for name in layer["columnOrder"]:
        column = columns[name]
        if column["isBucketed"]:
            buckets.append((name, column))
        elif column["operationType"] == "formula":
            found[name] = formula(column, columns)
        elif not column["label"].startswith("Part of "):
            found[name] = metric(column)
    for name, column in reversed(buckets):
        found = {name: {**bucket(column, found), "aggs": found}}
    return {"size": 0, "query": search(state["query"]["query"]), "aggs": found}


def bucket(column: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    params = column["params"]
    if column["operationType"] == "filters":
        chosen = [search(one["input"]["query"]) for one in params["filters"]]
        return {"filters": {"filters": {str(i): one for i, one in enumerate(chosen)}}}
    if column["operationType"] == "date_histogram":
        assert params["interval"] == "auto"
        days = {"field": column["sourceField"], "calendar_interval": "day", "time_zone": "UTC"}
        return {"date_histogram": days}
    first = params["orderBy"]["columnId"]
    path = f"{first}>value" if "filter" in metrics[first] else first
    order = {path: params["orderDirection"]}
    return {"terms": {"field": column["sourceField"], "size": params["size"], "order": order}}


@pytest.mark.parametrize("name", PANELS)
def test_a_lens_panel_asks_what_is_tested(name):
    assert asked_by_lens(LENS[name]) == panel_query(PANELS[name])


@pytest.mark.parametrize("listed", SEARCHES, ids=lambda listed: listed.id)
def test_a_list_asks_what_is_tested(listed):
    shown = DISCOVER[listed.id]
    source = json.loads(shown["kibanaSavedObjectMeta"]["searchSourceJSON"])
    assert panel_query(listed) == {
        "size": ROWS,
        "query": search(source["query"]["query"]),
        "sort": [{name: order} for name, order in shown["sort"]],
        "fields": ["@timestamp", *shown["columns"]],
        "_source": False,
    }
