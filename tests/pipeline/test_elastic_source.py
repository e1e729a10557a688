"""A cluster as a source: what sensors sent there is judged as their logs would be.

The logs are made of our own recording, and what the cluster keeps of them by `ingested`.
"""

import copy
import datetime as dt
import gzip
import json
import secrets
import urllib.request
from pathlib import Path

import polars as pl
import pytest

from cyberterr import content
from cyberterr.config import Elastic, Settings
from cyberterr.contracts.site import Site
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.errors import UsageError
from cyberterr.pipeline.judging import Judging
from cyberterr.pipeline.sources import Reading, read_tables, within
from tests.elastic.ingested import SPOKEN, conn, eve_ingested, flow_reports, ingested, opened

DATA = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "network"
SURICATA = SHARED / "slips-formats" / "test6-malicious.suricata.json.gz"
KEYWORDS = (
    "event.dataset", "data_stream.dataset", "observer.name", "agent.name",
    "suricata.eve.event_type",
)  # fmt: skip
"""What the search looks for; the integrations' templates map it so."""


def ask(url, path, body=None, method="POST"):
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.fixture
def keep(elasticsearch):
    """Put documents into an index of the test's own; its name."""
    made = []

    def put(documents, name="zeek", **options):
        index = f"flows-{name}-t{secrets.token_hex(4)}"
        made.append(index)
        properties = {"@timestamp": {"type": "date"}}
        for field in KEYWORDS:
            *outer, last = field.split(".")
            level = properties
            for part in outer:
                level = level.setdefault(part, {"properties": {}})["properties"]
            level[last] = {"type": "keyword"}
        mappings = {"dynamic": False, "properties": properties}
        settings = {"number_of_replicas": 0, "number_of_shards": 2, **options}
        ask(elasticsearch.url, f"/{index}", {"mappings": mappings, "settings": settings}, "PUT")
        lines = [b'{"create":{}}\n' + json.dumps(d).encode() + b"\n" for d in documents]
        for start in range(0, len(lines), 2_000):
            part = b"".join(lines[start : start + 2_000])
            done = ask(elasticsearch.url, f"/{index}/_bulk?refresh=true", part)
            assert not done["errors"]
        return index

    yield put
    for index in made:
        ask(elasticsearch.url, f"/{index}", method="DELETE")


@pytest.fixture
def settings(elasticsearch):
    return Settings(site=Site(sensor="hall"), elastic=Elastic(url=elasticsearch.url))


def read(source, settings):
    """Tables and talk of *source*."""
    reading = Reading()
    return list(read_tables([source], settings, reading)), reading


def findings(tables):
    """Everything that the detectors claim, without what names the place it was read from."""
    judging = Judging(content.detectors(), Site(), {})
    for part in tables:
        judging.add(part)
    found = judging.close()
    assert not judging.failed
    return {f.id: (f.rule, f.actor, f.victim, f.severity, round(f.score, 6)) for f in found}


@pytest.fixture(scope="module")
def logs():
    """The lines of the Zeek logs of a town hall under attack, by log."""
    lines = {name: [] for name in ("conn", *SPOKEN)}
    for tables in read_tables([DATA / "town_hall.pcapng"], Settings(), Reading()):
        lines["conn"] += map(conn, tables.flows.iter_rows(named=True))
        for log, columns in SPOKEN.items():
            table = tables.tls if log == "ssl" else getattr(tables, log)
            for row in table.iter_rows(named=True):
                spoken = {name: row[column] for name, column in columns.items()}
                lines[log].append(opened(row, "time") | spoken)
    return {
        log: [{k: v for k, v in line.items() if v is not None} for line in some]
        for log, some in lines.items()
    }


@pytest.fixture(scope="module")
def folder(logs, tmp_path_factory):
    """The same logs as files."""
    path = tmp_path_factory.mktemp("zeek")
    for log, lines in logs.items():
        text = "".join(json.dumps({"_path": log} | line) + "\n" for line in lines)
        (path / f"{log}.log").write_text(text)
    return path


def documents_of(logs, **options):
    return [ingested(log, line, **options) for log, lines in logs.items() for line in lines]


def ids(found):
    """Findings without their scores, which a lost microsecond moves in the fourth place."""
    return {name: claim[:-1] for name, claim in found.items()}


