"""How well a score separates genuine from synthetic: equal error rate, area, grouped intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cyberterr.contracts.rate import wilson

Scores = NDArray[np.float64]
Parts = Sequence[Scores]
"""scores (n,) of each source"""

RESAMPLES = 500


class Estimate(NamedTuple):
    """A number with its 95 % interval; NaN where there is nothing to count."""

    value: float
    low: float
    high: float


def auc(genuine: Parts, synthetic: Parts) -> float:
    """Chance that a synthetic clip scores above a genuine one (Mann and Whitney 1947)."""
    real, fake = np.sort(np.concatenate(genuine)), np.concatenate(synthetic)
    below = np.searchsorted(real, fake, "left") + np.searchsorted(real, fake, "right")
    return float(below.mean() / 2 / real.size)


def macro_auc(genuine: Parts, synthetic: Parts) -> float:
    """Mean over generators of the area of each against all genuine clips."""
    real, fake = np.sort(np.concatenate(genuine)), np.concatenate(synthetic)
    below = np.searchsorted(real, fake, "left") + np.searchsorted(real, fake, "right")
    weight = np.concatenate([np.full(each.size, 1 / each.size) for each in synthetic])
    return float((below * weight).sum() / 2 / real.size / len(synthetic))


def eer(genuine: Parts, synthetic: Parts) -> float:
    """Share, 0..1, at which as many genuine clips are accused as synthetic ones are missed."""
    real, fake = np.sort(np.concatenate(genuine)), np.sort(np.concatenate(synthetic))
    cuts = np.unique(np.concatenate((real, fake, [np.inf])))
    missed = np.searchsorted(fake, cuts, "left") / fake.size
    accused = 1 - np.searchsorted(real, cuts, "left") / real.size
    nearest = int(np.abs(missed - accused).argmin())
    return float((missed[nearest] + accused[nearest]) / 2)


def estimate(
    statistic: Callable[[Parts, Parts], float],
    genuine: Mapping[str, Scores],
    synthetic: Mapping[str, Scores],
) -> Estimate:
    """*statistic* of the scores by source, with the interval when whole sources are drawn anew.

    Clips of one source are no independent trials, so sources are drawn, not clips (seeded).
    """
    if not genuine or not synthetic:
        return Estimate(*[float("nan")] * 3)
    real, fake = list(genuine.values()), list(synthetic.values())
    dice = np.random.default_rng(20_261_124)
    drawn = [statistic(_drawn(real, dice), _drawn(fake, dice)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(statistic(real, fake), float(low), float(high))


def share(sources: Sequence[str], hits: Sequence[bool]) -> Estimate:
    """Share of *hits*, with the interval when whole *sources* are drawn anew.

    It is never narrower than Wilson's: none of 121 drawn anew is always none.
    """
    if not hits:
        return Estimate(*[float("nan")] * 3)
    names, place = np.unique(sources, return_inverse=True)
    hit = np.bincount(place, np.asarray(hits, float), names.size)
    count = np.bincount(place, minlength=names.size)
    drawn = np.random.default_rng(20_261_124).integers(0, names.size, (RESAMPLES, names.size))
    low, high = np.percentile(hit[drawn].sum(axis=1) / count[drawn].sum(axis=1), (2.5, 97.5))
    least, most = wilson(sum(hits), len(hits))
    return Estimate(sum(hits) / len(hits), min(float(low), least), max(float(high), most))


def _drawn(parts: Parts, dice: np.random.Generator) -> Parts:
    return [parts[place] for place in dice.integers(0, len(parts), len(parts))]
