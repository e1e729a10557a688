"""Build one large capture from the real ones: copies with other addresses and later times.

    python benchmarks/meter/build.py ../shared/data/network big.pcap --packets 2000000

Ethernet captures only. Every capture starts at the same instant, and each copy follows 150 s after
the one before, so flows overlap as they do on a line. In a copy the second address octet (IPv4) or
the last two bytes (IPv6) are XOR-ed with the copy's number; the IPv4 checksum is mended. The result
is a parser's mix, not a town hall's: it says how fast the meter is, never how good a detector.
"""

from __future__ import annotations

import argparse
import contextlib
import struct
from pathlib import Path

from pcap import HEADER, SECOND, Record, packed, records

START = 1_700_000_000 * SECOND
STEP = 150 * SECOND
HOUR = 3600 * SECOND


def captures(folder: Path) -> list[Path]:
    """The captures under *folder*, in a fixed order, the deliberately broken ones left out."""
    endings = (".pcap", ".pcap.gz", ".pcapng", ".pcapng.gz", ".cap")
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.name.endswith(endings) and "malformed" not in str(path)
    ]


def beginning(path: Path) -> list[Record]:
    """The first hour of a capture, from time 0; nothing of one that is not Ethernet or is cut."""
    with contextlib.suppress(ValueError):
        whole = list(records(path))
        first = whole[0].time_ns if whole else 0
        # Merged captures span years; an hour is what one line shows.
        return [
            record._replace(time_ns=record.time_ns - first)
            for record in whole
            if 0 <= record.time_ns - first < HOUR
        ]
    return []


def moved(frame: bytes, copy: int) -> bytes:
    """*frame* with other addresses; unchanged for copy 0 and for what is not IP on Ethernet."""
    kind = frame[12:14]
    if copy == 0 or kind not in (b"\x08\x00", b"\x86\xdd"):
        return frame
    changed = bytearray(frame)
    if kind == b"\x08\x00" and len(frame) >= 34:
        header = 14 + (frame[14] & 15) * 4
        changed[27] ^= copy
        changed[31] ^= copy
        if 34 <= header <= len(frame):
            changed[24:26] = b"\0\0"
            total = sum(struct.unpack(f"!{(header - 14) // 2}H", changed[14:header]))
            total = (total & 0xFFFF) + (total >> 16)
            total = (total & 0xFFFF) + (total >> 16)
            changed[24:26] = struct.pack("!H", ~total & 0xFFFF)
    elif kind == b"\x86\xdd" and len(frame) >= 54:
        changed[37] ^= copy
        changed[53] ^= copy
    return bytes(changed)


def main() -> None:
    """Write the capture and say what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--copies", type=int, help="as many whole copies, instead of --packets")
    arguments = parser.parse_args()
    files = captures(arguments.folder)
    mix = [record for path in files for record in beginning(path)]
    copies = arguments.copies or -(-arguments.packets // len(mix))
    most = None if arguments.copies else arguments.packets
    order = sorted(
        (record.time_ns + copy * STEP, copy, number)
        for copy in range(copies)
        for number, record in enumerate(mix)
    )[:most]
    with arguments.output.open("wb") as output:
        output.write(HEADER)
        for time, copy, number in order:
            _, wire, frame = mix[number]
            output.write(packed(Record(START + time, wire, moved(frame, copy))))
    print(f"{len(order)} packets from {len(files)} captures in {copies} copies")


if __name__ == "__main__":
    main()
