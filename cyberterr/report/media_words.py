"""What a verdict says in words: the same sentences on the terminal, on a page and on paper."""

from __future__ import annotations

from collections.abc import Sequence

from cyberterr.contracts.finding import Finding, Text
from cyberterr.contracts.media import Evidence, Media, Rate
from cyberterr.report.spectrogram import clock
from cyberterr.report.text import Lang, number, plain, say, span, typeset

WORDS = {
    "title": Text("Verification of recordings", "Vérification d’enregistrements"),
    "how_sure": Text("How sure", "Degré de certitude"),
    "score": Text(
        "score {score} on a scale from 0 (genuine) to 1 (synthetic), 95 % interval {low} to {high}",
        "score {score} sur une échelle de 0 (authentique) à 1 (synthétique), intervalle à 95 % de "
        "{low} à {high}",
    ),
    "short_score": Text("Score (95 % interval)", "Score (intervalle à 95 %)"),
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
        'cyberterr findings decide {id} VERDICT --reason "…" records what you conclude',
        'cyberterr findings decide {id} VERDICT --reason "…" enregistre votre conclusion',
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
        "parts with the highest scores. A picture convinces more than it proves.",
        "Le temps de gauche à droite, la hauteur de bas en haut, l’intensité en clarté. Encadrés : "
        "les passages aux scores les plus élevés. Une image convainc plus qu’elle ne prouve.",
    ),
    "timeline_alt": Text(
        "Score of each part over time, from 0 (genuine) to 1 (synthetic)",
        "Score de chaque passage au fil du temps, de 0 (authentique) à 1 (synthétique)",
    ),
    "answer": Text("Answer", "Réponse"),
    "seconds_axis": Text("time (s, min:s or h:min:s)", "temps (s, min:s ou h:min:s)"),
    "khz_axis": Text("kHz", "kHz"),
    "listen": Text("Listen to these parts", "Écouter ces passages"),
    "listen_paper": Text(
        "The HTML report plays these parts.", "Le rapport HTML permet d’écouter ces passages."
    ),
    "heard": Text(
        "The first {n} files can be listened to; report the others by themselves.",
        "Les {n} premiers fichiers peuvent être écoutés ; faites un autre rapport du reste.",
    ),
    "looked_at": Text("What the model looked at", "Ce que le modèle a regardé"),
    "looked_at_note": Text(
        "In the part with the highest score. Upper stripe: where eight of ten genuine recordings "
        "lie; lower stripe: synthetic ones; line: this recording. Weight: how far the score falls "
        "when the band is taken away.",
        "Dans le passage au score le plus élevé. Bande du haut : huit enregistrements authentiques "
        "sur dix ; bande du bas : synthétiques ; trait : cet enregistrement. Poids : baisse du "
        "score quand la bande est retirée.",
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
ORDER = ("signs_of_synthesis", "cannot_say", "no_sign_found")
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
    """A measured error in per cent, with its numbers and 95 % interval."""
    share = measured.hits / max(measured.trials, 1)
    middle, low, high = (
        number(float(f"{100 * each:.2g}"), lang) for each in (share, measured.low, measured.high)
    )
    hits, trials = number(measured.hits, lang), number(measured.trials, lang)
    what = say(measured.what, lang)
    if lang == "fr":
        return typeset(
            f"{what} : {middle} % ({hits} sur {trials} ; intervalle à 95 % : {low} à {high} %)"
        )
    return f"{what}: {middle} % ({hits} of {trials}; 95 % interval {low} to {high} %)"


def rates(evidence: Sequence[Evidence], lang: Lang) -> list[tuple[str, list[str]]]:
    """The measured errors of every model that judged, each with the data they were measured on."""
    on = "measured on" if lang == "en" else "mesurées sur"
    told: dict[str, list[str]] = {}
    for each in evidence:
        for measured in each.rates:
            told.setdefault(f"{plain(each.model)}, {on} {plain(measured.data)}", []).append(
                rate(measured, lang)
            )
    return [(model, list(dict.fromkeys(lines))) for model, lines in told.items()]


def mind(media: Media, lang: Lang) -> str:
    """The first error on the card of the model that decides: to be read beside a picture."""
    deciding = [e for e in media.evidence if e.score == media.score and e.rates]
    return (
        f"{word('errors', lang)}{colon(lang)}{rate(deciding[0].rates[0], lang)}."
        if deciding
        else ""
    )


def score(media: Media, lang: Lang) -> str:
    """The score with its interval, short: `0.84 (0.74 – 0.91)`."""
    if media.score is None or media.interval is None:
        return "–"
    low, high = (share(end, lang) for end in media.interval)
    return f"{share(media.score, lang)} ({low} – {high})"


def rank(finding: Finding) -> tuple[object, ...]:
    """Sort key of a verdict: signs first, then what cannot be said, then no sign."""
    assert isinstance(finding.media, Media)  # noqa: S101 - only verdicts are shown
    return (ORDER.index(finding.media.answer), *finding.rank())


def provenance(media: Media, lang: Lang) -> list[str]:
    """What the file says of itself, the strongest first."""
    told = media.provenance
    lines = [say(SIGNATURE[told.signature], lang)]
    if told.signer:
        lines[0] += f"{colon(lang)}{plain(told.signer)}"
    lines += [f"{say(d.meaning, lang)} ({plain(d.field)}: {plain(d.value)})" for d in told.declared]
    lines += [f"{say(f.label, lang)}{colon(lang)}{plain(f.value)}" for f in told.facts]
    return lines


def at(seconds: float, lang: Lang) -> str:
    """A place in a recording: `4 s`, `1:04`, `3:20:00`."""
    return clock(seconds) if seconds >= 60 else span(seconds, lang)