@pytest.mark.parametrize("mode", ["standard", "logsdb"])
def test_a_town_hall_in_the_cluster_gives_the_findings_of_its_logs(
    keep, settings, logs, folder, mode
):
    documents = documents_of(logs)
    tables, reading = read(f"elastic:{keep(documents, **{'index.mode': mode})}", settings)
    direct, _ = read(folder, settings)
    assert (reading.errors, reading.warnings) == ([], [])
    assert sum(map(len, tables)) == sum(map(len, direct)) == len(documents)
    expected = findings(direct)
    assert len(expected) > 4
    found = findings(tables)
    assert ids(found) == ids(expected)
    assert [claim[-1] for claim in found.values()] == pytest.approx(
        [expected[name][-1] for name in found], abs=0.01
    )


def test_where_the_original_lines_are_kept_the_findings_are_the_very_same(
    keep, settings, logs, folder
):
    documents = documents_of(logs)
    lines = [line for some in logs.values() for line in some]
    for document, line in zip(documents, lines, strict=True):
        document["event"]["original"] = json.dumps(line)
    tables, _ = read(f"elastic:{keep(documents)}", settings)
    assert findings(tables) == findings(read(folder, settings)[0])


def test_many_pages_and_parts_give_what_one_gives(keep, settings, logs, monkeypatch):
    index = keep(documents_of(logs))
    whole, _ = read(f"elastic:{index}", settings)
    monkeypatch.setattr("cyberterr.capture.elastic.PAGE", 97)
    monkeypatch.setattr("cyberterr.capture.elastic.BATCH", 200)
    parts, reading = read(f"elastic:{index}", settings)
    assert len(parts) > 10
    for name in ("flows", "dns", "tls", "http", "ssh"):
        one, many = (pl.concat([getattr(t, name) for t in tables]) for tables in (whole, parts))
        order = [
            column for column in ("start", "time", "flow_id", "query") if column in one.columns
        ]
        assert one.sort(order).equals(many.sort(order))
    assert reading.flows == len(logs["conn"])


@pytest.mark.skipif(not SURICATA.exists(), reason=f"no {SURICATA}")
def test_a_real_eve_log_in_the_cluster_gives_the_findings_of_the_log(keep, settings):
    with gzip.open(SURICATA, "rt") as log:
        lines = [json.loads(line) for line in log]
    tables, reading = read(f"elastic:{keep(map(eve_ingested, lines), 'eve')}", settings)
    direct, _ = read(SURICATA, settings)
    assert (reading.errors, reading.warnings) == ([], [])
    for name in ("flows", "dns", "tls", "http"):
        through, straight = (pl.concat([getattr(t, name) for t in t_]) for t_ in (tables, direct))
        assert through.height == straight.height
    expected = findings(direct)
    assert expected
    assert ids(findings(tables)) == ids(expected)


def test_an_answer_that_stands_before_its_question_of_the_same_millisecond_answers_it(
    keep, settings
):
    cases = json.loads((DATA / "elastic" / "suricata.json").read_text())
    (case,) = (case for case in cases if "version 2" in case["what"])
    question, answer = case["documents"]
    assert question["@timestamp"] == answer["@timestamp"]
    index = keep([answer, question], "eve", number_of_shards=1)
    tables, _ = read(f"elastic:{index}", settings)
    rows = pl.concat([t.dns for t in tables]).select("src_ip", "query", "rcode").rows()
    assert rows == [("192.0.2.10", "v2.example", "NXDOMAIN")]


def test_packetbeat_counts_each_connection_once_and_its_scan_and_beacon_are_found(
    keep, settings, logs
):
    lines = [line for line in logs["conn"] if line["proto"] in ("tcp", "udp")]
    reports = [report for line in lines for report in flow_reports(line)]
    assert len(reports) > len(lines)
    tables, reading = read(f"elastic:{keep(reports, 'packetbeat')}", settings)
    flows = pl.concat([t.flows for t in tables])
    assert (reading.errors, reading.warnings) == ([], [])
    assert flows.height == len(lines)
    for column, field in (("src_bytes", "orig_ip_bytes"), ("dst_packets", "resp_pkts")):
        assert flows[column].sum() == sum(line[field] for line in lines)
    found = {(rule, actor) for rule, actor, *_ in findings(tables).values()}
    assert {("beacon", "10.20.1.12")} < found
    assert any(actor == "10.20.1.66" for _, actor in found)


