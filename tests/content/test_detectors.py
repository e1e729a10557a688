"""Every detector keeps the contract: its card, its shape, its sums, its words, its place."""

from __future__ import annotations

import datetime as dt
import random
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cyberterr import content
from cyberterr.contracts import Detector, Site, Tables
from cyberterr.contracts.flow import TABLES
from cyberterr.pipeline.merging import merge, shaped
from tests.content.scenes import GOLDEN, TOWN_HALL, alarms, findings, learned, read

DETECTORS = content.detectors()
NAMES = [d.card.id for d in DETECTORS]
LEARNING = [d.card.id for d in DETECTORS if hasattr(d, "learn")]
each_detector = pytest.mark.parametrize("each", DETECTORS, ids=NAMES)


@cache
def town_hall() -> Tables:
    """Five minutes of a small town hall, with an attack for most detectors."""
    parts = read(TOWN_HALL)
    return Tables(**{name: pl.concat([getattr(part, name) for part in parts]) for name in TABLES})


def dealt(pieces: int, seed: int) -> list[Tables]:
    """The rows of each table of the town hall dealt out at random, each part in its own order."""
    chance = random.Random(seed)
    hands: list[dict[str, pl.DataFrame]] = [{} for _ in range(pieces)]
    for name in TABLES:
        table: pl.DataFrame = getattr(town_hall(), name)
        place = pl.Series(
            "place", [chance.randrange(pieces) for _ in range(table.height)], pl.Int64
        )
        shuffled = table.with_columns(place).sample(fraction=1.0, shuffle=True, seed=seed)
        for number, hand in enumerate(hands):
            hand[name] = shuffled.filter(pl.col("place") == number).drop("place")
    return [Tables(**hand) for hand in hands]


@each_detector
def test_every_detector_has_a_complete_card(each: Detector) -> None:
    card = each.card
    assert card.families
    assert card.question.en
    assert card.question.fr
    assert card.proof
    assert card.cost
    assert all(text.en and text.fr for text in (*card.blind_spots, *card.innocent))
    assert card.blind_spots, "nothing sees everything"
    assert card.innocent, "every pattern has a harmless cause"
    assert set(card.tables) <= set(TABLES)
    assert dt.timedelta(0) < card.window <= dt.timedelta(days=1)
    assert all(technique.startswith("T") for technique in card.attack)


def test_every_detector_is_named_like_its_file() -> None:
    files = {p.stem for p in content.folder("detectors").glob("*.py") if p.stem != "__init__"}
    assert {*NAMES, *(each.card.id for each in content.examiners())} == files


def test_every_detector_has_its_own_tests() -> None:
    files = {p.stem.removeprefix("test_") for p in Path(__file__).parent.glob("test_*.py")}
    assert set(NAMES) <= files


@each_detector
def test_every_detector_summarises_nothing_into_nothing_of_the_right_shape(each: Detector) -> None:
    summary = each.summarise(Tables(), Site())
    assert shaped(each.card, summary).is_empty()


@pytest.mark.parametrize("name", ["bruteforce.pcap", "dhcp_flood.pcap", "modbusBig.pcap"])
@each_detector
def test_every_detector_summarises_a_real_capture_into_its_cards_columns(
    each: Detector, name: str
) -> None:
    for part in read(GOLDEN / name):
        shaped(each.card, each.summarise(part, Site()))


@each_detector
@settings(max_examples=5, deadline=None)
@given(pieces=st.integers(2, 6), seed=st.integers(0, 2**32 - 1))
def test_summaries_of_parts_add_up_to_the_summary_of_the_whole(
    each: Detector, pieces: int, seed: int
) -> None:
    card = each.card
    parts = [shaped(card, each.summarise(part, Site())) for part in dealt(pieces, seed)]
    whole = merge(card, [shaped(card, each.summarise(town_hall(), Site()))])
    assert_frame_equal(merge(card, parts), whole)


@each_detector
def test_nothing_is_found_where_nothing_happened(each: Detector) -> None:
    assert findings(each, Tables()) == []


@pytest.mark.parametrize("name", LEARNING)
def test_what_was_learned_as_clean_raises_no_alarm_again(name: str) -> None:
    normal = learned(name, town_hall())
    assert alarms(findings(name, town_hall(), normal=normal)) == []


@pytest.mark.parametrize("name", LEARNING)
def test_what_is_learned_survives_parquet_which_holds_no_code(name: str, tmp_path: Path) -> None:
    normal = learned(name, town_hall())
    normal.write_parquet(tmp_path / "normal.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "normal.parquet"), normal)


def moved(tables: Tables) -> Tables:
    """The same town hall on public addresses: 10.20.x.y becomes 198.18.x.y."""
    text = pl.selectors.string().str.replace_all("10.20.", "198.18.", literal=True)
    return Tables(**{name: getattr(tables, name).with_columns(text) for name in TABLES})


@each_detector
def test_public_addresses_that_the_settings_call_ours_are_judged_like_private_ones(
    each: Detector,
) -> None:
    def facts(tables: Tables, site: Site) -> list[tuple[Any, ...]]:
        return sorted(
            (f.rule, int(f.severity), str(f.actor).replace("198.18.", "10.20."), f.victim_port)
            for f in findings(each, tables, site)
        )

    ours = Site(networks=("198.18.0.0/16",))
    assert facts(moved(town_hall()), ours) == facts(town_hall(), Site())
