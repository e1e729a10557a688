from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from cyberterr.cli.findings import findings
from cyberterr.cli.options import debug_option, handle_errors
from cyberterr.contracts.finding import Finding, Severity, Text
from cyberterr.contracts.store import Query
from cyberterr.store.sqlite import SqliteStore

Make = Callable[..., Finding]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finding: Make) -> Path:
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    with SqliteStore(tmp_path / "cyberterr.db") as store:
        store.put(
            [
                finding(),
                finding(rule="scan", family="scan", actor="10.0.0.9", severity=Severity.LOW),
            ]
        )
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(findings, words)


def call_false(finding: Finding, *more: str) -> Result:
    return run(
        "decide", finding.id[:8], "false_positive", "--reason", "backup", "--author", "a", *more
    )


def test_the_list_is_worst_first_with_what_is_still_open(home: Path):
    result = run("list")
    assert result.exit_code == 0, result.output
    assert result.stdout.index("HIGH") < result.stdout.index("CONTEXT")
    assert "A PC calls a server every minute" in result.stdout
    assert "open" in result.stdout
    assert result.stderr == ""


def test_the_list_speaks_french(home: Path):
    result = run("list", "--lang", "fr")
    assert "Un PC appelle un serveur" in result.stdout
    assert "à décider" in result.stdout


def test_an_empty_store_says_so(tmp_path: Path):
    result = run("list", "--store", f"sqlite:///{tmp_path}/new.db")
    assert result.exit_code == 0
    assert result.stdout == "No finding matches.\n"


def test_json_is_one_ecs_document_a_line(home: Path, finding: Make):
    call_false(finding())
    lines = [json.loads(line) for line in run("list", "--format", "json").stdout.splitlines()]
    assert [line["event"]["severity"] for line in lines] == [73, 21]
    assert lines[0]["cyberterr"]["decision"]["verdict"] == "false_positive"


@pytest.mark.parametrize(
    ("filters", "severities"),
    [
        (["--severity", "medium"], [73]),
        (["--family", "scan"], [21]),
        (["--address", "10.0.0.9"], [21]),
        (["--since", "2026-03-14T09:12:01"], []),
        (["--since", "2026-03-14"], [73, 21]),
        (["--since", "0h"], []),
        (["--decided"], []),
        (["--undecided"], [73, 21]),
    ],
)
def test_filters_narrow_the_list(home: Path, filters: list[str], severities: list[int]):
    result = run("list", "--format", "json", *filters)
    assert result.exit_code == 0, result.output
    shown = [json.loads(line)["event"]["severity"] for line in result.stdout.splitlines()]
    assert shown == severities


def test_a_time_that_is_none_is_a_usage_error(home: Path):
    result = run("list", "--since", "yesterday-ish")
    assert result.exit_code == 2
    assert "say 24h, 7d" in result.stderr


def test_an_address_is_found_however_it_is_spelt(home: Path, finding: Make):
    with SqliteStore(home / "cyberterr.db") as store:
        store.put([finding(actor="2001:db8::1")])
    result = run("list", "--format", "json", "--address", "2001:0DB8::0001")
    assert json.loads(result.stdout)["source"]["ip"] == "2001:db8::1"
    assert run("list", "--address", "printer").exit_code == 2


def test_show_tells_all_that_a_person_needs(home: Path, finding: Make):
    with SqliteStore(home / "cyberterr.db") as store:
        store.put([finding(score=0.9)])
    call_false(finding())
    result = run("show", finding().id[:8])
    assert result.exit_code == 0, result.output
    for words in (
        "It called 60 times, 60 s apart.",
        "calls: 60 (normal, at most: 10)",
        "a program that checks mail [applies here]",
        "what was said: it is encrypted",
        "ask who uses the PC",
        "false positive  a: backup",
        "1: high, 0.8",
        "2: high, 0.9",
        "T1071",
        finding().id,
    ):
        assert words in result.stdout


def test_an_id_that_is_none_is_a_usage_error(home: Path):
    result = run("show", "zzz")
    assert result.exit_code == 2
    assert result.stderr == "cyberterr: no finding has the id 'zzz'\n  cyberterr findings list\n"


