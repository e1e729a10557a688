"""NetFlow and IPFIX as nfdump keeps or prints them, and Argus binetflow, as flow tables."""

from __future__ import annotations

import io
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, cast

import polars as pl

from cyberterr.capture.logs import (
    BLOCK_BYTES,
    MAX_COLUMNS,
    MAX_SECONDS,
    Malformed,
    addresses,
    blocks,
    flow_ids,
    instant,
    ports,
    protocol,
    sane,
    state,
    table,
)
from cyberterr.capture.pairing import Pairing
from cyberterr.capture.source import BUFFER_BYTES, Source, open_stream
from cyberterr.contracts.flow import Tables, conform
from cyberterr.errors import MissingPartError, SourceError

PATIENCE_S = 60
"""How long nfdump may say nothing before it is ended: a broken file can hang it."""

NFDUMP_FORMAT = "fmt:%tsr,%td,%pr,%sa,%sp,%da,%dp,%flg,%pkt,%byt,%opkt,%obyt"
"""Start as seconds since the epoch, so no time zone; %ter is wrong in 1.7.1, hence the duration."""
NFDUMP_COLUMNS = "ts,td,pr,sa,sp,da,dp,flg,ipkt,ibyt,opkt,obyt"

ALIASES = {
    "start": ("ts", "firstSeen", "StartTime"),
    "end": ("te", "lastSeen"),
    "duration": ("td", "duration", "Dur"),
    "proto": ("pr", "proto", "Proto"),
    "src_ip": ("sa", "srcAddr", "SrcAddr"),
    "dst_ip": ("da", "dstAddr", "DstAddr"),
    "src_port": ("sp", "srcPort", "Sport"),
    "dst_port": ("dp", "dstPort", "Dport"),
    "flags": ("flg", "flags"),
    "src_packets": ("ipkt", "pkt", "packets", "inPackets"),
    "src_bytes": ("ibyt", "byt", "bytes", "inBytes"),
    "dst_packets": ("opkt", "outPackets"),
    "dst_bytes": ("obyt", "outBytes"),
    "direction": ("Dir",),
    "state": ("State",),
    "total_packets": ("TotPkts",),
    "total_bytes": ("TotBytes",),
    "argus_src_bytes": ("SrcBytes",),
    "argus_src_packets": ("SrcPkts",),
}
"""Our name for a column: nfdump's old names, its new ones (1.7.3), Argus's."""

NOT_IP = ("arp", "llc", "man", "rarp", "loop", "lldp", "ipx/spx", "unas", "")
"""What Argus logs beside IP."""
ARGUS_NAMES = {"rtp": "udp", "rtcp": "udp", "udt": "udp", "ipv6-icmp": "icmp6"}

CLOSING = (b"Summary", b"No matching flows")
"""How nfdump's output ends: what follows is no record."""

FLAG_LETTERS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}


def read(source: Source, *, sensor: str, warn: Callable[[str], None]) -> Iterator[Tables]:
    """Read nfdump's binary files or CSV, or Argus binetflow, in batches.

    Exporters write one record per direction; two that answer each other become one flow (see
    `pairing`). Argus records have both sides. Times without a zone are taken as UTC: nfdump's
    and Argus's CSV use the zone of the machine that wrote them, and do not say which.
    Argus counts whole frames; where it does not count the source's packets, they are shared
    out like its bytes.

    Raises:
        MissingPartError: a binary file, and the program nfdump is not installed.
        SourceError: the file cannot be read, or nfdump refuses it.
    """
    malformed = Malformed(source.path)
    if source.kind == "binetflow":
        with open_stream(source, warn) as stream:
            yield from _argus(stream, malformed, sensor, warn)
    elif source.kind == "nfdump-csv":
        with open_stream(source, warn) as stream:
            yield from _nfdump(stream, malformed, sensor)
    else:
        with _printed(source, warn) as (stream, complaint):
            count = 0
            for tables in _nfdump(stream, malformed, sensor):
                count += tables.flows.height
                yield tables
            if said := complaint():
                _nfdump_complains(source, said, count, warn)
    malformed.report(warn)


