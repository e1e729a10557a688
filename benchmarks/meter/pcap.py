"""Read the frames of an Ethernet capture, write a classic pcap."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SECOND = 1_000_000_000
ETHERNET = 1
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET)
"""Of a little-endian pcap with microseconds."""


class Record(NamedTuple):
    """One frame of a capture."""

    time_ns: int
    wire: int
    """length on the wire; what was captured may be shorter"""
    frame: bytes


def records(path: Path) -> Iterator[Record]:
    """Give the frames of *path*, any Ethernet capture that editcap reads.

    Raises:
        ValueError: it is no Ethernet capture, or editcap could not read it to its end.
    """
    command = ["editcap", "-F", "nsecpcap", str(path), "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as editcap:
        assert editcap.stdout is not None
        header = editcap.stdout.read(24)
        if len(header) < 24 or struct.unpack_from("<I", header, 20)[0] & 0xFFFF != ETHERNET:
            raise ValueError(f"{path}: not an Ethernet capture")
        while len(head := editcap.stdout.read(16)) == 16:
            seconds, nanoseconds, captured, wire = struct.unpack("<IIII", head)
            frame = editcap.stdout.read(captured)
            yield Record(seconds * SECOND + nanoseconds, wire, frame)
    if editcap.returncode != 0:
        raise ValueError(f"{path}: editcap could not read it to its end")


def packed(record: Record) -> bytes:
    """*record* as it stands in a pcap that begins with `HEADER`."""
    seconds, rest = divmod(record.time_ns, SECOND)
    return (
        struct.pack("<IIII", seconds, rest // 1000, len(record.frame), record.wire) + record.frame
    )
