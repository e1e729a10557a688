"""Provenance as the decoding child tells it: through every door that is closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyberterr.contracts.media import Provenance
from cyberterr.media import decode
from cyberterr.media.credentials import trust_list
from tests.media import signing, sounds


def told(path: Path, trust: Path | None = None) -> Provenance:
    with decode.opened(path, trust=trust_list(trust) if trust else "") as recording:
        for _ in recording.blocks():
            pass
        return recording.provenance


@pytest.mark.parametrize("kind", signing.MIMES)
def test_a_signed_recording_is_known_and_still_heard(kind: str, tmp_path: Path) -> None:
    path, trust = tmp_path / "message", tmp_path / "list.pem"
    sound = sounds.samples()[: 2 * sounds.RATE]
    path.write_bytes(signing.signed(sounds.encoded(sound, kind), signing.MIMES[kind]))
    trust.write_text(signing.authority(), encoding="utf-8")
    assert told(path, trust).signature == "trusted"
    assert told(path).signature == "unknown_signer"


def test_a_label_in_a_tag_of_a_container_is_found(tmp_path: Path) -> None:
    import av

    path = tmp_path / "message.mp3"
    with av.open(str(path), "w") as out:
        out.metadata["AIGC"] = '{"Label":"1"}'
        stream = out.add_stream("mp3", rate=sounds.RATE, layout="mono")
        sound = sounds.samples()[None, : sounds.RATE]
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
        frame.sample_rate = sounds.RATE
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert told(path).says_generated
