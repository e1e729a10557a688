"""The Internet scans every public address: weather, unless one scanner stands out."""

from __future__ import annotations

import pytest

from tests.content.scenes import SILENT, alarms, findings, flow, recorded, tables


def test_the_internet_scanning_us_is_weather() -> None:
    noise = [
        flow(f"198.51.{i % 250}.{i // 250}", "192.168.7.7", 20 + i % 3000, after=i, **SILENT)
        for i in range(900)
    ]
    loud = [flow("203.0.113.5", "192.168.7.7", 1 + i, after=i, **SILENT) for i in range(150)]
    found = findings("outside_scan", tables(flows=noise + loud))
    assert {f.severity for f in found} == {21}
    assert {f.rule for f in found} == {"scan.radiation", "scan.outside"}


def test_a_scanner_louder_than_the_weather_that_found_open_doors_is_an_alarm() -> None:
    tried = [flow("203.0.113.5", "192.168.7.7", 1 + i, after=i / 9, **SILENT) for i in range(400)]
    opened = [flow("203.0.113.5", "192.168.7.7", port, after=50) for port in (8080, 8443, 3389)]
    found = findings("outside_scan", tables(flows=tried + opened))
    assert [f.actor for f in alarms(found)] == ["203.0.113.5"]


@pytest.mark.parametrize("day", ["ctu-normal-008", "ctu-normal-010", "ctu-normal-011"])
def test_a_normal_day_on_the_internet_raises_no_alarm(day: str) -> None:
    found = recorded("outside_scan", f"{day}/conn.log.labeled.gz")
    assert alarms(found) == []
    assert len(found) <= 5, "the noise of a day is a few lines"
