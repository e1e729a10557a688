"""A person says what a finding was, and why."""

from __future__ import annotations

import datetime as dt
from typing import get_args

from cyberterr.contracts.store import Decision, Verdict
from cyberterr.errors import UsageError

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
LONGEST_REASON = 2000
"""characters"""


def decision(
    finding_id: str, verdict: Verdict, *, reason: str, author: str, now: dt.datetime
) -> Decision:
    """Make a decision on a finding.

    Raises:
        UsageError: the verdict is none of ours, or nobody would know later who decided or why.
    """
    if verdict not in VERDICTS:
        raise UsageError(f"no such verdict: {verdict!r}", hint=f"one of {', '.join(VERDICTS)}")
    return Decision(
        finding_id=finding_id,
        verdict=verdict,
        reason=reasoned(reason),
        author=named(author),
        time=now,
    )


def reasoned(reason: str) -> str:
    """*reason* without blanks around it.

    Raises:
        UsageError: it is empty or too long.
    """
    text = reason.strip()
    if not text:
        raise UsageError("a decision needs a reason", hint="--reason 'one sentence'")
    if len(text) > LONGEST_REASON:
        raise UsageError(f"the reason has {len(text)} characters", hint=f"at most {LONGEST_REASON}")
    return text


def named(author: str) -> str:
    """*author* without blanks around it.

    Raises:
        UsageError: it is empty.
    """
    text = author.strip()
    if not text:
        raise UsageError("a decision needs an author", hint="--author NAME")
    return text
