"""Models of media: a folder with a card and a graph each, shipped or put there by an authority.

A graph is as trusted as the administrator who put it there; onnxruntime runs it, on the CPU.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from functools import partial
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
    cards = [card for place in places for card in sorted(place.glob(f"*/{CARD}"))]
    return [opened(card.parent) for card in cards]


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
    if not card.measured:
        raise _refused(folder, "its card quotes no measured rate")
    if hashlib.sha256(graph).hexdigest() != card.sha256:
        raise _refused(folder, "its graph is not the one that the card was measured with")
    known = [examiner.card.id for examiner in content.examiners()]
    if card.detector not in known:
        raise _refused(folder, f"no detector is called {card.detector!r} ({', '.join(known)})")
    return Model(card=card, run=_runner(graph, folder, card))


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
        run = partial(_run, session)
        score, embedding = run(np.zeros((2, round(max(card.least_s, 1.0) * RATE)), np.float32))
    except Exception as error:  # onnxruntime has no base class of its own for them
        told = " ".join(str(error).split())[:200]
        raise _refused(folder, f"its graph does not run: {told}") from None
    if score.shape != (2,) or embedding.ndim != 2 or not np.isfinite(score).all():
        raise _refused(folder, "its graph does not give one score and one embedding a window")
    return run


def _run(
    session: InferenceSession, windows: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    import numpy as np

    parts = [
        session.run(["score", "embedding"], {"waveform": windows[first : first + BATCH]})
        for first in range(0, len(windows), BATCH)
    ]
    score, embedding = (np.concatenate(each) for each in zip(*parts, strict=True))
    return score, embedding


def _refused(folder: Path, why: str) -> MissingPartError:
    return MissingPartError(
        f"this model is not used: {why}",
        hint="docs/voice.md says what a model's folder holds",
        where=str(folder),
    )
