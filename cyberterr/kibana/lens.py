"""A panel as Lens keeps it: one layer of columns over the data view, and how they are drawn.

Form as Kibana 8.18 and 8.19 export it; see elastic/integrations for many dashboards of that form.
"""

from __future__ import annotations

from typing import Any

from cyberterr.kibana.condition import kql
from cyberterr.kibana.panel import Groups, Lang, Measure, Panel, Terms, say

DATA_VIEW = "cyberterr-logs"
LAYER = "layer"
TIME = "time"
BY = "by"
TYPES = {"number": "lnsMetric", "bars": "lnsXY", "table": "lnsDatatable"}
"""a timeline is bars, or a heat map where it has rows: a row and a number say more than a colour"""
FORMATS: dict[str, dict[str, Any]] = {
    "percent": {"id": "percent", "params": {"decimals": 0}},
    "bytes": {"id": "bytes", "params": {"decimals": 1}},
    "seconds": {"id": "number", "params": {"decimals": 0, "suffix": " s"}},
}
_OPERATIONS = {"distinct": "unique_count", "highest": "max", "median": "median"}


def attributes(panel: Panel, lang: Lang) -> dict[str, Any]:
    """The attributes of *panel* as a Lens panel by value."""
    columns = _columns(panel, lang)
    return {
        "title": "",
        "description": say(panel.question, lang),
        "type": "lens",
        "visualizationType": visualization_type(panel),
        "references": [reference()],
        "state": {
            "adHocDataViews": {},
            "datasourceStates": {
                "formBased": {
                    "layers": {
                        LAYER: {
                            "columnOrder": list(columns),
                            "columns": columns,
                            "ignoreGlobalFilters": False,
                            "incompleteColumns": {},
                            "sampling": 1,
                        }
                    }
                },
                "indexpattern": {"layers": {}},
                "textBased": {"layers": {}},
            },
            "filters": [],
            "internalReferences": [],
            "query": {"language": "kuery", "query": kql(panel.where)},
            "visualization": _visualization(panel),
        },
    }


def reference(prefix: str = "") -> dict[str, str]:
    """The data view as the layer names it; *prefix*: `PANEL:` in a dashboard."""
    name = f"{prefix}indexpattern-datasource-layer-{LAYER}"
    return {"id": DATA_VIEW, "name": name, "type": "index-pattern"}


def visualization_type(panel: Panel) -> str:
    """Lens's name for how *panel* is drawn."""
    if panel.kind == "timeline":
        return "lnsHeatmap" if panel.by else "lnsXY"
    return TYPES[panel.kind]


def _columns(panel: Panel, lang: Lang) -> dict[str, dict[str, Any]]:
    columns: dict[str, dict[str, Any]] = {}
    if panel.kind == "timeline":
        columns[TIME] = {
            "customLabel": False,
            "dataType": "date",
            "isBucketed": True,
            "label": "@timestamp",
            "operationType": "date_histogram",
            "params": {"dropPartials": False, "includeEmptyRows": True, "interval": "auto"},
            "scale": "interval",
            "sourceField": "@timestamp",
        }
    if panel.by is not None:
        columns[BY] = _bucket(panel.by, panel.measures[0].name, lang)
    for measure in panel.measures:
        columns |= _share(measure, lang) if measure.of == "share" else _plain(measure, lang)
    return columns


def _bucket(by: Terms | Groups, first: str, lang: Lang) -> dict[str, Any]:
    column: dict[str, Any] = {
        "customLabel": True,
        "dataType": "string",
        "isBucketed": True,
        "label": say(by.label, lang),
        "scale": "ordinal",
    }
    if isinstance(by, Groups):
        written = [
            {"input": {"language": "kuery", "query": kql([one])}, "label": say(label, lang)}
            for label, one in by.groups
        ]
        return column | {"operationType": "filters", "params": {"filters": written}}
    return column | {
        "dataType": "ip" if by.field.endswith(".ip") else "string",
        "operationType": "terms",
        "params": {
            "exclude": [],
            "excludeIsRegex": False,
            "include": [],
            "includeIsRegex": False,
            "missingBucket": False,
            "orderBy": {"columnId": first, "type": "column"},
            "orderDirection": "desc",
            "otherBucket": False,
            "parentFormat": {"id": "terms"},
            "size": by.size,
        },
        "sourceField": by.field,
    }


