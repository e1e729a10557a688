"""Small neural vocoders and one codec: genuine speech in, copies with a synthesiser's traces out.

Six shapes, minutes of training: ConvNeXt with an inverse STFT (Vocos, Siuzdak 2023), transposed
convolutions with multi-receptive-field blocks (HiFi-GAN, Kong 2020), the same on four bands
(Multi-band MelGAN, Yang 2020) or with a small inverse STFT (iSTFTNet, Kaneko 2022), a residual
vector-quantised codec (EnCodec, Défossez 2022) and a flow-matching decoder (Lipman 2023). Quality
is not the aim; the traces are.
"""

import math
from collections.abc import Sequence
from functools import cache

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

RATE, HOP, SIZE, MELS = 16_000, 256, 1_024, 80


@cache
def mel_matrix(size: int, bands: int) -> Tensor:
    """Return the Slaney mel filters [size / 2 + 1, bands] at 16 kHz."""
    return torchaudio.functional.melscale_fbanks(
        size // 2 + 1, 0.0, RATE / 2, bands, RATE, norm="slaney", mel_scale="slaney"
    )


def spectrum(wave: Tensor, size: int = SIZE, hop: int = HOP) -> Tensor:
    """Return the complex spectrum [batch, size / 2 + 1, frames] of waves [batch, samples]."""
    return torch.stft(wave, size, hop, window=torch.hann_window(size), return_complex=True)


def log_mel(wave: Tensor, size: int = SIZE, hop: int = HOP) -> Tensor:
    """Return the natural-log mel magnitudes [batch, 80, frames] of waves [batch, samples]."""
    magnitude = spectrum(wave, size, hop).abs()
    return torch.einsum("bft,fm->bmt", magnitude, mel_matrix(size, MELS)).clamp_min(1e-5).log()


