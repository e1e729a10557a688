"""Scores of left-out clips become a probability, thresholds and rates that hold elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from cyberterr.contracts.measure import Text
from cyberterr.errors import UsageError
from cyberterr.pipeline.calibration import (
    FALSE_ALARMS,
    POOL,
    Scored,
    fit,
    genuine_groups,
    nested,
    rates,
    thresholds,
)

NAME = Text("as shipped", "celui d'origine")


def clips(odd: float = 0.0, apart: float = 0.3) -> list[Scored]:
    """Six sources of each label, 60 clips each; genuine source 0 lies *odd* higher."""
    dice = np.random.default_rng(0)
    rows = []
    for number in range(6):
        for synthetic in (False, True):
            middle = dice.normal(2.0 if synthetic else 0.0, apart)
            middle += odd if not synthetic and not number else 0.0
            name = f"{'generator' if synthetic else 'corpus'} {number}"
            rows += [Scored(raw, synthetic, name, f"corpus {number}")
                     for raw in dice.normal(middle, 1.0, 60).tolist()]  # fmt: skip
    return rows


def test_a_higher_raw_score_is_never_less_likely_synthetic_and_nothing_is_certain() -> None:
    calibration = fit(clips(), NAME)
    assert list(calibration.score) == sorted(set(calibration.score))
    assert calibration.score[0] > 0
    assert calibration.score[-1] < 1
    for low, score, high in zip(calibration.low, calibration.score, calibration.high, strict=True):
        assert low <= score <= high


def test_half_the_way_between_the_classes_is_a_coin_toss() -> None:
    assert fit(clips(), NAME).of(1.0)[0] == pytest.approx(0.5, abs=0.1)


def test_the_same_clips_in_another_order_give_the_same_calibration() -> None:
    rows = clips()
    one, other = fit(rows, NAME), fit(rows[::-1], NAME)
    assert one.score == pytest.approx(other.score)
    assert (one.signs_at, one.none_below) == (other.signs_at, other.none_below)


def test_sources_that_disagree_make_a_wide_interval() -> None:
    _, low, high = fit(clips(apart=1.0), NAME).of(1.0)
    _, lower, higher = fit(clips(apart=0.1), NAME).of(1.0)
    assert high - low > 2 * (higher - lower)


def test_no_source_of_genuine_speech_is_accused_more_than_one_time_in_twenty() -> None:
    rows = clips(odd=1.0)
    at = thresholds(rows).signs_at
    for scores in genuine_groups(rows).values():
        assert (scores >= at).mean() <= FALSE_ALARMS


def test_more_than_half_of_the_genuine_clips_get_no_sign() -> None:
    rows = clips()
    below = [row.raw < thresholds(rows).none_below for row in rows if not row.synthetic]
    assert np.mean(below) >= 0.5


def test_small_sources_are_judged_together() -> None:
    rows = [Scored(0.1 * n, False, f"corpus {n % 10}") for n in range(100)]
    assert set(genuine_groups(rows)) == {POOL}


def test_an_odd_source_is_judged_without_its_own_help() -> None:
    rows = clips(odd=3.0)
    odd = [row for row in rows if row.source == "corpus 0"]
    told = [row.raw >= thresholds(rows).signs_at for row in odd]
    without = [answer == "signs_of_synthesis" for answer in nested(rows, odd)]
    assert np.mean(told) <= FALSE_ALARMS < np.mean(without)
    worst, *_ = rates(rows, "test")
    assert "corpus 0" in worst.what.en
    assert worst.hits == sum(without)
    assert worst.low < worst.hits / worst.trials < worst.high


def test_scores_that_tell_nothing_are_refused() -> None:
    upside_down = [row._replace(raw=-row.raw) for row in clips()]
    with pytest.raises(UsageError, match="do not score higher"):
        fit(upside_down, NAME)
    with pytest.raises(UsageError, match="genuine and synthetic"):
        fit([row for row in clips() if row.synthetic], NAME)
