"""Hide what a person called a false positive: within a scope, for a time, and never silently."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network

import msgspec

from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Case, Decision, Suppression
from cyberterr.errors import UsageError

LONGEST_DAYS = 400
"""A year and a little: whoever renews yearly is not late by a holiday."""

SCOPES = ("rule", "actor", "victim", "detail", "port")


def suppression(
    finding: Finding,
    decision: Decision,
    *,
    days: int,
    scope: Sequence[str] = (),
    network: str | None = None,
) -> Suppression:
    """Make a suppression of what is like *finding*, which *decision* calls a false positive.

    Args:
        finding: the false positive.
        decision: who says so, and why.
        days: until it expires, 1 to 400.
        scope: what must be the same, of `SCOPES`; empty: all of it but the port (narrowest).
        network: CIDR in which the actor must lie, or the victim where no actor is named.

    Raises:
        UsageError: no false positive, a scope too wide or not in the finding, a wrong time or CIDR.
    """
    if decision.verdict != "false_positive":
        raise UsageError(
            f"a finding decided {decision.verdict} is not suppressed",
            hint="only a false_positive is: what is real must stay visible",
        )
    if not 1 <= days <= LONGEST_DAYS:
        raise UsageError(
            f"a suppression cannot last {days} days", hint=f"1 to {LONGEST_DAYS}: it must expire"
        )
    if unknown := [word for word in scope if word not in SCOPES]:
        raise UsageError(f"no such scope: {', '.join(unknown)}", hint=f"of {', '.join(SCOPES)}")
    has: dict[str, str | int | None] = {
        "rule": finding.rule,
        "actor": finding.actor,
        "victim": finding.victim,
        "detail": finding.scope or None,
        "port": finding.victim_port,
    }
    if missing := [word for word in scope if has[word] is None]:
        raise UsageError(
            f"this finding has no {', '.join(missing)}", hint="leave it out of --scope"
        )
    chosen = scope or [word for word in SCOPES if word != "port" and has[word] is not None]
    if not {"rule", "actor", "victim"} & set(chosen):
        raise UsageError(
            f"a scope of only {', '.join(chosen)} would hide too much",
            hint="add at least one of rule, actor, victim",
        )
    fields = {
        "id": secrets.token_hex(4),
        "finding_id": finding.id,
        **{word: has[word] for word in chosen},
        "network": _network(network),
        "created": decision.time,
        "expires": decision.time + dt.timedelta(days=days),
        "author": decision.author,
        "reason": decision.reason,
    }
    made = msgspec.convert(fields, Suppression)
    if not covers(made, finding):
        raise UsageError(f"{network} does not contain this finding's actor")
    return made


def covers(suppression: Suppression, finding: Finding) -> bool:
    """Whether all that *suppression* names is so in *finding*; its expiry is not looked at."""
    pairs = (
        (suppression.rule, finding.rule),
        (suppression.actor, finding.actor),
        (suppression.victim, finding.victim),
        (suppression.detail, finding.scope),
        (suppression.port, finding.victim_port),
    )
    if any(wanted is not None and wanted != has for wanted, has in pairs):
        return False
    return suppression.network is None or _lies_in(
        finding.actor or finding.victim, suppression.network
    )


def marked(
    cases: Iterable[Case], suppressions: Iterable[Suppression], now: dt.datetime
) -> list[Case]:
    """*cases*, each with the ids of the suppressions that cover it at *now*."""
    valid = [s for s in suppressions if now < s.expires]
    return [
        msgspec.structs.replace(
            case, suppressed_by=tuple(s.id for s in valid if covers(s, case.finding))
        )
        for case in cases
    ]


def _network(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        raise UsageError(f"{text!r} is no network", hint="like 10.0.5.0/24 or fd00::/64") from None


def _lies_in(address: str | None, network: str) -> bool:
    try:
        return address is not None and ip_address(address) in ip_network(network)
    except ValueError:
        return False
