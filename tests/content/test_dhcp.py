"""Strange machines that use up the addresses of a network are found; a busy morning is not."""

from __future__ import annotations

from tests.content.scenes import GOLDEN, SILENT, UDP, findings, flow, read, tables


def test_the_recorded_dhcp_flood_is_found() -> None:
    (finding,) = findings("dhcp", read(GOLDEN / "dhcp_flood.pcap"))
    assert finding.rule == "flood.dhcp"
    assert finding.severity >= 47


def test_a_school_that_wakes_up_is_not_an_attack() -> None:
    asks = [
        flow(f"10.1.{i // 250}.{i % 250}", "10.1.0.1", 67, after=i, protocol=UDP, **SILENT)
        for i in range(500)
    ]
    assert findings("dhcp", tables(flows=asks)) == []
