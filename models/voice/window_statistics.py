"""Fixed statistics of a window: how each band moves and which move together, not how loud it is."""

from __future__ import annotations

import math

import torch
from graph import FLOOR, LogBands, speech_mask
from torch import Tensor, nn

LAGS = (1, 2, 4, 8, 16, 32)  # frames: 8 to 256 ms
COUNT = 120 + 120 + 90 + 190 + 400 + 32 + 80  # as `Statistics` lists them


def cosine_basis(bands: int, count: int) -> Tensor:
    """Orthonormal DCT-II, shape (bands, count), without the constant term."""
    angle = math.pi / bands * (torch.arange(bands)[:, None] + 0.5) * torch.arange(1, count + 1)
    return math.sqrt(2 / bands) * torch.cos(angle)


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

    def __init__(self) -> None:
        super().__init__()
        self.bands = LogBands(80)
        self.register_buffer("dct", cosine_basis(80, 30))
        self.register_buffer("pairs", torch.triu_indices(20, 20, 1))
        distance = (torch.arange(80)[:, None] - torch.arange(80)).abs().float()
        blur = torch.exp(-0.5 * (distance / 3) ** 2)
        self.register_buffer("blur", torch.eye(80) - blur / blur.sum(0, keepdim=True))

    def forward(self, power: Tensor) -> Tensor:
        """Turn power (batch, frames, 257) into statistics (batch, COUNT)."""
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
