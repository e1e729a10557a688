"""Join the claims of adjoining windows into incidents: one finding each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import msgspec

from cyberterr.contracts.detector import Card
from cyberterr.contracts.finding import Claim, Finding, finding_id

MAX_RELATED = 100
"""Addresses that a finding lists; a fan-out to thousands names only the first."""

Subject = tuple[str, str, str, str]


def subject(claim: Claim) -> Subject:
    """What tells two incidents apart: rule, actor, victim and scope."""
    return (claim.rule, claim.actor or "", claim.victim or "", claim.scope)


def _worse(claim: Claim) -> tuple[int, float, dt.datetime, bytes]:
    # Earlier first, then by content: the choice must not depend on the order of arrival.
    return (-claim.severity, -claim.score, claim.start, msgspec.json.encode(claim))


def opened(claim: Claim, window: dt.datetime, card: Card, sensor: str) -> Finding:
    """The incident that *claim* opens in *window*."""
    fields = {name: getattr(claim, name) for name in Claim.__struct_fields__}
    return Finding(id=finding_id(claim, window), detector=card.id, sensor=sensor, **fields)


def continued(finding: Finding, claim: Claim, *, same_window: bool = False) -> Finding:
    """*finding* going on with *claim*: the worst of both speaks, start to end overall."""
    speaker = claim if _worse(claim)[:3] < _worse(finding)[:3] else finding
    fields = {name: getattr(speaker, name) for name in Claim.__struct_fields__}
    related = dict.fromkeys((*finding.related, *claim.related))
    fields["related"] = tuple(related)[:MAX_RELATED]
    fields["start"] = min(finding.start, claim.start)
    fields["end"] = max(finding.end, claim.end)
    windows = finding.windows + (0 if same_window else 1)
    return msgspec.structs.replace(finding, windows=windows, **fields)


def joined(
    claims: Iterable[tuple[dt.datetime, Claim]],
    card: Card,
    sensor: str,
    open_incident: tuple[dt.datetime, Finding] | None = None,
) -> list[tuple[dt.datetime, Finding]]:
    """Incidents from the claims of one subject, each with the start of its last window.

    Args:
        claims: (window, claim) pairs of one subject, in any order.
        card: the detector's card; windows not further apart than `card.gap` are one incident.
        sensor: name of the sensor.
        open_incident: an incident of earlier windows that may go on, with its last window.
    """
    found = [open_incident] if open_incident else []
    for window, claim in sorted(claims, key=lambda pair: (pair[0], *_worse(pair[1]))):
        # abs: late rows may bring up a window before the last one.
        if found and abs(window - found[-1][0]) - card.window <= card.gap:
            last, finding = found[-1]
            joint = continued(finding, claim, same_window=window == last)
            found[-1] = (max(window, last), joint)
        else:
            found.append((window, opened(claim, window, card, sensor)))
    return found