def test_a_false_positive_becomes_a_suppression_that_every_listing_counts(
    home: Path, finding: Make
):
    result = call_false(finding(), "--suppress", "--days", "90", "--scope", "rule,actor")
    assert result.exit_code == 0, result.output
    assert "rule=beacon actor=10.20.4.14" in result.stderr
    assert "1 of the findings kept now" in result.stderr
    listed = run("list")
    assert "A PC calls a server" not in listed.stdout.split("CONTEXT")[0]
    assert "1 hidden by 1 suppression" in listed.stderr
    everything = run("list", "--all")
    assert "suppressed by" in everything.stdout
    assert "1 hidden by 1 suppression" in everything.stderr
    [line] = run("suppressions", "list", "--format", "json").stdout.splitlines()
    assert json.loads(line)["hides"] == 1
    assert "rule=beacon actor=10.20.4.14" in run("suppressions", "list").stdout
    assert run("suppressions", "remove", json.loads(line)["id"]).exit_code == 0
    assert "hidden" not in run("list").stderr
    assert run("suppressions", "remove", "gone").exit_code == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--suppress"], "must expire"),
        (["--days", "3"], "belong to --suppress"),
        (["--suppress", "--days", "401"], "401 days"),
        (["--suppress", "--days", "3", "--scope", "port"], "hide too much"),
    ],
)
def test_a_suppression_that_may_not_be_is_refused(
    home: Path, finding: Make, more: list[str], words: str
):
    result = call_false(finding(), *more)
    assert result.exit_code == 2
    assert words in result.stderr
    with SqliteStore(home / "cyberterr.db") as store:
        assert store.decisions(finding().id) == []
        assert store.suppressions() == []


def test_the_user_of_the_system_decides_unless_named(home: Path, finding: Make, monkeypatch):
    monkeypatch.setenv("LOGNAME", "b.durand")
    run("decide", finding().id[:8], "benign", "--reason", "known")
    with SqliteStore(home / "cyberterr.db") as store:
        assert store.find(Query(decided=True))[0].decision.author == "b.durand"


def test_an_export_leaves_out_what_is_suppressed_and_says_so(
    home: Path, tmp_path: Path, finding: Make
):
    call_false(finding(), "--suppress", "--days", "90")
    target = tmp_path / "out.csv"
    result = run("export", "--format", "csv", "-o", str(target))
    assert result.exit_code == 0, result.output
    assert len(target.read_text().splitlines()) == 2
    assert "1 hidden by 1 suppression" in result.stderr


def test_hostile_names_neither_steer_the_terminal_nor_are_markup(home: Path, finding: Make):
    hostile = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] \u202egpj.exe"
    bad = finding(actor="10.0.0.66", title=Text(hostile, hostile), scope=hostile, rule=hostile)
    with SqliteStore(home / "cyberterr.db") as store:
        store.put([bad])
    for output in (run("list").output, run("show", bad.id).output):
        assert "\x1b" not in output
        assert "\u202e" not in output
        assert "[bold red]x[/]" in output


@pytest.mark.parametrize("url", ["https://elastic.example/path", "mysql://x"])
def test_a_store_we_cannot_open_is_a_usage_error(url: str):
    result = run("list", "--store", url)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_a_damaged_store_ends_with_5_and_words(tmp_path: Path):
    path = tmp_path / "broken.db"
    path.write_bytes(b"no database, " * 1000)
    result = run("list", "--store", f"sqlite:///{path}")
    assert result.exit_code == 5
    assert "damaged" in result.stderr
    assert "mv " in result.stderr


def test_a_reader_that_has_enough_is_no_error(home: Path):
    code = (
        "import sys; from cyberterr.cli.findings import findings;"
        "findings(['list', '--format', 'json'])"
    )
    with SqliteStore(home / "cyberterr.db") as store:
        one = store.find(Query())[0].finding
        store.put(msgspec.structs.replace(one, id=f"{i:024}") for i in range(300))
    writer = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    writer.stdout.read(10)
    writer.stdout.close()
    assert writer.stderr.read() == b""
    writer.stderr.close()
    assert writer.wait(30) == 0


@click.command()
@click.argument("kind")
@debug_option
@handle_errors
def failing(kind: str) -> None:
    raise {"defect": RuntimeError("boom\nsecond line"), "ctrl-c": KeyboardInterrupt()}[kind]


def test_a_defect_is_one_line_and_70_and_a_traceback_only_on_demand():
    result = CliRunner().invoke(failing, ["defect"])
    assert result.exit_code == 70
    assert result.stderr.count("\n") == 1
    assert "RuntimeError: boom second line" in result.stderr
    assert "Traceback" in CliRunner().invoke(failing, ["defect", "--debug"]).stderr


def test_an_interrupt_is_130_without_words():
    result = CliRunner().invoke(failing, ["ctrl-c"])
    assert (result.exit_code, result.stderr) == (130, "")
