"""Own genuine recordings make the tool more careful here, and leave nothing behind but scores."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from cyberterr.cli import main
from cyberterr.config import Settings
from cyberterr.errors import MissingPartError, UsageError
from cyberterr.pipeline import voices
from cyberterr.pipeline.learn_voices import conformal, learn_voices
from cyberterr.pipeline.models import models
from cyberterr.pipeline.verify import Progress
from tests.pipeline import a_model


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return a_model.installed(tmp_path / "models", monkeypatch)


def recordings(folder: Path, scores: list[float]) -> Path:
    for number, raw in enumerate(scores):
        a_model.speech(folder / f"meeting {number}.wav", raw, number)
    return folder


def test_a_chain_that_scores_high_is_no_longer_accused(tmp_path: Path, settings: Settings) -> None:
    folder = recordings(tmp_path / "own", [0.2 + 0.03 * n for n in range(20)])
    (learned,) = learn_voices([str(folder)], settings, Progress())
    assert learned.raised
    assert learned.alarms > 0
    (model,) = [
        m for m in voices.calibrated(models(tmp_path / "models")) if m.card.id == "loudness"
    ]
    assert model.card.calibration.signs_at > max(learned.own.raw)
    assert "20 genuine recordings" in model.card.calibration.name.en
    assert "20 enregistrements" in model.card.calibration.name.fr


def test_quiet_recordings_never_make_the_tool_bolder(tmp_path: Path, settings: Settings) -> None:
    folder = recordings(tmp_path / "own", [0.1] * 20)
    (learned,) = learn_voices([str(folder)], settings, Progress())
    assert not learned.raised
    assert learned.own.signs_at == a_model.SIGNS_AT


def test_what_is_kept_holds_no_name_and_no_sound(tmp_path: Path, settings: Settings) -> None:
    folder = recordings(tmp_path / "own", [0.2] * 20)
    (learned,) = learn_voices([str(folder)], settings, Progress())
    kept = learned.path.read_bytes()
    assert b"meeting" not in kept
    assert len(kept) < 10_000
    assert learned.path.stat().st_mode & 0o077 == 0
    own = msgspec.json.decode(kept, type=voices.Own)
    assert list(own.raw) == sorted(own.raw)  # in no order that tells which file had which score
    assert list(own.recordings) == sorted(own.recordings)


def test_nineteen_recordings_are_too_few_and_copies_do_not_count(
    tmp_path: Path, settings: Settings
) -> None:
    folder = recordings(tmp_path / "own", [0.2] * 19)
    for number in range(5):
        (folder / f"copy {number}.wav").write_bytes((folder / "meeting 0.wav").read_bytes())
    with pytest.raises(UsageError, match="19 recordings") as refused:
        learn_voices([str(folder)], settings, Progress())
    assert "5 were set aside" in (refused.value.hint or "")
    assert not voices.kept()


def test_what_cannot_be_read_is_named_and_the_rest_is_learned(
    tmp_path: Path, settings: Settings
) -> None:
    folder = recordings(tmp_path / "own", [0.2] * 20)
    (folder / "broken.wav").write_bytes(b"RIFF")
    (learned,) = learn_voices([str(folder)], settings, Progress())
    assert [Path(each.name).name for each in learned.failed] == ["broken.wav"]


def test_without_a_model_there_is_nothing_to_calibrate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyberterr.pipeline.learn_voices.models", lambda _: [])
    with pytest.raises(MissingPartError):
        learn_voices([str(tmp_path)], Settings(), Progress())


def test_another_graph_does_not_inherit_what_was_learned(
    tmp_path: Path, settings: Settings
) -> None:
    folder = recordings(tmp_path / "own", [0.2 + 0.03 * n for n in range(20)])
    learn_voices([str(folder)], settings, Progress())
    (path,) = voices.folder().glob("loudness.json")
    own = msgspec.json.decode(path.read_bytes(), type=voices.Own)
    voices.keep(msgspec.structs.replace(own, graph="0" * 64))
    (model,) = [
        m for m in voices.calibrated(models(tmp_path / "models")) if m.card.id == "loudness"
    ]
    assert model.card.calibration.name.en == "as shipped"


def test_a_kept_file_that_is_damaged_is_an_error_with_a_way_out(own_home: Path) -> None:
    voices.folder().mkdir(parents=True)
    (voices.folder() / "loudness.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read") as refused:
        voices.kept()
    assert "--forget" in (refused.value.hint or "")


@pytest.mark.parametrize("n", [19, 20, 40, 100])
def test_a_further_recording_is_accused_at_most_one_time_in_twenty(n: int) -> None:
    dice = np.random.default_rng(1)
    trials = 4000
    accused = sum(dice.normal() >= conformal(dice.normal(size=n).tolist()) for _ in range(trials))
    assert accused / trials < 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)


def test_on_the_command_line_it_is_learned_and_forgotten(
    tmp_path: Path, settings: Settings
) -> None:
    folder = recordings(tmp_path / "own", [0.2 + 0.03 * n for n in range(20)])
    config = tmp_path / "settings.toml"
    config.write_text(f'[media]\nmodels = "{settings.media.models}"\n')
    run = CliRunner()
    told = run.invoke(main, ["learn", "voices", str(folder), "--config", str(config)])
    assert told.exit_code == 0, told.output
    assert "20 recordings" in told.output
    assert "higher here now" in told.output
    assert os.listdir(voices.folder()) == ["loudness.json"]  # noqa: PTH208
    told = run.invoke(main, ["learn", "voices", "--forget"])
    assert "forgotten: loudness" in told.output
    assert not voices.kept()
    assert run.invoke(main, ["learn", "voices"]).exit_code == 2
