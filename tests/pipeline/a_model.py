"""A model for tests: it takes what is loud for synthetic, so that truth is in our hands."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from cyberterr import content
from cyberterr.config import Media, Settings
from tests.media import sounds

GRAPH = Path(__file__).parents[1] / "data" / "media" / "loudness.onnx"
"""score = 10 × mean of the absolute samples, embedding = score; made with onnx.helper"""
SIGNS_AT, NONE_BELOW = 0.6, 0.3

CARD = """
id = "loudness"
version = "1"
detector = "voice"
kind = "audio"
graph = "loudness.onnx"
sha256 = "{sha256}"
window_s = 4.0
hop_s = 2.0
least_s = 1.0
trained_on = {{ en = "nothing", fr = "rien" }}
licence = {{ en = "as the project", fr = "comme le projet" }}
made_by = "tests"
blind_spots = []

[[measured]]
what = {{ en = "a rate", fr = "un taux" }}
hits = 1
trials = 20
low = 0.0
high = 0.2
data = "test"

[calibration]
raw = [-1.0, 0.5, 3.0]
score = [0.01, 0.5, 0.99]
low = [0.0, 0.4, 0.9]
high = [0.1, 0.6, 1.0]
signs_at = 0.6
none_below = 0.3
window_at = 0.6
window_rate = 0.1
name = {{ en = "as shipped", fr = "celui d'origine" }}
"""


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that find the model in *folder*, and it alone: shipped ones would vote with it."""
    find = content.folder
    monkeypatch.setattr(
        content, "folder", lambda kind: folder / "none" if kind == "models" else find(kind)
    )
    place = folder / "loudness"
    place.mkdir(parents=True)
    shutil.copy(GRAPH, place)
    digest = hashlib.sha256(GRAPH.read_bytes()).hexdigest()
    (place / "card.toml").write_text(CARD.format(sha256=digest), encoding="utf-8")
    return Settings(media=Media(models=str(folder)))


def speech(path: Path, raw: float, number: int) -> None:
    """Write five seconds that this model scores about *raw*; each *number* is another file."""
    whole = sounds.samples()
    start = 600 * number
    part = whole[start : start + 5 * sounds.RATE]
    part = part * np.float32(raw / 10 / np.abs(part).mean())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sounds.encoded(part, "wav"))
