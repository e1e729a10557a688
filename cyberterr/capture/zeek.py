"""Zeek logs (conn, dns, ssl, http, ssh; TSV and JSON lines) as flow tables.

Columns as in Zeek's base/protocols/*/main.zeek; rows are handled a block at a time by polars.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import polars as pl

from cyberterr.capture.content import NOT_JSON
from cyberterr.capture.logs import (
    ACK,
    FIN,
    MAX_SECONDS,
    RST,
    SYN,
    Block,
    Malformed,
    addresses,
    blocks,
    ids,
    instant,
    ports,
    protocol,
    table,
)
from cyberterr.capture.source import Source, open_stream
from cyberterr.contracts.flow import Tables, conform

_WHO = {
    "ts": pl.Float64(),
    "uid": pl.String(),
    "id.orig_h": pl.String(),
    "id.orig_p": pl.UInt16(),
    "id.resp_h": pl.String(),
    "id.resp_p": pl.UInt16(),
}
_TEXT, _COUNT = pl.String(), pl.UInt64()

COLUMNS: Mapping[str, Mapping[str, pl.DataType]] = {
    "conn": {
        **_WHO,
        "proto": _TEXT,
        "ip_proto": pl.UInt8(),
        "service": _TEXT,
        "duration": pl.Float64(),
        "conn_state": _TEXT,
        "history": _TEXT,
        "orig_bytes": _COUNT,
        "resp_bytes": _COUNT,
        "orig_pkts": _COUNT,
        "orig_ip_bytes": _COUNT,
        "resp_pkts": _COUNT,
        "resp_ip_bytes": _COUNT,
    },
    "dns": {
        **_WHO,
        "proto": _TEXT,
        "query": _TEXT,
        "qtype_name": _TEXT,
        "rcode_name": _TEXT,
        "answers": pl.List(pl.String),
    },
    "ssl": {
        **_WHO,
        "version": _TEXT,
        "server_name": _TEXT,
        "next_protocol": _TEXT,
        "ja4": _TEXT,
    },
    "http": {
        **_WHO,
        "method": _TEXT,
        "host": _TEXT,
        "uri": _TEXT,
        "user_agent": _TEXT,
        "status_code": pl.UInt16(),
    },
    "ssh": {
        **_WHO,
        "client": _TEXT,
        "server": _TEXT,
        "auth_success": pl.Boolean(),
        "auth_attempts": pl.UInt16(),
    },
}
"""What is read of each log; other columns, such as labels, are passed over."""

_JSON_TYPES: Mapping[pl.DataType, Any] = {
    pl.String(): str,
    pl.Float64(): float,
    pl.Boolean(): bool,
    pl.List(pl.String): list[str],
    pl.UInt8(): Annotated[int, msgspec.Meta(ge=0, le=2**8 - 1)],
    pl.UInt16(): Annotated[int, msgspec.Meta(ge=0, le=2**16 - 1)],
    pl.UInt64(): Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)],
}

MAX_COLUMNS = 1000
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
                _json(lines, part.detail, malformed)
                if part.json
                else _tsv(lines, part.detail, malformed)
            )
            for numbered in frames:
                yield _tables(part.detail, numbered, malformed, sensor, has_connections)
        malformed.report(warn)


class _Numbered(NamedTuple):
    line: int
    frame: pl.DataFrame
    """the columns of COLUMNS; `whole` is false where a line ends early"""


class _Header:
    """What the header lines say about the lines below them; a joined log has several."""

    def __init__(self) -> None:
        self.separator = "\t"
        self.set_separator = ","
        self.nothing = ["-", "(empty)"]
        self.fields: list[str] = []

    def read(self, line: str) -> None:
        name, _, value = line.partition(" " if line.startswith("#separator") else self.separator)
        if name == "#separator":
            code = value.removeprefix("\\x")
            try:
                self.separator = chr(int(code, 16)) if value.startswith("\\x") else value[:1]
            except ValueError:
                self.separator = "\t"
            if not self.separator.isascii() or self.separator in '\n\r\0"':
                self.separator = "\t"
        elif name == "#set_separator":
            self.set_separator = value or ","
        elif name == "#unset_field":
            self.nothing[0] = value
        elif name == "#empty_field":
            self.nothing[1] = value
        elif name == "#fields":
            self.fields = value.split(self.separator)[:MAX_COLUMNS]


def _tsv(lines: Iterator[Block], log: str, malformed: Malformed) -> Iterator[_Numbered]:
    header = _Header()
    for block in lines:
        line, rest = block.line, block.data
        while rest:
            if rest.startswith(b"#"):
                text, _, rest = rest.partition(b"\n")
                header.read(text.decode("utf-8", "replace"))
                line += 1
                continue
            end = rest.find(b"\n#") + 1 or len(rest)
            body, rest = rest[:end], rest[end:]
            count = body.count(b"\n") + (not body.endswith(b"\n"))
            if header.fields:
                yield _Numbered(line, _columns(body, header, log))
            else:
                malformed.add(line, count)
            line += count


def _columns(body: bytes, header: _Header, log: str) -> pl.DataFrame:
    """The wanted columns of a piece without header lines: one row per line, blank ones too."""
    wanted = COLUMNS[log]
    places = {name: place for place, name in enumerate(header.fields) if name in wanted}
    last = len(header.fields) - 1
    # What is no number becomes null, so "-" needs no care; the last column tells a short line.
    numbers = {f"{place}": wanted[name] for name, place in places.items() if place != last}
    schema = {
        f"{place}": dtype if (dtype := numbers.get(f"{place}", _TEXT)).is_numeric() else pl.String()
        for place in range(last + 1)
    }
    read = table(body, header.separator, list(schema.values()), {*places.values(), last})

    def column(name: str, dtype: pl.DataType) -> pl.Expr:
        if name not in places:
            return pl.lit(None, dtype).alias(name)
        value = pl.col(f"{places[name]}")
        if schema[f"{places[name]}"] == pl.String():
            value = pl.when(~value.is_in(header.nothing)).then(value)
        if dtype == pl.Boolean():
            return (value == "T").alias(name)
        if dtype == pl.List(pl.String):
            return value.str.split(header.set_separator).alias(name)
        return value.cast(dtype, strict=False).alias(name)

    return read.select(
        *(column(name, dtype) for name, dtype in wanted.items()),
        pl.col(f"{last}").is_not_null().alias("whole"),
    )


def _json(lines: Iterator[Block], log: str, malformed: Malformed) -> Iterator[_Numbered]:
    record = _record(log)
    decoder = msgspec.json.Decoder(record)
    for block in lines:
        try:
            records = decoder.decode_lines(block.data)
        except NOT_JSON:
            records = list(_one_by_one(block, decoder, malformed))
        columns = {
            name: [getattr(item, field) for item in records]
            for name, field in zip(COLUMNS[log], record.__struct_fields__, strict=True)
        }
        columns["ts"] = [_seconds(value) for value in columns["ts"]]
        frame = pl.DataFrame(columns, schema=dict(COLUMNS[log]))
        yield _Numbered(block.line, frame.with_columns(whole=True))


def _record(log: str) -> type[msgspec.Struct]:
    """The record of a JSON log; `id.orig_h` becomes an attribute by its place."""
    fields: list[tuple[str, Any, Any]] = []
    for place, (name, dtype) in enumerate(COLUMNS[log].items()):
        one = float | str if name == "ts" else _JSON_TYPES[dtype]
        fields.append((f"c{place}", one | None, msgspec.field(name=name, default=None)))
    return msgspec.defstruct(f"Zeek_{log}", fields, gc=False)


def _one_by_one(
    block: Block, decoder: msgspec.json.Decoder[msgspec.Struct], malformed: Malformed
) -> Iterator[msgspec.Struct]:
    for number, line in enumerate(block.data.split(b"\n"), block.line):
        if line.strip():
            try:
                yield decoder.decode(line)
            except NOT_JSON:
                malformed.add(number)


def _seconds(value: float | str | None) -> float | None:
    """Seconds since the epoch of a number or, as `JSON::TS_ISO8601` writes it, of a text."""
    if not isinstance(value, str):
        return value
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _tables(
    log: str, numbered: _Numbered, malformed: Malformed, sensor: str, has_connections: bool
) -> Tables:
    """The rows that say who spoke to whom and when; the others are counted."""
    raw = numbered.frame.with_columns(
        instant(pl.col("ts")).alias("start"),
        addresses(numbered.frame["id.orig_h"]).alias("src_ip"),
        addresses(numbered.frame["id.resp_h"]).alias("dst_ip"),
        pl.col("id.orig_p").alias("src_port"),
        pl.col("id.resp_p").alias("dst_port"),
        pl.lit(sensor).alias("sensor"),
    ).with_columns(_protocol(log), pl.col("start").alias("time"))
    known = raw.select(
        pl.col("whole")
        & pl.all_horizontal(
            pl.col("start", "src_ip", "dst_ip", "src_port", "dst_port", "protocol").is_not_null()
        )
    ).to_series()
    if not known.all():
        bad = (~known).arg_true()
        malformed.add(numbered.line + int(bad[0]), bad.len())
        raw = raw.filter(known)
    raw = raw.with_columns(ports("src_port"), ports("dst_port"))
    if has_connections:
        raw = raw.with_columns(ids(raw["uid"]).alias("flow_id"))
    name = {"conn": "flows", "ssl": "tls"}.get(log, log)
    return Tables(**{name: conform(name, raw.with_columns(*_CONTENT[log]()))})


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
    length = pl.when(pl.col("duration") >= 0).then(pl.col("duration")).otherwise(0)
    end = instant((pl.col("ts") + length).clip(upper_bound=MAX_SECONDS - 1))
    plain = pl.when(dst_packets > 0).then(pl.lit("SF")).otherwise(pl.lit("S0"))
    service = pl.col("service").str.extract(r"(?:^|,)([^,-][^,]*)")
    is_tcp = pl.col("protocol") == 6
    return [
        end.alias("end"),
        src_packets.alias("src_packets"),
        dst_packets.alias("dst_packets"),
        pl.coalesce("orig_ip_bytes", "orig_bytes", 0).alias("src_bytes"),
        pl.coalesce("resp_ip_bytes", "resp_bytes", 0).alias("dst_bytes"),
        pl.col("orig_bytes").alias("src_payload"),
        pl.col("resp_bytes").alias("dst_payload"),
        pl.when(is_tcp).then(pl.col("conn_state").fill_null("OTH")).otherwise(plain).alias("state"),
        pl.when(is_tcp).then(_flags(str.upper)).alias("src_flags"),
        pl.when(is_tcp).then(_flags(str.lower)).alias("dst_flags"),
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
