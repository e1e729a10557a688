"""Where findings live, and what people made of them: documents that are only ever created."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

import msgspec

from cyberterr.contracts.finding import Finding, Severity

Verdict = Literal["true_positive", "false_positive", "benign"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a person made of a finding; of several, the latest counts."""

    finding_id: str
    verdict: Verdict
    """true_positive: an attack; false_positive: the claim is wrong; benign: right, and allowed"""
    reason: str
    author: str
    time: dt.datetime


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """Hides findings like a false positive from listings, for a time; what is set must all match.

    At least one of rule, actor and victim is set.
    """

    id: str
    finding_id: str
    """the false positive it was made from"""
    rule: str | None = None
    actor: str | None = None
    victim: str | None = None
    detail: str | None = None
    """the finding's `scope`: a domain, a port"""
    network: str | None = None
    """CIDR in which the actor lies, or the victim where no actor is named"""
    port: int | None = None
    """the victim's port"""
    created: dt.datetime
    expires: dt.datetime
    author: str
    reason: str


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """That an incident was told, or is to be told, through one channel."""

    finding_id: str
    channel: str
    severity: Severity
    """of the finding that was told; a higher one is told again"""
    state: Literal["sending", "sent", "failed", "held", "summed"]
    """held: over the hourly limit; summed: was in the one line about held ones"""
    time: dt.datetime


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """The last revision of a finding beside the latest decision."""

    finding: Finding
    stored: dt.datetime
    """when this revision came into the store"""
    decision: Decision | None = None
    suppressed_by: tuple[str, ...] = ()
    """ids of the suppressions that cover it now; empty as it comes from the store"""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which findings to look for; what is not set does not narrow."""

    severity: int = 0
    """at least"""
    families: tuple[str, ...] = ()
    since: dt.datetime | None = None
    """incidents that ended at or after it"""
    address: str | None = None
    """actor or victim"""
    decided: bool | None = None
    stored_since: dt.datetime | None = None


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How much was deleted for good."""

    findings: int = 0
    decisions: int = 0
    suppressions: int = 0


class Store(Protocol):
    """What every store can do; all raise StoreError when it cannot be reached or written."""

    def put(self, findings: Iterable[Finding]) -> list[Finding]:
        """Keep *findings*; what comes back is new or revised, with the store's revision and kind.

        The same content of an id is kept once. Content that covers less of the incident (an
        earlier end, or fewer windows at the same end) than what is kept adds nothing. Other
        content becomes the next revision, an alert only where the severity is the highest yet.
        Nothing is lost: what cannot be stored is kept aside before StoreError is raised, and
        taken in as soon as the store can be written again.
        """
        ...

    def get(self, finding_id: str) -> Finding | None:
        """The last revision, or None."""
        ...

    def latest(self, ids: Iterable[str]) -> dict[str, Finding]:
        """The last revisions of those of *ids* that are kept, by id."""
        ...

    def ids(self, prefix: str) -> list[str]:
        """The first hundred ids that begin with *prefix*, sorted."""
        ...

    def revisions(self, finding_id: str) -> list[Finding]:
        """Every revision, oldest first."""
        ...

    def find(self, query: Query) -> list[Case]:
        """Last revisions that match, worst first (`Finding.rank`)."""
        ...

    def decide(self, decision: Decision) -> None:
        """Add a decision; KeyError where no such finding is kept."""
        ...

    def decisions(self, finding_id: str) -> list[Decision]:
        """Every decision on a finding, oldest first."""
        ...

    def suppress(self, suppression: Suppression) -> None:
        """Add a suppression."""
        ...

    def suppressions(self) -> list[Suppression]:
        """Every suppression kept, expired ones too, oldest first."""
        ...

    def unsuppress(self, suppression_id: str) -> bool:
        """Remove a suppression; False where there is none."""
        ...

    def notices(self, channel: str) -> Mapping[str, Notice]:
        """What was told through *channel*, by finding id."""
        ...

    def notice(self, new: Notice, old: Notice | None) -> bool:
        """Replace *old* (None: there is none yet) by *new*; False where another was faster."""
        ...

    def erase(self, before: dt.datetime) -> Erased:
        """Delete for good the findings last stored at or before *before*, and what hangs on them.

        Suppressions that expired by then go too.
        """
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...
