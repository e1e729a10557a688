"""Memory of cyberterr, all its processes together, on a stream of 10 GB and under a SYN flood.

    python benchmarks/meter/memory.py big.pcap [--rows flood flows scan] [--gigabytes 10]

`traffic.py` makes the packets in a process of its own, which is not counted, and hands them over
through a pipe; the capture never lies on disk. Promised are 400 MB for `flows` on the stream and
1 GB for `scan` under the flood; the exit status is 1 when a promise is broken. `scan` on the
stream takes the better part of an hour; ended with SIGTERM it judges what it has read so far.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from flow_tables import PROGRAM
from used import measured

ROWS = ("flood", "flows", "scan")
TRAFFIC = str(Path(__file__).with_name("traffic.py"))


def row(name: str, traffic: list[str], command: list[str], promised: int | None) -> bool:
    """Measure *command* on *traffic*, print its row; whether it kept below *promised* MB."""
    with tempfile.TemporaryFile() as said:
        generator = subprocess.Popen([sys.executable, TRAFFIC, *traffic], stdout=subprocess.PIPE)
        with generator:
            used = measured(command, stdin=generator.stdout, stdout=said, stderr=said)
        said.seek(0)
        text = re.sub(r"(?<=\d),(?=\d)", "", " ".join(said.read().decode().split()))
    packets, flows, early = (
        int(found[1]) if (found := re.search(pattern, text)) else 0
        for pattern in (r"(\d+) packets", r"(\d+) flows", r"(\d+) (?:flows )?closed early")
    )
    print(
        f"| {name} | {packets:,} | {flows:,} | {early:,} | {used.wall_s:.0f} | {used.cpu_s:.0f} "
        f"| {used.processes} | {used.megabytes:.0f} | {promised or ''} |",
        flush=True,
    )
    return promised is None or used.megabytes < promised


def main() -> None:
    """Print one row per measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("capture", type=Path, help="what build.py wrote")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--gigabytes", type=float, default=10, help="of the stream")
    parser.add_argument("--sources", type=int, default=1_000_000, help="of the flood")
    arguments = parser.parse_args()
    stream = ["repeat", str(arguments.capture), "--gigabytes", str(arguments.gigabytes)]
    flood = ["flood", "--sources", str(arguments.sources)]
    scan = [PROGRAM, "scan", "-", "--no-store"]
    print("| what | packets | flows | closed early | s | CPU s | processes | MB | promised |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        flows = [PROGRAM, "flows", "-", "-o", f"{scratch}/flows.parquet"]
        rows = {
            "flood": ("SYN flood, `scan -`", flood, scan, 1000),
            "flows": ("stream, `flows -`", stream, flows, 400),
            "scan": ("stream, `scan -`", stream, scan, None),
        }
        kept = [row(*rows[name]) for name in arguments.rows]
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
