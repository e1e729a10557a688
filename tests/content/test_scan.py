"""One door tried on many silent machines is a scan; lost servers and partners are not."""

from __future__ import annotations

import datetime as dt

import pytest

from cyberterr.contracts import Site, Tables
from cyberterr.contracts.site import Scanner
from tests.content.scenes import NOON, SILENT, UDP, alarms, findings, flow, recorded, tables


def a_sweep(hosts: int, port: int = 22, src: str = "10.0.0.66") -> Tables:
    return tables(
        flows=[flow(src, f"10.0.1.{i}", port, after=i / 10, **SILENT) for i in range(hosts)]
    )


def test_an_own_machine_that_tries_many_others_is_an_alarm() -> None:
    (finding,) = findings("scan", a_sweep(60))
    assert finding.severity == 73
    assert (finding.rule, finding.actor) == ("scan.horizontal", "10.0.0.66")


def test_an_authorised_scanner_is_only_noted() -> None:
    until = NOON.date()
    site = Site(scanners=(Scanner(address="10.0.0.66", until=until, reason="yearly audit"),))
    (finding,) = findings("scan", a_sweep(60), site)
    assert finding.severity == 21
    assert "holds" in {e.state for e in finding.explanations}


def test_an_authorisation_that_ended_protects_nobody() -> None:
    until = NOON.date() - dt.timedelta(days=1)
    site = Site(scanners=(Scanner(address="10.0.0.66", until=until, reason="last year"),))
    (finding,) = findings("scan", a_sweep(60), site)
    assert finding.severity == 73


def test_a_monitor_that_checks_the_same_list_again_is_only_noted() -> None:
    listed = [f"10.0.2.{i}" for i in range(14)]
    first = [flow("10.0.0.9", host, 22, after=i, **SILENT) for i, host in enumerate(listed)]
    again = [
        flow("10.0.0.9", host, 22, after=3600 + i, **SILENT)
        for i, host in enumerate([*listed, "10.0.2.98", "10.0.2.99"])
    ]
    (finding,) = findings("scan", tables(flows=first + again))
    assert finding.severity == 21
    assert "holds" in {e.state for e in finding.explanations}


def test_a_browser_without_internet_is_no_scan() -> None:
    lost = [flow("10.0.0.5", f"198.51.100.{i}", 443, after=i, **SILENT) for i in range(30)]
    assert findings("scan", tables(flows=lost)) == []


def test_a_crawler_whose_servers_answer_is_no_scan() -> None:
    calm = [flow("10.0.0.5", f"198.51.{i // 200}.{i % 200}", 443, after=i) for i in range(600)]
    lost = [flow("10.0.0.5", f"203.0.113.{i}", 443, after=i, **SILENT) for i in range(60)]
    assert findings("scan", tables(flows=calm + lost)) == []


def test_a_peer_to_peer_program_is_no_scan() -> None:
    peers = [
        flow("10.0.0.5", f"198.51.{i}.9", 6881, after=i, protocol=UDP, **(SILENT if i % 2 else {}))
        for i in range(200)
    ]
    assert findings("scan", tables(flows=peers)) == []


def test_a_slow_scan_is_seen_by_the_day() -> None:
    # Five machines an hour for sixteen hours.
    slow = [
        flow("10.0.0.66", f"10.0.{i // 200}.{i % 200}", 3389, after=i * 700, **SILENT)
        for i in range(80)
    ]
    (finding,) = findings("scan", tables(flows=slow))
    assert finding.severity == 47
    assert "in a day" in finding.reason.en


@pytest.mark.parametrize(
    ("file", "actor"),
    [
        ("nmap-scan/conn.log.gz", "172.16.1.11"),
        ("slips-iot-bot/test7-malicious.pcap.gz", "192.168.2.16"),
    ],
)
def test_recorded_scans_name_who(file: str, actor: str) -> None:
    assert {f.actor for f in alarms(recorded("scan", file))} == {actor}


@pytest.mark.parametrize("day", ["ctu-normal-008", "ctu-normal-010", "ctu-normal-011"])
def test_a_normal_day_on_the_internet_raises_no_alarm(day: str) -> None:
    found = recorded("scan", f"{day}/conn.log.labeled.gz")
    assert alarms(found) == []
    assert len(found) <= 5, "the noise of a day is a few lines"
