"""Log bands and statistics of every clip, as training copies and as it is scored; cached."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import copies
import graph
import network
import numpy as np
import torch
from numpy.typing import NDArray
from window_statistics import Statistics

from cyberterr.media import listening
from cyberterr.media.gate import Gate
from cyberterr.media.recording import Container

FRAMES = 500  # of four seconds
LONGEST_S = 12
HOP_S = 4.0  # windows side by side: overlap costs twice and tells little more
CONDITIONS = (*copies.CONDITIONS, "mp3_128k", "aac_128k")
PCM = Container(
    mime="", format="", codec="pcm", bit_rate=None, rate=copies.RATE, channels=1, seconds=None,
    film=False, tracks=1,
)  # fmt: skip


class Bands(NamedTuple):
    """Windows of many clips."""

    bands: NDArray[np.float16]  # (windows, FRAMES, BANDS), log, free of their mean, not scaled
    frames: NDArray[np.int64]  # (windows,) that are filled
    clip: NDArray[np.int64]  # (windows,) row of MANIFEST.csv
    statistics: NDArray[np.float32]  # (windows, COUNT)


def dice(*words: object) -> np.random.Generator:
    """A generator that depends on *words* alone."""
    return np.random.default_rng(zlib.crc32(repr(words).encode()))


def waves(folder: Path) -> Iterator[tuple[str, copies.Wave]]:
    """Name and sound of every clip of MANIFEST.csv, at most LONGEST_S, peak 0.9."""
    with (folder / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    for name in names:
        wave = copies.decode(folder / name)[: LONGEST_S * copies.RATE]
        wave = wave - wave.mean()
        yield name, (0.9 * wave / (np.abs(wave).max() + 1e-9)).astype(np.float32)


def training(folder: Path, work: Path) -> list[Bands]:
    """One copy of every clip for each kind in `copies.TRAINING`."""
    return [
        _cached(work / f"train{place:02d}", folder, _TrainingCopy(place, kind))
        for place, kind in enumerate(copies.TRAINING)
    ]


def condition(folder: Path, work: Path, kind: str) -> Bands:
    """Every clip under the condition *kind*, cut into windows as the product does it."""
    return _cached(work / f"test_{kind}", folder, _Windows(kind))


class _TrainingCopy(NamedTuple):
    place: int
    kind: str

    def __call__(self, name: str, wave: copies.Wave) -> list[copies.Wave]:
        copy = copies.training_copy(wave, self.kind, dice(name, self.place, self.kind))
        short = 1.0 * copies.RATE - len(copy)
        return [np.pad(copy, (0, max(int(short), 0)))[: 4 * copies.RATE]]


class _Windows(NamedTuple):
    kind: str

    def __call__(self, name: str, wave: copies.Wave) -> list[copies.Wave]:
        changed = copies.degrade(wave, self.kind, dice(name, self.kind))
        cut = listening.windows([changed], Gate(PCM), window_s=4.0, hop_s=HOP_S, least_s=1.0)
        return [window for part in cut for window in part.samples]


@torch.inference_mode()
def _cached(path: Path, folder: Path, make: _TrainingCopy | _Windows) -> Bands:
    if not path.with_suffix(".npz").exists():
        power, bands = graph.PowerSpectrum(), graph.LogBands(network.BANDS)
        describe = Statistics()
        kept, frames, clip, statistics = [], [], [], []
        for row, (name, wave) in enumerate(waves(folder)):
            for window in make(name, wave):
                sound = np.round(window * 32000).clip(-32767, 32767) / 32767  # as a 16-bit file
                spectrum = power(torch.from_numpy(sound.astype(np.float32))[None])
                log = network.scaled_bands(spectrum, bands)[0].numpy() * network.SCALE
                kept.append(np.zeros((FRAMES, network.BANDS), np.float16))
                kept[-1][: len(log)] = log
                frames.append(min(len(log), FRAMES))
                clip.append(row)
                statistics.append(describe(spectrum)[0].numpy())
        np.save(path.with_suffix(".npy"), np.stack(kept))
        np.savez(path.with_suffix(".npz"), frames=frames, clip=clip, statistics=statistics)
    told = np.load(path.with_suffix(".npz"))
    bands16 = np.load(path.with_suffix(".npy"), mmap_mode="r")
    return Bands(bands16, told["frames"], told["clip"], told["statistics"])
