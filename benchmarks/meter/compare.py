"""The meter beside its peers: whole processes, packets per CPU-second, interleaved runs.

    python benchmarks/meter/compare.py big.pcap --nfstream VENV/bin/python [--runs 5]

Each run is a process from start to written flow table (nfstream: to Python objects); its CPU time
is user plus system of the process and its children. nfpcapd comes from Debian's nfdump; pyshark is
measured on the first packets only. The last part compares flows with nfstream's, key by key.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).parent
PREFIX = 5_000
PYSHARK = (
    "import sys, pyshark\n"
    "for packet in pyshark.FileCapture(sys.argv[1], keep_packets=False): pass\n"
)


def measured(command: list[str]) -> tuple[float, float, float]:
    """(CPU seconds, wall seconds, MB resident at most) of *command* and what it starts."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed with {status}: {' '.join(command)}")
    wall = time.monotonic() - started
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def flows_of(path: Path) -> dict[tuple[object, ...], list[int]]:
    """Packets and bytes per undirected key, added up over the flows of the key."""
    totals: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0])
    if path.suffix == ".parquet":
        import polars as pl

        frame = pl.read_parquet(path).select(
            "src_ip", "dst_ip", "src_port", "dst_port", "protocol", pl.col("vlan").fill_null(0),
            pl.col("src_packets") + pl.col("dst_packets"),
            pl.col("src_bytes") + pl.col("dst_bytes"),
        )  # fmt: skip
        rows = frame.iter_rows()
    else:
        lines = path.read_text().splitlines()
        rows = ((a, b, *map(int, rest)) for a, b, *rest in (line.split(",") for line in lines))
    for src, dst, src_port, dst_port, protocol, vlan, packets, size in rows:
        ends = tuple(sorted(((src, src_port), (dst, dst_port))))
        total = totals[(*ends, protocol, vlan)]
        total[0] += packets
        total[1] += size
    return totals


def agreement(ours: Path, theirs: Path) -> None:
    """Print how many common keys have equal packets and bytes, and what the others are."""
    mine, other = flows_of(ours), flows_of(theirs)
    common = mine.keys() & other.keys()
    different = [key for key in common if mine[key] != other[key]]
    equal = len(common) - len(different)
    print(f"keys: ours {len(mine)}, nfstream {len(other)}, common {len(common)}")
    print(f"equal packets and bytes: {equal} = {100 * equal / max(1, len(common)):.3f} %")
    kinds = Counter((key[2], "packets" if mine[key][0] != other[key][0] else "bytes only")
                    for key in different)  # fmt: skip
    for (protocol, what), count in kinds.most_common(8):
        print(f"  differ in {what}, protocol {protocol}: {count}")
    for name, keys in (("ours only", mine.keys() - other.keys()),
                       ("nfstream only", other.keys() - mine.keys())):  # fmt: skip
        protocols = Counter(key[2] for key in keys)
        print(f"  {name}: {dict(protocols.most_common(6))}")


def main() -> None:
    """Run every peer that is installed, interleaved, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capture", type=Path)
    parser.add_argument("--nfstream", help="a Python that has nfstream")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    capture = str(arguments.capture)
    packets = int(
        subprocess.run(
            ["capinfos", "-Mc", capture], capture_output=True, text=True, check=True
        ).stdout.split()[-1]
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prefix = folder / "prefix.pcap"
        subprocess.run(["editcap", "-r", capture, str(prefix), f"1-{PREFIX}"], check=True)
        ours, theirs = folder / "ours.parquet", folder / "nfstream.csv"
        program = str(Path(sys.executable).with_name("cyberterr"))
        peers: dict[str, tuple[list[str], int]] = {
            "cyberterr flows": ([program, "flows", "-q", capture, "-o", str(ours)], packets),
        }
        if arguments.nfstream:
            script = str(HERE / "nfstream_flows.py")
            peers["nfstream"] = ([arguments.nfstream, script, capture], packets)
        if shutil.which("nfpcapd"):
            (folder / "nf").mkdir()
            peers["nfpcapd"] = (["nfpcapd", "-r", capture, "-w", str(folder / "nf")], packets)
        if shutil.which("tshark"):
            peers["pyshark (default)"] = ([sys.executable, "-c", PYSHARK, str(prefix)], PREFIX)
        rates: dict[str, list[float]] = defaultdict(list)
        walls: dict[str, list[float]] = defaultdict(list)
        memory: dict[str, float] = defaultdict(float)
        for run in range(arguments.runs):
            for name, (command, count) in peers.items():
                if name.startswith("pyshark") and run:
                    continue
                cpu, wall, resident = measured(command)
                rates[name].append(count / cpu / 1000)
                walls[name].append(count / wall / 1000)
                memory[name] = max(memory[name], resident)
        print("| program | kpackets per CPU-second (runs) | median | wall | MB |")
        print("|---|---|---|---|---|")
        for name, values in rates.items():
            runs = " / ".join(f"{value:.4g}" for value in values)
            middle, wall = statistics.median(values), statistics.median(walls[name])
            print(f"| {name} | {runs} | {middle:.4g} | {wall:.4g} | {memory[name]:.0f} |")
        for name in ("nfstream", "nfpcapd"):
            if name in rates:
                ratio = statistics.median(rates["cyberterr flows"]) / statistics.median(rates[name])
                print(f"cyberterr is {ratio:.2f} x {name}")
        if arguments.nfstream:
            script = str(HERE / "nfstream_flows.py")
            subprocess.run([arguments.nfstream, script, capture, str(theirs)], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
            agreement(ours, theirs)


if __name__ == "__main__":
    main()
