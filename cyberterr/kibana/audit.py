"""The dashboard of decisions: what people made of findings, what they hid, what they let change.

Nobody is ranked: who decided stands in the lists, beside the reason, and is counted nowhere.
"""

from __future__ import annotations

from cyberterr.contracts.finding import Text
from cyberterr.kibana.condition import equals, exists
from cyberterr.kibana.counted import DECISION, TOWN, VERDICTS, incidents
from cyberterr.kibana.panel import Dashboard, Groups, Measure, Panel, Search, Terms

_DECIDED = equals("event.action", "finding-decided")
_MADE = equals("event.action", "suppression-made")
_LIFTED = equals("event.action", "suppression-lifted")
_SUPPRESSED = exists("cyberterr.suppression.id")
_PLAYBOOK = exists("cyberterr.playbook.id")


_STATES = Groups(
    label=Text("Step", "Étape"),
    groups=(
        (Text("Proposed", "Proposée"), equals("cyberterr.playbook.state", "proposed")),
        (Text("Approved", "Approuvée"), equals("cyberterr.playbook.state", "approved")),
        (Text("Refused", "Refusée"), equals("cyberterr.playbook.state", "refused")),
        (Text("Done", "Faite"), equals("cyberterr.playbook.state", "done")),
        (Text("Rolled back", "Annulée"), equals("cyberterr.playbook.state", "rolled_back")),
    ),
)

DECISIONS = Search(
    id="cyberterr-search-decisions",
    title=Text("Decisions, newest first", "Décisions, les plus récentes d’abord"),
    question=Text(
        "Who decided what, and why; of several on one finding, the latest counts.",
        "Qui a décidé quoi, et pourquoi ; de plusieurs sur un même constat, la dernière compte.",
    ),
    where=(DECISION, _DECIDED),
    columns=(
        "cyberterr.decision.verdict",
        "cyberterr.decision.reason",
        "user.name",
        "cyberterr.decision.finding_id",
        "event.url",
    ),
    height=13,
)
SUPPRESSIONS = Search(
    id="cyberterr-search-suppressions",
    title=Text("Suppressions, newest first", "Masquages, les plus récents d’abord"),
    question=Text(
        "What is hidden from listings, by whom, why, and until when.",
        "Ce qui est masqué dans les listes, par qui, pourquoi et jusqu’à quand.",
    ),
    where=(DECISION, _SUPPRESSED),
    columns=(
        "event.action",
        "cyberterr.suppression.rule",
        "cyberterr.suppression.actor",
        "cyberterr.suppression.victim",
        "cyberterr.suppression.expires",
        "user.name",
        "event.reason",
    ),
    height=10,
)
STEPS = Search(
    id="cyberterr-search-playbooks",
    title=Text("Steps of playbooks, newest first", "Étapes des procédures"),
    question=Text(
        "What was proposed, who approved it, and what was done; the number is its place in the "
        "audit ledger, where a gap shows.",
        "Ce qui a été proposé, qui l’a approuvé et ce qui a été fait ; le numéro est la place dans "
        "le journal d’audit, où un manque se voit.",
    ),
    where=(_PLAYBOOK,),
    columns=(
        "event.sequence",
        "cyberterr.playbook.name",
        "cyberterr.playbook.step",
        "cyberterr.playbook.state",
        "cyberterr.playbook.mode",
        "event.outcome",
        "user.name",
        "cyberterr.playbook.finding_id",
    ),
    width=32,
    height=13,
)

AUDIT = Dashboard(
    id="cyberterr-audit",
    title=Text("Playbooks and audit", "Procédures et audit"),
    question=Text(
        "What people decided, hid and let change, with their reasons. The panels of playbooks stay "
        "empty until playbooks are built: no part of cyberterr writes those fields yet.",
        "Ce que les personnes ont décidé, masqué et laissé changer, avec leurs raisons. Les "
        "panneaux des procédures restent vides tant qu’elles ne sont pas construites : rien dans "
        "cyberterr n’écrit encore ces champs.",
    ),
    controls=(TOWN,),
    days=30,
    panels=(
        Panel(
            id="audit-verdicts",
            kind="bars",
            title=Text("Findings, by verdict", "Constats, par décision"),
            question=Text(
                "How findings were judged. One that was judged twice, differently, counts in both.",
                "Comment les constats ont été jugés. Un constat jugé deux fois, différemment, "
                "compte dans les deux.",
            ),
            where=(DECISION, _DECIDED),
            measures=(
                Measure(
                    name="findings",
                    label=Text("Findings", "Constats"),
                    of="distinct",
                    field="cyberterr.decision.finding_id",
                ),
            ),
            by=VERDICTS,
            width=18,
            height=8,
        ),
        Panel(
            id="audit-suppressions",
            kind="number",
            title=Text("Suppressions", "Masquages"),
            question=Text(
                "How many suppressions were made in this time, and how many lifted.",
                "Combien de masquages ont été faits dans cette période, et combien levés.",
            ),
            where=(DECISION, _SUPPRESSED),
            measures=(
                Measure(
                    name="made",
                    label=Text("Made", "Faits"),
                    of="distinct",
                    field="cyberterr.suppression.id",
                    where=(_MADE,),
                ),
                Measure(
                    name="lifted",
                    label=Text("lifted", "levés"),
                    of="distinct",
                    field="cyberterr.suppression.id",
                    where=(_LIFTED,),
                ),
            ),
            width=8,
            height=8,
        ),
        Panel(
            id="audit-hidden",
            kind="table",
            title=Text("What is hidden, by rule", "Ce qui est masqué, par règle"),
            question=Text(
                "Which rules people silence most, and until when: a rule to mend.",
                "Quelles règles sont le plus masquées, et jusqu’à quand : une règle à corriger.",
            ),
            where=(DECISION, _MADE),
            measures=(
                Measure(
                    name="made",
                    label=Text("Suppressions", "Masquages"),
                    of="distinct",
                    field="cyberterr.suppression.id",
                ),
                Measure(
                    name="until",
                    label=Text("The last ends", "Le dernier finit"),
                    of="highest",
                    field="cyberterr.suppression.expires",
                    unit="date",
                ),
            ),
            by=Terms(label=Text("Rule", "Règle"), field="cyberterr.suppression.rule"),
            width=22,
            height=8,
        ),
        DECISIONS,
        SUPPRESSIONS,
        Panel(
            id="audit-playbooks",
            kind="bars",
            title=Text("Steps of playbooks", "Étapes des procédures"),
            question=Text(
                "How many steps were proposed, approved, refused, done and rolled back.",
                "Combien d’étapes ont été proposées, approuvées, refusées, faites et annulées.",
            ),
            where=(_PLAYBOOK,),
            measures=(incidents(label=Text("Steps", "Étapes"), name="steps"),),
            by=_STATES,
            width=16,
            height=13,
        ),
        STEPS,
    ),
)
