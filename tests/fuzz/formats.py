"""Every format that is fuzzed, with its real reader and its seeds.

The contract of a reader: rows as the contracts describe them, or a CyberterrError, and nothing
else. `FORMATS[name].read(data)` holds a reader to it.
"""

from __future__ import annotations

import datetime as dt
import gzip
import lzma
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import polars as pl
import zstandard

from cyberterr import config
from cyberterr.capture.source import discover
from cyberterr.config import Settings
from cyberterr.contracts import Tables
from cyberterr.contracts.flow import TABLES, schema
from cyberterr.contracts.site import Site
from cyberterr.errors import CyberterrError
from cyberterr.flows.layer7 import Layer7, Message
from cyberterr.pipeline import indicators
from cyberterr.pipeline.sources import Reading, read_tables

DATA = Path(__file__).parents[1] / "data"
GOLDEN, LOGS, CORPUS = DATA / "golden", DATA / "logs", DATA / "corpus"
CLIENT, SERVER, TCP, UDP = "10.0.0.1", "10.0.0.2", 6, 17
LARGEST_SUM = 2**63 - 1
SCHEMAS = {name: pl.Schema(schema(name)) for name in TABLES}
NEVER_NULL = {
    name: [column.name for column in columns if column.null == "never"]
    for name, columns in TABLES.items()
}


class Format(NamedTuple):
    """One format: `read` takes the bytes of one input and raises where the contract is broken."""

    read: Callable[[bytes], None]
    is_text: bool = False
    files: tuple[Path, ...] = ()
    """seeds beside those in the corpus"""
    packed: Callable[[bytes], bytes] = bytes
    """how a seed file becomes this format"""
    is_source: bool = False
    """`cyberterr scan` takes it"""

    def kept(self, name: str) -> Iterator[tuple[str, bytes]]:
        """(name, content) of every input of the corpus that is kept for the format *name*."""
        for path in sorted((CORPUS / name).glob("*")):
            if path.suffix == ".zip":  # what the long run found to reach different code
                with zipfile.ZipFile(path) as archive:
                    for member in sorted(archive.namelist()):
                        yield f"{path.name}/{member}", archive.read(member)
            else:
                yield path.name, path.read_bytes()

    def seeds(self, name: str) -> list[bytes]:
        """The seed files, and what is kept for the format *name*."""
        files = [self.packed(path.read_bytes()[:60_000]) for path in self.files]
        return [*files, *(content for _, content in self.kept(name))]


def check(tables: Tables) -> None:
    """Hold *tables* to their contract: columns, types, nulls, and time that goes forward."""
    for name in TABLES:
        frame: pl.DataFrame = getattr(tables, name)
        assert frame.schema == SCHEMAS[name], name
        if frame.height:
            nulls = [column for column in NEVER_NULL[name] if frame[column].null_count()]
            assert not nulls, f"{name}: null in {nulls}"
    flows = tables.flows
    if not flows.height:
        return
    assert (flows["start"] <= flows["end"]).all(), "a flow ends before it starts"
    for name in ("src_bytes", "dst_bytes", "src_packets", "dst_packets"):
        assert flows[name].cast(pl.Float64).sum() < LARGEST_SUM, f"{name} do not add up"
    floats = flows.select(pl.selectors.float())
    assert not floats.select(pl.all().is_infinite().any()).row(0).count(True), "an infinite number"


def read_file(data: bytes) -> None:
    """*data* as a file that somebody scans."""
    with _file(data) as path:
        if any(source.kind == "wireshark" for source in discover([path]).sources):
            return  # another program's reader
        reading = Reading()
        for tables in read_tables([path], Settings(), reading, engine="ours"):
            check(tables)
    broken = [error.message for error in reading.errors if "decoder" in error.message]
    assert not broken, broken  # the meter's process ended: an error for a person, a defect of ours


def read_indicators(data: bytes) -> None:
    """*data* as a list of indicators."""
    with _file(data) as path:
        try:
            known = indicators.load([Path(path)], Site())
        except CyberterrError:
            return
    assert all(i.value and 0 <= i.confidence <= 100 for i in known.items)


