"""What Kibana would trip over, found without one: form, references, fields, grid, languages."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from cyberterr.config import Elastic
from cyberterr.contracts.fields import FIELDS
from cyberterr.contracts.finding import Text
from cyberterr.errors import UsageError
from cyberterr.kibana import bundle, rule
from cyberterr.kibana.bundle import DASHBOARDS, SEARCHES
from cyberterr.kibana.labels import LABELS, OPEN
from cyberterr.kibana.panel import COLUMNS, Groups, Panel, Search
from cyberterr.kibana.saved import PATTERN, VERSIONS
from tests.kibana.golden import FOLDER, built

LANGUAGES = ("en", "fr")
TYPES = {field.name: field.type for field in FIELDS}
NESTED = tuple(f"{name}." for name, kind in TYPES.items() if kind == "nested")
INNER = {
    "panelsJSON",
    "optionsJSON",
    "searchSourceJSON",
    "ignoreParentSettingsJSON",
    "fieldFormatMap",
    "fields",
    "fieldAttrs",
    "runtimeFieldMap",
    "sourceFilters",
    "typeMeta",
}
NUMBERS = {"long", "float", "double"}
ALLOWED = {
    "unique_count": NUMBERS | {"keyword", "ip", "date", "boolean"},
    "terms": NUMBERS | {"keyword", "ip", "boolean"},
    "max": NUMBERS | {"date"},
    "median": NUMBERS,
    "date_histogram": {"date"},
}
"""types that an operation of Lens takes"""


def lines(lang: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bundle.ndjson(Elastic(), lang=lang).splitlines()]


OBJECTS = {lang: lines(lang) for lang in LANGUAGES}
EVERY = [one for lang in LANGUAGES for one in OBJECTS[lang]]
BOARDS = [one for one in EVERY if one["type"] == "dashboard"]


def inner(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """JSON that lies as text within JSON, with the name of its field."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from inner(below, name)
    elif isinstance(value, list):
        for below in value:
            yield from inner(below, key)
    elif isinstance(value, str) and key in INNER:
        yield key, value
        yield from inner(json.loads(value))


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return json.loads(board["attributes"]["panelsJSON"])


def lens_panels() -> Iterator[dict[str, Any]]:
    for board in BOARDS:
        yield from (panel for panel in panels(board) if panel["type"] == "lens")


def layer(panel: dict[str, Any]) -> dict[str, Any]:
    states = panel["embeddableConfig"]["attributes"]["state"]["datasourceStates"]
    (only,) = states["formBased"]["layers"].values()
    return only


def queries(value: object, key: str = "") -> Iterator[str]:
    """Every KQL text."""
    if isinstance(value, dict):
        if value.get("language") == "kuery":
            yield value["query"]
        for name, below in value.items():
            yield from queries(below, name)
    elif isinstance(value, list):
        for below in value:
            yield from queries(below, key)
    elif isinstance(value, str) and key in INNER:
        yield from queries(json.loads(value))


def compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_line_is_one_object_with_its_keys_sorted(lang):
    for line in bundle.ndjson(Elastic(), lang=lang).decode().splitlines():
        assert compact(json.loads(line)) == line


def test_json_within_json_writes_itself_again():
    found = [pair for one in EVERY for pair in inner(one)]
    assert {name for name, _ in found} == INNER
    for name, text in found:
        assert compact(json.loads(text)) == text, name


@pytest.mark.parametrize("name", built())
def test_the_files_that_people_import_by_hand_are_up_to_date(name):
    assert (FOLDER / name).read_bytes() == built()[name], "python -m tests.kibana.golden"


def test_both_languages_have_the_same_objects():
    english, french = ([(o["type"], o["id"]) for o in OBJECTS[lang]] for lang in LANGUAGES)
    assert english == french


def test_no_id_and_no_tag_is_there_twice():
    ids = Counter((o["type"], o["id"]) for o in OBJECTS["en"])
    names = Counter(panel.id for board in DASHBOARDS for panel in board.panels)
    tags = Counter(o["attributes"]["name"] for o in OBJECTS["en"] if o["type"] == "tag")
    assert set(ids.values()) | set(names.values()) | set(tags.values()) == {1}


def test_every_object_is_unmanaged_and_of_a_version_that_kibana_8_19_knows():
    for one in EVERY:
        assert one["managed"] is False
        assert one["coreMigrationVersion"] == "8.8.0"
        assert one["typeMigrationVersion"] == VERSIONS[one["type"]]


def test_every_reference_leads_to_an_object_of_the_bundle():
    for lang in LANGUAGES:
        there = {(one["type"], one["id"]) for one in OBJECTS[lang]}
        for one in OBJECTS[lang]:
            for reference in one["references"]:
                assert (reference["type"], reference["id"]) in there


