"""The servers that other tests lean on are genuine, can be broken, and never stay behind."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from elasticsearch import (
    AuthenticationException,
    AuthorizationException,
    ConnectionTimeout,
    Elasticsearch,
)
from elasticsearch import ConnectionError as NoConnection
from opensearchpy import OpenSearch

from tests.elastic import distribution, java, process, server

SCRIPT = Path(server.__file__)


def client(reached, **options):
    return Elasticsearch(reached.url, ca_certs=reached.ca, **options)


@pytest.fixture(scope="module")
def breakable(elastic_distribution):
    """A server of this file's own: every test leaves it running."""
    with server.running(elastic_distribution) as own:
        yield own


@pytest.fixture
def index(request):
    return request.node.name


def test_the_version_that_is_said_is_the_one_that_runs(elasticsearch):
    assert server.reach(elasticsearch.url).version == elasticsearch.version


def test_an_answered_document_survives_a_kill(breakable, index):
    url = breakable.url
    client(breakable).create(index=index, id="1", document={"said": "once"})
    breakable.kill()
    with pytest.raises(NoConnection):
        client(breakable, max_retries=0).count(index=index)
    breakable.start()
    assert breakable.url == url
    client(breakable).cluster.health(index=index, wait_for_status="yellow")
    assert client(breakable).get(index=index, id="1")["_source"] == {"said": "once"}


def test_a_frozen_server_answers_nobody_and_goes_on_when_thawed(breakable):
    short = client(breakable, request_timeout=0.5, max_retries=0)
    breakable.freeze()
    try:
        with pytest.raises(ConnectionTimeout):
            short.cluster.health()
    finally:
        breakable.thaw()
    assert client(breakable).cluster.health()["status"] in ("green", "yellow")


def test_a_server_can_be_made_to_refuse_what_is_too_much(own_elasticsearch):
    small = own_elasticsearch(settings={"http.max_content_length": "1kb"})
    with client(small) as asking:
        answer = asking.options(ignore_status=413).create(
            index="small", id="1", document={"long": "x" * 2000}
        )
    assert answer.meta.status == 413


def test_an_api_key_may_do_what_it_is_for_and_nothing_else(secured_elasticsearch):
    admin = client(secured_elasticsearch, basic_auth=secured_elasticsearch.admin)
    with pytest.raises(AuthenticationException):
        client(secured_elasticsearch).cluster.health()
    role = {"indices": [{"names": ["own"], "privileges": ["create_doc", "auto_configure"]}]}
    key = admin.security.create_api_key(name="sensor", role_descriptors={"sensor": role})
    sensor = client(secured_elasticsearch, api_key=key["encoded"])
    assert sensor.create(index="own", id="1", document={})["result"] == "created"
    with pytest.raises(AuthorizationException):
        sensor.search(index="own")


def test_opensearch_is_what_it_says(own_opensearch):
    with OpenSearch(own_opensearch.url) as asking:
        said = asking.info()["version"]
    assert (said["distribution"], said["number"]) == ("opensearch", own_opensearch.version)


@pytest.mark.usefixtures("elastic_distribution")
def test_no_server_stays_behind_when_its_starter_is_killed():
    with process.folder() as left:
        starter = subprocess.Popen(
            [sys.executable, SCRIPT],
            env={**os.environ, "TMPDIR": str(left)},
            stdout=subprocess.PIPE,
            text=True,
        )
        with starter:
            url = starter.stdout.readline().strip()
            nodes = server.ask(server.reach(url), "/_nodes/_local/process")["nodes"]
            (node,) = nodes.values()
            ended = os.pidfd_open(node["process"]["id"])
            starter.kill()
        assert select.select([ended], [], [], 20)[0], "the server still runs"
        os.close(ended)


def test_a_java_that_nobody_has_is_asked_for_by_number():
    with pytest.raises(java.Unavailable, match="no Java 99 or newer is installed"):
        java.find(99)


def test_a_version_that_is_not_known_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"1\.2\.3 .* only 9\.2\.0, 8\.19\.16"):
        distribution.prepare("1.2.3")


def test_without_maven_the_reason_names_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(java.Unavailable, match="apt: maven"):
        distribution.maven(java.Java(tmp_path, 17), "copy")
