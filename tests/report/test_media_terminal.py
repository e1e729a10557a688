"""Verdicts on a terminal."""

import io

import pytest
from rich.console import Console

from cyberterr.contracts.media import Segment
from cyberterr.contracts.site import Site
from cyberterr.contracts.store import Case
from cyberterr.report import cases, media_terminal
from tests.report.a_verdict import FORGED, HOSTILE, NOISY, found


def shown(findings, lang="en"):
    out = Console(file=io.StringIO(), width=80, markup=False, emoji=False)
    media_terminal.show(findings, out, lang)
    return out.file.getvalue()


def test_the_answer_comes_first_and_how_sure_after_it():
    lines = shown([found()]).splitlines()
    assert lines[:3] == ["call.wav", "SIGNS OF SYNTHESIS", "It sounds like a machine."]
    assert lines[3].startswith("How sure: score 0.84 on a scale from 0 (genuine)")


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", ("6 of 117", "Too noisy.", "A codec.", "Call back.", "findings decide 6f1e0c")),
        ("fr", ("6 sur 117", "Trop de bruit.", "Un codec.", "Rappelez.", "findings decide 6f1e0c")),
    ],
)
def test_limits_errors_innocent_reasons_and_next_steps_are_told(lang, said):
    text = shown([found("cannot_say", limits=(NOISY,))], lang)
    assert all(each in text for each in said)
    assert text.count(said[1]) == 1


def test_nothing_is_wider_than_eighty_columns():
    text = shown([found(name="x" * 300 + ".wav", provenance=FORGED), found("no_sign_found")])
    assert max(map(len, text.splitlines())) <= 80


def test_hostile_names_and_tags_steer_no_terminal():
    text = shown([found(name=HOSTILE, provenance=FORGED), found(name=HOSTILE)])
    assert not {"\x1b", "\u202e"} & set(text)
    assert "[bold]" in text


def test_of_several_files_a_table_comes_first_and_no_sign_needs_no_details():
    findings = [
        found("no_sign_found", name="fine.wav", score=0.1),
        found("cannot_say", name="unclear.wav", score=0.4, limits=(NOISY,)),
        found(name="false.wav"),
    ]
    text = shown(findings)
    rows = [line.split()[0] for line in text.splitlines()[1:4]]
    assert rows == ["false.wav", "unclear.wav", "fine.wav"]
    assert text.count("fine.wav") == 1
    assert text.count("false.wav") == 2
    assert text.count("6 of 117") == 1


def test_a_single_file_without_a_sign_is_told_in_full():
    assert "Call back." in shown([found("no_sign_found", score=0.1)])


def test_the_timeline_shows_where_the_scores_are_high_and_where_nothing_was_heard():
    parts = [Segment(start=0, end=5, score=0.1), Segment(start=10, end=20, score=0.99)]
    bars = media_terminal.timeline(parts, 20.0, "en").split("|")[1]
    assert bars == "▁" * 15 + " " * 15 + "█" * 30


def test_no_file_at_all_is_said():
    assert shown([]) == "No file could be examined.\n"


def test_one_finding_from_the_store_is_told_like_a_verdict():
    out = Console(file=io.StringIO(), width=80, markup=False, emoji=False)
    finding = found(limits=(NOISY,))
    case = Case(finding=finding, stored=finding.start, decision=None, suppressed_by=())
    cases.show_one(case, [finding], [], Site(name="Mairie"), out, "en")
    text = out.file.getvalue()
    for said in ("How sure: score 0.84", "Too noisy.", "Timeline", "6 of 117", "No signed"):
        assert said in text
    assert "normal:" not in text  # a recording has no usual value
