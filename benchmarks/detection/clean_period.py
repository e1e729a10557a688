"""What learning a clean period changes: fit on the first half of a real day, judge the second.

    python benchmarks/detection/clean_period.py ../shared/data/network

Three office machines on public addresses, a day each, with the Internet's scans of them. The
second half is judged as it is, which gives alarms in vain: with nothing learned, with the same
machine's first half, and with another machine's, as if this one had come new. Then beacons are
planted in it: synthetic flows to one address at a steady gap, give or take a fifth.
"""

from __future__ import annotations

import datetime as dt
import random
import sys
from pathlib import Path

import polars as pl

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.contracts import Finding, Severity, Site, Tables
from cyberterr.contracts.flow import TABLES, conform
from cyberterr.contracts.site import PRIVATE
from cyberterr.pipeline.judging import Judging
from cyberterr.pipeline.learn import learners
from cyberterr.pipeline.merging import merge, shaped
from cyberterr.pipeline.sources import Reading, read_tables

DAYS = {
    "ctu-normal-008": "147.32.81.167",
    "ctu-normal-010": "147.32.83.234",
    "ctu-normal-011": "147.32.83.165",
}
"""folder → the machine that was watched"""
OURS = Site(networks=(*PRIVATE, "147.32.0.0/16"))
GAPS = (10, 30, 60, 120, 300, 600, 900)
"""seconds between the calls of a planted beacon"""
JITTER = 0.2
MASTER = "203.0.113.66"


def halves(folder: Path) -> tuple[Tables, Tables]:
    """The logs of *folder*, cut in the middle of their time."""
    parts = list(read_tables([folder], Settings(site=OURS), Reading()))
    whole = {name: pl.concat([getattr(part, name) for part in parts]) for name in TABLES}
    first, last = (
        whole["flows"].select(first=pl.col("start").min(), last=pl.col("start").max()).row(0)
    )
    middle = first + (last - first) / 2
    time = {name: pl.col("start" if name == "flows" else "time") for name in TABLES}
    return (
        Tables(**{name: table.filter(time[name] < middle) for name, table in whole.items()}),
        Tables(**{name: table.filter(time[name] >= middle) for name, table in whole.items()}),
    )


def learned(clean: Tables) -> dict[str, pl.DataFrame]:
    """What each learning detector keeps of *clean*."""
    return {
        d.card.id: d.learn(merge(d.card, [shaped(d.card, d.summarise(clean, OURS))]), OURS)
        for d in learners(content.detectors())
    }


def judged(tables: list[Tables], normals: dict[str, pl.DataFrame]) -> list[Finding]:
    """Alarms of all detectors."""
    judging = Judging(content.detectors(), OURS, normals)
    for part in tables:
        judging.add(part)
    return [finding for finding in judging.close() if finding.severity >= Severity.MEDIUM]


def beacon(machine: str, start: dt.datetime, end: dt.datetime, gap: float) -> Tables:
    """Web connections of *machine* to one address, every *gap* seconds ± JITTER."""
    chance = random.Random(gap)
    rows: list[dict[str, object]] = []
    now = start
    while now < end:
        rows.append(
            {
                "flow_id": len(rows),
                "start": now,
                "end": now + dt.timedelta(milliseconds=300),
                "src_ip": machine,
                "dst_ip": MASTER,
                "src_port": 40_000 + len(rows) % 20_000,
                "dst_port": 443,
                "protocol": 6,
                "sensor": "sensor",
                "src_packets": 8,
                "dst_packets": 8,
                "src_bytes": 1200 + chance.randrange(200),
                "dst_bytes": 6000,
                "state": "SF",
            }
        )
        now += dt.timedelta(seconds=gap * (1 + chance.uniform(-JITTER, JITTER)))
    return Tables(flows=conform("flows", pl.DataFrame(rows)))


def main() -> None:
    """Print alarms in vain of each second half, and which planted beacons were found."""
    days = {name: halves(Path(sys.argv[1]) / name) for name in DAYS}
    normals = {name: learned(clean) for name, (clean, _) in days.items()}
    strangers = dict(zip(DAYS, [*DAYS][1:] + [*DAYS][:1], strict=True))
    print("| second half of | nothing learned | first half learned | another machine learned |")
    print("|---|---|---|---|")
    for name, (_, later) in days.items():
        taught: tuple[dict[str, pl.DataFrame], ...] = ({}, normals[name], normals[strangers[name]])
        vain = [str(len(judged([later], normal))) for normal in taught]
        print(f"| {name} | {' | '.join(vain)} |")
    print("\n| planted every | nothing learned | first half learned |\n|---|---|---|")
    for gap in GAPS:
        found = [0, 0]
        for name, (_, later) in days.items():
            start, end = min(later.flows["start"]), max(later.flows["start"])
            scene = [later, beacon(DAYS[name], start, end, gap)]
            for place, normal in enumerate(({}, normals[name])):
                found[place] += any(alarm.victim == MASTER for alarm in judged(scene, normal))
        print(f"| {gap} s | {found[0]} of {len(DAYS)} | {found[1]} of {len(DAYS)} |")


if __name__ == "__main__":
    main()
