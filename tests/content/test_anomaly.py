"""The forest equals scikit-learn's, is fitted on clean hours only, and says nothing without."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
from sklearn.ensemble import IsolationForest

from cyberterr.contracts import Severity, Site, Tables
from cyberterr.contracts.flow import conform
from cyberterr.pipeline.judging import Judging
from tests.content.scenes import alarms, detector, findings, learned

ANOMALY: Any = detector("anomaly")
MODULE = __import__("sys").modules["cyberterr_detectors.anomaly"]
START = dt.datetime(2026, 3, 9, 0, 0, tzinfo=dt.UTC)


def hours(first: int, count: int, partners: int = 5, spread: int = 3) -> Tables:
    chance = np.random.default_rng(first)
    rows = []
    for hour in range(first, first + count):
        for number in range(partners + int(chance.integers(0, spread + 1))):
            begin = START + dt.timedelta(hours=hour, seconds=10 + number)
            rows.append(
                {
                    "flow_id": len(rows),
                    "start": begin,
                    "end": begin + dt.timedelta(seconds=int(chance.integers(1, 9))),
                    "src_ip": "10.0.0.9",
                    "dst_ip": f"198.51.{number // 200}.{number % 200}",
                    "src_port": 40000,
                    "dst_port": 443,
                    "protocol": 6,
                    "sensor": "sensor",
                    "src_packets": 9,
                    "dst_packets": 9,
                    "src_bytes": int(chance.integers(900, 2000)),
                    "dst_bytes": int(chance.integers(5000, 9000)),
                    "state": "SF",
                }
            )
    return Tables(flows=conform("flows", pl.DataFrame(rows)))


CLEAN = hours(0, 60)


def test_without_a_clean_period_it_is_skipped_and_says_so() -> None:
    judging = Judging([ANOMALY], Site(), {})
    judging.add(hours(0, 3, partners=900))
    assert judging.close() == []
    assert "learn network" in judging.skipped["anomaly"]


def test_our_scores_equal_those_of_scikit_learn() -> None:
    matrix = np.random.default_rng(1).normal(size=(300, 7))
    normal = pl.concat(MODULE.fit(matrix, "host"))
    grown = matrix[np.arange(300) % 3 != 2]
    forest = IsolationForest(n_estimators=100, max_samples=200, random_state=0).fit(grown)
    unseen = np.random.default_rng(2).normal(size=(200, 7)) * 2
    np.testing.assert_allclose(
        MODULE.score(unseen, normal), -forest.score_samples(unseen), atol=1e-9
    )


def test_an_hour_with_a_hundred_times_the_partners_is_an_alarm() -> None:
    worst = findings("anomaly", hours(100, 1, partners=800), normal=learned("anomaly", CLEAN))[0]
    assert (worst.severity, worst.actor) == (Severity.MEDIUM, "10.0.0.9")
    assert "connections" in {measure.name for measure in worst.measures}


def test_clean_hours_later_give_no_alarm() -> None:
    later = findings("anomaly", hours(100, 24), normal=learned("anomaly", CLEAN))
    assert alarms(later) == []
