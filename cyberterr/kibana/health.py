"""The dashboard of those who run cyberterr: does it see, does it keep up, is it right."""

from __future__ import annotations

from cyberterr.contracts.finding import Text
from cyberterr.kibana.condition import at_least, equals
from cyberterr.kibana.counted import ALERT, DECISION, FINDING, HEALTH, TOWN, incidents, last
from cyberterr.kibana.panel import Dashboard, Measure, Panel, Search, Terms

_SCAN = equals("event.action", "scan-ended")
_LOST = at_least("cyberterr.run.dropped", 1)
_FULL = at_least("cyberterr.run.evicted", 1)
_WARNED = at_least("cyberterr.run.warnings", 1)
_UNSENT = equals("event.action", "documents-dropped")
_WRONG = equals("cyberterr.decision.verdict", "false_positive")
_SCANS = Text("Scans", "Analyses")
_RULE = Text("Rule", "Règle")

TROUBLE = Search(
    id="cyberterr-search-health",
    title=Text("Scans and losses, newest first", "Analyses et pertes, les plus récentes d’abord"),
    question=Text(
        "What each scan read and lost, and what was dropped before it could be sent.",
        "Ce que chaque analyse a lu et perdu, et ce qui a été abandonné avant l’envoi.",
    ),
    where=(HEALTH,),
    columns=(
        "event.action",
        "message",
        "observer.name",
        "cyberterr.run.dropped",
        "cyberterr.run.evicted",
        "cyberterr.run.warnings",
        "cyberterr.run.skipped",
        "cyberterr.dropped.documents",
        "event.reason",
    ),
)