def test_a_time_and_a_sensor_choose_what_is_read(keep, settings, logs):
    lines = logs["conn"]
    first, last = lines[0]["ts"], lines[-1]["ts"]
    index = keep([ingested("conn", line, agent=f"probe-{n % 2}") for n, line in enumerate(lines)])
    middle = dt.datetime.fromtimestamp(round((first + last) / 2), dt.UTC)
    counts = []
    for since, until in (("", middle.isoformat()), (middle.isoformat(), "")):
        (source,) = within([f"elastic:{index}"], since, until, ("probe-0",))
        tables, reading = read(source, settings)
        flows = pl.concat([t.flows for t in tables])
        assert set(flows["sensor"]) == {"probe-0"}
        assert all((moment < middle) == bool(until) for moment in flows["start"])
        assert reading.warnings == []
        counts.append(flows.height)
    assert min(counts) > 0
    assert sum(counts) == len(lines[::2])


def test_several_sensors_are_told(keep, settings, logs):
    documents = [ingested("conn", line, f"probe-{n % 3}") for n, line in enumerate(logs["conn"])]
    tables, reading = read(f"elastic:{keep(documents)}", settings)
    assert set(pl.concat([t.flows for t in tables])["sensor"]) == {"probe-0", "probe-1", "probe-2"}
    assert any("3 sensors" in text and "--sensor" in text for text in reading.warnings)


def test_sensors_without_end_do_not_fill_the_memory(keep, settings, logs, monkeypatch):
    monkeypatch.setattr("cyberterr.capture.elastic.MAX_SENSORS", 5)
    documents = [ingested("conn", line, f"probe-{n}") for n, line in enumerate(logs["conn"][:50])]
    tables, _ = read(f"elastic:{keep(documents)}", settings)
    sensors = pl.concat([t.flows for t in tables])["sensor"]
    assert sensors.len() == 50
    assert sensors.n_unique() == 6
    assert (sensors == "hall").sum() == 45


def test_documents_that_do_not_fit_are_counted_and_the_others_read(keep, settings, logs):
    good = [ingested("conn", line) for line in logs["conn"][:20]]
    odd = [copy.deepcopy(good[0]) for _ in range(6)]
    odd[0]["source"] = "a text"
    odd[1]["source"] = {"ip": "no address", "port": 1}
    odd[2]["source"]["port"] = 70_000
    odd[3]["source"]["bytes"] = 10**40
    odd[4]["event"]["dataset"] = odd[4]["data_stream"]["dataset"] = "dns"
    odd[4]["dns"] = {"answers": [1, None, {"data": {}}], "question": []}
    odd[4]["network"] = {"transport": ["udp", 5]}
    odd[5]["event"]["dataset"] = odd[5]["data_stream"]["dataset"] = ["zeek.connection", "other"]
    tables, reading = read(f"elastic:{keep(good + odd)}", settings)
    assert pl.concat([t.flows for t in tables]).height == 20
    assert reading.errors == []
    said = {text.partition(": ")[2].partition(", the first")[0] for text in reading.warnings}
    assert said == {
        "4 lines are malformed and left out",
        "1 line is malformed and left out",
        "documents left out, since they are no event that can be read: 1",
    }


def test_an_index_that_is_not_there_is_told_with_what_there_is(keep, settings, logs):
    index = keep([ingested("conn", logs["conn"][0])])
    tables, reading = read("elastic:packetbeat-none-*", settings)
    (error,) = reading.errors
    assert sum(map(len, tables)) == 0
    assert error.exit_code == 3
    assert "no such index" in error.message
    assert index in error.hint or " more" in error.hint
    tables, reading = read(f"elastic:{index},packetbeat-none", settings)
    assert (sum(map(len, tables)), reading.errors) == (1, [])
    assert any("there is no index packetbeat-none" in text for text in reading.warnings)


