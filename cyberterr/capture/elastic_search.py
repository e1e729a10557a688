"""What of a cluster is read: the words of a person, and the search they mean."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from cyberterr.capture.elastic_events import DATASETS, EVE_TYPES, FIELDS
from cyberterr.errors import UsageError

PREFIX = "elastic:"

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Selection(NamedTuple):
    """What is to be read."""

    indices: str
    """data streams, indices and patterns, comma separated"""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    sensors: tuple[str, ...] = ()
    """only what these saw; empty: everything"""

    def __str__(self) -> str:
        return f"{PREFIX}{self.indices}"


def parsed(source: str, now: dt.datetime) -> Selection:
    """What `elastic:INDEX[,INDEX][?since=24h&until=…&sensor=NAME]` names.

    Args:
        source: times are ISO 8601, UTC where they do not say, or an age like 90m, 24h, 7d.
        now: what an age counts from.

    Raises:
        UsageError: it is none.
    """
    indices, _, query = source.removeprefix(PREFIX).partition("?")
    if not re.fullmatch(r'[^\s/\\"<>|#&=]+', indices) or indices.startswith(("_", "-")):
        raise UsageError(
            "that names no index",
            hint="elastic:packetbeat-*, or elastic:logs-zeek.*-*,logs-suricata.*-*",
            where=source,
        )
    options = parse_qsl(query, keep_blank_values=True)
    unknown = {name for name, _ in options} - {"since", "until", "sensor"}
    if unknown or (query and not options):
        raise UsageError(
            "after the ? stand since, until and sensor",
            hint="elastic:packetbeat-*?since=24h",
            where=source,
        )
    times = {name: _moment(value, now, source) for name, value in options if name != "sensor"}
    since, until = times.get("since"), times.get("until")
    if since and until and since >= until:
        raise UsageError("nothing lies between these times", where=source)
    sensors = tuple(value for name, value in options if name == "sensor")
    return Selection(indices, since, until, sensors)


def narrowed(
    source: str, now: dt.datetime, since: str, until: str, sensors: tuple[str, ...]
) -> str:
    """*source* with what is given further, in absolute times.

    Raises:
        UsageError: *source* is none, or a time is.
    """
    given = {"since": since, "until": until}
    more = urlencode([*((k, v) for k, v in given.items() if v), *(("sensor", s) for s in sensors)])
    selection = parsed(f"{source}{'&' if '?' in source else '?'}{more}" if more else source, now)
    options = [
        *((name, _iso(at)) for name in given if (at := getattr(selection, name))),
        *(("sensor", name) for name in selection.sensors),
    ]
    return f"{selection}?{urlencode(options, safe=':')}" if options else str(selection)


def _moment(text: str, now: dt.datetime, source: str) -> dt.datetime:
    try:
        if age := re.fullmatch(r"(\d{1,6})([mhd])", text):
            return now - dt.timedelta(**{_UNITS[age[2]]: int(age[1])})
        moment = dt.datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time", hint="24h, 7d, or 2026-11-24T08:00", where=source
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def search(selection: Selection) -> dict[str, Any]:
    """The search: what integrations we read wrote, in order, and of it only what is needed."""
    span = {"gte": selection.since, "lt": selection.until}
    within = {name: _iso(at) for name, at in span.items() if at}
    wanted: list[dict[str, Any]] = [
        _any({"terms": {name: DATASETS}} for name in ("data_stream.dataset", "event.dataset")),
        _any(
            [
                {"terms": {"suricata.eve.event_type": EVE_TYPES}},
                {"bool": {"must_not": {"exists": {"field": "suricata.eve.event_type"}}}},
            ]
        ),
    ]
    if within:
        wanted.append({"range": {"@timestamp": within}})
    if selection.sensors:
        unnamed = {"exists": {"field": "observer.name"}}
        by_agent = {"filter": {"terms": {"agent.name": selection.sensors}}, "must_not": unnamed}
        wanted.append(_any([{"terms": {"observer.name": selection.sensors}}, {"bool": by_agent}]))
    return {
        "query": {"bool": {"filter": wanted}},
        "sort": [{"@timestamp": {"order": "asc", "unmapped_type": "date"}}, "_shard_doc"],
        "_source": {"includes": FIELDS},
    }


def _any(clauses: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}}
