"""Train the vocoders of `vocoders.py` on genuine speech and copy every genuine clip through them.

    python models/voice/vocode.py FOLDER --work DIR [--only NAME ...]

FOLDER has a MANIFEST.csv. Each vocoder learns on one half of the corpora (whole ones, so that a
left-out corpus can be kept out of what made the copies) and copies all clips. DIR/copies gets one
FLAC per clip and vocoder, aligned and as loud as its source, and index.csv (file, source_file,
vocoder, seed, training_corpora). Seeded; one CPU thread.
"""

import argparse
import csv
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
import torchaudio
from copies import decode
from torch import Tensor, nn
from torch.nn import functional as F
from vocoders import (
    HOP,
    MELS,
    RATE,
    SIZE,
    Codec,
    Critic,
    Flow,
    Upsampler,
    Vocos,
    excitation,
    log_mel,
    mel_matrix,
    pitch,
    spectral_loss,
    spectrum,
)

log = logging.getLogger("vocode")
Synthesis = Callable[[Tensor, Tensor, Tensor], Tensor]
WINDOW = torch.hann_window(SIZE)


class Recipe(NamedTuple):
    """How a vocoder is made: its shape, its half of the corpora, optimiser steps, seed."""

    make: Callable[[], nn.Module]
    half: int
    steps: int
    seed: int


TRAINED = {
    "vocos": Recipe(Vocos, 0, 900, 1),
    "nsf_hifigan": Recipe(lambda: Upsampler("wave"), 1, 500, 2),
    "codec": Recipe(Codec, 0, 450, 3),
    "nsf_istftnet": Recipe(lambda: Upsampler("istft"), 1, 800, 4),
    "mb_melgan": Recipe(lambda: Upsampler("bands", kernels=(3,)), 0, 900, 5),
    "flow": Recipe(Flow, 1, 2000, 6),
}


def griffin_lim(mel: Tensor, source: Tensor, wave: Tensor, rounds: int = 24) -> Tensor:
    """Invert the mel by its pseudo-inverse and find phases by fast Griffin-Lim (Perraudin 2013)."""
    magnitude = torch.einsum(
        "mf,bmt->bft", torch.linalg.pinv(mel_matrix(SIZE, MELS)), mel.exp()
    ).clamp_min(1e-6)
    frames = torch.polar(magnitude, spectrum(source).angle())
    before = torch.zeros_like(frames)
    for _ in range(rounds):
        after = spectrum(torch.istft(frames, SIZE, HOP, window=WINDOW, length=source.shape[-1]))
        frames = torch.polar(magnitude, (after - 0.5 * before).angle())
        before = after
    return torch.istft(frames, SIZE, HOP, window=WINDOW, length=source.shape[-1])


def rephased(mel: Tensor, source: Tensor, wave: Tensor) -> Tensor:
    """Keep the magnitudes of the true spectrum and lay the phases of a pulse train under them."""
    frames = torch.polar(spectrum(wave).abs(), spectrum(source).angle())
    return torch.istft(frames, SIZE, HOP, window=WINDOW, length=source.shape[-1])


def linear_prediction(mel: Tensor, source: Tensor, wave: Tensor, order: int = 20) -> Tensor:
    """Send the excitation through the all-pole envelope of every frame (autocorrelation method)."""
    power = spectrum(wave).abs() ** 2
    lags = torch.fft.irfft(power, dim=1).transpose(1, 2)[..., : order + 1].double()
    at = torch.arange(order)
    system = lags[..., (at[:, None] - at).abs()] + torch.eye(order) * (
        1e-4 * lags[..., :1, None] + 1e-9
    )
    poles = torch.linalg.solve(system, lags[..., 1:, None])[..., 0]
    gain = (lags[..., 0] - (poles * lags[..., 1:]).sum(-1)).clamp_min(1e-9).sqrt()
    inverse = torch.fft.rfft(torch.cat([torch.ones_like(poles[..., :1]), -poles], -1), SIZE).abs()
    envelope = (gain[..., None] / inverse.clamp_min(1e-4)).float().transpose(1, 2)
    return torch.istft(
        spectrum(source) * envelope, SIZE, HOP, window=WINDOW, length=source.shape[-1]
    )


CLASSICAL: dict[str, Synthesis] = {
    "griffin_lim": griffin_lim,
    "rephased": rephased,
    "lpc": linear_prediction,
}


