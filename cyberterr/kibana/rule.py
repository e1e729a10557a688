"""The detection rule that makes Security alerts of findings, with its investigation guide.

Elastic's prebuilt rule *External Alerts* would do it too, without the guide and for everybody's
alerts; whoever turns both on gets each alert twice.
"""

from __future__ import annotations

import msgspec

from cyberterr.config import Elastic
from cyberterr.contracts.finding import Severity, Text
from cyberterr.kibana.bundle import elasticsearch_only
from cyberterr.kibana.condition import kql
from cyberterr.kibana.counted import ALERT, FINDING
from cyberterr.kibana.panel import Lang, say

RULE_ID = "cyberterr-findings"
INDEX = "logs-cyberterr.finding-*"
WHERE = (FINDING, ALERT)
SHOWN = (
    "event.reason",
    "cyberterr.finding.reason_fr",
    "source.ip",
    "destination.ip",
    "destination.port",
    "cyberterr.finding.scope",
    "rule.id",
    "observer.name",
    "event.url",
)
"""fields that an alert shows first"""
_NAME = Text("cyberterr finding", "Constat de cyberterr")
_ABOUT = Text(
    "Makes an alert of each finding of cyberterr that is new or got worse, with its severity, its "
    "score and its title.",
    "Fait une alerte de chaque constat de cyberterr nouveau ou aggravé, avec sa gravité, son score "
    "et son titre.",
)
GUIDE = """\
## Triage of a cyberterr finding

A finding is a claim with its proof, never a verdict: a person decides, and nothing changes before.

1. **Read the reason** (`event.reason`): one sentence that says what was seen. `event.url`, where \
it is set, leads to the whole finding.
2. **Look at the numbers** (`cyberterr.finding.measures`): each stands beside what is normal here \
(`baseline`).
3. **Go through the innocent explanations** (`cyberterr.finding.explanations`): *excluded* was \
ruled out, *holds* applies here, *not_checked* is yours to check.
4. **Mind what was not examined** (`cyberterr.finding.not_examined`), and take the next steps \
(`cyberterr.finding.next_steps`).
5. **Look around**: other findings with the same `source.ip` or `related.ip`, a quarter of an hour \
before and after.
6. **Decide**: `cyberterr findings decide ID VERDICT --reason "…"`, ID being `event.id`. \
*true_positive*: an attack; *benign*: right, and allowed; *false_positive*: the claim is wrong. Or \
close the alert here for that reason: `cyberterr findings pull` brings it back.

A severity of 21 is context, not an alarm. The risk score orders findings of one severity; it is \
no probability.

## Traiter un constat de cyberterr

Un constat est une affirmation avec sa preuve, jamais un verdict : une personne décide, et rien ne \
change avant.

1. **Lire la raison** (`cyberterr.finding.reason_fr`) : une phrase qui dit ce qui a été vu. \
`event.url` mène au constat entier, si l’adresse est réglée.
2. **Regarder les chiffres** (`cyberterr.finding.measures`) : chacun à côté de ce qui est normal \
ici (`baseline`).
3. **Passer en revue les explications innocentes** (`cyberterr.finding.explanations`) : *excluded* \
est écartée, *holds* s’applique ici, *not_checked* reste à vérifier.
4. **Tenir compte de ce qui n’a pas été examiné** (`cyberterr.finding.not_examined`) et suivre les \
étapes proposées (`cyberterr.finding.next_steps`).
5. **Regarder autour** : autres constats avec la même `source.ip` ou `related.ip`, un quart \
d’heure avant et après.
6. **Décider** : `cyberterr findings decide ID VERDICT --reason "…"`, ID étant \
`event.id`. *true_positive* : une attaque ; *benign* : exact, et permis ; *false_positive* : \
l’affirmation est fausse. Ou clore l’alerte ici pour cette raison : `cyberterr findings pull` la \
reprend.

Une gravité de 21 est un contexte, pas une alarme. Le score de risque classe les constats de même \
gravité ; ce n’est pas une probabilité.
"""


def ndjson(settings: Elastic, *, lang: Lang = "en") -> bytes:
    """The rule for `POST /api/detection_engine/rules/_import`, one line.

    Each run looks back a quarter of an hour, because `event.ingested` is a sensor's clock; Kibana
    makes one alert of a document however often it is seen.

    Raises:
        UsageError: the cluster is OpenSearch, which has no such rules.
    """
    elasticsearch_only(settings)
    levels = {
        "low": Severity.LOW,
        "medium": Severity.MEDIUM,
        "high": Severity.HIGH,
        "critical": Severity.CRITICAL,
    }
    rule = {
        "author": ["cyberterr"],
        "description": say(_ABOUT, lang),
        "enabled": True,
        "exceptions_list": [],
        "false_positives": [],
        "from": "now-16m",
        "index": [INDEX],
        "interval": "1m",
        "investigation_fields": {"field_names": list(SHOWN)},
        "language": "kuery",
        "max_signals": 1000,
        "name": say(_NAME, lang),
        "note": GUIDE,
        "query": kql(WHERE),
        "references": [],
        "risk_score": int(Severity.MEDIUM),
        "risk_score_mapping": [{"field": "event.risk_score", "operator": "equals", "value": ""}],
        "rule_id": RULE_ID,
        "rule_name_override": "message",
        "severity": "medium",
        "severity_mapping": [
            {
                "field": "event.severity",
                "operator": "equals",
                "severity": level,
                "value": str(int(severity)),
            }
            for level, severity in levels.items()
        ],
        "tags": ["cyberterr"],
        "threat": [],
        "timestamp_override": "event.ingested",
        "to": "now",
        "type": "query",
        "version": 1,
    }
    return msgspec.json.encode(rule, order="sorted") + b"\n"
