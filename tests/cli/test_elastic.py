"""`cyberterr elastic` as people call it, against a genuine server; Kibana is a recording double."""

from __future__ import annotations

import datetime as dt
import json
import re
import secrets
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cyberterr.cli.elastic import elastic
from cyberterr.config import Elastic
from cyberterr.contracts.documents import of_finding
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.identity import API_KEY
from cyberterr.pipeline.elastic_setup import ADMIN_KEY
from cyberterr.store import outbox
from cyberterr.store.connection import opened
from tests.elastic.kibana import CONFLICT, a_kibana, file_of

NOW = dt.datetime.now(dt.UTC)
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    for variable in (API_KEY, ADMIN_KEY):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def configured(home):
    """Write `[elastic]` of this home."""

    def write(**keys: object) -> None:
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in keys.items()]
        (home / "settings.toml").write_text("[elastic]\n" + "".join(lines))

    return write


@pytest.fixture
def namespace() -> str:
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def on_cluster(elasticsearch, configured, namespace) -> str:
    configured(url=elasticsearch.url, namespace=namespace)
    return elasticsearch.url


def run(*words: object) -> Result:
    return CliRunner().invoke(elastic, [str(word) for word in words])


def wait_for(home: Path, target: str, *documents) -> None:
    with opened(home / "cyberterr.db") as db:
        outbox.queue(db, target, documents, NOW)


def secret_file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_dry_run_prints_every_request_and_needs_no_cluster(configured):
    configured(url=NOBODY, namespace="mairie")
    result = run("setup", "--dry-run", "--kibana", "https://kibana.mairie.example:5601")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    requests = [line for line in lines if re.match(r"(GET|PUT|POST|DELETE) ", line)]
    streams = ",".join(f"logs-cyberterr.{name}-*" for name in ("finding", "decision", "notice"))
    assert requests == [
        "PUT /_component_template/cyberterr@mappings",
        "PUT /_component_template/cyberterr@settings",
        "PUT /_index_template/logs-cyberterr",
        "PUT /_index_template/logs-cyberterr.health",
        "PUT /logs-cyberterr.*-*/_mapping?write_index_only=true",
        f"PUT /_data_stream/{streams}/_lifecycle",
        "PUT /_data_stream/logs-cyberterr.health-*/_lifecycle",
        "POST /_security/api_key",
        "POST /_security/api_key",
        "POST /_security/api_key",
        "POST https://kibana.mairie.example:5601/api/saved_objects/_import?overwrite=true",
        "POST https://kibana.mairie.example:5601/api/detection_engine/rules/_import?overwrite=true",
    ]
    assert "logs-cyberterr.*-mairie" in result.stdout
    assert '"rule_id":"cyberterr-findings"' in result.stdout


def test_set_up_says_what_it_did_and_changes_nothing_the_second_time(on_cluster):
    run("setup")
    result = run("setup")
    assert result.exit_code == 0, result.output
    assert "unchanged  component cyberterr@mappings" in result.stdout
    assert "unchanged  template logs-cyberterr" in result.stdout
    assert "created  " not in result.stdout
    assert "--create-keys" in result.stdout


@pytest.mark.parametrize("command", ["setup", "status", "replay"])
def test_without_a_cluster_the_setting_is_named(home, command):
    result = run(command)
    assert result.exit_code == 2
    assert "[elastic]" in result.stderr


def test_set_up_of_a_cluster_that_is_down_ends_with_5(configured):
    configured(url=NOBODY)
    result = run("setup")
    assert result.exit_code == 5
    assert "cannot be reached" in result.stderr


def test_an_authority_over_plain_http_is_a_contradiction_that_is_said(configured):
    configured(url=NOBODY, ca="/etc/cyberterr/ca.pem")
    result = run("setup")
    assert result.exit_code == 2
    assert "mean nothing over http" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--admin-key-file", "k", "--admin-user", "a", "--admin-password-file", "p"),
        ("--admin-user", "a"),
        ("--admin-password-file", "p"),
    ],
)
def test_an_administrator_who_is_half_named_is_a_usage_error(configured, words):
    configured(url=NOBODY)
    assert run("setup", *words).exit_code == 2


@pytest.fixture
def secured(secured_elasticsearch, configured, home, namespace):
    """A sensor's home on the secured server, and the options that name its administrator."""
    configured(url=secured_elasticsearch.url, ca=str(secured_elasticsearch.ca), namespace=namespace)
    name, password = secured_elasticsearch.admin
    file = secret_file(home / "password", password)
    return ("--admin-user", name, "--admin-password-file", file)


