"""Which documents count: conditions, as Kibana writes them (KQL) and as Elasticsearch asks them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Value = str | int | bool


class Condition(msgspec.Struct, frozen=True):
    """That a field of a document has one of some values, is at least a number, or is there."""

    field: str
    test: Literal["is", "at_least", "exists"]
    values: tuple[Value, ...] = ()


def equals(field: str, *values: Value) -> Condition:
    """*field* has one of *values*."""
    return Condition(field, "is", values)


def at_least(field: str, number: int) -> Condition:
    """*field* is *number* or more."""
    return Condition(field, "at_least", (number,))


def exists(field: str) -> Condition:
    """*field* has a value."""
    return Condition(field, "exists")


def kql(conditions: Iterable[Condition]) -> str:
    """All of *conditions* in the Kibana Query Language; empty where there are none."""
    return " and ".join(_kql(condition) for condition in conditions)


def query(conditions: Iterable[Condition]) -> dict[str, Any]:
    """All of *conditions* as an Elasticsearch query, as Kibana translates them."""
    return {"bool": {"filter": [_query(condition) for condition in conditions]}}


def _kql(condition: Condition) -> str:
    if condition.test == "exists":
        return f"{condition.field}: *"
    if condition.test == "at_least":
        return f"{condition.field} >= {condition.values[0]}"
    written = [msgspec.json.encode(value).decode() for value in condition.values]
    one = written[0] if len(written) == 1 else f"({' or '.join(written)})"
    return f"{condition.field}: {one}"


def _query(condition: Condition) -> dict[str, Any]:
    if condition.test == "exists":
        return {"exists": {"field": condition.field}}
    if condition.test == "at_least":
        return {"range": {condition.field: {"gte": condition.values[0]}}}
    return {"terms": {condition.field: list(condition.values)}}
