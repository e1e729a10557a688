"""From recordings to verdicts: what is told, kept, and not kept."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cyberterr import content
from cyberterr.config import Media as MediaSettings
from cyberterr.config import Settings
from cyberterr.contracts.documents import from_ecs, to_ecs
from cyberterr.contracts.measure import Text
from cyberterr.contracts.media import Declared, Evidence, Limit, Media, Provenance
from cyberterr.contracts.store import Query
from cyberterr.errors import MissingPartError
from cyberterr.pipeline import verdict
from cyberterr.pipeline.models import models, opened
from cyberterr.pipeline.verify import Failed, Progress, Verified, document, verify
from cyberterr.store.sqlite import SqliteStore
from tests.media import sounds

SAID = Text("said", "dit")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(tmp_path / "store.db")) as opened:
        yield opened


def examined(*paths: Path, store: SqliteStore | None = None) -> list[Verified | Failed]:
    return list(verify([str(p) for p in paths], Settings(), store, Progress()))


def media(result: Verified | Failed) -> Media:
    assert isinstance(result, Verified)
    assert isinstance(result.finding.media, Media)
    return result.finding.media


def test_a_recording_gets_a_verdict_with_score_interval_and_measured_errors() -> None:
    [result] = examined(sounds.SPEECH)
    told = media(result)
    assert told.answer in ("signs_of_synthesis", "no_sign_found", "cannot_say")
    assert told.score is not None
    assert told.interval is not None
    assert told.interval[0] <= told.score <= told.interval[1]
    assert told.models
    assert all(rate.trials > 0 for each in told.evidence for rate in each.rates)
    assert abs((told.seconds or 0) - 8.65) < 0.01
    assert {m.name for m in told.quality} >= {"speech", "bandwidth", "noise_distance"}


def test_order_number_and_names_of_files_change_nothing(tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(sounds.encoded(sounds.samples()[: 4 * sounds.RATE], "wav"))
    copy = tmp_path / "renamed"
    shutil.copy(sounds.SPEECH, copy)
    both = examined(sounds.SPEECH, other)
    turned = examined(other, copy)
    assert media(both[0]).score == media(turned[1]).score
    assert media(both[1]).evidence == media(turned[0]).evidence
    assert both[0].finding.id == turned[1].finding.id  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("sound", "code"),
    [
        (sounds.tone(20), "no_speech_rhythm"),
        (sounds.noise(10, 0.0) + 0.0, "too_little_speech"),
        (sounds.samples()[: int(1.2 * sounds.RATE)], "too_little_speech"),
        (sounds.samples() + sounds.noise(8.7, 0.05)[: sounds.samples().size], "noisy"),
    ],
    ids=["a sine", "silence", "one second", "noise as loud as the voice"],
)
def test_what_cannot_be_judged_is_said_with_its_reason(
    sound: object, code: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(sounds.encoded(sound, "wav"))  # type: ignore[arg-type]
    told = media(examined(path)[0])
    assert told.answer == "cannot_say"
    assert code in [limit.code for limit in told.limits if limit.decisive]


def test_a_telephone_line_is_too_narrow_to_say(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(sounds.encoded(sounds.samples(), "alaw"))
    told = media(examined(path)[0])
    assert told.answer == "cannot_say"
    assert told.limits[0].code == "narrow_band"
    assert told.score is not None  # it is told all the same


def test_twice_the_same_file_is_one_finding_in_the_store(store: SqliteStore) -> None:
    first, second = (examined(sounds.SPEECH, store=store)[0] for _ in range(2))
    assert isinstance(first, Verified)
    assert isinstance(second, Verified)
    assert first.finding == second.finding
    assert len(store.revisions(first.finding.id)) == 1
    assert store.get(first.finding.id) == first.finding


def test_a_copy_under_another_name_adds_nothing_to_the_store(
    store: SqliteStore, tmp_path: Path
) -> None:
    copy = tmp_path / "another.flac"
    shutil.copy(sounds.SPEECH, copy)
    told = [
        media(result).name
        for _ in range(2)
        for result in examined(sounds.SPEECH, copy, store=store)
    ]
    assert told == [sounds.SPEECH.name, copy.name] * 2
    [case] = store.find(Query())
    assert case.finding.scope == sounds.SPEECH.name  # as it was first submitted
    assert len(store.revisions(case.finding.id)) == 1


def test_what_another_calibration_says_is_a_new_revision_of_the_same_time(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = examined(sounds.SPEECH, store=store)
    monkeypatch.setattr("cyberterr.pipeline.verify.models", lambda _: [])
    [second] = examined(sounds.SPEECH, store=store)
    assert isinstance(first, Verified)
    assert isinstance(second, Verified)
    assert second.finding.revision == 2
    assert (second.finding.start, second.finding.id) == (first.finding.start, first.finding.id)


def test_a_name_that_is_no_text_is_told_as_far_as_it_is(store: SqliteStore, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\xfe.flac"
    shutil.copy(sounds.SPEECH, odd)
    (tmp_path / "z.mp3").write_bytes(b"no sound")
    results = [r for r in examined(tmp_path, store=store) if not r.name.endswith(".db")]
    found = {Path(r.name).name: r for r in results}
    assert media(found["\ufffd\ufffd.flac"]).name == "\ufffd\ufffd.flac"
    assert isinstance(found["z.mp3"], Failed)
    assert msgspec.json.encode([document(each) for each in results])


def test_of_a_recording_only_hash_name_and_facts_are_kept(
    store: SqliteStore, tmp_path: Path
) -> None:
    path = tmp_path / "secret_folder" / "message.flac"
    path.parent.mkdir()
    shutil.copy(sounds.SPEECH, path)
    [result] = examined(path, store=store)
    assert isinstance(result, Verified)
    kept = msgspec.json.encode(store.get(result.finding.id))
    assert b"message.flac" in kept
    assert b"secret_folder" not in kept
    assert len(kept) < 40_000


def test_a_verdict_comes_back_from_its_document_as_it_was() -> None:
    [result] = examined(sounds.SPEECH)
    assert isinstance(result, Verified)
    assert from_ecs(to_ecs(result.finding, whole=True)) == result.finding


def test_a_broken_file_costs_itself_only(tmp_path: Path) -> None:
    broken = tmp_path / "a<b>\n.mp3"
    broken.write_bytes(b"no sound at all")
    failed, fine = examined(broken, sounds.SPEECH)
    assert isinstance(failed, Failed)
    assert failed.error.exit_code == 3
    assert isinstance(fine, Verified)


def evidence(answer: str, score: float | None) -> Evidence:
    return Evidence(
        head="voice", model="m 1", answer=answer, score=score, interval=None, rates=(),
        reason=SAID, calibration=SAID,
    )  # type: ignore[arg-type] # fmt: skip


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (["signs_of_synthesis"], "signs_of_synthesis"),
        (["no_sign_found"], "no_sign_found"),
        (["cannot_say"], "cannot_say"),
        ([], "cannot_say"),
        (["signs_of_synthesis", "no_sign_found"], "cannot_say"),
        (["signs_of_synthesis", "cannot_say"], "signs_of_synthesis"),
        (["signs_of_synthesis", "cannot_say", "cannot_say"], "cannot_say"),
        (["no_sign_found", "no_sign_found", "cannot_say"], "no_sign_found"),
    ],
)
def test_several_models_vote_by_the_rule_that_is_written_down(
    answers: list[str], said: str
) -> None:
    heard = [evidence(answer, place / 10) for place, answer in enumerate(answers)]
    assert verdict.weighed(heard, (), Provenance())[0] == said


def test_a_decisive_limit_silences_the_models() -> None:
    limit = Limit(code="noisy", text=SAID, decisive=True)
    answer, chosen, _ = verdict.weighed(
        [evidence("signs_of_synthesis", 0.9)], [limit], Provenance()
    )
    assert answer == "cannot_say"
    assert chosen is not None
    assert chosen.score == 0.9


def test_a_file_that_declares_itself_generated_is_taken_at_its_word() -> None:
    declared = Declared(field="x", value="y", meaning=SAID, generated=True)
    says = Provenance(declared=(declared,))
    told = verdict.weighed([evidence("no_sign_found", 0.1)], (), says)
    assert told[0] == "signs_of_synthesis"
    [line] = verdict.stated(says)
    assert (line.head, line.answer) == ("provenance", "signs_of_synthesis")
    assert line.score is None  # a statement is no measurement


@pytest.mark.parametrize("answer", ["no_sign_found", "cannot_say", "signs_of_synthesis"])
def test_a_broken_signature_is_told_first_but_is_no_sign_of_synthesis(answer: str) -> None:
    broken = Provenance(signature="altered", signer="x")
    chosen = evidence(answer, 0.5)
    said, _, limits = verdict.weighed([chosen], (), broken)
    assert said == answer
    [line] = verdict.stated(broken)
    assert line.answer == "cannot_say"
    told = Media(
        kind="audio", sha256="0" * 64, name="x", size=1, mime="audio/wav", answer=said, score=0.5,
        interval=None, evidence=(chosen, line), quality=(), limits=limits, provenance=broken,
        models=("m 1",),
    )  # fmt: skip
    [examiner] = content.examiners()
    found = verdict.finding(told, examiner.card, chosen, dt.datetime.now(dt.UTC), "")
    assert found.reason.en.startswith("Proven alteration")
    assert found.reason.fr.startswith("Altération démontrée")
    assert found.reason.en.endswith(SAID.en)
    assert "signed" in found.next_steps[0].en


def test_without_a_model_nothing_can_be_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(content, "folder", lambda kind: tmp_path if kind == "models" else
                        Path(content.__file__).parent.parent / kind)  # fmt: skip
    told = media(examined(sounds.SPEECH)[0])
    assert (told.answer, told.score) == ("cannot_say", None)
    assert told.limits[0].code == "no_model"


def copied(tmp_path: Path) -> Path:
    folder = tmp_path / "voice"
    shutil.copytree(content.folder("models") / "voice", folder)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[[measured]]", "[[not_measured]]", "unknown field"),
        ('detector = "voice"', 'detector = "nose"', "no detector"),
        ('id = "voice"', 'id = "other"', "says it is"),
        ("window_s = 4.0", "", "window_s"),
        ("\nhop_s = ", "\nhop_s = -", "hop_s > 0"),
        ("hits = ", "hits = 99", "more hits than trials"),
        ("\nraw = [", "\nraw = [-99.0, ", "differ in length"),
        ("\nscore = [0.", "\nscore = [0.9", "do not ascend"),
        ("\nlow = [0.", "\nlow = [0.9", "intervals"),
        ("window_rate = 0.", "window_rate = 0.0 # ", "window_rate < 1"),
        ("edges_hz = [", "edges_hz = [-1.0, ", "each band"),
    ],
)
def test_a_model_without_a_true_card_is_refused(
    old: str, new: str, words: str, tmp_path: Path
) -> None:
    folder = copied(tmp_path)
    card = folder / "card.toml"
    card.write_text(card.read_text().replace(old, new))
    with pytest.raises(MissingPartError, match=words):
        opened(folder)


def test_a_graph_that_was_not_measured_is_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    with (folder / "weights.onnx").open("ab") as graph:
        graph.write(b"x")
    with pytest.raises(MissingPartError, match="not the one"):
        opened(folder)


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    copied(tmp_path)
    with pytest.raises(MissingPartError, match="another model is called"):
        models(tmp_path)


def test_a_graph_that_gives_no_number_costs_that_file_only() -> None:
    [shipped] = models()
    with pytest.raises(MissingPartError, match="no finite number"):
        shipped.run(np.full((1, 64_000), np.nan, np.float32))


def test_a_further_folder_of_models_votes_too(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    second = tmp_path / "second"
    folder.rename(second)
    card = second / "card.toml"
    card.write_text(card.read_text().replace('id = "voice"', 'id = "second"', 1))
    assert [model.card.id for model in models(tmp_path)] == ["voice", "second"]
    settings = Settings(media=MediaSettings(models=str(tmp_path)))
    [result] = verify([str(sounds.SPEECH)], settings, None, Progress())
    assert media(result).models == ("voice 1", "second 1")
