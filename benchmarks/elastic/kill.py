"""Nothing is lost and nothing is doubled when the sender or the server is killed (kill -9).

    python benchmarks/elastic/kill.py [--findings 10000] [--kills 12] [--server-kills 3]

Starts a server of its own. Three runs, each with new findings that go through the store's outbox:
the sender is killed at random moments; the same with a rollover before what was not acknowledged
is sent again, which really stores it twice; the server is killed at random moments.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from cyberterr.config import Elastic, Settings
from cyberterr.contracts.documents import stream
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.templates import install
from cyberterr.store import outbox
from cyberterr.store.connection import opened
from cyberterr.store.sender import deliver, now
from cyberterr.store.sqlite import SqliteStore
from tests.conftest import a_finding
from tests.elastic.distribution import prepare
from tests.elastic.server import Server, running

LONGEST_S = 0.35
"""A sender is killed so long after it began, at most; it needs some seconds for all findings."""


def main() -> int:
    """Print what each run ended with; 1 where one is not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--findings", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--server-kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--send", nargs=3, metavar=("PATH", "URL", "NAMESPACE"))
    wanted = parser.parse_args()
    if wanted.send:
        path, url, namespace = wanted.send
        send(Path(path), Elastic(url=url, namespace=namespace))
        return 0
    print(f"seed {wanted.seed}", flush=True)
    chance = random.Random(wanted.seed)
    with tempfile.TemporaryDirectory() as folder, running(prepare()) as server:
        settings = Elastic(url=server.url)
        with_templates = connect(settings)
        install(with_templates, Settings(elastic=settings))
        good = True
        for name in ("sender", "rollover", "server"):
            own = msgspec.structs.replace(settings, namespace=f"kill{name}")
            path = Path(folder, f"{name}.db")
            fill(path, own, wanted.findings)
            if name == "server":
                kill_server(path, own, server, wanted.server_kills, chance)
            else:
                kill_sender(path, own, with_templates, wanted.kills, chance, name == "rollover")
            good &= ended(path, own, with_templates, wanted.findings, doubles=name == "rollover")
        with_templates.close()
    return int(not good)


def fill(path: Path, settings: Elastic, count: int) -> None:
    """Store *count* findings, so that they wait."""
    one = a_finding()
    with SqliteStore(path, forward=outbox.forward(settings)) as store:
        store.put(msgspec.structs.replace(one, id=f"{n:024x}") for n in range(count))


def send(path: Path, settings: Elastic) -> None:
    """Deliver until nothing waits, as a live scan does."""
    cluster = connect(settings)
    print("begun", flush=True)
    while True:
        deliver(path, cluster, settings)
        with opened(path) as db:
            state = outbox.state(db, cluster.url)
        if not state.waiting:
            return
        if state.next_try:
            time.sleep(max(0.05, (state.next_try - now()).total_seconds()))


def begun(path: Path, settings: Elastic) -> subprocess.Popen[bytes]:
    """A sender of its own process, once it begins to send."""
    arguments = ["--send", str(path), settings.url, settings.namespace]
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


def kill_sender(
    path: Path,
    settings: Elastic,
    cluster: Cluster,
    kills: int,
    chance: random.Random,
    rollover: bool,
) -> None:
    """Kill one sender after the other, then let the last one end."""
    where = stream("cyberterr.finding", settings.namespace)
    total = waiting(path, settings)
    done = between = doubled = 0
    for _ in range(kills):
        process = begun(path, settings)
        time.sleep(chance.uniform(0, LONGEST_S))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        done += 1
        time.sleep(0.5)  # the server does what it was sent
        unacknowledged = stored(cluster, where) - doubled - (total - waiting(path, settings))
        between += unacknowledged > 0
        if rollover and unacknowledged > 0:
            cluster.ask(Request("POST", f"/{where}/_rollover"))
            doubled += unacknowledged  # they are stored again, in the new index
    process = begun(path, settings)
    process.wait()
    print(f"sender killed {done} times, {between} of them between send and acknowledgement")


def kill_server(
    path: Path, settings: Elastic, server: Server, kills: int, chance: random.Random
) -> None:
    """Kill the server again and again while one sender goes on."""
    total = waiting(path, settings)
    process = begun(path, settings)
    done = 0
    for number in range(kills):
        while waiting(path, settings) > total * (1 - (number + 0.5) / (kills + 1)):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, LONGEST_S))
        done += process.poll() is None
        server.kill()
        server.start()
    process.wait()
    print(f"server killed {done} times while a sender was at work")


def waiting(path: Path, settings: Elastic) -> int:
    """How many documents wait."""
    with opened(path) as db:
        return outbox.state(db, settings.url).waiting


def stored(cluster: Cluster, where: str) -> int:
    """How many documents the server has."""
    cluster.ask(Request("POST", f"/{where}/_refresh"))
    return int(cluster.ask(Request("GET", f"/{where}/_count"))["count"])


def ended(path: Path, settings: Elastic, cluster: Cluster, count: int, *, doubles: bool) -> bool:
    """Whether exactly *count* ids are there, each once unless *doubles* are expected."""
    where = stream("cyberterr.finding", settings.namespace)
    cluster.ask(Request("POST", f"/{where}/_refresh"))
    hits = 0
    incidents: set[str] = set()
    known: set[str] = set()
    for page in cluster.pages(where, {"_source": ["event.id"]}):
        hits += len(page)
        known.update(hit["_id"] for hit in page)
        incidents.update(hit["_source"]["event"]["id"] for hit in page)
    ids = len(known)
    left = waiting(path, settings)
    print(
        f"  {hits} documents, {ids} different ids, {len(incidents)} incidents after collapsing, "
        f"{hits - ids} stored twice, {left} left in the outbox",
        flush=True,
    )
    right = ids == len(incidents) == count and not left
    return right and (doubles or hits == count)


if __name__ == "__main__":
    raise SystemExit(main())
