"""A beacon keeps time; people, pages and monitoring do not alarm."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Sequence

import polars as pl
import pytest

from cyberterr.contracts import Finding, Severity, Tables
from cyberterr.contracts.flow import conform
from tests.content.scenes import findings as found
from tests.content.scenes import learned

START = dt.datetime(2026, 3, 14, 9, 0, tzinfo=dt.UTC)


def calls(
    seconds: Iterable[float],
    *,
    src: str = "10.20.4.14",
    dst: str = "203.0.113.66",
    port: int = 4444,
    state: str = "SF",
) -> Tables:
    rows = [
        {
            "flow_id": number,
            "start": START + dt.timedelta(seconds=second),
            "end": START + dt.timedelta(seconds=second + 0.2),
            "src_ip": src,
            "dst_ip": dst,
            "src_port": 50000 + number % 1000,
            "dst_port": port,
            "protocol": 6,
            "sensor": "sensor",
            "src_packets": 5,
            "dst_packets": 5,
            "src_bytes": 400,
            "dst_bytes": 300 if state == "SF" else 0,
            "state": state,
        }
        for number, second in enumerate(seconds)
    ]
    return Tables(flows=conform("flows", pl.DataFrame(rows)))


def judged(*parts: Tables, normal: pl.DataFrame | None = None) -> list[Finding]:
    return found("beacon", parts, normal=normal)


def every(gap: float, count: int, jitter: float = 0.0) -> list[float]:
    chance = random.Random(7)
    times, now = [], 0.0
    for _ in range(count):
        times.append(now)
        now += gap * (1 + chance.uniform(-jitter, jitter))
    return times


@pytest.mark.parametrize("jitter", [0.0, 0.2, 0.5])
def test_a_call_every_minute_to_an_odd_port_is_found_whatever_its_jitter(jitter: float) -> None:
    (finding,) = judged(calls(every(60, 40, jitter)))
    assert finding.severity >= Severity.MEDIUM
    assert (finding.actor, finding.victim) == ("10.20.4.14", "203.0.113.66")


def test_calls_that_nobody_answers_are_found_too() -> None:
    (finding,) = judged(calls(every(12, 50), state="S0"))
    assert finding.severity >= Severity.MEDIUM
    assert "Nobody answered" in finding.reason.en


def test_a_person_who_comes_back_at_chance_is_no_beacon() -> None:
    chance = random.Random(3)
    times, now = [], 0.0
    for _ in range(60):
        now += chance.expovariate(1 / 60)
        times.append(now)
    assert judged(calls(times)) == []


def test_seven_calls_are_too_few() -> None:
    assert judged(calls(every(60, 7))) == []


def test_monitoring_inside_the_own_network_is_no_alarm() -> None:
    (finding,) = judged(calls(every(5, 100), dst="10.20.4.1", port=10051))
    assert finding.severity == Severity.LOW
    assert "holds" in {e.state for e in finding.explanations}


def test_a_service_that_three_machines_call_is_no_alarm() -> None:
    machines: Sequence[str] = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    findings = judged(*(calls(every(30, 40), src=machine) for machine in machines))
    assert {f.severity for f in findings} == {Severity.LOW}


def test_a_slow_poll_of_a_web_site_is_no_alarm() -> None:
    findings = judged(calls(every(300, 40), port=443))
    assert {f.severity for f in findings} == {Severity.LOW}


def test_a_slow_call_to_a_web_site_that_is_new_here_is_an_alarm_once_a_clean_period_is_known() -> (
    None
):
    normal = learned("beacon", calls(every(300, 40), port=443))
    slow = calls(every(300, 40, 0.2), port=443, dst="198.51.100.7")
    (finding,) = judged(slow, normal=normal)
    assert finding.severity == Severity.MEDIUM


def test_a_call_that_the_clean_period_knows_is_no_alarm() -> None:
    normal = learned("beacon", calls(every(60, 40)))
    (finding,) = judged(calls(every(60, 40)), normal=normal)
    assert finding.severity == Severity.LOW
    assert "holds" in {e.state for e in finding.explanations}


def test_the_clock_is_never_a_beacon() -> None:
    assert judged(calls(every(64, 60), port=123)) == []


def test_the_findings_do_not_depend_on_how_the_calls_came() -> None:
    times = every(60, 80, 0.2)
    whole = judged(calls(times))
    flows = calls(times).flows
    parts = [Tables(flows=flows[i::3]) for i in (2, 0, 1)]
    assert judged(*parts) == whole
