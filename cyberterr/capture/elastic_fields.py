"""The fields of an event in Elasticsearch, which may be nested or dotted, one value or several."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

Event = Mapping[str, Any]
"""An event's fields by their dotted names"""

MAX_DEPTH = 12


def flat(document: object) -> dict[str, Any]:
    """*document*, as JSON gives it, by dotted names; what lies too deep is left out."""
    event: dict[str, Any] = {}
    pending = [("", document, 0)] if isinstance(document, dict) else []
    while pending:
        prefix, node, depth = pending.pop()
        for name, value in node.items():
            if not isinstance(value, dict):
                event[prefix + name] = value
            elif depth < MAX_DEPTH:
                pending.append((f"{prefix}{name}.", value, depth + 1))
    return event


def below(document: object, *names: str) -> object:
    """What lies in *document* under nested *names*; None where there is nothing."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _one(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Of several values the last: Packetbeat writes a tunnel's addresses before the inner ones."""
    if isinstance(value, list):
        return value[-1] if value else None
    return value


def text(event: Event, *names: str) -> str | None:
    """The first text under *names*."""
    for name in names:
        value = _one(event.get(name))
        if isinstance(value, str):
            return value
    return None


def whole(event: Event, *names: str) -> object:
    """The first value under *names*, a whole number where it can be one.

    Elasticsearch takes a number that is written as a text, too.
    """
    for name in names:
        value = _one(event.get(name))
        if isinstance(value, str):
            return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if value is not None:
            return value
    return None


def answers_of(event: Event) -> list[str]:
    """The data of all DNS answers."""
    answers = event.get("dns.answers")
    records = answers if isinstance(answers, list) else [answers]
    data = (record.get("data") for record in records if isinstance(record, dict))
    return [one for one in data if isinstance(one, str)]


def instant(value: object) -> str | None:
    """A time as it stands; one in milliseconds since the epoch as ISO 8601."""
    if isinstance(value, str):
        return value
    try:
        return dt.datetime.fromtimestamp(value / 1000, dt.UTC).isoformat()  # type: ignore[operator]
    except (TypeError, ValueError, OverflowError, OSError):
        return None
