"""The rule that every store keeps: what is new, what revises, and what adds nothing."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import msgspec

from cyberterr.contracts.documents import content_hash
from cyberterr.contracts.finding import Finding


class Kept(NamedTuple):
    """What is kept of an incident."""

    revision: int
    """of the last one, which the next three describe"""
    content: str
    """its `content_hash`, or the beginning of it"""
    end: dt.datetime
    windows: int
    severity: int
    """the highest of all revisions"""

    @classmethod
    def of(cls, finding: Finding, before: Kept | None) -> Kept:
        """What is kept once *finding* follows *before*."""
        highest = max(int(finding.severity), before.severity if before else 0)
        content = content_hash(finding)
        return cls(finding.revision, content, finding.end, finding.windows, highest)


def as_kept(finding: Finding) -> Finding:
    """*finding* as it comes back from JSON, so that its content has one hash: 60 becomes 60.0.

    Raises:
        ValueError: it would not come back (NaN has no JSON).
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(finding), type=Finding)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{finding.detector}: a detector gave a number that is not finite: {error}"
        ) from None


def revised(finding: Finding, kept: Kept | None) -> Finding | None:
    """*finding* with its revision and kind; None where it says nothing that is not kept.

    Content that covers less of the incident (an earlier end, or fewer windows at the same end)
    adds nothing; only the highest severity yet is an alert again.
    """
    if kept is None:
        return msgspec.structs.replace(finding, revision=1)
    same = content_hash(finding).startswith(kept.content)
    if same or (finding.end, finding.windows) < (kept.end, kept.windows):
        return None
    kind = "alert" if finding.severity > kept.severity else "event"
    return msgspec.structs.replace(finding, revision=kept.revision + 1, kind=kind)
