"""What a recording is good for: measured before any score, so that *cannot say* has a reason.

Nothing here looks at whether a voice is genuine. Every threshold was chosen on both labels alike:
`benchmarks/audio/gate.py` prints how many clips of each pass, clean and damaged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cyberterr.contracts.measure import Measure, Text
from cyberterr.contracts.media import Limit
from cyberterr.media.recording import Container, Native
from cyberterr.media.speech import FRAME_S, Speech

LEAST_SPEECH_S = 1.5
"""below it, two windows of one recording no longer agree"""
NARROW_HZ = 4_800.0
"""a telephone line ends at 3.4 to 4 kHz; what tells synthesis from speech lies above as well"""
NOISY_DB = 14.0
"""speech over background below which the background is judged rather than the voice"""
CLIPPED = 0.02
"""share of samples cut off at the largest value"""
STEADY = 0.12
"""share of quiet moments below which a sound is no speech: music, a tone, a machine"""
QUIET_DB = -60.0
"""loudness of the speech below which a recording is mostly the noise of its own converter"""
LOWEST_BIT_RATE = {
    "mp3": 32_000,
    "mp3float": 32_000,
    "aac": 32_000,
    "opus": 12_000,
    "vorbis": 32_000,
    "wmav1": 32_000,
    "wmav2": 32_000,
}
"""bits per second below which nothing was measured; each is where the tests of the model end"""
DEEP_DB = 65.0
"""how far below the strongest band the used band ends"""

_LEVELS = np.arange(-120.0, 1.0)


class Gate:
    """Adds up over blocks of mono sound at RATE; `quality` tells what was measured."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._speech = Speech()
        self._levels = np.zeros((2, _LEVELS.size), np.int64)  # frames by loudness: rest, speech
        self._quiet = self._seconds = 0.0
        self._recent = np.empty(0)

    def add(self, block: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Take in the next samples (n,); whether each frame that is now whole is speech."""
        frames, speech = self._speech.add(block)
        power = (frames.astype(np.float64) ** 2).mean(axis=1)
        level = 10 * np.log10(power + 1e-12)
        place = np.clip(np.round(level + 120), 0, _LEVELS.size - 1).astype(int)
        for kind in (0, 1):
            self._levels[kind] += np.bincount(place[speech == kind], minlength=_LEVELS.size)
        self._pauses(np.sqrt(power))
        return speech

    def quality(self, native: Native) -> tuple[tuple[Measure, ...], tuple[Limit, ...]]:
        """What was measured, and what it rules out; *native* as the decoder told it at the end."""
        speech_s = float(self._levels[1].sum() * FRAME_S)
        loudness = _percentile(self._levels[1], 50)
        distance = _percentile(self._levels.sum(axis=0), 90) - _percentile(
            self._levels.sum(axis=0), 10
        )
        band = bandwidth(native)
        pauses = self._quiet / self._seconds if self._seconds else 0.0
        kbit = (self._container.bit_rate or 0) / 1000
        measures = (
            _measure("speech", speech_s, "seconds", LEAST_SPEECH_S, "Seconds of speech",
                     "Secondes de parole"),
            _measure("bandwidth", band, "Hz", NARROW_HZ, "Highest frequency used",
                     "Plus haute fréquence utilisée"),
            _measure("noise_distance", distance, "dB", NOISY_DB, "Speech above background",
                     "Parole au-dessus du fond sonore"),
            _measure("clipped", native.clipped, "share", CLIPPED, "Cut off by overload",
                     "Écrêté par saturation"),
            _measure("pauses", pauses, "share", STEADY, "Quiet moments, as in speech",
                     "Moments calmes, comme dans la parole"),
            _measure("loudness", loudness, "dB", QUIET_DB, "Loudness of the speech",
                     "Niveau de la parole"),
            *((_measure("bit_rate", kbit, "kbit/s", None, "Bit rate", "Débit binaire"),)
              if kbit else ()),
        )  # fmt: skip
        limits = [
            *self._decisive(speech_s, band, distance, pauses, loudness, native),
            *self._notices(native),
        ]
        return measures, tuple(limits)

    def _decisive(
        self,
        speech_s: float,
        band: float,
        distance: float,
        pauses: float,
        loudness: float,
        native: Native,
    ) -> list[Limit]:
        codec, rate = self._container.codec, self._container.bit_rate
        lowest = LOWEST_BIT_RATE.get(codec, 0)
        found = []
        if speech_s < LEAST_SPEECH_S:
            found.append(_limit(
                "too_little_speech",
                f"Only {speech_s:.1f} s of speech were heard; {LEAST_SPEECH_S} s are needed.",
                f"Seules {speech_s:.1f} s de parole ont été entendues ; il en faut "
                f"{LEAST_SPEECH_S}.".replace(".", ",", 2),
            ))  # fmt: skip
            return found  # the rest says little about silence
        if pauses < STEADY:
            found.append(_limit(
                "no_speech_rhythm",
                "It sounds without the pauses of speech: music, a tone, or a machine.",
                "Le son n'a pas les pauses de la parole : musique, tonalité ou machine.",
            ))  # fmt: skip
        if band < NARROW_HZ:
            found.append(_limit(
                "narrow_band",
                f"The sound ends at {band / 1000:.1f} kHz, as on a telephone: too little is left.",
                f"Le son s'arrête à {band / 1000:.1f} kHz, comme au téléphone : trop peu en "
                "reste.".replace(".", ",", 1),
            ))  # fmt: skip
        if distance < NOISY_DB:
            found.append(_limit(
                "noisy",
                "The background is nearly as loud as the voice.",
                "Le fond sonore est presque aussi fort que la voix.",
            ))  # fmt: skip
        if native.clipped > CLIPPED:
            found.append(_limit(
                "clipped",
                "The recording is overloaded: its peaks are cut off.",
                "L'enregistrement est saturé : ses crêtes sont coupées.",
            ))  # fmt: skip
        if loudness < QUIET_DB:
            found.append(_limit(
                "too_quiet", "The voice is too quiet.", "La voix est trop faible."
            ))  # fmt: skip
        if rate and rate < lowest:
            found.append(_limit(
                "low_bit_rate",
                f"It was compressed to {rate / 1000:.0f} kbit/s; below {lowest / 1000:.0f} "
                "nothing was measured.",
                f"Il a été compressé à {rate / 1000:.0f} kbit/s ; en dessous de "
                f"{lowest / 1000:.0f}, rien n'a été mesuré.",
            ))  # fmt: skip
        return found

    def _notices(self, native: Native) -> list[Limit]:
        found = []
        if native.cut or native.damaged:
            found.append(_limit(
                "damaged",
                f"The file is cut off or damaged: {native.seconds:.0f} s could be decoded.",
                f"Le fichier est coupé ou abîmé : {native.seconds:.0f} s ont pu être décodées.",
                decisive=False,
            ))  # fmt: skip
        if self._container.tracks > 1:
            found.append(_limit(
                "other_tracks",
                f"Only the first of {self._container.tracks} sound tracks was heard.",
                f"Seule la première des {self._container.tracks} pistes sonores a été écoutée.",
                decisive=False,
            ))  # fmt: skip
        if self._container.film:
            found.append(_limit(
                "moving_picture",
                "Only the sound was examined, not the moving picture.",
                "Seul le son a été examiné, pas l'image animée.",
                decisive=False,
            ))  # fmt: skip
        return found

    def _pauses(self, level: NDArray[np.float64]) -> None:
        """Count moments quieter than half of their second's mean (Scheirer and Slaney 1997)."""
        known = np.concatenate((self._recent, level))
        second = round(1 / FRAME_S)
        count = known.size // second
        self._recent = known[count * second :]
        seconds = known[: count * second].reshape(count, second)
        mean = seconds.mean(axis=1, keepdims=True)
        heard = mean[:, 0] > 10 ** (QUIET_DB / 20)
        self._quiet += float((seconds < 0.5 * mean)[heard].mean(axis=1).sum())
        self._seconds += int(heard.sum())


def bandwidth(native: Native) -> float:
    """Highest frequency, in Hz, at which there is sound within DEEP_DB of the strongest band."""
    power = np.array(native.power_db)
    edges = np.array(native.edges_hz)
    used = np.flatnonzero(power > power.max() - DEEP_DB)
    return float(edges[used[-1] + 1])


def _percentile(counts: NDArray[np.int64], percent: float) -> float:
    total = counts.sum()
    if not total:
        return float(_LEVELS[0])
    return float(_LEVELS[np.searchsorted(counts.cumsum(), total * percent / 100)])


def _measure(
    name: str, value: float, unit: str, baseline: float | None, en: str, fr: str
) -> Measure:
    rounded = float(f"{value:.4g}")
    return Measure(name=name, value=rounded, unit=unit, baseline=baseline, label=Text(en, fr))


def _limit(code: str, en: str, fr: str, *, decisive: bool = True) -> Limit:
    return Limit(code=code, text=Text(en, fr), decisive=decisive)
