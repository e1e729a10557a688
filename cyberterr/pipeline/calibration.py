"""From scores of clips whose source a model never saw: a probability, thresholds and rates.

All of it takes scores of *left-out* clips. Clips of one source (a generator, a corpus of genuine
speech) resemble each other, so a source counts with the root of its size, intervals draw whole
sources, and a threshold is told apart by how it does on sources that had no part in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cyberterr.contracts.examiner import Calibration
from cyberterr.contracts.measure import Text
from cyberterr.contracts.media import Answer, Rate
from cyberterr.contracts.rate import wilson
from cyberterr.errors import UsageError
from cyberterr.pipeline import roc

FALSE_ALARMS = 0.05
"""most that a source of genuine speech may have"""
NO_SIGN = 0.55
"""least share of genuine clips that must get *no sign*: half, and a margin for the sample"""
FEW = 20
"""clips below which a source is pooled with the other small ones"""
POOL, POOL_FR = "small sources together", "petites sources réunies"
KNOTS = 41
RESAMPLES = 300
NEWTON_STEPS = 12
NEVER_SURE = 0.01
"""distance of the calibrated score from 0 and 1: labels err, and new generators come"""


class Scored(NamedTuple):
    """One clip and the raw score that a model gave it which knows neither source nor corpus."""

    raw: float
    synthetic: bool
    source: str
    """generator, or corpus of a genuine clip"""
    corpus: str = ""
    """whose voices it speaks, of a synthetic clip too"""


class Thresholds(NamedTuple):
    """Raw scores between which nothing is said."""

    signs_at: float
    none_below: float

    def answer(self, raw: float) -> Answer:
        """What is said at *raw*."""
        if raw >= self.signs_at:
            return "signs_of_synthesis"
        return "no_sign_found" if raw < self.none_below else "cannot_say"


def fit(rows: Sequence[Scored], name: Text) -> Calibration:
    """Calibrate a model on left-out clips.

    The probability is a logistic curve of the raw score (Platt 1999), both classes weighing the
    same and each source with the root of its size. Not isotonic: what counts is some tens of
    sources, too few for steps, and a step turns an inaudible change of the file into a visible one
    of the score. Its interval comes from drawing whole sources anew.

    A window is as long as the clips of these rows, so `window_at` is `signs_at`, and `window_rate`
    the upper end of the 95 % interval (Wilson) on the worst source of genuine speech.

    Args:
        rows: clean clips that the quality gate lets through, each once, scored by a model that saw
            neither their source nor corpus. The others are *cannot say* whatever they score, and
            would only raise the thresholds.
        name: what the rows are, for people.

    Raises:
        UsageError: a class is missing, or synthetic clips do not score higher than genuine ones.
    """
    raw = np.array([row.raw for row in rows])
    synthetic = np.array([row.synthetic for row in rows])
    if not synthetic.any() or synthetic.all():
        raise UsageError("a calibration needs genuine and synthetic clips")
    sources = np.array([f"{row.synthetic} {row.source}" for row in rows])
    weight = _weights(sources, synthetic)
    slope, offset = _logistic(raw, synthetic, weight)
    if slope <= 0:
        raise UsageError(
            "synthetic clips do not score higher than genuine ones: nothing can be calibrated",
            hint="look at the training before the calibration",
        )
    margin = 0.25 * float(np.ptp(raw)) + 1e-6
    knots = np.linspace(raw.min() - margin, raw.max() + margin, KNOTS)
    score = _probability(knots, slope, offset)
    drawn = np.stack([
        _probability(knots, *_logistic(raw[chosen], synthetic[chosen], weight[chosen]))
        for chosen in _resampled(sources, synthetic)
    ])  # fmt: skip
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    chosen = thresholds(rows)
    return Calibration(
        raw=tuple(knots.tolist()),
        score=tuple(score.tolist()),
        low=tuple(np.minimum(low, score).tolist()),
        high=tuple(np.maximum(high, score).tolist()),
        signs_at=chosen.signs_at,
        none_below=chosen.none_below,
        window_at=chosen.signs_at,
        window_rate=max(
            wilson(int((scores >= chosen.signs_at).sum()), scores.size)[1]
            for scores in genuine_groups(rows).values()
        ),
        name=name,
    )


def thresholds(rows: Iterable[Scored]) -> Thresholds:
    """Thresholds for clips like *rows*.

    `signs_at` is the lowest score that at most FALSE_ALARMS of every source of genuine speech
    reach, the worst included; sources with fewer than FEW clips are pooled. `none_below` is the
    lowest score below which NO_SIGN of the genuine clips lie, both counted by clip and with each
    source by the root of its size: any higher and more fakes would pass. It is never above
    `signs_at`.
    """
    rows = [row for row in rows if not row.synthetic]
    groups = genuine_groups(rows)
    if not groups:
        raise UsageError("thresholds need genuine clips")
    signs_at = max(_reached_by(scores, FALSE_ALARMS) for scores in groups.values())
    raw = np.array([row.raw for row in rows])
    sizes = _sizes(np.array([row.source for row in rows]))
    none_below = max(_quantile(raw, np.ones(raw.size)), _quantile(raw, sizes**-0.5))
    return Thresholds(signs_at, min(none_below, signs_at))


def nested(chosen_on: Sequence[Scored], rows: Sequence[Scored]) -> list[Answer]:
    """Answers to *rows*, each with thresholds that its own source and corpus had no part in."""
    known: dict[tuple[str, str], Thresholds] = {}
    for row in rows:
        key = (row.source, row.corpus)
        if key not in known:
            known[key] = thresholds(
                each for each in chosen_on if each.synthetic or each.source not in key
            )
    return [known[row.source, row.corpus].answer(row.raw) for row in rows]


def rates(rows: Sequence[Scored], data: str) -> tuple[Rate, ...]:
    """What a card quotes: errors at nested thresholds, of k of n, with 95 % intervals.

    False alarms are those of the worst source, with Wilson's interval. The other shares are over
    many sources, whole ones of which are drawn anew for the interval.

    Args:
        rows: as for `fit`.
        data: name of the data set and how it was split.
    """
    answers = nested(rows, rows)
    genuine = [(row, answer) for row, answer in zip(rows, answers, strict=True)
               if not row.synthetic]  # fmt: skip
    fakes = [(row, answer) for row, answer in zip(rows, answers, strict=True) if row.synthetic]
    name, hits, trials, count = worst(genuine)
    low, high = wilson(hits, trials)
    worst_rate = Rate(
        what=Text(
            f"false alarms on the worst of {count} sources of genuine speech ({name})",
            f"fausses alertes sur la pire des {count} sources de parole authentique "
            f"({POOL_FR if name == POOL else name})",
        ),
        hits=hits, trials=trials, low=low, high=high, data=data,
    )  # fmt: skip
    return (
        worst_rate,
        _share(genuine, "signs_of_synthesis", data, Text(
            "false alarms on all genuine clips", "fausses alertes sur l'ensemble des clips "
            "authentiques")),
        _share(fakes, "signs_of_synthesis", data, Text(
            "synthetic clips recognised, of generators never heard",
            "clips synthétiques reconnus, de générateurs jamais entendus")),
        _share(fakes, "no_sign_found", data, Text(
            "synthetic clips in which no sign was found, of generators never heard",
            "clips synthétiques sans indice relevé, de générateurs jamais entendus")),
        _share(genuine, "no_sign_found", data, Text(
            "genuine clips in which no sign was found",
            "clips authentiques sans indice relevé")),
    )  # fmt: skip


def worst(genuine: Sequence[tuple[Scored, Answer]]) -> tuple[str, int, int, int]:
    """Source of genuine speech with the largest share of false alarms: name, hits, trials.

    The last number is how many sources there are, small ones counted as one.
    """
    sizes: dict[str, int] = defaultdict(int)
    for row, _ in genuine:
        sizes[row.source] += 1
    counted: dict[str, list[bool]] = defaultdict(list)
    for row, answer in genuine:
        name = row.source if sizes[row.source] >= FEW else POOL
        counted[name].append(answer == "signs_of_synthesis")
    if not counted:
        return "", 0, 0, 0
    name = max(sorted(counted), key=lambda each: float(np.mean(counted[each])))
    return name, sum(counted[name]), len(counted[name]), len(counted)


def genuine_groups(rows: Iterable[Scored]) -> dict[str, NDArray[np.float64]]:
    """Raw scores of genuine clips by source, small sources pooled."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if not row.synthetic:
            found[row.source].append(row.raw)
    large = {name: np.array(raw) for name, raw in found.items() if len(raw) >= FEW}
    small = [np.array(raw) for raw in found.values() if len(raw) < FEW]
    return large | ({POOL: np.concatenate(small)} if small else {})


