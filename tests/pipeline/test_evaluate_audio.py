"""A labelled folder becomes errors with intervals, whatever its manifest leaves out."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cyberterr.cli import main
from cyberterr.config import Settings
from cyberterr.errors import MissingPartError, UsageError
from cyberterr.pipeline import evaluate_audio as pipeline
from cyberterr.pipeline import labelled, roc, shortcuts
from cyberterr.pipeline.evaluate_audio import evaluate_audio
from tests.pipeline import a_model

GENUINE, FAKE = 0.2, 1.2


def quiet(_: str) -> None:
    """Say nothing."""


def write(folder: Path, rows: list[dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "MANIFEST.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        lines.writeheader()
        lines.writerows(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips that the loudness model tells apart, and one of them wrongly."""
    place = tmp_path_factory.mktemp("labelled")
    rows = []
    for number in range(12):
        fake = number % 2 == 1
        name = f"clips/{number}.wav"
        a_model.speech(place / name, GENUINE if not fake or number == 11 else FAKE, number)
        rows.append({
            "file": name, "label": "spoof" if fake else "bonafide",
            "generator": f"tts {number % 3}" if fake else "",
            "corpus": "town hall", "language": "fr",
        })  # fmt: skip
    write(place, rows)
    return place


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return a_model.installed(tmp_path / "models", monkeypatch)


def only(tables: tuple[Any, ...], words: str) -> list[dict[str, Any]]:
    (found,) = [table.document()["rows"] for table in tables if words in table.title]
    return list(found)


def test_what_the_product_says_is_counted(folder: Path, settings: Settings) -> None:
    measured = evaluate_audio(folder, settings, quiet)
    clean = only(measured.tables, "by condition")[0]
    assert (clean["genuine"], clean["synthetic"]) == (6, 6)
    assert clean["fakes recognised"]["hits"] == 5
    assert clean["fakes: no sign"]["hits"] == 1
    assert clean["genuine: no sign"]["hits"] == 6
    assert clean["false alarms, worst source"]["hits"] == 0
    assert clean["AUC"]["value"] == pytest.approx(5.5 / 6, abs=1 / 12)
    (pair,) = only(measured.tables, "matched pairs")
    assert pair["corpus"] == "town hall"
    assert "| clean | 6 | 6 |" in measured.tables[0].markdown()


def test_copies_are_judged_under_every_condition(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {name: pipeline.CONDITIONS[name] for name in ("mp3_64k", "g711")}
    monkeypatch.setattr(pipeline, "CONDITIONS", chosen)
    monkeypatch.setattr(pipeline, "AT_ONCE", 5)
    measured = evaluate_audio(folder, settings, quiet, conditions=True)
    rows = {row["condition"]: row for row in only(measured.tables, "by condition")}
    assert rows["mp3_64k"]["fakes recognised"]["hits"] == 5
    assert rows["g711"]["cannot say"]["hits"] == 12  # a telephone line is too narrow to judge


def test_files_that_a_model_was_trained_on_stand_apart(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    import hashlib

    known = [hashlib.sha256((folder / f"clips/{n}.wav").read_bytes()).hexdigest() for n in (0, 1)]
    listed = tmp_path / "models" / "loudness" / "trained_on.txt"
    listed.write_text("\n".join(digest[:16] for digest in known), encoding="utf-8")
    measured = evaluate_audio(folder, settings, quiet)
    sizes = {
        table.title.split(":")[0]: table.document()["rows"][0]["genuine"]  # type: ignore[index]
        for table in measured.tables if "by condition" in table.title
    }  # fmt: skip
    assert sizes == {"files no model was trained on": 5, "in sample": 1}


def test_a_manifest_may_leave_out_everything_but_file_and_label(
    tmp_path: Path, settings: Settings
) -> None:
    place = tmp_path / "bare"
    a_model.speech(place / "a.wav", GENUINE, 1)
    a_model.speech(place / "b.wav", FAKE, 2)
    (place / "broken.mp3").write_bytes(b"no sound")
    write(place, [
        {"file": "a.wav", "label": "Genuine"},
        {"file": "b.wav", "label": "fake"},
        {"file": "broken.mp3", "label": "fake"},
        {"file": "absent.wav", "label": "bonafide"},
        {"file": "b.wav", "label": "who knows"},
        {"file": "../../etc/passwd", "label": "fake"},
    ])  # fmt: skip
    measured = evaluate_audio(place, settings, quiet)
    clean = only(measured.tables, "by condition")[0]
    assert (clean["genuine"], clean["synthetic"]) == (1, 1)
    unread = [note for note in measured.notes if note.startswith("not read")]
    assert len(unread) == 2


def test_left_out_scores_get_answers_by_thresholds_of_other_sources(
    folder: Path, tmp_path: Path
) -> None:
    known = labelled.manifest(folder)
    path = tmp_path / "left_out.csv.gz"
    dice = np.random.default_rng(0)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "label", "generator", "corpus", "condition", "scheme", "score"])
        for scheme in ("family", "generator"):
            for row in known:
                label = "spoof" if row.synthetic else "bonafide"
                generator, corpus = (row.source, "x") if row.synthetic else ("", row.source)
                score = dice.normal(3.0 * row.synthetic)
                lines.writerow([row.file, label, generator, corpus, "clean", scheme, score])
        lines.writerow(["clips/0.wav", "bonafide", "", "town hall", "clean", "family", "99"])
        lines.writerow(["clips/1.wav", "spoof", "tts 1", "x", "clean", "family", "nan"])
    rows = labelled.left_out(path, {row.file: row for row in known})
    assert len(rows) == 24  # the second score of a clip does not count
    assert max(row.score or 0 for row in rows) < 99
    spread = [
        row._replace(source=f"corpus {place}", corpus=f"corpus {place}")
        for place, row in enumerate(rows)
    ]
    answers = [row.answer for row in pipeline._judged_nested(spread)]
    assert set(answers) <= {"signs_of_synthesis", "no_sign_found", "cannot_say"}
    assert "no_sign_found" in answers


