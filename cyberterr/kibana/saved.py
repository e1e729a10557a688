"""Saved objects of Kibana: data view, tag, search, dashboard; each with a fixed id.

Kibana migrates objects of an older version when it imports them and refuses newer ones, so the
versions are those of the oldest Kibana that is supported (8.19), as its exports carry them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cyberterr.kibana.condition import Condition, kql
from cyberterr.kibana.labels import LABELS, OPEN
from cyberterr.kibana.lens import DATA_VIEW, attributes, reference
from cyberterr.kibana.panel import (
    Dashboard,
    Lang,
    Panel,
    Place,
    Search,
    fields,
    places,
    say,
)

PATTERN = "logs-cyberterr.*-*"
TAG = "cyberterr-tag"
VERSIONS = {"dashboard": "10.2.0", "index-pattern": "8.0.0", "search": "10.5.0", "tag": "8.0.0"}
CORE_VERSION = "8.8.0"

Object = dict[str, Any]


def data_view(lang: Lang) -> Object:
    """All that cyberterr writes; columns with names, the address of a finding as a link."""
    named = {field: {"customLabel": say(label, lang)} for field, label in LABELS.items()}
    shown = {"labelTemplate": say(OPEN, lang), "openLinkInCurrentTab": False}
    link = {"id": "url", "params": shown}
    return _object(
        "index-pattern",
        DATA_VIEW,
        {
            "allowHidden": False,
            "fieldAttrs": _text(named),
            "fieldFormatMap": _text({"event.url": link}),
            "fields": "[]",
            "name": "cyberterr",
            "runtimeFieldMap": "{}",
            "sourceFilters": "[]",
            "timeFieldName": "@timestamp",
            "title": PATTERN,
            "typeMeta": "{}",
        },
        [],
    )


def tag(lang: Lang) -> Object:
    """By which people find all this again."""
    about = "constats de cyberterr" if lang == "fr" else "findings of cyberterr"
    shown = {"color": "#0072B2", "description": about, "name": "cyberterr"}
    return _object("tag", TAG, shown, [])


def search(described: Search, lang: Lang) -> Object:
    """A Discover session."""
    shown = {
        "columns": fields(described, lang),
        "description": say(described.question, lang),
        "grid": {},
        "hideChart": False,
        "isTextBasedQuery": False,
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": _text(
                _source(described.where)
                | {"indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index"}
            )
        },
        "sort": [list(pair) for pair in described.sort],
        "timeRestore": False,
        "title": f"[cyberterr] {say(described.title, lang)}",
    }
    index = "kibanaSavedObjectMeta.searchSourceJSON.index"
    used = [{"id": DATA_VIEW, "name": index, "type": "index-pattern"}, _tagged()]
    return _object("search", described.id, shown, used)


def dashboard(described: Dashboard, lang: Lang) -> Object:
    """A dashboard with its panels by value, and its lists by reference."""
    used: list[dict[str, str]] = []
    panels = []
    for panel, place in zip(described.panels, places(described), strict=True):
        prefix = f"{panel.id}:"
        if isinstance(panel, Search):
            panels.append(_list_panel(panel, place, lang))
            used.append({"id": panel.id, "name": f"{prefix}panel_{panel.id}", "type": "search"})
        else:
            panels.append(_lens_panel(panel, place, lang))
            used.append(reference(prefix))
    for field, _ in described.controls:
        name = f"controlGroup_{_control(field)}:optionsListDataView"
        used.append({"id": DATA_VIEW, "name": name, "type": "index-pattern"})
    shown = {
        "controlGroupInput": _controls(described, lang),
        "description": say(described.question, lang),
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text(_source(()))},
        "optionsJSON": _text(
            {
                "hidePanelTitles": False,
                "syncColors": False,
                "syncCursor": True,
                "syncTooltips": False,
                "useMargins": True,
            }
        ),
        "panelsJSON": _text(panels),
        "refreshInterval": {"pause": True, "value": 60_000},
        "timeFrom": f"now-{described.days}d",
        "timeRestore": True,
        "timeTo": "now",
        "title": f"[cyberterr] {say(described.title, lang)}",
        "version": 3,
    }
    return _object("dashboard", described.id, shown, [*used, _tagged()])


def _lens_panel(panel: Panel, place: Place, lang: Lang) -> Object:
    return {
        "embeddableConfig": {
            "attributes": attributes(panel, lang),
            "description": say(panel.question, lang),
            "enhancements": {"dynamicActions": {"events": []}},
            "filters": [],
            "query": {"language": "kuery", "query": ""},
            "syncColors": False,
            "syncCursor": True,
            "syncTooltips": False,
        },
        "gridData": {**msgspec.structs.asdict(place), "i": panel.id},
        "panelIndex": panel.id,
        "title": say(panel.title, lang),
        "type": "lens",
    }


def _list_panel(panel: Search, place: Place, lang: Lang) -> Object:
    return {
        "embeddableConfig": {
            "description": say(panel.question, lang),
            "enhancements": {"dynamicActions": {"events": []}},
        },
        "gridData": {**msgspec.structs.asdict(place), "i": panel.id},
        "panelIndex": panel.id,
        "panelRefName": f"panel_{panel.id}",
        "title": say(panel.title, lang),
        "type": "search",
    }


def _controls(described: Dashboard, lang: Lang) -> Object:
    panels = {
        _control(field): {
            "explicitInput": {
                "dataViewId": DATA_VIEW,
                "fieldName": field,
                "searchTechnique": "prefix",
                "selectedOptions": [],
                "sort": {"by": "_count", "direction": "desc"},
                "title": say(label, lang),
            },
            "grow": True,
            "order": order,
            "type": "optionsListControl",
            "width": "small",
        }
        for order, (field, label) in enumerate(described.controls)
    }
    ignored = ("ignoreFilters", "ignoreQuery", "ignoreTimerange", "ignoreValidations")
    return {
        "chainingSystem": "HIERARCHICAL",
        "controlStyle": "oneLine",
        "ignoreParentSettingsJSON": _text(dict.fromkeys(ignored, False)),
        "panelsJSON": _text(panels),
        "showApplySelections": False,
    }


def _control(field: str) -> str:
    return field.replace(".", "-")


def _source(where: tuple[Condition, ...]) -> Object:
    return {"filter": [], "query": {"language": "kuery", "query": kql(where)}}


def _tagged() -> dict[str, str]:
    return {"id": TAG, "name": f"tag-ref-{TAG}", "type": "tag"}


def _object(kind: str, name: str, shown: Object, used: list[dict[str, str]]) -> Object:
    return {
        "attributes": shown,
        "coreMigrationVersion": CORE_VERSION,
        "id": name,
        "managed": False,
        "references": used,
        "type": kind,
        "typeMigrationVersion": VERSIONS[kind],
    }


def _text(value: object) -> str:
    """JSON within JSON, as Kibana keeps it; always the same for the same value."""
    return msgspec.json.encode(value, order="sorted").decode()
