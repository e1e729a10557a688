"""The voice detector: one rule for the whole, another for parts, and what it looked at."""

from __future__ import annotations

import numpy as np
import pytest

from cyberterr import content
from cyberterr.contracts.examiner import Calibration, Clip, Model, ModelCard, Window
from cyberterr.contracts.measure import Text
from cyberterr.contracts.media import Evidence, Rate
from tests.media import sounds

[VOICE] = [each for each in content.examiners() if each.card.id == "voice"]
SAID = Text("said", "dit")
CARD = ModelCard(
    id="m", version="1", detector="voice", kind="audio", sha256="", window_s=4.0, hop_s=2.0,
    least_s=1.0, trained_on=SAID, blind_spots=(), licence=SAID, made_by="",
    measured=(Rate(what=SAID, hits=1, trials=20, low=0.0, high=0.2, data="d"),),
    calibration=Calibration(
        raw=(-4.0, 4.0), score=(0.02, 0.98), low=(0.0, 0.9), high=(0.1, 1.0), signs_at=2.0,
        none_below=-1.0, window_at=2.0, window_rate=0.1, name=SAID,
    ),
)  # fmt: skip
MODEL = Model(card=CARD, run=lambda waves: (waves[:, 0], waves[:, :2]))


def judged(raw: list[float]) -> Evidence:
    clip = Clip(
        kind="audio", seconds=2.0 * len(raw) + 2, starts=np.arange(len(raw)) * 2.0,
        loudest=[Window(start=0.0, samples=sounds.samples()[:64_000])], quality=(), limits=(),
    )  # fmt: skip
    return VOICE.judge(np.array(raw, np.float32), clip, MODEL)


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ([2.0], "signs_of_synthesis"),
        ([1.9], "cannot_say"),
        ([-1.0], "cannot_say"),
        ([-1.1], "no_sign_found"),
        ([5.0, -1.0], "signs_of_synthesis"),
        ([5.0, -2.0], "cannot_say"),
    ],
)
def test_the_mean_over_windows_decides(raw: list[float], answer: str) -> None:
    assert judged(raw).answer == answer


def test_a_long_recording_is_not_accused_for_its_loudest_moments() -> None:
    """One window in ten reaches the mark in genuine speech: so many are expected."""
    raw = [3.0 if place % 10 == 0 else -3.0 for place in range(1000)]
    assert judged(raw).answer == "no_sign_found"


def test_more_suspicious_windows_than_chance_gives_deserve_a_listen() -> None:
    raw = [3.0 if place % 4 == 0 else -4.0 for place in range(1000)]
    told = judged(raw)
    assert told.answer == "cannot_say"
    assert "250 of 1000" in told.reason.en


def test_the_chance_is_that_of_the_binomial_distribution() -> None:
    at_least = vars(content._load(content.folder("detectors") / "voice.py"))["at_least"]
    dice = np.random.default_rng(0)
    drawn = dice.binomial(40, 0.1, 200_000)
    for hits in (0, 3, 8):
        assert at_least(hits, 40, 0.1) == pytest.approx((drawn >= hits).mean(), abs=0.003)
    assert at_least(3600, 3600, 0.1) < 1e-12


def test_without_windows_nothing_is_scored() -> None:
    told = judged([])
    assert (told.answer, told.score, told.segments) == ("cannot_say", None, ())


def test_the_timeline_of_four_hours_stays_short_and_covers_them() -> None:
    told = judged([0.0] * 7_200)
    assert len(told.segments) <= 2_000
    assert told.segments[0].start == 0.0
    assert told.segments[-1].end == 14_402.0


def test_the_score_rises_with_the_raw_score_and_lies_in_its_interval() -> None:
    scores = [judged([raw]) for raw in (-9.0, -3.0, 0.0, 3.0, 9.0)]
    told = [each.score or 0.0 for each in scores]
    assert told == sorted(told)
    assert all(e.interval[0] <= e.score <= e.interval[1] for e in scores)  # type: ignore[index,operator]
