"""Telling and deleting go on beside the packets, and never hold them up."""

import datetime as dt
import os
import socket
import threading
import time
from functools import partial

import pytest

from cyberterr.config import Notify, Retention, Settings
from cyberterr.contracts.store import Query
from cyberterr.pipeline import upkeep as beside
from cyberterr.pipeline.upkeep import upkeep
from cyberterr.store.sqlite import SqliteStore


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    return partial(SqliteStore, tmp_path / "cyberterr.db")


def until(condition):
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_old_flow_files_go_at_the_start_and_daily_without_a_packet(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "DAY_S", 0.2)
    monkeypatch.setattr(beside, "TELL_AGAIN_S", 0.05)
    old = tmp_path / "flows" / "old.parquet"
    old.parent.mkdir()

    def write():
        old.write_bytes(b"x")
        os.utime(old, (0, 0))

    write()
    with upkeep(opened, Settings(retention=Retention(flows_days=7)), pytest.fail):
        assert until(lambda: not old.exists())
        write()
        assert until(lambda: not old.exists())


def test_a_server_that_never_answers_does_not_hold_up_the_scan(opened, finding):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        settings = Settings(notify=Notify(mail_to=("a@town.example",), smtp=f"127.0.0.1:{port}"))
        with opened() as store:
            store.put([finding()])
        with upkeep(opened, settings, lambda _: None) as ask:
            connection, _ = deaf.accept()  # it talks to the server by itself
            began = time.monotonic()
            for _ in range(1000):
                ask()
            with opened() as store:
                store.put([finding(actor="10.0.0.9")])
            assert time.monotonic() - began < 1
            connection.close()


def test_what_is_new_is_told_when_asked_and_what_failed_is_told_again(opened, finding, monkeypatch):
    monkeypatch.setattr(beside, "TELL_AGAIN_S", 0.1)
    warnings = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        syslog = f"127.0.0.1:{receiver.getsockname()[1]}"
        dead = "http://127.0.0.1:9/hook"
        settings = Settings(notify=Notify(syslog=syslog, webhook=dead))
        with upkeep(opened, settings, warnings.append) as ask:
            with opened() as store:
                store.put([finding()])
            ask()
            assert finding().id.encode() in receiver.recv(4096)
            assert until(lambda: len(warnings) > 2)
        with opened() as store:
            assert {n.state for n in store.notices("syslog").values()} == {"sent"}
            assert {n.state for n in store.notices("webhook").values()} == {"failed"}
    assert {warning.partition(":")[0] for warning in warnings} == {"webhook"}


def test_settings_that_no_channel_understands_are_a_warning_and_it_goes_on(opened, monkeypatch):
    monkeypatch.setattr(beside, "TELL_AGAIN_S", 0.05)
    warnings = []
    with upkeep(opened, Settings(notify=Notify(webhook="ftp://x")), warnings.append):
        assert until(lambda: len(warnings) > 1)
    assert "nobody could be notified" in warnings[0]


def test_nothing_is_left_running_after_it(opened):
    before = threading.active_count()
    with upkeep(opened, Settings(), pytest.fail):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    with opened() as store:
        assert store.find(Query(since=dt.datetime.now(dt.UTC))) == []
