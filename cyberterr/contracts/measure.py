"""A sentence in two languages, and a number beside what is normal."""

from __future__ import annotations

import msgspec


class Text(msgspec.Struct, frozen=True):
    """The same plain sentence in English and French."""

    en: str
    fr: str


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number behind a claim, beside what is normal here."""

    name: str
    """snake_case, e.g. `distinct_ports`"""
    value: float
    """what was measured"""
    unit: str = ""
    """e.g. `machines`, `bytes`; empty for a plain number"""
    baseline: float | None = None
    """what the threshold or the learned normal expects at most; None where nothing is known"""
    label: Text = Text("", "")
    """the name as people read it; every detector gives one, older findings may lack it"""
