"""Much out and little back is an alarm; a known cloud, a habit and a ping test are not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from cyberterr import content
from cyberterr.contracts import Finding, Severity, Site, Tables
from cyberterr.contracts.flow import conform
from cyberterr.pipeline.judging import Judging

EXFILTRATION = next(d for d in content.detectors() if d.card.id == "exfiltration")
START = dt.datetime(2026, 3, 14, 9, 0, tzinfo=dt.UTC)
UPLOAD: dict[str, Any] = {
    "flow_id": 1,
    "start": START,
    "end": START + dt.timedelta(minutes=9),
    "src_ip": "10.0.0.7",
    "dst_ip": "203.0.113.5",
    "src_port": 40000,
    "dst_port": 4444,
    "protocol": 6,
    "sensor": "sensor",
    "src_packets": 9_000,
    "dst_packets": 900,
    "src_bytes": 40_000_000,
    "dst_bytes": 60_000,
    "state": "SF",
}


def judged(*rows: dict[str, Any], server_name: str = "") -> list[Finding]:
    flows = conform("flows", pl.DataFrame([UPLOAD | row for row in rows]))
    tls = [UPLOAD | row | {"time": START, "server_name": server_name} for row in rows]
    tables = Tables(flows=flows)
    if server_name:
        tables = Tables(flows=flows, tls=conform("tls", pl.DataFrame(tls)))
    judging = Judging([EXFILTRATION], Site(), {})
    judging.add(tables)
    findings = judging.close()
    assert not judging.failed
    return findings


def test_forty_megabytes_out_on_an_odd_port_are_an_alarm() -> None:
    (finding,) = judged({})
    assert finding.severity == Severity.MEDIUM
    assert finding.actor == "10.0.0.7"


def test_the_same_amount_to_a_web_server_is_a_mail_with_pictures() -> None:
    assert judged({"dst_port": 443}) == []


def test_a_backup_to_a_known_cloud_is_no_alarm() -> None:
    big = {"dst_port": 443, "src_bytes": 900_000_000}
    (finding,) = judged(big, server_name="content.dropboxapi.com")
    assert finding.severity == Severity.LOW


def test_a_download_is_nothing() -> None:
    assert judged({"src_bytes": 60_000, "dst_bytes": 40_000_000}) == []


PING = {
    "protocol": 1,
    "src_port": 0,
    "dst_port": 0,
    "dst_ip": "10.0.0.8",
    "src_packets": 400,
    "dst_packets": 400,
}


def test_pings_of_changing_size_are_an_alarm() -> None:
    sizes = {"src_bytes": 80_000, "dst_bytes": 80_000, "src_len_min": 60.0, "src_len_max": 1056.0}
    (finding,) = judged(PING | sizes)
    assert (finding.rule, finding.severity) == ("exfiltration.icmp", Severity.MEDIUM)


def test_ordinary_pings_are_nothing() -> None:
    sizes = {"src_bytes": 33_600, "dst_bytes": 33_600, "src_len_min": 84.0, "src_len_max": 84.0}
    assert judged(PING | sizes) == []
