"""The baseline to beat: how far facts of the file alone tell genuine from synthetic.

A collected set betrays itself by rates, lengths and levels that have nothing to do with voices. A
model that is no better than these has learned the collection.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cyberterr.contracts.examiner import RATE
from cyberterr.errors import CyberterrError
from cyberterr.media import decode
from cyberterr.media.gate import Gate

FOLDS = 5


class Facts(NamedTuple):
    """What a file tells without a look at the voice."""

    values: list[float]
    """stored rate, length, bit rate, codec, level, offset, peak, clipping, silence"""
    ruled_out: str
    """code of the limit for which the quality gate allows no verdict; empty where there is none"""


def facts(path: Path) -> Facts | None:
    """Read *path* once; None where it cannot be read."""
    try:
        with decode.opened(path) as recording:
            container = recording.container
            gate, blocks = Gate(container), [np.zeros(1, np.float32)]
            for block in recording.blocks():
                gate.add(block)
                blocks.append(block)
            sound, native = np.concatenate(blocks), recording.native
    except CyberterrError:
        return None
    limits = gate.quality(native)[1]
    loud = np.abs(sound) > 1e-3
    first = int(loud.argmax()) if loud.any() else sound.size
    values = [
        float(container.rate),
        native.seconds,
        float(container.bit_rate or 0),
        float(sum(container.codec.encode())),  # a number per codec; trees need no order
        float(np.log10(np.sqrt((sound.astype(np.float64) ** 2).mean()) + 1e-9)),
        abs(native.offset),
        native.peak,
        native.clipped,
        first / RATE,
        float(loud.mean()),
    ]
    return Facts(values, next((limit.code for limit in limits if limit.decisive), ""))


def scores(
    table: NDArray[np.float64],
    synthetic: NDArray[np.bool_],
    sources: Sequence[str],
    corpora: Sequence[str],
) -> NDArray[np.float64]:
    """Score (n,) of each row, by boosted trees that saw neither its source nor its corpus.

    Args:
        table: (n, facts), each row the `values` of a file.
        synthetic: labels (n,).
        sources: generator, or corpus of a genuine clip.
        corpora: whose voices it speaks.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    own, spoken = np.array(sources), np.array(corpora)
    fold = _dealt(own)
    found = np.full(len(own), np.nan)
    for number in range(FOLDS):
        test = fold == number
        heldout = set(own[test & ~synthetic])
        train = ~test & ~np.isin(spoken, list(heldout))
        if not test.any() or len(set(synthetic[train])) < 2:
            continue
        trees = HistGradientBoostingClassifier(
            max_iter=100, random_state=0, class_weight="balanced", early_stopping=False
        )
        trees.fit(table[train], synthetic[train])
        found[test] = trees.predict_proba(table[test])[:, 1]
    return found


def _dealt(sources: NDArray[np.str_]) -> NDArray[np.intp]:
    """Fold (n,) of each row: sources, large ones first, each to the fold with the fewest rows."""
    names, place, counts = np.unique(sources, return_inverse=True, return_counts=True)
    load, hand = np.zeros(FOLDS, np.intp), np.zeros(names.size, np.intp)
    for name in np.argsort(-counts, kind="stable"):
        hand[name] = load.argmin()
        load[hand[name]] += counts[name]
    return hand[place]
