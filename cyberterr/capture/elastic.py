"""Network events that already are in Elasticsearch or OpenSearch, as flow tables.

Read on a point in time, page by page in the order of their time stamps. What an event was before
its ingest pipeline (a line of a Zeek log, a record of Suricata's EVE) goes to the reader of that
log, one for each sensor.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import quote

import polars as pl

from cyberterr.capture import suricata, zeek
from cyberterr.capture.elastic_events import Log, line
from cyberterr.capture.elastic_search import Selection, search
from cyberterr.capture.source import NAMED, Source
from cyberterr.contracts.flow import Tables
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.refusal import ClusterError
from cyberterr.errors import SourceError

PAGE = 5_000
BATCH = 20_000
"""Events that are read before they become tables; with hundreds of sensors each has its share."""
BATCH_BYTES = 16 << 20
MAX_SENSORS = 1_000
"""Sensors that are kept apart; the events of further ones carry the name in the settings."""

_ODD = (ArithmeticError, LookupError, TypeError, UnicodeError, ValueError, RecursionError)
"""What a document that no integration wrote may do to us."""


def read(
    selection: Selection, cluster: Cluster, *, sensor: str, warn: Callable[[str], None]
) -> Iterator[Tables]:
    """Read the events of *selection*, at most 20,000 of them in one part (and one page).

    `sensor` of a row is the event's `observer.name`, else `agent.name`. Times are those of the
    cluster: milliseconds, unless the site keeps the original line. An event that is none we read,
    or does not fit, is counted and told once.

    Args:
        selection: what to read.
        cluster: where.
        sensor: for what names none.
        warn: is told what a person should know.

    Raises:
        SourceError: no such index, no privilege, or the cluster failed; what was read until then
            was given before, as after an interrupt.
    """
    ended: ClusterError | KeyboardInterrupt | None = None
    logs = _Logs(selection, sensor, warn)
    try:
        _check(cluster, selection, warn)
        for page in cluster.pages(
            quote(selection.indices, safe="*,:"), search(selection), size=PAGE
        ):
            logs.take(page)
            if logs.waiting >= BATCH or logs.waiting_bytes >= BATCH_BYTES:
                yield logs.drain()
    except (ClusterError, KeyboardInterrupt) as error:
        ended = error
    yield logs.drain()
    yield logs.end()
    if isinstance(ended, ClusterError):
        raise _unreadable(ended, selection) from None
    if ended:
        raise ended


def _check(cluster: Cluster, selection: Selection, warn: Callable[[str], None]) -> None:
    """See that the indices are there: a search passes over those that are not.

    Raises:
        SourceError: none is.
        ClusterError: the cluster fails.
    """
    names = [name for name in selection.indices.split(",") if name and not name.startswith("-")]
    lenient = {"ignore_unavailable": "true", "allow_no_indices": "true"}
    nothing = {"size": 0, "track_total_hits": False, "query": {"match_none": {}}}
    missing = []
    for name in names:
        path = f"/{quote(name, safe='*:')}/_search"
        if not cluster.ask(Request("POST", path, nothing, lenient))["_shards"]["total"]:
            missing.append(name)
    if len(missing) == len(names):
        raise SourceError(
            "no such index, or this key may not read it",
            hint=_there(cluster) or _privileges(selection),
            where=str(selection),
        )
    if missing:
        warn(f"{selection}: there is no index {', '.join(missing)}")


def _there(cluster: Cluster) -> str:
    """The data streams and indices there are, those of the network first."""
    try:
        answer = cluster.ask(Request("GET", "/_resolve/index/*"))
    except ClusterError:
        return ""
    found = [
        entry["name"] for kind in ("data_streams", "indices") for entry in answer.get(kind, ())
    ]
    visible = [name for name in found if not name.startswith(".")]
    named = re.compile(r"packetbeat|zeek|suricata|network_traffic|filebeat")
    visible.sort(key=lambda name: (not named.search(name), name))
    more = f" and {len(visible) - NAMED} more" if len(visible) > NAMED else ""
    return f"there are: {', '.join(visible[:NAMED])}{more}" if visible else ""


def _privileges(selection: Selection) -> str:
    names = ", ".join(f'"{name}"' for name in selection.indices.split(","))
    return f'the key needs {{"indices": [{{"names": [{names}], "privileges": ["read"]}}]}}'


def _unreadable(error: ClusterError, selection: Selection) -> SourceError:
    """A cluster is a source here: the others are still judged, and the exit code is 3."""
    hint = error.hint
    if error.kind == "refused" and error.status in (401, 403):
        hint = _privileges(selection)
    elif error.kind == "weather":
        hint = f"is the cluster at {error.where} up? what was read until then was judged"
    if error.status == 404 and error.type == "search_phase_execution_exception":
        return SourceError(
            "the cluster closed the point in time before everything was read",
            hint="what was read until then was judged; read less at once with --since and --until",
            where=str(selection),
        )
    return SourceError(error.message, hint=hint, where=str(selection))


class _Feed(io.BytesIO):
    """A log that is read while it is written: its reader gets everything at once, and pauses."""

    def read(self, size: int | None = -1, /) -> bytes:
        del size
        written = self.getvalue()
        self.seek(0)
        self.truncate()
        return written


class _Logs:
    """The logs that the events were, one of each kind and sensor, and their readers."""

    def __init__(self, selection: Selection, sensor: str, warn: Callable[[str], None]) -> None:
        self.waiting = 0
        self.waiting_bytes = 0
        self._selection = selection
        self._sensor = sensor
        self._warn = warn
        self._sensors: set[str] = set()
        self._lines: dict[tuple[Log, str], list[tuple[int, bool, bytes]]] = {}
        self._readers: dict[tuple[Log, str], tuple[_Feed, Iterator[Tables]]] = {}
        self._odd = 0

    def take(self, hits: list[dict[str, Any]]) -> None:
        """Sort one page in."""
        for hit in hits:
            try:
                event = line(hit["_source"])
            except _ODD:
                event = None
            if event is None:
                self._odd += 1
                continue
            key = (event.log, self._named(event.sensor))
            # A time of milliseconds leaves open whether the question came before its answer.
            order = (hit["sort"][0] or 0, event.is_answer)
            self._lines.setdefault(key, []).append((*order, event.json))
            self.waiting += 1
            self.waiting_bytes += len(event.json)

    def _named(self, sensor: str) -> str:
        sensor = sensor or self._sensor
        if sensor not in self._sensors:
            if len(self._sensors) >= MAX_SENSORS:
                return self._sensor
            self._sensors.add(sensor)
        return sensor

    def drain(self) -> Tables:
        """Everything that waits, as tables."""
        parts = []
        for key, lines in self._lines.items():
            feed, reader = self._readers.get(key) or self._open(*key)
            if key[0] == "eve":
                lines.sort(key=lambda one: one[:2])
            feed.write(b"".join(json + b"\n" for *_, json in lines))
            parts += [part for part in [next(reader, None)] if part]  # none after an interrupt
        self._lines.clear()
        self.waiting = self.waiting_bytes = 0
        return _joined(parts)

    def end(self) -> Tables:
        """What the readers still held back: no more events come."""
        parts = [tables for _, reader in self._readers.values() for tables in reader]
        if self._odd:
            self._warn(
                f"{self._selection}: documents left out, since they are no event that can be read: "
                f"{self._odd}"
            )
        if len(self._sensors) > 1:
            some = ", ".join(sorted(self._sensors)[:NAMED])
            self._warn(
                f"{self._selection}: {len(self._sensors)} sensors ({some} …) are judged as one "
                "network; where networks share addresses, scan one --sensor after the other"
            )
        return _joined(parts)

    def _open(self, log: Log, sensor: str) -> tuple[_Feed, Iterator[Tables]]:
        feed, where = _Feed(), f"{self._selection}, {log} of {sensor}"
        if log == "eve":
            eve = Source(where, "eve", stream=feed)
            reader = suricata.read(eve, sensor=sensor, warn=self._warn)
        else:
            # conn.log comes first: there is one, and each uid names a connection.
            logs = {"conn": io.BytesIO(), log: feed}
            parts = [Source(where, "zeek", detail=d, json=True, stream=s) for d, s in logs.items()]
            whole = Source(where, "zeek", parts=tuple(parts))
            reader = zeek.read(whole, sensor=sensor, warn=self._warn)
        self._readers[log, sensor] = feed, reader
        return feed, reader


def _joined(parts: list[Tables]) -> Tables:
    tables: Mapping[str, list[pl.DataFrame]] = {
        table.name: [f for part in parts if (f := getattr(part, table.name)).height]
        for table in fields(Tables)
    }
    return Tables(**{name: pl.concat(frames) for name, frames in tables.items() if frames})
