"""What a scan keeps reaches the cluster too; a cluster that is away never fails the scan."""

import datetime as dt
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec
import pytest

from cyberterr.config import Elastic, Settings
from cyberterr.contracts.documents import DATASETS, stream
from cyberterr.contracts.run import Run
from cyberterr.contracts.store import Query
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.templates import install
from cyberterr.errors import MissingPartError
from cyberterr.pipeline import findings, forward
from cyberterr.pipeline import watch as watching
from cyberterr.pipeline.forward import Counted, flush, sending
from cyberterr.pipeline.scan import scan
from cyberterr.pipeline.sources import Reading
from cyberterr.pipeline.watch import watch
from cyberterr.store import outbox
from cyberterr.store.connection import opened
from cyberterr.store.sqlite import SqliteStore

BRUTE_FORCE = Path(__file__).parents[1] / "data" / "golden" / "bruteforce.pcap"
NOBODY_THERE = "http://127.0.0.1:9"
MORNING = dt.datetime(2026, 3, 14, 8, tzinfo=dt.UTC)


@pytest.fixture
def elastic(elasticsearch):
    """The genuine server with our templates, and a namespace of this test."""
    settings = Elastic(url=elasticsearch.url, namespace=f"t{secrets.token_hex(4)}")
    with closing(connect(settings)) as cluster:
        install(cluster, Settings(elastic=settings))
    return settings


@pytest.fixture
def store_for(tmp_path):
    """Opens the local store that forwards to a cluster."""
    return lambda settings: SqliteStore(tmp_path / "cyberterr.db", forward=outbox.forward(settings))


def there(settings):
    """Every document of the test on the server, by dataset."""
    with closing(connect(settings)) as cluster:
        cluster.ask(Request("POST", f"/logs-*-{settings.namespace}/_refresh"))
        return {
            name: [
                hit["_source"]
                for page in cluster.pages(stream(name, settings.namespace), {})
                for hit in page
            ]
            for name in DATASETS
        }


def until(condition):
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_what_a_scan_finds_and_what_it_read_is_at_the_cluster_when_it_ends(elastic, store_for):
    settings = Settings(elastic=elastic)
    with store_for(elastic) as store:
        result = scan([BRUTE_FORCE], settings, store, Reading())
        assert result.exit_code() == 0
        assert result.run.warnings == ()
        one = result.findings[0]
        findings.decide(
            store, one.id, "benign", reason="a test", author="x", now=dt.datetime.now(dt.UTC)
        )
        flush(store, elastic, pytest.fail)
    found = there(elastic)
    assert {each["event"]["id"] for each in found["cyberterr.finding"]} == {
        each.id for each in result.findings
    }
    [decided] = found["cyberterr.decision"]
    assert decided["cyberterr"]["decision"]["finding_id"] == one.id
    [ran] = found["cyberterr.health"]
    assert ran["cyberterr"]["run"]["packets"] == result.run.packets
    assert ran["cyberterr"]["run"]["findings"] == len(result.findings)
    assert str(BRUTE_FORCE) not in json.dumps(ran)


def test_a_cluster_that_is_away_is_a_warning_and_what_waits_goes_with_the_next_scan(
    elastic, store_for
):
    away = msgspec.structs.replace(elastic, url=NOBODY_THERE)
    with store_for(away) as store:
        result = scan([BRUTE_FORCE], Settings(elastic=away), store, Reading())
        assert result.exit_code() == 0
        count = len(result.findings) + 1
        [warning] = result.run.warnings
        assert warning.startswith(f"{count} documents wait for {NOBODY_THERE}: the cluster cannot")
        assert store.find(Query())
    with opened(store.path) as db:
        assert outbox.redirect(db, NOBODY_THERE, elastic.url) == count
    with store_for(elastic) as store:
        scan([BRUTE_FORCE], Settings(elastic=elastic), store, Reading())
    found = there(elastic)
    assert len(found["cyberterr.finding"]) == len(result.findings)
    assert len(found["cyberterr.health"]) == 2


def test_settings_that_cannot_be_used_are_a_warning(store_for, tmp_path):
    lost = Elastic(url="https://127.0.0.1:9", api_key_file=str(tmp_path / "no key"))
    with store_for(lost) as store:
        result = scan([BRUTE_FORCE], Settings(elastic=lost), store, Reading())
    assert result.exit_code() == 0
    [warning] = result.run.warnings
    assert "the secret cannot be read" in warning


