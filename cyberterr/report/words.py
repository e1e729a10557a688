"""The fixed words of every report, in English and French."""

from __future__ import annotations

from collections.abc import Sequence

from cyberterr.contracts.finding import Finding, Severity, Text
from cyberterr.contracts.run import Run
from cyberterr.report.text import Lang, number, say

SEVERITY = {
    Severity.CRITICAL: Text("critical", "critique"),
    Severity.HIGH: Text("high", "élevée"),
    Severity.MEDIUM: Text("medium", "moyenne"),
    Severity.LOW: Text("context", "contexte"),
}
STATE = {
    "excluded": Text("ruled out", "écartée"),
    "holds": Text("applies here", "s’applique ici"),
    "not_checked": Text("not checked", "non vérifiée"),
}
WORDS = {
    "title": Text("Network findings", "Constats sur le réseau"),
    "at": Text("at", "–"),
    "language": Text("English", "Français"),
    "lost": Text("packets lost", "paquets perdus"),
    "evicted": Text("flows closed early", "flux clos avant leur fin"),
    "limits": Text("What this scan did not examine", "Ce que cette analyse n’a pas examiné"),
    "more_limits": Text("more limits", "autres limites"),
    "alarms": Text("What needs a person", "Ce qui demande une décision humaine"),
    "context": Text("Context", "Contexte"),
    "context_note": Text(
        "Worth knowing, not alarming in itself. Open a line to read more.",
        "Utile à savoir, sans être alarmant en soi. Ouvrez une ligne pour en lire plus.",
    ),
    "more": Text("more: cyberterr findings list", "autres : cyberterr findings list"),
    "contents": Text("Contents", "Sommaire"),
    "severity": Text("Severity", "Gravité"),
    "what": Text("What", "Quoi"),
    "first_seen": Text("First seen", "Vu d’abord"),
    "last_seen": Text("Last seen", "Vu en dernier"),
    "picture": Text("What happened", "Ce qui s’est passé"),
    "measures": Text("The numbers behind it", "Les chiffres"),
    "measure": Text("Measure", "Mesure"),
    "here": Text("Measured", "Mesuré"),
    "normal": Text("Normal, at most", "Normal, au plus"),
    "unknown": Text("not known", "inconnu"),
    "bar": Text("Compared", "Comparaison"),
    "innocent": Text("Innocent explanations", "Explications innocentes"),
    "not_examined": Text("What was not examined", "Ce qui n’a pas été examiné"),
    "next": Text("Where to look next", "Où regarder ensuite"),
    "details": Text("Technical details", "Détails techniques"),
    "id": Text("Identifier", "Identifiant"),
    "rule": Text("Rule", "Règle"),
    "attack": Text("MITRE ATT&CK techniques", "Techniques MITRE ATT&CK"),
    "score": Text("Score, 0 to 1", "Score, de 0 à 1"),
    "windows": Text("Time windows", "Fenêtres de temps"),
    "revision": Text("Revision", "Révision"),
    "sensor": Text("Sensor", "Capteur"),
    "addresses": Text("Addresses", "Adresses"),
    "facts": Text("What was read", "Ce qui a été lu"),
    "sources": Text("Sources", "Sources"),
    "period": Text("Period of the traffic", "Période du trafic"),
    "started": Text("Scan started", "Début de l’analyse"),
    "took": Text("Took", "Durée"),
    "packets": Text("packets", "paquets"),
    "flows": Text("flows", "flux"),
    "volume": Text("Volume", "Volume"),
    "rate": Text("Rate", "Débit"),
    "suppressed": Text("Held back by a person’s decision", "Retenus par décision humaine"),
    "examined": Text("Detectors that judged", "Détecteurs appliqués"),
    "warnings": Text("Warnings", "Avertissements"),
    "warning": Text("warning", "avertissement"),
    "skipped": Text("not applied", "non appliqué"),
    "zone": Text("Times are in the zone", "Les heures sont celles du fuseau"),
    "person": Text(
        "This report explains; a person decides. No finding is proof by itself, and an empty "
        "report does not prove that nothing happened.",
        "Ce rapport explique ; une personne décide. Aucun constat n’est une preuve à lui seul, et "
        "un rapport vide ne prouve pas qu’il ne s’est rien passé.",
    ),
    "handle": Text(
        "It holds network addresses, which may be personal data: pass it on with care.",
        "Il contient des adresses réseau, qui peuvent être des données personnelles : "
        "transmettez-le avec précaution.",
    ),
    "time": Text("time", "heure"),
    "events": Text("events", "moments"),
    "interval": Text("interval, s", "intervalle, s"),
    "median": Text("median", "médiane"),
    "at_most": Text("normal, at most", "normal, au plus"),
    "timeline_alt": Text(
        "Timeline of {n} events; below each, the time since the one before it.",
        "Chronologie de {n} événements ; sous chacun, le temps écoulé depuis le précédent.",
    ),
    "timeline_y_alt": Text(
        "Timeline of {n} events; below each, its value.",
        "Chronologie de {n} événements ; sous chacun, sa valeur.",
    ),
    "fan_out_alt": Text(
        "{n} targets, one dot each.",
        "{n} cibles, un point pour chacune.",
    ),
    "rate_alt": Text(
        "Rate over time in {n} steps; highest {top}.",
        "Débit au cours du temps en {n} pas ; maximum {top}.",
    ),
    "bars_alt": Text("{n} bars; longest {top}.", "{n} barres ; la plus longue {top}."),
}
STANDING_LIMITS = (
    Text(
        "Traffic that never passed the place of capture.",
        "Le trafic qui n’est jamais passé par le point de capture.",
    ),
    Text(
        "The content of encrypted connections: only who, when and how much.",
        "Le contenu des connexions chiffrées : seulement qui, quand et combien.",
    ),
)


