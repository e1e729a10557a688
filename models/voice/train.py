"""Make the shipped graph, and the scores of left-out clips from which its card is made.

    python models/voice/train.py ../shared/data/audio --work /var/tmp/voice

It needs `pip install cyberterr[train]`, about 6 GB of disk and an hour and a half of a CPU core.
The order: copies of every clip; two networks and two perceptrons for each family that is left out
together with its corpora; their scores of what they never met (`left_out.csv.gz`); the same on
everything (`weights.onnx`); the card (`card.toml`).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from pathlib import Path

import folds
import make_card
import network
import numpy as np
import prepare
import torch
from numpy.typing import NDArray
from torch.nn import functional

EPOCHS = 10
HEAD_EPOCHS = 8  # over all copies
BATCH = 48
HEAD_BATCH = 256
CROP = 250  # frames: 2 s, so that length tells nothing
SEEDS = (0, 100)
PARTITIONS = (0, 1)
HERE = Path(__file__).parent


def weights(clips: list[folds.Clip], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Odds of drawing each row: n^-0.5 within its source, both labels alike; they sum to 1."""
    _, place, count = np.unique(
        [clips[row].source for row in rows], return_inverse=True, return_counts=True
    )
    odds = count[place] ** -0.5
    synthetic = np.array([clips[row].synthetic for row in rows])
    odds[synthetic] /= odds[synthetic].sum()
    odds[~synthetic] /= odds[~synthetic].sum()
    return odds / 2


