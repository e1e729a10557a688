"""What every log reader needs: bounded blocks of lines, one warning, addresses, ids, states."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from hashlib import blake2b
from typing import BinaryIO, NamedTuple

import polars as pl

from cyberterr.contracts.flow import TIME

BLOCK_BYTES = 4 << 20
MAX_LINE_BYTES = 1 << 20
MAX_ROWS = 100_000
MAX_COLUMNS = 1000
MAX_SECONDS = 9_000_000_000
"""Times from the epoch to the year 2255: what nanoseconds in 64 bits can hold."""

MAX_COUNT = 2**47
"""Packets or bytes of one flow: 10 Gbit/s for 31 hours. What says more is no count; 65,000 flows
of it still add up in 64 bits."""

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

PROTOCOLS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6": 41,
    "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "icmp6": 58, "icmpv6": 58, "ipv6-icmp": 58,
    "eigrp": 88, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115, "sctp": 132, "udplite": 136,
}  # fmt: skip
"""Names that logs write for IANA protocol numbers."""
WITH_PORTS = (6, 17, 33, 132, 136)
ICMP = (1, 58)


class Block(NamedTuple):
    """Whole lines of a log, at most MAX_ROWS of them."""

    line: int
    """number of the first line, from 1"""
    data: bytes
    ended: bool = True
    """false for the last line of a log that does not end in a line feed"""


class Malformed:
    """Counts the lines of one log that cannot be read, and says so once."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.count = 0
        self.first = 0

    def add(self, line: int, count: int = 1) -> None:
        """Count *count* lines, the first of them number *line*."""
        self.first = min(self.first, line) if self.count else line
        self.count += count

    def report(self, warn: Callable[[str], None]) -> None:
        """Warn, if there is anything to say."""
        if self.count:
            lines = "1 line is" if self.count == 1 else f"{self.count} lines are"
            warn(f"{self.where}: {lines} malformed and left out, the first is line {self.first}")


