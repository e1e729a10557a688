"""From files to verdicts, the whole path in one file: decode, gate, listen, judge, weigh, keep."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.contracts.documents import to_ecs
from cyberterr.contracts.examiner import RATE, Clip, Examiner, Model, Window
from cyberterr.contracts.finding import Finding, Measure
from cyberterr.contracts.media import Evidence, Limit, Media
from cyberterr.contracts.store import Store
from cyberterr.errors import (
    SEVEREST_FIRST,
    CyberterrError,
    MissingPartError,
    StoreError,
)
from cyberterr.media import credentials, decode, listening, metadata
from cyberterr.media.gate import Gate
from cyberterr.media.sandbox import Bounds
from cyberterr.pipeline import submitted, verdict, voices
from cyberterr.pipeline.forward import flush
from cyberterr.pipeline.models import models
from cyberterr.pipeline.upkeep import clean, tell
from cyberterr.report import media_html, media_terminal
from cyberterr.report.spectrogram import Builder, Spectrogram
from cyberterr.report.text import Lang
from cyberterr.store.revisions import as_kept

show = media_terminal.show

LOUDEST = 8


class Verified(NamedTuple):
    """One file that was examined."""

    name: str
    """as it was named; what is not UTF-8 in it is replaced"""
    finding: Finding
    loudest: tuple[Window, ...]
    """windows with the highest scores, worst first"""
    spectrogram: Spectrogram | None
    """of the whole, where a report was asked for"""
    kept: Path | None = None
    """copy in the data folder, where one was asked for"""


class Failed(NamedTuple):
    """One file that could not be examined."""

    name: str
    error: CyberterrError


@dataclass
class Progress:
    """How far a call is; filled while it runs."""

    files: int = 0
    done: int = 0
    name: str = ""
    heard_s: float = 0.0
    """seconds of sound of the present file"""
    total_s: float | None = None
    warnings: list[str] = field(default_factory=list)
    errors: list[CyberterrError] = field(default_factory=list)
    """of the store and of copies kept: what was said is not lost by them"""


def verify(
    paths: Sequence[str],
    settings: Settings,
    store: Store | None,
    progress: Progress,
    *,
    keep_evidence: bool = False,
    picture: bool = False,
) -> Iterator[Verified | Failed]:
    """Examine every file of *paths* (files, folders, `-`), one after the other.

    Args:
        paths: as a person named them.
        settings: `[media]`, and the sensor's name.
        store: keeps the findings; None keeps nothing.
        progress: filled while the iterator runs.
        keep_evidence: keep a copy of each examined file in the data folder, by its SHA-256.
        picture: draw spectrograms, for a report.

    Raises:
        MissingPartError: a model is refused.
    """
    further = Path(settings.media.models) if settings.media.models else None
    opened = voices.calibrated(models(further))
    named = settings.media.trust_list
    trust = credentials.trust_list(Path(named)) if named else ""
    listeners = [
        (examiner, [model for model in opened if model.card.detector == examiner.card.id])
        for examiner in content.examiners()
        if "audio" in examiner.card.kinds
    ]
    if len({(model.card.window_s, model.card.hop_s) for model in opened}) > 1:
        raise MissingPartError(
            "the models listen to windows of different lengths, and cannot vote together",
            hint="keep models of one length in [media] models",
        )
    if store is not None:
        clean(store, settings, progress.warnings.append)
    paths = list(submitted.files(paths))
    progress.files = len(paths)
    for path in paths:
        name = os.fsencode(path).decode(errors="replace")
        progress.name, progress.heard_s, progress.total_s = name, 0.0, None
        try:
            with submitted.opened(path, name) as source:
                result = _examine(name, source, settings, listeners, progress, trust, picture)
                if keep_evidence:
                    result = _with_copy(result, source, progress)
            yield _stored(result, store, progress)
        except CyberterrError as error:
            yield Failed(name, error)
        progress.done += 1
    if store is not None:
        tell(store, settings, progress.warnings.append)
        flush(store, settings.elastic, progress.warnings.append)


def document(each: Verified | Failed) -> dict[str, Any]:
    """What other programs read of one file: the ECS event, or why there is none."""
    if isinstance(each, Failed):
        error = {"code": str(each.error.exit_code), "message": each.error.message}
        return {"file": {"path": each.name}, "error": error}
    event = to_ecs(each.finding)
    event["file"]["path"] = each.name
    return event


def exit_code(errors: Sequence[CyberterrError]) -> int:
    """The severest of what happened."""
    codes = {error.exit_code for error in errors}
    return next((code for code in SEVEREST_FIRST if code in codes), 0)


def _examine(
    name: str,
    source: BinaryIO,
    settings: Settings,
    listeners: Sequence[tuple[Examiner, Sequence[Model]]],
    progress: Progress,
    trust: str,
    picture: bool,
) -> Verified:
    bounds = Bounds(seconds=settings.media.longest_hours * 3600)
    with decode.opened(source, name=name, bounds=bounds, trust=trust) as recording:
        progress.total_s = recording.container.seconds
        gate = Gate(recording.container)
        drawing = Builder() if picture else None

        def blocks() -> Iterator[np.ndarray]:
            for block in recording.blocks():
                progress.heard_s += block.size / RATE
                if drawing:
                    drawing.add(block)
                yield block

        listening_to = [
            Listening(examiner, model) for examiner, owned in listeners for model in owned
        ]
        cards = [each.model.card for each in listening_to]
        window_s, hop_s = (cards[0].window_s, cards[0].hop_s) if cards else (4.0, 2.0)
        least_s = min((card.least_s for card in cards), default=1.0)
        for part in listening.windows(
            blocks(), gate, window_s=window_s, hop_s=hop_s, least_s=least_s
        ):
            for each in listening_to:
                each.add(part)
        measures, limits = gate.quality(recording.native)
        evidence = tuple(
            each.judge(recording.native.seconds, measures, limits) for each in listening_to
        )
        provenance = metadata.told(recording.container, recording.provenance)
        answer, chosen, all_limits = verdict.weighed(evidence, limits, provenance)
        media = Media(
            kind="audio",
            sha256=recording.sha256(),
            name=Path(name).name if name != submitted.STDIN else "",
            size=recording.size,
            mime=recording.container.mime,
            seconds=round(recording.native.seconds, 3),
            answer=answer,
            score=chosen.score if chosen else None,
            interval=chosen.interval if chosen else None,
            evidence=(*evidence, *verdict.stated(provenance)),
            quality=measures,
            limits=all_limits,
            provenance=provenance,
            models=tuple(each.model.name for each in listening_to),
        )
    card = listeners[0][0].card
    now = dt.datetime.now(dt.UTC)
    found = verdict.finding(media, card, chosen, now, settings.site.sensor)
    loudest = next((e.loudest for e in listening_to if chosen and e.model.name == chosen.model), ())
    return Verified(name, found, tuple(loudest), drawing.picture() if drawing else None)


def report(path: Path, verified: Sequence[Verified], settings: Settings, lang: Lang) -> None:
    """Write the verdicts to *path*, `.html` or `.pdf`.

    Raises:
        CyberterrError: as for `media_html.write`.
    """
    items = [
        media_html.Examined(finding=each.finding, spectrogram=each.spectrogram, listen=each.loudest)
        for each in verified
    ]
    media_html.write(path, items, settings.site, lang)


class Listening:
    """One model listens to one recording."""

    def __init__(self, examiner: Examiner, model: Model) -> None:
        self.examiner, self.model = examiner, model
        self.loudest: list[Window] = []
        self._scores: list[float] = []
        self._raw: list[np.ndarray] = []
        self._starts: list[np.ndarray] = []

    def add(self, part: listening.Windows) -> None:
        """Measure some windows; keep the few that score highest."""
        raw = self.examiner.measure(part.samples, self.model)
        self._raw.append(raw)
        self._starts.append(part.starts)
        both = zip(self._scores, self.loudest, strict=True)
        new = zip(raw.tolist(), part.starts.tolist(), part.samples, strict=True)
        found = [*both, *((score, Window(start=at, samples=wave)) for score, at, wave in new)]
        found.sort(key=lambda pair: (-pair[0], pair[1].start))
        self._scores = [score for score, _ in found[:LOUDEST]]
        # A copy: a view would keep the whole block in memory.
        self.loudest = [
            Window(start=window.start, samples=window.samples.copy())
            for _, window in found[:LOUDEST]
        ]

    def judge(
        self, seconds: float, quality: tuple[Measure, ...], limits: tuple[Limit, ...]
    ) -> Evidence:
        """What this model says of the whole."""
        raw = np.concatenate(self._raw) if self._raw else np.empty(0, np.float32)
        clip = Clip(
            kind="audio",
            seconds=seconds,
            starts=np.concatenate(self._starts) if self._starts else np.empty(0),
            loudest=self.loudest,
            quality=quality,
            limits=limits,
        )
        return self.examiner.judge(raw, clip, self.model)


def _stored(result: Verified, store: Store | None, progress: Progress) -> Verified:
    """*result* as *store* numbers it; a store that fails is an error and loses nothing."""
    if store is None:
        return result
    try:
        kept = store.latest([result.finding.id]).get(result.finding.id)
        new = as_kept(verdict.again(result.finding, kept))
        numbered = store.put([new])
    except StoreError as error:
        # A store that fails for every file is one error.
        progress.errors = [e for e in progress.errors if e.message != error.message] + [error]
        return result
    stored = numbered[0] if numbered else kept or new
    return result._replace(finding=verdict.named(stored, result.finding))


def _with_copy(result: Verified, source: BinaryIO, progress: Progress) -> Verified:
    """*result* with a copy of its file kept; where that fails it is an error of its own."""
    media = result.finding.media
    assert isinstance(media, Media)  # noqa: S101 - it was just made
    try:
        return result._replace(kept=submitted.keep(source, media.size, media.sha256))
    except StoreError as error:
        progress.errors.append(error)
        return result
