"""The templates on a genuine server: what they keep, what they find, and who may change them."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import secrets
from typing import Any

import msgspec
import pytest

from cyberterr.config import Elastic, Retention, Settings
from cyberterr.contracts import documents
from cyberterr.contracts.documents import Document
from cyberterr.contracts.fields import FIELDS
from cyberterr.contracts.finding import Picture, Severity, Text
from cyberterr.contracts.run import Run
from cyberterr.contracts.store import Decision, Notice, Suppression
from cyberterr.elastic import templates
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.refusal import ClusterError

NOW = dt.datetime(2026, 3, 14, 9, 30, tzinfo=dt.UTC)
SETTINGS = Settings()


@pytest.fixture(scope="module")
def cluster(elasticsearch):
    connected = connect(Elastic(url=elasticsearch.url))
    templates.install(connected, SETTINGS)
    yield connected
    connected.close()


@pytest.fixture
def namespace():
    return f"t{secrets.token_hex(4)}"


def send(cluster: Cluster, namespace: str, *made: Document) -> None:
    wanted = []
    for document in made:
        body = {**document.body, "data_stream": {"type": "logs", "dataset": document.dataset}}
        body["data_stream"]["namespace"] = namespace
        body["event"] = {**document.body["event"], "ingested": "2026-03-14T09:30:00Z"}
        stream = documents.stream(document.dataset, namespace)
        wanted.append((stream, document.id, msgspec.json.encode(body)))
    outcomes = cluster.create(wanted, refresh="true")
    assert [outcome.reason for outcome in outcomes] == [""] * len(made)


def found(cluster: Cluster, namespace: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    request = Request("POST", f"/logs-cyberterr.*-{namespace}/_search", {"query": query})
    return [hit["_source"] for hit in cluster.ask(request)["hits"]["hits"]]


def every_kind(finding) -> list[Document]:
    suppression = Suppression(
        id="s1",
        finding_id="f1",
        rule="beacon",
        actor="10.0.0.1",
        victim="192.0.2.1",
        detail="update.example",
        network="10.0.0.0/8",
        port=443,
        created=NOW,
        expires=NOW,
        author="b.durand",
        reason="known",
    )
    return [
        documents.of_finding(
            finding(
                picture=Picture(kind="rate", x=(1.0, 2.0), y=(3.0, 4.0)),
                related=("10.20.4.14", "2001:db8::1"),
            )
        ),
        documents.of_decision(
            Decision(finding_id="f1", verdict="benign", reason="x", author="b.durand", time=NOW),
            finding(),
        ),
        documents.of_suppression(suppression),
        documents.of_notice(
            Notice(finding_id="f1", channel="mail", severity=Severity.HIGH, state="sent", time=NOW),
            None,
        ),
        documents.of_run(
            Run(sources=("a.pcap",), started=NOW, seconds=1.5, bytes=2**40, examined=("beacon",)),
            3,
            sensor="town-hall",
        ),
        documents.of_drop(
            time=NOW, dataset="cyberterr.finding", documents=2, size=3, oldest=NOW, why="no room"
        ),
    ]


def test_set_up_twice_changes_nothing(cluster):
    done = templates.install(cluster, SETTINGS)
    kept = [one for one in done if one.what.startswith(("component", "template"))]
    assert {one.state for one in kept} == {"unchanged"}
    assert len(kept) == 4


def test_other_retention_is_an_update_of_what_it_concerns(cluster):
    shorter = Settings(retention=Retention(findings_days=30))
    try:
        states = {one.what: one.state for one in templates.install(cluster, shorter)}
    finally:
        templates.install(cluster, SETTINGS)
    assert states["template logs-cyberterr"] == "updated"
    assert states["template logs-cyberterr.health"] == "unchanged"
    assert states["component cyberterr@mappings"] == "unchanged"


@pytest.mark.parametrize(("dataset", "kept"), [("finding", "365d"), ("health", "90d")])
def test_each_data_stream_is_kept_as_long_as_its_setting_says(cluster, dataset, kept):
    path = f"/_index_template/_simulate_index/logs-cyberterr.{dataset}-default"
    simulated = cluster.ask(Request("POST", path))["template"]
    assert simulated["lifecycle"]["data_retention"] == kept
    assert simulated["settings"]["index"]["codec"] == "best_compression"


def test_zero_days_are_one_for_a_server_that_knows_no_zero():
    never = Settings(retention=Retention(findings_days=0))
    assert templates.retention(never, "cyberterr.finding")["data_retention"] == "1d"


def version_put(cluster: Cluster, version: int) -> None:
    [_, step, *_] = templates.steps(SETTINGS)
    body = {**step.write.body, "_meta": {"managed_by": "cyberterr", "version": version}}
    cluster.ask(step.write._replace(body=body))


def test_an_upgrade_bumps_the_version_and_keeps_what_the_site_added(cluster):
    custom = "/_component_template/cyberterr@custom"
    mine = {"mappings": {"properties": {"labels": {"properties": {"town": {"type": "keyword"}}}}}}
    cluster.ask(Request("PUT", custom, {"template": mine, "_meta": {"owner": "the town"}}))
    version_put(cluster, 0)
    try:
        states = {one.what: one.state for one in templates.install(cluster, SETTINGS)}
        assert states["component cyberterr@settings"] == "updated"
        settings = cluster.ask(Request("GET", "/_component_template/cyberterr@settings"))
        meta = settings["component_templates"][0]["component_template"]["_meta"]
        assert meta["version"] == templates.VERSION
        kept = cluster.ask(Request("GET", custom))["component_templates"][0]["component_template"]
        assert (kept["template"], kept["_meta"]) == (mine, {"owner": "the town"})
        path = "/_index_template/_simulate_index/logs-cyberterr.finding-default"
        mapping = cluster.ask(Request("POST", path))["template"]["mappings"]["properties"]
        assert mapping["labels"]["properties"]["town"]["type"] == "keyword"
    finally:
        cluster.ask(Request("PUT", custom, {"template": {}}))


def test_a_newer_template_is_left_alone(cluster):
    version_put(cluster, 99)
    try:
        done = {one.what: one for one in templates.install(cluster, SETTINGS)}
        kept = done["component cyberterr@settings"]
    finally:
        version_put(cluster, templates.VERSION)
    assert kept.state == "newer"
    assert "version 99 is there" in kept.note


def test_the_version_that_is_installed_can_be_read(cluster):
    assert templates.installed(cluster) == templates.VERSION


def test_a_change_of_the_templates_needs_a_new_version():
    # Another digest: raise templates.VERSION, so that upgrades reach clusters, and write it here.
    written = json.dumps(
        [request._asdict() for request in templates.requests(SETTINGS)], sort_keys=True
    )
    known = {1: "e9347921938f1bd1", 2: "0c1509e04bbf781b"}
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == known[templates.VERSION]


def test_documents_of_every_kind_add_nothing_to_the_mapping(cluster, namespace, finding):
    made = every_kind(finding)
    send(cluster, namespace, *made)
    mapping = cluster.ask(Request("GET", f"/logs-cyberterr.*-{namespace}/_mapping"))
    mapped = [entry["mappings"]["properties"] for entry in mapping.values()]
    assert len(mapped) == len({document.dataset for document in made})
    wanted = templates.mappings("elasticsearch")["properties"]
    assert all(properties == wanted for properties in mapped)


def test_what_is_not_known_is_kept_and_refuses_no_document(cluster, namespace, finding):
    document = documents.of_finding(finding())
    document.body["cyberterr"]["finding"] |= {"new_number": 1, "new_list": [{"a": "b"}]}
    document.body["source"]["geo"] = {"city_name": "Exempleville"}
    document.body["cyberterr"]["new"] = "word"
    send(cluster, namespace, document)
    [kept] = found(cluster, namespace, {"term": {"source.geo.city_name": "Exempleville"}})
    assert kept["cyberterr"]["finding"]["new_number"] == 1
    assert found(cluster, namespace, {"term": {"cyberterr.finding.new_number": 1}}) == []


@pytest.mark.parametrize(
    "query",
    [
        {"term": {"rule.id": "beacon"}},
        {"term": {"related.ip": "203.0.113.0/24"}},
        {"term": {"threat.technique.id": "T1071"}},
        {"match": {"message": "calls"}},
        {"match": {"cyberterr.finding.title_fr": "appelle"}},
        {"term": {"cyberterr.finding.explanations.state": "holds"}},
        {"range": {"event.risk_score": {"gte": 79, "lte": 81}}},
        {
            "nested": {
                "path": "cyberterr.finding.measures",
                "query": {
                    "bool": {
                        "must": [
                            {"term": {"cyberterr.finding.measures.name": "calls"}},
                            {"range": {"cyberterr.finding.measures.value": {"gte": 60}}},
                        ]
                    }
                },
            }
        },
    ],
    ids=str,
)
def test_a_finding_is_found_by_what_it_says(cluster, namespace, finding, query):
    other = finding(
        rule="scan",
        victim="198.51.100.7",
        title=Text("Two ports", "Deux ports"),
        score=0.1,
        measures=(),
        explanations=(),
        attack=("T1046",),
    )
    mine = documents.of_finding(finding())
    send(cluster, namespace, mine, documents.of_finding(other))
    assert [hit["event"]["id"] for hit in found(cluster, namespace, query)] == [finding().id]


@pytest.fixture
def older(cluster, namespace):
    """A data stream made before our templates, with *properties* of its own."""
    name, pattern = f"older-{namespace}", f"logs-cyberterr.finding-{namespace}"

    def make(properties: dict[str, Any]) -> str:
        body = {
            "index_patterns": [pattern],
            "priority": 900,
            "data_stream": {},
            "template": {"mappings": {"properties": properties}},
        }
        cluster.ask(Request("PUT", f"/_index_template/{name}", body))
        first = json.dumps({"@timestamp": "2026-03-14T08:12:00Z"}).encode()
        [outcome] = cluster.create([(pattern, "first", first)], refresh="true")
        assert outcome.reason == ""
        return pattern

    yield make
    with contextlib.suppress(ClusterError):  # the test may have removed it
        cluster.ask(Request("DELETE", f"/_index_template/{name}"))


def severity_type(cluster: Cluster, stream: str) -> str | None:
    index = templates.write_indices(cluster)[stream]
    mapping = cluster.ask(Request("GET", f"/{index}/_mapping"))[index]["mappings"]
    severity = mapping["properties"]["event"]["properties"].get("severity", {})
    return severity.get("type")


def test_a_data_stream_that_is_there_already_gets_the_new_fields(cluster, older):
    stream = older({"event": {"properties": {"id": {"type": "keyword"}}}})
    assert severity_type(cluster, stream) is None
    templates.install(cluster, SETTINGS)
    assert severity_type(cluster, stream) == "long"


def test_a_field_of_another_type_asks_for_a_rollover_and_holds_back_nobody(
    cluster, older, namespace
):
    stream = older({"event": {"properties": {"severity": {"type": "keyword"}}}})
    [told] = [d for d in templates.install(cluster, SETTINGS) if stream in d.what]
    assert told.state == "not done"
    assert "event.severity" in told.note
    assert f"POST /{stream}/_rollover" in told.note
    cluster.ask(Request("DELETE", f"/_index_template/older-{namespace}"))
    cluster.ask(Request("POST", f"/{stream}/_rollover"))
    assert not [d for d in templates.install(cluster, SETTINGS) if stream in d.what]
    assert severity_type(cluster, stream) == "long"


def test_retention_that_a_server_cannot_change_is_said(cluster, namespace, finding):
    send(cluster, namespace, documents.of_finding(finding()))
    done = {one.what: one for one in templates.install(cluster, SETTINGS)}
    assert done["retention of findings and decisions"].state == "not done"
    assert "cannot change it" in done["retention of findings and decisions"].note


def answering(answers: dict[tuple[str, str], Any], asked: list[tuple[str, str]]) -> Cluster:
    """A cluster of recorded answers, for what the genuine server here does not have."""

    def perform(method, path, params, body, headers, timeout_s):
        del params, body, headers, timeout_s
        asked.append((method, path))
        if (method, path) not in answers:
            raise ClusterError("missing", kind="rejected", status=404)
        return answers[method, path]

    return Cluster("https://recorded", "elasticsearch", perform, lambda: None)


def test_retention_of_data_streams_that_are_there_is_written_once():
    # The shape of GET _data_stream/_lifecycle is that of Elastic's reference.
    streams = ",".join(f"logs-cyberterr.{name}-*" for name in ("finding", "decision", "notice"))
    findings = f"/_data_stream/{streams}/_lifecycle"
    health = "/_data_stream/logs-cyberterr.health-*/_lifecycle"
    lifecycle = {"enabled": True, "data_retention": "7d"}
    kept = {"name": "logs-cyberterr.finding-x", "lifecycle": lifecycle}
    index = ".ds-logs-cyberterr.finding-x-2026.03.14-000001"
    answers = {
        ("GET", "/_resolve/index/logs-cyberterr.*-*"): {
            "data_streams": [{"name": "logs-cyberterr.finding-x", "backing_indices": [index]}]
        },
        ("GET", "/logs-cyberterr.*-*/_mapping"): {
            index: {"mappings": templates.mappings("elasticsearch")}
        },
        ("GET", findings): {"data_streams": [kept]},
        ("GET", health): {"data_streams": []},
        ("PUT", findings): {"acknowledged": True},
        **{("PUT", step.write.path): {} for step in templates.steps(SETTINGS)},
    }
    asked: list[tuple[str, str]] = []
    done = {d.what: d.state for d in templates.install(answering(answers, asked), SETTINGS)}
    assert done["retention of findings and decisions"] == "updated"
    assert done["retention of health"] == "unchanged"
    assert ("PUT", findings) in asked
    lifecycle["data_retention"] = "365d"
    done = {d.what: d.state for d in templates.install(answering(answers, asked), SETTINGS)}
    assert done["retention of findings and decisions"] == "unchanged"


# Query and severity mapping of Elastic's prebuilt rule External Alerts
# (eb079c62-4481-4d6e-9643-3ca499df7aaa); what Kibana writes `and`, Lucene writes `AND`.
EXTERNAL_ALERTS = "event.kind:alert AND NOT event.module:(endgame OR endpoint OR cloud_defend)"
SEVERITIES = {21: "low", 47: "medium", 73: "high", 99: "critical"}


def test_the_rule_external_alerts_takes_up_every_alert_once(cluster, namespace, finding):
    alerts = [finding(severity=level, actor=f"10.0.0.{level}") for level in Severity]
    later = msgspec.structs.replace(alerts[0], revision=2, kind="event", windows=2)
    made = [documents.of_finding(one) for one in (*alerts, later)]
    send(cluster, namespace, *made, *made, *every_kind(finding)[1:])
    hits = found(cluster, namespace, {"query_string": {"query": EXTERNAL_ALERTS}})
    assert sorted(hit["event"]["id"] for hit in hits) == sorted(one.id for one in alerts)
    assert {hit["event"]["severity"] for hit in hits} == set(SEVERITIES)
    for hit in hits:
        assert hit["message"] == "A PC calls a server every minute"
        assert hit["event"]["risk_score"] == 80
        assert hit["event"]["ingested"] == "2026-03-14T09:30:00Z"


def test_every_field_of_the_table_is_mapped():
    def names(properties, above=""):
        for name, field in properties.items():
            yield f"{above}{name}", field.get("type")
            yield from names(field.get("properties", {}), f"{above}{name}.")

    mapped = dict(names(templates.mappings("elasticsearch")["properties"]))
    assert all(mapped[field.name] == field.type for field in FIELDS)