def _plain(measure: Measure, lang: Lang) -> dict[str, dict[str, Any]]:
    params: dict[str, Any] = {"emptyAsNull": False}
    if measure.unit in FORMATS:
        params["format"] = FORMATS[measure.unit]
    column: dict[str, Any] = {
        "customLabel": True,
        "dataType": "date" if measure.unit == "date" else "number",
        "isBucketed": False,
        "label": say(measure.label, lang),
        "operationType": _OPERATIONS[measure.of],
        "params": params,
        "scale": "ratio",
        "sourceField": measure.field,
    }
    if measure.where:
        column["filter"] = {"language": "kuery", "query": kql(measure.where)}
    return {measure.name: column}


def _share(measure: Measure, lang: Lang) -> dict[str, dict[str, Any]]:
    """A formula, and the columns that Lens itself makes of it when it is typed."""
    part, whole, ratio = (f"{measure.name}X{number}" for number in range(3))
    among = kql(measure.where)
    formula = f"unique_count({measure.field}, kql='{among}') / unique_count({measure.field})"
    label = say(measure.label, lang)
    common = {"customLabel": True, "dataType": "number", "isBucketed": False, "scale": "ratio"}
    count = common | {
        "label": f"Part of {label}",
        "operationType": "unique_count",
        "params": {"emptyAsNull": False},
        "sourceField": measure.field,
    }
    ast = {
        "args": [part, whole],
        "location": {"max": len(formula), "min": 0},
        "name": "divide",
        "text": formula,
        "type": "function",
    }
    return {
        measure.name: common
        | {
            "label": label,
            "operationType": "formula",
            "params": {"format": FORMATS["percent"], "formula": formula, "isFormulaBroken": False},
            "references": [ratio],
        },
        part: count | {"filter": {"language": "kuery", "query": among}},
        whole: count,
        ratio: common
        | {
            "label": f"Part of {label}",
            "operationType": "math",
            "params": {"tinymathAst": ast},
            "references": [part, whole],
        },
    }


def _visualization(panel: Panel) -> dict[str, Any]:
    first = panel.measures[0].name
    layer: dict[str, Any] = {"layerId": LAYER, "layerType": "data"}
    if panel.kind == "number":
        second = panel.measures[1:2]
        beside = {"secondaryMetricAccessor": second[0].name} if second else {}
        return layer | {"metricAccessor": first, "showBar": False} | beside
    if panel.kind == "table":
        rows = [BY] if panel.by is not None else []
        columns = [{"columnId": name} for name in (*rows, *(m.name for m in panel.measures))]
        return layer | {
            "columns": columns,
            "paging": {"enabled": True, "size": 10},
            "sorting": {"columnId": first, "direction": "desc"},
        }
    if panel.kind == "timeline" and panel.by is not None:
        return layer | {
            "gridConfig": {
                "isCellLabelVisible": True,
                "isXAxisLabelVisible": True,
                "isXAxisTitleVisible": False,
                "isYAxisLabelVisible": True,
                "isYAxisTitleVisible": False,
                "type": "heatmap_grid",
            },
            "legend": {"isVisible": False, "position": "right", "type": "heatmap_legend"},
            "shape": "heatmap",
            "valueAccessor": first,
            "xAccessor": TIME,
            "yAccessor": BY,
        }
    series = "bar_horizontal" if panel.kind == "bars" else "bar_stacked"
    return {
        "fittingFunction": "None",
        "layers": [
            layer
            | {
                "accessors": [first],
                "position": "top",
                "seriesType": series,
                "showGridlines": False,
                "xAccessor": BY if panel.kind == "bars" else TIME,
            }
        ],
        "legend": {"isVisible": False, "position": "right"},
        "preferredSeriesType": series,
        "valueLabels": "show",
    }
