"""Many doors of one machine tried in a row are a scan."""

from __future__ import annotations

from tests.content.scenes import SILENT, UDP, alarms, findings, flow, recorded, tables


def test_one_scan_of_one_machine_is_one_finding_however_many_ports() -> None:
    ports = [flow("10.0.0.66", "10.0.0.7", 1 + i, after=i / 50, **SILENT) for i in range(2000)]
    (finding,) = findings("port_scan", tables(flows=ports))
    assert (finding.rule, finding.victim, finding.severity) == ("scan.vertical", "10.0.0.7", 73)


def test_its_picture_shows_each_port_at_its_time() -> None:
    ports = [flow("10.0.0.66", "10.0.0.7", 1 + i, after=i / 10, **SILENT) for i in range(50)]
    (finding,) = findings("port_scan", tables(flows=ports))
    assert finding.picture is not None
    assert finding.picture.x == tuple(float(1 + i) for i in range(50))
    assert finding.picture.y == tuple(finding.start.timestamp() + i / 10 for i in range(50))


def test_a_slow_scan_of_one_machine_is_seen_by_the_day() -> None:
    slow = [flow("10.0.0.66", "10.0.0.7", 1 + i, after=i * 700, **SILENT) for i in range(80)]
    (finding,) = findings("port_scan", tables(flows=slow))
    assert finding.severity == 47
    assert "in a day" in finding.reason.en


def test_a_few_closed_ports_are_nothing() -> None:
    few = [flow("10.0.0.5", "10.0.0.7", 8000 + i, after=i, **SILENT) for i in range(15)]
    assert findings("port_scan", tables(flows=few)) == []


def test_a_router_whose_dns_answers_come_late_is_no_scan() -> None:
    late = [
        flow(
            "10.0.0.1",
            "10.0.0.5",
            40_000 + i,
            after=i / 9,
            protocol=UDP,
            src_port=53,
            **{k: v for k, v in SILENT.items() if k != "src_port"},
        )
        for i in range(200)
    ]
    assert findings("port_scan", tables(flows=late)) == []


def test_the_recorded_port_scan_names_both_machines() -> None:
    found = alarms(recorded("port_scan", "ndpi-attack/synscan.pcap"))
    assert {(f.actor, f.victim) for f in found} == {("172.16.0.8", "64.13.134.52")}
