"""The card of the model: what it was trained on, what it scores on what it never met."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from pathlib import Path

import copies
import folds
import numpy as np
import prepare
from numpy.typing import NDArray

from cyberterr.contracts.examiner import Calibration, band_levels
from cyberterr.contracts.measure import Text
from cyberterr.contracts.media import Rate
from cyberterr.media.gate import Gate
from cyberterr.media.measures import NativeMeasures
from cyberterr.pipeline.calibration import Scored, fit, rates

EDGES_HZ = (0, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000)
DATA = "audio-dev 2026-11, families and corpora left out, clips that pass the quality gate"
VERSION = "1"
BLIND = (
    Text(
        "Generators and recording chains that it never met: the figures were measured on some, not "
        "on yours.",
        "Les générateurs et chaînes d'enregistrement jamais rencontrés : les chiffres valent pour "
        "quelques-uns, pas pour les vôtres.",
    ),
    Text(
        "French: too few genuine sources to claim a rate for it.",
        "Le français : trop peu de sources authentiques pour annoncer un taux.",
    ),
)
NAME = Text(
    "as shipped, from clips whose family and corpus were left out",
    "d'origine, établie sur des extraits dont la famille et le corpus étaient exclus",
)


def judged(data: Path) -> set[str]:
    """Clips that pass the quality gate: of the others nothing is said, whatever they score."""
    passed = set()
    for name, wave in prepare.waves(data):
        gate, native = Gate(prepare.PCM), NativeMeasures(copies.RATE)
        gate.add(wave)
        native.add(wave)
        _, limits = gate.quality(native.told(damaged=0, cut=False))
        if not any(limit.decisive for limit in limits):
            passed.add(name)
    return passed


def left_out(folder: Path, chosen: set[str]) -> list[Scored]:
    """Clips of *chosen* in `left_out.csv.gz`, as the first partition scored them."""
    with gzip.open(folder / "left_out.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return [
            Scored(
                raw=float(row["score"]),
                synthetic=row["label"] == "spoof",
                source=row["generator"] or row["corpus"],
                corpus=row["corpus"],
            )
            for row in csv.DictReader(file)
            if row["condition"] == "clean" and row["partition"] == "0" and row["file"] in chosen
        ]


def write(data: Path, clips: list[folds.Clip], here: Path) -> None:
    """Write `card.toml` and the list of what was trained on into *here*."""
    known = [hashlib.sha256((data / clip.file).read_bytes()).hexdigest()[:16] for clip in clips]
    (here / "trained_on.txt").write_text("".join(f"{each}\n" for each in sorted(known)))
    rows = left_out(here, judged(data))
    calibration = fit(rows, NAME)
    genuine = sum(not clip.synthetic for clip in clips)
    generators = len({clip.generator for clip in clips if clip.synthetic})
    corpora = len({clip.corpus for clip in clips if not clip.synthetic})
    head = {
        "id": "voice",
        "version": VERSION,
        "detector": "voice",
        "kind": "audio",
        "graph": "weights.onnx",
        "sha256": hashlib.sha256((here / "weights.onnx").read_bytes()).hexdigest(),
        "window_s": 4.0,
        "hop_s": prepare.HOP_S,
        "least_s": 1.0,
        "made_by": "python models/voice/train.py FOLDER --work DIR",
    }
    trained_on = Text(
        f"{len(clips) - genuine} synthetic clips of {generators} generators and {genuine} genuine "
        f"ones of {corpora} corpora, {len(copies.TRAINING)} damaged copies of each",
        f"{len(clips) - genuine} extraits synthétiques de {generators} générateurs et {genuine} "
        f"authentiques de {corpora} corpus, {len(copies.TRAINING)} copies dégradées de chacun",
    )
    licence = Text(
        "weights: as the project; the clips have mixed licences and are not redistributed",
        "poids : comme le projet ; les extraits ont des licences diverses et ne sont pas diffusés",
    )
    parts = [
        "# Written by make_card.py.",
        *(f"{key} = {json.dumps(value)}" for key, value in head.items()),
        f"trained_on = {_text(trained_on)}",
        f"licence = {_text(licence)}",
        f"blind_spots = [{', '.join(_text(spot) for spot in BLIND)}]",
        *_measured(rates(rows, DATA)),
        *_calibration(calibration),
        *_reference(data),
    ]
    (here / "card.toml").write_text("\n".join(parts) + "\n", encoding="utf-8")


def _measured(rates: tuple[Rate, ...]) -> list[str]:
    return [
        line
        for rate in rates
        for line in (
            "",
            "[[measured]]",
            f"what = {_text(rate.what)}",
            f"hits = {rate.hits}",
            f"trials = {rate.trials}",
            f"low = {rate.low:.4f}",
            f"high = {rate.high:.4f}",
            f"data = {json.dumps(rate.data)}",
        )
    ]


def _calibration(calibration: Calibration) -> list[str]:
    names = ("raw", "score", "low", "high")
    numbers = ("signs_at", "none_below", "window_at", "window_rate")
    return [
        "",
        "[calibration]",
        *(f"{name} = {[round(each, 4) for each in getattr(calibration, name)]}" for name in names),
        *(f"{name} = {getattr(calibration, name):.4f}" for name in numbers),
        f"name = {_text(calibration.name)}",
    ]


def _reference(data: Path) -> list[str]:
    levels: dict[bool, list[NDArray[np.float64]]] = {False: [], True: []}
    for clip, (_, wave) in zip(folds.read_manifest(data), prepare.waves(data), strict=True):
        levels[clip.synthetic].append(band_levels(wave[: 4 * copies.RATE], EDGES_HZ))
    measure = Text("level relative to the whole, in dB", "niveau par rapport à l'ensemble, en dB")
    lines = ["", "[reference]", f"edges_hz = {[float(edge) for edge in EDGES_HZ]}"]
    lines.append(f"measure = {_text(measure)}")
    for synthetic, name in ((False, "genuine"), (True, "synthetic")):
        ends = np.percentile(levels[synthetic], [10, 90], axis=0).T.round(1).tolist()
        lines.append(f"{name} = {ends}")
    return lines


def _text(text: Text) -> str:
    en, fr = (json.dumps(each, ensure_ascii=False) for each in (text.en, text.fr))
    return f"{{ en = {en}, fr = {fr} }}"
