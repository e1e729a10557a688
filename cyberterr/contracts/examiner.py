"""How a detector of media works: measure windows as they come, then judge the clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import msgspec

from cyberterr.contracts.measure import Measure, Text
from cyberterr.contracts.media import Evidence, Kind, Limit, Rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 16_000
"""Hz: the rate at which every model listens"""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """From the raw score of a model to a probability with an interval, and to an answer."""

    raw: tuple[float, ...]
    """raw scores, ascending; between two of them the rest is interpolated"""
    score: tuple[float, ...]
    """probability of synthesis at each, where as many are genuine as synthetic; ascending"""
    low: tuple[float, ...]
    """ends of the 95 % interval of that probability"""
    high: tuple[float, ...]
    signs_at: float
    """raw score of a clip from which on *signs of synthesis* is said"""
    none_below: float
    """raw score of a clip below which *no sign found* is said"""
    window_at: float
    """raw score of one window from which on it counts as suspicious"""
    window_rate: float
    """share of genuine windows that reach it at most, on the worst source"""
    name: Text
    """what it was made from"""

    def of(self, raw: float) -> tuple[float, float, float]:
        """Calibrated score and its interval, each 0..1, at *raw*."""
        import numpy as np

        score, low, high = (
            float(np.interp(raw, self.raw, column)) for column in (self.score, self.low, self.high)
        )
        return score, low, high


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What genuine and synthetic material look like, band by band, in the training data."""

    edges_hz: tuple[float, ...]
    """n + 1 edges of n bands"""
    measure: Text
    """what is measured in each band, with its unit"""
    genuine: tuple[tuple[float, float], ...]
    """10th and 90th percentile in each band"""
    synthetic: tuple[tuple[float, float], ...]


class ModelCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`card.toml` of a model's folder: what an auditor reads before trusting it."""

    id: str
    """equals the folder's name"""
    version: str
    detector: str
    """id of the detector that works with it"""
    kind: Kind
    graph: str = "weights.onnx"
    sha256: str
    """of the graph; a graph that differs is refused"""
    window_s: float
    """length of a window; shorter clips are given whole"""
    hop_s: float
    least_s: float
    """shortest clip it can judge"""
    trained_on: Text
    measured: tuple[Rate, ...]
    """at least one, or the model is refused"""
    blind_spots: tuple[Text, ...]
    licence: Text
    """of the weights and of the material they were trained on"""
    made_by: str
    """command that reproduces it"""
    calibration: Calibration
    reference: Reference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An opened model: its card and its graph."""

    card: ModelCard
    run: Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
    """windows (n, samples) at RATE → raw scores (n,) and embeddings (n, d)"""

    @property
    def name(self) -> str:
        """Id and version."""
        return f"{self.card.id} {self.card.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of sound that was judged."""

    start: float
    """seconds from the start of the clip"""
    samples: NDArray[np.float32]
    """(n,), mono at RATE, -1..1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What is known of a file once it was decoded to its end, in bounded memory."""

    kind: Kind
    seconds: float
    starts: NDArray[np.float64]
    """(n,) seconds at which each judged window starts, ascending"""
    loudest: Sequence[Window]
    """the windows with the highest raw scores of this model, worst first, at most eight"""
    quality: tuple[Measure, ...]
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminerCard:
    """What an auditor reads about a detector of media before trusting it."""

    id: str
    """equals the file's name"""
    families: tuple[str, ...]
    kinds: tuple[Kind, ...]
    question: Text
    proof: str
    blind_spots: tuple[Text, ...]
    innocent: tuple[Text, ...]
    attack: tuple[str, ...]
    cost: str


class Examiner(Protocol):
    """One file of `detectors/` that examines media: a plain object with a card and two methods."""

    card: ExaminerCard

    def measure(self, windows: NDArray[np.float32], model: Model) -> NDArray[np.float32]:
        """Raw score (n,) of each of *windows* (n, samples); no window depends on another."""
        ...

    def judge(self, raw: NDArray[np.float32], clip: Clip, model: Model) -> Evidence:
        """What *model* says of *clip*, whose windows got the raw scores *raw* (n,)."""
        ...


def band_levels(samples: NDArray[np.float32], edges_hz: Sequence[float]) -> NDArray[np.float64]:
    """Power of each band of *samples* (n,) at RATE relative to the whole, in dB, (bands,)."""
    import numpy as np

    power = np.abs(np.fft.rfft(samples * np.hanning(samples.size))) ** 2
    places = np.searchsorted(np.fft.rfftfreq(samples.size, 1 / RATE), edges_hz)
    whole = power.sum() + 1e-20
    parts = [power[low:high].sum() for low, high in pairwise(places)]
    return np.asarray(10 * np.log10(np.array(parts) / whole + 1e-12), np.float64)


def without_band(
    samples: NDArray[np.float32], low_hz: float, high_hz: float
) -> NDArray[np.float32]:
    """*samples* (n,) at RATE with the frequencies from *low_hz* to *high_hz* taken away."""
    import numpy as np

    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(samples.size, 1 / RATE)
    spectrum[(hertz >= low_hz) & (hertz < high_hz)] = 0
    return np.fft.irfft(spectrum, samples.size).astype(np.float32)
