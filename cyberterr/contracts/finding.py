"""What a detector claims, with what proof, and how sure it is; and its ECS 9 document."""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import IntEnum
from typing import Any, Literal

import msgspec

ECS_VERSION = "9.0.0"


class Severity(IntEnum):
    """Elastic's four levels. From MEDIUM on it is an alarm, counted against the promised rate."""

    LOW = 21
    MEDIUM = 47
    HIGH = 73
    CRITICAL = 99


class Text(msgspec.Struct, frozen=True):
    """The same plain sentence in English and French."""

    en: str
    fr: str


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number behind a claim, beside what is normal here."""

    name: str
    """snake_case, e.g. `distinct_ports`"""
    value: float
    unit: str = ""
    baseline: float | None = None
    """what the threshold or the learned normal expects at most; None where nothing is known"""
    label: Text = Text("", "")
    """the name as people read it; where empty, reports spell `name` out"""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """An innocent explanation known for the pattern, and what became of it."""

    text: Text
    state: Literal["excluded", "holds", "not_checked"]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What a report draws: bounded series, at most 500 points each."""

    kind: Literal["timeline", "fan_out", "rate", "bars"]
    x: tuple[float, ...]
    """timeline, rate: seconds since the epoch; fan_out: ports or target numbers; bars: positions"""
    y: tuple[float, ...] = ()
    """timeline: a value per event, or empty for the intervals; fan_out: seconds since the epoch
    of each touch, or empty for a grid of dots; rate: height of each step; bars: length of each"""
    labels: tuple[str, ...] = ()
    """bars, fan_out: a name per point"""
    baseline: float | None = None
    """rate, bars, timeline: what is normal here at most, drawn as a line"""
    x_label: Text = Text("", "")
    y_label: Text = Text("", "")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector says of one actor, victim or scope in one window."""

    rule: str
    """stable id: the detector's id, or `detector.variant`"""
    family: str
    """scan, brute_force, beacon, dns_tunnel, flood, ot_write …: see docs/reference/findings.md"""
    severity: Severity
    score: float
    """0..1, higher is worse; orders findings of one severity"""
    start: dt.datetime
    end: dt.datetime
    actor: str | None = None
    """address that acts; None where nobody can be named (a spoofed flood)"""
    victim: str | None = None
    victim_port: int | None = None
    scope: str = ""
    """what else tells two incidents apart: a port, a domain; part of the id"""
    related: tuple[str, ...] = ()
    """every address that plays a part, the first hundred; actor and victim are added"""
    title: Text
    """a few words: who does what to whom"""
    reason: Text
    """one plain sentence a citizen understands"""
    measures: tuple[Measure, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    not_examined: tuple[Text, ...] = ()
    next_steps: tuple[Text, ...] = ()
    attack: tuple[str, ...] = ()
    """MITRE ATT&CK technique ids"""
    picture: Picture | None = None


class Finding(Claim, frozen=True, kw_only=True):
    """One incident: the claims of adjoining windows, joined by the engine."""

    id: str
    detector: str
    sensor: str = ""
    windows: int = 1
    revision: int = 1
    kind: Literal["alert", "event"] = "alert"

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


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_ecs(finding: Finding) -> dict[str, Any]:
    """The ECS 9 event of *finding*: nested objects, our own fields under `cyberterr`."""
    related = list(dict.fromkeys(a for a in (finding.actor, finding.victim, *finding.related) if a))
    document: dict[str, Any] = {
        "@timestamp": _time(finding.end),
        "ecs": {"version": ECS_VERSION},
        "event": {
            "id": finding.id,
            "kind": finding.kind,
            "category": ["intrusion_detection"],
            "type": ["info"],
            "dataset": "cyberterr.finding",
            "module": "cyberterr",
            "severity": int(finding.severity),
            "start": _time(finding.start),
            "end": _time(finding.end),
            "reason": finding.reason.en,
        },
        "message": finding.title.en,
        "rule": {"id": finding.rule, "name": finding.detector, "ruleset": "cyberterr"},
        "related": {"ip": related},
        "observer": {"name": finding.sensor, "product": "cyberterr", "vendor": "cyberterr"},
        "cyberterr": {
            "finding": {
                "family": finding.family,
                "score": round(finding.score, 4),
                "revision": finding.revision,
                "windows": finding.windows,
                "scope": finding.scope,
                "title_fr": finding.title.fr,
                "reason_fr": finding.reason.fr,
                "measures": msgspec.to_builtins(finding.measures),
                "explanations": msgspec.to_builtins(finding.explanations),
                "not_examined": msgspec.to_builtins(finding.not_examined),
                "next_steps": msgspec.to_builtins(finding.next_steps),
            }
        },
    }
    if finding.actor:
        document["source"] = {"ip": finding.actor}
    if finding.victim:
        document["destination"] = {"ip": finding.victim}
        if finding.victim_port is not None:
            document["destination"]["port"] = finding.victim_port
    if finding.attack:
        document["threat"] = {
            "framework": "MITRE ATT&CK",
            "technique": {"id": list(finding.attack)},
        }
    return document