def read_settings(data: bytes) -> None:
    """*data* as settings, which must be good enough to start with."""
    with _file(data) as path:
        try:
            settings = config.load(Path(path))
        except CyberterrError:
            return
    dt.datetime.now(dt.UTC) - dt.timedelta(days=settings.retention.findings_days)
    reading = Reading()
    for tables in read_tables([GOLDEN / "nanosecs.pcap"], settings, reading, engine="ours"):
        check(tables)
    assert not reading.errors, reading.errors


def talk(port: int, protocol: int = TCP) -> Callable[[bytes], None]:
    """Reader of a conversation with the server's *port*, whose pieces are as `pieces` says."""

    def read(data: bytes) -> None:
        layer7 = Layer7("fuzz", b"key")
        layer7.feed(_messages(data, port, protocol))
        check(layer7.drain(final=True))

    return read


def pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(how, payload) of each piece: one byte how, two bytes length, the payload.

    How: bit 0 the server speaks, bit 1 a gap before it, bit 2 sent again, bit 3 a minute later.
    """
    at = 0
    while len(data) - at >= 3:
        length = data[at + 1] << 8 | data[at + 2]
        yield data[at], data[at + 3 : at + 3 + length]
        at += 3 + length


def piece(payload: bytes, how: int = 0) -> bytes:
    """One piece of a conversation, as `pieces` reads it."""
    return bytes((how, len(payload) >> 8, len(payload) & 0xFF)) + payload


def _messages(data: bytes, port: int, protocol: int) -> Iterator[Message]:
    sent, now = [0xFFFFFF00, 1000], 1_700_000_000_000_000_000
    for how, payload in pieces(data):
        side = how & 1
        sent[side] += 1000 * (how >> 1 & 1)
        sent[side] -= len(payload) * (how >> 2 & 1)
        now += 60_000_000_000 * (how >> 3 & 1)
        seq = sent[side] % 2**32 if protocol == TCP else 0
        yield Message(now, 1, not side, CLIENT, SERVER, 40000, port, protocol, seq, payload)
        sent[side] += len(payload)


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    """The path of a file that holds *data* while it is looked at."""
    number, path = tempfile.mkstemp(prefix="mutant-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        yield path
    finally:
        Path(path).unlink()


def _source(*files: Path, is_text: bool = True, packed: Callable[[bytes], bytes] = bytes) -> Format:
    return Format(read_file, is_text=is_text, files=files, packed=packed, is_source=True)


_SMALL = GOLDEN / "workshop_2011_browse.pcap"
FORMATS: dict[str, Format] = {
    "pcap": _source(
        GOLDEN / "workshop_2011_browse.pcap", GOLDEN / "mixed-vlan-mpls.pcap", is_text=False
    ),
    "pcapng": _source(
        GOLDEN / "pcapng-example.pcapng", GOLDEN / "many_interfaces-1.pcapng", is_text=False
    ),
    "gz": _source(
        _SMALL, LOGS / "eve.json", is_text=False, packed=lambda d: gzip.compress(d, mtime=0)
    ),
    "zst": _source(_SMALL, LOGS / "eve.json", is_text=False, packed=zstandard.compress),
    "xz": _source(_SMALL, LOGS / "eve.json", is_text=False, packed=lzma.compress),
    **{
        f"zeek-{log}": _source(LOGS / "zeek" / f"{log}.log")
        for log in ("conn", "dns", "ssl", "http", "ssh")
    },
    "zeek-json": _source(LOGS / "zeek-json" / "conn.log"),
    "eve": _source(LOGS / "eve.json"),
    "nfdump-csv": _source(LOGS / "nfdump-1.6.csv", LOGS / "nfdump-1.7.csv"),
    "binetflow": _source(LOGS / "argus.binetflow"),
    "indicators": Format(read_indicators, is_text=True),
    "settings": Format(read_settings, is_text=True),
    "dns": Format(talk(53, UDP)),
    "dns-tcp": Format(talk(53)),
    "tls": Format(talk(443)),
    "quic": Format(talk(443, UDP)),
    "http": Format(talk(80)),
    "ssh": Format(talk(22)),
    "ftp": Format(talk(21)),
    "pop3": Format(talk(110)),
    "imap": Format(talk(143)),
    "smtp": Format(talk(25)),
    "telnet": Format(talk(23)),
    "snmp": Format(talk(161, UDP)),
    "modbus": Format(talk(502)),
    "dnp3": Format(talk(20000)),
    "s7": Format(talk(102)),
    "bacnet": Format(talk(47808, UDP)),
    "iec104": Format(talk(2404)),
}
