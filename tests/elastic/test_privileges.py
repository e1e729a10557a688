"""What each API key may do, tried on a genuine server with TLS."""

from __future__ import annotations

import json
import secrets

import pytest

from cyberterr.config import Elastic, Settings
from cyberterr.elastic import templates
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.identity import API_KEY
from cyberterr.elastic.privileges import keys
from cyberterr.elastic.refusal import ClusterError

TOWN = f"t{secrets.token_hex(4)}"
STREAM = f"logs-cyberterr.finding-{TOWN}"
FOREIGN = "logs-cyberterr.finding-othertown"
FLOWS = "packetbeat-flows"


def put(cluster: Cluster, index: str, name: str, **more: object):
    document = json.dumps({"@timestamp": "2026-03-14T08:12:00Z", **more}).encode()
    [outcome] = cluster.create([(index, name, document)], refresh="true")
    return outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(API_KEY, raising=False)
        yield tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def admin(secured_elasticsearch, folder):
    name, password = secured_elasticsearch.admin
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o600)
    elastic = Elastic(
        url=secured_elasticsearch.url,
        ca=str(secured_elasticsearch.ca),
        user=name,
        password_file=str(folder / "password"),
        namespace=TOWN,
    )
    cluster = connect(elastic)
    templates.install(cluster, Settings(elastic=elastic))
    for index in (STREAM, FOREIGN):
        assert put(cluster, index, "there").kind == "delivered"
    cluster.ask(Request("PUT", f"/{FLOWS}/_create/there", {"type": "flow"}, {"refresh": "true"}))
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def holders(secured_elasticsearch, admin, folder) -> dict[str, Cluster]:
    """A connection for each key, by the last word but one of its name: sensor, analyst, flow."""
    made = {}
    settings = Settings(elastic=Elastic(namespace=TOWN))
    for key in keys(settings):
        file = folder / key.name
        file.write_text(admin.ask(key.request)["encoded"])
        file.chmod(0o600)
        made[key.name.split("-")[1]] = connect(
            Elastic(
                url=secured_elasticsearch.url,
                ca=str(secured_elasticsearch.ca),
                api_key_file=str(file),
            )
        )
    return made


@pytest.fixture
def sensor(holders) -> Cluster:
    return holders["sensor"]


@pytest.fixture
def analyst(holders) -> Cluster:
    return holders["analyst"]


def test_a_sensor_adds_documents_also_to_a_data_stream_that_is_new(sensor):
    assert put(sensor, STREAM, "one").status == 201
    assert put(sensor, f"logs-cyberterr.health-{TOWN}", "one").status == 201


def test_a_sensor_adds_a_field_that_nobody_mapped(sensor):
    assert put(sensor, STREAM, "new-field", labels={"x": "y"}).status == 201


def test_a_sensor_that_sends_again_is_told_that_it_is_there(sensor):
    outcomes = [put(sensor, STREAM, "again") for _ in range(2)]
    assert [outcome.status for outcome in outcomes] == [201, 409]
    assert {outcome.kind for outcome in outcomes} == {"delivered"}


def test_a_sensor_can_ask_who_it_is(sensor):
    me = sensor.ask(Request("GET", "/_security/_authenticate"))
    assert me["api_key"]["name"] == f"cyberterr-sensor-{TOWN}"


MATCH_ALL = {"query": {"match_all": {}}}
FORBIDDEN = [
    Request("POST", f"/{STREAM}/_search", MATCH_ALL),
    Request("GET", f"/{STREAM}/_count"),
    Request("GET", f"/{STREAM}/_doc/there"),
    Request("POST", f"/{STREAM}/_mget", {"ids": ["there"]}),
    Request("POST", f"/{STREAM}/_pit", None, {"keep_alive": "1m"}),
    Request("GET", f"/{STREAM}/_mapping"),
    Request("PUT", f"/{STREAM}/_mapping", {"properties": {"x": {"type": "keyword"}}}),
    Request("PUT", f"/{STREAM}/_settings", {"index.number_of_replicas": 0}),
    Request("POST", f"/{STREAM}/_rollover"),
    Request("DELETE", f"/{STREAM}"),
    Request("PUT", "/_index_template/mine", {"index_patterns": ["mine-*"]}),
    Request("PUT", "/_component_template/cyberterr@custom", {"template": {}}),
    Request("GET", "/_index_template/logs-cyberterr"),
    Request("POST", "/_security/api_key", {"name": "more"}),
    Request("GET", "/_cluster/health"),
    Request("POST", f"/{FOREIGN}/_search", MATCH_ALL),
]


