"""Copies of a clip as it would arrive: re-encoded, noisy, in a room, from a telephone.

Every copy is a pure function of the wave, its kind and a seeded generator. Both labels get the same
kinds with the same odds, and narrow-band ones among them: in the collected data all 8 kHz clips are
genuine, which a classifier would otherwise learn.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy import signal

Wave = NDArray[np.float32]
Dice = np.random.Generator

RATE = 16_000
CODECS: dict[str, tuple[str, str, int, int]] = {
    # kind: container, encoder, sample rate (0: any of 16, 24 and 44.1 kHz), bit rate
    "mp3_128k": ("mp3", "libmp3lame", RATE, 128_000),
    "mp3_64k": ("mp3", "libmp3lame", RATE, 64_000),
    "mp3_48k": ("mp3", "libmp3lame", 0, 48_000),
    "mp3_32k": ("mp3", "libmp3lame", RATE, 32_000),
    "mp3_any": ("mp3", "libmp3lame", 0, 56_000),
    "aac_128k": ("adts", "aac", 44_100, 128_000),
    "aac_64k": ("adts", "aac", 0, 64_000),
    "aac_32k": ("adts", "aac", RATE, 32_000),
    "opus_24k": ("ogg", "libopus", 48_000, 24_000),
    "opus_16k": ("ogg", "libopus", 48_000, 16_000),
    "g711": ("wav", "pcm_alaw", 8_000, 64_000),
}
TRAINING = (  # one copy of each for every clip
    "crop", "crop", "mp3_64k", "mp3_any", "mp3_32k", "aac_64k", "aac_32k", "opus_24k", "opus_16k",
    "g711", "noise", "noise", "room", "speakerphone",
)  # fmt: skip
CONDITIONS = (  # what a left-out clip is scored under
    "clean", "mp3_64k", "mp3_32k", "aac_32k", "opus_16k", "g711", "noise_15db", "resample",
    "phone_room",
)  # fmt: skip


def decode(source: str | Path | io.BytesIO) -> Wave:
    """Decode the first sound track to 16 kHz mono, exactly as the product does.

    Args:
        source: A path or an open buffer that PyAV can read.

    Returns:
        Samples in [-1, 1], shape (n,), float32.
    """
    parts: list[Wave] = []
    with av.open(source if isinstance(source, io.BytesIO) else str(source)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            frame.pts = None
            parts += [out.to_ndarray().ravel() for out in resampler.resample(frame)]
        parts += [out.to_ndarray().ravel() for out in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float32)


def _frame(wave: Wave, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="flt", layout="mono")
    frame.sample_rate = rate
    return frame


def recode(wave: Wave, kind: str, dice: Dice) -> Wave:
    """Encode with the codec named in `CODECS` and decode again.

    Args:
        wave: 16 kHz samples, shape (n,).
        kind: A key of `CODECS`.
        dice: Chooses the sample rate where the codec leaves it open.
    """
    container, encoder, rate, bits = CODECS[kind]
    rate = rate or int(dice.choice([RATE, 24_000, 44_100]))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(encoder, rate=rate, layout="mono")
        stream.bit_rate = bits
        resampler = av.AudioResampler(
            format=stream.codec_context.format or "s16",
            layout="mono",
            rate=rate,
            frame_size=stream.codec_context.frame_size,
        )
        for frame in [*resampler.resample(_frame(wave, RATE)), *resampler.resample(None)]:
            frame.pts = None
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    buffer.seek(0)
    return decode(buffer)


def resample(wave: Wave, factor: float) -> Wave:
    """Play `factor` times faster (pitch goes with it), by polyphase resampling."""
    ratio = Fraction(1 / factor).limit_denominator(100)
    return signal.resample_poly(wave, ratio.numerator, ratio.denominator).astype(np.float32)


def low_pass(wave: Wave, hertz: float) -> Wave:
    """Cut off above `hertz` (Chebyshev 2, order 10, -50 dB) as a lower sample rate would."""
    sos = signal.cheby2(10, 50, min(hertz, 7_900), "low", fs=RATE, output="sos")
    return signal.sosfilt(sos, wave).astype(np.float32)


def noise(wave: Wave, decibel: float, dice: Dice) -> Wave:
    """Add white, pink or babble-shaped noise at a signal-to-noise ratio in dB."""
    colour = dice.integers(3)
    spectrum = np.fft.rfft(dice.standard_normal(len(wave)))
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE)
    slope = (np.ones_like(hertz), (hertz + 20) ** -0.5, 1 / (1 + (hertz / 500) ** 2))[colour]
    added = np.fft.irfft(spectrum * slope, len(wave))
    if colour == 2:  # babble swells and fades with the syllables of several people
        added *= 1 + 0.5 * np.sin(2 * np.pi * (3 * np.arange(len(wave)) / RATE + dice.random()))
    level = np.sqrt(np.mean(wave**2) / (np.mean(added**2) + 1e-12)) * 10 ** (-decibel / 20)
    return (wave + level * added).astype(np.float32)


def room(wave: Wave, dice: Dice) -> Wave:
    """Convolve with a made room: direct sound, a few reflections, exponentially dying noise."""
    t60, size = dice.uniform(0.15, 0.8), int(0.5 * RATE)
    tail = dice.standard_normal(size) * 10 ** (-3 * np.arange(size) / RATE / t60)
    tail[: int(dice.uniform(0.002, 0.02) * RATE)] = 0
    tail *= 10 ** (-dice.uniform(0, 12) / 20) / np.sqrt(np.sum(tail**2))
    tail[dice.integers(30, 600, 6)] += dice.uniform(-0.4, 0.4, 6)
    tail[0] = 1
    return signal.fftconvolve(wave, tail)[: len(wave)].astype(np.float32)


def speakerphone(wave: Wave, dice: Dice) -> Wave:
    """Send through a small loudspeaker (band-pass, soft clipping) and a room."""
    band = [dice.uniform(150, 500), dice.uniform(3_400, 7_500)]
    sos = signal.butter(2, band, "band", fs=RATE, output="sos")
    driven = signal.sosfilt(sos, wave)
    driven = np.tanh(dice.uniform(1, 4) * driven / (np.abs(driven).max() + 1e-9))
    return noise(room(driven.astype(np.float32), dice), dice.uniform(20, 35), dice)


def tilt(wave: Wave, dice: Dice) -> Wave:
    """Tilt and bump the spectrum as another microphone would, up to 6 dB over the band."""
    knots = dice.uniform(-6, 6, 6)
    gain = np.interp(np.linspace(0, 5, len(wave) // 2 + 1), np.arange(6), knots)
    return np.fft.irfft(np.fft.rfft(wave) * 10 ** (gain / 20), len(wave)).astype(np.float32)


def crop(wave: Wave, dice: Dice) -> Wave:
    """Cut a random 1.5 to 4 s out: length must not tell the label."""
    length = min(len(wave), int(dice.uniform(1.5, 4.0) * RATE))
    start = dice.integers(len(wave) - length + 1)
    return wave[start : start + length]


_LAST: dict[str, Callable[[Wave, Dice], Wave]] = {
    "crop": lambda wave, dice: wave,
    "noise": lambda wave, dice: noise(wave, dice.uniform(8, 30), dice),
    "noise_15db": lambda wave, dice: noise(wave, 15, dice),
    "room": room,
    "speakerphone": speakerphone,
    "phone_room": speakerphone,
    "resample": lambda wave, dice: resample(resample(wave, RATE / 11_000), 11_000 / RATE),
    "clean": lambda wave, dice: wave,
}


def degrade(wave: Wave, kind: str, dice: Dice) -> Wave:
    """Make the copy `kind` of a wave, nothing else: a condition to score under."""
    return _LAST[kind](wave, dice) if kind in _LAST else recode(wave, kind, dice)


def training_copy(wave: Wave, kind: str, dice: Dice) -> Wave:
    """Crop, perhaps change speed, tilt and cut the band, then make the copy `kind`.

    Returns:
        1.0 to 4.2 s at 16 kHz, peak 0.9, float32.
    """
    wave = crop(wave, dice)
    if dice.random() < 0.3:
        wave = resample(wave, float(dice.choice([0.95, 0.97, 1.03, 1.05])))
    if dice.random() < 0.4:
        wave = tilt(wave, dice)
    if dice.random() < 0.3:
        wave = low_pass(wave, dice.uniform(3_400, 8_000))
    wave = degrade(wave, kind, dice)
    if kind not in CODECS and dice.random() < 0.25:  # a chain of two
        wave = recode(wave, str(dice.choice(["mp3_any", "aac_64k", "opus_24k"])), dice)
    wave = wave - wave.mean()
    return (0.9 * wave / (np.abs(wave).max() + 1e-9)).astype(np.float32)
