"""An order from a stranger is found; masters at their work are context."""

from __future__ import annotations

import polars as pl
import pytest

from cyberterr.contracts import Finding, Severity, Tables
from tests.content.scenes import alarms, event, findings, learned, recorded, tables

DEVICE = "192.168.1.102"
MASTER = "192.168.1.100"
STRANGER = "192.168.1.101"


def asked(
    src: str, kind: str, count: int, *, dst: str = DEVICE, address: int = 3, after: float = 0
) -> Tables:
    """Requests two seconds apart, from *after* on."""
    name, code = ("Write Single Coil", 5) if kind == "write" else ("Read", 3)
    rows = [
        event(src, dst, 502, after=after + 2 * number, ot_protocol="modbus", function=code,
              function_name=name, kind=kind, request=True, unit=1, address=address)
        for number in range(count)
    ]  # fmt: skip
    return tables(ot=rows)


def judged(*parts: Tables, normal: pl.DataFrame | None = None) -> list[Finding]:
    return findings("ot_write", parts, normal=normal)


POLLING = asked(MASTER, "read", 200)


def test_a_late_order_from_another_than_the_master_is_an_alarm() -> None:
    (finding,) = judged(POLLING, asked(STRANGER, "write", 1, after=200))
    assert (finding.actor, finding.victim) == (STRANGER, DEVICE)
    assert finding.severity == Severity.MEDIUM


def test_an_order_from_a_machine_that_is_itself_a_device_is_worse() -> None:
    polled = asked(MASTER, "read", 200, dst=STRANGER)
    (finding,) = judged(POLLING, polled, asked(STRANGER, "write", 1, after=200))
    assert finding.severity == Severity.HIGH


def test_one_stranger_is_one_finding_however_many_machines_it_orders() -> None:
    devices = [f"192.168.1.{n}" for n in range(110, 120)]
    polled = [asked(MASTER, "read", 200, dst=device) for device in devices]
    orders = [asked(STRANGER, "write", 1, dst=device, after=200) for device in devices]
    (finding,) = judged(*polled, *orders)
    assert (finding.actor, finding.victim) == (STRANGER, None)
    assert set(devices) <= set(finding.related)


def test_two_masters_at_work_from_the_beginning_are_context() -> None:
    found = judged(POLLING, asked(STRANGER, "write", 30))
    assert {(f.rule, f.severity) for f in found} == {("ot_write.context", Severity.LOW)}


def test_a_second_master_that_comes_back_is_no_news() -> None:
    morning, noon = asked(STRANGER, "write", 3), asked(STRANGER, "write", 2, after=3 * 3600)
    polling = [asked(MASTER, "read", 200, after=hour * 3600) for hour in range(4)]
    assert alarms(judged(*polling, morning, noon)) == []


def test_a_first_order_after_hours_of_traffic_is_news_whoever_polls() -> None:
    polling = [asked(MASTER, "read", 9, after=hour * 3600) for hour in range(4)]
    (finding,) = alarms(judged(*polling, asked(STRANGER, "write", 1, after=3 * 3600)))
    assert finding.actor == STRANGER


def test_the_only_master_that_writes_is_context() -> None:
    (finding,) = judged(POLLING, asked(MASTER, "write", 30))
    assert (finding.rule, finding.severity) == ("ot_write.context", Severity.LOW)


def test_after_learning_the_known_writer_is_silent_and_a_new_address_is_not() -> None:
    normal = learned("ot_write", asked(MASTER, "write", 9))
    assert judged(POLLING, asked(MASTER, "write", 2), normal=normal) == []
    (finding,) = judged(POLLING, asked(MASTER, "write", 1, address=77), normal=normal)
    assert finding.severity == Severity.MEDIUM


def test_after_learning_a_stranger_is_an_alarm_from_the_first_minute_on() -> None:
    normal = learned("ot_write", asked(MASTER, "write", 9))
    (finding,) = judged(POLLING, asked(STRANGER, "write", 1), normal=normal)
    assert (finding.actor, finding.severity) == (STRANGER, Severity.MEDIUM)


@pytest.mark.parametrize(
    "file",
    [
        "dnp3.pcap",
        "pcaps__ModbusTCP__Modbus__modbus_test.pcap",
        "pcaps__dnp3__dnp3_test_data_part1.pcap",
    ],
)
def test_recorded_plants_with_two_masters_raise_no_alarm(file: str) -> None:
    assert alarms(recorded("ot_write", f"ot-benign/{file}")) == []


def test_the_recorded_rogue_order_is_found() -> None:
    file = "ot-lemay/send_a_fake_command_modbus_6RTU_with_operate.pcap.gz"
    (finding,) = alarms(recorded("ot_write", file))
    assert (finding.actor, finding.victim) == (STRANGER, DEVICE)
