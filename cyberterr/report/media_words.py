"""What a verdict says in words: the same sentences on the terminal, on a page and on paper."""

from __future__ import annotations

from cyberterr.contracts.finding import Text
from cyberterr.contracts.media import Evidence, Media, Rate
from cyberterr.report.text import Lang, number, say, span, typeset

WORDS = {
    "title": Text("Verification of recordings", "Vérification d’enregistrements"),
    "how_sure": Text("How sure", "Degré de certitude"),
    "score": Text(
        "score {score} on a scale from 0 (genuine) to 1 (synthetic), 95 % interval {low} to {high}",
        "score {score} sur une échelle de 0 (authentique) à 1 (synthétique), intervalle à 95 % de "
        "{low} à {high}",
    ),
    "no_score": Text("nothing could be scored", "rien n’a pu être noté"),
    "errors": Text("Measured errors of the model", "Erreurs mesurées du modèle"),
    "limits": Text("Limits", "Limites"),
    "quality": Text("What was measured", "Ce qui a été mesuré"),
    "timeline": Text("Timeline", "Chronologie"),
    "provenance": Text("What the file says of itself", "Ce que le fichier dit de lui-même"),
    "innocent": Text("Innocent explanations to check", "Explications innocentes à vérifier"),
    "not_examined": Text("What was not examined", "Ce qui n’a pas été examiné"),
    "next": Text("What to do next", "Que faire ensuite"),
    "file": Text("File", "Fichier"),
    "length": Text("Length", "Durée"),
    "type": Text("Type", "Type"),
    "size": Text("Size", "Taille"),
    "model": Text("Model", "Modèle"),
    "calibration": Text("Calibration", "Calibration"),
    "id": Text("Identifier", "Identifiant"),
    "decide": Text(
        "cyberterr findings decide {id} records what you conclude",
        "cyberterr findings decide {id} enregistre votre conclusion",
    ),
    "language": Text("English", "Français"),
    "person": Text(
        "This page explains; a person decides. No verdict is proof by itself, and no sign found "
        "proves nothing.",
        "Cette page explique ; une personne décide. Aucun verdict n’est une preuve à lui seul, et "
        "l’absence d’indice ne prouve rien.",
    ),
    "spectrogram": Text("Spectrogram", "Spectrogramme"),
    "spectrogram_note": Text(
        "Time from left to right, pitch from bottom to top, loudness as brightness. Framed: the "
        "parts with the highest scores. A picture convinces more than it proves: mind the measured "
        "errors above.",
        "Le temps de gauche à droite, la hauteur de bas en haut, l’intensité en clarté. Encadrés : "
        "les passages aux scores les plus élevés. Une image convainc plus qu’elle ne prouve : "
        "tenez compte des erreurs mesurées ci-dessus.",
    ),
    "seconds_axis": Text("time (seconds, or min:s)", "temps (secondes, ou min:s)"),
    "khz_axis": Text("kHz", "kHz"),
    "listen": Text("Listen to these parts", "Écouter ces passages"),
    "listen_paper": Text(
        "The HTML report plays these parts.", "Le rapport HTML permet d’écouter ces passages."
    ),
    "looked_at": Text("What the model looked at", "Ce que le modèle a regardé"),
    "looked_at_note": Text(
        "In the part with the highest score. Upper stripe: where eight of ten genuine recordings "
        "lie; lower stripe: synthetic ones; bar: this recording. Weight: how far the score falls "
        "when the band is taken away. Mind the measured errors above.",
        "Dans le passage au score le plus élevé. Bande du haut : huit enregistrements authentiques "
        "sur dix ; bande du bas : synthétiques ; trait : cet enregistrement. Poids : baisse du "
        "score quand la bande est retirée. Tenez compte des erreurs mesurées ci-dessus.",
    ),
    "level": Text("Level", "Niveau"),
    "beside": Text("Beside genuine and synthetic", "Face à l’authentique et au synthétique"),
    "weight": Text("Weight", "Poids"),
    "submitted": Text("First submitted", "Première soumission"),
    "conclusion": Text("Conclusion of a named person", "Conclusion d’une personne désignée"),
    "conclusion_note": Text(
        "The tool proposes. Only what is written here is a conclusion.",
        "L’outil propose. Seul ce qui est écrit ici est une conclusion.",
    ),
    "name_function": Text("Name and function", "Nom et fonction"),
    "date": Text("Date", "Date"),
    "concluded": Text("Conclusion", "Conclusion"),
    "signature": Text("Signature", "Signature"),
    "none": Text("No file could be examined.", "Aucun fichier n’a pu être examiné."),
    "files": Text("files examined", "fichiers examinés"),
}
SIGNATURE = {
    "none": Text(
        "No signed credentials (this says nothing)",
        "Aucune signature d’origine (cela ne dit rien)",
    ),
    "trusted": Text("Signed by a trusted signer", "Signé par un signataire de confiance"),
    "unknown_signer": Text("Signed by an unknown signer", "Signé par un signataire inconnu"),
    "altered": Text("Proven alteration: changed after it was signed",
                    "Altération démontrée : modifié après signature"),
    "unreadable": Text("Credentials that cannot be read", "Signature illisible"),
}  # fmt: skip


def word(key: str, lang: Lang) -> str:
    """The fixed word *key* in *lang*."""
    return say(WORDS[key], lang)


def colon(lang: Lang) -> str:
    """A colon as each language sets it."""
    return "\u00a0: " if lang == "fr" else ": "


def how_sure(media: Media, lang: Lang) -> str:
    """The score with its interval, in a sentence."""
    if media.score is None or media.interval is None:
        return word("no_score", lang)
    low, high = media.interval
    text = WORDS["score"].fr if lang == "fr" else WORDS["score"].en
    told = text.format(score=share(media.score, lang), low=share(low, lang), high=share(high, lang))
    return typeset(told) if lang == "fr" else told


def share(value: float, lang: Lang) -> str:
    """*value* of 0..1 with two digits; never exactly 0 or 1, which nothing measured can be."""
    return number(float(f"{min(max(value, 0.01), 0.99):.2f}"), lang)


def rate(measured: Rate, lang: Lang) -> str:
    """A measured error as people read it, with its data, size and interval."""
    low, high = (number(round(100 * end), lang) for end in (measured.low, measured.high))
    what = say(measured.what, lang)
    if lang == "fr":
        return typeset(
            f"{what} : {measured.hits} sur {measured.trials} (IC à 95 % : {low} à {high} %, "
            f"{measured.data})"
        )
    return (
        f"{what}: {measured.hits} of {measured.trials} (95 %: {low} to {high} %, {measured.data})"
    )


def rates(evidence: tuple[Evidence, ...], lang: Lang) -> list[str]:
    """The measured errors of every model that judged."""
    return [
        f"{each.model}{colon(lang)}{rate(measured, lang)}"
        for each in evidence
        for measured in each.rates
    ]


def provenance(media: Media, lang: Lang) -> list[str]:
    """What the file says of itself, the strongest first."""
    told = media.provenance
    lines = [say(SIGNATURE[told.signature], lang)]
    if told.signer:
        lines[0] += f": {say(Text(told.signer, told.signer), lang)}"
    lines += [
        f"{say(d.meaning, lang)} ({d.field}: {say(Text(d.value, d.value), lang)})"
        for d in told.declared
    ]
    lines += [
        f"{say(f.label, lang)}{colon(lang)}{say(Text(f.value, f.value), lang)}" for f in told.facts
    ]
    return lines


def at(seconds: float, lang: Lang) -> str:
    """A place in a recording: `1 min 4 s`."""
    return span(seconds, lang)
