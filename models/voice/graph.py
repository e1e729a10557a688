"""From waveform to log bands, in torch operations that export to one ONNX graph.

The same modules train and ship.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

RATE = 16_000
HOP = 128  # 8 ms
SIZE = 4 * HOP  # Hann window of 32 ms
FLOOR = 10**-7.5  # of the mean band power: what an inaudible re-encode changes lies below it


def linear_filters(bands: int, low: float = 62.5, high: float = 8_000.0) -> Tensor:
    """Triangular filters, equally spaced from `low` to `high` Hz, shape (SIZE // 2 + 1, bands)."""
    hertz = torch.linspace(0, RATE / 2, SIZE // 2 + 1)[:, None]
    edges = torch.linspace(low, high, bands + 2)
    step = edges[1] - edges[0]
    filters = (1 - (hertz - edges[None, 1:-1]).abs() / step).clamp(min=0)
    return filters / filters.sum(0, keepdim=True)


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
    # Not the sigmoid operator, which onnxruntime rounds near 0; never 0, in silence neither.
    weight = 1 / (1 + torch.exp(-((ratio + 25) / 2).clamp(min=-16)))
    return weight / weight.sum(1, keepdim=True)
