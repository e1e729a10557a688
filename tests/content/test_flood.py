"""Floods are found and blame nobody; a rush of visitors is no flood."""

from __future__ import annotations

import pytest

from tests.content.scenes import SILENT, UDP, alarms, findings, flow, recorded, tables


def test_a_forged_syn_flood_blames_nobody() -> None:
    syns = [
        flow(f"198.{i % 200}.{i % 77}.{i % 251}", "10.0.0.80", 443, after=i / 400, **SILENT)
        for i in range(4000)
    ]
    (finding,) = findings("flood", tables(flows=syns))
    assert (finding.actor, finding.victim) == (None, "10.0.0.80")
    assert finding.severity >= 47


def test_a_rush_of_visitors_is_no_flood() -> None:
    rush = [
        flow(f"198.{i % 200}.{i % 77}.{i % 251}", "10.0.0.80", 443, after=i / 100)
        for i in range(4000)
    ]
    assert findings("flood", tables(flows=rush)) == []


def test_a_resolver_whose_answers_come_late_is_not_flooded() -> None:
    asked = [
        flow("10.0.0.53", f"198.51.100.{i % 50}", 53, after=i / 5, protocol=UDP) for i in range(600)
    ]
    late = [
        flow(
            f"198.51.100.{i % 50}",
            "10.0.0.53",
            40_000 + i,
            after=i / 5,
            protocol=UDP,
            **SILENT | {"src_packets": 1},
        )
        | {"src_port": 53}
        for i in range(200)
    ]
    assert findings("flood", tables(flows=asked + late)) == []


@pytest.mark.parametrize(
    "file",
    [
        "pkt.TCP.synflood.spoofed.pcap.gz",
        "amp.UDP.snmp.src161.pcapng.gz",
        "amp.dns.RRSIG.fragmented.pcap.gz",
    ],
)
def test_recorded_floods_name_the_victim_only(file: str) -> None:
    found = alarms(recorded("flood", f"ddos/{file}"))
    assert {(f.actor, f.victim) for f in found} == {(None, "10.10.10.10")}


@pytest.mark.parametrize("day", ["ctu-normal-008", "ctu-normal-010", "ctu-normal-011"])
def test_a_normal_day_on_the_internet_raises_no_alarm(day: str) -> None:
    found = recorded("flood", f"{day}/conn.log.labeled.gz")
    assert alarms(found) == []
    assert len(found) <= 5, "the noise of a day is a few lines"


def test_a_udp_flood_is_found_whatever_its_sources() -> None:
    packets = [
        flow(f"198.{i % 200}.{i % 77}.{i % 251}", "10.0.0.80", 53, after=i / 900,
             protocol=UDP, **SILENT | {"src_bytes": 428})
        for i in range(9000)
    ]  # fmt: skip
    (finding,) = findings("flood", tables(flows=packets))
    assert (finding.rule, finding.actor, finding.victim) == ("flood.udp", None, "10.0.0.80")
    assert finding.severity >= 47


def test_a_fast_udp_port_scan_is_no_flood() -> None:
    probes = [
        flow("10.0.0.66", "10.0.0.80", 1 + i, after=i / 900, protocol=UDP, **SILENT)
        for i in range(9000)
    ]
    assert findings("flood", tables(flows=probes)) == []


def test_a_film_that_nobody_answers_is_no_flood() -> None:
    film = flow("10.0.0.7", "10.0.0.80", 5004, lasts=500, protocol=UDP,
                **SILENT | {"src_packets": 900_000, "src_bytes": 1_200_000_000})  # fmt: skip
    assert findings("flood", tables(flows=[film])) == []


def test_packets_outside_any_connection_are_a_flood() -> None:
    stray = [
        flow("10.0.0.66", "10.0.0.80", 80, after=i / 900, **SILENT | {"state": "OTH"})
        for i in range(9000)
    ]
    (finding,) = findings("flood", tables(flows=stray))
    assert (finding.rule, finding.actor) == ("flood.stray", "10.0.0.66")


def test_a_long_ping_is_counted_by_its_rate() -> None:
    """Nine thousand pings in ten minutes are fifteen a second, not nine thousand."""
    slow = flow("10.0.0.7", "10.0.0.80", 0, lasts=590, protocol=1, src_packets=9_000)
    assert findings("flood", tables(flows=[slow])) == []
