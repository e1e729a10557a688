"""A recording as it would arrive: through a codec, a telephone, noise, a room.

Every copy is a pure function of the sound and the name of its condition.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]


class Condition(NamedTuple):
    """What a copy goes through: a change of the samples, then a codec."""

    suffix: str
    codec: str
    rate: int
    """Hz at which it is encoded"""
    bit_rate: int | None = None
    change: str = ""
    inaudible: bool = False
    """whether a person cannot hear it"""


CONDITIONS = {
    "mp3_64k": Condition(".mp3", "libmp3lame", 16_000, 64_000),
    "mp3_32k": Condition(".mp3", "libmp3lame", 16_000, 32_000),
    "aac_32k": Condition(".m4a", "aac", 16_000, 32_000),
    "opus_16k": Condition(".ogg", "libopus", 48_000, 16_000),
    "g711": Condition(".wav", "pcm_alaw", 8_000),
    "noise_15db": Condition(".wav", "pcm_s16le", 16_000, change="noise"),
    "resample": Condition(".wav", "pcm_s16le", 22_050),
    "phone_room": Condition(".wav", "pcm_s16le", 16_000, change="room"),
    "mp3_128k": Condition(".mp3", "libmp3lame", 44_100, 128_000, inaudible=True),
    "aac_128k": Condition(".m4a", "aac", 44_100, 128_000, inaudible=True),
    "wav": Condition(".wav", "pcm_s16le", 0, inaudible=True),
    "flac": Condition(".flac", "flac", 0, inaudible=True),
    "gain_-6db": Condition(".wav", "pcm_s16le", 0, change="-6", inaudible=True),
    "gain_+3db": Condition(".wav", "pcm_s16le", 0, change="3", inaudible=True),
}
"""rate 0: the one that the recording has"""


def encode(sound: Wave, rate: int, target: Path, condition: Condition) -> None:
    """Write *sound* (n,), mono at *rate* Hz, to *target* as *condition* says.

    Where gain would overload, all of it is turned down to full scale.
    """
    write([_changed(sound, rate, condition.change)], rate, target, condition)


def write(blocks: Iterable[Wave], rate: int, target: Path, condition: Condition) -> None:
    """Write *blocks* (n,), mono at *rate* Hz, one after the other with the codec of *condition*."""
    import av
    from av.audio.stream import AudioStream

    out_rate = condition.rate or rate
    with av.open(str(target), "w") as container:
        stream = container.add_stream(condition.codec, rate=out_rate)
        assert isinstance(stream, AudioStream)  # noqa: S101 - by its codec
        stream.layout = "mono"
        if condition.bit_rate:
            stream.bit_rate = condition.bit_rate
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="mono", rate=out_rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )  # fmt: skip
        place = 0
        for block in blocks:
            frame = av.AudioFrame.from_ndarray(block[None], format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate, place
            place += block.size
            for part in resampler.resample(frame):
                part.pts = None
                container.mux(stream.encode(part))
        for part in resampler.resample(None):
            part.pts = None
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def decode(source: Path) -> tuple[Wave, int]:
    """Sound (n,) of a trusted file, mono at its stored rate: for measuring, never for users."""
    import av

    parts: list[NDArray[Any]] = []
    with av.open(str(source)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        for frame in container.decode(audio=0):
            frame.pts = None
            parts += [each.to_ndarray().ravel() for each in resampler.resample(frame)]
        parts += [each.to_ndarray().ravel() for each in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float32), rate


def copies(
    sources: Sequence[Path], names: Sequence[str], condition: str, folder: Path
) -> dict[str, str]:
    """Write a copy of each of *sources* into *folder*: path of the copy → its name of *names*.

    What cannot be decoded or encoded is left out.
    """
    import av

    found = {}
    chosen = CONDITIONS[condition]
    for place, (source, name) in enumerate(zip(sources, names, strict=True)):
        target = folder / f"{place:06}{chosen.suffix}"
        try:
            encode(*decode(source), target, chosen)
        except (av.FFmpegError, OSError, ValueError, IndexError):
            target.unlink(missing_ok=True)
            continue
        found[str(target)] = name
    return found


def _changed(sound: Wave, rate: int, change: str) -> Wave:
    if not change:
        return sound
    dice = np.random.default_rng(zlib.crc32(sound.tobytes()))
    changed: NDArray[Any]
    if change == "noise":
        level = float(np.sqrt((sound.astype(np.float64) ** 2).mean())) * 10 ** (-15 / 20)
        changed = sound + dice.normal(0, level, sound.size)
    elif change == "room":
        changed = _room(sound, rate, dice)
    else:
        changed = sound * 10 ** (float(change) / 20)
    return (changed / max(1.0, float(np.abs(changed).max()))).astype(np.float32)


def _room(sound: Wave, rate: int, dice: np.random.Generator) -> NDArray[np.float64]:
    """The small loudspeaker of a telephone (300 to 6,000 Hz, driven hard) in a room of 0.3 s."""
    spectrum = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(sound.size, 1 / rate)
    spectrum *= 1 / np.sqrt(1 + (300 / np.maximum(hertz, 1.0)) ** 6 + (hertz / 6000) ** 6)
    driven = np.tanh(3 * np.fft.irfft(spectrum, sound.size) / (np.abs(sound).max() + 1e-9))
    seconds = np.arange(round(0.3 * rate)) / rate
    echo = dice.normal(0, 1, seconds.size) * 10 ** (-3 * seconds / 0.3) * 0.1
    echo[0] = 1.0
    size = sound.size + echo.size - 1
    reverberant = np.fft.irfft(np.fft.rfft(driven, size) * np.fft.rfft(echo, size), size)
    return np.asarray(reverberant[: sound.size] * np.abs(sound).max(), np.float64)
