"""Events as Elastic's integrations store them give the rows of the log lines that they were."""

import io
import json
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cyberterr.capture import suricata, zeek
from cyberterr.capture.elastic_events import DATASETS, FIELDS, line
from cyberterr.capture.source import Source

DATA = Path(__file__).parents[1] / "data" / "elastic"
ZEEK = json.loads((DATA / "zeek.json").read_text())
SURICATA = json.loads((DATA / "suricata.json").read_text())
PACKETBEAT = json.loads((DATA / "packetbeat.json").read_text())
TABLES = ("flows", "dns", "tls", "http", "ssh", "ot")


def no_warning(text):
    raise AssertionError(text)


def rows(log, *lines):
    """The table that the reader of *log* makes of JSON *lines*."""
    stream = io.BytesIO(b"".join(text + b"\n" for text in lines))
    if log == "eve":
        parts = suricata.read(Source("eve", "eve", stream=stream), sensor="s", warn=no_warning)
    else:
        # A connection log is always beside the others in a cluster.
        logs = {"conn": io.BytesIO(), log: stream}
        files = [Source(name, "zeek", detail=name, json=True, stream=s) for name, s in logs.items()]
        source = Source("zeek", "zeek", parts=tuple(files))
        parts = zeek.read(source, sensor="s", warn=no_warning)
    filled = [table for part in parts for name in TABLES if (table := getattr(part, name)).height]
    return pl.concat(filled)


def stored(*documents):
    """The rows of *documents*."""
    lines = [line(document) for document in documents]
    (log,) = {one.log for one in lines}
    return rows(log, *(one.json for one in lines))


def keeping(document, text):
    """*document* of a site that preserves the original event."""
    return {**document, "event": {**document["event"], "original": json.dumps(text)}}


def named(case):
    return case["what"]


@pytest.mark.parametrize("case", ZEEK, ids=named)
def test_a_zeek_event_gives_the_row_of_its_line(case):
    """The pipeline keeps milliseconds, and no payload sizes; all else is the same."""
    log = line(case["document"]).log
    direct = rows(log, json.dumps(case["line"]).encode())
    through = stored(case["document"])
    moments = [name for name, dtype in through.schema.items() if isinstance(dtype, pl.Datetime)]
    direct = direct.with_columns(pl.col(moments).dt.truncate("1ms"))
    through = through.with_columns(pl.col(moments).dt.truncate("1ms"))
    if log == "conn":
        assert through["src_payload"].is_null().all()
        sizes = ("src_payload", "dst_payload")
        direct, through = direct.drop(sizes), through.drop(sizes)
    assert_frame_equal(through, direct)


@pytest.mark.parametrize("case", ZEEK, ids=named)
def test_a_zeek_event_that_keeps_its_line_loses_nothing(case):
    log = line(case["document"]).log
    through = stored(keeping(case["document"], case["line"]))
    assert_frame_equal(through, rows(log, json.dumps(case["line"]).encode()))


@pytest.mark.parametrize("case", SURICATA, ids=named)
@pytest.mark.parametrize("kept", [False, True], ids=["fields", "original"])
def test_suricata_events_give_the_rows_of_their_lines(case, kept):
    documents = case["documents"]
    if kept:
        documents = [keeping(d, text) for d, text in zip(documents, case["lines"], strict=True)]
    direct = rows("eve", *(json.dumps(text).encode() for text in case["lines"]))
    assert_frame_equal(stored(*documents), direct)


def test_a_packetbeat_flow_is_counted_once_however_often_it_was_reported():
    interim, final = PACKETBEAT["interim"], PACKETBEAT["final"]
    flows = stored(interim, interim, final)
    who = flows.select("src_ip", "dst_ip", "src_port", "dst_port", "protocol")
    assert who.rows() == [("192.0.2.10", "198.51.100.20", 50001, 443, 6)]
    counts = flows.select("src_packets", "dst_packets", "src_bytes", "dst_bytes", "state")
    assert counts.rows() == [(10, 12, 1500, 9000, "SF")]
    assert str(flows["start"][0]) == "2026-03-02 08:00:01.500000+00:00"
    assert str(flows["end"][0]) == "2026-03-02 08:00:15+00:00"
    assert flows["src_flags"].is_null().all()


def test_a_packetbeat_flow_that_goes_on_is_what_its_last_report_says():
    later = {**PACKETBEAT["interim"], "source": {**PACKETBEAT["interim"]["source"], "bytes": 777}}
    assert stored(PACKETBEAT["interim"], later)["src_bytes"].to_list() == [777]


