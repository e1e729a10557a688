"""The dashboard of those who look at findings first."""

from __future__ import annotations

from cyberterr.contracts.finding import Text
from cyberterr.kibana.counted import (
    ALERT,
    DECISION,
    FINDING,
    SEVERITIES,
    TOWN,
    URGENT,
    incidents,
    last,
)
from cyberterr.kibana.panel import Dashboard, Measure, Panel, Search, Terms

_INCIDENTS = Text("Incidents", "Incidents")
_WORST = Measure(
    name="worst",
    label=Text("Worst severity", "Gravité maximale"),
    of="highest",
    field="event.severity",
)

ALERTS = Search(
    id="cyberterr-search-alerts",
    title=Text("Alerts, worst first", "Alertes, les plus graves d’abord"),
    question=Text(
        "What to look at now; the link leads to the finding. An incident that got worse has an "
        "alert for each level.",
        "Ce qu’il faut regarder maintenant ; le lien mène au constat. Un incident qui s’est "
        "aggravé a une alerte par niveau.",
    ),
    where=(FINDING, ALERT),
    columns=(
        "event.severity",
        ("message", "cyberterr.finding.title_fr"),
        ("event.reason", "cyberterr.finding.reason_fr"),
        "source.ip",
        "destination.ip",
        "rule.id",
        "observer.name",
        "event.url",
    ),
    sort=(("event.severity", "desc"), ("event.risk_score", "desc"), ("@timestamp", "desc")),
)


def _machines(id: str, field: str, title: Text, question: Text) -> Panel:
    return Panel(
        id=id,
        kind="table",
        title=title,
        question=question,
        where=(FINDING,),
        measures=(incidents(label=_INCIDENTS), _WORST, last()),
        by=Terms(label=Text("Machine", "Machine"), field=field),
        width=24,
        height=12,
    )


TRIAGE = Dashboard(
    id="cyberterr-triage",
    title=Text("SOC triage", "Tri des alertes (SOC)"),
    question=Text(
        "What is new, how grave it is, which machines it comes from and whom it is done to.",
        "Ce qui est nouveau, à quel point c’est grave, quelles machines agissent et qui est visé.",
    ),
    controls=(TOWN,),
    panels=(
        Panel(
            id="triage-raised",
            kind="number",
            title=Text("Incidents", "Incidents"),
            question=Text(
                "How many incidents are new or got worse, beside all that showed a sign.",
                "Combien d’incidents sont nouveaux ou aggravés, à côté de tous ceux qui ont "
                "donné signe.",
            ),
            where=(FINDING,),
            measures=(
                incidents(ALERT, label=Text("New or worse", "Nouveaux ou aggravés")),
                incidents(name="active", label=Text("active in all", "actifs en tout")),
            ),
            width=16,
            height=6,
        ),
        Panel(
            id="triage-urgent",
            kind="number",
            title=Text("High or critical", "Gravité élevée ou critique"),
            question=Text(
                "How many of the new or worse incidents should not wait.",
                "Combien des incidents nouveaux ou aggravés ne doivent pas attendre.",
            ),
            where=(FINDING, ALERT),
            measures=(
                incidents(URGENT, label=_INCIDENTS),
                Measure(
                    name="share",
                    label=Text("of the new or worse", "des nouveaux ou aggravés"),
                    of="share",
                    field="event.id",
                    where=(URGENT,),
                    unit="percent",
                ),
            ),
            width=16,
            height=6,
        ),
        Panel(
            id="triage-decided",
            kind="number",
            title=Text("Findings decided", "Constats jugés"),
            question=Text(
                "On how many findings people decided in this time, whenever they were raised.",
                "Sur combien de constats une personne a tranché dans cette période, quelle que "
                "soit la date du constat.",
            ),
            where=(DECISION,),
            measures=(
                Measure(
                    name="decided",
                    label=Text("Findings", "Constats"),
                    of="distinct",
                    field="cyberterr.decision.finding_id",
                ),
            ),
            width=16,
            height=6,
        ),
        Panel(
            id="triage-severity",
            kind="timeline",
            title=Text("New or worse, by severity", "Nouveaux ou aggravés, par gravité"),
            question=Text(
                "When incidents were raised and how grave they are. One that got worse counts at "
                "each level that it reached.",
                "Quand les incidents sont apparus et leur gravité. Un incident aggravé compte à "
                "chaque niveau atteint.",
            ),
            where=(FINDING, ALERT),
            measures=(incidents(label=_INCIDENTS),),
            by=SEVERITIES,
            width=30,
            height=12,
        ),
        Panel(
            id="triage-family",
            kind="bars",
            title=Text("New or worse, by kind of attack", "Nouveaux ou aggravés, par famille"),
            question=Text(
                "Which kinds of attack lie behind the ten most frequent families.",
                "Quels types d’attaque reviennent le plus : les dix familles les plus fréquentes.",
            ),
            where=(FINDING, ALERT),
            measures=(incidents(label=_INCIDENTS),),
            by=Terms(label=Text("Kind of attack", "Famille"), field="rule.category"),
            width=18,
            height=12,
        ),
        _machines(
            "triage-actors",
            "source.ip",
            Text("Machines that act", "Machines qui agissent"),
            Text(
                "Which ten machines take part in most incidents, and when each was last seen.",
                "Les dix machines impliquées dans le plus d’incidents, et leur dernier signe.",
            ),
        ),
        _machines(
            "triage-victims",
            "destination.ip",
            Text("Machines it is done to", "Machines visées"),
            Text(
                "Which ten machines are the target of most incidents.",
                "Les dix machines visées par le plus d’incidents.",
            ),
        ),
        ALERTS,
    ),
)
