"""What a file says of where it comes from: signed credentials, declarations of its metadata.

The same for sound, pictures and film. Runs behind the closed doors of the decoding child: it reads
an open file, opens nothing and calls nobody.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import BinaryIO

from cyberterr.contracts.media import Provenance
from cyberterr.media import credentials, declared


def read(
    file: BinaryIO, size: int, *, mime: str, tags: Iterable[tuple[str, str]], trust: str
) -> Provenance:
    """What the first *size* bytes of *file* say of their origin; never raises for content.

    Args:
        file: open for reading and seeking; left where it was.
        size: bytes that count.
        mime: type of the content, such as `audio/wav`.
        tags: metadata of the container and its tracks, whole; hostile text. A packet of XMP is
            the tag `xmp`.
        trust: PEM of the authorities whose signatures are trusted; where empty, nobody is.
    """
    place = file.tell()
    try:
        signed = credentials.read(file, size, mime=mime, trust=trust)
        said = declared.read(file, size, mime=mime, tags=tags)
    finally:
        file.seek(place)
    return Provenance(
        signature=signed.signature,
        signer=signed.signer,
        declared=(*signed.declared, *said),
        facts=signed.facts,
    )


def warm() -> None:
    """Load the libraries: behind closed doors no module can be read."""
    read(io.BytesIO(bytes(64)), 64, mime="audio/wav", tags=[("xmp", "<x/>")], trust="")
