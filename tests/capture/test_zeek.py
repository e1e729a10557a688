"""Zeek's logs become the flow table and its companions, in every form Zeek writes them."""

import csv
import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.capture import zeek
from cyberterr.capture.content import ZEEK_LOGS
from cyberterr.capture.source import Source, discover
from cyberterr.contracts.flow import TABLES, schema

LOGS = Path(__file__).parents[1] / "data" / "logs"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "network"


def no_warning(text):
    raise AssertionError(text)


def tables(*paths, warn=no_warning):
    parts = [
        part
        for source in discover(paths).sources
        for part in zeek.read(source, sensor="here", warn=warn)
    ]
    return {name: pl.concat([getattr(part, name) for part in parts]) for name in TABLES}


def by_source_port(frame, port):
    return frame.row(by_predicate=pl.col("src_port") == port, named=True)


def test_a_web_page_keeps_what_zeek_counted():
    flow = by_source_port(tables(LOGS / "zeek")["flows"], 50001)
    assert flow["start"] == dt.datetime(2026, 3, 2, 8, 0, 0, 123456, dt.UTC)
    assert flow["end"] - flow["start"] == dt.timedelta(seconds=12.5)
    assert (flow["src_ip"], flow["dst_ip"]) == ("192.0.2.10", "198.51.100.20")
    assert (flow["src_packets"], flow["dst_packets"]) == (20, 40)
    assert (flow["src_bytes"], flow["dst_bytes"]) == (2540, 44080)
    assert (flow["src_payload"], flow["dst_payload"]) == (1500, 42000)
    assert (flow["state"], flow["service"], flow["sensor"]) == ("SF", "tls", "here")
    assert (flow["src_flags"], flow["dst_flags"]) == (0x13, 0x13)
    assert flow["end_reason"] == "log"


def test_a_scan_shows_who_got_no_answer_and_who_was_refused():
    flows = tables(LOGS / "zeek")["flows"]
    silent, refused = by_source_port(flows, 40000), by_source_port(flows, 40001)
    assert (silent["state"], silent["src_flags"], silent["dst_flags"]) == ("S0", 2, 0)
    assert silent["src_payload"] is None
    assert silent["end"] == silent["start"]
    assert (refused["state"], refused["dst_flags"]) == ("REJ", 4)


def test_a_ping_has_no_ports_and_says_only_whether_it_was_answered():
    ping = tables(LOGS / "zeek")["flows"].row(by_predicate=pl.col("protocol") == 58, named=True)
    assert (ping["src_port"], ping["dst_port"], ping["state"]) == (0, 0, "SF")
    assert ping["src_flags"] is None


def test_every_table_has_exactly_the_columns_of_its_contract_and_no_forbidden_null():
    for name, frame in tables(LOGS / "zeek").items():
        assert dict(frame.schema) == schema(name)
        for column in TABLES[name]:
            assert column.null != "never" or frame[column.name].null_count() == 0, column.name


def test_an_event_carries_the_id_of_its_flow():
    found = tables(LOGS / "zeek")
    page = by_source_port(found["flows"], 50001)["flow_id"]
    assert by_source_port(found["tls"], 50001)["flow_id"] == page
    assert page == 13406409643099538293  # the same in every run and on every machine


def test_without_a_connection_log_events_stand_alone():
    found = tables(LOGS / "zeek" / "dns.log")
    assert found["flows"].height == 0
    assert found["dns"].height == 3
    assert found["dns"]["flow_id"].null_count() == 3


def test_dns_tells_an_answer_from_a_refusal_and_from_silence():
    good, missing, silent = tables(LOGS / "zeek" / "dns.log")["dns"].rows(named=True)
    assert good["query"] == "www.example.org"
    assert (good["qtype"], good["rcode"]) == ("A", "NOERROR")
    assert good["answers"] == ["cdn.example.org", "198.51.100.20"]
    assert (missing["rcode"], missing["answers"]) == ("NXDOMAIN", [])
    assert (silent["qtype"], silent["rcode"], silent["answers"]) == ("HTTPS", None, None)


