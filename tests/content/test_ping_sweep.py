"""A ping to each of many machines is a sweep; monitors and refusals are not."""

from __future__ import annotations

from tests.content.scenes import ICMP, SILENT, UDP, alarms, findings, flow, recorded, tables


def test_a_ping_to_each_of_many_machines_is_a_sweep() -> None:
    pings = [
        flow("10.0.0.66", f"10.0.2.{i}", 0, after=i / 9, protocol=ICMP, **SILENT) for i in range(60)
    ]
    (finding,) = findings("ping_sweep", tables(flows=pings))
    assert (finding.rule, finding.actor, finding.severity) == ("scan.ping_sweep", "10.0.0.66", 47)


def test_a_monitor_that_pings_a_fixed_list_all_day_is_no_alarm() -> None:
    pings = [
        flow(
            "10.0.0.9",
            f"10.0.2.{i}",
            0,
            after=i,
            lasts=3000,
            protocol=ICMP,
            src_packets=60,
            dst_packets=60,
        )
        for i in range(150)
    ]
    assert findings("ping_sweep", tables(flows=pings)) == []


def test_telling_callers_that_a_port_is_closed_is_no_ping_sweep() -> None:
    calls = [
        flow(f"198.51.100.{i}", "10.0.0.5", 161, after=i, protocol=UDP, **SILENT) for i in range(40)
    ]
    refusals = [
        flow("10.0.0.5", f"198.51.100.{i}", 0, after=i, protocol=ICMP, **SILENT) for i in range(40)
    ]
    assert findings("ping_sweep", tables(flows=calls + refusals)) == []


def test_the_recorded_sweep_names_who() -> None:
    found = alarms(recorded("ping_sweep", "slips-icmp/test12-icmp-portscan.pcap"))
    assert {f.actor for f in found} == {"192.168.1.109"}
