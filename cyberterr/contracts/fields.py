"""Every field of a document: the mapping, the dashboards and the reference page come from here.

Only types that every Elasticsearch 8 and 9 has. Names outside `cyberterr` are ECS 9
(https://www.elastic.co/docs/reference/ecs).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Type = Literal[
    "keyword",
    "text",
    "ip",
    "date",
    "long",
    "double",
    "float",
    "boolean",
    "nested",
    "flattened",
    "object",
]
"""object: kept as it is, neither searched nor counted"""
Part = Literal["", "decoys", "playbooks"]


class Field(NamedTuple):
    """One field; each may hold a list of its type."""

    name: str
    """dotted"""
    type: Type
    meaning: str
    since: Part = ""
    """the part that will fill it and is not built yet; empty where documents carry it today"""


_EVERY = (
    Field("@timestamp", "date", "when it happened: the end of a finding, the time of a decision"),
    Field("ecs.version", "keyword", "version of ECS that the document follows"),
    Field("message", "text", "title, in English; the name of the alert that Kibana makes of it"),
    Field("data_stream.type", "keyword", "always logs"),
    Field("data_stream.dataset", "keyword", "the same as event.dataset"),
    Field("data_stream.namespace", "keyword", "which town or service this is, from [elastic]"),
    Field("event.id", "keyword", "id of the incident, or of the document where there is none"),
    Field("event.kind", "keyword", "alert: new, or worse than before; event; metric: of a scan"),
    Field(
        "event.category",
        "keyword",
        "intrusion_detection of a finding on traffic, file of one on media",
    ),
    Field("event.type", "keyword", "info of a finding"),
    Field("event.action", "keyword", "what was done, such as finding-decided"),
    Field("event.module", "keyword", "always cyberterr"),
    Field("event.dataset", "keyword", "what the document is, such as cyberterr.finding"),
    Field("event.severity", "long", "of a finding: 21 low, 47 medium, 73 high, 99 critical"),
    Field("event.risk_score", "float", "score of a finding times 100"),
    Field("event.start", "date", "first sign of it, start of the scan"),
    Field("event.end", "date", "last sign of it, end of the scan"),
    Field("event.duration", "long", "nanoseconds that a scan took"),
    Field("event.reason", "keyword", "why, in one plain English sentence"),
    Field("event.url", "keyword", "where people see it: link in [elastic]"),
    Field("event.ingested", "date", "when it was sent"),
    Field("event.outcome", "keyword", "success or failure", "playbooks"),
    Field("event.sequence", "long", "place in the audit ledger", "playbooks"),
)
_WHO = (
    Field("observer.name", "keyword", "name of the sensor"),
    Field("observer.product", "keyword", "always cyberterr"),
    Field("observer.vendor", "keyword", "always cyberterr"),
    Field("rule.id", "keyword", "detector, or detector.variant"),
    Field("rule.name", "keyword", "detector"),
    Field("rule.category", "keyword", "family of a finding"),
    Field("rule.ruleset", "keyword", "always cyberterr"),
    Field("threat.framework", "keyword", "MITRE ATT&CK"),
    Field("threat.technique.id", "keyword", "techniques that the claim implies"),
    Field("source.ip", "ip", "who acts, where it can be said"),
    Field("source.port", "long", "port of the machine that touched a decoy", "decoys"),
    Field("destination.ip", "ip", "whom it is done to, where it is one"),
    Field("destination.port", "long", "its port"),
    Field("network.protocol", "keyword", "protocol of the touch, such as smb", "decoys"),
    Field("network.transport", "keyword", "tcp or udp", "decoys"),
    Field("related.ip", "ip", "every address that plays a part, at most 102"),
    Field("related.user", "keyword", "accounts that play a part", "decoys"),
    Field("related.hash", "keyword", "SHA-256 of the file that was examined"),
    Field("user.name", "keyword", "who decided, suppressed or approved"),
    Field("file.path", "keyword", "the file as it was named: printed, never kept or sent"),
    Field("file.name", "keyword", "its name"),
    Field("file.size", "long", "its bytes"),
    Field("file.mime_type", "keyword", "its type"),
    Field("file.hash.sha256", "keyword", "its SHA-256"),
)
_FINDING = (
    Field("cyberterr.finding.family", "keyword", "kind of attack: scan, beacon, …"),
    Field("cyberterr.finding.score", "float", "0..1, higher is worse; no probability"),
    Field("cyberterr.finding.revision", "long", "1 and up; the highest of an event.id counts"),
    Field("cyberterr.finding.windows", "long", "windows of time it was seen in"),
    Field("cyberterr.finding.scope", "keyword", "what else tells incidents apart: domain, port"),
    Field("cyberterr.finding.title_fr", "text", "title, in French"),
    Field("cyberterr.finding.reason_fr", "keyword", "why, in one plain French sentence"),
    Field("cyberterr.finding.measures", "nested", "numbers behind the claim"),
    Field("cyberterr.finding.measures.name", "keyword", "such as distinct_ports"),
    Field("cyberterr.finding.measures.value", "double", "what was measured"),
    Field("cyberterr.finding.measures.baseline", "double", "what is normal here at most"),
    Field("cyberterr.finding.measures.unit", "keyword", "machines, bytes, …"),
    Field("cyberterr.finding.measures.label", "object", "its name as people read it: en, fr"),
    Field("cyberterr.finding.explanations.state", "keyword", "excluded, holds or not_checked"),
    Field("cyberterr.finding.explanations.text", "object", "harmless causes: en, fr"),
    Field("cyberterr.finding.not_examined", "object", "what was not looked at: en, fr"),
    Field("cyberterr.finding.next_steps", "object", "where to look next: en, fr"),
    Field("cyberterr.finding.related", "object", "the addresses in their order"),
    Field("cyberterr.finding.picture", "object", "what a report draws"),
)
_DECISION = (
    Field("cyberterr.decision.finding_id", "keyword", "event.id of the finding"),
    Field("cyberterr.decision.verdict", "keyword", "true_positive, false_positive or benign"),
    Field("cyberterr.decision.reason", "keyword", "why, in the words of who decided"),
    Field("cyberterr.decision.author", "keyword", "who decided"),
    Field("cyberterr.decision.time", "date", "when; of several, the latest counts"),
    Field("cyberterr.suppression.id", "keyword", "id of the suppression"),
    Field("cyberterr.suppression.finding_id", "keyword", "the false positive it was made from"),
    Field("cyberterr.suppression.rule", "keyword", "rule that must match"),
    Field("cyberterr.suppression.actor", "keyword", "actor that must match"),
    Field("cyberterr.suppression.victim", "keyword", "victim that must match"),
    Field("cyberterr.suppression.detail", "keyword", "scope that must match"),
    Field("cyberterr.suppression.network", "keyword", "CIDR in which the actor lies"),
    Field("cyberterr.suppression.port", "long", "victim's port that must match"),
    Field("cyberterr.suppression.created", "date", "when it was made"),
    Field("cyberterr.suppression.expires", "date", "when it ends by itself"),
    Field("cyberterr.suppression.author", "keyword", "who made it"),
    Field("cyberterr.suppression.reason", "keyword", "why"),
    Field("cyberterr.notice.finding_id", "keyword", "event.id of the finding that was told"),
    Field("cyberterr.notice.channel", "keyword", "mail, syslog or webhook"),
    Field("cyberterr.notice.severity", "long", "of the finding when it was told"),
    Field("cyberterr.notice.state", "keyword", "sending, sent, failed, held or summed"),
    Field("cyberterr.notice.time", "date", "when"),
)
_HEALTH = (
    Field("cyberterr.run.seconds", "double", "how long a scan took"),
    Field("cyberterr.run.bytes", "long", "bytes it read"),
    Field("cyberterr.run.packets", "long", "packets it read"),
    Field("cyberterr.run.flows", "long", "flows it judged"),
    Field("cyberterr.run.findings", "long", "findings it made"),
    Field("cyberterr.run.evicted", "long", "flows closed early because the table was full"),
    Field("cyberterr.run.dropped", "long", "packets lost before we saw them"),
    Field("cyberterr.run.suppressed", "long", "findings held back by a person's decision"),
    Field("cyberterr.run.warnings", "long", "what went wrong and was survived"),
    Field("cyberterr.run.examined", "keyword", "detectors that judged"),
    Field("cyberterr.run.skipped", "keyword", "detectors that did not"),
    Field("cyberterr.dropped.dataset", "keyword", "what was dropped before it could be sent"),
    Field("cyberterr.dropped.documents", "long", "how many"),
    Field("cyberterr.dropped.bytes", "long", "bytes in all"),
    Field("cyberterr.dropped.oldest", "date", "time of the oldest"),
)
_MEDIA = (
    Field("cyberterr.verdict", "keyword", "signs_of_synthesis, no_sign_found or cannot_say"),
    Field("cyberterr.score", "float", "0 genuine … 1 synthetic, calibrated"),
    Field("cyberterr.interval", "float", "low and high end of the score"),
    Field("cyberterr.media.kind", "keyword", "audio, image or video"),
    Field("cyberterr.media.seconds", "float", "length"),
    Field("cyberterr.segments", "object", "parts of the clip: start, end (seconds), score"),
    Field("cyberterr.evidence.head", "keyword", "which detector"),
    Field("cyberterr.evidence.model", "keyword", "which model, with its version"),
    Field("cyberterr.evidence.answer", "keyword", "what it says alone"),
    Field("cyberterr.evidence.score", "float", "its score"),
    Field("cyberterr.evidence.interval", "float", "low and high end of it"),
    Field("cyberterr.evidence.rates", "object", "its measured errors: what, hits, trials, data"),
    Field("cyberterr.evidence.reason", "object", "what it saw: en, fr"),
    Field("cyberterr.evidence.calibration", "object", "which calibration was used: en, fr"),
    Field("cyberterr.evidence.segments", "object", "its timeline"),
    Field("cyberterr.evidence.bands", "object", "what the model looked at"),
    Field("cyberterr.models", "keyword", "models that judged, with their versions"),
    Field("cyberterr.provenance", "flattened", "what the file says of its origin (C2PA)"),
    Field("cyberterr.limits", "object", "what could not be examined: code, text, decisive"),
    Field("cyberterr.quality", "object", "what the quality gate measured"),
)
_DECOYS = (
    Field("cyberterr.decoy.id", "keyword", "which decoy or honeytoken"),
    Field("cyberterr.decoy.kind", "keyword", "such as honeytoken.credential"),
    Field("cyberterr.decoy.planted_in", "keyword", "where it lies"),
    Field("cyberterr.decoy.planted_at", "date", "since when"),
    Field("cyberterr.decoy.interaction", "keyword", "what was done to it"),
    Field("cyberterr.decoy.self_test", "boolean", "whether we touched it ourselves"),
)
_PLAYBOOKS = (
    Field("cyberterr.run.id", "keyword", "run of a playbook"),
    Field("cyberterr.playbook.id", "keyword", "CACAO id of the playbook"),
    Field("cyberterr.playbook.name", "keyword", "its name"),
    Field("cyberterr.playbook.version", "keyword", "its version"),
    Field("cyberterr.playbook.finding_id", "keyword", "event.id of the finding that it answers"),
    Field("cyberterr.playbook.step", "keyword", "step of it"),
    Field("cyberterr.playbook.state", "keyword", "proposed, approved, refused, done, rolled_back"),
    Field("cyberterr.playbook.mode", "keyword", "dry_run or real"),
    Field("cyberterr.playbook.action_sha256", "keyword", "digest of the action as approved"),
    Field("cyberterr.playbook.expires", "date", "until when the approval holds"),
    Field("cyberterr.audit.sha256", "keyword", "digest of this entry of the ledger"),
    Field("cyberterr.audit.previous_sha256", "keyword", "digest of the entry before"),
)

FIELDS: tuple[Field, ...] = (
    *_EVERY,
    *_WHO,
    *_FINDING,
    *_DECISION,
    *_HEALTH,
    *_MEDIA,
    *(field._replace(since="decoys") for field in _DECOYS),
    *(field._replace(since="playbooks") for field in _PLAYBOOKS),
)
