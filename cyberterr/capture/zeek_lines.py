"""The lines of a Zeek log as a table of the columns that are read: TSV and JSON lines.

Columns as in Zeek's base/protocols/*/main.zeek; rows are handled a block at a time by polars.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import polars as pl

from cyberterr.capture.content import NOT_JSON
from cyberterr.capture.logs import MAX_COLUMNS, MAX_COUNT, Block, Malformed, table

_WHO = {
    "ts": pl.Float64(),
    "uid": pl.String(),
    "id.orig_h": pl.String(),
    "id.orig_p": pl.UInt16(),
    "id.resp_h": pl.String(),
    "id.resp_p": pl.UInt16(),
}
_TEXT, COUNT = pl.String(), pl.UInt64()

COLUMNS: Mapping[str, Mapping[str, pl.DataType]] = {
    "conn": {
        **_WHO,
        "proto": _TEXT,
        "ip_proto": pl.UInt8(),
        "service": _TEXT,
        "duration": pl.Float64(),
        "conn_state": _TEXT,
        "history": _TEXT,
        "orig_bytes": COUNT,
        "resp_bytes": COUNT,
        "orig_pkts": COUNT,
        "orig_ip_bytes": COUNT,
        "resp_pkts": COUNT,
        "resp_ip_bytes": COUNT,
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
    pl.UInt64(): Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)],
}

MAX_HEADERS = 1000
"""Different headers in one log: each costs a millisecond; lines below further ones are left out."""


class Numbered(NamedTuple):
    """Rows of COLUMNS and where they stood."""

    lines: Sequence[int]
    """number of each row's line"""
    frame: pl.DataFrame
    """the columns of COLUMNS; `whole` is false where a line ends early"""


class _Header(NamedTuple):
    """What the header lines say about the lines below them; a joined log has several."""

    separator: str = "\t"
    set_separator: str = ","
    unset: str = "-"
    empty: str = "(empty)"
    fields: tuple[str, ...] = ()

    def after(self, line: str) -> _Header:
        """The header once *line* has been read; most lines change nothing."""
        name, _, value = line.partition(" " if line.startswith("#separator") else self.separator)
        match name:
            case "#separator":
                return self._replace(separator=_separator(value))
            case "#set_separator":
                return self._replace(set_separator=value or ",")
            case "#unset_field":
                return self._replace(unset=value)
            case "#empty_field":
                return self._replace(empty=value)
            case "#fields":
                return self._replace(fields=tuple(value.split(self.separator)[:MAX_COLUMNS]))
        return self


def _separator(value: str) -> str:
    code = value.removeprefix("\\x")
    try:
        separator = chr(int(code, 16)) if value.startswith("\\x") else value[:1]
    except (ValueError, OverflowError):
        return "\t"
    return "\t" if not separator.isascii() or separator in '\n\r\0"' else separator


def tsv_rows(lines: Iterator[Block], log: str, malformed: Malformed) -> Iterator[Numbered]:
    """Rows of the tab-separated log *log*; what has no header above it is malformed."""
    header, headers = _Header(), 0
    for block in lines:
        line, at, data = block.line, 0, block.data
        numbers: list[int] = []
        bodies: list[bytes] = []
        while at < len(data):
            if data.startswith(b"#", at):
                end = data.find(b"\n", at) + 1 or len(data)
                changed = header.after(data[at:end].decode("utf-8", "replace").rstrip("\n"))
                if changed != header:
                    yield from _run(numbers, bodies, header, log, malformed)
                    numbers, bodies, headers = [], [], headers + 1
                    header = changed if headers <= MAX_HEADERS else _Header()
                line += 1
            else:
                end = data.find(b"\n#", at) + 1 or len(data)
                bodies.append(data[at:end])
                count = bodies[-1].count(b"\n") + (not bodies[-1].endswith(b"\n"))
                numbers += range(line, line + count)
                line += count
            at = end
        yield from _run(numbers, bodies, header, log, malformed)


def _run(
    numbers: list[int], bodies: list[bytes], header: _Header, log: str, malformed: Malformed
) -> Iterator[Numbered]:
    """The lines that stand below one header."""
    if numbers and header.fields:
        yield Numbered(numbers, _columns(b"".join(bodies), header, log))
    elif numbers:
        malformed.add(numbers[0], len(numbers))


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
            value = pl.when(~value.is_in([header.unset, header.empty])).then(value)
        if dtype == pl.Boolean():
            return (value == "T").alias(name)
        if dtype == pl.List(pl.String):
            return value.str.split(header.set_separator).alias(name)
        return value.cast(dtype, strict=False).alias(name)

    return read.select(
        *(column(name, dtype) for name, dtype in wanted.items()),
        pl.col(f"{last}").is_not_null().alias("whole"),
    )


def json_rows(lines: Iterator[Block], log: str, malformed: Malformed) -> Iterator[Numbered]:
    """Rows of the log *log* of JSON lines."""
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
        numbers = range(block.line, block.line + len(records))
        yield Numbered(numbers, frame.with_columns(whole=True))


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