HEALTH_BOARD = Dashboard(
    id="cyberterr-health",
    title=Text("Detector health", "Santé des détecteurs"),
    question=Text(
        "Whether the sensors see, keep up and are right: scans, losses, and the share of decided "
        "findings that were wrong, with its count.",
        "Si les capteurs voient, suivent et ont raison : analyses, pertes, et la part des constats "
        "jugés qui étaient faux, avec son effectif.",
    ),
    controls=(TOWN,),
    panels=(
        Panel(
            id="health-scans",
            kind="number",
            title=_SCANS,
            question=Text(
                "Whether sensors still scan: how many scans ended, and when the last did.",
                "Si les capteurs analysent encore : nombre d’analyses finies, et la dernière.",
            ),
            where=(HEALTH, _SCAN),
            measures=(
                incidents(label=_SCANS, name="scans"),
                last(label=Text("the last", "la dernière")),
            ),
            width=16,
            height=6,
        ),
        Panel(
            id="health-lost",
            kind="number",
            title=Text("Scans that lost packets", "Analyses avec paquets perdus"),
            question=Text(
                "How many scans did not see everything: packets were lost before we saw them.",
                "Combien d’analyses n’ont pas tout vu : des paquets ont été perdus avant nous.",
            ),
            where=(HEALTH, _SCAN),
            measures=(
                incidents(_LOST, label=_SCANS, name="scans"),
                Measure(
                    name="share",
                    label=Text("of all scans", "de toutes les analyses"),
                    of="share",
                    field="event.id",
                    where=(_LOST,),
                    unit="percent",
                ),
            ),
            width=16,
            height=6,
        ),
        Panel(
            id="health-unsent",
            kind="number",
            title=Text("Documents never sent", "Documents jamais envoyés"),
            question=Text(
                "How often documents were dropped because they waited too long or took too much "
                "room, and the most at once.",
                "Combien de fois des documents ont été abandonnés faute de place ou de temps, et "
                "le maximum en une fois.",
            ),
            where=(HEALTH, _UNSENT),
            measures=(
                incidents(label=Text("Times", "Fois"), name="times"),
                Measure(
                    name="most",
                    label=Text("documents at most", "documents au plus"),
                    of="highest",
                    field="cyberterr.dropped.documents",
                ),
            ),
            width=16,
            height=6,
        ),
        Panel(
            id="health-sensors",
            kind="table",
            title=Text("Sensors", "Capteurs"),
            question=Text(
                "Which sensor fell silent, reads less than usual, or does not keep up. Medians, "
                "because a sum would count a document twice that was sent again.",
                "Quel capteur s’est tu, lit moins que d’habitude ou ne suit plus. Des médianes, "
                "car une somme compterait deux fois un document renvoyé.",
            ),
            where=(HEALTH, _SCAN),
            measures=(
                incidents(label=_SCANS, name="scans"),
                last(label=Text("The last", "La dernière")),
                Measure(
                    name="flows",
                    label=Text("Flows (median)", "Flux (médiane)"),
                    of="median",
                    field="cyberterr.run.flows",
                ),
                Measure(
                    name="bytes",
                    label=Text("Read (median)", "Lu (médiane)"),
                    of="median",
                    field="cyberterr.run.bytes",
                    unit="bytes",
                ),
                Measure(
                    name="seconds",
                    label=Text("Took (median)", "Durée (médiane)"),
                    of="median",
                    field="cyberterr.run.seconds",
                    unit="seconds",
                ),
                incidents(_LOST, label=Text("Lost packets", "Paquets perdus"), name="lost"),
                incidents(_FULL, label=Text("Table full", "Table pleine"), name="full"),
                incidents(_WARNED, label=Text("Warned", "Averties"), name="warned"),
            ),
            by=Terms(label=Text("Sensor", "Capteur"), field="observer.name", size=20),
            width=48,
            height=8,
        ),
        Panel(
            id="health-rules",
            kind="table",
            title=Text("Wrong, of what was decided", "Faux, parmi les constats jugés"),
            question=Text(
                "Which rules are wrong how often: false positives among the findings that people "
                "decided on. A share of few is worth little, so its count stands beside it; what "
                "nobody decided on is in neither, and what was ever called wrong stays wrong here.",
                "Quelles règles se trompent et combien de fois : faux positifs parmi les constats "
                "jugés. Une part d’un petit nombre vaut peu, son effectif est donc à côté ; ce "
                "que personne n’a jugé n’y est pas, et ce qui a été dit faux une fois le reste "
                "ici.",
            ),
            where=(DECISION, equals("event.action", "finding-decided")),
            measures=(
                Measure(
                    name="decided",
                    label=Text("Decided", "Jugés"),
                    of="distinct",
                    field="cyberterr.decision.finding_id",
                ),
                Measure(
                    name="wrong",
                    label=Text("Wrong", "Faux"),
                    of="distinct",
                    field="cyberterr.decision.finding_id",
                    where=(_WRONG,),
                ),
                Measure(
                    name="share",
                    label=Text("Share wrong", "Part fausse"),
                    of="share",
                    field="cyberterr.decision.finding_id",
                    where=(_WRONG,),
                    unit="percent",
                ),
            ),
            by=Terms(label=_RULE, field="rule.id", size=20),
            width=24,
            height=13,
        ),
        Panel(
            id="health-raised",
            kind="bars",
            title=Text("New or worse, by rule", "Nouveaux ou aggravés, par règle"),
            question=Text(
                "Which rules speak most: a change from one week to the next asks for a look.",
                "Quelles règles parlent le plus : un changement d’une semaine à l’autre mérite un "
                "regard.",
            ),
            where=(FINDING, ALERT),
            measures=(incidents(label=Text("Incidents", "Incidents")),),
            by=Terms(label=_RULE, field="rule.id", size=12),
            width=24,
            height=13,
        ),
        Panel(
            id="health-volume",
            kind="timeline",
            title=Text("Flows of a scan (median)", "Flux d’une analyse (médiane)"),
            question=Text(
                "Whether sensors see as much as before: a drop is a cable, a mirror port or a "
                "filter.",
                "Si les capteurs voient autant qu’avant : une chute est un câble, un port miroir, "
                "un filtre.",
            ),
            where=(HEALTH, _SCAN),
            measures=(
                Measure(
                    name="flows",
                    label=Text("Flows (median)", "Flux (médiane)"),
                    of="median",
                    field="cyberterr.run.flows",
                ),
            ),
            width=28,
            height=11,
        ),
        Panel(
            id="health-skipped",
            kind="bars",
            title=Text("Detectors that judged nothing", "Détecteurs sans jugement"),
            question=Text(
                "In how many scans a detector had not what it needs: what is not looked for.",
                "Dans combien d’analyses un détecteur n’avait pas ce qu’il lui faut : ce qui n’est "
                "pas cherché.",
            ),
            where=(HEALTH, _SCAN),
            measures=(incidents(label=_SCANS, name="scans"),),
            by=Terms(label=Text("Detector", "Détecteur"), field="cyberterr.run.skipped", size=12),
            width=20,
            height=11,
        ),
    ),
)
