"""`cyberterr verify` as people and programs call it."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from cyberterr.cli.options import PIPED_WIDTH
from tests.media import sounds


def told(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_answer_comes_first_then_limits_and_what_to_do(call):
    done = call("verify", sounds.SPEECH)
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "council_espeak.flac"
    assert lines[1] in ("SIGNS OF SYNTHESIS", "NO SIGN FOUND (THIS PROVES NOTHING)", "CANNOT SAY")
    assert "What to do next" in lines
    assert max(map(len, lines)) <= PIPED_WIDTH


def test_french_is_spoken(call):
    done = call("verify", sounds.SPEECH, "--lang", "fr")
    assert "Que faire ensuite" in done.stdout.decode()
    assert "What to do next" not in done.stdout.decode()


def test_json_is_one_document_a_file_as_the_contract_says(call, tmp_path):
    broken = tmp_path / "no <b>sound\n.mp3"
    broken.write_bytes(b"text")
    done = call("verify", broken, sounds.SPEECH, "--format", "json")
    assert done.returncode == 3
    failed, verdict = told(done)
    assert failed["file"]["path"] == str(broken)
    assert failed["error"]["message"]
    assert verdict["file"]["path"] == str(sounds.SPEECH)
    assert len(verdict["file"]["hash"]["sha256"]) == 64
    own = verdict["cyberterr"]
    assert own["verdict"] in ("signs_of_synthesis", "no_sign_found", "cannot_say")
    assert own["media"] == {"kind": "audio", "seconds": 8.649}
    assert 0 <= own["interval"][0] <= own["score"] <= own["interval"][1] <= 1
    assert own["evidence"][0]["rates"]
    assert all(part["start"] < part["end"] <= 8.65 for part in own["segments"])
    assert verdict["event"]["severity"] in (21, 73)
    assert verdict["rule"]["id"] == "verify.audio"
    assert verdict["message"]
    assert b"Traceback" not in done.stderr


def test_a_verdict_is_decided_on_with_the_same_command_as_every_finding(call):
    [verdict] = told(call("verify", sounds.SPEECH, "--format", "json"))
    finding = verdict["event"]["id"]
    decided = call("findings", "decide", finding, "benign", "--reason", "a test")
    assert decided.returncode == 0, decided.stderr
    shown = call("findings", "show", finding).stdout.decode()
    assert "council_espeak.flac" in shown
    assert "a test" in shown
    assert finding in call("findings", "list").stdout.decode()


def test_folders_are_read_to_their_depths_and_standard_input_too(call, tmp_path):
    deep = tmp_path / "in" / "box"
    deep.mkdir(parents=True)
    shutil.copy(sounds.SPEECH, deep / "a")
    (tmp_path / "in" / "b.wav").write_bytes(sounds.encoded(sounds.samples(), "wav"))
    done = call("verify", tmp_path / "in", "--format", "json")
    assert [Path(each["file"]["path"]).name for each in told(done)] == ["b.wav", "a"]
    piped = call("verify", "-", "--format", "json", input=sounds.encoded(sounds.samples(), "m4a"))
    assert told(piped)[0]["cyberterr"]["media"]["seconds"] > 8


@pytest.mark.parametrize("name", ["verdict.html", "verdict.pdf"])
def test_a_report_is_one_file_that_needs_nothing_else(name, call, tmp_path):
    hostile = tmp_path / "<img src=x>.flac"
    shutil.copy(sounds.SPEECH, hostile)
    report = tmp_path / name
    done = call("verify", hostile, "--report", report, "--no-store")
    assert done.returncode == 0, done.stderr
    content = report.read_bytes()
    if name.endswith(".pdf"):
        assert content.startswith(b"%PDF-")
        assert len(content) > 50_000  # with its spectrogram
        return
    page = content.decode()
    assert "<img src=x>" not in page
    assert "<script" not in page
    assert 'src="data:audio/wav;base64,' in page
    assert "data:image/png;base64," in page
    for outside in ('src="http', 'href="http', "url(http", "@import"):
        assert outside not in page
    assert "Conclusion of a named person" in page
    assert "Conclusion d’une personne désignée" in page


@pytest.mark.parametrize("name", ["report.txt", "no/such/folder/report.html"])
def test_a_report_that_cannot_be_written_shows_before_the_work(name, call, tmp_path):
    done = call("verify", sounds.SPEECH, "--report", tmp_path / name)
    assert done.returncode == 2
    assert not done.stdout


def test_evidence_is_kept_only_when_asked_for_and_by_its_owner(call, tmp_path):
    call("verify", sounds.SPEECH)
    evidence = tmp_path / "home" / "evidence"
    assert not evidence.exists()
    done = call("verify", sounds.SPEECH, "--keep-evidence")
    [kept] = evidence.iterdir()
    assert str(kept) in done.stderr.decode()
    assert kept.read_bytes() == sounds.SPEECH.read_bytes()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_copy_that_cannot_be_kept_costs_no_verdict(call, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "evidence").write_text("no folder")
    done = call("verify", sounds.SPEECH, "--keep-evidence")
    assert done.returncode == 5
    assert b"the copy cannot be kept" in done.stderr
    assert b"council_espeak.flac" in done.stdout


@pytest.mark.parametrize("what", ["missing", "folder/"])
def test_what_is_not_there_is_told(what, call):
    done = call("verify", what)
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr


def test_a_named_pipe_holds_nobody(call, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = call("verify", pipe, timeout=20)
    assert done.returncode == 3
    assert b"no ordinary file" in done.stderr
