"""The same findings however the input is split, spilled, reordered, or watched live."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.contracts import Detector, Finding, Site, Tables, View
from cyberterr.contracts.flow import empty
from cyberterr.pipeline import summaries
from cyberterr.pipeline.judging import LATENESS, Judging
from cyberterr.pipeline.merging import merge, shaped
from cyberterr.pipeline.sources import Reading, read_tables
from tests.content.scenes import NOON, SILENT, UDP, detector, event, flow, tables

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def joined(parts: Sequence[Tables]) -> Tables:
    names = [table.name for table in dataclasses.fields(Tables)]
    return Tables(**{name: pl.concat([getattr(part, name) for part in parts]) for name in names})


@functools.cache
def traffic() -> Tables:
    """Real captures beside a scan that goes on for hours, a flood and a few passwords."""
    names = ("bruteforce.pcap", "dhcp_flood.pcap", "workshop_2011_browse.pcap", "DnsPackets.pcap")
    reading = Reading()
    real = list(read_tables([GOLDEN / name for name in names], Settings(), reading))
    assert not reading.errors, reading.errors
    scene = tables(
        flows=[
            flow("10.0.0.66", f"10.1.{i % 9}.{i % 200}", 22, after=i * 20, **SILENT)
            for i in range(900)
        ]
        + [
            flow(f"198.51.{i % 250}.{i % 77}", "10.0.0.80", 443, after=i / 200, **SILENT)
            for i in range(1500)
        ]
        + [flow("10.0.0.66", "10.0.0.1", i, after=i * 60, **SILENT) for i in range(1, 120)],
        login=[
            event("10.0.0.5", f"198.51.100.{i}", 21, service="ftp", scheme="PASS", success=True)
            for i in range(9)
        ],
        dns=[
            event("10.0.0.5", "10.0.0.53", 53, after=i * 30, protocol=UDP, query=f"x{i}.example",
                  qtype="A", rcode="NOERROR", answers=["198.51.100.9"])
            for i in range(100)
        ],
    )  # fmt: skip
    return joined([*real, scene])


def as_bytes(findings: Sequence[Finding]) -> bytes:
    return msgspec.json.encode(list(findings))


def judged(parts: Sequence[Tables], **options: int) -> list[Finding]:
    judging = Judging(content.detectors(), Site(), {}, **options)
    for part in parts:
        judging.add(part)
    found = judging.close()
    assert not judging.failed, judging.failed
    return found


@functools.cache
def whole() -> bytes:
    return as_bytes(judged([traffic()]))


def split(pieces: int, seed: int) -> list[Tables]:
    """The rows of each table dealt out at random, each part in an order of its own."""
    chance = random.Random(seed)
    parts: list[dict[str, pl.DataFrame]] = [{} for _ in range(pieces)]
    for table in dataclasses.fields(Tables):
        frame = getattr(traffic(), table.name).with_row_index("place")
        numbers = [chance.randrange(pieces) for _ in range(frame.height)]
        dealt = pl.Series("part", numbers, pl.Int64)
        for number, part in enumerate(parts):
            mine = frame.filter(dealt == number).sample(fraction=1.0, shuffle=True, seed=seed)
            part[table.name] = mine.drop("place")
    return [Tables(**part) for part in parts]


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces=st.integers(2, 9), seed=st.integers(0, 2**32 - 1))
def test_any_split_in_any_order_gives_the_same_bytes(pieces: int, seed: int) -> None:
    assert as_bytes(judged(split(pieces, seed))) == whole()


def test_there_is_something_to_find_in_this_traffic() -> None:
    rules = {finding.rule for finding in judged([traffic()])}
    assert {"scan.horizontal", "brute_force", "flood.syn", "flood.dhcp"} <= rules


@pytest.fixture
def everything_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "PACKED_BYTES", 0)
    monkeypatch.setattr(summaries, "SHARED_ROWS", 1)


def test_summaries_that_are_packed_lose_nothing() -> None:
    assert as_bytes(judged(split(5, 1), max_bytes=1000)) == whole()


@pytest.mark.usefixtures("everything_on_disk")
def test_summaries_that_wait_on_disk_lose_nothing() -> None:
    assert as_bytes(judged(split(5, 1), max_bytes=1000)) == whole()


@pytest.mark.parametrize("where", ["memory", "packed", "disk"])
def test_windows_are_forgotten_wherever_they_wait(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = detector("scan").card
    kept = summaries.Summaries(card)
    kept.add(shaped(card, detector("scan").summarise(a_scan([0, 1, 2]), Site())))
    monkeypatch.setattr(summaries, "PACKED_BYTES", 0 if where == "disk" else 1 << 20)
    if where != "memory":
        kept.spill(tmp_path)
    first, second, third = kept.windows()
    assert kept.forget(third) == [first, second]
    assert kept.windows() == [third]
    assert kept.read([third], None)["window"].unique().to_list() == [third]
    assert kept.forget(third + dt.timedelta(hours=1)) == [third]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("each", content.detectors(), ids=lambda d: d.card.id)
def test_merging_is_associative_and_commutative(each: Detector) -> None:
    first, second, third = (shaped(each.card, each.summarise(p, Site())) for p in split(3, 7))
    together = merge(each.card, [shaped(each.card, each.summarise(traffic(), Site()))])
    left = merge(each.card, [merge(each.card, [first, second]), third])
    right = merge(each.card, [merge(each.card, [third, first]), second])
    assert left.equals(right)
    assert left.equals(together)


def test_an_incident_of_many_hours_is_one_finding() -> None:
    scan = [f for f in judged([traffic()]) if f.rule == "scan.horizontal"]
    assert len(scan) == 1
    assert scan[0].windows == 5
    assert scan[0].start == NOON


def a_scan(hours: Sequence[int]) -> Tables:
    return tables(
        flows=[
            flow("10.0.0.66", f"10.{hour}.1.{i}", 22, after=hour * 3600 + i, **SILENT)
            for hour in hours
            for i in range(40)
        ]
    )


def test_a_long_silence_parts_two_incidents() -> None:
    judging = Judging([detector("scan")], Site(), {})
    judging.add(a_scan([0, 1, 12]))
    first, second = sorted(judging.close(), key=lambda f: f.start)
    assert first.id != second.id
    assert (first.windows, second.windows) == (2, 1)


def test_live_ends_in_the_same_findings_as_batch() -> None:
    judging = Judging(content.detectors(), Site(), {})
    flows = traffic().flows.filter(pl.col("start") >= NOON)
    rest = {t.name: empty(t.name) for t in dataclasses.fields(Tables) if t.name != "flows"}
    last: dict[str, Finding] = {}
    for step in range(0, 26_000, 600):
        now = NOON + dt.timedelta(seconds=step)
        until = now + dt.timedelta(seconds=600)
        mine = flows.filter(pl.col("start") >= now, pl.col("start") < until)
        judging.add(Tables(flows=mine, **rest))
        for finding in judging.close(until):
            known = last.get(finding.id)
            assert finding.revision == (known.revision + 1 if known else 1)
            last[finding.id] = finding
    last |= {finding.id: finding for finding in judging.close()}
    batch = judged([Tables(flows=flows, **rest)])
    plain = {f.id: msgspec.structs.replace(f, revision=1, kind="alert") for f in last.values()}
    assert plain == {f.id: f for f in batch}


def test_a_scan_is_told_while_its_hour_still_runs_and_once_only() -> None:
    judging = Judging([detector("scan")], Site(), {})
    judging.add(a_scan([0]))
    now = NOON + dt.timedelta(minutes=2)
    (first,) = judging.close(now)
    assert (first.revision, first.kind) == (1, "alert")
    assert judging.close(now + dt.timedelta(minutes=1)) == []
    assert judging.close(NOON + dt.timedelta(hours=1) + LATENESS) == []


def test_an_incident_that_goes_on_is_a_new_revision_of_the_same_id() -> None:
    judging = Judging([detector("scan")], Site(), {})
    judging.add(a_scan([0]))
    (first,) = judging.close(NOON + dt.timedelta(hours=2))
    judging.add(a_scan([2]))
    (again,) = judging.close(NOON + dt.timedelta(hours=4))
    assert again.id == first.id
    assert (again.revision, again.kind, again.windows) == (2, "event", 2)


def test_live_memory_does_not_grow_with_the_days() -> None:
    judging = Judging([detector("scan"), detector("flood")], Site(), {})
    sizes = []
    for day in range(4):
        for hour in range(0, 24, 4):
            judging.add(a_scan([day * 24 + hour]))
            judging.close(NOON + dt.timedelta(days=day, hours=hour + 2))
        sizes.append(sum(len(state.summaries.windows()) for state in judging._states.values()))
    assert sizes[-1] <= sizes[1] + 1


class Broken:
    """The scan detector with a defect at one of its two methods."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.card = dataclasses.replace(detector("scan").card, id="broken")

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        if self.where == "summarise":
            raise ZeroDivisionError("division by zero")
        return detector("scan").summarise(tables, site)

    def judge(self, view: View) -> list[object]:
        raise KeyError("no such column")


