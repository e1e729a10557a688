"""Known bad addresses, names and fingerprints, as others publish them."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from cyberterr.contracts.detector import Detector

Kind = Literal["address", "network", "domain", "url", "ja4"]


class Indicator(msgspec.Struct, frozen=True, order=True):
    """One known bad thing."""

    kind: Kind
    value: str
    """address; CIDR; lower-case domain; URL without scheme; JA4 fingerprint"""
    confidence: int = 50
    """0..100, as the publisher says; 50 where it says nothing"""
    label: str = ""
    """what the publisher calls it"""
    feed: str = ""
    """name of the file it came from"""


class Indicators(msgspec.Struct, frozen=True):
    """What one call of the program was given to look for."""

    items: tuple[Indicator, ...] = ()
    """sorted; one per kind and value, the most confident"""
    warnings: tuple[str, ...] = ()
    """entries that were left out, and why"""


class InformedDetector(Detector, Protocol):
    """A detector that looks for known indicators."""

    def informed(self, indicators: Indicators) -> Detector:
        """The same detector, looking for *indicators*."""
        ...