def test_a_port_that_is_used_again_begins_another_packetbeat_flow():
    final = PACKETBEAT["final"]
    again = {**final, "event": {**final["event"], "start": "2026-03-02T08:10:00.000Z"}}
    assert stored(final, again)["flow_id"].n_unique() == 2


def test_a_packetbeat_flow_is_the_same_where_its_fields_were_renamed_to_ecs():
    assert_frame_equal(stored(PACKETBEAT["renamed"]), stored(PACKETBEAT["final"]))


def test_of_a_tunnel_what_it_carries_is_read():
    flow = stored(PACKETBEAT["tunnelled"])
    assert flow.select("src_ip", "dst_ip", "protocol").row(0) == ("192.0.2.10", "192.0.2.99", 255)


def test_packetbeat_transactions_become_rows():
    dns = stored(PACKETBEAT["dns"], PACKETBEAT["unanswered"]).sort("time")
    assert dns.select("query", "qtype", "rcode", "answers").rows() == [
        ("www.example.org", "A", "NOERROR", ["198.51.100.20"]),
        ("silent.example", "TXT", None, None),
    ]
    http = stored(PACKETBEAT["http"])
    assert http.select("method", "host", "uri", "user_agent", "status").row(0) == (
        "GET", "example.org", "/a?b=1", "Demo/1.0", 200,
    )  # fmt: skip
    tls = stored(PACKETBEAT["tls"])
    assert tls.select("server_name", "alpn", "version").row(0) == (
        "www.example.org",
        "h2",
        "TLS 1.2",
    )


def test_dotted_names_are_read_as_nested_ones_are():
    document = ZEEK[0]["document"]
    dotted = {
        f"{outer}.{inner}": value
        for outer, fields in document.items()
        if isinstance(fields, dict)
        for inner, value in fields.items()
    }
    assert_frame_equal(
        stored(dotted | {"@timestamp": document["@timestamp"]}), stored(ZEEK[0]["document"])
    )


def test_the_sensor_is_the_observer_and_else_the_agent():
    document = ZEEK[0]["document"]
    assert line(document).sensor == "probe-1"
    assert line({**document, "observer": {"name": "mirror-3"}}).sensor == "mirror-3"
    assert line({name: v for name, v in document.items() if name != "agent"}).sensor == ""


def test_what_is_no_network_event_is_none():
    assert line({"event": {"dataset": "system.auth"}}) is None
    assert line({"event": {"dataset": "suricata.eve"}, "suricata": {"eve": {}}}) is None
    assert line(None) is None


def test_every_field_of_the_examples_that_is_used_is_asked_for():
    """What the cluster leaves out of `_source` must not change a row."""

    def asked(node, prefix=""):
        if not isinstance(node, dict):
            return node
        return {
            name: asked(value, f"{prefix}{name}.")
            for name, value in node.items()
            if any(
                field == f"{prefix}{name}"
                or field.startswith(f"{prefix}{name}.")
                or f"{prefix}{name}.".startswith(f"{field}.")
                for field in FIELDS
            )
        }

    cases = [[c["document"]] for c in ZEEK] + [c["documents"] for c in SURICATA]
    cases += [[document] for document in PACKETBEAT.values()]
    for documents in cases:
        assert_frame_equal(stored(*map(asked, documents)), stored(*documents))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(DATASETS), st.dictionaries(st.sampled_from(FIELDS), JSON), JSON)
def test_a_hostile_document_makes_a_line_or_is_refused_and_never_breaks_the_reader(
    dataset, event, other
):
    event = {**event, "event.dataset": dataset, "other": other}
    try:
        made = line(event)
    except (ArithmeticError, ValueError, TypeError):
        return  # counted by the reader of pages
    if made is None:
        return
    assert b"\n" not in made.json
    assert isinstance(msgspec.json.decode(made.json), dict)
    stream = io.BytesIO(made.json + b"\n")
    if made.log == "eve":
        source = Source("eve", "eve", stream=stream)
        parts = suricata.read(source, sensor="s", warn=lambda _: None)
    else:
        part = Source("log", "zeek", detail=made.log, json=True, stream=stream)
        source = Source("zeek", "zeek", parts=(part,))
        parts = zeek.read(source, sensor="s", warn=lambda _: None)
    assert sum(map(len, parts)) <= 1
