"""What is left out together when the model is measured: families of generators and their corpora.

A partition divides all clips into folds. The test side of a fold holds a group of generators and a
group of corpora with every genuine clip of theirs; the training side holds no generator and no
corpus of the test side. Each clip is on the test side once per partition.
"""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GENERATOR_FOLDS = 6


@dataclass(frozen=True)
class Clip:
    """One row of MANIFEST.csv."""

    file: str
    synthetic: bool
    generator: str
    corpus: str
    language: str
    family: str  # of the generator; "genuine" where there is none

    @property
    def source(self) -> str:
        """What made the clip: its generator, or its corpus if it is genuine."""
        return self.generator or self.corpus


@dataclass(frozen=True)
class Fold:
    """Rows to train on and rows to test on."""

    name: str
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def read_manifest(folder: Path) -> list[Clip]:
    """Read MANIFEST.csv and look up the family of every generator.

    Raises:
        KeyError: A generator is missing from families.toml.
    """
    table = tomllib.loads((Path(__file__).parent / "families.toml").read_text())
    family = {name: kind for kind, names in table.items() for name in names} | {"": "genuine"}
    with (folder / "MANIFEST.csv").open(newline="") as file:
        return [
            Clip(
                file=row["file"],
                synthetic=row["label"] == "spoof",
                generator=row["generator"],
                corpus=row["corpus"].replace("LinTO-fr", "LinTO"),
                language=row["language"],
                family=family[row["generator"]],
            )
            for row in csv.DictReader(file)
        ]


def _deal(
    names: list[str],
    sizes: dict[str, int],
    hands: int,
    dice: np.random.Generator,
    held: dict[str, int] | None = None,
) -> dict[str, int]:
    """Deal names to hands, large ones first, each to the hand with the least so far."""
    dealt = dict(held or {})
    load = np.zeros(hands)
    for name, hand in dealt.items():
        load[hand] += sizes.get(name, 0)
    for name in sorted(names, key=lambda name: -sizes[name] * dice.uniform(0.5, 2)):
        if name not in dealt:
            dealt[name] = int(np.argmin(load + dice.uniform(0, 0.25 * (load.mean() + 10), hands)))
            load[dealt[name]] += sizes[name]
    return dealt


def _affine(clips: list[Clip], families: list[str], dice: np.random.Generator) -> dict[str, int]:
    """Give each family, in random order, one large corpus that its own clips speak."""
    held: dict[str, int] = {}
    genuine = {clip.corpus for clip in clips if not clip.synthetic}
    for hand in dice.permutation(len(families)):
        spoken: dict[str, int] = {}
        for clip in clips:
            if clip.family == families[hand] and clip.corpus in genuine:
                spoken[clip.corpus] = spoken.get(clip.corpus, 0) + 1
        free = [name for name in spoken if name not in held]
        if free:
            weight = np.array([spoken[name] for name in free], float)
            held[str(dice.choice(free, p=weight / weight.sum()))] = int(hand)
    return held


def partition(clips: list[Clip], scheme: str, seed: int) -> list[Fold]:
    """Divide the clips into folds.

    Args:
        clips: All clips.
        scheme: `family` leaves a whole family out with a group of corpora, among them one that the
            family speaks; `generator` leaves a group of generators and one of corpora out.
        seed: Another seed groups generators and corpora otherwise.
    """
    dice = np.random.default_rng([seed, len(scheme)])
    corpus_size: dict[str, int] = {}
    unit_size: dict[str, int] = {}
    for clip in clips:
        unit = clip.family if scheme == "family" else clip.generator
        if clip.synthetic:
            unit_size[unit] = unit_size.get(unit, 0) + 1
        else:
            corpus_size[clip.corpus] = corpus_size.get(clip.corpus, 0) + 1
    units = sorted(unit_size)
    if scheme == "family":
        unit_fold = {unit: hand for hand, unit in enumerate(units)}
        held = _affine(clips, units, dice)
        corpus_fold = _deal(sorted(corpus_size), corpus_size, len(units), dice, held)
    else:
        unit_fold = _deal(units, unit_size, GENERATOR_FOLDS, dice)
        corpus_fold = _deal(sorted(corpus_size), corpus_size, GENERATOR_FOLDS, dice)
    folds = []
    for hand in range(max(unit_fold.values()) + 1):
        test, train = [], []
        for row, clip in enumerate(clips):
            unit = clip.family if scheme == "family" else clip.generator
            if (unit_fold[unit] if clip.synthetic else corpus_fold[clip.corpus]) == hand:
                test.append(row)
            elif corpus_fold.get(clip.corpus) != hand:
                train.append(row)  # a fake of a left-out corpus is on neither side
        name = units[hand] if scheme == "family" else f"group {hand + 1}"
        folds.append(Fold(name, np.array(train), np.array(test)))
    return folds
