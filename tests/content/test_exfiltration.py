"""Much out and little back is an alarm; a known cloud and a habit are not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from cyberterr.contracts import Finding, Severity, Tables
from cyberterr.contracts.flow import conform
from tests.content.scenes import findings, learned

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


def sent(*rows: dict[str, Any], server_name: str = "") -> Tables:
    flows = conform("flows", pl.DataFrame([UPLOAD | row for row in rows]))
    tls = [UPLOAD | row | {"time": START, "server_name": server_name} for row in rows]
    if not server_name:
        return Tables(flows=flows)
    return Tables(flows=flows, tls=conform("tls", pl.DataFrame(tls)))


def judged(*rows: dict[str, Any], server_name: str = "") -> list[Finding]:
    return findings("exfiltration", sent(*rows, server_name=server_name))


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


def test_what_a_machine_sent_there_when_all_was_clean_is_its_habit() -> None:
    normal = learned("exfiltration", sent({}, server_name="backup.example"))
    (same,) = findings("exfiltration", sent({}), normal=normal)
    assert same.severity == Severity.LOW
    moved = sent({"dst_ip": "203.0.113.6"}, server_name="backup.example")
    (renamed,) = findings("exfiltration", moved, normal=normal)
    assert renamed.severity == Severity.LOW
    (more,) = findings("exfiltration", sent({"src_bytes": 400_000_000}), normal=normal)
    assert more.severity >= Severity.MEDIUM
