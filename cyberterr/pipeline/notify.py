"""Tell people about incidents by mail, syslog or webhook: once each, never in floods."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec

from cyberterr.config import Notify
from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Case, Notice, Query, Store
from cyberterr.errors import CyberterrError
from cyberterr.pipeline.channels import Channel, channels
from cyberterr.review.suppressions import marked

MEMORY = dt.timedelta(days=7)
"""How far back an incident that could not be told is still tried."""
STUCK = dt.timedelta(minutes=10)
"""After so long, a message that began and did not end is tried again."""


def tell(store: Store, settings: Notify, now: dt.datetime) -> list[str]:
    """Send what is due from *store*; returns a warning per channel that failed, tried next time.

    Due is an incident at or above the severity of the settings that came into the store in the
    last seven days, is neither suppressed nor decided, and was not told at this severity. Over
    `per_hour` messages in an hour, incidents are held and summed up in one line of the next one.
    Call it after each `put`, and regularly, so that failed and held ones get their turn.

    Raises:
        UsageError: `[notify]` names something that we cannot send to.
    """
    warnings: list[str] = []
    for channel in channels(settings):
        try:
            query = Query(severity=settings.severity, stored_since=now - MEMORY)
            cases = marked(store.find(query), store.suppressions(), now)
            open_cases = [c for c in cases if not c.suppressed_by and _undecided(c)]
            _serve(store, channel, open_cases, settings.per_hour, now)
        except (OSError, CyberterrError) as error:
            warnings.append(f"{channel.name}: not told, tried again next time: {error}")
    return warnings


def _undecided(case: Case) -> bool:
    # What went on or got worse after the decision was not known to whoever decided.
    return case.decision is None or (
        case.finding.kind == "alert" and case.stored > case.decision.time
    )


def _serve(
    store: Store, channel: Channel, cases: Sequence[Case], per_hour: int, now: dt.datetime
) -> None:
    """Send through *channel* what is due and fits into the hour; hold the rest."""
    notices = store.notices(channel.name)
    room = per_hour - sum(
        n.state in ("sending", "sent") and n.time > now - dt.timedelta(hours=1)
        for n in notices.values()
    )
    held = [c.finding for c in cases if _is_held(notices.get(c.finding.id))]
    due = [c.finding for c in cases if _is_due(c.finding, notices.get(c.finding.id), now)]
    if not due and room > 0:
        due, held = held[:1], held[1:]
    for finding in due[: max(room, 0)]:
        _send(store, channel, finding, held, notices, now)
        held = []
    for finding in due[max(room, 0) :]:
        _note(store, channel, finding, "held", notices, now)


def _send(
    store: Store,
    channel: Channel,
    finding: Finding,
    held: Sequence[Finding],
    notices: Mapping[str, Notice],
    now: dt.datetime,
) -> None:
    claimed = _note(store, channel, finding, "sending", notices, now)
    if claimed is None:  # another cyberterr tells it
        return
    try:
        channel.send(finding, held)
    except BaseException:
        store.notice(msgspec.structs.replace(claimed, state="failed"), claimed)
        raise
    store.notice(msgspec.structs.replace(claimed, state="sent"), claimed)
    for other in held:
        _note(store, channel, other, "summed", notices, now)


def _note(
    store: Store,
    channel: Channel,
    finding: Finding,
    state: str,
    notices: Mapping[str, Notice],
    now: dt.datetime,
) -> Notice | None:
    notice = msgspec.convert(
        {
            "finding_id": finding.id,
            "channel": channel.name,
            "severity": finding.severity,
            "state": state,
            "time": now,
        },
        Notice,
    )
    return notice if store.notice(notice, notices.get(finding.id)) else None


def _is_held(notice: Notice | None) -> bool:
    return notice is not None and notice.state == "held"


def _is_due(finding: Finding, notice: Notice | None, now: dt.datetime) -> bool:
    if notice is None or notice.state == "failed":
        return True
    if notice.state == "held":
        return False
    stuck = notice.state == "sending" and notice.time < now - STUCK
    return stuck or finding.severity > notice.severity
