"""What is said of a recording, a picture or a film: the verdict, its evidence, its limits.

Everything here is kept and shown. How a detector of media works is in `contracts.examiner`.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from cyberterr.contracts.measure import Measure, Text

Kind = Literal["audio", "image", "video"]
Answer = Literal["signs_of_synthesis", "no_sign_found", "cannot_say"]
Signature = Literal["none", "trusted", "unknown_signer", "altered", "unreadable"]
"""C2PA: no credentials (says nothing); signed by a signer on the trust list; signed by somebody
else; changed after it was signed; credentials that cannot be read."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A measured share, with what it was measured on and its 95 % interval."""

    what: Text
    """what is counted: `false alarms on the worst of 24 sources of genuine speech`"""
    hits: int
    trials: int
    low: float
    """0..1, ends of the interval"""
    high: float
    data: str
    """name of the data set and how it was split: `audio-dev 2026-11, families left out`"""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a clip that was judged."""

    start: float
    """seconds from the start of the clip"""
    end: float
    score: float
    """0 genuine … 1 synthetic, calibrated"""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be examined, or not well enough."""

    code: str
    """snake_case, such as `too_little_speech`"""
    text: Text
    decisive: bool
    """whether it alone makes the answer *cannot say*"""


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """One band of frequencies: what is there, what is usual there, how much it weighs."""

    low_hz: float
    high_hz: float
    value: float
    """what was measured in this clip, in the unit that the model's reference names"""
    genuine: tuple[float, float]
    """10th and 90th percentile of genuine speech"""
    synthetic: tuple[float, float]
    """10th and 90th percentile of synthetic speech"""
    weight: float
    """how far the calibrated score falls when this band is taken away; negative: it rises"""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What one detector with one model says, before all evidence is weighed."""

    head: str
    """id of the detector"""
    model: str
    """id and version of the model, such as `voice 1`"""
    answer: Answer
    score: float | None
    """0 genuine … 1 synthetic, calibrated; None where nothing could be examined"""
    interval: tuple[float, float] | None
    """95 % interval of the calibrated score"""
    rates: tuple[Rate, ...]
    """its measured errors"""
    reason: Text
    """one plain sentence: what it saw"""
    calibration: Text
    """which calibration was used: as shipped, or the authority's own recordings"""
    segments: tuple[Segment, ...] = ()
    """the timeline: every part that was judged, at most 2,000 (of a longer clip joined ones)"""
    bands: tuple[Band, ...] = ()
    """what the model looked at"""


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the metadata that says outright how the file was made."""

    field: str
    """such as `Iptc4xmpExt:DigitalSourceType`"""
    value: str
    """as it stands there; hostile text"""
    meaning: Text
    generated: bool
    """whether it says that a machine generated or composed the content"""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the container says of itself; never part of a score."""

    name: str
    """snake_case, such as `encoder`"""
    value: str
    """hostile text"""
    label: Text


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says of where it comes from."""

    signature: Signature = "none"
    signer: str = ""
    """who signed, as the certificate says; hostile text unless trusted"""
    declared: tuple[Declared, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def says_generated(self) -> bool:
        """Whether a field of the metadata declares generated content."""
        return any(each.generated for each in self.declared)


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one file: what is kept of it, never the content itself."""

    kind: Kind
    sha256: str
    name: str
    """name of the file, without its folder; hostile text"""
    size: int
    """bytes"""
    mime: str
    """type that the content has, such as `audio/mpeg`"""
    seconds: float | None = None
    """length of sound or film"""
    answer: Answer
    score: float | None
    """of the evidence that decides; 0 genuine … 1 synthetic, calibrated"""
    interval: tuple[float, float] | None
    evidence: tuple[Evidence, ...]
    quality: tuple[Measure, ...]
    """what the quality gate measured: seconds of speech, bandwidth, noise, …"""
    limits: tuple[Limit, ...]
    """what could not be examined, the decisive ones first"""
    provenance: Provenance
    models: tuple[str, ...]

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The timeline of the evidence that decides."""
        deciding = [e for e in self.evidence if e.score == self.score and e.segments]
        return deciding[0].segments if deciding else ()


def media_id(rule: str, sha256: str) -> str:
    """Id of the finding on a file: from the rule and the content, never from the name or time."""
    return hashlib.sha256(f"{rule}\x1f{sha256}".encode()).hexdigest()[:24]