def batch(
    training: list[prepare.Bands], rows: NDArray[np.intp], dice: np.random.Generator
) -> torch.Tensor:
    """A random copy of each row, a random crop of it, a band and a moment of it masked."""
    out = np.empty((len(rows), CROP, network.BANDS), np.float32)
    for place, row in enumerate(rows):
        copy = training[dice.integers(len(training))]
        count = int(copy.frames[row])
        bands = copy.bands[row][:count]
        if count < CROP:
            bands = np.tile(bands, (CROP // count + 1, 1))
            count = len(bands)
        start = dice.integers(count - CROP + 1)
        out[place] = bands[start : start + CROP]
    for each in out:
        low = dice.integers(0, 70)
        each[:, low : low + dice.integers(0, 14)] = 0
        low = dice.integers(0, CROP - 30)
        each[low : low + dice.integers(0, 30)] = 0
    return torch.from_numpy(out / network.SCALE)


def fit(
    clips: list[folds.Clip], rows: NDArray[np.intp], training: list[prepare.Bands], seed: int
) -> network.Net:
    """Train one network on *rows* (mixup, AdamW, one cycle); the same seed gives the same one."""
    torch.manual_seed(seed)
    dice = np.random.default_rng(seed)
    net = network.Net()
    odds = torch.from_numpy(weights(clips, rows))
    label = np.array([clip.synthetic for clip in clips], np.float32)
    steps = EPOCHS * len(rows) // BATCH
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps)
    for _ in range(steps):
        drawn = rows[torch.multinomial(odds, BATCH, replacement=True).numpy()]
        x, y = batch(training, drawn, dice), torch.from_numpy(label[drawn])
        share, other = dice.beta(0.5, 0.5), torch.randperm(BATCH)
        x, y = share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]
        loss = functional.binary_cross_entropy_with_logits(net(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def fit_head(
    clips: list[folds.Clip], rows: NDArray[np.intp], training: list[prepare.Bands], seed: int
) -> network.Head:
    """Train one perceptron on the statistics of all copies of *rows* (mixup, noise, AdamW)."""
    torch.manual_seed(seed)
    dice = np.random.default_rng(seed)
    x_all = torch.from_numpy(np.concatenate([copy.statistics[rows] for copy in training]))
    label = torch.tensor([float(clips[row].synthetic) for row in rows]).repeat(len(training))
    odds = torch.from_numpy(np.tile(weights(clips, rows), len(training)))
    head = network.Head(x_all.mean(0), x_all.std(0) + 1e-6)
    x_all = head.standard(x_all)
    steps = HEAD_EPOCHS * len(x_all) // HEAD_BATCH
    optimiser = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps)
    for _ in range(steps):
        drawn = torch.multinomial(odds, HEAD_BATCH, replacement=True)
        share, other = dice.beta(0.5, 0.5), torch.randperm(HEAD_BATCH)
        x = share * x_all[drawn] + (1 - share) * x_all[drawn][other]
        y = share * label[drawn] + (1 - share) * label[drawn][other]
        loss = functional.binary_cross_entropy_with_logits(
            head.layers(x + 0.3 * torch.randn_like(x))[:, 0], y
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()


@torch.inference_mode()
def scores(
    nets: list[network.Net],
    heads: list[network.Head],
    test: prepare.Bands,
    rows: NDArray[np.intp],
) -> dict[int, float]:
    """Raw score of each of *rows*: what `network.Shipped` says, the mean over its windows."""
    found: dict[int, list[float]] = {}
    for place in np.flatnonzero(np.isin(test.clip, rows)):
        bands = test.bands[place][: test.frames[place]].astype(np.float32) / network.SCALE
        statistics = torch.from_numpy(test.statistics[place])[None]
        raw = np.mean([net(torch.from_numpy(bands)[None]).item() for net in nets])
        raw += network.HEAD_SHARE * np.mean([head(statistics).item() for head in heads])
        found.setdefault(int(test.clip[place]), []).append(float(raw))
    return {row: float(np.mean(each)) for row, each in found.items()}


def left_out(
    folder: Path, work: Path, clips: list[folds.Clip], training: list[prepare.Bands]
) -> list[dict[str, object]]:
    """Scores of every clip under every condition, by networks that never met its like."""
    rows: list[dict[str, object]] = []
    for partition in PARTITIONS:
        for fold in folds.partition(clips, "family", partition):
            nets = [fit(clips, fold.train, training, partition + seed) for seed in SEEDS]
            heads = [fit_head(clips, fold.train, training, partition + seed) for seed in SEEDS]
            for kind in prepare.CONDITIONS:
                told = scores(nets, heads, prepare.condition(folder, work, kind), fold.test)
                rows += [
                    {
                        "file": clips[row].file,
                        "label": "spoof" if clips[row].synthetic else "bonafide",
                        "generator": clips[row].generator,
                        "corpus": clips[row].corpus,
                        "language": clips[row].language,
                        "condition": kind,
                        "scheme": "family",
                        "partition": partition,
                        "fold": fold.name,
                        "score": round(score, 4),
                    }
                    for row, score in told.items()
                ]
    return rows


def write_left_out(rows: list[dict[str, object]], path: Path) -> None:
    """Write *rows* as CSV; the same rows give the same bytes."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(sorted(rows, key=lambda row: (row["condition"], row["partition"], row["file"])))
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def export(nets: list[network.Net], heads: list[network.Head], path: Path) -> None:
    """Write *nets* and *heads*, from waveform to score, as one ONNX graph."""
    shipped = network.Shipped(nets, heads).eval()
    torch.onnx.export(
        shipped,
        (torch.randn(2, 64_000),),
        str(path),
        input_names=["waveform"],
        output_names=["score", "embedding"],
        dynamic_axes={
            "waveform": {0: "windows", 1: "samples"},
            "score": {0: "windows"},
            "embedding": {0: "windows"},
        },
        opset_version=17,
        dynamo=False,
    )


def main() -> None:
    """Train, measure, export, and write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="clips with MANIFEST.csv")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is cached")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the order of sums must not depend on the machine
    clips = folds.read_manifest(chosen.folder)
    training = prepare.training(chosen.folder, chosen.work)
    rows = left_out(chosen.folder, chosen.work, clips, training)
    write_left_out(rows, HERE / "left_out.csv.gz")
    everything = np.arange(len(clips))
    nets = [fit(clips, everything, training, 99 + seed) for seed in SEEDS]
    heads = [fit_head(clips, everything, training, 99 + seed) for seed in SEEDS]
    export(nets, heads, HERE / "weights.onnx")
    make_card.write(chosen.folder, clips, HERE)


if __name__ == "__main__":
    main()
