"""What a panel of a dashboard is: a question, whose documents, what is measured, and by what.

From one description come the Lens panel (`lens`) and the search behind it (`search`), so that what
is tested on a server is what people see.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from cyberterr.contracts.finding import Text
from cyberterr.kibana.condition import Condition

Lang = Literal["en", "fr"]
COLUMNS = 48
"""width of a dashboard's grid"""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a panel."""

    name: str
    """of the column, unique in its panel"""
    label: Text
    of: Literal["distinct", "highest", "median", "share"]
    """distinct: how many values the field has (HyperLogLog++: exact up to about 3000); share: the
    distinct values among `where`, as part of all distinct values"""
    field: str
    where: tuple[Condition, ...] = ()
    """which of the panel's documents"""
    unit: Literal["number", "percent", "bytes", "date", "seconds"] = "number"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """A row for each of the *size* values that have most of the panel's first measure."""

    label: Text
    field: str
    size: int = 10


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """A row for each of some named conditions."""

    label: Text
    groups: tuple[tuple[Text, Condition], ...]


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One panel; *by* none: one number, over time if it is a timeline."""

    id: str
    """unique and for ever"""
    question: Text
    """what an analyst learns here, and what the number leaves out: the panel's description"""
    title: Text
    kind: Literal["number", "bars", "timeline", "table"]
    where: tuple[Condition, ...]
    measures: tuple[Measure, ...]
    """number: the first one, and the second beside it; bars, timeline: the first one"""
    by: Terms | Groups | None = None
    width: int = 12
    height: int = 10


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A list of documents, newest first unless *sort* says otherwise."""

    id: str
    question: Text
    title: Text
    where: tuple[Condition, ...]
    columns: tuple[str | tuple[str, str], ...]
    """fields; a pair is the English one and the French one"""
    sort: tuple[tuple[str, Literal["asc", "desc"]], ...] = (("@timestamp", "desc"),)
    width: int = COLUMNS
    height: int = 16


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """Panels in the order in which they are read; they fill the grid row by row."""

    id: str
    title: Text
    question: Text
    """what it is for, and what is missing yet: the dashboard's description"""
    panels: tuple[Panel | Search, ...]
    controls: tuple[tuple[str, Text], ...] = ()
    """fields to narrow by, with the label of each"""
    days: int = 7
    """the time it opens with"""


class Place(msgspec.Struct, frozen=True):
    """Where a panel lies in the grid."""

    x: int
    y: int
    w: int
    h: int


def places(dashboard: Dashboard) -> list[Place]:
    """Where the panels lie: left to right, a new row where the next one does not fit."""
    laid: list[Place] = []
    x = y = row = 0
    for panel in dashboard.panels:
        if x + panel.width > COLUMNS:
            x, y, row = 0, y + row, 0
        laid.append(Place(x, y, panel.width, panel.height))
        x, row = x + panel.width, max(row, panel.height)
    return laid


def say(text: Text, lang: Lang) -> str:
    """*text* in *lang*."""
    return text.fr if lang == "fr" else text.en


def fields(search: Search, lang: Lang) -> list[str]:
    """The columns of *search* in *lang*."""
    chosen = 1 if lang == "fr" else 0
    return [column if isinstance(column, str) else column[chosen] for column in search.columns]
