"""Synthetic voice: does the spectrum of this speech move as that of people or of machines?"""

from __future__ import annotations

from math import exp, fsum, lgamma, log, log1p
from typing import TYPE_CHECKING

import numpy as np

from cyberterr.contracts.examiner import (
    Calibration,
    Clip,
    ExaminerCard,
    Model,
    band_levels,
    without_band,
)
from cyberterr.contracts.measure import Text
from cyberterr.contracts.media import Answer, Band, Evidence, Segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANCE = 0.01
"""how often genuine recordings may have so many suspicious windows by chance"""
FEW_WINDOWS = 8
"""below it parts are not judged apart: the mean says as much"""
MOST_SEGMENTS = 2_000

BLIND = (
    Text(
        "Generators that came after the training data, and those that copy a voice best, are often "
        "missed.",
        "Les générateurs postérieurs aux données d'apprentissage, et ceux qui imitent le mieux, "
        "échappent souvent.",
    ),
    Text(
        "A few false words in a genuine recording, and genuine sentences cut and joined.",
        "Quelques mots faux dans un enregistrement authentique, ou des phrases vraies coupées et "
        "recollées.",
    ),
    Text(
        "Whether several people speak, who they are, and whether what they say is true.",
        "Si plusieurs personnes parlent, qui elles sont, et si ce qu'elles disent est vrai.",
    ),
)
INNOCENT = (
    Text(
        "Strong compression, as messengers and old recorders apply.",
        "Une forte compression, comme celle des messageries et d'anciens enregistreurs.",
    ),
    Text(
        "Noise suppression or studio processing of a genuine voice.",
        "Un débruitage ou un traitement de studio d'une voix authentique.",
    ),
    Text(
        "A recording of a loudspeaker, or of an announcement made by machine on purpose.",
        "L'enregistrement d'un haut-parleur, ou une annonce vocale automatique légitime.",
    ),
)


class Voice:
    """One model listens to windows of four seconds; the mean decides, and parts are counted."""

    card = ExaminerCard(
        id="voice",
        families=("synthetic_voice",),
        kinds=("audio", "video"),
        question=Text(
            "Are there signs that this speech was made by a machine?",
            "Y a-t-il des indices que cette parole a été produite par une machine ?",
        ),
        proof="how the bands of the spectrum move together, compared with genuine recordings and "
        "with the output of speech generators",
        blind_spots=BLIND,
        innocent=INNOCENT,
        attack=("T1656",),  # impersonation
        cost="one pass of a small model over every four seconds",
    )

    def measure(self, windows: NDArray[np.float32], model: Model) -> NDArray[np.float32]:
        """Raw score (n,) of each of *windows* (n, samples)."""
        return model.run(windows)[0]

    def judge(self, raw: NDArray[np.float32], clip: Clip, model: Model) -> Evidence:
        """Judge the clip by the mean of its windows; a long one also by how many stand out.

        Parts: that at least k of n windows of a genuine recording reach `window_at` has the
        probability P(X ≥ k), X ~ Binomial(n, window_rate); n is what was tried, so a meeting of
        four hours is not accused for its loudest minute.
        """
        calibration = model.card.calibration
        if not raw.size:
            return self._unheard(model)
        mean = float(raw.mean(dtype=np.float64))
        score, low, high = calibration.of(mean)
        answer, reason = _answer(mean, calibration)
        standing_out = int((raw >= calibration.window_at).sum())
        if answer != "signs_of_synthesis" and raw.size >= FEW_WINDOWS:
            chance = at_least(standing_out, raw.size, calibration.window_rate)
            if chance < CHANCE:
                answer, reason = "cannot_say", _parts(standing_out, raw.size)
        return Evidence(
            head=self.card.id,
            model=model.name,
            answer=answer,
            score=score,
            interval=(low, high),
            rates=model.card.measured,
            reason=reason,
            calibration=calibration.name,
            segments=_timeline(raw, clip, model),
            bands=self._bands(clip, model),
        )

    def _unheard(self, model: Model) -> Evidence:
        return Evidence(
            head=self.card.id,
            model=model.name,
            answer="cannot_say",
            score=None,
            interval=None,
            rates=model.card.measured,
            reason=Text(
                f"No {model.card.least_s:g} seconds of speech were heard.",
                f"Moins de {model.card.least_s:g} secondes de parole ont été entendues.",
            ),
            calibration=model.card.calibration.name,
        )

    def _bands(self, clip: Clip, model: Model) -> tuple[Band, ...]:
        """What the model looked at, on the window with the highest score, band by band."""
        reference = model.card.reference
        if reference is None or not clip.loudest:
            return ()
        samples = clip.loudest[0].samples
        edges = list(zip(reference.edges_hz, reference.edges_hz[1:], strict=False))
        without = np.stack([samples, *(without_band(samples, *edge) for edge in edges)])
        scores = [
            model.card.calibration.of(float(each))[0] for each in self.measure(without, model)
        ]
        levels = band_levels(samples, reference.edges_hz)
        return tuple(
            Band(
                low_hz=low,
                high_hz=high,
                value=round(float(levels[place]), 1),
                genuine=reference.genuine[place],
                synthetic=reference.synthetic[place],
                weight=round(scores[0] - scores[place + 1], 4),
            )
            for place, (low, high) in enumerate(edges)
        )


def at_least(hits: int, trials: int, rate: float) -> float:
    """P(X ≥ *hits*) of X ~ Binomial(*trials*, *rate*), 0 < *rate* < 1."""
    few = range(hits)
    logs = [
        lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1)
        + k * log(rate) + (trials - k) * log1p(-rate)
        for k in few
    ]  # fmt: skip
    return max(0.0, 1.0 - fsum(map(exp, logs)))


def _answer(mean: float, calibration: Calibration) -> tuple[Answer, Text]:
    if mean >= calibration.signs_at:
        return "signs_of_synthesis", Text(
            "The spectrum of the voice moves as it does in machine-made speech.",
            "Le spectre de la voix évolue comme dans une parole produite par une machine.",
        )
    if mean < calibration.none_below:
        return "no_sign_found", Text(
            "The spectrum of the voice moves as in genuine recordings; this proves nothing.",
            "Le spectre de la voix évolue comme dans des enregistrements authentiques ; cela ne "
            "prouve rien.",
        )
    return "cannot_say", Text(
        "The voice lies where genuine and synthetic ones overlap.",
        "La voix se situe là où voix authentiques et synthétiques se confondent.",
    )


def _parts(hits: int, trials: int) -> Text:
    return Text(
        f"{hits} of {trials} windows stand out, more than chance explains: these parts deserve a "
        "listen.",
        f"{hits} fenêtres sur {trials} se détachent, plus que le hasard ne l'explique : ces "
        "passages méritent une écoute.",
    )


def _timeline(raw: NDArray[np.float32], clip: Clip, model: Model) -> tuple[Segment, ...]:
    """Segments of equal numbers of windows, at most MOST_SEGMENTS, each with its mean score."""
    each = -(-raw.size // MOST_SEGMENTS)
    found = []
    for first in range(0, raw.size, each):
        part = raw[first : first + each]
        last = float(clip.starts[first + part.size - 1])
        found.append(
            Segment(
                start=round(float(clip.starts[first]), 2),
                end=round(min(last + model.card.window_s, clip.seconds), 2),
                score=round(model.card.calibration.of(float(part.mean(dtype=np.float64)))[0], 4),
            )
        )
    return tuple(found)


DETECTOR = Voice()
