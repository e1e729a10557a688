"""Texts, numbers and times as people read them, in English and French; hostile text made plain."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from cyberterr.contracts.detector import SAMPLE_SIZE
from cyberterr.contracts.finding import Finding, Measure, Text
from cyberterr.contracts.site import Site

Lang = Literal["en", "fr"]

LONGEST = 600
"""characters of one foreign text that a report shows"""

NARROW_SPACE = "\u202f"
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that steer a terminal or a page instead of being read (UAX #44)."""

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
FRENCH_UNITS = {
    "accounts": "comptes",
    "addresses": "adresses",
    "attempts": "essais",
    "bits/character": "bits par caractère",
    "characters": "caractères",
    "connections": "connexions",
    "contacts": "contacts",
    "days": "jours",
    "domains": "domaines",
    "flows": "flux",
    "in ten minutes": "en dix minutes",
    "logins": "connexions",
    "names": "noms",
    "of 100": "sur 100",
    "orders": "ordres",
    "packets": "paquets",
    "packets/s": "paquets/s",
    "per minute": "par minute",
    "per second": "par seconde",
    "queries": "requêtes",
    "requests": "requêtes",
    "seconds": "secondes",
    "servers": "serveurs",
}
"""units that differ from the English ones"""


def plain(text: str, longest: int = LONGEST) -> str:
    r"""*text* on one line, without anything that steers a terminal or a page.

    Line breaks and tabs become spaces; control, bidirectional, unassigned and surrogate
    characters become their escape (`\x1b`), so that a person sees that they were there.
    """
    cut = text[:longest]
    flat = " ".join(cut.split())
    shown = "".join(
        c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in UNSEEN else c
        for c in flat
    )
    return shown + "…" if len(text) > longest else shown


def say(text: Text, lang: Lang) -> str:
    """*text* in *lang*, or in the other language where a detector left it empty."""
    if lang == "fr":
        return typeset(plain(text.fr)) if text.fr else plain(text.en)
    return plain(text.en or text.fr)


def typeset(french: str) -> str:
    """*french* with its apostrophes, and with spaces that do not break where French has them."""
    text = french.replace("'", "’").replace("« ", "«\u00a0").replace(" :", "\u00a0:")
    text = re.sub(r" ([;!?»])", rf"{NARROW_SPACE}\1", text)
    return re.sub(r"(\d) (s|ms|min|h|ko|Mo|Go|%)(?!\w)", rf"\1{NARROW_SPACE}\2", text)


def number(value: float, lang: Lang) -> str:
    """*value* with thousands set apart: whole as it is, else three significant digits."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1e15:
        text = f"{value:.2e}"
    elif value == int(value) or abs(value) >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.3g}"
    if lang == "fr":
        text = text.replace(",", NARROW_SPACE).replace(".", ",")
    return text


def size(value: float, lang: Lang) -> str:
    """*value* bytes in powers of 1000 (SI): `4.2 MB`, `4,2 Mo`."""
    letter = "o" if lang == "fr" else "B"
    if not abs(value) >= 1000:
        return f"{number(value, lang)} {'octets' if lang == 'fr' else 'bytes'}"
    rounded = float(f"{value:.3g}")
    step = min(int(math.log10(abs(rounded)) / 3), 5) if math.isfinite(rounded) else 5
    return f"{number(float(f'{rounded / 1000**step:.3g}'), lang)} {' kMGTP'[step]}{letter}"


def quantity(value: float, unit: str, lang: Lang) -> str:
    """*value* with its *unit*; bytes in readable steps."""
    if unit in ("bytes", "bytes/s"):
        return size(value, lang) + unit.removeprefix("bytes")
    if unit == "share":
        return f"{number(float(f'{value * 100:.3g}'), lang)} %"
    shown = FRENCH_UNITS.get(unit, unit) if lang == "fr" else unit
    return f"{number(value, lang)} {plain(shown, 40)}".rstrip()


def label(measure: Measure, lang: Lang) -> str:
    """Name of *measure* as people read it."""
    return say(measure.label, lang) or plain(measure.name.replace("_", " "), 80)


def zone(name: str) -> dt.tzinfo:
    """Time zone *name*, or UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return dt.UTC


def moment(when: dt.datetime, time_zone: str, lang: Lang) -> str:
    """*when* in the time zone of the site: `14 March 2026, 09:12:03`."""
    local = when.astimezone(zone(time_zone))
    month = MONTHS[lang].split()[local.month - 1]
    comma = " à " if lang == "fr" else ", "
    return f"{local.day} {month} {local.year}{comma}{local:%H:%M:%S}"


def span(seconds: float, lang: Lang) -> str:
    """A duration in its two largest units: `2 h 5 min`; below a minute in seconds."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 59.5:
        return f"{number(float(f'{max(seconds, 0.0):.2g}'), lang)} s"
    whole = round(seconds)
    units = ((86400, "j" if lang == "fr" else "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts = []
    for length, unit in units:
        count, whole = divmod(whole, length)
        if count:
            parts.append(f"{number(count, lang)} {unit}")
    return " ".join(parts[:2])


def who(finding: Finding, site: Site, lang: Lang) -> str:
    """Who acts on whom: `printer (10.0.0.7) → 198.51.100.9:443`; of a recording its name."""
    if finding.media is not msgspec.UNSET:
        return plain(finding.scope or "–")
    others = [a for a in dict.fromkeys(finding.related) if a not in (finding.actor, finding.victim)]
    if finding.victim:
        target = _with_port(finding, site)
    elif len(others) == 1:
        target = site.name_of(others[0])
    elif others:
        target = _many(len(others), len(others) >= SAMPLE_SIZE, lang)
    else:
        target = finding.scope
    nobody = "origine inconnue" if lang == "fr" else "unknown origin"
    source = site.name_of(finding.actor) if finding.actor else nobody
    return plain(f"{source} → {target}" if target else source)


def _many(count: int, cut: bool, lang: Lang) -> str:
    """How many addresses; *cut* where they may be only a sample of them."""
    n = number(count, lang)
    if lang == "fr":
        return f"{'au moins ' if cut else ''}{n} adresses"
    return f"{'at least ' if cut else ''}{n} addresses"


def _with_port(finding: Finding, site: Site) -> str:
    address = finding.victim or ""
    if finding.victim_port is None:
        return site.name_of(address)
    if address in site.assets:
        return f"{site.name_of(address)}, port {finding.victim_port}"
    return (
        f"[{address}]:{finding.victim_port}"
        if ":" in address
        else (f"{address}:{finding.victim_port}")
    )
