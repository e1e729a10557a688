"""The dashboard of communications staff: what was said of submitted sound, pictures and film."""

from __future__ import annotations

from cyberterr.contracts.finding import Text
from cyberterr.kibana.condition import equals, exists
from cyberterr.kibana.counted import TOWN, incidents
from cyberterr.kibana.panel import Dashboard, Groups, Measure, Panel, Search, Terms

_EXAMINED = exists("cyberterr.verdict")
_SIGNS = equals("cyberterr.verdict", "signs_of_synthesis")
_CANNOT_SAY = equals("cyberterr.verdict", "cannot_say")
_FILES = Text("Files", "Fichiers")
_VERDICTS = Groups(
    label=Text("Verdict", "Verdict"),
    groups=(
        (Text("Signs of synthesis", "Signes de synthèse"), _SIGNS),
        (Text("Cannot say", "Ne peut pas dire"), _CANNOT_SAY),
        (
            Text("No sign found", "Aucun signe trouvé"),
            equals("cyberterr.verdict", "no_sign_found"),
        ),
    ),
)


FILES = Search(
    id="cyberterr-search-media",
    title=Text("Files examined, newest first", "Fichiers examinés, les plus récents d’abord"),
    question=Text(
        "What was said of each file, how sure it is, and why. Signs are no proof: a person "
        "decides.",
        "Ce qui a été dit de chaque fichier, avec quelle certitude, et pourquoi. Des signes ne "
        "sont pas une preuve : une personne décide.",
    ),
    where=(_EXAMINED,),
    columns=(
        "file.name",
        "cyberterr.media.kind",
        "cyberterr.verdict",
        "cyberterr.score",
        "cyberterr.interval",
        ("event.reason", "cyberterr.finding.reason_fr"),
        "event.url",
    ),
    height=13,
)

MEDIA = Dashboard(
    id="cyberterr-media",
    title=Text("Media desk", "Vérification des médias"),
    question=Text(
        "For communications staff: what cyberterr said of submitted recordings. Pictures and film "
        "are not examined yet.",
        "Pour le service communication : ce que cyberterr a dit des enregistrements soumis. Les "
        "images et les vidéos ne sont pas encore examinées.",
    ),
    controls=(TOWN,),
    days=30,
    panels=(
        Panel(
            id="media-examined",
            kind="number",
            title=Text("Files examined", "Fichiers examinés"),
            question=Text(
                "How many files were examined, whatever was said of them.",
                "Combien de fichiers ont été examinés, quel que soit le verdict.",
            ),
            where=(_EXAMINED,),
            measures=(incidents(label=_FILES, name="files"),),
            width=16,
            height=6,
        ),
        Panel(
            id="media-signs",
            kind="number",
            title=Text("Signs of synthesis", "Signes de synthèse"),
            question=Text(
                "In how many files signs were found. Signs are no proof.",
                "Dans combien de fichiers des signes ont été trouvés. Ce ne sont pas des preuves.",
            ),
            where=(_EXAMINED,),
            measures=(
                incidents(_SIGNS, label=_FILES, name="files"),
                Measure(
                    name="share",
                    label=Text("of all examined", "de tous les examinés"),
                    of="share",
                    field="event.id",
                    where=(_SIGNS,),
                    unit="percent",
                ),
            ),
            width=16,
            height=6,
        ),
        Panel(
            id="media-unsaid",
            kind="number",
            title=Text("Cannot say", "Ne peut pas dire"),
            question=Text(
                "For how many files no answer can be given: ask a specialist, or for the original.",
                "Pour combien de fichiers aucune réponse n’est possible : demander un expert ou "
                "l’original.",
            ),
            where=(_EXAMINED,),
            measures=(
                incidents(_CANNOT_SAY, label=_FILES, name="files"),
                Measure(
                    name="share",
                    label=Text("of all examined", "de tous les examinés"),
                    of="share",
                    field="event.id",
                    where=(_CANNOT_SAY,),
                    unit="percent",
                ),
            ),
            width=16,
            height=6,
        ),
        Panel(
            id="media-verdicts",
            kind="timeline",
            title=Text("Verdicts over time", "Verdicts dans le temps"),
            question=Text(
                "Whether more files with signs come in than usual: a campaign shows here.",
                "S’il arrive plus de fichiers suspects que d’habitude : une campagne se voit ici.",
            ),
            where=(_EXAMINED,),
            measures=(incidents(label=_FILES, name="files"),),
            by=_VERDICTS,
            width=32,
            height=11,
        ),
        Panel(
            id="media-kinds",
            kind="bars",
            title=Text("Signs, by kind of file", "Signes, par type de fichier"),
            question=Text(
                "Whether sound, pictures or film are concerned.",
                "Si ce sont des sons, des images ou des vidéos.",
            ),
            where=(_EXAMINED, _SIGNS),
            measures=(incidents(label=_FILES, name="files"),),
            by=Terms(label=Text("Kind", "Type"), field="cyberterr.media.kind", size=3),
            width=16,
            height=11,
        ),
        Panel(
            id="media-models",
            kind="table",
            title=Text("By model", "Par modèle"),
            question=Text(
                "How many files each model judged, in how many signs were found, and how often no "
                "answer could be given.",
                "Combien de fichiers chaque modèle a jugés, combien portent des signes, et combien "
                "sont restés sans réponse.",
            ),
            where=(_EXAMINED,),
            measures=(
                incidents(label=_FILES, name="files"),
                incidents(_SIGNS, label=Text("Signs", "Signes"), name="signs"),
                incidents(_CANNOT_SAY, label=Text("Cannot say", "Sans réponse"), name="unsaid"),
                Measure(
                    name="score",
                    label=Text("Median score (0 to 1)", "Score médian (0 à 1)"),
                    of="median",
                    field="cyberterr.score",
                ),
            ),
            by=Terms(label=Text("Model", "Modèle"), field="cyberterr.models"),
            width=48,
            height=7,
        ),
        FILES,
    ),
)
