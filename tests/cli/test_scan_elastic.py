"""`cyberterr scan elastic:…` as people call it, against a genuine server."""

import datetime as dt
import json
import secrets
import urllib.request

import pytest

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def scanning(hours_ago, agent):
    """One machine that tries port 445 of two hundred others, as the Zeek integration stores it."""
    start = NOW - dt.timedelta(hours=hours_ago)
    for number in range(200):
        yield {
            "@timestamp": (start + dt.timedelta(seconds=number)).isoformat(),
            "agent": {"name": agent},
            "data_stream": {"dataset": "zeek.connection"},
            "event": {"dataset": "zeek.connection", "duration": 100_000},
            "network": {"transport": "tcp"},
            "source": {"ip": "10.20.1.66", "port": 40_000 + number, "bytes": 60, "packets": 1},
            "destination": {"ip": f"10.20.3.{number + 1}", "port": 445, "bytes": 40, "packets": 1},
            "zeek": {
                "session_id": f"C{hours_ago}x{number}",
                "connection": {"state": "REJ", "history": "Sr"},
            },
        }


def send(url, path, body, method):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url + path, data=body, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.fixture
def index(elasticsearch):
    """An index with a scan of an hour ago and one of two days ago, seen by two sensors."""
    name = f"logs-zeek.connection-t{secrets.token_hex(4)}"
    keyword = {"type": "keyword"}
    fields = {
        "@timestamp": {"type": "date"},
        "event.dataset": keyword,
        "data_stream.dataset": keyword,
        "agent.name": keyword,
    }
    mappings = json.dumps({"mappings": {"dynamic": False, "properties": fields}}).encode()
    send(elasticsearch.url, f"/{name}", mappings, "PUT")
    documents = [*scanning(1, "bourg"), *scanning(48, "vallée")]
    lines = b"".join(b'{"create":{}}\n' + json.dumps(d).encode() + b"\n" for d in documents)
    assert not send(elasticsearch.url, f"/{name}/_bulk?refresh=true", lines, "POST")["errors"]
    yield name
    send(elasticsearch.url, f"/{name}", None, "DELETE")


@pytest.fixture
def config(elasticsearch, tmp_path):
    file = tmp_path / "settings.toml"
    own = f"t{secrets.token_hex(4)}"
    file.write_text(f'[elastic]\nurl = "{elasticsearch.url}"\nnamespace = "{own}"\n')
    return ("--config", file)


def events(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_the_cluster_holds_is_scanned_and_explained(call, config, index):
    done = call("scan", f"elastic:{index}", *config, "--format", "json")
    assert done.returncode == 0, done.stderr
    found = events(done)
    assert [e["cyberterr"]["finding"]["family"] for e in found] == ["scan", "scan"]
    assert {e["source"]["ip"] for e in found} == {"10.20.1.66"}
    assert "400 flows" in done.stderr.decode()
    listed = events(call("findings", "list", "--format", "json"))
    assert {e["event"]["id"] for e in listed} == {e["event"]["id"] for e in found}


def test_since_until_and_sensor_narrow_what_is_read(call, config, index):
    both = ("--format", "json", "--no-store", *config)
    lately = events(call("scan", f"elastic:{index}", "--since", "24h", *both))
    before = events(call("scan", f"elastic:{index}", "--until", "24h", *both))
    assert len(lately) == len(before) == 1
    assert lately[0]["event"]["id"] != before[0]["event"]["id"]
    (one,) = events(call("scan", f"elastic:{index}", "--sensor", "vallée", *both))
    assert one["event"]["id"] == before[0]["event"]["id"]
    assert one["observer"]["name"] == "vallée"


def test_the_flow_table_of_a_cluster_can_be_written(call, config, index, tmp_path):
    out = tmp_path / "flows.json"
    done = call("flows", f"elastic:{index}?since=24h", "-o", out, *config)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 200
    assert {row["sensor"] for row in rows} == {"bourg"}


def test_the_period_that_was_read_stands_in_the_report(call, config, index, tmp_path):
    report = tmp_path / "report.html"
    done = call(
        "scan", f"elastic:{index}", "--since", "24h", "--no-store", "--report", report, *config
    )
    assert done.returncode == 0, done.stderr
    assert f"elastic:{index}?since=" in report.read_text()


def test_an_index_that_is_not_there_ends_with_3_and_a_sentence(call, config):
    done = call("scan", "elastic:packetbeat-none-*", "--no-store", *config)
    assert done.returncode == 3
    assert "no such index" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_cluster_that_is_down_ends_with_3(call, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('[elastic]\nurl = "http://127.0.0.1:9"\n')
    done = call("scan", "elastic:logs-*", "--no-store", "--config", file)
    assert done.returncode == 3
    assert "cannot be reached" in done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("elastic:logs-*",), "no cluster is named"),
        (("elastic:logs-*", "--since", "soon"), "is no time"),
        (("capture.pcap", "--since", "24h"), "for what a cluster keeps"),
        (("elastic:logs-*?size=3",), "since, until and sensor"),
    ],
)
def test_a_wrong_call_is_told_so(call, arguments, said):
    done = call("scan", *arguments)
    assert done.returncode == 2
    assert said in done.stderr.decode()
