"""Suricata's EVE JSON lines (flow, dns, tls, http, ssh, modbus, dnp3, alert) as flow tables.

Fields as in "Eve JSON Format" of the Suricata manual, versions 4 to 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import polars as pl

from cyberterr.capture.content import NOT_JSON
from cyberterr.capture.eve_events import Dns, EveFlow, Event, ot_row, section
from cyberterr.capture.logs import (
    Block,
    Malformed,
    addresses,
    blocks,
    flow_ids,
    ports,
    protocol,
    state,
)
from cyberterr.capture.source import Source, open_stream
from cyberterr.contracts.flow import Tables, conform

MAX_WAITING = 65_536
"""DNS queries that wait for an answer, and alerts that wait for their flow; the oldest go first."""

MAX_SAME = 16
"""Queries of one flow and DNS id that wait; a client repeats itself a few times."""
MAX_ANSWERS = 128

_WHO = {
    "line": pl.Int64,
    "time": pl.String,
    "flow_id": pl.UInt64,
    "src_ip": pl.String,
    "dst_ip": pl.String,
    "src_port": pl.UInt16,
    "dst_port": pl.UInt16,
    "proto": pl.String,
}
_ROWS: dict[str, dict[str, Any]] = {
    "flows": {
        **_WHO,
        "end": pl.String,
        "src_packets": pl.UInt64,
        "dst_packets": pl.UInt64,
        "src_bytes": pl.UInt64,
        "dst_bytes": pl.UInt64,
        "src_flags": pl.UInt8,
        "dst_flags": pl.UInt8,
        "service": pl.String,
        "end_reason": pl.String,
        "icmp_type": pl.UInt8,
    },
    "dns": {
        **_WHO,
        "query": pl.String,
        "qtype": pl.String,
        "rcode": pl.String,
        "answers": pl.List(pl.String),
    },
    "tls": {
        **_WHO,
        "server_name": pl.String,
        "alpn": pl.String,
        "ja4": pl.String,
        "version": pl.String,
    },
    "http": {
        **_WHO,
        "method": pl.String,
        "host": pl.String,
        "uri": pl.String,
        "user_agent": pl.String,
        "status": pl.UInt16,
    },
    "ssh": {**_WHO, "client": pl.String, "server": pl.String},
    "ot": {
        **_WHO,
        "ot_protocol": pl.String,
        "function": pl.UInt16,
        "function_name": pl.String,
        "kind": pl.String,
        "request": pl.Boolean,
        "unit": pl.UInt32,
        "address": pl.UInt32,
    },
}

Row = tuple[Any, ...]

END_REASONS = {"timeout": "idle", "forced": "evicted", "shutdown": "end"}


def read(source: Source, *, sensor: str, warn: Callable[[str], None]) -> Iterator[Tables]:
    """Read the EVE log of *source*, at most 200,000 rows a table at a time.

    `flow_id` is Suricata's own. A flow is one row: the `flow` event where there is one; else,
    at the end, what its last `alert` says of it. Suricata counts whole frames, so bytes are
    larger than IP bytes by the link header (14 a packet on Ethernet). A DNS answer is joined
    with its query by flow and DNS id, while at most 65,536 queries wait.

    Raises:
        SourceError: the log cannot be opened any more.
    """
    malformed = Malformed(source.path)
    rows = _Rows()
    with open_stream(source, warn) as stream:
        for block in blocks(stream, malformed):
            for number, event in _events(block, malformed):
                try:
                    rows.take(number, event)
                except NOT_JSON:
                    malformed.add(number)
            yield rows.drain(sensor, malformed)
    rows.give_up_waiting()
    yield rows.drain(sensor, malformed)
    malformed.report(warn)


def _events(block: Block, malformed: Malformed) -> Iterator[tuple[int, Event]]:
    decoder = msgspec.json.Decoder(Event)
    for number, line in enumerate(block.data.split(b"\n"), block.line):
        if line.strip():
            try:
                yield number, decoder.decode(line)
            except NOT_JSON:
                malformed.add(number)


class _Query(NamedTuple):
    row: list[Any]
    answers: list[str]
    """also the row's last field once an answer was seen"""


