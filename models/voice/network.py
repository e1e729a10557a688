"""The classifier: a small residual network on log bands, and a perceptron on window statistics."""

from __future__ import annotations

import graph
import torch
from torch import Tensor, nn
from torch.nn import functional
from window_statistics import COUNT, Statistics

BANDS = 80
SCALE = 2.5  # spread of a natural-log band around its mean in speech
WIDTHS = (16, 24, 32, 48)
EMBEDDING = 48
HIDDEN = 128
HEAD_SHARE = 0.5  # of a perceptron beside the network: its logits are about twice as wide


class Block(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.b = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.n1 = nn.BatchNorm2d(outside)
        self.n2 = nn.BatchNorm2d(outside)
        self.s = nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Halve the picture where the stride says so: (batch, channels, bands, frames)."""
        inner = functional.relu(self.n1(self.a(x)))
        return functional.relu(self.n2(self.b(inner)) + self.s(x))


class Net(nn.Module):
    """68,000 parameters; mean and spread over time make one description of a window."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, WIDTHS[0], 5, (2, 2), 2, bias=False)
        self.n = nn.BatchNorm2d(WIDTHS[0])
        self.b = nn.Sequential(
            Block(WIDTHS[0], WIDTHS[1], 2),
            Block(WIDTHS[1], WIDTHS[2], 2),
            Block(WIDTHS[2], WIDTHS[3], 2),
        )
        self.d = nn.Dropout(0.4)
        self.f = nn.Linear(WIDTHS[3] * BANDS // 16 * 2, EMBEDDING)
        self.o = nn.Linear(EMBEDDING, 1)

    def described(self, bands: Tensor) -> Tensor:
        """Turn scaled bands (batch, frames, BANDS) into an embedding (batch, EMBEDDING)."""
        x = bands[:, None].transpose(2, 3)
        x = self.b(functional.relu(self.n(self.stem(x))))
        mean = x.mean(3)
        spread = ((x - mean[..., None]).square().mean(3) + 1e-4).sqrt()
        both = torch.cat([mean.flatten(1), spread.flatten(1)], 1)
        return functional.silu(self.f(self.d(both)))

    def forward(self, bands: Tensor) -> Tensor:
        """Turn scaled bands (batch, frames, BANDS) into raw scores (batch,)."""
        return self.o(self.d(self.described(bands)))[:, 0]


class Head(nn.Module):
    """A perceptron on standardised statistics, 132,000 parameters."""

    centre: Tensor
    spread: Tensor

    def __init__(self, centre: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        self.layers = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(COUNT, HIDDEN),
            nn.SiLU(),
            nn.Dropout(0.5),
            nn.Linear(HIDDEN, 1),
        )

    def standard(self, statistics: Tensor) -> Tensor:
        """Centre, scale and clip at 6 deviations: (batch, COUNT)."""
        return ((statistics - self.centre) / self.spread).clamp(-6, 6)

    def forward(self, statistics: Tensor) -> Tensor:
        """Turn statistics (batch, COUNT) into raw scores (batch,)."""
        return self.layers(self.standard(statistics))[:, 0]


class Shipped(nn.Module):
    """From waveform to score: what the networks were trained behind, and their mean."""

    def __init__(self, nets: list[Net], heads: list[Head]) -> None:
        super().__init__()
        self.power = graph.PowerSpectrum()
        self.bands = graph.LogBands(BANDS)
        self.statistics = Statistics()
        self.nets = nn.ModuleList(nets)
        self.heads = nn.ModuleList(heads)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Turn 16 kHz samples (batch, n) into `score` (batch,) and `embedding` (batch, d)."""
        power = self.power(waveform)
        scaled, statistics = scaled_bands(power, self.bands), self.statistics(power)
        described = [net.described(scaled) for net in self.nets]
        told = torch.stack(
            [net.o(each)[:, 0] for net, each in zip(self.nets, described, strict=True)]
        ).mean(0)
        heads = torch.stack([head(statistics) for head in self.heads])
        return told + HEAD_SHARE * heads.mean(0), torch.cat([*described, heads.T], 1)


def scaled_bands(power: Tensor, bands: nn.Module) -> Tensor:
    """Log bands less their mean over speech, about -3 to 3; (batch, frames, BANDS)."""
    log, weight = bands(power), graph.speech_mask(power)
    return (log - (log * weight).sum(1, keepdim=True)) / SCALE
