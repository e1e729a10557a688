"""Sounds that tests make: speech of a program, tones, noise, silence, in every container."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 16_000
SPEECH = Path(__file__).parents[1] / "data" / "media" / "council_espeak.flac"
"""nine seconds of French that espeak-ng speaks: synthetic, and ours to give away"""

FORMATS = {
    "wav": ("wav", "pcm_s16le", RATE),
    "aiff": ("aiff", "pcm_s16be", RATE),
    "flac": ("flac", "flac", RATE),
    "mp3": ("mp3", "libmp3lame", RATE),
    "aac": ("adts", "aac", RATE),
    "m4a": ("ipod", "aac", RATE),
    "mov": ("mov", "aac", RATE),
    "mp4": ("mp4", "aac", RATE),
    "opus": ("ogg", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
    "mkv": ("matroska", "flac", RATE),
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "3gp": ("3gp", "libopencore_amrnb", 8_000),
    "wma": ("asf", "wmav2", 44_100),
    "alaw": ("wav", "pcm_alaw", 8_000),
}
"""what is written for each name: container, encoder, sample rate"""


def samples(path: Path = SPEECH) -> NDArray[np.float32]:
    """The sound of *path*, mono at RATE."""
    parts = []
    with av.open(str(path)) as source:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in source.decode(audio=0):
            parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts)


def tone(seconds: float, hertz: float = 440.0, level: float = 0.5) -> NDArray[np.float32]:
    """A sine."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype("f4")


def noise(seconds: float, level: float = 0.1) -> NDArray[np.float32]:
    """White noise, the same each time."""
    return (level * np.random.default_rng(0).standard_normal(int(seconds * RATE))).astype("f4")


def encoded(
    sound: NDArray[np.float32],
    name: str,
    *,
    bit_rate: int | None = None,
    layout: str = "mono",
    rate: int | None = None,
) -> bytes:
    """*sound* (n,) at RATE as a file of FORMATS."""
    container, encoder, chosen = FORMATS[name]
    rate = rate or chosen
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(encoder, rate=rate, layout=layout)
        if bit_rate or encoder == "wmav2":  # which has no default
            stream.bit_rate = bit_rate or 64_000
        context = stream.codec_context
        resampler = av.AudioResampler(
            format=context.format, layout=layout, rate=rate, frame_size=context.frame_size
        )
        frame = av.AudioFrame.from_ndarray(sound[None].astype("f4"), format="flt", layout="mono")
        frame.sample_rate = RATE
        place = 0
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            part.pts, place = place, place + part.samples
            part.time_base = Fraction(1, rate)
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()
