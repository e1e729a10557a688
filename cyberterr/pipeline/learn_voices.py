"""Own genuine recordings tell how often one's own recording chain would be accused in vain."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cyberterr.config import Settings
from cyberterr.contracts.examiner import Calibration, Model
from cyberterr.contracts.measure import Text
from cyberterr.contracts.media import Media
from cyberterr.errors import MissingPartError, UsageError
from cyberterr.pipeline import voices
from cyberterr.pipeline.calibration import FALSE_ALARMS
from cyberterr.pipeline.models import models
from cyberterr.pipeline.verify import Failed, Progress, verify

LEAST = 20
"""recordings: of 19 or fewer not even the highest score holds false alarms to one in twenty"""
LEAST_SPEECH_S = 60.0
OFF_SCALE = 1e300
"""raw score of a recording beyond the calibration's last knot; JSON has no infinity"""


class Learned(NamedTuple):
    """What one run kept."""

    own: voices.Own
    path: Path
    shipped_at: float
    """raw score from which on *signs* was said before"""
    failed: tuple[Failed, ...]
    """recordings that could not be read, and had no part in it"""

    @property
    def alarms(self) -> int:
        """Recordings that reach the shipped threshold, each a false alarm."""
        return sum(raw >= self.shipped_at for raw in self.own.raw)

    @property
    def raised(self) -> bool:
        """Whether anything changes."""
        return self.own.signs_at > self.shipped_at


def learn_voices(paths: Sequence[str], settings: Settings, progress: Progress) -> list[Learned]:
    """Calibrate every model on *paths*, recordings known to be genuine, and keep the result.

    Each recording is one trial, however long it is: pieces of one meeting share voices, room and
    machine. The threshold is the score that at most one in twenty further recordings of the same
    chain is expected to reach (split conformal prediction, Vovk 2005), and never below the
    shipped one.

    Raises:
        MissingPartError: no model is installed, or one is refused.
        UsageError: fewer than LEAST recordings, or LEAST_SPEECH_S of speech, can be judged.
    """
    opened = models(Path(settings.media.models) if settings.media.models else None)
    if not opened:
        raise MissingPartError(
            "no model that listens to voices is installed: there is nothing to calibrate",
            hint="put a model's folder where [media] models says",
        )
    heard: dict[str, Media] = {}
    failed, set_aside = [], 0
    for each in verify(paths, settings, None, progress):
        if isinstance(each, Failed):
            failed.append(each)
            continue
        media = each.finding.media
        if media and media.sha256 not in heard and _inside(media):
            heard[media.sha256] = media
        else:
            set_aside += 1
    speech_s = sum(_speech(media) for media in heard.values())
    if len(heard) < LEAST or speech_s < LEAST_SPEECH_S:
        raise UsageError(
            f"{len(heard)} recordings with {speech_s:.0f} s of speech can be judged; at least "
            f"{LEAST} with {LEAST_SPEECH_S:.0f} s are needed: with fewer, false alarms in one "
            "recording of twenty cannot be told from none",
            hint="add recordings of other days, rooms and people; pieces of one recording say "
            f"little more than the whole ({set_aside} were set aside as too short, noisy, "
            f"narrow-band or there twice, {len(failed)} could not be read)",
        )
    kept = []
    for model in opened:
        own = _own(model, heard, speech_s, set_aside)
        shipped_at = model.card.calibration.signs_at
        kept.append(Learned(own, voices.keep(own), shipped_at, tuple(failed)))
    return kept


def conformal(raw: Sequence[float], share: float = FALSE_ALARMS) -> float:
    """Score that a further recording like these *n* reaches with at most the chance *share*.

    Infinite where n is too small for it: below 1 / *share* - 1.
    """
    place = math.ceil((len(raw) + 1) * (1 - share))
    if place > len(raw):
        return math.inf
    return float(np.nextafter(sorted(raw)[place - 1], np.inf))


def raw_of(score: float, calibration: Calibration) -> float:
    """The raw score that *calibration* turns into *score*; OFF_SCALE from its last knot on."""
    if score >= calibration.score[-1]:
        return OFF_SCALE
    return float(np.interp(score, calibration.score, calibration.raw))


def _inside(media: Media) -> bool:
    """Whether nothing rules a verdict out but the score itself."""
    ruled_out = any(limit.decisive for limit in media.limits if limit.code != "models_disagree")
    return not ruled_out and all(each.score is not None for each in media.evidence)


def _speech(media: Media) -> float:
    return next((each.value for each in media.quality if each.name == "speech"), 0.0)


def _own(model: Model, heard: dict[str, Media], speech_s: float, set_aside: int) -> voices.Own:
    calibration = model.card.calibration
    raw = sorted(
        raw_of(each.score or 0.0, calibration)
        for media in heard.values()
        for each in media.evidence
        if each.model == model.name
    )
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return voices.Own(
        model=model.card.id,
        graph=model.card.sha256,
        learned=today,
        signs_at=max(conformal(raw), calibration.signs_at),
        raw=tuple(raw),
        recordings=tuple(sorted(heard)),
        speech_s=round(speech_s, 1),
        set_aside=set_aside,
        name=Text(
            f"as shipped, and the authority's own {len(raw)} genuine recordings ({today}): at "
            f"most 1 in 20 further ones like them is expected to be accused",
            f"celui d'origine, et {len(raw)} enregistrements authentiques de la collectivité "
            f"({today}) : au plus 1 sur 20 du même type devrait être mis en cause à tort",
        ),
    )