def test_partial_edits_are_told_apart(folder: Path) -> None:
    row = labelled._row({"file": "a", "label": "spoof", "generator": "partial edit (x)"})
    assert row is not None
    assert row.partial
    whole = labelled._row({"file": "a", "label": "spoof", "generator": "VITS"})
    assert whole is not None
    assert not whole.partial


def test_without_model_and_scores_it_says_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "models", lambda _: [])
    with pytest.raises(MissingPartError, match="no model"):
        evaluate_audio(folder, Settings(), quiet, as_shipped=True)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        evaluate_audio(tmp_path, Settings(), quiet)
    write(tmp_path, [{"file": "a.wav", "label": "?"}])
    with pytest.raises(UsageError, match="no row has a file and a label"):
        evaluate_audio(tmp_path, Settings(), quiet)


def test_the_measures_are_those_of_the_textbook() -> None:
    genuine, synthetic = [np.array([0.0, 1.0, 2.0])], [np.array([1.0, 3.0]), np.array([4.0])]
    assert roc.auc(genuine, synthetic) == pytest.approx((1.5 + 3 + 3) / 9)
    assert roc.macro_auc(genuine, synthetic) == pytest.approx((4.5 / 6 + 1) / 2)
    assert roc.eer([np.arange(10.0)], [np.arange(10.0) + 5]) == pytest.approx(0.25, abs=0.06)
    found = roc.estimate(
        roc.auc, {"a": genuine[0], "b": genuine[0]}, {"c": synthetic[0], "d": synthetic[1]}
    )
    assert found.low <= found.value <= found.high
    none = roc.share(["a", "b", "c"] * 40, [False] * 120)
    assert none.low == 0.0 < 0.02 < none.high  # none of 120 does not prove that there is none


def test_facts_of_files_alone_give_a_baseline_that_never_saw_the_source() -> None:
    dice = np.random.default_rng(0)
    synthetic = np.arange(200) % 2 == 1
    sources = [f"{bool(each)} {place % 10}" for place, each in enumerate(synthetic)]
    table = np.column_stack([synthetic + dice.normal(0, 0.1, 200), dice.normal(size=200)])
    scores = shortcuts.scores(table, synthetic, sources, sources)
    assert scores[synthetic].min() > scores[~synthetic].max()
    own = np.array([hash(source) % 97 for source in sources], float)
    blind = shortcuts.scores(own[:, None], synthetic, sources, sources)
    assert abs(roc.auc([blind[~synthetic]], [blind[synthetic]]) - 0.5) < 0.5


def test_on_the_command_line_tables_or_json(
    folder: Path, tmp_path: Path, settings: Settings
) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(f'[media]\nmodels = "{settings.media.models}"\n')
    call = ["evaluate", "audio", str(folder), "--config", str(config), "-q"]
    told = CliRunner().invoke(main, [*call, "--format", "json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.output)["tables"][0]["rows"][0]["genuine"] == 6
    assert "| condition |" in CliRunner().invoke(main, call).output
