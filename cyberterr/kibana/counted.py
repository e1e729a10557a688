"""What dashboards count alike: incidents, raised or active, by severity.

A finding has revisions, a document each, and a document that is sent again after a rollover is
stored twice: so nothing counts documents, everything counts distinct ids. The first revision of an
incident and each rise of its severity are alerts (`event.kind`), what follows is an event:
incidents *raised* are distinct ids of alerts, incidents *active* are distinct ids of either.
"""

from __future__ import annotations

from cyberterr.contracts.finding import Severity, Text
from cyberterr.kibana.condition import Condition, at_least, equals
from cyberterr.kibana.panel import Groups, Measure

FINDING = equals("event.dataset", "cyberterr.finding")
DECISION = equals("event.dataset", "cyberterr.decision")
HEALTH = equals("event.dataset", "cyberterr.health")
ALERT = equals("event.kind", "alert")
URGENT = at_least("event.severity", Severity.HIGH)

SEVERITIES = Groups(
    label=Text("Severity", "Gravité"),
    groups=(
        (Text("Critical (99)", "Critique (99)"), equals("event.severity", Severity.CRITICAL)),
        (Text("High (73)", "Élevée (73)"), equals("event.severity", Severity.HIGH)),
        (Text("Medium (47)", "Moyenne (47)"), equals("event.severity", Severity.MEDIUM)),
        (
            Text("Low, context (21)", "Faible, contexte (21)"),
            equals("event.severity", Severity.LOW),
        ),
    ),
)
VERDICTS = Groups(
    label=Text("Verdict", "Décision"),
    groups=(
        (
            Text("True positive: an attack", "Vrai positif : une attaque"),
            equals("cyberterr.decision.verdict", "true_positive"),
        ),
        (
            Text("Benign: right, and allowed", "Bénin : exact, et permis"),
            equals("cyberterr.decision.verdict", "benign"),
        ),
        (
            Text("False positive: wrong", "Faux positif : inexact"),
            equals("cyberterr.decision.verdict", "false_positive"),
        ),
    ),
)
TOWN = ("data_stream.namespace", Text("Town or service", "Commune ou service"))


def incidents(*where: Condition, label: Text, name: str = "incidents") -> Measure:
    """How many incidents have a document among *where*."""
    return Measure(name=name, label=label, of="distinct", field="event.id", where=where)


def last(name: str = "last", label: Text | None = None) -> Measure:
    """When the newest document happened."""
    return Measure(
        name=name,
        label=label or Text("Last seen", "Vu en dernier"),
        of="highest",
        field="@timestamp",
        unit="date",
    )
