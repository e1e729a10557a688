"""Write a long capture to standard output, in little memory and with a clock that goes on.

    python benchmarks/meter/traffic.py repeat big.pcap --gigabytes 10 | cyberterr scan -
    python benchmarks/meter/traffic.py flood --sources 1000000 | cyberterr scan -

`repeat` gives *big.pcap*, a pcap with microseconds as `build.py` writes it, again and again: each
time later than the last packet of the time before, and from other IPv4 networks (the first octet
of both addresses is XOR-ed with the number of the repeat; checksums are left as they were).
`flood` gives one TCP SYN from each of many random sources to one web server, 20,000 a second.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from pcap import HEADER

START = 1_700_000_000
PER_SECOND = 20_000
AT_ONCE = 100_000
SYN = bytes.fromhex(
    "0200000000020200000000010800"  # Ethernet
    "45000028000000004006000000000000c0000250"  # IPv4 to 192.0.2.80
    "00000050000000000000000050020400"  # TCP to port 80, SYN
    "00000000"
)


def repeat(capture: Path, gigabytes: float) -> None:
    """Write *capture* as often as *gigabytes* take."""
    data = np.frombuffer(bytearray(capture.read_bytes()), dtype=np.uint8)
    if data[:24].tobytes() != HEADER:
        raise SystemExit(f"{capture}: not as build.py writes it")
    starts, captured = _records(data)
    seconds = starts[:, None] + np.arange(4)
    times = data[seconds].copy().view("<u4")
    length = int(times.max() - times.min()) + 1
    whole = starts[captured >= 34]  # 16 bytes before the frame, 14 of Ethernet, 20 of IPv4
    ipv4 = whole[(data[whole + 28] == 0x08) & (data[whole + 29] == 0x00)]
    octets = np.concatenate([ipv4 + 42, ipv4 + 46])
    addresses = data[octets]
    sys.stdout.buffer.write(HEADER)
    for number in range(math.ceil(gigabytes * 1e9 / len(data))):
        data[seconds] = (times + np.uint32(number * length)).view(np.uint8)
        data[octets] = addresses ^ np.uint8(number % 256)
        sys.stdout.buffer.write(data[24:].data)


def _records(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each record begins, and how long its frame is."""
    view, at = data.data, 24
    starts, captured = [], []
    while at < len(view):
        starts.append(at)
        captured.append(int.from_bytes(view[at + 8 : at + 12], "little"))
        at += 16 + captured[-1]
    return np.array(starts), np.array(captured)


def flood(sources: int) -> None:
    """Write one SYN from each of *sources* distinct addresses, in scattered order."""
    random = np.random.default_rng(1)
    packet = np.frombuffer(SYN, dtype=np.uint8)
    sys.stdout.buffer.write(HEADER)
    for first in range(0, sources, AT_ONCE):
        count = min(AT_ONCE, sources - first)
        number = np.arange(first, first + count, dtype=np.uint64)
        rows = np.zeros((count, 16 + len(SYN)), dtype=np.uint8)
        rows[:, 16:] = packet
        head = np.empty((count, 4), dtype="<u4")
        head[:, 0] = START + number // PER_SECOND
        head[:, 1] = number % PER_SECOND * (1_000_000 // PER_SECOND)
        head[:, 2:] = len(SYN)
        rows[:, :16] = head.view(np.uint8)
        # An odd factor permutes 32 bits: every source is another one.
        source = (number * np.uint64(2_654_435_761) & np.uint64(0xFFFFFFFF)).astype(">u4")
        rows[:, 42:46] = source[:, None].view(np.uint8)
        port = random.integers(1024, 65536, count).astype(">u2")
        rows[:, 50:52] = port[:, None].view(np.uint8)
        sys.stdout.buffer.write(rows.tobytes())


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    repeated = kinds.add_parser("repeat")
    repeated.add_argument("capture", type=Path)
    repeated.add_argument("--gigabytes", type=float, default=10)
    flooded = kinds.add_parser("flood")
    flooded.add_argument("--sources", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.kind == "repeat":
        repeat(arguments.capture, arguments.gigabytes)
    else:
        flood(arguments.sources)


if __name__ == "__main__":
    main()
