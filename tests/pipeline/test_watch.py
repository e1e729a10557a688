"""What a live scan keeps in memory, tells and survives, however long it runs."""

import datetime as dt
import os
import signal
import tracemalloc

import msgspec
import pytest

from cyberterr.config import Settings
from cyberterr.contracts.finding import Severity
from cyberterr.contracts.store import Query
from cyberterr.errors import MissingPartError, StoreError
from cyberterr.pipeline import findings
from cyberterr.pipeline.scan import undisturbed
from cyberterr.pipeline.sources import Reading, read_live
from cyberterr.pipeline.watch import Telling
from cyberterr.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path):
    with SqliteStore(tmp_path / "cyberterr.db") as opened:
        yield opened


def incidents(finding, count, **changes):
    """*count* findings that differ in id alone: the cheapest way to have many."""
    whole = finding(**changes)
    return (msgspec.structs.replace(whole, id=f"{number:024x}") for number in range(count))


def test_memory_does_not_grow_with_the_findings_told(finding):
    told = 0

    def count(_):
        nonlocal told
        told += 1

    telling = Telling(None, Reading(), count, most=100)
    for batch in range(2):
        if batch == 1:
            tracemalloc.start()
        for one in incidents(finding, 20_000):
            telling.tell([msgspec.structs.replace(one, scope=f"batch {batch}")])
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told == 40_000
    assert len(telling.worst()) == 100
    assert grown < 200_000  # 20,000 findings would be 20 MB


def test_the_worst_are_kept_and_the_others_counted(finding):
    telling = Telling(None, Reading(), lambda _: None, most=3)
    severities = [Severity.LOW, Severity.HIGH, Severity.LOW, Severity.CRITICAL, Severity.MEDIUM]
    telling.tell(finding(actor=f"10.0.0.{n}", severity=s) for n, s in enumerate(severities))
    kept = [each.severity for each in telling.worst()]
    assert kept == [Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM]
    assert telling.left_out == 2
    telling.tell([finding(actor="10.0.0.0", severity=Severity.LOW, kind="event", revision=2)])
    assert telling.left_out == 2  # it was counted when it fell out


def test_a_suppressed_finding_is_counted_and_not_told(finding, store):
    now = dt.datetime.now(dt.UTC)
    store.put([finding()])
    findings.decide(
        store, finding().id, "false_positive", reason="backup", author="a",
        now=now, days=9, scope=("rule", "actor"),
    )  # fmt: skip
    told = []
    telling = Telling(store, Reading(), told.append)
    telling.tell([finding(victim="203.0.113.9"), finding(actor="10.20.4.15")])
    assert [one.actor for one in told] == ["10.20.4.15"]
    assert telling.hidden == 1
    assert len(store.find(Query())) == 3  # all of them are kept


def test_a_store_that_fails_for_months_is_one_error_and_every_finding_is_told(finding, tmp_path):
    (tmp_path / "folder.db").mkdir()
    reading, told = Reading(), []
    telling = Telling(SqliteStore(tmp_path / "folder.db"), reading, told.append)
    for number in range(50):
        telling.tell([finding(actor=f"10.0.0.{number}")])
    assert len(told) == 50
    assert [type(error) for error in reading.errors] == [StoreError]


def test_warnings_that_change_each_time_are_bounded_and_counted():
    reading = Reading()
    for number in range(1_000):
        reading.warn(f"attempt {number} failed")
    assert len(reading.warnings) == 200
    assert reading.unsaid == 800


def test_an_interrupt_waits_until_what_was_judged_is_kept():
    done = []
    with undisturbed() as held:
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("kept")
    assert done == ["kept"]
    assert held == [signal.SIGTERM]


def test_a_second_interrupt_does_not_wait():
    def judging_for_ever():
        with undisturbed():
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it went on")

    with pytest.raises(KeyboardInterrupt):
        judging_for_ever()


def test_time_passes_on_a_quiet_line_so_that_windows_close():
    reading = Reading()
    quiet = read_live("lo", Settings(), reading, bpf="udp port 9", duration_s=4)
    try:
        ticks = sum(1 for _ in quiet)
    except MissingPartError as error:
        pytest.skip(error.message)
    assert ticks >= 3
    assert reading.packets == 0
