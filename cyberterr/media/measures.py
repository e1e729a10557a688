"""What is measured on sound at its stored rate, in one pass: bandwidth, clipping, level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cyberterr.media.recording import Native

FRAME_HZ = 25
"""frames of the spectrum a second: one in two is looked at, which is enough for a mean"""
BANDS = 256
SILENT = 1e-4
"""root mean square below which a frame is silence (-80 dB of full scale)"""
FLAT_RUN = 3
"""equal samples in a row at the largest value that count as clipped"""


class NativeMeasures:
    """Adds up over blocks of mono sound, float32 in -1..1, at *rate* Hz."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._size = max(2 * BANDS, 1 << int(np.ceil(np.log2(rate / FRAME_HZ))))
        self._window = np.hanning(self._size).astype(np.float32)
        self._parts: list[NDArray[np.float32]] = []
        self._waiting = 0
        self._power = np.zeros(self._size // 2)
        self._frames = 0
        self._samples = 0
        self._sum = 0.0
        self._peak = 0.0
        self._clipped: dict[float, int] = {}

    def add(self, sound: NDArray[np.float32]) -> None:
        """Take in the next samples (n,)."""
        self._parts.append(sound)
        self._waiting += sound.size
        if self._waiting >= 32 * self._size:
            self._take()

    def told(self, *, damaged: int, cut: bool) -> Native:
        """What was measured, once the last block was added."""
        self._take()
        self._level(np.concatenate([np.empty(0, np.float32), *self._parts]))
        power = self._power[: BANDS * (self._power.size // BANDS)].reshape(BANDS, -1).sum(axis=1)
        full = (self._window**2).sum() * self._size / 4  # a sine of full scale is 0 dB
        level = 10 * np.log10(power / max(self._frames, 1) / full + 1e-15)
        return Native(
            seconds=self._samples / self.rate,
            edges_hz=tuple(np.linspace(0, self.rate / 2, BANDS + 1).tolist()),
            power_db=tuple(np.round(level, 2).tolist()),
            peak=self._peak,
            clipped=self._clipped.get(self._peak, 0) / max(self._samples, 1),
            offset=self._sum / max(self._samples, 1),
            damaged=damaged,
            cut=cut,
        )

    def _take(self) -> None:
        sound = np.concatenate([np.empty(0, np.float32), *self._parts])
        count = sound.size // self._size
        whole, rest = np.split(sound, [count * self._size])
        self._parts, self._waiting = [rest], rest.size
        self._level(whole)
        frames = whole.reshape(count, self._size)[::2]
        frames = frames[np.sqrt((frames.astype(np.float64) ** 2).mean(axis=1)) > SILENT]
        spectrum = np.abs(np.fft.rfft(frames * self._window, axis=1)[:, :-1]) ** 2
        self._power += spectrum.sum(axis=0)
        self._frames += len(frames)

    def _level(self, sound: NDArray[np.float32]) -> None:
        if not sound.size:
            return
        self._samples += sound.size
        self._sum += float(sound.sum(dtype=np.float64))
        size = np.abs(sound)
        peak = float(size.max())
        self._peak = max(self._peak, peak)
        flat = np.flatnonzero((size[2:] == peak) & (size[1:-1] == peak) & (size[:-2] == peak))
        if peak > 0 and flat.size:  # counted by value: a later block may be louder
            self._clipped[peak] = self._clipped.get(peak, 0) + int(flat.size) + FLAT_RUN - 1
            self._clipped = {value: n for value, n in self._clipped.items() if value >= self._peak}