def word(key: str, lang: Lang) -> str:
    """The fixed word *key* in *lang*."""
    return say(WORDS[key], lang)


def verdict(findings: Sequence[Finding], run: Run, lang: Lang) -> str:
    """One line in plain words: how many findings need a person, how many are context."""
    french = lang == "fr"
    if not run.flows and not findings:
        return "Rien n’a pu être examiné." if french else "Nothing could be examined."
    alarms = sum(f.severity >= Severity.MEDIUM for f in findings)
    context = len(findings) - alarms
    n, c = number(alarms, lang), number(context, lang)
    if french:
        things = "choses demandent" if alarms > 1 else "chose demande"
        first = (
            f"{n} {things} une décision humaine aujourd’hui"
            if alarms
            else "Rien de ce qui a été examiné ne demande de décision humaine aujourd’hui"
        )
        rest = f", {c} {'autres servent' if context > 1 else 'autre sert'} de contexte"
    else:
        things = "things need" if alarms > 1 else "thing needs"
        first = (
            f"{n} {things} a person today"
            if alarms
            else "Nothing that was examined needs a person today"
        )
        rest = f", {c} {'are' if context > 1 else 'is'} context"
    return first + (rest if context else "") + "."


def limits(run: Run, lang: Lang) -> list[str]:
    """What this scan did not examine: losses first, then skipped detectors, then blind spots."""
    french = lang == "fr"
    lines = []
    if run.dropped:
        n = number(run.dropped, lang)
        lines.append(
            f"{n} paquets perdus avant d’être vus." if french else f"{n} packets lost unseen."
        )
    if run.evicted:
        n = number(run.evicted, lang)
        lines.append(
            f"{n} flux clos avant leur fin, la table étant pleine : leurs durées sont incomplètes."
            if french
            else f"{n} flows closed early, the table being full: their durations are incomplete."
        )
    for skipped in run.skipped:
        reason = say(skipped.reason, lang)
        colon = " : " if french else ": "
        lines.append(f"{skipped.detector}, {word('skipped', lang)}{colon}{reason}")
    lines += [say(text, lang) for text in (*STANDING_LIMITS, *run.not_examined)]
    return list(dict.fromkeys(lines))
