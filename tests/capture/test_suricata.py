"""Suricata's EVE lines become flows that are counted once, and what was said in them."""

import datetime as dt
import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.capture import suricata
from cyberterr.capture.source import Source, discover
from cyberterr.contracts.flow import TABLES, schema

LOG = Path(__file__).parents[1] / "data" / "logs" / "eve.json"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "network"
REAL = SHARED / "slips-formats" / "test6-malicious.suricata.json.gz"


def no_warning(text):
    raise AssertionError(text)


def tables(path, warn=no_warning):
    (source,) = discover([path]).sources
    parts = list(suricata.read(source, sensor="here", warn=warn))
    return {name: pl.concat([getattr(part, name) for part in parts]) for name in TABLES}


def test_a_flow_that_raised_an_alert_is_counted_once_as_its_flow_event_says():
    flows = tables(LOG)["flows"]
    assert sorted(flows["flow_id"]) == [11, 12]
    flow = flows.row(by_predicate=pl.col("flow_id") == 11, named=True)
    assert (flow["src_ip"], flow["src_port"], flow["dst_port"]) == ("192.0.2.10", 50001, 443)
    assert (flow["src_packets"], flow["dst_packets"]) == (10, 12)
    assert (flow["state"], flow["service"], flow["end_reason"]) == ("SF", "tls", "idle")
    assert flow["start"] == dt.datetime(2026, 3, 2, 8, 0, 0, tzinfo=dt.UTC)  # +01:00 in the log
    assert flow["end"] - flow["start"] == dt.timedelta(seconds=4.5)


def test_an_alert_alone_stands_for_its_flow_as_it_was_last_seen():
    flow = tables(LOG)["flows"].row(by_predicate=pl.col("flow_id") == 12, named=True)
    assert (flow["src_packets"], flow["dst_packets"]) == (2, 0)
    assert (flow["src_ip"], flow["state"]) == ("203.0.113.66", "S0")
    assert flow["end"] - flow["start"] == dt.timedelta(seconds=2)


def test_an_alert_on_the_answer_is_turned_to_who_asked(tmp_path):
    alert = LOG.read_text().splitlines()[1]
    (tmp_path / "eve.json").write_text(alert + "\n")
    (flow,) = tables(tmp_path)["flows"].rows(named=True)
    assert (flow["src_ip"], flow["dst_port"]) == ("192.0.2.10", 443)


def test_dns_of_all_three_versions_is_one_row_a_transaction():
    rows = {row["query"]: row for row in tables(LOG)["dns"].rows(named=True)}
    assert len(rows) == tables(LOG)["dns"].height == 4
    assert rows["v1.example"]["answers"] == ["cdn.example", "198.51.100.9"]
    assert (rows["v2.example"]["rcode"], rows["v2.example"]["answers"]) == ("NXDOMAIN", [])
    assert rows["v3.example"]["answers"] == ["198.51.100.10"]
    assert rows["silent.example"]["rcode"] is None
    assert rows["silent.example"]["answers"] is None


def test_tls_http_and_ssh_keep_what_detectors_ask_for():
    found = tables(LOG)
    (tls,) = found["tls"].rows(named=True)
    assert (tls["server_name"], tls["alpn"], tls["version"]) == ("www.example.org", "h2", "TLS 1.3")
    assert tls["ja4"].startswith("t13d")
    (http,) = found["http"].rows(named=True)
    assert (http["method"], http["host"], http["status"]) == ("GET", "example.org", 200)
    (ssh,) = found["ssh"].rows(named=True)
    assert (ssh["client"], ssh["success"]) == ("SSH-2.0-Demo_1", None)


def test_writes_to_controllers_are_told():
    modbus, dnp3 = tables(LOG)["ot"].rows(named=True)
    assert (modbus["ot_protocol"], modbus["function"], modbus["kind"]) == ("modbus", 5, "write")
    assert (modbus["unit"], modbus["address"], modbus["request"]) == (3, 17, True)
    assert (dnp3["function_name"], dnp3["kind"], dnp3["unit"]) == ("Direct Operate", "control", 10)


def test_every_table_has_exactly_the_columns_of_its_contract_and_no_forbidden_null():
    for name, frame in tables(LOG).items():
        assert dict(frame.schema) == schema(name)
        for column in TABLES[name]:
            assert column.null != "never" or frame[column.name].null_count() == 0, column.name


def test_malformed_lines_are_counted_and_the_rest_is_read(tmp_path):
    lines = LOG.read_text().splitlines()
    lines[3:3] = ["{cut", json.dumps({"event_type": "flow", "timestamp": "yesterday"})]
    lines.append('{"event_type":"dns","timestamp":"2026-03-02T09:00:00+0100","dns":{"id":"x"}}')
    (tmp_path / "eve.json").write_text("\n".join(lines))
    warnings = []
    assert tables(tmp_path, warnings.append)["flows"].height == 2
    assert "3 lines are malformed" in warnings[0]
    assert "the first is line 4" in warnings[0]


def test_waiting_queries_and_alerts_are_bounded(monkeypatch):
    monkeypatch.setattr(suricata, "MAX_WAITING", 1)
    found = tables(LOG)
    assert found["dns"].height >= 4
    assert sorted(found["flows"]["flow_id"]) == [11, 12]


def read_bytes(folder, data):
    path = folder / "eve"
    path.write_bytes(data)
    list(suricata.read(Source(str(path), "eve"), sensor="s", warn=lambda _: None))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_a_traceback(tmp_path_factory, data):
    read_bytes(tmp_path_factory.mktemp("eve"), data)


_EVENTS = [json.loads(line) for line in LOG.read_text().splitlines()]
_VALUE = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(_EVENTS), st.data())
def test_an_event_with_any_field_changed_is_read_without_a_traceback(tmp_path_factory, event, data):
    changed = json.loads(json.dumps(event))
    place = changed
    kind = changed["event_type"]
    if isinstance(changed.get(kind), dict) and data.draw(st.booleans()):
        place = changed[kind]
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(_VALUE)
    read_bytes(tmp_path_factory.mktemp("eve"), json.dumps(changed).encode())


@pytest.mark.skipif(not REAL.is_file(), reason=f"{REAL} is absent")
def test_a_real_log_gives_each_flow_and_each_lookup_once():
    events = [json.loads(line) for line in gzip.decompress(REAL.read_bytes()).splitlines()]
    wanted = {event["flow_id"] for event in events if event["event_type"] in ("flow", "alert")}
    answers = sum(event.get("dns", {}).get("type") == "answer" for event in events)
    found = tables(REAL)
    assert set(found["flows"]["flow_id"]) == wanted
    assert found["flows"].height == len(wanted)
    assert found["dns"].filter(pl.col("rcode").is_not_null()).height == answers
