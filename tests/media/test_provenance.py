"""Where a file comes from: real signatures made here, declarations by field, hostile content."""

from __future__ import annotations

import io
import json
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.contracts.media import Provenance
from cyberterr.errors import UsageError
from cyberterr.media import credentials, declared, provenance
from tests.media import signing, sounds

SOUND = sounds.samples()[: 2 * sounds.RATE]
XMP = (
    '<?xpacket begin="\ufeff"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/" {}>{}</rdf:Description>'
    "</rdf:RDF></x:xmpmeta>"
)
BY_ATTRIBUTE = XMP.format(f'Iptc4xmpExt:DigitalSourceType="{signing.AI}"', "")
LABEL = '{"Label":"1","ContentProducer":"x","ProduceID":"7"}'


@pytest.fixture(scope="module", params=signing.MIMES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plain(kind: str) -> bytes:
    return sounds.encoded(SOUND, kind)


@pytest.fixture(scope="module")
def signed(kind: str, plain: bytes) -> bytes:
    return signing.signed(plain, signing.MIMES[kind])


def read(data: bytes, kind: str = "wav", *, trust: str = "", **tags: str) -> Provenance:
    file = io.BytesIO(data)
    file.seek(7)
    mime = signing.MIMES.get(kind, f"audio/{kind}")
    said = provenance.read(file, len(data), mime=mime, tags=tags.items(), trust=trust)
    assert file.tell() == 7
    return said


def with_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    data = sounds.encoded(SOUND, "wav")
    for name, body in chunks:
        data += name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def test_a_signature_is_trusted_only_with_its_authority_on_the_list(
    signed: bytes, kind: str
) -> None:
    said = read(signed, kind, trust=signing.authority())
    assert (said.signature, said.signer) == ("trusted", signing.SIGNER)
    assert read(signed, kind).signature == "unknown_signer"


def test_another_authority_on_the_list_does_not_help(signed: bytes, kind: str) -> None:
    import trustme

    other = trustme.CA().cert_pem.bytes().decode()
    assert read(signed, kind, trust=other).signature == "unknown_signer"


def test_one_changed_byte_of_the_sound_is_an_alteration(signed: bytes, kind: str) -> None:
    changed = bytearray(signed)
    place = len(signed) // 3 if kind == "wav" else len(signed) * 2 // 3  # clear of the manifest
    changed[place] ^= 1
    assert read(bytes(changed), kind, trust=signing.authority()).signature == "altered"


def test_a_saved_copy_has_no_credentials_and_that_says_nothing(plain: bytes, kind: str) -> None:
    said = read(plain, kind, trust=signing.authority())
    assert said == Provenance()


def test_a_real_recording_is_declared_but_not_generated(signed: bytes, kind: str) -> None:
    said = read(signed, kind)
    assert [each.value for each in said.declared] == [signing.CAMERA]
    assert not said.says_generated


def test_generation_declared_in_the_credentials_is_told(plain: bytes, kind: str) -> None:
    mime = signing.MIMES[kind]
    generated = signing.signed(plain, mime, source_type=signing.AI)
    assert read(generated, kind).says_generated
    edited = signing.signed(plain, mime, parent=generated)
    assert read(edited, kind).says_generated, "what it was made from counts"


def test_credentials_elsewhere_are_never_fetched(plain: bytes, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/manifest"
        pointing = signing.signed(plain, signing.MIMES[kind], remote=address)
        said = read(pointing, kind, trust=signing.authority())
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert said.signature == "none"
    assert [(fact.name, fact.value) for fact in said.facts] == [("remote_credentials", address)]


def test_damaged_credentials_are_never_trusted_and_never_a_traceback(
    signed: bytes, kind: str
) -> None:
    chance = random.Random(5)
    start = signed.find(b"jumb")
    for _ in range(60):
        data = bytearray(signed)
        for _ in range(40):
            data[start + chance.randrange(600)] = chance.randrange(256)
        said = read(bytes(data), kind, trust=signing.authority())
        assert said.signature in ("altered", "unreadable", "none")


def test_garbage_where_credentials_should_be_is_unreadable() -> None:
    assert read(with_chunks((b"C2PA", b"\x00\x00\x00\x20jumb" + bytes(50)))).signature == (
        "unreadable"
    )


def test_a_signed_file_cut_anywhere_is_not_trusted(signed: bytes, kind: str) -> None:
    for end in range(0, len(signed) - 1, len(signed) // 25):
        assert read(signed[:end], kind, trust=signing.authority()).signature != "trusted"


def test_a_file_that_grows_is_judged_as_it_was(signed: bytes, kind: str) -> None:
    file = io.BytesIO(signed + b"more")
    said = provenance.read(
        file, len(signed), mime=signing.MIMES[kind], tags=(), trust=signing.authority()
    )
    assert said.signature == "trusted"


def test_a_signature_too_large_to_check_is_never_called_altered_or_trusted(
    signed: bytes, plain: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "LARGEST_CHECKED", 100)
    said = read(signed, kind, trust=signing.authority())
    assert said.signature == "unreadable"
    assert said.facts[0].name == "credentials_not_checked"
    assert read(plain, kind) == Provenance(), "an unsigned one has nothing to check"


class _Failing(io.BytesIO):
    """A disk that fails in the middle of the sound."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if len(buffer) > 5_000:
            raise OSError("input/output error")
        return super().readinto(buffer)


def test_a_disk_that_fails_is_no_alteration(signed: bytes, kind: str) -> None:
    said = provenance.read(
        _Failing(signed), len(signed), mime=signing.MIMES[kind], tags=(), trust=""
    )
    assert said.signature != "altered"


def test_a_format_without_credentials_says_that_none_were_looked_for() -> None:
    said = read(sounds.encoded(SOUND, "opus"), "ogg")
    assert said.signature == "none"
    assert said.facts[0].name == "credentials_not_read"


@pytest.mark.parametrize(
    "said",
    [
        lambda: read(with_chunks((b"_PMX", BY_ATTRIBUTE.encode()))),
        lambda: read(with_chunks((b"odd ", b"x"), (b"AIGC", LABEL.encode()))),
        lambda: read(b"", "mp3", AIGC=LABEL),
        lambda: read(b"", "ogg", aigc=json.dumps({"AIGC": {"Label": 1}})),
        lambda: read(b"", "mp4", xmp=BY_ATTRIBUTE),
        lambda: read(
            b"", "mp3", **{"id3v2_priv.XMP": BY_ATTRIBUTE.replace("\ufeff", r"\xef\xbb\xbf")}
        ),
        lambda: read(b"", "mp4", xmp=XMP.format("", f"<TC260:AIGC>{LABEL}</TC260:AIGC>")),
        lambda: read(
            b"",
            "mp4",
            xmp=XMP.format(
                "",
                "<Iptc4xmpExt:DigitalSourceType>digsrctype:compositeSynthetic"
                "</Iptc4xmpExt:DigitalSourceType>",
            ),
        ),
        lambda: read(
            b"",
            "mp4",
            xmp=XMP.format("", f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{signing.AI}"/>'),
        ),
        lambda: read(b"", "mp4", xmp=XMP.format('Iptc4xmpExt:AISystemUsed="A voice"', "")),
        lambda: read(b"", "flac", DigitalSourceType="trainedAlgorithmicMedia"),
    ],
)
def test_a_field_that_declares_generation_is_found(said: Callable[[], Provenance]) -> None:
    assert said().says_generated


@pytest.mark.parametrize(
    "tags",
    [
        {"comment": f"we write about {signing.AI}"},
        {"title": LABEL},
        {"AIGC": '{"Label":"2"}'},
        {"AIGC": "no label"},
        {"xmp": XMP.format("", f"<dc:x xmlns:dc='d'>{signing.AI}</dc:x>")},
        {"xmp": f"<Iptc4xmpExt:DigitalSourceType>{signing.AI}</Iptc4xmpExt:DigitalSourceType>"},
        {"DigitalSourceType": "virtualRecording"},
    ],
)
def test_words_elsewhere_declare_nothing(tags: dict[str, str]) -> None:
    assert not read(b"", "mp3", **tags).says_generated


def test_what_a_file_was_made_from_does_not_speak_for_it() -> None:
    inner = f'<rdf:Description Iptc4xmpExt:DigitalSourceType="{signing.AI}"/>'
    packet = XMP.format("", f"<m:Ingredients xmlns:m='m'>{inner}</m:Ingredients>")
    assert declared.xmp(packet.encode()) == []


def test_entities_of_a_packet_are_not_expanded() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + BY_ATTRIBUTE
    assert declared.xmp(bomb.encode()) == []
    assert declared.xmp(BY_ATTRIBUTE.encode() + b" " * declared.LARGEST) == []
    assert declared.xmp(b"<a>" * 100_000) == []


def test_a_value_without_end_is_cut() -> None:
    said = read(b"", "mp4", xmp=XMP.format(f'Iptc4xmpExt:AISystemUsed="{"A" * 99_999}"', ""))
    assert len(said.declared[0].value) == declared.LONGEST


@given(st.binary(max_size=300), st.text(max_size=200), st.sampled_from(["AIGC", "xmp"]))
@settings(max_examples=200, deadline=None)
def test_no_metadata_breaks_the_reader(data: bytes, value: str, key: str) -> None:
    wave = b"RIFF\xff\xff\xff\xffWAVE" + data
    declared.read(io.BytesIO(wave), len(wave), mime="audio/wav", tags=[(key, value)])
    declared.xmp(data)
    declared.xmp(BY_ATTRIBUTE.encode().replace(b"rdf", data[:3]))
    read(wave, "wav")


def test_a_list_of_trusted_signers_is_checked_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "list.pem"
    path.write_text("# the authority\n" + signing.authority(), encoding="utf-8")
    assert signing.authority() in credentials.trust_list(path)
    path.write_text("no certificate", encoding="utf-8")
    for wrong in (path, tmp_path / "missing", tmp_path):
        with pytest.raises(UsageError, match="trusted signers"):
            credentials.trust_list(wrong)
