"""`cyberterr findings` and `scan` on a cluster: the genuine server, as people call it."""

from __future__ import annotations

import csv
import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cyberterr.cli import main
from cyberterr.config import Settings, load
from cyberterr.contracts.finding import Finding, Severity
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.templates import install
from cyberterr.pipeline.findings import open_store
from cyberterr.store.elastic import ElasticStore

Make = Callable[..., Finding]
TOWN_HALL = Path(__file__).parents[1] / "data" / "town_hall.pcapng"


@pytest.fixture
def home(elasticsearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose settings name the cluster, with streams of its own."""
    namespace = f"t{secrets.token_hex(4)}"
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    settings = f'[elastic]\nurl = "{elasticsearch.url}"\nnamespace = "{namespace}"\n'
    (tmp_path / "settings.toml").write_text(settings)
    cluster = connect(load().elastic)
    install(cluster, Settings(elastic=load().elastic))
    cluster.close()
    return tmp_path


@pytest.fixture
def call(elasticsearch, home: Path) -> Callable[..., Result]:
    """Run the program on the cluster."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(main, [*map(str, words), "--store", elasticsearch.url])

    return run


@pytest.fixture
def beacon(home: Path, finding: Make) -> Finding:
    """A finding in the cluster, beside a scan that is less severe."""
    site = load().elastic
    with ElasticStore(connect(site), home / "cyberterr.db", site) as store:
        scan = finding(rule="scan", family="scan", actor="10.0.0.9", severity=Severity.LOW)
        store.put([finding(), scan])
    return finding()


def test_findings_are_listed_shown_decided_and_exported(
    call: Callable[..., Result], beacon: Finding, home: Path
):
    listed = call("findings", "list")
    assert listed.exit_code == 0, listed.output
    assert listed.stdout.index("HIGH") < listed.stdout.index("CONTEXT")

    decided = call("findings", "decide", beacon.id[:8], "benign", "--reason", "backup")
    assert decided.exit_code == 0, decided.output
    shown = call("findings", "show", beacon.id[:8], "--format", "json")
    assert json.loads(shown.stdout)["cyberterr"]["decision"]["verdict"] == "benign"
    undecided = call("findings", "list", "--undecided", "--format", "json").stdout.splitlines()
    assert [json.loads(line)["rule"]["id"] for line in undecided] == ["scan"]

    file = home / "findings.csv"
    exported = call("findings", "export", "--format", "csv", "-o", file)
    assert exported.exit_code == 0, exported.output
    with file.open(encoding="utf-8-sig", newline="") as lines:
        assert len(list(csv.reader(lines, delimiter=";"))) == 3


def test_a_false_positive_hides_what_is_like_it_until_that_is_lifted(
    call: Callable[..., Result], beacon: Finding
):
    how = ("--reason", "backup", "--suppress", "--days", "30")
    made = call("findings", "decide", beacon.id[:8], "false_positive", *how)
    assert "1 of the findings kept now" in made.output
    assert len(call("findings", "list", "--format", "json").stdout.splitlines()) == 1

    listed = call("findings", "suppressions", "list", "--format", "json").stdout
    assert json.loads(listed)["hides"] == 1
    lifted = call("findings", "suppressions", "remove", json.loads(listed)["id"])
    assert lifted.exit_code == 0, lifted.output
    assert len(call("findings", "list", "--format", "json").stdout.splitlines()) == 2


def test_a_scan_keeps_its_findings_in_the_cluster(call: Callable[..., Result]):
    first = call("scan", TOWN_HALL, "--format", "json")
    assert first.exit_code == 0, first.output
    found = sorted(json.loads(line)["event"]["id"] for line in first.stdout.splitlines())
    listed = call("findings", "list", "--format", "json").stdout.splitlines()
    assert found
    assert sorted(json.loads(line)["event"]["id"] for line in listed) == found
    call("scan", TOWN_HALL, "--format", "json")
    assert len(call("findings", "list", "--format", "json").stdout.splitlines()) == len(found)


def test_what_a_scan_found_while_the_cluster_was_away_comes_in_with_the_next(
    call: Callable[..., Result], home: Path
):
    away = ["scan", str(TOWN_HALL), "--format", "json", "--store", "http://127.0.0.1:9"]
    missed = CliRunner().invoke(main, away)
    assert missed.exit_code == 5
    found = sorted(json.loads(line)["event"]["id"] for line in missed.stdout.splitlines())
    assert f"{len(found)} findings wait in {home / 'cyberterr.db.spool'}" in missed.stderr
    call("scan", TOWN_HALL, "--format", "json")
    listed = call("findings", "list", "--format", "json").stdout.splitlines()
    assert sorted(json.loads(line)["event"]["id"] for line in listed) == found
    assert (home / "cyberterr.db.spool").read_bytes() == b""


@pytest.mark.parametrize("into", ["the cluster", "the local store"])
def test_decisions_taken_in_kibana_are_pulled_and_are_at_the_cluster_at_once(
    call: Callable[..., Result], beacon: Finding, into: str
):
    """No Kibana runs here: the alert is a document of the shape that Elastic documents."""
    space = f"t{secrets.token_hex(4)}"
    index = f".alerts-security.alerts-{space}"
    cluster = connect(load().elastic)
    keyword, date = {"type": "keyword"}, {"type": "date"}
    names = ("uuid", "workflow_status", "workflow_reason", "original_event.dataset")
    mapping = {f"kibana.alert.{name}": keyword for name in (*names, "original_event.id")}
    mapping["kibana.alert.workflow_status_updated_at"] = date
    body = {"settings": {"index.hidden": True}, "mappings": {"properties": mapping}}
    cluster.ask(Request("PUT", f"/{index}", body))
    for number, reason in enumerate(("false_positive", "duplicate")):
        alert = {
            "kibana.alert.uuid": f"{number}",
            "kibana.alert.workflow_status": "closed",
            "kibana.alert.workflow_reason": reason,
            "kibana.alert.workflow_status_updated_at": "2026-03-14T12:00:00.000Z",
            "kibana.alert.original_event.id": beacon.id,
            "kibana.alert.original_event.dataset": "cyberterr.finding",
        }
        cluster.ask(Request("PUT", f"/{index}/_doc/{number}", alert, {"refresh": "true"}))
    try:
        if into == "the cluster":
            pulled = call("findings", "pull", "--space", space)
        else:
            with open_store() as local:
                local.put([beacon])
            pulled = CliRunner().invoke(main, ["findings", "pull", "--space", space])
            cluster.ask(Request("POST", f"/logs-cyberterr.*-{load().elastic.namespace}/_refresh"))
    finally:
        cluster.ask(Request("DELETE", f"/{index}"))
        cluster.close()
    assert pulled.exit_code == 0, pulled.output
    assert "1 new decisions" in pulled.stderr
    assert "1 alerts were closed with the reason duplicate, which is no verdict" in pulled.stderr
    shown = call("findings", "show", beacon.id[:8], "--format", "json")
    assert json.loads(shown.stdout)["cyberterr"]["decision"]["verdict"] == "false_positive"


def test_a_cluster_that_is_not_there_is_exit_code_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    nobody = ["findings", "list", "--store", "http://127.0.0.1:9"]
    result = CliRunner().invoke(main, nobody)
    assert result.exit_code == 5
    assert "cannot be reached" in result.stderr


def test_plain_http_to_another_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    (tmp_path / "settings.toml").write_text(
        '[elastic]\nurl = "https://elastic.example:9200"\nallow_http = true\n'
    )
    result = CliRunner().invoke(main, ["findings", "list", "--store", "http://10.20.0.5:9200"])
    assert result.exit_code == 2
    assert "plain http" in result.stderr


def test_a_decision_made_in_the_local_store_is_at_the_cluster_at_once(
    call: Callable[..., Result], home: Path
):
    def here(*words: object) -> Result:
        return CliRunner().invoke(main, list(map(str, words)))

    scanned = here("scan", TOWN_HALL, "--quiet", "--format", "json")
    first = json.loads(scanned.stdout.splitlines()[0])["event"]["id"]
    decided = here("findings", "decide", first, "true_positive", "--reason", "seen")
    assert (decided.exit_code, decided.stderr.strip()) == (0, "decided")
    cluster = connect(load().elastic)
    cluster.ask(Request("POST", f"/logs-cyberterr.*-{load().elastic.namespace}/_refresh"))
    listed = call("findings", "list", "--decided", "--format", "json")
    [document] = map(json.loads, listed.stdout.splitlines())
    assert document["event"]["id"] == first
    assert document["cyberterr"]["decision"]["reason"] == "seen"


def test_a_scan_into_the_cluster_leaves_there_what_it_read_in_numbers(
    call: Callable[..., Result], home: Path
):
    assert call("scan", TOWN_HALL, "--quiet").exit_code == 0
    settings = load().elastic
    [[hit]] = connect(settings).pages(f"logs-cyberterr.health-{settings.namespace}", {})
    run = hit["_source"]["cyberterr"]["run"]
    assert run["packets"] > 1000
    assert run["findings"] == 8
