"""A long odd session is command and control; an everyday one is not."""

from __future__ import annotations

import datetime as dt

import polars as pl

from cyberterr.contracts import Finding, Severity, Tables
from cyberterr.contracts.flow import conform
from tests.content.scenes import findings, learned

START = dt.datetime(2026, 3, 14, 9, 0, tzinfo=dt.UTC)


def talked(lengths: list[float], *, port: int = 1337, sent: int = 30_000) -> Tables:
    rows = []
    now = START
    for number, seconds in enumerate(lengths):
        end = now + dt.timedelta(seconds=seconds)
        rows.append(
            {
                "flow_id": number,
                "start": now,
                "end": end,
                "src_ip": "10.8.0.61",
                "dst_ip": "203.0.113.9",
                "src_port": 41000 + number,
                "dst_port": port,
                "protocol": 6,
                "sensor": "sensor",
                "src_packets": 50,
                "dst_packets": 50,
                "src_bytes": sent,
                "dst_bytes": 5_000,
                "state": "SF",
            }
        )
        now = end + dt.timedelta(seconds=20)
    return Tables(flows=conform("flows", pl.DataFrame(rows)))


def sessions(lengths: list[float], *, port: int = 1337, sent: int = 30_000) -> list[Finding]:
    return findings("c2", talked(lengths, port=port, sent=sent))


def test_a_session_of_an_hour_on_an_odd_port_is_an_alarm() -> None:
    (finding,) = sessions([3600])
    assert finding.severity == Severity.MEDIUM
    assert finding.victim == "203.0.113.9"


def test_a_program_that_reconnects_and_reconnects_is_an_alarm() -> None:
    (finding,) = sessions([70] * 6)
    assert finding.severity >= Severity.MEDIUM


def test_a_session_that_the_clean_period_knows_is_no_alarm() -> None:
    normal = learned("c2", talked([3600]))
    (finding,) = findings("c2", talked([3600]), normal=normal)
    assert finding.severity == Severity.LOW
    (other,) = findings("c2", talked([3600], port=1338), normal=normal)
    assert other.severity == Severity.MEDIUM


def test_the_same_sessions_on_the_web_port_are_not_judged() -> None:
    assert sessions([3600], port=443) == []


def test_a_short_visit_is_nothing() -> None:
    assert sessions([20, 15]) == []


def test_a_fast_download_is_nothing() -> None:
    assert sessions([2000], sent=2_000_000_000) == []