class _Numbered(NamedTuple):
    line: int
    frame: pl.DataFrame


def _nfdump(stream: BinaryIO, malformed: Malformed, sensor: str) -> Iterator[Tables]:
    pairing = Pairing()
    for numbered in _rows(stream, malformed):
        raw = numbered.frame
        counts = ("src_packets", "src_bytes", "dst_packets", "dst_bytes")
        flows = _counted(_who(raw), raw, counts)
        flows = flows.with_columns(
            pl.col("dst_packets", "dst_bytes").fill_null(0), _flags(raw["flags"]).alias("src_flags")
        )
        known = _known(flows, counts)
        paired = pairing.add(_keep(flows, known, numbered.line, malformed))
        yield Tables(flows=_flows(paired, sensor))
    yield Tables(flows=_flows(pairing.rest(), sensor))


def _argus(
    stream: BinaryIO, malformed: Malformed, sensor: str, warn: Callable[[str], None]
) -> Iterator[Tables]:
    other: set[str] = set()
    skipped = 0
    for numbered in _rows(stream, malformed):
        raw = numbered.frame
        name = pl.col("proto").fill_null("").str.to_lowercase()
        raw = raw.with_columns(name.replace(ARGUS_NAMES).alias("proto"))
        is_other = raw["proto"].is_in(NOT_IP)
        other.update(raw["proto"].filter(is_other).unique().to_list())
        skipped += int(is_other.sum())
        counts = ("total_packets", "total_bytes", "argus_src_bytes", "argus_src_packets")
        flows = _counted(_who(raw), raw, counts).with_columns(raw["state"], raw["direction"])
        known = _known(flows.with_columns(pl.col("argus_src_packets").fill_null(0)), counts)
        flows = flows.with_columns(is_other.alias("other"))
        flows = _keep(flows, known | is_other, numbered.line, malformed)
        flows = _sides(flows.filter(~pl.col("other")))
        yield Tables(flows=_flows(flows, sensor))
    if skipped:
        names = ", ".join(sorted(name for name in other if name))
        warn(f"{malformed.where}: records that are not IP are skipped: {skipped} ({names})")


def _sides(flows: pl.DataFrame) -> pl.DataFrame:
    """Split Argus's totals into both sides; `<-` says that the destination began."""
    total, src_bytes = pl.col("total_bytes"), pl.col("argus_src_bytes")
    share = (pl.col("total_packets") * src_bytes.cast(pl.Float64) / total).round()
    counted = pl.coalesce("argus_src_packets", share.fill_nan(0).cast(pl.UInt64, strict=False))
    src_packets = pl.min_horizontal(counted.fill_null(0), "total_packets")
    letters = pl.col("state").fill_null("").str.splitn("_", 2).struct
    flows = flows.with_columns(
        src_packets.alias("src_packets"),
        (pl.col("total_packets") - src_packets).alias("dst_packets"),
        pl.min_horizontal(src_bytes, total).alias("src_bytes"),
        (total - pl.min_horizontal(src_bytes, total)).alias("dst_bytes"),
        letters.field("field_0").alias("src_letters"),
        letters.field("field_1").alias("dst_letters"),
        (pl.col("direction").str.strip_chars() == "<-").fill_null(False).alias("turned"),
    )
    is_tcp = pl.col("protocol") == 6
    flows = flows.with_columns(
        pl.when(is_tcp).then(_flags(flows["src_letters"])).alias("src_flags"),
        pl.when(is_tcp).then(_flags(flows["dst_letters"])).alias("dst_flags"),
    )
    pairs = [(f"src_{what}", f"dst_{what}") for what in ("ip", "port", "packets", "bytes", "flags")]
    turned = pl.col("turned")
    return flows.with_columns(
        *(pl.when(turned).then(dst).otherwise(src).alias(src) for src, dst in pairs),
        *(pl.when(turned).then(src).otherwise(dst).alias(dst) for src, dst in pairs),
    )