@pytest.mark.parametrize("where", ["summarise", "judge"])
def test_a_detector_with_a_defect_stops_no_other(where: str) -> None:
    judging = Judging([Broken(where), detector("scan")], Site(), {})  # type: ignore[list-item]
    judging.add(a_scan([0]))
    (finding,) = judging.close()
    assert finding.detector == "scan"
    assert judging.examined == ("scan",)
    (warning,) = judging.warnings
    assert "broken" in warning


def test_a_detector_without_its_normal_is_skipped_with_the_reason() -> None:
    picky = detector("scan").__class__()
    picky.card = dataclasses.replace(picky.card, needs_normal=True)
    judging = Judging([picky], Site(), {})
    judging.add(a_scan([0]))
    assert judging.close() == []
    assert "learn" in judging.skipped["scan"]


def test_a_summary_with_fractions_in_a_sum_is_refused() -> None:
    card = detector("scan").card
    summary = detector("scan").summarise(a_scan([0]), Site())
    wrong = summary.with_columns(pl.col("tries").cast(pl.Float64))
    with pytest.raises(ValueError, match="whole numbers"):
        shaped(card, wrong)


@pytest.mark.usefixtures("everything_on_disk")
def test_a_day_judged_in_shares_from_disk_gives_the_findings_of_one_in_memory() -> None:
    town_hall = GOLDEN.parent / "town_hall.pcapng"
    parts = list(read_tables([town_hall], Settings(), Reading()))
    at_once = as_bytes(judged(parts))
    assert len(judged(parts)) >= 8
    assert as_bytes(judged(parts, max_bytes=1000)) == at_once
