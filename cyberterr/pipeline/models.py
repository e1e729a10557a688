"""Models of media: a folder with a card and a graph each, shipped or put there by an authority.

A graph is as trusted as the administrator who put it there; onnxruntime runs it, on the CPU.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cyberterr import content
from cyberterr.contracts.examiner import RATE, Model, ModelCard
from cyberterr.errors import MissingPartError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

CARD = "card.toml"
BATCH = 32
"""windows of one call: more is not faster on a CPU, and takes memory"""
LONGEST_S = 60.0
"""of a window: a minute of sound is 4 MB, and 32 of them are one call"""


def models(further: Path | None = None) -> list[Model]:
    """Every shipped model, then those in the folder *further*, each in name order.

    Raises:
        MissingPartError: a model is refused: its card or its graph is not what it should be.
    """
    places = [content.folder("models"), *([further] if further else [])]
    if further and not further.is_dir():
        raise MissingPartError(
            "there is no such folder of models", hint="[media] models", where=str(further)
        )
    folders = [card.parent for place in places for card in sorted(place.glob(f"*/{CARD}"))]
    for place, each in enumerate(folders):
        if each.name in [other.name for other in folders[:place]]:
            raise _refused(each, f"another model is called {each.name!r}, too")
    return [opened(each) for each in folders]


def opened(folder: Path) -> Model:
    """The model in *folder*.

    Raises:
        MissingPartError: as for `models`.
    """
    try:
        card = msgspec.convert(
            tomllib.loads((folder / CARD).read_text(encoding="utf-8")), ModelCard
        )
        graph = (folder / card.graph).read_bytes()
    except (OSError, ValueError) as error:  # msgspec's and tomllib's errors are ValueErrors
        raise _refused(folder, f"its card or graph cannot be read: {error}") from None
    if card.id != folder.name:
        raise _refused(folder, f"its card says it is {card.id!r}")
    if wrong := _wrong(card):
        raise _refused(folder, wrong)
    if hashlib.sha256(graph).hexdigest() != card.sha256:
        raise _refused(folder, "its graph is not the one that the card was measured with")
    known = [examiner.card.id for examiner in content.examiners()]
    if card.detector not in known:
        raise _refused(folder, f"no detector is called {card.detector!r} ({', '.join(known)})")
    return Model(card=card, run=_runner(graph, folder, card))


def _wrong(card: ModelCard) -> str:
    """What no card can say; empty where all is as it should be."""
    c, reference = card.calibration, card.reference
    columns = (c.score, c.low, c.high)
    if not card.measured:
        return "its card quotes no measured rate"
    if not all(0 <= rate.hits <= rate.trials and rate.trials for rate in card.measured):
        return "a measured rate of its card is of no trials, or has more hits than trials"
    if not (card.hop_s > 0 and 0 < card.least_s <= card.window_s <= LONGEST_S):
        return f"hop_s > 0 and 0 < least_s <= window_s <= {LONGEST_S:g} do not hold in its card"
    if len(c.raw) < 2 or any(len(column) != len(c.raw) for column in columns):
        return "the columns of its calibration differ in length, or have less than two rows"
    if any(a >= b for a, b in pairwise(c.raw)) or any(a > b for a, b in pairwise(c.score)):
        return "raw or score of its calibration do not ascend"
    if not all(0 <= low <= high <= 1 for low, high in zip(c.low, c.high, strict=True)):
        return "the intervals of its calibration are none, or leave 0..1"
    if not (c.none_below <= c.signs_at and 0 < c.window_rate < 1):
        return "none_below <= signs_at and 0 < window_rate < 1 do not hold in its calibration"
    if reference and {len(reference.genuine), len(reference.synthetic)} != {
        len(reference.edges_hz) - 1
    }:
        return "its reference has not one range for each band"
    return ""


def _runner(
    graph: bytes, folder: Path, card: ModelCard
) -> Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """The graph of *folder*, tried once on a second of silence."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        run = partial(_run, session, folder)
        score, embedding = run(np.zeros((2, round(max(card.least_s, 1.0) * RATE)), np.float32))
    except MissingPartError:
        raise
    except Exception as error:  # onnxruntime has no base class of its own for them
        told = " ".join(str(error).split())[:200]
        raise _refused(folder, f"its graph does not run: {told}") from None
    if score.shape != (2,) or embedding.ndim != 2:
        raise _refused(folder, "its graph does not give one score and one embedding a window")
    return run


def _run(
    session: InferenceSession, folder: Path, windows: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    import numpy as np

    parts = [
        session.run(["score", "embedding"], {"waveform": windows[first : first + BATCH]})
        for first in range(0, len(windows), BATCH)
    ]
    score, embedding = (np.concatenate(each) for each in zip(*parts, strict=True))
    if not np.isfinite(score).all():
        raise _refused(folder, "its graph gave a score that is no finite number")
    return score, embedding


def _refused(folder: Path, why: str) -> MissingPartError:
    return MissingPartError(
        f"this model is not used: {why}",
        hint="docs/voice.md says what a model's folder holds",
        where=str(folder),
    )
