"""The connection itself: whom it trusts, what it sends, what it says when it fails."""

from __future__ import annotations

import json
import secrets

import pytest

from cyberterr.config import Elastic, Settings
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.identity import API_KEY
from cyberterr.elastic.refusal import ClusterError
from cyberterr.elastic.templates import install
from cyberterr.errors import UsageError


@pytest.fixture
def cluster(elasticsearch):
    settings = Elastic(url=elasticsearch.url)
    connected = connect(settings)
    install(connected, Settings(elastic=settings))
    yield connected
    connected.close()


@pytest.fixture
def stream():
    return f"logs-cyberterr.test-t{secrets.token_hex(4)}"


def event(number, time="2026-03-14T08:12:00Z"):
    return json.dumps({"@timestamp": time, "event": {"sequence": number}}).encode()


def sent(cluster: Cluster, stream: str, count: int) -> None:
    made = [(stream, f"id-{number}", event(number)) for number in range(count)]
    outcomes = cluster.create(made, refresh="wait_for")
    assert [outcome.kind for outcome in outcomes] == ["delivered"] * count


def test_a_document_is_created_once_however_often_it_is_sent(cluster, stream):
    [first] = cluster.create([(stream, "one", event(1))], refresh="wait_for")
    [again] = cluster.create([(stream, "one", event(1))], refresh="wait_for")
    assert (first.status, again.status) == (201, 409)
    assert first.kind == again.kind == "delivered"
    [[hit]] = cluster.pages(stream, {})
    assert hit["_id"] == "one"


def test_of_many_documents_only_those_that_do_not_fit_are_rejected(cluster, stream):
    good, bad = (stream, "good", event(1)), (stream, "bad", event(2, time="yesterday"))
    delivered, rejected = cluster.create([good, bad])
    assert delivered.kind == "delivered"
    assert rejected.kind == "rejected"
    assert "yesterday" in rejected.reason


def test_without_our_template_nothing_is_made_and_set_up_is_asked_for(cluster):
    [refused] = cluster.create([(f"nobody-{secrets.token_hex(4)}", "one", event(1))])
    assert refused.kind == "refused"
    assert "cyberterr elastic setup" in refused.reason


def test_pages_give_every_hit_once_on_a_state_that_stands_still(cluster, stream):
    sent(cluster, stream, 25)
    pages = cluster.pages(stream, {"query": {"match_all": {}}}, size=10)
    first = next(pages)
    cluster.create([(stream, "later", event(99))], refresh="wait_for")
    rest = list(pages)
    assert [len(page) for page in (first, *rest)] == [10, 10, 5]
    assert len({hit["_id"] for page in (first, *rest) for hit in page}) == 25


def test_pages_of_a_stream_that_is_not_there_are_none(cluster, stream):
    assert list(cluster.pages(stream, {})) == []


def test_what_the_cluster_refuses_is_an_error_with_its_words(cluster, stream):
    with pytest.raises(ClusterError, match="index_not_found_exception") as error:
        cluster.ask(Request("GET", f"/{stream}/_search"))
    assert (error.value.kind, error.value.status) == ("rejected", 404)


def test_nobody_listening_is_weather():
    nobody = connect(Elastic(url="http://127.0.0.1:9"))
    with pytest.raises(ClusterError, match="cannot be reached") as error:
        nobody.ask(Request("GET", "/_cluster/health"))
    assert error.value.kind == "weather"


def test_tls_on_a_port_without_it_says_that_it_is_not_trusted(elasticsearch):
    wrong = connect(Elastic(url=elasticsearch.url.replace("http:", "https:")))
    with pytest.raises(ClusterError, match="not trusted") as error:
        wrong.ask(Request("GET", "/_cluster/health"))
    assert error.value.kind == "refused"


def test_a_pinned_authority_is_trusted_and_no_other(secured_elasticsearch, tmp_path):
    import trustme

    password = tmp_path / "password"
    password.write_text(secured_elasticsearch.admin[1])
    password.chmod(0o600)
    known = {
        "url": secured_elasticsearch.url,
        "user": secured_elasticsearch.admin[0],
        "password_file": str(password),
    }
    ours = connect(Elastic(**known, ca=str(secured_elasticsearch.ca)))
    assert ours.ask(Request("GET", "/_cluster/health"))["cluster_name"] == "cyberterr-test"

    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    for trusting in ({"ca": str(stranger)}, {}, {"fingerprint": "ab" * 32}):
        with pytest.raises(ClusterError, match="not trusted"):
            connect(Elastic(**known, **trusting)).ask(Request("GET", "/_cluster/health"))


def test_a_wrong_password_is_refused(secured_elasticsearch, tmp_path):
    password = tmp_path / "password"
    password.write_text("hunter2")
    password.chmod(0o600)
    settings = Elastic(
        url=secured_elasticsearch.url,
        ca=str(secured_elasticsearch.ca),
        user=secured_elasticsearch.admin[0],
        password_file=str(password),
    )
    with pytest.raises(ClusterError) as error:
        connect(settings).ask(Request("GET", "/_cluster/health"))
    assert (error.value.kind, error.value.status) == ("refused", 401)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("url", ["http://10.20.0.5:9200", "http://elastic.mairie.example:9200"])
def test_plain_http_leaves_this_machine_only_when_told(url):
    with pytest.raises(UsageError, match="plain http"):
        connect(Elastic(url=url))
    assert connect(Elastic(url=url, allow_http=True)).url == url


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9200", "http://[::1]:9200", "http://localhost:1"]
)
def test_plain_http_to_loopback_is_fine(url):
    assert connect(Elastic(url=url)).url == url


def test_a_url_without_its_port_is_told_how_it_should_look():
    with pytest.raises(UsageError) as error:
        connect(Elastic(url="http://localhost"))
    assert error.value.hint == "http://localhost:9200"


def test_a_key_that_others_can_read_is_not_used(tmp_path, monkeypatch):
    monkeypatch.delenv(API_KEY, raising=False)
    key = tmp_path / "key"
    key.write_text("c2VjcmV0")
    key.chmod(0o644)
    with pytest.raises(UsageError, match="others can read") as error:
        connect(Elastic(url="https://localhost:9200", api_key_file=str(key)))
    assert f"chmod 600 {key}" in error.value.hint
    key.chmod(0o600)
    assert connect(Elastic(url="https://localhost:9200", api_key_file=str(key)))


@pytest.mark.parametrize("file", ["missing", "empty"])
def test_a_key_that_is_not_there_is_an_error_that_names_the_file(tmp_path, monkeypatch, file):
    monkeypatch.delenv(API_KEY, raising=False)
    (tmp_path / "empty").touch(mode=0o600)
    with pytest.raises(UsageError) as error:
        connect(Elastic(url="https://localhost:9200", api_key_file=str(tmp_path / file)))
    assert str(tmp_path / file) in str(error.value)


def test_without_a_cluster_the_setting_is_named():
    with pytest.raises(UsageError) as error:
        connect(Elastic())
    assert "[elastic]" in error.value.hint