def _rows(stream: BinaryIO, malformed: Malformed) -> Iterator[_Numbered]:
    """Text columns under our names, one row per line; the first line names the columns."""
    names: list[str] = []
    separator = ","
    for block in blocks(stream, malformed):
        line, body = block.line, block.data
        if not names:
            first, _, body = body.partition(b"\n")
            text = first.decode("utf-8", "replace").strip()
            separator = "\t" if "\t" in text else ","
            names = [name.strip() for name in text.split(separator)[:MAX_COLUMNS]]
            line += 1
        is_over = False
        for closing in CLOSING:
            if (end := (b"\n" + body).find(b"\n" + closing)) >= 0:
                body, is_over = body[:end], True
        if body:
            yield _Numbered(line, _columns(body, names, separator))
        if is_over:
            return


def _columns(body: bytes, names: list[str], separator: str) -> pl.DataFrame:
    ours = {
        name: next((names.index(alias) for alias in theirs if alias in names), None)
        for name, theirs in ALIASES.items()
    }
    places = {place for place in ours.values() if place is not None} or {0}
    read = table(body, separator, [pl.String()] * len(names), places)
    return read.select(
        pl.lit(None, pl.String).alias(name)
        if place is None
        else pl.col(f"{place}").str.strip_chars().alias(name)
        for name, place in ours.items()
    )


def _who(raw: pl.DataFrame) -> pl.DataFrame:
    """Times, addresses, ports and protocol of text columns; null where they cannot be read."""
    number = pl.col("proto").str.strip_chars()
    start = _seconds(pl.col("start"))
    # The old CSV cuts both times to whole seconds, but not the duration.
    lasted = pl.col("duration").cast(pl.Float64, strict=False).fill_nan(None)
    end = pl.coalesce(start + lasted, _seconds(pl.col("end")))
    flows = raw.select(
        instant(start).alias("start"),
        instant(pl.max_horizontal(start, end)).alias("end"),
        addresses(raw["src_ip"]).alias("src_ip"),
        addresses(raw["dst_ip"]).alias("dst_ip"),
        _port("src_port"),
        _port("dst_port"),
        protocol(number).alias("protocol"),
    )
    six = pl.col("src_ip").str.contains(":", literal=True)
    return flows.with_columns(
        ports("src_port").fill_null(0),
        ports("dst_port").fill_null(0),
        pl.when((pl.col("protocol") == 1) & six)
        .then(pl.lit(58, pl.UInt8))
        .otherwise("protocol")
        .alias("protocol"),
    )


def _seconds(text: pl.Expr) -> pl.Expr:
    """Seconds since the epoch of `2018-01-12 15:37:30.940`, `1515771450.94` or milliseconds."""
    plain = text.str.replace_all("/", "-", literal=True).str.replace("T", " ", literal=True)
    moment = plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    number = text.cast(pl.Float64, strict=False)
    in_seconds = pl.when(number > MAX_SECONDS).then(number / 1000).otherwise(number)
    return pl.coalesce(moment.dt.timestamp("us").cast(pl.Float64) / 1e6, in_seconds)


def _port(name: str) -> pl.Expr:
    """A port; Argus also writes service names and, for ICMP, hexadecimal: 0 then."""
    return pl.col(name).cast(pl.UInt16, strict=False).alias(name)


