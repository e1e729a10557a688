"""How far the reading of all sources is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cyberterr.errors import CyberterrError

MOST_WARNINGS = 200
"""A scan may run for months, and a warning may carry a number that changes each time."""


@dataclass(slots=True)
class Reading:
    """How far the reading is; a caller may look at it at any time."""

    bytes_total: int | None = 0
    """on disk; None where a source does not say (a pipe, a live interface)"""
    bytes: int = 0
    packets: int = 0
    flows: int = 0
    evicted: int = 0
    dropped: int = 0
    source: str = ""
    """what is being read now"""
    clock_ns: int = 0
    """time the packets have reached"""
    warnings: list[str] = field(default_factory=list)
    errors: list[CyberterrError] = field(default_factory=list)
    """sources that could not be read; the others were"""
    changed: Callable[[Reading], None] = lambda _: None
    """called after each block"""

    interrupted: bool = False
    unsaid: int = 0
    """warnings beyond `MOST_WARNINGS`"""

    def interrupt(self) -> None:
        """Note that a person or the system ended the reading."""
        self.interrupted = True
        self.warn("interrupted: only what was read until then was judged")

    def warn(self, text: str) -> None:
        """Remember a warning, once; beyond `MOST_WARNINGS` they are only counted."""
        if text in self.warnings:
            return
        if len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(text)
        else:
            self.unsaid += 1
