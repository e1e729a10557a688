"""From waveform to score, in torch operations that export to one ONNX graph.

The same modules train and ship. Window statistics are weighted by a soft speech mask and taken after
the mean of every band over time is removed, so that microphone, room and gain count for little.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

RATE = 16_000
HOP = 128  # 8 ms
SIZE = 4 * HOP  # Hann window of 32 ms
LAGS = (1, 2, 4, 8, 16, 32)  # frames: 8 to 256 ms
FLOOR = 10**-7.5  # of the mean band power: what an inaudible re-encode changes lies below it


def linear_filters(bands: int, low: float = 62.5, high: float = 8_000.0) -> Tensor:
    """Triangular filters, equally spaced from `low` to `high` Hz, shape (SIZE // 2 + 1, bands)."""
    hertz = torch.linspace(0, RATE / 2, SIZE // 2 + 1)[:, None]
    edges = torch.linspace(low, high, bands + 2)
    step = edges[1] - edges[0]
    filters = (1 - (hertz - edges[None, 1:-1]).abs() / step).clamp(min=0)
    return filters / filters.sum(0, keepdim=True)


def cosine_basis(bands: int, count: int) -> Tensor:
    """Orthonormal DCT-II, shape (bands, count), without the constant term."""
    angle = math.pi / bands * (torch.arange(bands)[:, None] + 0.5) * torch.arange(1, count + 1)
    return math.sqrt(2 / bands) * torch.cos(angle)


class PowerSpectrum(nn.Module):
    """High-pass, peak normalisation and short-time power spectrum.

    The transform folds each frame about its middle (real signals: even part to cosines, odd part to
    sines) and is two products with 257 columns, faster in onnxruntime than its STFT operator.
    """

    cosine: Tensor
    sine: Tensor
    window: Tensor
    smooth: Tensor

    def __init__(self) -> None:
        super().__init__()
        bins = torch.arange(SIZE // 2 + 1, dtype=torch.float64)
        angle = 2 * math.pi / SIZE * bins[:, None] * bins[None, :]
        self.register_buffer("cosine", torch.cos(angle).float())
        self.register_buffer("sine", torch.sin(angle)[1:-1].float())
        self.register_buffer("window", torch.hann_window(SIZE))
        taper = torch.hann_window(27)[1:]
        self.register_buffer("smooth", (taper / taper.sum())[None, None])

    def forward(self, wave: Tensor) -> Tensor:
        """Turn 16 kHz samples (batch, n) into power (batch, frames, 257), 125 frames a second."""
        frames = wave.shape[1] // HOP
        wave = wave[:, : frames * HOP]
        wave = wave - wave.mean(1, keepdim=True)
        # High-pass at 40 Hz: subtract what is left of block means of 2 ms smoothed over 52 ms.
        slow = wave.reshape(wave.shape[0], 1, frames * 4, 32).mean(3)
        slow = functional.conv1d(functional.pad(slow, (12, 13), mode="replicate"), self.smooth)
        slow = functional.interpolate(slow, scale_factor=32.0, mode="linear")
        wave = wave - slow[:, 0]
        wave = wave / (wave.abs().amax(1, keepdim=True) + 1e-6)
        block = wave.reshape(wave.shape[0], frames, HOP)
        frame = torch.cat([block[:, :-3], block[:, 1:-2], block[:, 2:-1], block[:, 3:]], 2)
        frame = frame * self.window
        half = SIZE // 2
        ahead, back = frame[:, :, 1:half], frame[:, :, half + 1 :].flip(2)
        even = torch.cat([frame[:, :, :1], ahead + back, frame[:, :, half : half + 1]], 2)
        return (even @ self.cosine) ** 2 + ((ahead - back) @ self.sine) ** 2


class LogBands(nn.Module):
    """Log energies of linear bands with a floor far below the mean power."""

    filters: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("filters", linear_filters(bands))

    def forward(self, power: Tensor) -> Tensor:
        """Turn power (batch, frames, 257) into natural-log bands (batch, frames, bands)."""
        energy = power @ self.filters
        return torch.log(energy + FLOOR * energy.mean((1, 2), keepdim=True) + 1e-12)


def speech_mask(power: Tensor) -> Tensor:
    """Weigh frames by loudness: 0.5 at 25 dB under the mean power; shape (batch, frames, 1).

    The weights of one clip sum to 1.
    """
    energy = power[:, :, 2:].mean(2, keepdim=True)
    ratio = torch.log10(energy / (energy.mean(1, keepdim=True) + 1e-12) + 1e-9) * 10
    weight = torch.sigmoid((ratio + 25) / 2)
    return weight / weight.sum(1, keepdim=True)


def _mean(value: Tensor, weight: Tensor) -> Tensor:
    return (value * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)


def _spread(value: Tensor, weight: Tensor) -> Tensor:
    centred = value - _mean(value, weight)
    return 0.5 * torch.log(_mean(centred**2, weight)[:, 0] + 1e-4)


class Statistics(nn.Module):
    """Fixed statistics of one window: how each band moves, not how loud it is.

    In order: spread, skewness and kurtosis of 40 bands; structure function (mean square change over
    8 to 256 ms, the modulation spectrum in another form) of 20 bands; spread of 30 cepstral
    coefficients (LFCC) and of their first and second differences; correlations between 20 bands, at
    once and 3 frames apart; tonality (arithmetic over geometric mean of the bins) of 16 bands, mean
    and spread; fine structure of the mean spectrum (80 bands, its smooth part removed).
    """

    dct: Tensor
    pairs: Tensor
    blur: Tensor
    GROUPS = {
        "moments": 120, "structure": 120, "cepstra": 90, "correlation": 190, "lagged": 400,
        "tonality": 32, "fine": 80,
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.bands = LogBands(80)
        self.register_buffer("dct", cosine_basis(80, 30))
        self.register_buffer("pairs", torch.triu_indices(20, 20, 1))
        distance = (torch.arange(80)[:, None] - torch.arange(80)).abs().float()
        blur = torch.exp(-0.5 * (distance / 3) ** 2)
        self.register_buffer("blur", torch.eye(80) - blur / blur.sum(0, keepdim=True))

    def forward(self, power: Tensor) -> Tensor:
        """Turn power (batch, frames, 257) into statistics (batch, sum of GROUPS)."""
        weight = speech_mask(power)
        log80 = self.bands(power)
        batch, frames, _ = log80.shape
        mean = _mean(log80, weight)
        log80 = log80 - mean
        log40 = log80.reshape(batch, frames, 40, 2).mean(3)
        log20 = log80.reshape(batch, frames, 20, 4).mean(3)
        out = []
        square = _mean(log40**2, weight) + 1e-2
        skew = (_mean(log40**3, weight) / square**1.5)[:, 0]
        tail = (_mean(log40**4, weight) / square**2)[:, 0]
        out += [0.5 * torch.log(square[:, 0]), skew, torch.log(tail + 0.1)]
        for lag in LAGS:
            both = (weight[:, lag:] * weight[:, :-lag]).sqrt() + 1e-9
            change = _mean((log20[:, lag:] - log20[:, :-lag]) ** 2, both)[:, 0]
            out.append(torch.log(change + 1e-3))
        cepstra = log80 @ self.dct
        first = cepstra[:, 2:] - cepstra[:, :-2]
        second = first[:, 2:] - first[:, :-2]
        out += [_spread(cepstra, weight), _spread(first, weight[:, 1:-1])]
        out.append(_spread(second, weight[:, 2:-2]))
        unit = log20 / (_mean(log20**2, weight) + 1e-2).sqrt()
        now = (unit * weight).transpose(1, 2) @ unit
        out.append(now[:, self.pairs[0], self.pairs[1]])
        both = (weight[:, 3:] * weight[:, :-3]).sqrt()
        later = (unit[:, 3:] * both / both.sum(1, keepdim=True)).transpose(1, 2) @ unit[:, :-3]
        out.append(later.flatten(1))
        floor = FLOOR * power.mean((1, 2), keepdim=True) + 1e-12
        bins = power[:, :, 1:].reshape(batch, frames, 16, 16) + floor[..., None]
        tone = torch.log(bins.mean(3)) - torch.log(bins).mean(3)
        out += [_mean(tone, weight)[:, 0], _spread(tone, weight)]
        out.append(mean[:, 0] @ self.blur)
        return torch.cat(out, 1)
