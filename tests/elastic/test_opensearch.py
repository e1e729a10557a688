"""OpenSearch: the same set-up and documents through its own client, and what it does not have."""

from __future__ import annotations

import json
import secrets

import msgspec
import pytest

from cyberterr.config import Elastic, Settings
from cyberterr.contracts import documents
from cyberterr.elastic import templates
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.refusal import ClusterError


@pytest.fixture(scope="module")
def settings(own_opensearch):
    return Settings(elastic=Elastic(url=own_opensearch.url, flavour="opensearch"))


@pytest.fixture(scope="module")
def cluster(settings):
    connected = connect(settings.elastic)
    templates.install(connected, settings)
    yield connected
    connected.close()


@pytest.fixture
def stream():
    return documents.stream("cyberterr.finding", f"t{secrets.token_hex(4)}")


def event(number: int, **more: object) -> bytes:
    return json.dumps(
        {"@timestamp": "2026-03-14T08:12:00Z", "event": {"id": str(number)}, **more}
    ).encode()


def test_set_up_twice_changes_nothing_and_makes_room_for_what_the_site_adds(cluster, settings):
    done = templates.install(cluster, settings)
    assert {one.state for one in done} == {"unchanged"}
    assert "component cyberterr@custom" in [one.what for one in done]
    mine = {"settings": {"index": {"number_of_replicas": "2"}}}
    path = "/_component_template/cyberterr@custom"
    cluster.ask(Request("PUT", path, {"template": mine}))
    templates.install(cluster, settings)
    kept = cluster.ask(Request("GET", path))["component_templates"][0]["component_template"]
    assert kept["template"] == mine
    cluster.ask(Request("PUT", path, {"template": {}}))


def test_a_finding_is_created_once_and_found(cluster, stream, finding):
    document = documents.of_finding(finding())
    made = [(stream, document.id, msgspec.json.encode(document.body))]
    [first] = cluster.create(made, refresh="true")
    [again] = cluster.create(made, refresh="true")
    assert (first.status, again.status) == (201, 409)
    assert first.kind == again.kind == "delivered"
    query = {"query": {"term": {"related.ip": "203.0.113.0/24"}}}
    [[hit]] = cluster.pages(stream, query)
    assert documents.from_ecs(hit["_source"]) == finding()


def test_a_verdict_says_where_its_file_comes_from(cluster, stream):
    made = event(1, cyberterr={"provenance": {"c2pa": {"signer": "camera"}}})
    [outcome] = cluster.create([(stream, "one", made)], refresh="true")
    assert outcome.reason == ""
    query = {"query": {"term": {"cyberterr.provenance.c2pa.signer": "camera"}}}
    assert list(cluster.pages(stream, query))


def test_pages_give_every_hit_once_on_a_state_that_stands_still(cluster, stream):
    cluster.create([(stream, str(n), event(n)) for n in range(25)], refresh="true")
    pages = cluster.pages(stream, {"sort": [{"event.id": "asc"}]}, size=10)
    first = next(pages)
    cluster.create([(stream, "later", event(99))], refresh="true")
    rest = list(pages)
    assert [len(page) for page in (first, *rest)] == [10, 10, 5]
    assert len({hit["_id"] for page in (first, *rest) for hit in page}) == 25


def test_pages_of_a_stream_that_is_not_there_are_none(cluster, stream):
    assert list(cluster.pages(stream, {})) == []


def test_a_document_that_does_not_fit_is_rejected_with_the_reason(cluster, stream):
    good, bad = (stream, "good", event(1)), (stream, "bad", event(2, source={"ip": "printer"}))
    delivered, rejected = cluster.create([good, bad])
    assert (delivered.kind, rejected.kind) == ("delivered", "rejected")
    assert "source.ip" in rejected.reason


def test_what_it_refuses_is_an_error_with_its_words(cluster, stream):
    with pytest.raises(ClusterError, match="index_not_found_exception") as error:
        cluster.ask(Request("GET", f"/{stream}/_search"))
    assert (error.value.kind, error.value.status) == ("rejected", 404)


def test_no_request_asks_for_what_it_does_not_know(settings):
    written = json.dumps([request._asdict() for request in templates.requests(settings)])
    assert "lifecycle" not in written
    assert "ignore_missing" not in written
    assert "flattened" not in written


READ = Request("GET", "/_cluster/health")


@pytest.mark.parametrize(
    "use",
    [
        lambda cluster, stream: cluster.ask(READ),
        lambda cluster, stream: cluster.create([(stream, "one", event(1))]),
        lambda cluster, stream: templates.install(cluster, Settings()),
    ],
    ids=["reading", "writing", "set-up"],
)
def test_the_elasticsearch_client_names_the_extra_that_it_needs(own_opensearch, stream, use):
    wrong = connect(Elastic(url=own_opensearch.url))
    with pytest.raises(ClusterError, match="is it OpenSearch") as error:
        use(wrong, stream)
    assert error.value.kind == "wrong_server"
    assert 'pip install "cyberterr[opensearch]"' in error.value.hint
    wrong.close()


def test_nobody_listening_is_weather():
    nobody = connect(Elastic(url="http://127.0.0.1:9", flavour="opensearch"))
    with pytest.raises(ClusterError, match="cannot be reached") as error:
        nobody.ask(Request("GET", "/_cluster/health"))
    assert error.value.kind == "weather"


def test_the_opensearch_client_works_with_elasticsearch_too(elasticsearch, stream):
    # Somebody who names the wrong flavour loses nothing: documents arrive all the same.
    other = connect(Elastic(url=elasticsearch.url, flavour="opensearch"))
    [outcome] = other.create([(stream, "one", event(1))])
    assert outcome.kind == "delivered"
    other.close()