def _counted(flows: pl.DataFrame, raw: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    return flows.with_columns(raw[name].cast(pl.UInt64, strict=False).alias(name) for name in names)


def _known(flows: pl.DataFrame, counts: tuple[str, ...]) -> pl.Series:
    needed = ("start", "end", "src_ip", "dst_ip", "protocol", *counts)
    return flows.select(pl.all_horizontal(pl.col(*needed).is_not_null(), sane(*counts))).to_series()


def _keep(flows: pl.DataFrame, known: pl.Series, line: int, malformed: Malformed) -> pl.DataFrame:
    if known.all():
        return flows
    bad = (~known).arg_true()
    malformed.add(line + int(bad[0]), bad.len())
    return flows.filter(known)


def _flags(letters: pl.Series) -> pl.Series:
    """Or-ed TCP flags of `...A..S.`, `FSPA` or `0x12`; null where nothing is written."""
    known = {text: _flag_bits(text) for text in letters.unique().drop_nulls()}
    return letters.replace_strict(
        pl.Series(known.keys(), dtype=pl.String),
        pl.Series(known.values(), dtype=pl.UInt8),
        default=None,
        return_dtype=pl.UInt8,
    )


def _flag_bits(text: str) -> int | None:
    if text.startswith("0x") or text.isdecimal():
        try:
            return int(text, 0) & 0xFF
        except ValueError:
            return None
    return sum(bit for letter, bit in FLAG_LETTERS.items() if letter in text)


def _flows(flows: pl.DataFrame, sensor: str) -> pl.DataFrame:
    flows = flows.with_columns(state(), pl.lit(sensor).alias("sensor"))
    flows = flows.with_columns(flow_ids(flows), pl.lit("log").alias("end_reason"))
    return conform("flows", flows)


def _nfdump_complains(source: Source, said: str, count: int, warn: Callable[[str], None]) -> None:
    if count:
        warn(f"{source.path}: nfdump stopped after {count:,} flows: {said}")
        return
    raise SourceError(
        f"nfdump cannot read it: {said}",
        hint="accepted: files of nfcapd, nfpcapd and sfcapd; try: nfdump -r FILE",
        where=source.path,
    )


@contextmanager
def _printed(
    source: Source, warn: Callable[[str], None]
) -> Iterator[tuple[BinaryIO, Callable[[], str]]]:
    """What nfdump prints of a binary file below a line of column names, and what it complains of.

    nfdump exits with 0 when it cannot read a file, so its complaint is all there is to go by.
    """
    program = shutil.which("nfdump")
    if program is None:
        raise MissingPartError(
            "nfdump's binary files are read by the program nfdump, which is not installed",
            hint="try: apt install nfdump",
            where=source.path,
        )
    with tempfile.TemporaryDirectory(prefix="cyberterr-") as folder:
        path = source.path
        if source.compression or source.stream is not None:
            path = os.path.join(folder, "flows")  # noqa: PTH118 - nfdump takes no pipe
            with open_stream(source, warn) as packed, open(path, "wb") as plain:  # noqa: PTH123
                shutil.copyfileobj(packed, plain, BUFFER_BYTES)
        # An absolute path cannot be taken for an option.
        command = [program, "-r", os.path.abspath(path), "-q", "-N", "-6", "-o", NFDUMP_FORMAT]  # noqa: PTH100
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
            )

            def complaint() -> str:
                process.wait(PATIENCE_S)
                said.seek(0)
                text = said.read(300).decode("utf-8", "replace").strip()
                return text.replace("\n", "; ") or ("it failed" if process.returncode else "")

            try:
                raw = _Watched(cast(BinaryIO, process.stdout), source.path)
                yield cast(BinaryIO, io.BufferedReader(raw, BLOCK_BYTES)), complaint
            finally:
                process.kill()
                process.wait()
                cast(BinaryIO, process.stdout).close()


class _Watched(io.RawIOBase):
    """The output of nfdump after our header line; silence is an error, not a wait."""

    def __init__(self, pipe: BinaryIO, where: str) -> None:
        self._pipe = pipe.fileno()
        self._where = where
        self._head = NFDUMP_COLUMNS.encode() + b"\n"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader's
        data, self._head = self._head, b""
        if not data:
            if not select.select([self._pipe], [], [], PATIENCE_S)[0]:
                raise SourceError(f"nfdump said nothing for {PATIENCE_S} s", where=self._where)
            data = os.read(self._pipe, len(buffer))
        buffer[: len(data)] = data
        return len(data)