class _Rows:
    """Rows not yet given out, and the few that wait for a later line."""

    def __init__(self) -> None:
        self._ready: dict[str, list[Row]] = {name: [] for name in _ROWS}
        self._queries: dict[tuple[Any, ...], list[_Query]] = {}
        self._alerts: dict[int, Row] = {}
        self._finished: dict[int, None] = {}

    def take(self, number: int, event: Event) -> None:
        """Sort *event* in; what no table holds is passed over.

        Raises:
            msgspec.DecodeError: its section is not as the manual says.
        """
        who = (number, event.timestamp, *event.who())
        match event.event_type:
            case "flow":
                self._flow(number, event)
            case "alert":
                self._alert(number, event)
            case "dns":
                self._dns(who, section(event.dns, Dns))
            case "tls":
                tls = event.tls_section()
                alpn = tls.client_alpns[0] if tls.client_alpns else None
                version = tls.version.replace("TLSv", "TLS ") if tls.version else None
                self._ready["tls"].append((*who, tls.sni, alpn, tls.fingerprint(), version))
            case "http":
                http = event.http_section()
                asked = (http.http_method, http.hostname, http.url, http.http_user_agent)
                self._ready["http"].append((*who, *asked, http.status))
            case "ssh":
                ssh = event.ssh_section()
                self._ready["ssh"].append((*who, ssh.client.banner(), ssh.server.banner()))
            case "modbus" | "dnp3":
                if row := ot_row(event):
                    self._ready["ot"].append((*who, *row))

    def _flow(self, number: int, event: Event) -> None:
        self._ready["flows"].append(_flow_row(number, event, section(event.flow, EveFlow)))
        if event.flow_id is not None:
            self._alerts.pop(event.flow_id, None)
            self._finished[event.flow_id] = None
            if len(self._finished) > MAX_WAITING:
                del self._finished[next(iter(self._finished))]

    def _alert(self, number: int, event: Event) -> None:
        flow_id = event.flow_id
        if not event.flow or flow_id is None or flow_id in self._finished:
            return
        flow = section(event.flow, EveFlow)
        event = event.turned() if event.direction == "to_client" and not flow.src_ip else event
        self._alerts[flow_id] = _flow_row(number, event, flow)
        if len(self._alerts) > MAX_WAITING:
            self._ready["flows"].append(self._alerts.pop(next(iter(self._alerts))))

    def _dns(self, who: Row, dns: Dns) -> None:
        name, kind = dns.question()
        key = (who[2] if who[2] is not None else who[3:8], dns.id)
        if dns.type in ("query", "request"):
            same = self._queries.setdefault(key, [])
            same.append(_Query([*who, name, kind, None, None], []))
            if len(same) > MAX_SAME:
                self._ready["dns"].append(tuple(same.pop(0).row))
            if len(self._queries) > MAX_WAITING:
                self._unanswered(next(iter(self._queries)))
            return
        waiting = self._queries.get(key)
        query = waiting[0] if waiting else _Query([*who, name, kind, None, None], [])
        query.answers.extend(dns.data()[: MAX_ANSWERS - len(query.answers)])
        query.row[-2:] = [dns.rcode, query.answers]
        if dns.is_one_of_several():  # version 1 writes one line per answer record
            self._queries.setdefault(key, [query])
        else:
            self._ready["dns"].append(tuple(query.row))
            if waiting and len(waiting) > 1:
                del waiting[0]
            else:
                self._queries.pop(key, None)

    def _unanswered(self, key: tuple[Any, ...]) -> None:
        self._ready["dns"] += [tuple(query.row) for query in self._queries.pop(key)]

    def give_up_waiting(self) -> None:
        """The log is over: queries stay unanswered, alerts stand for their flows."""
        for key in list(self._queries):
            self._unanswered(key)
        self._ready["flows"] += self._alerts.values()
        self._alerts.clear()

    def drain(self, sensor: str, malformed: Malformed) -> Tables:
        """Everything that is ready, as tables."""
        tables = {
            name: _table(name, rows, sensor, malformed)
            for name, rows in self._ready.items()
            if rows
        }
        self._ready = {name: [] for name in _ROWS}
        return Tables(**tables)


def _flow_row(number: int, event: Event, flow: EveFlow) -> Row:
    flags = event.flags()
    who = (event.flow_id, flow.src_ip or event.src_ip, flow.dest_ip or event.dest_ip)
    ends = (flow.src_port or event.src_port, flow.dest_port or event.dest_port, event.proto)
    counts = (flow.pkts_toserver, flow.pkts_toclient, flow.bytes_toserver, flow.bytes_toclient)
    service = event.app_proto if event.app_proto not in ("failed", "unknown") else None
    reason = END_REASONS.get(flow.reason or "", "log")
    start, end = flow.start or event.timestamp, flow.end or event.timestamp
    return (number, start, *who, *ends, end, *counts, *flags, service, reason, event.icmp_type)


def _time(column: str) -> pl.Expr:
    """An EVE time, with its offset or, as version 4 may write it, without one (UTC)."""
    text = pl.col(column)
    format_ = "%Y-%m-%dT%H:%M:%S%.f%#z"
    text = pl.when(text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$")).then(text).otherwise(text + "Z")
    parsed = text.str.to_datetime(format_, time_unit="us", time_zone="UTC", strict=False)
    sane = parsed.dt.year().is_between(1970, 2254)
    return pl.when(sane).then(parsed).dt.cast_time_unit("ns").alias(column)


def _table(name: str, rows: list[Row], sensor: str, malformed: Malformed) -> pl.DataFrame:
    raw = pl.DataFrame(rows, schema=_ROWS[name], orient="row")
    raw = raw.with_columns(
        _time("time"),
        addresses(raw["src_ip"]).alias("src_ip"),
        addresses(raw["dst_ip"]).alias("dst_ip"),
        protocol(pl.col("proto")).alias("protocol"),
        pl.lit(sensor).alias("sensor"),
    )
    raw = raw.with_columns(
        ports("src_port").fill_null(0),
        ports("dst_port").fill_null(0),
        pl.when((pl.col("protocol") == 1) & pl.col("src_ip").str.contains(":", literal=True))
        .then(pl.lit(58, pl.UInt8))
        .otherwise("protocol")
        .alias("protocol"),
    )
    known = pl.all_horizontal(pl.col("time", "src_ip", "dst_ip", "protocol").is_not_null())
    for line in raw.filter(~known)["line"].to_list():
        malformed.add(line)
    raw = raw.filter(known)
    if name == "flows":
        end = pl.max_horizontal("time", pl.coalesce(_time("end"), "time"))
        raw = raw.with_columns(pl.col("time").alias("start"), end.alias("end"), state())
        raw = raw.with_columns(pl.coalesce("flow_id", flow_ids(raw)).alias("flow_id"))
    if name == "dns":
        raw = raw.with_columns(pl.col("query").str.to_lowercase().str.strip_suffix("."))
    return conform(name, raw)