def blocks(stream: BinaryIO, malformed: Malformed) -> Iterator[Block]:
    """Cut *stream* into blocks of whole lines; a line over 1 MiB is dropped and counted."""
    line, rest, skipping = 1, b"", False
    while chunk := stream.read(BLOCK_BYTES):
        if skipping:
            end = chunk.find(b"\n") + 1
            if not end:
                continue
            line, chunk, skipping = line + 1, chunk[end:], False
        data = rest + chunk
        cut = data.rfind(b"\n") + 1
        rest = data[cut:]
        if cut:
            for piece in _pieces(data[:cut].replace(b"\r\n", b"\n")):
                yield Block(line, piece)
                line += piece.count(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            malformed.add(line)
            rest, skipping = b"", True
    if rest:
        yield Block(line, rest, ended=False)


def _pieces(data: bytes) -> Iterator[bytes]:
    if data.count(b"\n") <= MAX_ROWS:
        yield data
        return
    middle = data.rfind(b"\n", 0, len(data) // 2) + 1 or data.find(b"\n") + 1
    yield from _pieces(data[:middle])
    yield from _pieces(data[middle:])


def table(
    body: bytes, separator: str, dtypes: Sequence[pl.DataType], wanted: Collection[int]
) -> pl.DataFrame:
    """Parse lines of separated fields: one row per line, blank ones too.

    Args:
        body: lines without a header.
        separator: one ASCII character; there are no quotes.
        dtypes: of every field of a line; a field that is none of its type becomes null, as do
            the fields that a short line lacks. Further fields are dropped.
        wanted: places of the fields to keep; they become columns named by their place.
    """
    # polars counts the fields of the first line, which may be a short one.
    full = separator.join("-" * len(dtypes)).encode() + b"\n"
    return pl.read_csv(
        io.BytesIO(full + body),
        has_header=False,
        separator=separator,
        quote_char=None,
        schema={f"{place}": dtype for place, dtype in enumerate(dtypes)},
        columns=sorted(wanted),
        encoding="utf8-lossy",
        ignore_errors=True,
        truncate_ragged_lines=True,
    ).slice(1)


def addresses(column: pl.Series) -> pl.Series:
    """*column* in the canonical spelling of inet_ntop; null for what is no IP address."""
    spelled = {text: _canonical(text) for text in column.unique().drop_nulls()}
    if all(text == known for text, known in spelled.items()):
        return column
    return column.replace_strict(
        pl.Series(spelled.keys(), dtype=pl.String),
        pl.Series(spelled.values(), dtype=pl.String),
        default=None,
        return_dtype=pl.String,
    )


def _canonical(text: str) -> str | None:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError):
        return None


def ids(names: pl.Series) -> pl.Series:
    """64-bit BLAKE2b of each name: the same in every run and version; null stays null."""
    return pl.Series(
        names.name,
        [
            None
            if name is None
            else int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
            for name in names.to_list()
        ],
        dtype=pl.UInt64,
    )


def flow_ids(flows: pl.DataFrame) -> pl.Series:
    """Ids of flows that their log does not number: of addresses, ports, protocol and start."""
    key = ("src_ip", "src_port", "dst_ip", "dst_port", "protocol", pl.col("start").cast(pl.Int64))
    return ids(flows.select(pl.concat_str(key, separator="|").alias("flow_id")).to_series())


def instant(seconds: pl.Expr) -> pl.Expr:
    """Seconds since the epoch (Float64) as a UTC time, to the microsecond a double can hold.

    Null outside the years 1970 to 2255.
    """
    sane = seconds.is_finite() & (seconds >= 0) & (seconds < MAX_SECONDS)
    micros = pl.when(sane).then((seconds * 1e6).round()).otherwise(None)
    return (micros.cast(pl.Int64) * 1000).cast(TIME)


def sane(*counts: str) -> pl.Expr:
    """Whether none of the columns *counts* is larger than one flow can be; null is none."""
    return pl.all_horizontal(pl.col(*counts).fill_null(0) <= MAX_COUNT)


def protocol(name: pl.Expr) -> pl.Expr:
    """IANA number of a protocol written by name or number, in any case; null if unknown."""
    text = name.str.strip_chars().str.to_lowercase()
    numbers = list(PROTOCOLS.values())
    named = text.replace_strict(list(PROTOCOLS), numbers, default=None, return_dtype=pl.UInt8)
    return pl.coalesce(named, text.cast(pl.UInt8, strict=False))


def ports(column: str) -> pl.Expr:
    """The port in *column*, 0 where `protocol` has none."""
    return pl.when(pl.col("protocol").is_in(WITH_PORTS)).then(column).otherwise(0).alias(column)


def state() -> pl.Expr:
    """How a flow ended, in Zeek's words, from the flags and packet counts of both sides.

    Follows Zeek's `conn_state` (base/protocols/conn/main.zeek) as far as or-ed flags can tell:
    the order of packets is lost. Where flags are null, TCP is judged as UDP is.
    """
    src, dst = pl.col("src_flags"), pl.col("dst_flags").fill_null(0)
    answered, asked = pl.col("dst_packets") > 0, pl.col("src_packets") > 0

    def has(side: pl.Expr, flag: int) -> pl.Expr:
        return (side & flag) != 0

    opened = has(src, SYN)
    accepted = has(dst, SYN)
    without_answer = (
        pl.when(~opened)
        .then(pl.lit("OTH"))
        .when(has(src, RST))
        .then(pl.lit("RSTOS0"))
        .when(has(src, FIN))
        .then(pl.lit("SH"))
        .otherwise(pl.lit("S0"))
    )
    half = pl.when(has(dst, RST)).then(pl.lit("RSTRH")).otherwise(pl.lit("SHR"))
    tcp = (
        pl.when(~answered)
        .then(without_answer)
        .when(~asked & accepted)
        .then(half)
        .when(opened & ~accepted & has(dst, RST))
        .then(pl.lit("REJ"))
        .when(~opened | ~accepted)
        .then(pl.lit("OTH"))
        .when(has(src, FIN) & has(dst, FIN))
        .then(pl.lit("SF"))
        .when(has(src, RST))
        .then(pl.lit("RSTO"))
        .when(has(dst, RST))
        .then(pl.lit("RSTR"))
        .when(has(src, FIN))
        .then(pl.lit("S2"))
        .when(has(dst, FIN))
        .then(pl.lit("S3"))
        .otherwise(pl.lit("S1"))
    )
    plain = pl.when(answered).then(pl.lit("SF")).otherwise(pl.lit("S0"))
    is_tcp = (pl.col("protocol") == 6) & src.is_not_null()
    return pl.when(is_tcp).then(tcp).otherwise(plain).alias("state")