def test_tls_http_and_ssh_keep_what_detectors_ask_for():
    found = tables(LOGS / "zeek")
    tls, dtls = found["tls"].rows(named=True)
    assert (tls["server_name"], tls["alpn"], tls["version"]) == ("www.example.org", "h2", "TLS 1.3")
    assert (dtls["version"], dtls["protocol"], dtls["server_name"]) == ("DTLS 1.2", 17, None)
    (http,) = found["http"].rows(named=True)
    assert (http["method"], http["host"], http["uri"]) == ("GET", "example.org", "/index.html")
    assert (http["user_agent"], http["status"]) == ("Demo/1.0", 200)
    (ssh,) = found["ssh"].rows(named=True)
    assert (ssh["success"], ssh["attempts"]) == (False, 5)
    assert ssh["server"] == "SSH-2.0-OpenSSH_9.2"


def test_json_lines_give_what_columns_give_with_numbers_or_dates():
    web, scan = tables(LOGS / "zeek-json")["flows"].rows(named=True)
    assert web["start"] == dt.datetime(2026, 3, 2, 8, 0, 0, 500_000, dt.UTC)
    assert web["end"] == dt.datetime(2026, 3, 2, 8, 0, 2, 750_000, dt.UTC)
    assert (web["state"], web["service"], web["src_flags"]) == ("SF", "http", 0x13)
    assert scan["start"] == dt.datetime(2026, 3, 2, 8, 0, 1, 250_000, dt.UTC)
    assert (scan["state"], scan["src_payload"]) == ("S0", None)


def test_a_columns_log_written_as_json_gives_the_same_rows(tmp_path):
    lines = (LOGS / "zeek" / "conn.log").read_text().splitlines()
    fields = next(line for line in lines if line.startswith("#fields")).split("\t")[1:]
    texts = {"uid", "id.orig_h", "id.resp_h", "proto", "service", "conn_state", "history", "label"}
    with (tmp_path / "conn.log").open("w") as file:
        for line in lines:
            if not line.startswith("#"):
                pairs = zip(fields, line.split("\t"), strict=True)
                record = {
                    name: value if name in texts else json.loads(value)
                    for name, value in pairs
                    if value != "-"
                }
                file.write(json.dumps(record) + "\n")
    assert tables(tmp_path)["flows"].equals(tables(LOGS / "zeek" / "conn.log")["flows"])


def test_malformed_lines_are_counted_once_with_the_first_line_and_the_rest_is_read(tmp_path):
    lines = (LOGS / "zeek" / "conn.log").read_text().splitlines()
    lines.insert(9, "1772438400.5\tCBad\tnot-an-address\t1\t192.0.2.1\t2\ttcp")
    lines.insert(11, "")
    lines[-2] = lines[-2][:70]  # the disk was full
    (tmp_path / "conn.log").write_text("\n".join(lines))
    warnings = []
    found = tables(tmp_path, warn=warnings.append)
    assert found["flows"].height == 5
    assert len(warnings) == 1
    assert "3 lines are malformed" in warnings[0]
    assert "the first is line 10" in warnings[0]


def test_logs_joined_end_to_end_follow_each_header(tmp_path):
    first = (LOGS / "zeek" / "conn.log").read_text()
    other = first.replace("\tproto\tservice", "\tservice\tproto")
    other = other.replace("\ttcp\tssl,http", "\tssl,http\ttcp").replace("\ttcp\t-", "\t-\ttcp")
    other = other.replace("\tudp\tdns", "\tdns\tudp").replace("\ticmp\t-", "\t-\ticmp")
    other = other.replace("\tunknown_transport\t-", "\t-\tunknown_transport")
    (tmp_path / "conn.log").write_text(first + other)
    flows = tables(tmp_path)["flows"]
    assert flows.head(6).equals(flows.tail(6))


