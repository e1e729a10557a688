"""A ping to each of many machines is a sweep; monitors and refusals are not."""

from __future__ import annotations

from tests.content.scenes import ICMP, SILENT, alarms, findings, flow, recorded, tables


def test_a_ping_to_each_of_many_machines_is_a_sweep() -> None:
    pings = [
        flow("10.0.0.66", f"10.0.2.{i}", 0, after=i / 9, protocol=ICMP, icmp_type=8, **SILENT)
        for i in range(60)
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
    refusals = [
        flow("10.0.0.5", f"198.51.100.{i}", 0, after=i, protocol=ICMP, icmp_type=3, **SILENT)
        for i in range(200)
    ]
    assert findings("ping_sweep", tables(flows=refusals)) == []


def test_where_a_log_does_not_tell_pings_from_refusals_the_finding_says_so() -> None:
    untold = [
        flow("10.0.0.66", f"10.0.2.{i}", 0, after=i / 9, protocol=ICMP, **SILENT) for i in range(60)
    ]
    (finding,) = findings("ping_sweep", tables(flows=untold))
    (refusal,) = [e for e in finding.explanations if "port is closed" in e.text.en]
    assert refusal.state == "not_checked"


def test_the_recorded_sweep_names_who() -> None:
    found = alarms(recorded("ping_sweep", "slips-icmp/test12-icmp-portscan.pcap"))
    assert {f.actor for f in found} == {"192.168.1.109"}
