"""The dashboard of decoys: who touched what nobody has a reason to touch."""

from __future__ import annotations

from cyberterr.contracts.finding import Text
from cyberterr.kibana.condition import equals, exists
from cyberterr.kibana.counted import TOWN, incidents, last
from cyberterr.kibana.panel import Dashboard, Measure, Panel, Search, Terms

_DECOY = exists("cyberterr.decoy.id")
_REAL = equals("cyberterr.decoy.self_test", False)
_OWN = equals("cyberterr.decoy.self_test", True)
_TOUCHES = Text("Touches", "Contacts")
_MACHINES = Measure(
    name="machines",
    label=Text("Machines", "Machines"),
    of="distinct",
    field="source.ip",
)

TOUCHES = Search(
    id="cyberterr-search-decoys",
    title=Text("Touches, newest first", "Contacts, les plus récents d’abord"),
    question=Text(
        "Each touch: from which machine, with which account, and what was done.",
        "Chaque contact : depuis quelle machine, avec quel compte, et ce qui a été fait.",
    ),
    where=(_DECOY, _REAL),
    columns=(
        "event.severity",
        ("message", "cyberterr.finding.title_fr"),
        "source.ip",
        "related.user",
        "cyberterr.decoy.kind",
        "cyberterr.decoy.planted_in",
        "cyberterr.decoy.interaction",
        "event.url",
    ),
    height=11,
)

DECOYS = Dashboard(
    id="cyberterr-decoys",
    title=Text("Decoys", "Leurres"),
    question=Text(
        "Who touched a decoy or used a honeytoken: nobody has a reason to. Empty until decoys are "
        "built: no part of cyberterr writes these fields yet.",
        "Qui a touché un leurre ou utilisé un faux identifiant : personne n’a de raison de le "
        "faire. Vide tant que les leurres ne sont pas construits : rien dans cyberterr n’écrit "
        "encore ces champs.",
    ),
    controls=(TOWN,),
    days=30,
    panels=(
        Panel(
            id="decoys-touches",
            kind="number",
            title=_TOUCHES,
            question=Text(
                "How often a decoy was touched, our own tests left out.",
                "Combien de fois un leurre a été touché, hors de nos propres essais.",
            ),
            where=(_DECOY, _REAL),
            measures=(
                incidents(label=_TOUCHES, name="touches"),
                Measure(
                    name="machines",
                    label=Text("machines", "machines"),
                    of="distinct",
                    field="source.ip",
                ),
            ),
            width=24,
            height=6,
        ),
        Panel(
            id="decoys-tests",
            kind="number",
            title=Text("Our own tests", "Nos propres essais"),
            question=Text(
                "Whether the decoys still ring: how often we tested them, and when last.",
                "Si les leurres sonnent encore : nombre d’essais, et le dernier.",
            ),
            where=(_DECOY, _OWN),
            measures=(
                incidents(label=Text("Tests", "Essais"), name="tests"),
                last(label=Text("the last", "le dernier")),
            ),
            width=24,
            height=6,
        ),
        Panel(
            id="decoys-time",
            kind="timeline",
            title=Text("Touches over time", "Contacts dans le temps"),
            question=Text(
                "Whether somebody tried once or is still at it.",
                "Si quelqu’un a essayé une fois ou continue.",
            ),
            where=(_DECOY, _REAL),
            measures=(incidents(label=_TOUCHES, name="touches"),),
            width=28,
            height=11,
        ),
        Panel(
            id="decoys-kinds",
            kind="bars",
            title=Text("Touches, by kind of decoy", "Contacts, par type de leurre"),
            question=Text(
                "What the visitor is after: files, accounts, services.",
                "Ce que cherche le visiteur : fichiers, comptes, services.",
            ),
            where=(_DECOY, _REAL),
            measures=(incidents(label=_TOUCHES, name="touches"),),
            by=Terms(label=Text("Kind of decoy", "Type"), field="cyberterr.decoy.kind"),
            width=20,
            height=11,
        ),
        Panel(
            id="decoys-machines",
            kind="table",
            title=Text("Machines that touched", "Machines venues"),
            question=Text(
                "Which machines to look at first: many decoys from one machine is a search.",
                "Quelles machines regarder d’abord : beaucoup de leurres depuis une même machine, "
                "c’est une fouille.",
            ),
            where=(_DECOY, _REAL),
            measures=(
                incidents(label=_TOUCHES, name="touches"),
                Measure(
                    name="decoys",
                    label=Text("Decoys", "Leurres"),
                    of="distinct",
                    field="cyberterr.decoy.id",
                ),
                last(),
            ),
            by=Terms(label=Text("Machine", "Machine"), field="source.ip"),
            width=24,
            height=11,
        ),
        Panel(
            id="decoys-decoys",
            kind="table",
            title=Text("Decoys that were touched", "Leurres touchés"),
            question=Text(
                "Which decoys work, and which a program of ours touches by mistake.",
                "Quels leurres servent, et lequel un de nos programmes touche par erreur.",
            ),
            where=(_DECOY, _REAL),
            measures=(incidents(label=_TOUCHES, name="touches"), _MACHINES, last()),
            by=Terms(label=Text("Decoy", "Leurre"), field="cyberterr.decoy.id"),
            width=24,
            height=11,
        ),
        TOUCHES,
    ),
)
