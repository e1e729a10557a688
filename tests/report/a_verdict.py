"""Verdicts on recordings, as the pipeline makes them; sound of a tone and of silence."""

from __future__ import annotations

import datetime as dt

import numpy as np

from cyberterr.contracts.examiner import RATE, Window
from cyberterr.contracts.finding import Explanation, Finding, Severity
from cyberterr.contracts.measure import Measure, Text
from cyberterr.contracts.media import (
    Answer,
    Band,
    Declared,
    Evidence,
    Fact,
    Limit,
    Media,
    Provenance,
    Rate,
    Segment,
)
from cyberterr.report.media_html import Examined
from cyberterr.report.spectrogram import Builder

WHEN = dt.datetime(2026, 3, 14, 6, 2, 11, tzinfo=dt.UTC)
TITLES: dict[Answer, Text] = {
    "signs_of_synthesis": Text("Signs of synthesis", "Indices de synthèse"),
    "no_sign_found": Text("No sign found (this proves nothing)", "Aucun indice relevé"),
    "cannot_say": Text("Cannot say", "Impossible à dire"),
}
HOSTILE = '<script src="http://x.example/a.js"></script>\x1b[2J\u202e[bold]"&\'.wav'


def evidence(answer: Answer, score: float, seconds: float) -> Evidence:
    return Evidence(
        head="voice",
        model="voice 1",
        answer=answer,
        score=score,
        interval=(score - 0.05, score + 0.05),
        rates=(
            Rate(
                what=Text("false alarms on the worst source", "fausses alertes, pire source"),
                hits=6,
                trials=117,
                low=0.024,
                high=0.11,
                data="set A",
            ),
        ),
        reason=Text("It sounds like a machine.", "Cela ressemble à une machine."),
        calibration=Text("as shipped", "d’origine"),
        segments=tuple(
            Segment(start=at, end=min(at + 4.0, seconds), score=score if at < 4 else 0.2)
            for at in np.arange(0, seconds, 4).tolist()
        ),
        bands=(
            Band(
                low_hz=0,
                high_hz=4000,
                value=-9,
                genuine=(-12, -6),
                synthetic=(-8, -4),
                weight=-0.02,
            ),
            Band(
                low_hz=4000,
                high_hz=8000,
                value=-31,
                genuine=(-60, -30),
                synthetic=(-40, -20),
                weight=0.21,
            ),
        ),
    )


def found(
    answer: Answer = "signs_of_synthesis",
    *,
    name: str = "call.wav",
    score: float | None = 0.84,
    seconds: float = 10.0,
    limits: tuple[Limit, ...] = (),
    provenance: Provenance | None = None,
) -> Finding:
    heard = () if score is None else (evidence(answer, score, seconds),)
    media = Media(
        kind="audio",
        sha256="5f" * 32,
        name=name,
        size=532_000,
        mime="audio/wav",
        seconds=seconds,
        answer=answer,
        score=score,
        interval=heard[0].interval if heard else None,
        evidence=heard,
        quality=(
            Measure(
                name="speech",
                value=8.2,
                unit="seconds",
                label=Text("Seconds of speech", "Secondes de parole"),
            ),
        ),
        limits=limits,
        provenance=provenance or Provenance(),
        models=("voice 1",) if heard else (),
    )
    return Finding(
        id="6f1e0c52a9d84b7715c3e2aa",
        rule="verify.audio",
        detector="voice",
        family="synthesis",
        severity=Severity.HIGH if answer == "signs_of_synthesis" else Severity.LOW,
        score=score or 0.0,
        start=WHEN,
        end=WHEN,
        scope=name,
        title=TITLES[answer],
        reason=Text("It sounds like a machine.", "Cela ressemble à une machine."),
        explanations=(Explanation(text=Text("A codec.", "Un codec."), state="not_checked"),),
        not_examined=(*(each.text for each in limits), Text("Cut sentences.", "Phrases coupées.")),
        next_steps=(Text("Call back.", "Rappelez."),),
        media=media,
    )


NOISY = Limit(code="noisy", text=Text("Too noisy.", "Trop de bruit."), decisive=True)
FORGED = Provenance(
    signature="unknown_signer",
    signer=HOSTILE,
    declared=(
        Declared(field=HOSTILE, value=HOSTILE, meaning=Text("made", "fait"), generated=True),
    ),
    facts=(Fact(name="encoder", value=HOSTILE, label=Text("Encoder", "Encodeur")),),
)


def sound(seconds: float) -> np.ndarray:
    """A tone of 1 kHz."""
    at = np.arange(int(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 1000 * at)).astype(np.float32)


def examined(finding: Finding) -> Examined:
    """*finding* with its picture and two parts to listen to."""
    wave = sound(10)
    builder = Builder()
    builder.add(wave)
    parts = tuple(Window(start=at, samples=wave[: 4 * RATE]) for at in (4.0, 0.0))
    return Examined(finding=finding, spectrogram=builder.picture(), listen=parts)
