"""How fast flows are read from a cluster, and in how much memory.

    .venv/bin/python benchmarks/elastic/flows.py [--documents 500000] [--sensors 20] [--judge]

Connections of a small office as the Zeek integration stores them, in an index that is deleted
afterwards. The server is that of CYBERTERR_TEST_ES, else one that is started for it. Each way of
reading runs in a process of its own, so that its peak of memory is its own:

    pages     the search alone: pages of 5,000 documents, thrown away
    sliced    the same by two threads, each with half of one point in time
    tables    `read_tables`: the documents as flow tables
    scan      with all detectors
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import resource
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from cyberterr.capture.elastic import PAGE
from cyberterr.capture.elastic_search import parsed, search
from cyberterr.config import Elastic, Settings
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from cyberterr.pipeline.scan import scan
from cyberterr.pipeline.sources import Reading, read_tables

WAYS = ("pages", "sliced", "tables", "scan")
START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
KEYWORD = {"type": "keyword"}
MAPPINGS = {
    "dynamic": False,
    "properties": {
        "@timestamp": {"type": "date"},
        "event": {"properties": {"dataset": KEYWORD}},
        "data_stream": {"properties": {"dataset": KEYWORD}},
        "agent": {"properties": {"name": KEYWORD}},
        "source": {"properties": {"ip": {"type": "ip"}}},
        "destination": {"properties": {"ip": {"type": "ip"}}},
    },
}


def documents(count: int, sensors: int) -> Iterator[bytes]:
    """*count* connections in a day: web, names, files; a few refused."""
    chosen = random.Random(4)
    for number in range(count):
        moment = START + dt.timedelta(seconds=86_400 * number / count)
        port = chosen.choice((443, 443, 443, 53, 53, 80, 445, 22))
        packets = chosen.randrange(1, 60)
        state = chosen.choice(("SF", "SF", "SF", "S0", "REJ"))
        document = {
            "@timestamp": moment.isoformat(timespec="milliseconds"),
            "agent": {"name": f"probe-{chosen.randrange(sensors)}", "type": "filebeat"},
            "data_stream": {"type": "logs", "dataset": "zeek.connection", "namespace": "b"},
            "event": {"dataset": "zeek.connection", "duration": chosen.randrange(10**10)},
            "network": {
                "transport": "udp" if port == 53 else "tcp",
                "protocol": {53: "dns", 443: "ssl", 80: "http"}.get(port),
                "community_id": "1:hWC6cnCoeyQehzquxJQU6Y3Wm3g=",
                "bytes": packets * 800,
            },
            "source": {
                "ip": f"10.20.{chosen.randrange(8)}.{chosen.randrange(1, 255)}",
                "port": chosen.randrange(32_768, 60_999),
                "bytes": packets * 200,
                "packets": packets,
            },
            "destination": {
                "ip": f"198.51.100.{chosen.randrange(1, 255)}",
                "port": port,
                "bytes": packets * 600,
                "packets": packets,
            },
            "zeek": {
                "session_id": f"C{number:012d}",
                "connection": {"history": "ShADadFf", "state": state, "local_orig": True},
            },
        }
        yield json.dumps(document).encode()


def fill(url: str, index: str, count: int, sensors: int) -> None:
    """Put *count* documents into *index*."""
    cluster = connect(Elastic(url=url))
    settings = {"number_of_replicas": 0, "number_of_shards": 2, "refresh_interval": "-1"}
    cluster.ask(Request("PUT", f"/{index}", {"mappings": MAPPINGS, "settings": settings}))
    part: list[tuple[str, str, bytes]] = []
    for number, document in enumerate(documents(count, sensors)):
        part.append((index, f"{number}", document))
        if len(part) == 5_000 or number == count - 1:
            assert all(done.kind == "delivered" for done in cluster.create(part, timeout_s=120))
            part = []
    cluster.ask(Request("POST", f"/{index}/_refresh"), timeout_s=120)
    cluster.close()


def by_slices(url: str, index: str, slices: int) -> int:
    """Documents that *slices* threads read on one point in time."""
    cluster = connect(Elastic(url=url))
    pit = cluster.ask(Request("POST", f"/{index}/_pit", None, {"keep_alive": "2m"}))["id"]

    def half(number: int) -> int:
        body = search(parsed(f"elastic:{index}", START))
        body |= {"size": PAGE, "pit": {"id": pit}, "slice": {"id": number, "max": slices}}
        body["track_total_hits"] = False
        count = 0
        while hits := cluster.ask(Request("POST", "/_search", body))["hits"]["hits"]:
            count += len(hits)
            body["search_after"] = hits[-1]["sort"]
        return count

    with ThreadPoolExecutor(slices) as threads:
        count = sum(threads.map(half, range(slices)))
    cluster.ask(Request("DELETE", "/_pit", {"id": pit}))
    cluster.close()
    return count


def run(way: str, url: str, index: str) -> int:
    """Read *index* in one way; documents or flows."""
    settings = Settings(elastic=Elastic(url=url))
    source = f"elastic:{index}"
    if way == "sliced":
        return by_slices(url, index, 2)
    if way == "pages":
        cluster = connect(settings.elastic)
        pages = cluster.pages(index, search(parsed(source, START)), size=PAGE)
        return sum(len(page) for page in pages)
    reading = Reading()
    if way == "tables":
        return sum(tables.flows.height for tables in read_tables([source], settings, reading))
    scan([source], settings, None, reading)
    return reading.flows


def measure(way: str, url: str, index: str) -> None:
    """Print documents a second and the peak of memory of this process."""
    began, cpu = time.monotonic(), time.process_time()
    count = run(way, url, index)
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{way:8} {count:9,} documents  {count / took:9,.0f} a second  "
        f"{cpu / count * 1e6:6.1f} µs CPU each  {peak:6.0f} MiB at most  "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main() -> None:
    """Fill, then measure each way."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--documents", type=int, default=500_000)
    options.add_argument("--sensors", type=int, default=20)
    options.add_argument("--ways", default=",".join(WAYS))
    options.add_argument("--one", nargs=3, metavar=("WAY", "URL", "INDEX"))
    chosen = options.parse_args()
    if chosen.one:
        measure(*chosen.one)
        return
    with contextlib.ExitStack() as ends:
        if not (url := os.environ.get("CYBERTERR_TEST_ES", "")):
            from tests.elastic.distribution import prepare
            from tests.elastic.server import running

            url = ends.enter_context(running(prepare())).url
        index = f"flows-benchmark-t{secrets.token_hex(4)}"
        began = time.monotonic()
        try:
            fill(url, index, chosen.documents, chosen.sensors)
            print(
                f"stored in {time.monotonic() - began:.0f} s, {chosen.sensors} sensors", flush=True
            )
            for way in chosen.ways.split(","):
                command = [sys.executable, __file__, "--one", way, url, index]
                subprocess.run(command, check=True)
        finally:
            cluster = connect(Elastic(url=url))
            cluster.ask(Request("DELETE", f"/{index}"))
            cluster.close()


if __name__ == "__main__":
    main()