def test_the_command_line_says_what_waits_and_ends_well(tmp_path):
    (tmp_path / "settings.toml").write_text(f'[elastic]\nurl = "{NOBODY_THERE}"\n')
    done = subprocess.run(
        [sys.executable, "-m", "cyberterr", "scan", str(BRUTE_FORCE), "--format", "json"],
        env={**os.environ, "CYBERTERR_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert f"documents wait for {NOBODY_THERE}: the cluster cannot be reached" in done.stderr
    assert done.stderr.count("documents wait") == 1


def test_beside_a_live_scan_it_is_sent_as_it_comes(elastic, store_for, finding):
    with sending(partial(store_for, elastic), elastic, pytest.fail) as ask:
        for number in range(3):
            with store_for(elastic) as store:
                store.put([finding(actor=f"10.0.0.{number}")])
            ask()
            with opened(store.path) as db:
                assert until(lambda: outbox.state(db, elastic.url).waiting == 0)
    assert len(there(elastic)["cyberterr.finding"]) == 3


def test_beside_a_live_scan_an_outage_is_said_once_and_its_end_too(
    elastic, store_for, finding, monkeypatch
):
    monkeypatch.setattr(forward, "SEND_AGAIN_S", 0.05)
    away = msgspec.structs.replace(elastic, url=NOBODY_THERE)
    said = []
    with sending(partial(store_for, away), away, said.append) as ask:
        for number in range(20):
            with store_for(away) as store:
                store.put([finding(actor=f"10.0.0.{number}")])
            ask()
        assert until(lambda: said)
        time.sleep(0.3)
        assert len(said) == 1
        assert said[0].startswith(f"documents wait for {NOBODY_THERE}")
        with opened(store.path) as db:
            outbox.redirect(db, NOBODY_THERE, elastic.url)  # the outage is over
        assert until(lambda: len(said) == 2)
    assert said[1] == f"{NOBODY_THERE}: well again"


def test_asking_never_waits_for_the_cluster_and_nothing_is_left_running(store_for, finding):
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = Elastic(url=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        with store_for(settings) as store:
            store.put([finding()])
        with sending(partial(store_for, settings), settings, lambda _: None) as ask:
            connection, _ = deaf.accept()
            began = time.monotonic()
            for _ in range(1000):
                ask()
            assert time.monotonic() - began < 1
            connection.close()
    assert threading.active_count() == before


def test_without_a_cluster_there_is_no_thread(tmp_path):
    before = threading.active_count()
    with sending(partial(SqliteStore, tmp_path / "x.db"), Elastic(), pytest.fail) as ask:
        ask()
        assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_the_parts_of_a_long_scan_add_up(store_for):
    settings = Elastic(url=NOBODY_THERE)
    with store_for(settings) as store:
        counted = Counted(store, "town-hall")
        for hour, (packets, found) in enumerate([(1000, 2), (1500, 2), (4000, 7)], 1):
            run = Run(
                sources=("eth0",),
                started=MORNING,
                seconds=3600.0 * hour,
                packets=packets,
                warnings=("one", "two", "three")[:hour],
            )
            counted.add(run, found, pytest.fail)
    with opened(store.path) as db:
        parts = [
            msgspec.json.decode(one.body)
            for one in outbox.take(db, NOBODY_THERE, dt.datetime.now(dt.UTC))
        ]
    runs = [part["cyberterr"]["run"] for part in parts]
    assert [run["packets"] for run in runs] == [1000, 500, 2500]
    assert [run["findings"] for run in runs] == [2, 0, 5]
    assert [run["warnings"] for run in runs] == [1, 1, 1]
    assert [run["seconds"] for run in runs] == [3600, 3600, 3600]
    assert parts[1]["event"]["start"] == parts[0]["event"]["end"] == "2026-03-14T09:00:00.000000Z"


def test_a_live_scan_counts_every_hour_what_it_read_in_that_hour(elastic, store_for, monkeypatch):
    monkeypatch.setattr(watching, "COUNT_EVERY_S", 1.0)
    reading = Reading()
    try:
        result = watch(
            "lo", Settings(elastic=elastic), partial(store_for, elastic), reading,
            pytest.fail, bpf="udp port 9", duration_s=4,
        )  # fmt: skip
    except MissingPartError as error:
        pytest.skip(error.message)
    assert result.run.warnings == ()
    runs = [each["cyberterr"]["run"] for each in there(elastic)["cyberterr.health"]]
    assert len(runs) >= 3
    assert sum(run["seconds"] for run in runs) == pytest.approx(result.run.seconds)
