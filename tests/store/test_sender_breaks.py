"""A genuine server that freezes, dies, is full or overloaded: nothing is lost, nothing doubled."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cyberterr.config import Elastic, Settings
from cyberterr.contracts.documents import of_finding, stream
from cyberterr.contracts.finding import Finding
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.templates import install
from cyberterr.store import outbox
from cyberterr.store.connection import opened, transaction
from cyberterr.store.sender import Delivery, deliver, now
from tests.elastic.distribution import Distribution
from tests.elastic.server import Server, running

Make = Callable[..., Finding]
LIMITS = {"http.max_content_length": "1mb", "cluster.info.update.interval": "10s"}
WATERMARKS = [
    f"cluster.routing.allocation.disk.watermark.{n}" for n in ("low", "high", "flood_stage")
]


@pytest.fixture(scope="module")
def server(elastic_distribution: Distribution) -> Iterator[Server]:
    """One server for the tests of this file to break; each leaves it whole."""
    with running(elastic_distribution, settings=LIMITS) as own:
        settings = Elastic(url=own.url)
        with closing(connect(settings)) as cluster:
            install(cluster, Settings(elastic=settings))
        yield own


@pytest.fixture
def settings(server: Server) -> Elastic:
    return Elastic(url=server.url, namespace=f"t{secrets.token_hex(4)}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cyberterr.db"


def queue(path: Path, settings: Elastic, make: Make, count: int, **changes: Any) -> None:
    plain = make(**changes)
    many = [of_finding(msgspec.structs.replace(plain, id=f"{n:024x}")) for n in range(count)]
    with opened(path) as db, transaction(db):
        outbox.queue(db, settings.url, many, now())


def state(path: Path, settings: Elastic) -> outbox.State:
    with opened(path) as db:
        return outbox.state(db, settings.url)


def send(path: Path, settings: Elastic, seconds: float = 60) -> Delivery:
    end = time.monotonic() + seconds
    with closing(connect(settings)) as cluster:
        return deliver(
            path, cluster, settings, seconds_left=lambda: end - time.monotonic(), at_once=True
        )


def ask(settings: Elastic, method: str, where: str, body: dict[str, Any] | None = None) -> Any:
    with closing(connect(settings)) as cluster:
        return cluster.ask(Request(method, where, body))


def ids(settings: Elastic) -> list[str]:
    """The id of every document there, as often as it is there."""
    where = stream("cyberterr.finding", settings.namespace)
    ask(settings, "POST", f"/{where}/_refresh")
    with closing(connect(settings)) as cluster:
        return [hit["_id"] for page in cluster.pages(where, {}) for hit in page]


def assert_each_once(settings: Elastic, count: int) -> None:
    found = ids(settings)
    assert len(found) == len(set(found)) == count


def test_a_frozen_server_costs_its_time_and_what_it_did_afterwards_is_not_done_twice(
    server, settings, path, finding
):
    queue(path, settings, finding, 5)
    assert send(path, settings).delivered == 5
    queue(path, settings, finding, 400, actor="10.0.0.9")
    server.freeze()
    try:
        done = send(path, settings, seconds=2)
        assert done.delivered == 0
        assert done.trouble.kind == "weather"
        assert "no answer within" in done.trouble.text
        assert state(path, settings).waiting == 400
    finally:
        server.thaw()
    time.sleep(1)
    assert send(path, settings).delivered == 400
    assert_each_once(settings, 405)


def test_a_server_killed_in_the_middle_gets_every_finding_once(server, settings, path, finding):
    queue(path, settings, finding, 6000)
    done = []
    sending = threading.Thread(target=lambda: done.append(send(path, settings)))
    sending.start()
    while state(path, settings).waiting > 4000:
        time.sleep(0.01)
    server.kill()
    sending.join()
    assert done[0].trouble.kind == "weather"
    assert 0 < state(path, settings).waiting <= 4000
    server.start()
    assert send(path, settings).trouble is None
    assert_each_once(settings, 6000)


def test_a_read_only_cluster_is_weather(server, settings, path, finding):
    block = "cluster.blocks.read_only"
    queue(path, settings, finding, 5)
    send(path, settings)
    queue(path, settings, finding, 5, actor="10.0.0.9")
    ask(settings, "PUT", "/_cluster/settings", {"persistent": {block: True}})
    try:
        done = send(path, settings)
        assert (done.delivered, done.trouble.kind) == (0, "weather")
        assert "cluster_block_exception" in done.trouble.text
    finally:
        ask(settings, "PUT", "/_cluster/settings", {"persistent": {block: None}})
    assert not state(path, settings).stopped
    assert send(path, settings).delivered == 5
    assert_each_once(settings, 10)


def test_what_is_too_large_at_once_goes_in_parts_and_what_is_too_large_alone_never(
    settings, path, finding
):
    queue(path, settings, finding, 1000)
    huge = of_finding(finding(actor="10.0.0.9"))
    huge = msgspec.structs.replace(huge, body={**huge.body, "message": "x" * 1_500_000})
    with opened(path) as db, transaction(db):
        outbox.queue(db, settings.url, [huge], now())
    assert send(path, settings) == Delivery(delivered=1000, dead=1)
    with opened(path) as db:
        [dead] = outbox.dead_letters(db, settings.url)
    assert "413" in dead.reason
    assert_each_once(settings, 1000)


def test_a_disk_over_its_watermark_is_weather_until_there_is_room(settings, path, finding):
    queue(path, settings, finding, 5)
    send(path, settings)
    disk = {"cluster.routing.allocation.disk.threshold_enabled": True}
    full = {**disk, **dict(zip(WATERMARKS, ("903tb", "902tb", "901tb"), strict=True))}
    free = {**disk, **dict.fromkeys(WATERMARKS, "1mb")}
    ask(settings, "PUT", "/_cluster/settings", {"persistent": full})
    try:
        number = 0
        while (done := send(path, settings)).trouble is None:
            number += 1
            queue(path, settings, finding, 1, actor=f"10.0.1.{number}")
            time.sleep(1)
        assert done.trouble.kind == "weather"
        assert "flood-stage watermark" in done.trouble.text
        assert state(path, settings).waiting == 1
        ask(settings, "PUT", "/_cluster/settings", {"persistent": free})
        while state(path, settings).waiting:
            time.sleep(1)
            send(path, settings)
    finally:
        nothing = dict.fromkeys([*disk, *WATERMARKS])
        ask(settings, "PUT", "/_cluster/settings", {"persistent": nothing})
    assert_each_once(settings, 5 + number)


def test_an_overloaded_server_gets_less_at_once_and_in_the_end_everything(
    server, settings, path, finding
):
    server.stop()
    with (server.folder / "config" / "elasticsearch.yml").open("a") as file:
        file.write("indexing_pressure.memory.limit: 100kb\n")
    server.start()
    queue(path, settings, finding, 200)
    done = send(path, settings)
    assert (done.delivered, done.trouble.kind) == (0, "weather")
    assert "es_rejected_execution_exception" in done.trouble.text
    for _ in range(100):
        if not state(path, settings).waiting:
            break
        send(path, settings)
    assert_each_once(settings, 200)
