"""A long odd session is command and control; an everyday one is not."""

from __future__ import annotations

import datetime as dt

import polars as pl

from cyberterr import content
from cyberterr.contracts import Finding, Severity, Site, Tables
from cyberterr.contracts.flow import conform
from cyberterr.pipeline.judging import Judging

C2 = next(d for d in content.detectors() if d.card.id == "c2")
START = dt.datetime(2026, 3, 14, 9, 0, tzinfo=dt.UTC)


def sessions(lengths: list[float], *, port: int = 1337, sent: int = 30_000) -> list[Finding]:
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
    judging = Judging([C2], Site(), {})
    judging.add(Tables(flows=conform("flows", pl.DataFrame(rows))))
    return judging.close()


def test_a_session_of_an_hour_on_an_odd_port_is_an_alarm() -> None:
    (finding,) = sessions([3600])
    assert finding.severity == Severity.MEDIUM
    assert finding.victim == "203.0.113.9"


def test_a_program_that_reconnects_and_reconnects_is_an_alarm() -> None:
    (finding,) = sessions([70] * 6)
    assert finding.severity >= Severity.MEDIUM


def test_the_same_sessions_on_the_web_port_are_not_judged() -> None:
    assert sessions([3600], port=443) == []


def test_a_short_visit_is_nothing() -> None:
    assert sessions([20, 15]) == []


def test_a_fast_download_is_nothing() -> None:
    assert sessions([2000], sent=2_000_000_000) == []