def test_a_cluster_that_is_down_is_a_source_that_cannot_be_read(settings, folder):
    down = Settings(elastic=Elastic(url="http://127.0.0.1:9"))
    reading = Reading()
    tables = list(read_tables(["elastic:logs-*", str(folder)], down, reading))
    (error,) = reading.errors
    assert error.exit_code == 3
    assert "cannot be reached" in error.message
    assert sum(map(len, tables)) > 1_000, "the folder is read all the same"


def test_a_point_in_time_that_the_cluster_closed_is_told_and_what_was_read_is_given(
    keep, settings, logs, monkeypatch
):
    index = keep(documents_of(logs))
    monkeypatch.setattr("cyberterr.capture.elastic.PAGE", 500)
    straight = Cluster.ask

    def lose(cluster, request, **options):
        if request.path == "/_search" and "search_after" in request.body:
            pit = {"id": request.body["pit"]["id"]}
            straight(cluster, Request("DELETE", "/_pit", pit))
        return straight(cluster, request, **options)

    monkeypatch.setattr(Cluster, "ask", lose)
    tables, reading = read(f"elastic:{index}", settings)
    (error,) = reading.errors
    assert error.exit_code == 3
    assert "closed the point in time" in error.message
    assert sum(map(len, tables)) == 500


def test_after_an_interrupt_what_was_read_is_given(keep, settings, logs, monkeypatch):
    index = keep(documents_of(logs))
    monkeypatch.setattr("cyberterr.capture.elastic.PAGE", 100)
    monkeypatch.setattr("cyberterr.capture.elastic.BATCH", 300)
    reading, straight, asked = Reading(), Cluster.ask, []

    def interrupted(cluster, request, **options):
        asked.append(request.path)
        if request.path == "/_search" and asked.count("/_search") > 5:
            raise KeyboardInterrupt
        return straight(cluster, request, **options)

    monkeypatch.setattr(Cluster, "ask", interrupted)
    tables = list(read_tables([f"elastic:{index}"], settings, reading))
    assert reading.interrupted
    assert sum(map(len, tables)) == 500
    assert asked[-1] == "/_pit", "the point in time is closed"


def test_a_key_that_may_not_read_is_told_which_privilege_it_lacks(
    secured_elasticsearch, monkeypatch, tmp_path
):
    server = secured_elasticsearch
    secret = tmp_path / "password"
    secret.write_text(server.admin[1])
    secret.chmod(0o600)
    admin = Elastic(
        url=server.url, user=server.admin[0], password_file=str(secret), ca=str(server.ca)
    )
    index = f"logs-zeek.connection-t{secrets.token_hex(4)}"
    cluster = connect(admin)
    cluster.ask(Request("PUT", f"/{index}"))
    role = {"writer": {"indices": [{"names": ["logs-*"], "privileges": ["create_doc"]}]}}
    body = {"name": index, "role_descriptors": role}
    key = cluster.ask(Request("POST", "/_security/api_key", body))["encoded"]
    monkeypatch.setenv("CYBERTERR_ELASTIC_API_KEY", key)
    settings = Settings(elastic=Elastic(url=server.url, ca=str(server.ca)))
    for source in (f"elastic:{index}", "elastic:logs-zeek.*-*"):
        _, reading = read(source, settings)
        (error,) = reading.errors
        assert error.exit_code == 3
        assert '"privileges": ["read"]' in error.hint
    monkeypatch.delenv("CYBERTERR_ELASTIC_API_KEY")
    cluster.ask(Request("DELETE", f"/{index}"))
    cluster.close()


@pytest.mark.parametrize(
    "source",
    ["elastic:", "elastic:a b", "elastic:_all", "elastic:x?since=soon", "elastic:x?size=1",
     "elastic:x?since=2026-03-02&until=2026-03-01"],
)  # fmt: skip
def test_a_source_that_names_nothing_is_a_wrong_call(source, settings):
    with pytest.raises(UsageError):
        read(source, settings)


def test_without_a_cluster_in_the_settings_the_call_is_wrong():
    with pytest.raises(UsageError, match="no cluster is named"):
        read("elastic:logs-*", Settings())


def test_a_file_may_be_called_as_a_cluster_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elastic:x").write_bytes((DATA / "golden" / "raw_ip.pcap").read_bytes())
    tables, reading = read("./elastic:x", Settings())
    assert reading.errors == []
    assert sum(map(len, tables))
