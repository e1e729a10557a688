"""Zeek logs (conn, dns, ssl, http, ssh; TSV and JSON lines) as flow tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from cyberterr.capture.logs import (
    ACK,
    FIN,
    ICMP,
    RST,
    SYN,
    Malformed,
    addresses,
    blocks,
    flow_ids,
    ids,
    instant,
    ports,
    protocol,
    sane,
)
from cyberterr.capture.source import Source, open_stream
from cyberterr.capture.zeek_lines import COLUMNS, COUNT, Numbered, json_rows, tsv_rows
from cyberterr.contracts.flow import Tables, conform

UNKNOWN_PROTOCOL = 255
"""IANA "reserved": what Zeek calls `unknown_transport` and gives no number for."""


def read(source: Source, *, sensor: str, warn: Callable[[str], None]) -> Iterator[Tables]:
    """Read the Zeek logs of *source*, connections first, at most 100,000 rows at a time.

    Times are kept to the microsecond. ICMP has no ports, and its state, as that of UDP, says
    only whether there was an answer. `flow_id` is made of Zeek's uid; it is null in the other
    logs where no conn.log is beside them. ssl, http and ssh logs do not name their protocol:
    it is TCP, or UDP where the version says DTLS. Zeek escapes control characters
    in its TSV logs; they stay escaped.

    Raises:
        SourceError: a log cannot be opened any more.
    """
    has_connections = any(part.detail == "conn" for part in source.parts)
    for part in source.parts:
        malformed = Malformed(part.path)
        with open_stream(part, warn) as stream:
            lines = blocks(stream, malformed)
            frames = (
                json_rows(lines, part.detail, malformed)
                if part.json
                else tsv_rows(lines, part.detail, malformed)
            )
            for numbered in frames:
                yield _tables(part.detail, numbered, malformed, sensor, has_connections)
        malformed.report(warn)


def _tables(
    log: str, numbered: Numbered, malformed: Malformed, sensor: str, has_connections: bool
) -> Tables:
    """The rows that say who spoke to whom and when; the others are counted."""
    raw = numbered.frame.with_columns(
        instant(pl.col("ts")).alias("start"),
        addresses(numbered.frame["id.orig_h"]).alias("src_ip"),
        addresses(numbered.frame["id.resp_h"]).alias("dst_ip"),
        pl.col("id.orig_p").alias("src_port"),
        pl.col("id.resp_p").alias("dst_port"),
        pl.lit(sensor).alias("sensor"),
    ).with_columns(_protocol(log), pl.col("start").alias("time"), _end(log))
    needed = ("start", "end", "src_ip", "dst_ip", "src_port", "dst_port", "protocol")
    known = raw.select(
        pl.col("whole")
        & pl.all_horizontal(
            pl.col(*needed).is_not_null(),
            *(sane(name) for name, dtype in COLUMNS[log].items() if dtype == COUNT),
        )
    ).to_series()
    if not known.all():
        bad = (~known).arg_true()
        malformed.add(numbered.lines[int(bad[0])], bad.len())
        raw = raw.filter(known)
    raw = raw.with_columns(ports("src_port"), ports("dst_port"))
    if has_connections:
        raw = raw.with_columns(ids(raw["uid"]).alias("flow_id"))
    if log == "conn":
        raw = raw.with_columns(pl.coalesce("flow_id", flow_ids(raw)).alias("flow_id"))
    name = {"conn": "flows", "ssl": "tls"}.get(log, log)
    return Tables(**{name: conform(name, raw.with_columns(*_CONTENT[log]()))})


def _end(log: str) -> pl.Expr:
    """When a connection ended: null where its duration is no number or leads too far away."""
    if log != "conn":
        return pl.col("start").alias("end")
    lasted = pl.col("duration").fill_null(0)
    end = pl.col("ts") + pl.when(lasted < 0).then(0).otherwise(lasted)
    return instant(end).alias("end")


def _protocol(log: str) -> pl.Expr:
    if log == "ssl":
        return (
            pl.when(pl.col("version").str.starts_with("DTLS"))
            .then(17)
            .otherwise(6)
            .alias("protocol")
        )
    if log in ("http", "ssh"):
        return pl.lit(6).alias("protocol")
    name = pl.col("proto")
    named = (
        pl.when((name == "icmp") & pl.col("src_ip").str.contains(":", literal=True))
        .then(58)
        .when(name == "unknown_transport")
        .then(UNKNOWN_PROTOCOL)
        .otherwise(protocol(name))
    )
    return (pl.coalesce("ip_proto", named) if log == "conn" else named).alias("protocol")


def _flows() -> list[pl.Expr]:
    src_packets, dst_packets = pl.col("orig_pkts").fill_null(0), pl.col("resp_pkts").fill_null(0)
    plain = pl.when(dst_packets > 0).then(pl.lit("SF")).otherwise(pl.lit("S0"))
    service = pl.col("service").str.extract(r"(?:^|,)([^,-][^,]*)")
    is_tcp = pl.col("protocol") == 6
    return [
        src_packets.alias("src_packets"),
        dst_packets.alias("dst_packets"),
        pl.coalesce("orig_ip_bytes", "orig_bytes", 0).alias("src_bytes"),
        pl.coalesce("resp_ip_bytes", "resp_bytes", 0).alias("dst_bytes"),
        pl.col("orig_bytes").alias("src_payload"),
        pl.col("resp_bytes").alias("dst_payload"),
        pl.when(is_tcp).then(pl.col("conn_state").fill_null("OTH")).otherwise(plain).alias("state"),
        pl.when(is_tcp).then(_flags(str.upper)).alias("src_flags"),
        pl.when(is_tcp).then(_flags(str.lower)).alias("dst_flags"),
        # Zeek writes type and code where other protocols have ports.
        pl.when(pl.col("protocol").is_in(ICMP))
        .then(pl.col("id.orig_p").cast(pl.UInt8, strict=False))
        .alias("icmp_type"),
        pl.when(service == "ssl").then(pl.lit("tls")).otherwise(service).alias("service"),
        pl.lit("log").alias("end_reason"),
    ]


HISTORY = {
    "S": SYN,
    "H": SYN | ACK,
    "A": ACK,
    "D": ACK,
    "F": FIN,
    "R": RST,
    "Q": SYN | FIN,
    "I": FIN | RST,
}
"""TCP flags behind the letters of `history`; upper case is the originator (conn/main.zeek).

