from __future__ import annotations

import csv
import datetime as dt
import io
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from cyberterr.config import Elastic, Settings
from cyberterr.contracts.finding import Finding, Text
from cyberterr.contracts.store import Case, Query
from cyberterr.errors import UsageError
from cyberterr.pipeline import export, findings
from cyberterr.store.sqlite import SqliteStore

NOW = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
Make = Callable[..., Finding]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "cyberterr.db") as opened:
        yield opened


def call_false(store: SqliteStore, finding: Finding, **how: object) -> None:
    findings.decide(
        store, finding.id, "false_positive", reason="backup", author="a.martin", now=NOW, **how
    )


def test_a_suppression_hides_old_and_new_findings_and_counts_them(
    store: SqliteStore, finding: Make
):
    store.put([finding(), finding(victim="203.0.113.9"), finding(rule="scan")])
    call_false(store, finding(), days=30, scope=("rule", "actor"))
    store.put([finding(victim="203.0.113.10")])
    shown = findings.listing(store, Query(), NOW)
    assert [case.finding.rule for case in shown.cases] == ["scan"]
    assert (shown.hidden, shown.suppressions) == (3, 1)
    everything = findings.listing(store, Query(), NOW, include_suppressed=True)
    assert len(everything.cases) == 4
    assert (everything.hidden, everything.suppressions) == (3, 1)
    later = findings.listing(store, Query(), NOW + dt.timedelta(days=31))
    assert (len(later.cases), later.hidden) == (4, 0)


def test_a_scan_that_just_ended_shows_what_is_not_suppressed(store: SqliteStore, finding: Make):
    store.put([finding()])
    call_false(store, finding(), days=30)
    other = finding(actor="10.0.0.2")
    shown = findings.visible(store, [other, finding()], NOW)
    assert [case.finding for case in shown.cases] == [other]
    assert shown.hidden == 1


def test_a_suppression_that_may_not_be_leaves_no_decision_behind(store: SqliteStore, finding: Make):
    store.put([finding()])
    with pytest.raises(UsageError, match="cannot last"):
        call_false(store, finding(), days=1000)
    assert store.decisions(finding().id) == []


def test_an_id_may_be_shortened_as_long_as_it_is_clear(store: SqliteStore, finding: Make):
    store.put([finding(id="abc1"), finding(id="abc2"), finding(id="abc")])
    assert findings.resolve(store, "abc2") == "abc2"
    assert findings.resolve(store, "abc") == "abc"
    with pytest.raises(UsageError, match="more than one finding begins with 'ab'"):
        findings.resolve(store, "ab")
    for nothing in ("x", ""):
        with pytest.raises(UsageError, match="no finding has the id"):
            findings.resolve(store, nothing)


def test_the_default_store_is_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    assert findings.open_store().path == tmp_path / "cyberterr.db"
    assert findings.open_store("sqlite:////var/lib/x.db").path == Path("/var/lib/x.db")
    assert findings.open_store("sqlite:///x.db").path == Path("x.db")


def test_the_default_store_sends_on_what_the_settings_say_and_no_other_does():
    site = Settings(elastic=Elastic(url="https://elastic.example:9200/"))
    assert findings.open_store(None, site).forward.target == "https://elastic.example:9200"
    assert findings.open_store().forward is None
    assert findings.open_store("sqlite:///x.db", site).forward is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://elastic.example/path", "no address of a cluster"),
        ("https://a.martin:secret@elastic.example", "no address of a cluster"),
        ("https://elastic.example:port", "no address of a cluster"),
        ("http://elastic.example:9200", "plain http"),
        ("sqlite:///", "no store"),
        ("/tmp/x.db", "no store"),
    ],
)
def test_a_store_we_cannot_open_is_a_usage_error(url: str, words: str):
    with pytest.raises(UsageError, match=words):
        findings.open_store(url)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://elastic.example:9200", True),
        ("https://ELASTIC.example:9200/", True),
        ("https://elastic.example", False),
        ("https://elastic.example:9201", False),
        ("https://elastic.example.evil:9200", False),
        ("http://elastic.example:9200", False),
    ],
)
def test_who_we_are_is_told_to_our_own_cluster_only(url: str, same: bool):
    ours = Elastic(
        url="https://elastic.example:9200", api_key_file="/key", allow_http=True, namespace="lyon"
    )
    wanted = ours if same else Elastic(url=url, namespace="lyon")
    assert findings.access(url, ours) == wanted


def test_the_ecs_document_carries_the_decision(store: SqliteStore, finding: Make):
    store.put([finding()])
    call_false(store, finding())
    document = findings.document(store.find(Query())[0])
    assert document["event"]["id"] == finding().id
    assert document["cyberterr"]["decision"] == {
        "verdict": "false_positive",
        "reason": "backup",
        "author": "a.martin",
        "time": "2026-03-14T12:00:00Z",
    }


@pytest.mark.parametrize("hostile", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_a_spreadsheet_computes_nothing_that_an_attacker_wrote(finding: Make, hostile: str):
    case = Case(finding=finding(scope=hostile, title=Text(hostile, hostile)), stored=NOW)
    [row] = csv.DictReader(io.StringIO(export.export([case], "csv"), newline=""))
    assert row["scope"] == row["title_en"] == f"'{hostile}"
    assert row["severity"] == "73"
    assert row["actor"] == "10.20.4.14"


def test_exports_in_json_can_be_read_again(finding: Make):
    case = Case(finding=finding(), stored=NOW)
    assert msgspec.json.decode(export.export([case], "json"), type=list[Case]) == [case]
    lines = export.export([case, case], "ndjson-ecs").splitlines()
    assert [json.loads(line)["event"]["id"] for line in lines] == [finding().id] * 2


def test_an_export_is_whole_and_private(tmp_path: Path):
    target = tmp_path / "out.csv"
    export.write(target, "text")
    assert target.read_text() == "text"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    with pytest.raises(UsageError, match="cannot be written"):
        export.write(tmp_path / "nowhere" / "out.csv", "text")