def test_every_reference_is_used_and_none_is_missing():
    for one in EVERY:
        if one["type"] == "dashboard":
            wanted = {"tag-ref-cyberterr-tag"}
            for panel in panels(one):
                used = [panel["panelRefName"]] if "panelRefName" in panel else _layers(panel)
                wanted |= {f"{panel['panelIndex']}:{name}" for name in used}
            controls = json.loads(one["attributes"]["controlGroupInput"]["panelsJSON"])
            wanted |= {f"controlGroup_{name}:optionsListDataView" for name in controls}
        elif one["type"] == "search":
            source = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
            wanted = {source["indexRefName"], "tag-ref-cyberterr-tag"}
        else:
            wanted = set()
        names = [reference["name"] for reference in one["references"]]
        assert sorted(names) == sorted(wanted), one["id"]


def _layers(panel: dict[str, Any]) -> list[str]:
    attributes = panel["embeddableConfig"]["attributes"]
    found = attributes["state"]["datasourceStates"]["formBased"]["layers"]
    names = [f"indexpattern-datasource-layer-{name}" for name in found]
    assert [reference["name"] for reference in attributes["references"]] == names
    return names


def test_every_panel_is_lens_by_value_or_a_list():
    assert {panel["type"] for board in BOARDS for panel in panels(board)} == {"lens", "search"}
    assert {one["type"] for one in EVERY} == {"index-pattern", "tag", "search", "dashboard"}


def test_columns_are_in_order_and_accessors_lead_to_them():
    for panel in lens_panels():
        columns = layer(panel)["columns"]
        order = layer(panel)["columnOrder"]
        assert sorted(order) == sorted(columns)
        bucketed = [columns[name]["isBucketed"] for name in order]
        assert bucketed == sorted(bucketed, reverse=True), "buckets come first"
        for accessor in _accessors(panel["embeddableConfig"]["attributes"]["state"]):
            assert accessor in columns
        for column in columns.values():
            assert set(column.get("references", ())) <= set(columns)
            if "orderBy" in column.get("params", {}):
                assert column["params"]["orderBy"]["columnId"] in columns


def _accessors(state: dict[str, Any]) -> set[str]:
    shown = state["visualization"]
    found = {value for key, value in shown.items() if key.lower().endswith("accessor")}
    found |= {column["columnId"] for column in shown.get("columns", ())}
    for drawn in shown.get("layers", ()):
        found |= {drawn["xAccessor"], *drawn["accessors"]}
    assert found
    return found


def test_every_field_that_is_counted_has_a_type_that_the_operation_takes():
    for panel in lens_panels():
        for column in layer(panel)["columns"].values():
            if "sourceField" in column:
                name = column["sourceField"]
                assert TYPES[name] in ALLOWED[column["operationType"]], name
                assert not name.startswith(NESTED), "Lens does not look into nested fields"
                _has_the_data_type_of(TYPES[name], column)


def _has_the_data_type_of(kind: str, column: dict[str, Any]) -> None:
    if column["operationType"] == "terms":
        assert column["dataType"] == {"keyword": "string"}.get(kind, kind)
    elif column["operationType"] == "max":
        assert (column["dataType"] == "date") == (kind == "date")


def test_every_field_of_a_query_exists_and_can_be_asked_so():
    asked = {text for one in EVERY for text in queries(one) if text}
    assert len(asked) > 20
    for text in asked:
        for part in text.split(" and "):
            match = re.fullmatch(r"([@\w.]+)(: \*|: .+| >= \d+)", part)
            assert match is not None, text
            name, test = match.groups()
            assert name in TYPES, text
            assert not name.startswith(NESTED)
            if test.startswith(" >="):
                assert TYPES[name] in NUMBERS
            elif test != ": *":
                quoted = {"keyword", "ip"}
                assert ('"' in test) == (TYPES[name] in quoted), f"{text}: {TYPES[name]}"


def test_every_column_of_a_list_and_what_it_is_sorted_by_exists():
    for one in EVERY:
        if one["type"] == "search":
            shown = one["attributes"]
            for name in shown["columns"]:
                assert TYPES[name] not in ("object", "nested"), f"{name} is never fetched"
            for name, order in shown["sort"]:
                assert TYPES[name] in NUMBERS | {"date", "keyword"}
                assert order in ("asc", "desc")


def test_every_column_of_a_list_has_a_name_and_no_two_the_same():
    columns = {c for o in EVERY if o["type"] == "search" for c in o["attributes"]["columns"]}
    assert columns == set(LABELS)
    for lang in LANGUAGES:
        names = [getattr(label, lang) for label in LABELS.values()]
        assert len(set(names)) == len(names)


def test_every_control_narrows_by_a_keyword():
    for board in BOARDS:
        for control in json.loads(board["attributes"]["controlGroupInput"]["panelsJSON"]).values():
            assert TYPES[control["explicitInput"]["fieldName"]] == "keyword"


