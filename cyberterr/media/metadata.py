"""What a recording's own headers say of where it comes from: facts, never a score."""

from __future__ import annotations

import msgspec

from cyberterr.contracts.measure import Text
from cyberterr.contracts.media import Fact, Provenance
from cyberterr.media.recording import Container

_LABELS = {
    "encoder": Text("Encoder", "Encodeur"),
    "encoded_by": Text("Encoded by", "Encodé par"),
    "software": Text("Software", "Logiciel"),
    "creation_time": Text("Made at, as it says", "Créé le, selon lui"),
    "date": Text("Date, as it says", "Date, selon lui"),
    "title": Text("Title", "Titre"),
    "artist": Text("Artist", "Artiste"),
    "comment": Text("Comment", "Commentaire"),
    "major_brand": Text("Kind of container", "Type de conteneur"),
    "handler_name": Text("Track made by", "Piste créée par"),
    "originator": Text("Recorded by, as it says", "Enregistré par, selon lui"),
    "origination_date": Text("Recorded on, as it says", "Enregistré le, selon lui"),
    "coding_history": Text("Coding history", "Historique de codage"),
    "com.apple.quicktime.make": Text("Make of the device", "Marque de l'appareil"),
    "com.apple.quicktime.model": Text("Model of the device", "Modèle de l'appareil"),
    "com.apple.quicktime.software": Text("Software", "Logiciel"),
    "com.apple.quicktime.creationdate": Text("Made at, as it says", "Créé le, selon lui"),
    "com.android.version": Text("Android version", "Version d'Android"),
}
"""tags that are told, by their names in FFmpeg"""


def told(container: Container, signed: Provenance) -> Provenance:
    """*signed* (what credentials say) with the facts of the *container*."""
    facts = [
        Fact(name="format", value=container.format, label=Text("Container", "Conteneur")),
        Fact(name="codec", value=container.codec, label=Text("Codec", "Codec")),
        Fact(
            name="rate",
            value=f"{container.rate} Hz × {container.channels}",
            label=Text("Sample rate × channels", "Échantillonnage × canaux"),
        ),
    ]
    if container.bit_rate:
        value = f"{container.bit_rate / 1000:.0f} kbit/s"
        facts.append(Fact(name="bit_rate", value=value, label=Text("Bit rate", "Débit")))
    if container.tracks > 1:
        label = Text("Sound tracks, the first is judged", "Pistes sonores, la première est jugée")
        facts.append(Fact(name="tracks", value=str(container.tracks), label=label))
    for key, value in container.tags:
        name = key.lower()
        if name in _LABELS and value:
            facts.append(Fact(name=name, value=value, label=_LABELS[name]))
    return msgspec.structs.replace(signed, facts=(*signed.facts, *facts))
