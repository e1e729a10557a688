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
    for key, value in container.tags:
        name = key.lower()
        if name in _LABELS and value:
            facts.append(Fact(name=name, value=value, label=_LABELS[name]))
    return msgspec.structs.replace(signed, facts=(*signed.facts, *facts))
