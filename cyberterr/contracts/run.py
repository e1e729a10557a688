"""What one scan read, how fast, and what it left out: the facts beside its findings."""

from __future__ import annotations

import datetime as dt

import msgspec

from cyberterr.contracts.finding import Text
from cyberterr.contracts.site import Site


class Skipped(msgspec.Struct, frozen=True):
    """A detector that judged nothing in this scan, and why."""

    detector: str
    reason: Text


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One scan, as every report states it. Counts are 0 where a source does not carry them."""

    sources: tuple[str, ...]
    """as the caller named them"""
    started: dt.datetime
    seconds: float
    """wall time from the first byte to the last finding"""
    bytes: int = 0
    """read from the sources, as they lie on disk"""
    packets: int = 0
    flows: int = 0
    first: dt.datetime | None = None
    """start of the earliest flow; None where nothing was read"""
    last: dt.datetime | None = None
    """end of the latest flow"""
    evicted: int = 0
    """flows closed early because the table was full"""
    dropped: int = 0
    """packets the kernel or the capture program lost before we saw them"""
    suppressed: int = 0
    """findings held back by a person's decision"""
    warnings: tuple[str, ...] = ()
    """what went wrong and was survived, one sentence each"""
    examined: tuple[str, ...] = ()
    """ids of the detectors that judged"""
    skipped: tuple[Skipped, ...] = ()
    not_examined: tuple[Text, ...] = ()
    """what this scan as a whole could not see, e.g. the blind spots of the detectors' cards"""
    site: Site = Site()