def _reached_by(scores: NDArray[np.float64], share: float) -> float:
    """Lowest threshold that at most *share* of *scores* reach."""
    allowed = int(share * scores.size)
    return float(np.nextafter(np.sort(scores)[::-1][allowed], np.inf))


def _quantile(raw: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Lowest threshold with NO_SIGN of the weight below it."""
    order = np.argsort(raw, kind="stable")
    passed = np.cumsum(weight[order]) / weight.sum()
    return float(np.nextafter(raw[order][int(np.searchsorted(passed, NO_SIGN))], np.inf))


def _sizes(sources: NDArray[np.str_]) -> NDArray[np.float64]:
    _, place, counts = np.unique(sources, return_inverse=True, return_counts=True)
    return counts[place].astype(np.float64)


def _weights(sources: NDArray[np.str_], synthetic: NDArray[np.bool_]) -> NDArray[np.float64]:
    weight = _sizes(sources) ** -0.5
    for kind in (False, True):
        weight[synthetic == kind] *= sources.size / 2 / weight[synthetic == kind].sum()
    return weight


def _logistic(
    raw: NDArray[np.float64], synthetic: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Slope and offset by Newton's method, lightly held back: two classes apart stay finite."""
    scale = float(raw.std()) or 1.0
    columns = np.stack((raw / scale, np.ones(raw.size)))
    held, fitted = np.diag((1.0, 1e-6)), np.zeros(2)
    for _ in range(NEWTON_STEPS):
        share = 1 / (1 + np.exp(-np.clip(fitted @ columns, -500, 500)))
        slope = columns @ (weight * (share - synthetic)) + held @ fitted
        bend = (columns * (weight * share * (1 - share))) @ columns.T + held
        fitted -= np.linalg.solve(bend, slope)
    return float(fitted[0]) / scale, float(fitted[1])


def _probability(raw: NDArray[np.float64], slope: float, offset: float) -> NDArray[np.float64]:
    share = 1 / (1 + np.exp(-np.clip(slope * raw + offset, -500, 500)))
    return np.asarray(NEVER_SURE + (1 - 2 * NEVER_SURE) * share, np.float64)


def _resampled(
    sources: NDArray[np.str_], synthetic: NDArray[np.bool_]
) -> Iterable[NDArray[np.intp]]:
    """Rows of whole sources drawn anew within each class."""
    dice = np.random.default_rng(20_261_124)
    places = [
        [np.flatnonzero(sources == name) for name in np.unique(sources[synthetic == kind])]
        for kind in (False, True)
    ]
    for _ in range(RESAMPLES):
        yield np.concatenate([
            own[number] for own in places for number in dice.integers(0, len(own), len(own))
        ])  # fmt: skip


def _share(rows: Sequence[tuple[Scored, Answer]], wanted: Answer, data: str, what: Text) -> Rate:
    """How many of *rows* got the answer *wanted*; the interval draws whole sources anew."""
    hits = [answer == wanted for _, answer in rows]
    _, low, high = roc.share([row.source for row, _ in rows], hits)
    return Rate(what=what, hits=sum(hits), trials=len(rows), low=low, high=high, data=data)