def test_panels_lie_in_the_grid_and_not_on_each_other():
    for board in BOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in panels(board):
            grid = panel["gridData"]
            assert grid["i"] == panel["panelIndex"]
            assert grid["x"] >= 0
            assert grid["x"] + grid["w"] <= COLUMNS
            width, height = (range(grid[a], grid[a] + grid[b]) for a, b in ("xw", "yh"))
            cells = set(itertools.product(width, height))
            assert not cells & taken, panel["panelIndex"]
            taken |= cells


def test_a_dashboard_has_no_holes():
    for board in BOARDS:
        grids = [panel["gridData"] for panel in panels(board)]
        deep = max(grid["y"] + grid["h"] for grid in grids)
        assert sum(grid["w"] * grid["h"] for grid in grids) == COLUMNS * deep, board["id"]


def test_every_dashboard_is_few_and_good():
    for board in DASHBOARDS:
        assert 5 <= len(board.panels) <= 8, board.id


def texts() -> Iterator[Text]:
    for board in DASHBOARDS:
        yield from (board.title, board.question, *(label for _, label in board.controls))
        for panel in board.panels:
            yield from (panel.title, panel.question)
            if isinstance(panel, Panel):
                yield from (measure.label for measure in panel.measures)
                if panel.by is not None:
                    yield panel.by.label
                if isinstance(panel.by, Groups):
                    yield from (label for label, _ in panel.by.groups)
    for search in SEARCHES:
        yield from (search.title, search.question)
    yield from (OPEN, *LABELS.values())


def test_everything_has_a_title_in_both_languages():
    for text in texts():
        assert text.en.strip()
        assert text.fr.strip()
        assert not {"’", "é", "è", "à"} & set(text.en), text
    same = {text.en for text in texts() if text.en == text.fr}
    assert same <= {"Incidents", "Machine", "Machines", "machines", "Verdict", "Mode"}


def test_a_french_list_shows_french_sentences():
    shown = {
        lang: {
            c for o in OBJECTS[lang] if o["type"] == "search" for c in o["attributes"]["columns"]
        }
        for lang in LANGUAGES
    }
    assert {"cyberterr.finding.title_fr", "cyberterr.finding.reason_fr"} <= shown["fr"]
    assert not {c for c in shown["en"] if c.endswith("_fr")}


def test_documents_are_never_counted_only_distinct_ids():
    for panel in lens_panels():
        used = {column["operationType"] for column in layer(panel)["columns"].values()}
        assert not used & {"count", "sum", "average"}, panel["panelIndex"]


def test_a_share_always_stands_beside_its_count():
    shares = 0
    for board in DASHBOARDS:
        for panel in board.panels:
            measures = () if isinstance(panel, Search) else panel.measures
            for share in (m for m in measures if m.of == "share"):
                shares += 1
                counts = {(m.field, m.where) for m in measures if m.of == "distinct"}
                assert (share.field, share.where) in counts, panel.id
    assert shares >= 5


def test_nothing_is_told_by_colour_alone():
    for panel in lens_panels():
        shown = panel["embeddableConfig"]["attributes"]["state"]["visualization"]
        for drawn in (shown, *shown.get("layers", ())):
            assert not {"splitAccessor", "palette", "color", "colorMapping"} & set(drawn)
        if shown.get("shape") == "heatmap":
            assert shown["gridConfig"]["isCellLabelVisible"]
            assert shown["gridConfig"]["isYAxisLabelVisible"]


def test_a_dashboard_says_itself_what_stays_empty():
    later = {field.name for field in FIELDS if field.since}
    for board in BOARDS:
        name = board["id"]
        missing = {f for f in later if f'"{f}"' in compact(board) or f"{f}:" in compact(board)}
        said = re.search("until .* built|tant qu.* construit", board["attributes"]["description"])
        assert bool(missing) == bool(said) == (name in ("cyberterr-decoys", "cyberterr-audit"))


def test_the_data_view_covers_every_stream_and_links_to_the_finding():
    view = next(one for one in OBJECTS["en"] if one["type"] == "index-pattern")
    assert view["id"] == "cyberterr-logs"
    assert view["attributes"]["title"] == PATTERN == "logs-cyberterr.*-*"
    assert view["attributes"]["timeFieldName"] == "@timestamp"
    link = json.loads(view["attributes"]["fieldFormatMap"])["event.url"]
    assert link["id"] == "url"
    assert link["params"]["labelTemplate"] == "Open the finding"
    assert json.loads(view["attributes"]["runtimeFieldMap"]) == {}


@pytest.mark.parametrize("made", [bundle.ndjson, rule.ndjson])
def test_opensearch_is_told_that_there_is_no_kibana(made):
    with pytest.raises(UsageError, match="OpenSearch Dashboards"):
        made(Elastic(flavour="opensearch"))
