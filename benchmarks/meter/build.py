"""Build one large capture from the real ones: copies with other addresses and later times.

    python benchmarks/meter/build.py ../shared/data/network big.pcap --packets 2000000

Ethernet captures only. Every capture starts at the same instant, and each copy follows 150 s after
the one before, so flows overlap as they do on a line. In a copy the second address octet (IPv4) or
the last two bytes (IPv6) are XOR-ed with the copy's number; the IPv4 checksum is mended. The result
is a parser's mix, not a town hall's: it says how fast the meter is, never how good a detector.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

START = 1_700_000_000
STEP = 150
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
ETHERNET = 1


def captures(folder: Path) -> list[Path]:
    """The captures under *folder*, in a fixed order, the deliberately broken ones left out."""
    endings = (".pcap", ".pcap.gz", ".pcapng", ".pcapng.gz", ".cap")
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.name.endswith(endings) and "malformed" not in str(path)
    ]


def records(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(nanoseconds since the first packet, length on the wire, bytes) of an Ethernet capture."""
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.pcap"
        converted = ["editcap", "-F", "nsecpcap", str(path), str(plain)]
        if subprocess.run(converted, capture_output=True).returncode != 0 or not plain.exists():
            return
        data = plain.read_bytes()
    if len(data) < 24 or struct.unpack_from("<I", data, 20)[0] & 0xFFFF != ETHERNET:
        return
    at, first = 24, None
    while at + 16 <= len(data):
        seconds, fraction, captured, wire = struct.unpack_from("<IIII", data, at)
        time = seconds * SECOND + fraction
        first = time if first is None else first
        yield time - first, wire, data[at + 16 : at + 16 + captured]
        at += 16 + captured


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--packets", type=int, default=2_000_000)
    arguments = parser.parse_args()
    files = captures(arguments.folder)
    mix = [
        record
        for path in files
        for record in records(path)
        if 0 <= record[0] < HOUR  # merged captures span years; an hour is what one line shows
    ]
    copies = -(-arguments.packets // len(mix))
    order = sorted(
        (time + copy * STEP * SECOND, copy, number)
        for copy in range(copies)
        for number, (time, _, _) in enumerate(mix)
    )[: arguments.packets]
    with arguments.output.open("wb") as output:
        output.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET))
        for time, copy, number in order:
            _, wire, frame = mix[number]
            seconds, rest = divmod(time, SECOND)
            output.write(struct.pack("<IIII", START + seconds, rest // 1000, len(frame), wire))
            output.write(moved(frame, copy))
    print(f"{len(order)} packets from {len(files)} captures in {copies} copies")


if __name__ == "__main__":
    main()
