"""The week of a town as documents, with all that makes counting hard.

Incidents have revisions, and some documents are stored twice. What no part of cyberterr writes yet
(media, decoys, playbooks) is written out as the fields say.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from cyberterr.contracts.documents import (
    ECS_VERSION,
    Document,
    of_decision,
    of_drop,
    of_finding,
    of_run,
    of_suppression,
    stream,
    time_text,
)
from cyberterr.contracts.finding import Finding, Text, finding_id
from cyberterr.contracts.run import Run, Skipped
from cyberterr.contracts.store import Decision, Suppression, Verdict
from cyberterr.elastic.cluster import Cluster, Request
from tests.kibana.week import (
    ARCHIVE,
    CLIPS,
    DECISIONS,
    GOES_ON,
    GOT_WORSE,
    INCIDENTS,
    LIFTED,
    MEDIUM,
    MONDAY,
    SCANS,
    STEPS,
    STUDENT,
    SUPPRESSED,
    TOUCHES,
)

LINK = "https://cyberterr.town.example/findings/{id}"


def today() -> list[Document]:
    """What cyberterr writes today."""
    return [
        *(of_finding(finding) for finding in revisions()),
        *(_decision(*line) for line in DECISIONS),
        *_suppressions(),
        *(_scan(*line) for line in SCANS),
        *(_dropped(day, count) for day, count in ((3, 40), (4, 250))),
    ]


def later() -> list[Document]:
    """What media verification, decoys and playbooks are to write."""
    return [
        *(_clip(number, *line) for number, line in enumerate(CLIPS)),
        *(_touch(number, *line) for number, line in enumerate(TOUCHES)),
        *(_step(number, *line) for number, line in enumerate(STEPS, 1)),
    ]


def twice() -> list[Document]:
    """What was sent again after a rollover, and is therefore stored twice."""
    chosen = ((1, 1), (2, 1), (8, 2))
    ids = {(_finding(number).id, revision) for number, revision in chosen}
    return [of_finding(f) for f in revisions() if (f.id, f.revision) in ids]


def revisions() -> list[Finding]:
    """Every revision of every incident of the week."""
    first = [_finding(number) for number in range(1, len(INCIDENTS) + 1)]
    second = [
        msgspec.structs.replace(
            _finding(number),
            end=_noon(day),
            severity=severity,
            kind=kind,
            revision=2,
            windows=2,
        )
        for number, day, severity, kind in (*GOES_ON, *GOT_WORSE)
    ]
    return [*first, *second, _from_before()]


def store(cluster: Cluster, namespace: str) -> None:
    """Put the week into the data streams of *namespace*, and what is later in `NAMESPACE.later`."""
    _create(cluster, today(), namespace)
    _create(cluster, later(), f"{namespace}.later")


def store_again(cluster: Cluster, namespace: str) -> None:
    """Send some of it again after a rollover."""
    cluster.ask(Request("POST", f"/{stream('cyberterr.finding', namespace)}/_rollover"))
    _create(cluster, twice(), namespace)


def sent(document: Document, namespace: str) -> bytes:
    """*document* as it arrives."""
    event = {"ingested": time_text(MONDAY + dt.timedelta(days=7)), **document.body["event"]}
    own = document.body["cyberterr"]
    if document.dataset == "cyberterr.finding":
        event["url"] = LINK.format(id=event["id"])
    elif "decision" in own:
        event["url"] = LINK.format(id=own["decision"]["finding_id"])
    where = {"type": "logs", "dataset": document.dataset, "namespace": namespace}
    return msgspec.json.encode(document.body | {"event": event, "data_stream": where})


def _create(cluster: Cluster, documents: list[Document], namespace: str) -> None:
    wanted = [(stream(d.dataset, namespace), d.id, sent(d, namespace)) for d in documents]
    for outcome in cluster.create(wanted, refresh="true"):
        assert outcome.kind == "delivered", outcome.reason
        assert outcome.status == 201, "the document was there already"


def _noon(day: int) -> dt.datetime:
    return MONDAY + dt.timedelta(days=day)


def _finding(number: int) -> Finding:
    line = INCIDENTS[number - 1]
    start = _noon(line.day) - dt.timedelta(minutes=number)
    known = Finding(
        id="",
        rule=line.rule,
        detector=line.rule,
        family=line.family,
        severity=line.severity,
        score=round(0.5 + number / 50, 2),
        start=start,
        end=_noon(line.day),
        actor=line.actor,
        victim=line.victim,
        title=line.title,
        reason=Text(
            f"{20 * number} times in an hour; on other days {number} at most.",
            f"{20 * number} fois en une heure ; les autres jours, {number} au plus.",
        ),
        sensor="school" if line.actor == STUDENT else "town-hall",
    )
    return msgspec.structs.replace(known, id=finding_id(known, start))


def _from_before() -> Finding:
    """An incident of last week that goes on: seen, and not new."""
    old = msgspec.structs.replace(
        _finding(14),
        start=_noon(-3),
        end=_noon(0),
        actor=ARCHIVE,
        severity=MEDIUM,
        kind="event",
        revision=2,
    )
    return msgspec.structs.replace(old, id=finding_id(old, old.start))


def _decision(number: int, day: int, verdict: Verdict, reason: str, author: str) -> Document:
    finding = _finding(number)
    return of_decision(
        Decision(
            finding_id=finding.id,
            verdict=verdict,
            reason=reason,
            author=author,
            time=_noon(day) + dt.timedelta(hours=2),
        ),
        finding,
    )


def _suppressions() -> list[Document]:
    documents = []
    for name, rule, actor, victim, day, expires, reason in SUPPRESSED:
        made = Suppression(
            id=name,
            finding_id=_finding(9).id,
            rule=rule,
            actor=actor,
            victim=victim,
            created=_noon(day) + dt.timedelta(hours=3),
            expires=dt.datetime.combine(expires, dt.time(), dt.UTC),
            author="l.durand",
            reason=reason,
        )
        documents.append(of_suppression(made))
        if name == LIFTED:
            documents.append(of_suppression(made, lifted=("a.martin", _noon(4))))
    return documents


def _scan(
    sensor: str,
    day: int,
    flows: int,
    lost: int,
    early: int,
    warnings: int,
    skipped: tuple[str, ...],
) -> Document:
    run = Run(
        sources=("eth1",),
        started=_noon(day) + dt.timedelta(hours=8),
        seconds=flows / 100,
        bytes=flows * 2_000_000,
        packets=flows * 400,
        flows=flows,
        dropped=lost,
        evicted=early,
        warnings=("the file ends early",) * warnings,
        skipped=tuple(Skipped(name, Text("no such traffic", "aucun trafic")) for name in skipped),
    )
    return of_run(run, findings=2, sensor=sensor)


def _dropped(day: int, count: int) -> Document:
    return of_drop(
        time=_noon(day),
        dataset="cyberterr.health",
        documents=count,
        size=count * 900,
        oldest=_noon(day - 30),
        why="it waited for 30 days",
    )


def _by_hand(name: str, day: int, severity: int, kind: str, message: str) -> dict[str, Any]:
    return {
        "@timestamp": time_text(_noon(day)),
        "ecs": {"version": ECS_VERSION},
        "message": message,
        "event": {
            "id": name,
            "kind": kind,
            "severity": severity,
            "dataset": "cyberterr.finding",
            "module": "cyberterr",
        },
    }


def _clip(
    number: int, name: str, kind: str, verdict: str, score: float, day: int, models: tuple[str, ...]
) -> Document:
    signs = verdict == "signs_of_synthesis"
    words = verdict.replace("_", " ")
    body = _by_hand(
        f"clip-{number}", day, 73 if signs else 21, "alert" if signs else "event", words
    )
    body["event"]["reason"] = f"{words}: see the timeline of the clip"
    body["file"] = {"name": name, "hash": {"sha256": f"{number:064x}"}}
    body["cyberterr"] = {
        "verdict": verdict,
        "score": score,
        "interval": [round(score - 0.05, 2), round(score + 0.05, 2)],
        "media": {"kind": kind, "seconds": 32.0},
        "models": list(models),
        "finding": {"reason_fr": "voir le déroulé de l’extrait"},
    }
    return Document(id=f"clip-{number}", dataset="cyberterr.finding", severity=73, body=body)


def _touch(
    number: int, actor: str, decoy: str, kind: str, day: int, done: str, own: bool
) -> Document:
    body = _by_hand(f"touch-{number}", day, 99, "event" if own else "alert", f"{decoy}: {done}")
    body["source"] = {"ip": actor}
    body["related"] = {"user": ["svc-archive"]}
    body["cyberterr"] = {
        "decoy": {
            "id": decoy,
            "kind": kind,
            "planted_in": r"\\files\common\old",
            "interaction": done,
            "self_test": own,
        },
        "finding": {"title_fr": f"{decoy} : contact"},
    }
    return Document(id=f"touch-{number}", dataset="cyberterr.finding", severity=99, body=body)


def _step(number: int, run: str, name: str, step: str, state: str, day: int, who: str) -> Document:
    body = _by_hand(f"step-{number}", day, 0, "event", f"{state} {step} of {name}")
    body["@timestamp"] = time_text(_noon(day) + dt.timedelta(minutes=number))
    body["event"] |= {"sequence": 1800 + number, "dataset": "cyberterr.decision"}
    if state in ("done", "rolled_back"):
        body["event"]["outcome"] = "success"
    body["user"] = {"name": who}
    body["cyberterr"] = {
        "run": {"id": run},
        "playbook": {
            "name": name,
            "id": f"playbook--{name}",
            "step": step,
            "state": state,
            "mode": "real",
            "finding_id": _finding(7).id,
        },
    }
    return Document(id=f"step-{number}", dataset="cyberterr.decision", body=body)
