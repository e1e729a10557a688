from __future__ import annotations

import datetime as dt
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from cyberterr.config import Elastic, Retention, Settings
from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Query
from cyberterr.elastic.connection import connect
from cyberterr.elastic.templates import install
from cyberterr.pipeline.retention import enforce
from cyberterr.store.elastic import ElasticStore
from cyberterr.store.sqlite import SqliteStore

DAY = dt.timedelta(days=1)
Make = Callable[..., Finding]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    return tmp_path


def test_findings_go_after_their_days_and_not_before(home: Path, finding: Make):
    now = dt.datetime.now(dt.UTC)
    with SqliteStore(home / "cyberterr.db") as store:
        store.put([finding()])
        assert enforce(store, Retention(), now + 364 * DAY).store.findings == 0
        assert enforce(store, Retention(), now + 366 * DAY).store.findings == 1
        assert store.find(Query()) == []


def test_a_cluster_that_others_share_is_left_to_its_own_lifecycle(
    home: Path, finding: Make, elasticsearch
):
    settings = Elastic(url=elasticsearch.url, namespace=f"t{secrets.token_hex(4)}")
    cluster = connect(settings)
    install(cluster, Settings(elastic=settings))
    with ElasticStore(cluster, home / "cyberterr.db", settings) as store:
        store.put([finding()])
        later = dt.datetime.now(dt.UTC) + 366 * DAY
        assert enforce(store, Retention(), later).store.findings == 0
        assert store.get(finding().id) is not None


def test_an_old_capture_scanned_today_is_not_erased_today(home: Path, finding: Make):
    long_ago = dt.datetime(2017, 7, 3, tzinfo=dt.UTC)
    with SqliteStore(home / "cyberterr.db") as store:
        store.put([finding(start=long_ago, end=long_ago)])
        assert enforce(store, Retention(), dt.datetime.now(dt.UTC)).store.findings == 0


def test_zero_days_keep_no_flow_file_and_touch_nothing_else(home: Path):
    now = dt.datetime.now(dt.UTC)
    flows = home / "flows" / "2026"
    flows.mkdir(parents=True)
    (flows / "monday.parquet").write_bytes(b"x")
    (home / "settings.toml").write_text("")
    (flows / "link").symlink_to(home / "settings.toml")
    with SqliteStore(home / "cyberterr.db") as store:
        assert enforce(store, Retention(flows_days=0), now + DAY).flow_files == 1
    assert [p.name for p in flows.iterdir()] == ["link"]
    assert (home / "settings.toml").exists()


def test_flow_files_are_kept_for_their_days(home: Path):
    now = dt.datetime.now(dt.UTC)
    flows = home / "flows"
    flows.mkdir()
    for name, age in (("old.parquet", 8), ("new.parquet", 6)):
        (flows / name).write_bytes(b"x")
        os.utime(flows / name, (0, (now - age * DAY).timestamp()))
    with SqliteStore(home / "cyberterr.db") as store:
        assert enforce(store, Retention(flows_days=7), now).flow_files == 1
    assert [p.name for p in flows.iterdir()] == ["new.parquet"]
