"""What a detector claims, with what proof, and how sure it is."""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import IntEnum
from typing import Literal

import msgspec

from cyberterr.contracts.measure import Measure as Measure
from cyberterr.contracts.measure import Text as Text
from cyberterr.contracts.media import Media


class Severity(IntEnum):
    """Elastic's four levels. From MEDIUM on it is an alarm, counted against the promised rate."""

    LOW = 21
    """context: worth knowing, no alarm"""
    MEDIUM = 47
    """an alarm: a person should look, in working hours"""
    HIGH = 73
    """an alarm that should not wait; notifications go out from here"""
    CRITICAL = 99
    """an alarm at once; no detector gives it alone"""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """An innocent explanation known for the pattern, and what became of it."""

    text: Text
    """the harmless cause"""
    state: Literal["excluded", "holds", "not_checked"]
    """ruled out here, applies here, or nobody could check it"""


def explained(text: Text, holds: bool | None) -> Explanation:
    """*text* as an explanation that holds, is excluded, or (None) was not checked."""
    if holds is None:
        return Explanation(text=text, state="not_checked")
    return Explanation(text=text, state="holds" if holds else "excluded")


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What a report draws: bounded series, at most 500 points each."""

    kind: Literal["timeline", "fan_out", "rate", "bars"]
    """what is drawn"""
    x: tuple[float, ...]
    """timeline, rate: seconds since the epoch; fan_out: ports or target numbers; bars: positions"""
    y: tuple[float, ...] = ()
    """timeline: a value per event, or empty for the intervals; fan_out: seconds since the epoch
    of each touch, or empty for a grid of dots; rate: height of each step; bars: length of each"""
    labels: tuple[str | Text, ...] = ()
    """bars: a name per bar; Text where it is a word, str where it is a name of its own"""
    baseline: float | None = None
    """rate, bars, timeline: what is normal here at most, drawn as a line"""
    x_label: Text = Text("", "")
    """fan_out: what a target is"""
    y_label: Text = Text("", "")
    """rate, bars, timeline with values: what is counted"""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector says of one actor, victim or scope in one window."""

    rule: str
    """stable id: the detector's id, or `detector.variant`"""
    family: str
    """kind of attack, whatever detector saw it"""
    severity: Severity
    """21, 47, 73 or 99"""
    score: float
    """0..1, higher is worse; orders findings of one severity and is no probability"""
    start: dt.datetime
    """first sign of it"""
    end: dt.datetime
    """last sign of it"""
    actor: str | None = None
    """address that acts; None where nobody can be named (a spoofed flood)"""
    victim: str | None = None
    """address it is done to; None where there are many"""
    victim_port: int | None = None
    """its port, where one matters"""
    scope: str = ""
    """what else tells two incidents apart: a port, a domain; part of the id"""
    related: tuple[str, ...] = ()
    """every address that plays a part, the first hundred; actor and victim are added"""
    title: Text
    """a few words: who does what to whom"""
    reason: Text
    """one plain sentence a citizen understands"""
    measures: tuple[Measure, ...] = ()
    """the numbers behind it, each beside its baseline"""
    explanations: tuple[Explanation, ...] = ()
    """harmless causes, and what became of each"""
    not_examined: tuple[Text, ...] = ()
    """what was not looked at"""
    next_steps: tuple[Text, ...] = ()
    """where to look next"""
    attack: tuple[str, ...] = ()
    """MITRE ATT&CK technique ids"""
    picture: Picture | None = None
    """what a report draws; not part of the event"""


class Finding(Claim, frozen=True, kw_only=True):
    """One incident: the claims of adjoining windows, joined by the engine."""

    id: str
    """the incident: rule, actor, victim, scope and its first window; same input, same id"""
    detector: str
    """the file of `detectors/` that saw it"""
    sensor: str = ""
    """name of the sensor, from the settings"""
    windows: int = 1
    """clock-aligned windows it was seen in"""
    revision: int = 1
    """grows when the incident goes on or is judged anew"""
    kind: Literal["alert", "event"] = "alert"
    """`alert` for a first revision or a rise in severity, else `event`"""
    media: Media | msgspec.UnsetType = msgspec.UNSET
    """the verdict, where a file was examined; absent where traffic was"""

    def rank(self) -> tuple[int, float, dt.datetime, str]:
        """Sort key, worst first."""
        return (-self.severity, -self.score, self.start, self.id)


def finding_id(claim: Claim, first_window: dt.datetime) -> str:
    """Id of the incident that *claim* opens: rule, actor, victim, scope and the first window.

    Never from a path, the store, or how a capture was split: the same input gives the same id.
    """
    parts = (
        claim.rule,
        claim.actor or "",
        claim.victim or "",
        claim.scope,
        first_window.astimezone(dt.UTC).isoformat(),
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]
