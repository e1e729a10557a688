"""Judge the judgement of recordings: a labelled folder in, errors with their intervals out."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cyberterr.config import Settings
from cyberterr.contracts.media import Answer
from cyberterr.errors import MissingPartError
from cyberterr.media.encode import CONDITIONS, copies
from cyberterr.pipeline import labelled, roc, shortcuts
from cyberterr.pipeline.calibration import nested, worst
from cyberterr.pipeline.labelled import Row
from cyberterr.pipeline.models import models
from cyberterr.pipeline.roc import Estimate, Scores
from cyberterr.pipeline.tables import Cell, Count, Table, of_many, of_one_source
from cyberterr.pipeline.verify import Failed, Progress, verify

AT_ONCE = 200
"""copies on disk at a time"""
LEAST_PAIR = 5
"""clips of each label that make a matched pair worth a line"""
NO_PUBLISHED_NET = (
    "A published net (AASIST) is not beside it: its weights cannot be had here. It was measured "
    "once on unseen generators and corpora, at an EER of 45 % [42-50], AUC 0.56."
)


INHERITED = (
    "A copy is ruled out where its clean file is, and after G.711; with --conditions the quality "
    "gate hears each copy itself."
)


class Evaluation(NamedTuple):
    """What one call measured."""

    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def evaluate_audio(
    folder: Path,
    settings: Settings,
    told: Callable[[str], None],
    *,
    left_out: Path | None = None,
    as_shipped: bool = False,
    conditions: bool = False,
) -> Evaluation:
    """Measure on the files of *folder* that its MANIFEST.csv labels.

    Args:
        folder: holds MANIFEST.csv with file and label, and as far as known generator, corpus,
            language.
        settings: `[media]`.
        told: gets a line about what is going on, now and then.
        left_out: scores of the same files by models that knew neither their source nor corpus;
            where None, those that ship with a model if they are about these files.
        as_shipped: run the shipped model over files that it was trained on, too.
        conditions: also after codecs, noise, a telephone and a room.

    Raises:
        UsageError: there is no readable manifest.
        MissingPartError: scores are not at hand and no model is installed.
    """
    clips = labelled.manifest(folder)
    known = {clip.file: clip for clip in clips}
    notes = [NO_PUBLISHED_NET]
    told("facts of the files")
    facts = {clip.file: shortcuts.facts(folder / clip.file) for clip in clips}
    scores = left_out or (None if as_shipped else labelled.shipped_left_out())
    rows = labelled.left_out(scores, known) if scores else []
    covered = len({row.file for row in rows} & set(known))
    if rows and (left_out or covered >= 0.9 * len(known)):
        notes.append(
            f"{covered} of {len(known)} files have left-out scores. The thresholds used on a "
            "source were chosen without it and without its corpus, on clips that the quality gate "
            "lets through; what it rules out is *cannot say*."
        )
        gated = {("clean", file): each.ruled_out for file, each in facts.items() if each}
        for condition in sorted({row.condition for row in rows} - {"clean"}):
            told(f"quality gate: {condition}")
            gated |= _gated(folder, clips, condition, gated, copied=conditions)
        if not conditions:
            notes.append(INHERITED)
        rows = [row._replace(reason=gated.get((row.condition, row.file), "")) for row in rows]
        parts = [
            (f"left out: {scheme}", _judged_nested([r for r in rows if r.scheme == scheme]))
            for scheme in sorted({row.scheme for row in rows})
        ]
    else:
        rows = list(_judged(folder, clips, settings, told, notes, conditions))
        parts = [
            (title, [row for row in rows if row.seen == seen])
            for title, seen in (("files no model was trained on", False),
                                ("in sample: files a model was trained on", True))
        ]  # fmt: skip
    baseline = _baseline(clips, facts, notes)
    tables = [
        table for title, chosen in parts if chosen
        for table in _tables(title, chosen, baseline)
    ]  # fmt: skip
    return Evaluation(tuple(tables), tuple(notes))


def _judged(
    folder: Path,
    clips: Sequence[Row],
    settings: Settings,
    told: Callable[[str], None],
    notes: list[str],
    conditions: bool,
) -> Iterator[Row]:
    """What the product itself says of every file, and of its copies."""
    opened = models(Path(settings.media.models) if settings.media.models else None)
    if not opened:
        raise MissingPartError(
            "no model that listens to voices is installed: there is nothing to measure",
            hint="name a folder of models in [media] models, or scores with --left-out",
        )
    notes.append(f"Models: {', '.join(model.name for model in opened)}.")
    seen = labelled.trained_on(settings.media.models)
    told("clean")
    by_path = {str(folder / clip.file): clip for clip in clips}
    in_sample = set()
    for row in _verified(by_path, settings, notes, seen):
        if row.seen:
            in_sample.add(row.file)
        yield row
    audible = [name for name, each in CONDITIONS.items() if not each.inaudible]
    for condition in audible if conditions else ():
        told(condition)
        for some, made in _copies(folder, clips, condition):
            by_copy = {path: some[name] for path, name in made.items()}
            for row in _verified(by_copy, settings, [], frozenset()):
                yield row._replace(condition=condition, seen=row.file in in_sample)


def _verified(
    by_path: dict[str, Row], settings: Settings, notes: list[str], seen: frozenset[str]
) -> Iterator[Row]:
    for each in verify(list(by_path), settings, None, Progress()):
        if isinstance(each, Failed):
            notes.append(f"not read: {by_path[each.name].file}: {each.error.message}")
            continue
        media = each.finding.media
        if not media:
            continue
        decisive = [limit.code for limit in media.limits if limit.decisive]
        yield by_path[each.name]._replace(
            score=media.score,
            answer=media.answer,
            seen=media.sha256[: labelled.DIGITS] in seen,
            reason=decisive[0] if decisive else "",
        )


def _gated(
    folder: Path,
    clips: Sequence[Row],
    condition: str,
    gated: dict[tuple[str, str], str],
    *,
    copied: bool,
) -> dict[tuple[str, str], str]:
    """Limit that rules each file out under *condition*: of its copy, or else of the file itself."""
    if not copied or condition not in CONDITIONS:
        narrow = "narrow_band" if condition == "g711" else ""
        return {(condition, clip.file): gated.get(("clean", clip.file)) or narrow for clip in clips}
    found = {}
    for some, made in _copies(folder, clips, condition):
        for path, name in made.items():
            facts = shortcuts.facts(Path(path))
            found[condition, some[name].file] = facts.ruled_out if facts else "unreadable"
    return found


def _copies(
    folder: Path, clips: Sequence[Row], condition: str
) -> Iterator[tuple[dict[str, Row], dict[str, str]]]:
    """Some clips by their file, and the paths of their copies, which are gone with the next."""
    for first in range(0, len(clips), AT_ONCE):
        some = {clip.file: clip for clip in clips[first : first + AT_ONCE]}
        with tempfile.TemporaryDirectory() as scratch:
            paths = [folder / name for name in some]
            yield some, copies(paths, list(some), condition, Path(scratch))


def _judged_nested(rows: Sequence[Row]) -> list[Row]:
    """*rows* of one scheme with answers by thresholds that knew neither their source nor corpus."""
    inside = [
        row.scored() for row in rows
        if row.condition == "clean" and not row.partial and not row.reason
    ]  # fmt: skip
    if all(each.synthetic for each in inside):
        return list(rows)
    answers = nested(inside, [row.scored() for row in rows])
    return [
        row._replace(answer="cannot_say" if row.reason else answer)
        for row, answer in zip(rows, answers, strict=True)
    ]


def _baseline(
    clips: Sequence[Row], facts: dict[str, shortcuts.Facts | None], notes: list[str]
) -> dict[str, float]:
    """Score of each file by facts of the container alone."""
    known = [(c, found) for c in clips if not c.partial and (found := facts[c.file])]
    if len({clip.synthetic for clip, _ in known}) < 2:
        notes.append("No baseline: the files that can be read have one label only.")
        return {}
    scores = shortcuts.scores(
        np.array([found.values for _, found in known]),
        np.array([clip.synthetic for clip, _ in known]),
        [clip.source for clip, _ in known],
        [clip.corpus for clip, _ in known],
    )
    return {
        clip.file: float(score) for (clip, _), score in zip(known, scores, strict=True)
        if np.isfinite(score)
    }  # fmt: skip


def _tables(title: str, rows: Sequence[Row], baseline: dict[str, float]) -> Iterator[Table]:
    whole = [row for row in rows if not row.partial]
    clean = [row for row in whole if row.condition == "clean"]
    order = sorted({row.condition for row in whole}, key=lambda name: (name != "clean", name))
    yield Table(
        f"{title}: by condition",
        ("condition", "genuine", "synthetic", "EER", "AUC", "macro AUC", "fakes recognised",
         "false alarms, worst source", "worst source", "genuine: no sign", "fakes: no sign",
         "cannot say"),
        (
            *(_condition(name, [r for r in whole if r.condition == name]) for name in order),
            _condition("clean, inside the measured range", [r for r in clean if not r.reason]),
        ),
    )  # fmt: skip
    yield Table(
        f"{title}: facts of the container alone, beside the model, clean",
        ("score", "EER", "AUC", "macro AUC"),
        tuple(
            (name, *_separation(part))
            for name, part in (
                ("model", clean),
                ("container facts", [r._replace(score=baseline.get(r.file)) for r in clean]),
            )
        ),
    )
    yield Table(
        f"{title}: matched pairs, AUC where both labels speak with voices of one corpus, clean",
        ("corpus", "genuine", "synthetic", "model", "container facts"),
        tuple(_pairs(clean, baseline)),
    )
    yield Table(
        f"{title}: per generator, clean",
        ("generator", "clips", "AUC", "signs", "no sign", "cannot say"),
        tuple(_generators(clean)),
    )
    yield Table(
        f"{title}: per source of genuine speech, clean",
        ("source", "clips", "false alarms", "no sign", "cannot say"),
        tuple(
            (name, len(part), *_answers(part)) for name, part in _by_source(clean, synthetic=False)
        ),
    )
    yield Table(
        f"{title}: per language, clean",
        ("language", "genuine", "synthetic", "AUC", "false alarms", "fakes recognised"),
        tuple(_languages(clean)),
    )
    apart = [row for row in rows if row.partial and row.condition == "clean"]
    if apart:
        yield Table(
            f"{title}: partial edits, mostly genuine words, clean",
            ("generator", "clips", "AUC", "signs", "no sign", "cannot say"),
            tuple(_generators([*apart, *(row for row in clean if not row.synthetic)])),
        )
    ruled_out = _counted(row.reason for row in clean if row.reason)
    if ruled_out:
        yield Table(
            f"{title}: ruled out before any score, clean",
            ("limit", "genuine", "synthetic"),
            tuple(
                (code, *(_count(clean, kind, code) for kind in (False, True))) for code in ruled_out
            ),
        )


def _condition(name: str, rows: Sequence[Row]) -> tuple[Cell, ...]:
    genuine = [row for row in rows if not row.synthetic]
    fakes = [row for row in rows if row.synthetic]
    source, hits, trials, _ = worst([(row.scored(), row.answer or "cannot_say") for row in genuine])
    return (
        name,
        len(genuine),
        len(fakes),
        *_separation(rows),
        _said(fakes, "signs_of_synthesis"),
        of_one_source(hits, trials),
        source,
        _said(genuine, "no_sign_found"),
        _said(fakes, "no_sign_found"),
        _said(rows, "cannot_say"),
    )


def _separation(rows: Sequence[Row]) -> tuple[Estimate, Estimate, Estimate]:
    genuine, synthetic = (_scores(rows, kind) for kind in (False, True))
    eer, auc, macro = (
        roc.estimate(each, genuine, synthetic) for each in (roc.eer, roc.auc, roc.macro_auc)
    )
    return eer, auc, macro


def _pairs(rows: Sequence[Row], baseline: dict[str, float]) -> Iterator[tuple[Cell, ...]]:
    spoken: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.corpus != labelled.UNKNOWN:
            spoken[row.corpus].append(row)
    for corpus, part in sorted(spoken.items()):
        fakes = sum(row.synthetic for row in part)
        if min(fakes, len(part) - fakes) >= LEAST_PAIR:
            facts = [row._replace(score=baseline.get(row.file)) for row in part]
            yield corpus, len(part) - fakes, fakes, _area(part), _area(facts)


def _generators(rows: Sequence[Row]) -> Iterator[tuple[Cell, ...]]:
    genuine = [row for row in rows if not row.synthetic]
    for name, part in _by_source(rows, synthetic=True):
        yield name, len(part), _area([*genuine, *part]), *_answers(part)


def _languages(rows: Sequence[Row]) -> Iterator[tuple[Cell, ...]]:
    for language in _counted(row.language for row in rows):
        part = [row for row in rows if row.language == language]
        genuine = [row for row in part if not row.synthetic]
        fakes = [row for row in part if row.synthetic]
        signs: Answer = "signs_of_synthesis"
        yield (
            language, len(genuine), len(fakes), _area(part), _said(genuine, signs),
            _said(fakes, signs),
        )  # fmt: skip


def _by_source(rows: Sequence[Row], *, synthetic: bool) -> Iterator[tuple[str, list[Row]]]:
    chosen = [row for row in rows if row.synthetic == synthetic]
    for name in _counted(row.source for row in chosen):
        yield name, [row for row in chosen if row.source == name]


def _scores(rows: Iterable[Row], synthetic: bool) -> dict[str, Scores]:
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.synthetic == synthetic and row.score is not None:
            found[row.source].append(row.score)
    return {name: np.array(scores) for name, scores in found.items()}


def _area(rows: Sequence[Row]) -> float:
    genuine, synthetic = (list(_scores(rows, kind).values()) for kind in (False, True))
    return roc.auc(genuine, synthetic) if genuine and synthetic else float("nan")


def _answers(rows: Sequence[Row]) -> tuple[Count, Count, Count]:
    signs, none, neither = (
        _said(rows, answer) for answer in ("signs_of_synthesis", "no_sign_found", "cannot_say")
    )
    return signs, none, neither


def _said(rows: Sequence[Row], answer: str) -> Count:
    hits = [row.answer == answer for row in rows]
    if len({row.source for row in rows}) == 1:
        return of_one_source(sum(hits), len(hits))
    return of_many([row.source for row in rows], hits)


def _count(rows: Sequence[Row], synthetic: bool, code: str) -> Count:
    part = [row for row in rows if row.synthetic == synthetic]
    return of_many([row.source for row in part], [row.reason == code for row in part])


def _counted(names: Iterable[str]) -> list[str]:
    """*names*, each once, the most frequent first."""
    count: dict[str, int] = defaultdict(int)
    for name in names:
        count[name] += 1
    return sorted(count, key=lambda name: (-count[name], name))
