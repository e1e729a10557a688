"""The flow tables of cyberterr and nfstream, added up by who spoke with whom."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

End = tuple[str, int]
Key = tuple[End, End, int, int]
"""The two ends (address, port) in order, protocol, VLAN id or 0."""
Totals = dict[Key, tuple[int, int]]
"""Packets and IP bytes per key: how each program cuts a conversation in time plays no part."""

PROGRAM = str(Path(sys.executable).with_name("cyberterr"))
NFSTREAM = str(Path(__file__).with_name("nfstream_flows.py"))


def key(src: End, dst: End, protocol: int, vlan: int) -> Key:
    """The key of a packet or flow, equal for both directions."""
    return (*sorted((src, dst)), protocol, vlan)  # type: ignore[return-value]  # two ends


def add(totals: Totals, to: Key, packets: int, size: int) -> None:
    """Count *packets* of *size* bytes in all."""
    before = totals.get(to, (0, 0))
    totals[to] = before[0] + packets, before[1] + size


def by_cyberterr(capture: Path) -> Totals:
    """What `cyberterr flows` counts in *capture*."""
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "flows.parquet"
        subprocess.run([PROGRAM, "flows", "-q", str(capture), "-o", str(table)], check=True)
        frame = pl.read_parquet(table).select(
            "src_ip", "dst_ip", "src_port", "dst_port", "protocol", pl.col("vlan").fill_null(0),
            pl.col("src_packets") + pl.col("dst_packets"),
            pl.col("src_bytes") + pl.col("dst_bytes"),
        )  # fmt: skip
    return _added_up(frame.iter_rows())


def by_nfstream(capture: Path, python: str) -> Totals:
    """What nfstream counts in *capture*; *python* is one that has it."""
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "flows.csv"
        command = [python, NFSTREAM, str(capture), str(table)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = (line.split(",") for line in table.read_text().splitlines())
        return _added_up((src, dst, *map(int, rest)) for src, dst, *rest in lines)


def _added_up(rows: Iterable[tuple[Any, ...]]) -> Totals:
    totals: Totals = {}
    for src, dst, src_port, dst_port, protocol, vlan, packets, size in rows:
        add(totals, key((src, src_port), (dst, dst_port), protocol, vlan), packets, size)
    return totals