def pitch(wave: Tensor) -> Tensor:
    """Return the fundamental in Hz [batch, frames], 70-400 by autocorrelation, 0 if unvoiced."""
    frames = F.pad(wave, (SIZE // 2, SIZE // 2)).unfold(-1, SIZE, HOP) * torch.hann_window(SIZE)
    window = torch.fft.irfft(torch.fft.rfft(torch.hann_window(SIZE), 2 * SIZE).abs() ** 2)
    lags = torch.fft.irfft(torch.fft.rfft(frames, 2 * SIZE).abs() ** 2) / (
        window / window[0]
    ).clamp_min(1e-3)
    shortest, longest = RATE // 400, RATE // 70
    best, at = (lags[..., shortest:longest] / lags[..., :1].clamp_min(1e-6)).max(-1)
    voiced = (best > 0.5) & (lags[..., 0] > 1e-3 * lags[..., 0].amax(-1, keepdim=True))
    fundamental = RATE / (at + shortest) * voiced
    return (
        F.pad(fundamental[:, None], (2, 2), mode="replicate")[:, 0]
        .unfold(-1, 5, 1)
        .median(-1)
        .values
    )


def excitation(fundamental: Tensor, samples: int) -> Tensor:
    """Return pulses, band-limited, where voiced, else noise [batch, samples] (NSF, Wang 2019)."""
    hertz = F.interpolate(fundamental[:, None], scale_factor=float(HOP))[:, 0, HOP // 2 :][
        :, :samples
    ]
    hertz = F.pad(hertz, (0, samples - hertz.shape[-1]))
    phase = (2 * math.pi * torch.cumsum(hertz.double() / RATE, -1) % (2 * math.pi)).float()
    count = (RATE / 2 / hertz.clamp_min(70)).floor()
    half = torch.sin(phase / 2)
    half = torch.where(half.abs() < 1e-3, torch.full_like(half, 1e-3), half)
    pulses = (torch.sin((count + 0.5) * phase) / half - 1) / (2 * count).sqrt()
    return torch.where(
        hertz > 0, 0.3 * pulses.clamp(-12, 12), torch.zeros_like(phase)
    ) + torch.randn_like(phase) * (0.02 + 0.2 * (hertz == 0))


class ConvNeXt(nn.Module):
    """A depth-wise convolution over time and two point-wise layers, with a residual path."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depth = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.point = nn.Sequential(
            nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, width, frames] to the same shape."""
        return x + 0.5 * self.point(self.norm(self.depth(x).transpose(1, 2))).transpose(1, 2)


def _trunk(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    blocks = [ConvNeXt(width) for _ in range(depth)]
    return nn.Sequential(
        nn.Conv1d(inputs, width, 3, padding=1), *blocks, nn.Conv1d(width, outputs, 1)
    )


class Vocos(nn.Module):
    """Magnitude and phase of every frame from ConvNeXt blocks, then one inverse STFT."""

    def __init__(self, width: int = 192, depth: int = 6, source: bool = True) -> None:
        super().__init__()
        self.source, bins = source, SIZE // 2 + 1
        self.trunk = _trunk(MELS + (2 * bins if source else 0), width, depth, 2 * bins)

    def forward(self, mel: Tensor, source: Tensor, wave: Tensor) -> Tensor:
        """Return waves [batch, samples] from log-mels [batch, 80, frames] and an excitation."""
        carrier = spectrum(source)
        parts = [mel, carrier.real, carrier.imag] if self.source else [mel]
        size, phase = self.trunk(torch.cat(parts, 1)).chunk(2, 1)
        phase = phase + carrier.angle() if self.source else phase
        frames = torch.polar(size.clamp(max=5).exp(), phase)
        return torch.istft(
            frames, SIZE, HOP, window=torch.hann_window(SIZE), length=source.shape[-1]
        )


@cache
def _filters(bands: int = 4, taps: int = 62) -> Tensor:
    """Return the synthesis filters [bands, 1, taps + 1] of a pseudo-QMF bank (Nguyen 1994)."""
    n = torch.arange(taps + 1) - taps / 2
    prototype = 0.142 * torch.sinc(0.142 * n) * torch.kaiser_window(taps + 1, False, 9.0)
    k = torch.arange(bands)[:, None]
    angle = (2 * k + 1) * math.pi / (2 * bands) * n - (-1.0) ** k * math.pi / 4
    return (2 * prototype * angle.cos())[:, None]


class Upsampler(nn.Module):
    """Transposed convolutions from frames to samples, with residual blocks of several widths.

    Args:
        head: "wave" ends at 16 kHz (HiFi-GAN), "bands" in four bands of 4 kHz (Multi-band
            MelGAN), "istft" in an inverse STFT of 16 samples with a hop of 4 (iSTFTNet).
        source: Add an excitation at every rate (NSF-HiFi-GAN).
    """

    def __init__(
        self,
        head: str,
        width: int = 128,
        kernels: Sequence[int] = (3, 7),
        inputs: int = MELS,
        source: bool = True,
    ) -> None:
        super().__init__()
        self.head, steps = head, (8, 8, 4) if head == "wave" else (8, 8)
        outputs = {"wave": 1, "bands": 4, "istft": 18}[head]
        self.entry = nn.Conv1d(inputs, width, 7, padding=3)
        self.rise, self.blocks, self.carriers = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        rest = HOP
        for step in steps:
            rest //= step
            self.rise.append(nn.ConvTranspose1d(width, width // 2, 2 * step, step, step // 2))
            width //= 2
            carrier = (
                nn.Conv1d(1, width, 2 * rest - rest % 2, rest, rest // 2)
                if rest > 1
                else nn.Conv1d(1, width, 1)
            )
            self.carriers.append(carrier if source else nn.Identity())
            self.blocks.append(
                nn.ModuleList(
                    nn.Conv1d(width, width, k, padding=d * (k // 2), dilation=d)
                    for k in kernels
                    for d in (1, 3, 9)
                )
            )
        self.source = source
        self.exit = nn.Conv1d(width, outputs, 7, padding=3)

    def forward(self, mel: Tensor, source: Tensor, wave: Tensor) -> Tensor:
        """Return waves [batch, samples] from log-mels or codes [batch, inputs, frames]."""
        x = self.entry(mel)
        for rise, carrier, blocks in zip(self.rise, self.carriers, self.blocks, strict=True):
            x = rise(F.leaky_relu(x, 0.1))
            if self.source:
                pulses = carrier(F.pad(source, (0, HOP))[:, None])
                x = (
                    x
                    + F.pad(pulses, (0, max(0, x.shape[-1] - pulses.shape[-1])))[..., : x.shape[-1]]
                )
            for block in blocks:
                x = x + block(F.leaky_relu(x, 0.1))
        x, samples = self.exit(F.leaky_relu(x, 0.1)), source.shape[-1]
        if self.head == "bands":
            x = F.conv_transpose1d(x, 4 * _filters(), stride=4, padding=31)[:, 0]
        elif self.head == "istft":
            frames = torch.polar(x[:, :9].clamp(max=5).exp(), math.pi * x[:, 9:].sin())
            x = torch.istft(frames, 16, 4, window=torch.hann_window(16))
        return x.reshape(x.shape[0], -1)[:, :samples]


class Codec(nn.Module):
    """Strided encoder, residual vector quantiser at 62.5 frames a second, upsampling decoder."""

    def __init__(self, books: int = 8, codes: int = 256, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(1, 16, 7, padding=3)]
        for inputs, step in ((16, 4), (32, 8), (64, 8)):
            layers += [nn.ELU(), nn.Conv1d(inputs, 2 * inputs, 2 * step, step, step // 2)]
            layers += [nn.ELU(), nn.Conv1d(2 * inputs, 2 * inputs, 5, padding=2)]
        self.encoder = nn.Sequential(*layers, nn.ELU(), nn.Conv1d(128, width, 3, padding=1))
        self.books = nn.Parameter(
            torch.randn(books, codes, width) * 0.3 ** torch.arange(1, books + 1)[:, None, None]
        )
        self.decoder = Upsampler("wave", inputs=width, source=False)
        self.commitment = torch.zeros(())

    def forward(self, mel: Tensor, source: Tensor, wave: Tensor) -> Tensor:
        """Return the coded waves [batch, samples]; training drops the last books at random."""
        latent = self.encoder(F.pad(wave, (0, HOP))[:, None]).transpose(1, 2)
        rest, taken = latent, torch.zeros_like(latent)
        self.commitment = latent.new_zeros(())
        for book in self.books[: int(torch.randint(3, len(self.books) + 1, ()))]:
            code = book[torch.cdist(rest, book[None]).argmin(-1)]
            self.commitment = (
                self.commitment
                + F.mse_loss(code, rest.detach())
                + 0.25 * F.mse_loss(rest, code.detach())
            )
            taken, rest = taken + code, rest - code.detach()
        return self.decoder((latent + (taken - latent).detach()).transpose(1, 2), source, wave)


class Flow(nn.Module):
    """A velocity field from noise to the compressed spectrum given the mel; eight Euler steps."""

    def __init__(self, width: int = 192, depth: int = 6, steps: int = 8) -> None:
        super().__init__()
        self.steps, bins = steps, SIZE // 2 + 1
        self.trunk = _trunk(MELS + 1 + 2 * bins, width, depth, 2 * bins)

    def _velocity(self, x: Tensor, mel: Tensor, time: Tensor) -> Tensor:
        return self.trunk(torch.cat([x, mel, time.expand(-1, 1, mel.shape[-1])], 1))

    def loss(self, mel: Tensor, wave: Tensor) -> Tensor:
        """Return the flow-matching loss on a batch."""
        frames = spectrum(wave)
        target = torch.cat(
            [*torch.view_as_real(torch.polar(frames.abs().sqrt(), frames.angle())).unbind(-1)], 1
        )
        noise, time = torch.randn_like(target), torch.rand(len(wave), 1, 1)
        return F.mse_loss(
            self._velocity(time * target + (1 - time) * noise, mel, time), target - noise
        )

    def forward(self, mel: Tensor, source: Tensor, wave: Tensor) -> Tensor:
        """Return waves [batch, samples] from log-mels [batch, 80, frames]."""
        x = torch.randn(len(mel), 2 * (SIZE // 2 + 1), mel.shape[-1])
        for step in range(self.steps):
            x = (
                x
                + self._velocity(x, mel, torch.full((len(mel), 1, 1), step / self.steps))
                / self.steps
            )
        real, imaginary = x.chunk(2, 1)
        frames = torch.complex(real, imaginary)
        return torch.istft(
            frames * frames.abs(),
            SIZE,
            HOP,
            window=torch.hann_window(SIZE),
            length=source.shape[-1],
        )


class Critic(nn.Module):
    """A discriminator on log magnitudes at two resolutions (UnivNet, Jang 2021)."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(1, width, (7, 3), (2, 1), (3, 1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, width, (7, 3), (2, 2), (3, 1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, width, (7, 3), (2, 2), (3, 1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, 1, 3, padding=1),
            )
            for _ in range(2)
        )

    def forward(self, wave: Tensor) -> list[Tensor]:
        """Return one map of judgements per resolution, near 1 for what looks genuine."""
        sizes = ((1024, 256), (256, 64))
        spectra = (
            spectrum(wave, size, hop).abs().clamp_min(1e-4).log()[:, None] for size, hop in sizes
        )
        return [net(s) for net, s in zip(self.nets, spectra, strict=True)]


def spectral_loss(copy: Tensor, wave: Tensor) -> Tensor:
    """Return the spectral distance at three resolutions (Parallel WaveGAN, Yamamoto 2020)."""
    total = 2 * F.l1_loss(log_mel(copy), log_mel(wave))
    for size, hop in ((1024, 256), (512, 128), (256, 64)):
        one, two = (spectrum(w, size, hop).abs().clamp_min(1e-4) for w in (copy, wave))
        total = total + F.l1_loss(one.log(), two.log()) + (one - two).norm() / two.norm()
    return total
