"""What other programs read: ECS 9 documents of findings, decisions and the rest, and back again.

Every document says under `event.dataset` what it is; its index is `logs-DATASET-NAMESPACE`, a data
stream, in which documents are only ever created. Our own fields lie under `cyberterr`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from cyberterr.contracts.finding import Finding
from cyberterr.contracts.media import Media
from cyberterr.contracts.run import Run
from cyberterr.contracts.store import Decision, Notice, Suppression

ECS_VERSION = "9.4.0"
"""github.com/elastic/ecs"""

Dataset = Literal["cyberterr.finding", "cyberterr.decision", "cyberterr.notice", "cyberterr.health"]
DATASETS: tuple[Dataset, ...] = get_args(Dataset)
"""cyberterr.decision holds suppressions too; cyberterr.health what scans read and what was lost."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document on its way to Elasticsearch."""

    id: str
    """`_id`, at most 64 characters: the same document is created once, however often it is sent"""
    dataset: Dataset
    severity: int = 0
    """of a finding; the least severe is dropped first where there is no room"""
    body: dict[str, Any]
    """all but `event.ingested` and `data_stream`, which are set when it is sent"""


def stream(dataset: str, namespace: str) -> str:
    """Name of the data stream of *dataset*: `logs-cyberterr.finding-default`."""
    return f"logs-{dataset}-{namespace}"


