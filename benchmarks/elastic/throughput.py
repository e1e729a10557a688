"""How many findings a minute go through store, outbox and server, and what that costs.

    python benchmarks/elastic/throughput.py [--findings 100000]

Starts a server of its own, finds what there is in `tests/data/town_hall.pcapng`, and stores those
findings again and again as other incidents, as fast as they are sent: one thread stores, the
sender of a live scan is the other. The time runs from the first finding to the last answer.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import msgspec

from cyberterr.config import Elastic, Settings
from cyberterr.contracts.documents import of_finding, stream
from cyberterr.contracts.finding import Finding
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.templates import install
from cyberterr.pipeline.forward import sending
from cyberterr.store import outbox
from cyberterr.store.connection import opened
from cyberterr.store.sqlite import SqliteStore
from tests.elastic.distribution import prepare
from tests.elastic.server import Server, running

ROOT = Path(__file__).parents[2]
CAPTURE = ROOT / "tests" / "data" / "town_hall.pcapng"
BATCH = 500
"""findings stored at once"""
MOST_WAITING = 20_000
"""so many may wait before the storing one waits too: we measure both, not the disk"""
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--findings", type=int, default=100_000)
    parser.add_argument("--find", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.find:
        find(wanted.find)
        return
    print("load before:", *(f"{load:.1f}" for load in os.getloadavg()))
    with (
        tempfile.TemporaryDirectory() as folder,
        running(prepare(), java=("-Xms1g", "-Xmx1g")) as server,
    ):
        measure(Path(folder), server, wanted.findings)


def find(output: Path) -> None:
    """Write the findings of the capture to *output*, one a line; by a process of its own."""
    from cyberterr.pipeline.scan import scan
    from cyberterr.pipeline.sources import Reading

    findings = scan([CAPTURE], Settings(), None, Reading()).findings
    output.write_bytes(b"\n".join(map(msgspec.json.encode, findings)))


def measure(folder: Path, server: Server, count: int) -> None:
    """Store and send *count* findings to *server*, and print what that took."""
    subprocess.run([sys.executable, __file__, "--find", str(folder / "found")], check=True)
    lines = (folder / "found").read_bytes().splitlines()
    patterns = [msgspec.json.decode(line, type=Finding) for line in lines]
    size = sum(len(msgspec.json.encode(of_finding(one).body)) for one in patterns) / len(patterns)
    settings = Elastic(url=server.url, namespace="throughput")
    cluster = connect(settings)
    install(cluster, Settings(elastic=settings))
    path = folder / "cyberterr.db"
    opens = partial(SqliteStore, path, forward=outbox.forward(settings))
    before = resource.getrusage(resource.RUSAGE_SELF)
    server_before, began = server_seconds(server), time.monotonic()
    with opens() as store, sending(opens, settings, print) as ask:
        for first in range(0, count, BATCH):
            store.put(
                msgspec.structs.replace(patterns[n % len(patterns)], id=f"{n:024x}")
                for n in range(first, min(first + BATCH, count))
            )
            ask()
            while waiting(path, settings) > MOST_WAITING:
                time.sleep(0.05)
        while waiting(path, settings):
            ask()
            time.sleep(0.05)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    where = stream("cyberterr.finding", settings.namespace)
    cluster.ask(Request("POST", f"/{where}/_refresh"))
    there = cluster.ask(Request("GET", f"/{where}/_count"))["count"]
    cluster.close()
    ours = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{count} findings of {size:.0f} bytes on average, {there} at the server")
    print(f"{seconds:.1f} s: {count / seconds * 60:.0f} findings a minute")
    print(f"our peak: {after.ru_maxrss / 1024:.0f} MB resident")
    print(
        f"CPU: {ours:.1f} s of ours, {server_seconds(server) - server_before:.1f} s of the server"
    )
    print("load after:", *(f"{load:.1f}" for load in os.getloadavg()))


def waiting(path: Path, settings: Elastic) -> int:
    """How many documents wait."""
    with opened(path) as db:
        return outbox.state(db, settings.url).waiting


def server_seconds(server: Server) -> float:
    """CPU seconds that the server has used."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    main()