PSH and URG leave no trace there, and what Zeek calls Q may also be SYN and RST.
"""


def _flags(side: Callable[[str], str]) -> pl.Expr:
    history = pl.col("history")
    flags = pl.lit(0, pl.UInt8)
    for letter, bits in HISTORY.items():
        seen = history.str.contains(side(letter), literal=True)
        flags = flags | pl.when(seen).then(pl.lit(bits, pl.UInt8)).otherwise(pl.lit(0, pl.UInt8))
    return pl.when(history.is_not_null()).then(flags)


def _dns() -> list[pl.Expr]:
    kind = pl.col("qtype_name").str.replace(r"^[^\d]*-(\d+)$", "TYPE${1}")
    names = {"*": "ANY", "TYPE64": "SVCB", "TYPE65": "HTTPS"}
    answers = pl.col("answers").fill_null(pl.lit([], pl.List(pl.String)))
    return [
        pl.col("query").str.to_lowercase().str.strip_suffix(".").alias("query"),
        kind.replace(names).alias("qtype"),
        pl.col("rcode_name").alias("rcode"),
        pl.when(pl.col("rcode_name").is_not_null()).then(answers).alias("answers"),
    ]


def _tls() -> list[pl.Expr]:
    version = pl.col("version").str.replace(r"^(D?TLS)v(\d)(\d).*$", "${1} ${2}.${3}")
    return [
        version.str.replace(r"^SSLv(\d)$", "SSL ${1}.0").alias("version"),
        pl.col("next_protocol").alias("alpn"),
    ]


def _http() -> list[pl.Expr]:
    return [pl.col("status_code").alias("status")]


def _ssh() -> list[pl.Expr]:
    return [
        pl.col("auth_success").alias("success"),
        pl.col("auth_attempts").alias("attempts"),
    ]


_CONTENT = {"conn": _flows, "dns": _dns, "ssl": _tls, "http": _http, "ssh": _ssh}
