"""The authority's own calibration of each model: kept, applied, forgotten.

Kept are raw scores and hashes of recordings, in no common order: no sound, no embedding, no name.
A score alone identifies nobody. It belongs to one graph and is of no use to another.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from cyberterr.config import home
from cyberterr.contracts.examiner import Calibration, Model
from cyberterr.contracts.measure import Text
from cyberterr.errors import UsageError


class Own(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What genuine recordings of one's own scored, and what follows."""

    model: str
    """id of the model"""
    graph: str
    """SHA-256 of its graph"""
    learned: str
    """date, UTC, ISO 8601"""
    signs_at: float
    """raw score from which on *signs* is said here"""
    raw: tuple[float, ...]
    """of each recording, ascending"""
    recordings: tuple[str, ...]
    """SHA-256 of each, in the order of the hashes"""
    speech_s: float
    set_aside: int
    """recordings that the quality gate ruled out, and those that were there twice"""
    name: Text


def folder() -> Path:
    """Where they lie: `voices/` in the data folder."""
    return home() / "voices"


def keep(own: Own) -> Path:
    """Write *own*, readable by its owner only; whatever was kept for the same model goes."""
    place = folder()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = place / f"{own.model}.json"
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(msgspec.json.format(msgspec.json.encode(own)))
    part.replace(path)
    return path


def forget() -> list[str]:
    """Remove every own calibration; the ids of their models."""
    paths = sorted(folder().glob("*.json"))
    for path in paths:
        path.unlink()
    return [path.stem for path in paths]


def kept() -> dict[str, Own]:
    """What was learned, by the SHA-256 of the graph it belongs to; empty before `learn voices`.

    Raises:
        UsageError: a kept file cannot be read.
    """
    found = {}
    for path in sorted(folder().glob("*.json")):
        try:
            own = msgspec.json.decode(path.read_bytes(), type=Own)
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(
                f"the own calibration cannot be read: {error}",
                hint="cyberterr learn voices FOLDER, or cyberterr learn voices --forget",
                where=str(path),
            ) from None
        found[own.graph] = own
    return found


def calibrated(models: list[Model]) -> list[Model]:
    """*models*, each with what was learned here on top of the calibration of its card."""
    own = kept()
    return [
        replace(
            model,
            card=msgspec.structs.replace(
                model.card,
                calibration=raised(model.card.calibration, own[model.card.sha256]),
            ),
        )
        if model.card.sha256 in own
        else model
        for model in models
    ]


def raised(shipped: Calibration, own: Own) -> Calibration:
    """*shipped* with thresholds that own genuine recordings do not reach; never lowered.

    Genuine recordings tell how often one is accused in vain, and nothing of fakes, so they can
    only make the tool more careful.
    """
    return msgspec.structs.replace(
        shipped,
        signs_at=max(shipped.signs_at, own.signs_at),
        window_at=max(shipped.window_at, own.signs_at),
        name=own.name,
    )