def test_windows_line_ends_and_another_separator_are_read(tmp_path):
    text = (LOGS / "zeek" / "ssh.log").read_text()
    text = text.replace("\t", "|").replace("#separator \\x09", "#separator \\x7c")
    text = text.replace("#path|ssh", "#path\tssh")
    (tmp_path / "ssh.log").write_bytes(text.replace("\n", "\r\n").encode())
    (ssh,) = tables(tmp_path)["ssh"].rows(named=True)
    assert ssh["server"] == "SSH-2.0-OpenSSH_9.2"


def test_an_endless_line_is_dropped_and_counted(tmp_path):
    text = (LOGS / "zeek" / "conn.log").read_bytes()
    (tmp_path / "conn.log").write_bytes(text + b"x" * (9 << 20) + b"\n" + text)
    warnings = []
    assert tables(tmp_path, warn=warnings.append)["flows"].height == 12
    assert "1 line is malformed" in warnings[0]


HEADER = (LOGS / "zeek" / "conn.log").read_bytes().split(b"#types")[0]
FIELD = st.one_of(
    st.sampled_from(["-", "(empty)", "192.0.2.1", "::1", "tcp", "1e400", "nan", "-1", "65536", ""]),
    st.text(max_size=12),
)


def read_bytes(folder, log, data, *, is_json):
    path = folder / "log"
    path.write_bytes(data)
    part = Source(str(path), "zeek", detail=log, json=is_json)
    whole = Source(str(path), "zeek", parts=(part,))
    return list(zeek.read(whole, sensor="s", warn=lambda _: None))


@settings(max_examples=60, deadline=None)
@given(log=st.sampled_from(ZEEK_LOGS), data=st.binary(max_size=400), is_json=st.booleans())
def test_any_bytes_are_read_without_a_traceback(tmp_path_factory, log, data, is_json):
    folder = tmp_path_factory.mktemp("zeek")
    read_bytes(folder, log, data, is_json=is_json)
    read_bytes(folder, log, HEADER + data, is_json=False)
    read_bytes(folder, log, b"#fields\t" + data, is_json=False)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.lists(FIELD, min_size=20, max_size=24), max_size=5))
def test_any_fields_are_read_without_a_traceback(tmp_path_factory, rows):
    data = "\n".join("\t".join(row) for row in rows).encode("utf-8", "surrogatepass")
    read_bytes(tmp_path_factory.mktemp("zeek"), "conn", HEADER + data, is_json=False)


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    log=st.sampled_from(ZEEK_LOGS),
    data=st.data(),
)
def test_any_json_values_are_read_without_a_traceback(tmp_path_factory, log, data):
    keys = st.sampled_from(list(zeek.COLUMNS[log]))
    record = data.draw(st.dictionaries(keys, _VALUE))
    line = json.dumps(record).encode()
    read_bytes(tmp_path_factory.mktemp("zeek"), log, line, is_json=True)


def test_json_that_nests_without_end_is_one_malformed_line(tmp_path):
    good = (LOGS / "zeek-json" / "conn.log").read_bytes()
    deep = b'{"x":' + b"[" * 100_000 + b"\n"
    (tmp_path / "conn.log").write_bytes(good + deep + good)
    warnings = []
    assert tables(tmp_path, warn=warnings.append)["flows"].height == 4
    assert "the first is line 3" in warnings[0]


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is absent")
def test_real_logs_give_as_many_flows_as_their_manifest_says():
    with (SHARED / "MANIFEST.csv").open(newline="") as file:
        counts = {
            row["file"]: int(row["flows"])
            for row in csv.DictReader(file)
            if "conn.log" in row["file"] and row["flows"].isdecimal()
        }
    assert len(counts) >= 9
    for name, count in counts.items():
        flows = tables(SHARED / name)["flows"]
        assert flows.height == count, name
        assert flows.filter(pl.col("end") < pl.col("start")).height == 0
    assert tables(SHARED / "njrat")["flows"]["start"].min().year == 1970