def test_keys_are_made_by_the_administrator_and_work(
    secured, secured_elasticsearch, configured, home, namespace, finding
):
    result = run("setup", "--create-keys", home / "keys", *secured)
    assert result.exit_code == 0, result.output
    sensor = home / "keys" / f"cyberterr-sensor-{namespace}.key"
    assert sensor.stat().st_mode & 0o777 == 0o600
    assert (home / "keys").stat().st_mode & 0o777 == 0o700
    encoded = sensor.read_text().strip()
    for secret in (encoded, secured_elasticsearch.admin[1]):
        assert secret not in result.output
    configured(
        url=secured_elasticsearch.url,
        ca=str(secured_elasticsearch.ca),
        namespace=namespace,
        api_key_file=str(sensor),
    )
    wait_for(home, secured_elasticsearch.url, of_finding(finding()))
    sent = run("replay")
    assert (sent.exit_code, sent.stderr) == (0, "1 sent, 0 waiting\n")
    known = run("status")
    assert known.exit_code == 0, known.output
    assert re.search(r"link +works", known.stdout)
    assert re.search(r"templates +cannot be seen", known.stdout)
    assert encoded not in known.output


def test_keys_that_are_there_are_left(secured, home, namespace):
    (home / "keys").mkdir()
    mine = secret_file(home / "keys" / f"cyberterr-sensor-{namespace}.key", "mine")
    result = run("setup", "--create-keys", home / "keys", *secured)
    assert result.exit_code == 0, result.output
    assert f"unchanged  {mine}" in result.stdout
    assert mine.read_text() == "mine"
    assert len(list((home / "keys").iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_a_usage_error_and_no_key_is_made(secured, home):
    (home / "keys").write_text("a file")
    result = run("setup", "--create-keys", home / "keys" / "deeper", *secured)
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_an_api_key_that_may_all_sets_up_but_cannot_make_keys_and_that_is_said(
    secured, secured_elasticsearch, home, monkeypatch
):
    everything = {"cluster": ["all"], "indices": [{"names": ["*"], "privileges": ["all"]}]}
    settings = Elastic(
        url=secured_elasticsearch.url,
        ca=str(secured_elasticsearch.ca),
        user=secured[1],
        password_file=str(secured[3]),
    )
    body = {"name": "all", "role_descriptors": {"all": everything}}
    key = connect(settings).ask(Request("POST", "/_security/api_key", body))["encoded"]
    monkeypatch.setenv(ADMIN_KEY, key)
    assert run("setup").exit_code == 0
    result = run("setup", "--create-keys", home / "keys")
    assert result.exit_code == 5
    assert "an API key cannot create API keys" in result.stderr
    assert "--admin-user" in result.stderr
    assert key not in result.output
    assert list((home / "keys").iterdir()) == []


def test_dashboards_and_the_rule_are_imported_as_kibana_documents_it(on_cluster, home):
    key = secret_file(home / "admin.key", "YWRtaW4=")
    with a_kibana() as (url, asked):
        result = run("setup", "--kibana", url, "--space", "soc", "--admin-key-file", key)
    assert result.exit_code == 0, result.output
    assert "8 objects into Kibana, space soc" in result.stdout
    assert [path for path, _, _ in asked] == [
        "/s/soc/api/saved_objects/_import?overwrite=true",
        "/s/soc/api/detection_engine/rules/_import?overwrite=true",
    ]
    for _, headers, _ in asked:
        assert headers["kbn-xsrf"]
        assert headers["authorization"] == "ApiKey YWRtaW4="
    objects, rules = [file_of(headers, body) for _, headers, body in asked]
    assert {"dashboard", "index-pattern"} <= {entry["type"] for entry in objects}
    assert [rule["rule_id"] for rule in rules] == ["cyberterr-findings"]
    assert "YWRtaW4=" not in result.output


def test_what_kibana_does_not_take_is_said_and_ends_with_5(on_cluster):
    with a_kibana(objects=(200, CONFLICT)) as (url, _):
        result = run("setup", "--kibana", url)
    assert result.exit_code == 5, result.output
    assert "refused 1: cyberterr-triage: missing_references" in result.stderr


def test_opensearch_gets_no_dashboards_and_no_keys(configured):
    configured(url=NOBODY, flavour="opensearch")
    result = run("setup", "--kibana", NOBODY)
    assert result.exit_code == 2
    assert "leave out --kibana" in result.stderr
    printed = run("setup", "--dry-run").stdout
    assert "PUT /_component_template/cyberterr@custom" in printed
    assert "api_key" not in printed


def test_opensearch_is_set_up_fed_and_watched_all_the_same(
    own_opensearch, configured, home, namespace, finding
):
    configured(url=own_opensearch.url, flavour="opensearch", namespace=namespace)
    result = run("setup")
    assert result.exit_code == 0, result.output
    assert "component cyberterr@custom" in result.stdout
    assert "ISM policy" in result.stderr
    wait_for(home, own_opensearch.url, of_finding(finding()))
    assert run("replay").stderr == "1 sent, 0 waiting\n"
    assert run("status").exit_code == 0


def test_an_opensearch_that_is_taken_for_elasticsearch_is_named(own_opensearch, configured):
    configured(url=own_opensearch.url)
    for command in ("setup", "status"):
        result = run(command)
        assert result.exit_code == 5
        assert "OpenSearch" in result.stderr


def test_status_is_0_where_all_is_well(on_cluster):
    run("setup")
    result = run("status")
    assert result.exit_code == 0, result.output
    assert re.search(r"waiting +0 documents", result.stdout)
    assert result.stderr == ""


def test_status_says_in_words_what_is_wrong_and_ends_with_5(configured, home, finding):
    configured(url=NOBODY)
    wait_for(home, NOBODY, of_finding(finding()))
    assert run("replay").exit_code == 5
    result = run("status")
    assert result.exit_code == 5
    assert "1 documents" in result.stdout
    assert f"the oldest since {NOW:%Y-%m-%d %H:%M} UTC" in result.stdout
    assert "next try" in result.stdout
    assert "warning: the link does not work" in result.stderr
    assert "warning: sending fails: the cluster cannot be reached" in result.stderr
    facts = json.loads(run("status", "--format", "json").stdout)
    assert (facts["ok"], facts["waiting"], facts["last_error"]["kind"]) == (False, 1, "weather")


def test_status_says_that_a_key_may_not_send(secured, secured_elasticsearch, configured, home):
    run("setup", "--create-keys", home / "keys", *secured)
    configured(
        url=secured_elasticsearch.url,
        ca=str(secured_elasticsearch.ca),
        namespace="elsewhere",
        api_key_file=str(next((home / "keys").glob("cyberterr-sensor-*"))),
    )
    result = run("status")
    assert result.exit_code == 5
    assert "may not add documents to logs-cyberterr.*-elsewhere" in result.stderr


def test_a_replay_sends_all_that_waits(on_cluster, home, finding):
    made = [of_finding(finding(actor=f"10.0.0.{number}")) for number in range(200)]
    wait_for(home, on_cluster, *made)
    result = run("replay")
    assert (result.exit_code, result.stderr) == (0, "200 sent, 0 waiting\n")


def test_a_long_replay_says_how_far_it_is(on_cluster, home, finding, monkeypatch):
    monkeypatch.setattr("cyberterr.pipeline.elastic.TELL_EVERY_S", 0.0)
    wait_for(home, on_cluster, of_finding(finding()))
    assert run("replay").stderr == "1 waiting\n0 waiting\n1 sent, 0 waiting\n"


def test_a_replay_to_a_cluster_that_is_down_says_so_and_loses_nothing(configured, home, finding):
    configured(url=NOBODY)
    wait_for(home, NOBODY, of_finding(finding()))
    result = run("replay")
    assert result.exit_code == 5
    assert "0 sent, 1 waiting" in result.stderr
    assert "cannot be reached" in result.stderr


def test_what_waits_for_a_former_cluster_goes_to_this_one(on_cluster, home, finding):
    wait_for(home, "https://former.example:9200", of_finding(finding()))
    told = run("status")
    assert told.exit_code == 5
    assert "elastic replay --from https://former.example:9200" in told.stderr
    wrong = run("replay", "--from", "https://never.example:9200")
    assert wrong.exit_code == 2
    assert "https://former.example:9200" in wrong.stderr
    result = run("replay", "--from", "https://former.example:9200/")
    assert (result.exit_code, result.stderr) == (0, "1 sent, 0 waiting\n")
    assert run("status").exit_code == 0


def test_the_outbox_is_that_of_a_local_store(on_cluster):
    result = run("replay", "--store", "https://elastic.example:9200")
    assert result.exit_code == 2
    assert "sqlite:///PATH" in result.stderr


@pytest.fixture
def dead(on_cluster, home, finding):
    """One document that the mapping refuses."""
    run("setup")
    document = of_finding(finding())
    document.body["source"]["ip"] = "printer\x1b[2J"
    wait_for(home, on_cluster, document)
    result = run("replay")
    assert (result.exit_code, result.stderr) == (0, "0 sent, 1 refused for good, 0 waiting\n")
    return document


def test_dead_letters_are_listed_with_the_servers_reason(dead):
    result = run("dead-letters", "list")
    assert result.exit_code == 0
    assert dead.id in result.stdout
    assert "source.ip" in result.stdout
    assert "\x1b" not in result.stdout
    [line] = run("dead-letters", "list", "--format", "json").stdout.splitlines()
    assert json.loads(line)["dataset"] == "cyberterr.finding"
    told = run("status")
    assert told.exit_code == 5
    assert "dead-letters list" in told.stderr


def test_dead_letters_are_exported_with_their_documents(dead, tmp_path):
    target = tmp_path / "letters.ndjson"
    assert run("dead-letters", "export", "-o", target).exit_code == 0
    assert target.stat().st_mode & 0o777 == 0o600
    [line] = target.read_text().splitlines()
    assert json.loads(line)["document"]["event"]["id"] == dead.body["event"]["id"]


def test_dead_letters_are_sent_again_when_asked(dead):
    result = run("dead-letters", "retry", dead.id)
    assert (result.exit_code, result.stderr) == (0, "1 are sent again\n")
    assert "1 refused for good" in run("replay").stderr
    assert run("dead-letters", "retry").stderr == "1 are sent again\n"
    unknown = run("dead-letters", "retry", "nonsense")
    assert unknown.exit_code == 2
    assert "'nonsense'" in unknown.stderr