@pytest.mark.parametrize("request_", FORBIDDEN, ids=lambda r: f"{r.method} {r.path}")
def test_a_sensor_may_do_nothing_else(sensor, request_):
    with pytest.raises(ClusterError) as error:
        sensor.ask(request_)
    assert (error.value.kind, error.value.status) == ("refused", 403)


def backing_index(admin: Cluster) -> str:
    return templates.write_indices(admin)[STREAM]


@pytest.mark.parametrize("action", ["index", "update", "delete"])
def test_a_sensor_changes_and_deletes_nothing_in_the_index_behind_its_stream(sensor, admin, action):
    index = backing_index(admin)
    before = admin.ask(Request("GET", f"/{index}/_doc/there"))
    there = {"if_seq_no": "0", "if_primary_term": "1"}  # else it is no valid request at all
    request = {
        "index": Request("PUT", f"/{index}/_doc/there", {"@timestamp": "2026-01-01"}, there),
        "update": Request("POST", f"/{index}/_update/there", {"doc": {"x": 1}}),
        "delete": Request("DELETE", f"/{index}/_doc/there"),
    }
    with pytest.raises(ClusterError) as error:
        sensor.ask(request[action])
    assert error.value.kind == "refused"
    assert admin.ask(Request("GET", f"/{index}/_doc/there")) == before


def test_a_sensor_cannot_write_into_the_stream_of_another_town(sensor):
    outcome = put(sensor, FOREIGN, "intruder")
    assert (outcome.kind, outcome.status) == ("refused", 403)


def test_an_analyst_reads_every_town_and_adds_decisions(analyst):
    assert analyst.ask(Request("GET", f"/{STREAM}/_count"))["count"] >= 1
    assert list(analyst.pages(f"{STREAM},{FOREIGN}", {}))
    assert put(analyst, "logs-cyberterr.decision-othertown", "d1").status == 201
    assert FOREIGN in templates.write_indices(analyst)


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", f"/{FLOWS}/_count"),
        Request("DELETE", f"/{STREAM}"),
        Request("PUT", f"/{STREAM}/_mapping", {"properties": {"x": {"type": "keyword"}}}),
        Request("POST", "/_security/api_key", {"name": "more"}),
    ],
    ids=lambda r: f"{r.method} {r.path}",
)
def test_an_analyst_may_not_administer_nor_read_what_is_not_ours(analyst, request_):
    with pytest.raises(ClusterError) as error:
        analyst.ask(request_)
    assert (error.value.kind, error.value.status) == ("refused", 403)


def test_whether_the_templates_are_there_only_an_administrator_sees(admin, sensor, analyst):
    assert templates.installed(admin) == templates.VERSION
    assert templates.installed(sensor) is None
    assert templates.installed(analyst) is None


def test_a_flow_reader_reads_flows_and_writes_nothing(holders):
    reader = holders["flow"]
    assert list(reader.pages(FLOWS, {}))
    with pytest.raises(ClusterError) as error:
        put(reader, FLOWS, "intruder")
    assert (error.value.kind, error.value.status) == ("refused", 403)


def test_set_up_with_a_key_that_may_not_is_refused_in_words(sensor):
    with pytest.raises(ClusterError, match="unauthorized") as error:
        templates.install(sensor, Settings())
    assert error.value.kind == "refused"
