"""The meter beside its peers: whole programs, packets per CPU-second, interleaved runs.

    python benchmarks/meter/compare.py big.pcap --nfstream VENV/bin/python [--runs 5]

Each run is a program from start to written flow table (nfstream: to Python objects), together with
the processes it starts. nfpcapd comes from Debian's nfdump; pyshark is measured once, on the first
packets only. What the flows hold is compared by `differences.py`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from flow_tables import NFSTREAM, PROGRAM
from used import Used, measured

PREFIX = 5_000
PYSHARK = (
    "import sys, pyshark\n"
    "for packet in pyshark.FileCapture(sys.argv[1], keep_packets=False): pass\n"
)


class Peer(NamedTuple):
    """A program, and how much it is given."""

    command: list[str]
    packets: int
    runs: int


def peers(capture: Path, folder: Path, nfstream: str | None, runs: int) -> dict[str, Peer]:
    """The programs that are installed; what they write goes to *folder*."""
    shown = subprocess.run(
        ["capinfos", "-Mc", str(capture)], capture_output=True, text=True, check=True
    )
    packets = int(shown.stdout.split()[-1])
    ours = [PROGRAM, "flows", "-q", str(capture), "-o", str(folder / "ours.parquet")]
    found = {"cyberterr flows": Peer(ours, packets, runs)}
    if nfstream:
        found["nfstream"] = Peer([nfstream, NFSTREAM, str(capture)], packets, runs)
    if shutil.which("nfpcapd"):
        (folder / "nf").mkdir()
        command = ["nfpcapd", "-r", str(capture), "-w", str(folder / "nf")]
        found["nfpcapd"] = Peer(command, packets, runs)
    if shutil.which("tshark"):
        prefix = folder / "prefix.pcap"
        subprocess.run(["editcap", "-r", str(capture), str(prefix), f"1-{PREFIX}"], check=True)
        command = [sys.executable, "-c", PYSHARK, str(prefix)]
        found["pyshark (default)"] = Peer(command, min(PREFIX, packets), 1)
    return found


def main() -> None:
    """Run every peer that is installed, interleaved, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("capture", type=Path, help="what build.py wrote")
    parser.add_argument("--nfstream", help="a Python that has nfstream 6.6.0")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    used: dict[str, list[Used]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        programs = peers(arguments.capture, Path(scratch), arguments.nfstream, arguments.runs)
        for run in range(arguments.runs):
            for name, peer in programs.items():
                if run < peer.runs:
                    used[name].append(measured(peer.command))
    rates = {
        name: [programs[name].packets / one.cpu_s / 1000 for one in runs]
        for name, runs in used.items()
    }
    print("| program | thousand packets per CPU-second (runs) | median | per second | MB |")
    print("|---|---|---|---|---|")
    for name, runs in used.items():
        each = " / ".join(f"{rate:.4g}" for rate in rates[name])
        wall = statistics.median(programs[name].packets / one.wall_s / 1000 for one in runs)
        megabytes = max(one.megabytes for one in runs)
        print(
            f"| {name} | {each} | {statistics.median(rates[name]):.4g} | {wall:.4g} "
            f"| {megabytes:.0f} |"
        )
    ours = statistics.median(rates["cyberterr flows"])
    for name in ("nfstream", "nfpcapd"):
        if name in rates:
            print(f"cyberterr is {ours / statistics.median(rates[name]):.2f} x {name}")


if __name__ == "__main__":
    main()