def time_text(moment: dt.datetime) -> str:
    """*moment* in UTC as ISO 8601 with microseconds: `2026-03-14T08:12:00.000000Z`."""
    text = moment.astimezone(dt.UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def to_ecs(finding: Finding, *, whole: bool = False) -> dict[str, Any]:
    """The ECS event of *finding*; Elastic's rule *External Alerts* takes it up as it is.

    Args:
        finding: what to describe.
        whole: also what only a reader that rebuilds the finding needs (`from_ecs`).
    """
    related = dict.fromkeys(a for a in (finding.actor, finding.victim, *finding.related) if a)
    own: dict[str, Any] = {
        "family": finding.family,
        "score": finding.score,
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
    if whole:
        own["related"] = list(finding.related)
        own["picture"] = msgspec.to_builtins(finding.picture)
    document: dict[str, Any] = {
        **_head(finding.end, "cyberterr.finding", finding.title.en),
        "rule": _rule(finding),
        "related": {"ip": list(related)},
        "observer": {"name": finding.sensor, "product": "cyberterr", "vendor": "cyberterr"},
        "cyberterr": {"finding": own},
    }
    document["event"] |= {
        "id": finding.id,
        "kind": finding.kind,
        "category": ["intrusion_detection"],
        "type": ["info"],
        "severity": int(finding.severity),
        "risk_score": round(100 * finding.score, 1),
        "start": time_text(finding.start),
        "end": time_text(finding.end),
        "reason": finding.reason.en,
    }
    if finding.actor:
        document["source"] = {"ip": finding.actor}
    if finding.victim:
        document["destination"] = {"ip": finding.victim}
    if finding.victim_port is not None:
        document.setdefault("destination", {})["port"] = finding.victim_port
    if finding.media is not msgspec.UNSET:
        _add_media(document, finding.media, whole=whole)
    if finding.attack:
        document["threat"] = {
            "framework": "MITRE ATT&CK",
            "technique": {"id": list(finding.attack)},
        }
    return document


def _add_media(document: dict[str, Any], media: Media, *, whole: bool) -> None:
    """What is said of a file: `file.*`, and the verdict under `cyberterr`; no folder is named."""
    document["event"]["category"] = ["file"]
    document["related"]["hash"] = [media.sha256]
    document["file"] = {
        "name": media.name,
        "size": media.size,
        "mime_type": media.mime,
        "hash": {"sha256": media.sha256},
    }
    told = msgspec.to_builtins(media)
    seconds = {} if media.seconds is None else {"seconds": media.seconds}
    document["cyberterr"] |= {
        "media": {"kind": media.kind, **seconds},
        "verdict": media.answer,
        "score": media.score,
        "interval": told["interval"],
        "evidence": told["evidence"],
        "segments": msgspec.to_builtins(media.segments),
        "provenance": told["provenance"],
        "limits": told["limits"],
        "models": list(media.models),
    }
    if whole:
        document["cyberterr"]["quality"] = told["quality"]


def _media_of(document: Mapping[str, Any]) -> Media | msgspec.UnsetType:
    own = document["cyberterr"]
    if "verdict" not in own:
        return msgspec.UNSET
    fields = {
        "kind": own["media"]["kind"],
        "sha256": document["file"]["hash"]["sha256"],
        "name": document["file"]["name"],
        "size": document["file"]["size"],
        "mime": document["file"]["mime_type"],
        "seconds": own["media"].get("seconds"),
        "answer": own["verdict"],
        "score": own["score"],
        "interval": own["interval"],
        "evidence": own["evidence"],
        "quality": own["quality"],
        "limits": own["limits"],
        "provenance": own["provenance"],
        "models": own["models"],
    }
    return msgspec.convert(fields, Media, strict=False)


def from_ecs(document: Mapping[str, Any]) -> Finding:
    """The finding that `to_ecs` made *document* of, with `whole`.

    Raises:
        msgspec.ValidationError: a field is not what it should be.
        KeyError: a field is missing.
    """
    event, own = document["event"], document["cyberterr"]["finding"]
    fields = {
        "id": event["id"],
        "rule": document["rule"]["id"],
        "detector": document["rule"]["name"],
        "family": own["family"],
        "severity": event["severity"],
        "score": own["score"],
        "start": event["start"],
        "end": event["end"],
        "actor": document.get("source", {}).get("ip"),
        "victim": document.get("destination", {}).get("ip"),
        "victim_port": document.get("destination", {}).get("port"),
        "scope": own["scope"],
        "related": own["related"],
        "title": {"en": document["message"], "fr": own["title_fr"]},
        "reason": {"en": event["reason"], "fr": own["reason_fr"]},
        "measures": own["measures"],
        "explanations": own["explanations"],
        "not_examined": own["not_examined"],
        "next_steps": own["next_steps"],
        "attack": document.get("threat", {}).get("technique", {}).get("id", ()),
        "picture": own["picture"],
        "sensor": document["observer"]["name"],
        "windows": own["windows"],
        "revision": own["revision"],
        "kind": event["kind"],
    }
    finding = msgspec.convert(fields, Finding, strict=False)
    return msgspec.structs.replace(finding, media=_media_of(document))


def content_hash(finding: Finding) -> str:
    """Hash of everything *finding* says; its revision and kind are the store's to give."""
    plain = msgspec.structs.replace(finding, revision=1, kind="alert")
    return hashlib.sha256(msgspec.json.encode(plain)).hexdigest()


def of_finding(finding: Finding) -> Document:
    """*finding* as a document: one for each revision and content."""
    return Document(
        id=f"{finding.id[:24]}-{content_hash(finding)[:24]}-{finding.revision}",
        dataset="cyberterr.finding",
        severity=int(finding.severity),
        body=to_ecs(finding, whole=True),
    )


def of_decision(decision: Decision, finding: Finding) -> Document:
    """*decision* on *finding* as a document of its own; it names the rule, so rates can be told."""
    body = _head(
        decision.time,
        "cyberterr.decision",
        f"Decided {decision.verdict}: {decision.reason}",
        action="finding-decided",
    )
    body["event"]["reason"] = decision.reason
    body["user"] = {"name": decision.author}
    body["rule"] = _rule(finding)
    body["cyberterr"] = {"decision": msgspec.to_builtins(decision)}
    return _document("cyberterr.decision", body)


def of_suppression(
    suppression: Suppression, *, lifted: tuple[str, dt.datetime] | None = None
) -> Document:
    """*suppression* as a document; *lifted*: by whom and when it was removed."""
    author, time = lifted or (suppression.author, suppression.created)
    body = _head(
        time,
        "cyberterr.decision",
        f"{'Lifted' if lifted else 'Made'} a suppression: {suppression.reason}",
        action="suppression-lifted" if lifted else "suppression-made",
    )
    body["event"]["reason"] = suppression.reason
    body["user"] = {"name": author}
    body["cyberterr"] = {"suppression": msgspec.to_builtins(suppression)}
    return _document("cyberterr.decision", body)


def of_notice(notice: Notice, after: Notice | None) -> Document:
    """*notice*, which replaces *after*; its id is that of *after*, so one successor only exists."""
    body = _head(notice.time, "cyberterr.notice", f"{notice.channel}: {notice.state}")
    before = msgspec.json.encode((notice.finding_id, notice.channel, after))
    name = hashlib.sha256(before).hexdigest()
    body["event"] |= {"action": f"notice-{notice.state}", "id": name[:24]}
    body["cyberterr"] = {"notice": msgspec.to_builtins(notice)}
    return Document(id=name, dataset="cyberterr.notice", body=body)


def of_run(run: Run, findings: int, *, sensor: str) -> Document:
    """What one scan read and left out, in numbers; the names of its sources stay here."""
    ended = run.started + dt.timedelta(seconds=run.seconds)
    body = _head(ended, "cyberterr.health", f"Scanned {run.flows} flows in {run.seconds:.0f} s")
    body["event"] |= {
        "action": "scan-ended",
        "kind": "metric",
        "start": time_text(run.started),
        "end": time_text(ended),
        "duration": round(run.seconds * 1e9),
    }
    body["observer"] = {"name": sensor, "product": "cyberterr", "vendor": "cyberterr"}
    body["cyberterr"] = {
        "run": {
            "seconds": run.seconds,
            "bytes": run.bytes,
            "packets": run.packets,
            "flows": run.flows,
            "findings": findings,
            "evicted": run.evicted,
            "dropped": run.dropped,
            "suppressed": run.suppressed,
            "warnings": len(run.warnings),
            "examined": list(run.examined),
            "skipped": [skipped.detector for skipped in run.skipped],
        }
    }
    return _document("cyberterr.health", body)


def of_drop(
    *, time: dt.datetime, dataset: str, documents: int, size: int, oldest: dt.datetime, why: str
) -> Document:
    """That *documents* of *size* bytes were dropped from the outbox before they could be sent."""
    body = _head(
        time,
        "cyberterr.health",
        f"{documents} documents of {dataset} were dropped before they could be sent: {why}",
        action="documents-dropped",
    )
    body["event"]["reason"] = why
    body["cyberterr"] = {
        "dropped": {
            "dataset": dataset,
            "documents": documents,
            "bytes": size,
            "oldest": time_text(oldest),
        }
    }
    return _document("cyberterr.health", body)


def _head(
    time: dt.datetime, dataset: Dataset, message: str, *, action: str | None = None
) -> dict[str, Any]:
    event = {"kind": "event", "dataset": dataset, "module": "cyberterr"}
    return {
        "@timestamp": time_text(time),
        "ecs": {"version": ECS_VERSION},
        "message": message,
        "event": event if action is None else {**event, "action": action},
    }


def _rule(finding: Finding) -> dict[str, str]:
    return {
        "id": finding.rule,
        "name": finding.detector,
        "category": finding.family,
        "ruleset": "cyberterr",
    }


def _document(dataset: Dataset, body: dict[str, Any]) -> Document:
    """*body* with an id that is its content's hash."""
    name = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()
    body["event"]["id"] = name[:24]
    return Document(id=name, dataset=dataset, body=body)