def genuine(folder: Path, work: Path) -> list[dict[str, str]]:
    """Return the manifest rows of the genuine clips; their decoded waves lie in `work/genuine`."""
    with (folder / "MANIFEST.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["label"] == "bonafide"]
    (work / "genuine").mkdir(parents=True, exist_ok=True)
    for row in rows:
        row["wave"] = str(work / "genuine" / row["file"].replace("/", "_")) + ".npy"
        if not Path(row["wave"]).exists():
            np.save(row["wave"], decode(folder / row["file"]))
    return rows


def high_pass(wave: Tensor) -> Tensor:
    """Remove the mean and all below 40 Hz from a wave [samples], smoothly and without delay."""
    bins = torch.fft.rfft(wave)
    hertz = torch.linspace(0, RATE / 2, len(bins))
    return torch.fft.irfft(bins * (hertz / 40 - 0.5).clamp(0, 1), len(wave))


def load(row: dict[str, str]) -> Tensor:
    """Return one wave [samples] with its peak at 0.9, above 40 Hz."""
    wave = high_pass(torch.from_numpy(np.load(row["wave"])))
    return 0.9 * wave / wave.abs().max().clamp_min(1e-6)


def halves(rows: list[dict[str, str]]) -> tuple[list[str], list[str]]:
    """Split the corpora in two of equal length, longest first; parts of one stay together."""
    seconds: dict[str, float] = defaultdict(float)
    parts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        family = row["corpus"].replace("(", "-").split("-")[0]
        seconds[family] += float(row["seconds"])
        parts[family].add(row["corpus"])
    sides, lengths = ([], []), [0.0, 0.0]
    for family in sorted(seconds, key=lambda name: (-seconds[name], name)):
        side = int(lengths[1] < lengths[0])
        sides[side].extend(sorted(parts[family]))
        lengths[side] += seconds[family]
    return sides


def train(
    recipe: Recipe, rows: list[dict[str, str]], batch: int = 16, samples: int = 8_192
) -> nn.Module:
    """Fit one vocoder on the rows: spectral loss, from half of the steps on an adversary too."""
    torch.manual_seed(recipe.seed)
    dice = np.random.default_rng(recipe.seed)
    waves = [
        F.pad(load(row), (0, max(0, samples - int(float(row["seconds"]) * RATE) + HOP)))
        for row in rows
    ]
    sources = [excitation(pitch(wave[None]), len(wave))[0] for wave in waves]
    odds = np.array([len(wave) for wave in waves], float)
    net, critic, began = recipe.make(), Critic(), time.process_time()
    learn = torch.optim.AdamW(net.parameters(), 1e-3, (0.8, 0.99))
    judge = torch.optim.AdamW(critic.parameters(), 3e-4, (0.5, 0.9))
    rates = torch.optim.lr_scheduler.OneCycleLR(learn, 1e-3, recipe.steps, pct_start=0.05)
    for step in range(recipe.steps):
        cut = [
            (i, dice.integers(len(waves[i]) - samples + 1))
            for i in dice.choice(len(waves), batch, p=odds / odds.sum())
        ]
        wave = torch.stack([waves[i][at : at + samples] for i, at in cut])
        source = torch.stack([sources[i][at : at + samples] for i, at in cut])
        wave = wave * torch.from_numpy(dice.uniform(0.3, 1.0, (batch, 1)).astype(np.float32))
        if isinstance(net, Flow):
            loss = net.loss(log_mel(wave), wave)
        else:
            copy = net(log_mel(wave), source, wave)
            loss = spectral_loss(copy, wave)
        if isinstance(net, Codec):
            loss = loss + 10 * F.l1_loss(copy, wave) + net.commitment
        if step >= recipe.steps // 2 and not isinstance(net, Flow):
            doubt = sum((m - 1).square().mean() for m in critic(wave)) + sum(
                m.square().mean() for m in critic(copy.detach())
            )
            judge.zero_grad()
            doubt.backward()
            judge.step()
            loss = loss + 0.5 * sum((m - 1).square().mean() for m in critic(copy))
        learn.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        learn.step()
        rates.step()
        if step % 100 == 99:
            seconds = time.process_time() - began
            log.info("step %d loss %.3f %.0f s", step + 1, loss.item(), seconds)
    return net.eval()


def blur(mel: Tensor, frames: float, bins: float) -> Tensor:
    """Smooth a log-mel over time and bands by Gaussians of these widths, as acoustic models do."""
    reach = torch.arange(-6.0, 7.0)
    for dimension, width in ((2, frames), (1, bins)):
        weights = torch.softmax(-0.5 * (reach / max(width, 0.1)) ** 2, 0)
        x = mel.transpose(dimension, 2)
        flat = F.pad(x.reshape(-1, 1, x.shape[-1]), (6, 6), mode="replicate")
        mel = F.conv1d(flat, weights[None, None]).reshape(x.shape).transpose(dimension, 2)
    return mel


def match(copy: Tensor, mel: Tensor) -> Tensor:
    """Give a copy [1, samples] the wanted log-mel [1, 80, frames].

    The long-term correction is free, that of a frame is held within 10 dB of it. A vocoder that
    trained for minutes misses the envelope, one that trained for days does not: without this the
    long-term spectrum alone tells the copies, and they teach nothing else.
    """
    for _ in range(2):
        error = mel - log_mel(copy)
        weight = (mel - mel.amax((1, 2), keepdim=True) > -7).float() + 1e-3
        steady = (error * weight).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
        gain = steady + (error - steady).clamp(-1.2, 1.2)
        spread = mel_matrix(SIZE, MELS)
        spread = spread / spread.sum(1, keepdim=True).clamp_min(1e-9)
        gain = torch.einsum("fm,bmt->bft", spread, gain).exp()
        copy = torch.istft(spectrum(copy) * gain, SIZE, HOP, window=WINDOW, length=copy.shape[-1])
    return copy


@torch.no_grad()
def vocoded(synthesis: Synthesis, wave: Tensor, dice: np.random.Generator) -> Tensor:
    """Return the copy of a wave [samples]: smoothed mel, slightly wrong pitch, one of 3 rates."""
    factor = int(dice.choice([10, 11, 12]))
    known = torchaudio.functional.resample(wave, 10, factor)[None]
    known = F.pad(known, (0, -known.shape[-1] % HOP))
    mel = log_mel(known)
    wanted = (
        mel
        if isinstance(synthesis, Codec)
        else blur(mel, *dice.uniform(0, 2, 2) * (dice.random(2) < 0.7))
    )
    source = excitation(pitch(known) * float(np.exp(dice.normal(0, 0.01))), known.shape[-1])
    copy = match(synthesis(wanted, source, known), wanted)
    copy = high_pass(torchaudio.functional.resample(copy[0], factor, 10)[: len(wave)])
    copy = copy * wave.square().mean().sqrt() / copy.square().mean().sqrt().clamp_min(1e-6)
    return copy / (copy.abs().max() / 0.99).clamp_min(1)


def copy_all(
    name: str,
    synthesis: Synthesis,
    seed: int,
    rows: list[dict[str, str]],
    corpora: list[str],
    out: Path,
) -> None:
    """Write the copies of all rows by one vocoder and its own index beside them."""
    (out / name).mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    lines = []
    for number, row in enumerate(rows):
        copy = vocoded(synthesis, load(row), np.random.default_rng((seed, number)))
        file = f"{name}/{Path(row['file']).stem}.flac"
        soundfile.write(out / file, copy.numpy(), RATE, subtype="PCM_16")
        lines.append((file, row["file"], name, seed, "|".join(corpora)))
    with (out / name / "index.csv").open("w", newline="") as table:
        csv.writer(table).writerows(lines)


def index(out: Path) -> None:
    """Join the indexes of all vocoders into one."""
    parts = [part.read_text() for part in sorted(out.glob("*/index.csv"))]
    (out / "index.csv").write_text(
        "file,source_file,vocoder,seed,training_corpora\n" + "".join(parts)
    )


def main() -> None:
    """Train what is not trained yet, copy what is not copied yet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[*CLASSICAL, *TRAINED])
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows, out = genuine(options.folder, options.work), options.work / "copies"
    sides = halves(rows)
    for name in options.only:
        if (out / name / "index.csv").exists():
            continue
        began, corpora, seed = time.process_time(), [], 0
        synthesis = CLASSICAL.get(name)
        if synthesis is None:
            recipe, stored = TRAINED[name], options.work / f"{name}.pt"
            corpora, seed = sides[recipe.half], recipe.seed
            synthesis = recipe.make()
            if not stored.exists():
                taught = [
                    r for r in rows if r["corpus"] in corpora and int(r["sample_rate"]) >= RATE
                ]
                torch.save(train(recipe, taught).state_dict(), stored)
            synthesis.load_state_dict(torch.load(stored, weights_only=True))
        middle = time.process_time()
        copy_all(name, synthesis, seed, rows, corpora, out)
        index(out)
        ended = time.process_time()
        log.info("%s: trained %.0f s, copied %.0f s", name, middle - began, ended - middle)


if __name__ == "__main__":
    main()
