"""From a flow id or a finding to the messages, over whole captures."""

import gzip
import shutil
from pathlib import Path

import polars as pl
import pytest

from cyberterr.config import Settings
from cyberterr.errors import SourceError, UsageError
from cyberterr.pipeline import dissect as module
from cyberterr.pipeline.dissect import dissect
from cyberterr.pipeline.scan import scan
from cyberterr.pipeline.sources import Reading, read_tables

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "golden"
pytestmark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed (Debian package: tshark)"
)


def flows_of(path):
    tables = list(read_tables([path], Settings(), Reading()))
    return pl.concat([table.flows for table in tables])


def messages(path, **chosen):
    reading = Reading()
    return list(dissect([str(path)], Settings(), reading, **chosen)), reading


def test_a_flow_is_found_by_the_id_that_the_meter_gave_it():
    path = GOLDEN / "wikipedia.pcap"
    flow = flows_of(path).filter(pl.col("service") == "http").row(0, named=True)
    [request, answer], reading = messages(path, flow_ids=[flow["flow_id"]])
    assert request["direction"] == "src_to_dst"
    assert request["fields"]["http.request.method"] == "GET"
    assert answer["direction"] == "dst_to_src"
    assert answer["fields"]["http.response.code"] == "304"
    assert request["time"] == f"{flow['start']:%Y-%m-%dT%H:%M:%S}.652003000Z"
    assert (request["flow_id"], request["protocol"]) == (flow["flow_id"], "http")
    assert not reading.errors


def test_a_compressed_capture_and_a_folder_are_read_like_the_capture(tmp_path):
    path = GOLDEN / "quicv2-http3-443.pcap"
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    [flow_id] = flows_of(path)["flow_id"]
    plain, _ = messages(path, flow_ids=[flow_id])
    assert messages(packed, flow_ids=[flow_id])[0] == plain
    assert messages(tmp_path, flow_ids=[flow_id])[0] == plain
    assert any(message["protocol"] == "tls" for message in plain)


def test_a_finding_leads_to_what_was_said_between_its_hosts():
    path = str(DATA / "town_hall.pcapng")
    findings = scan([path], Settings(), None, Reading()).findings
    [finding] = [finding for finding in findings if finding.family == "ot_write"]
    found, _ = messages(path, findings=[finding])
    assert {message["protocol"] for message in found} == {"modbus"}
    assert any(message["fields"]["modbus.func_code"] in ("5", "6", "16") for message in found)


def test_a_flow_that_is_not_there_is_said_so_with_what_to_try():
    with pytest.raises(UsageError, match="no flow 17 in") as error:
        messages(GOLDEN / "wikipedia.pcap", flow_ids=[17])
    assert "cyberterr flows" in error.value.hint


def test_a_capture_that_is_not_there_is_a_source_error():
    with pytest.raises(SourceError, match="no such file"):
        messages(GOLDEN / "nothing.pcap", flow_ids=[17])


def test_a_log_holds_nothing_to_dissect():
    with pytest.raises(UsageError, match="holds no packets"):
        messages(next((DATA / "logs").rglob("conn.log")), flow_ids=[17])


def test_more_flows_than_a_filter_takes_are_counted(monkeypatch):
    monkeypatch.setattr(module, "MOST_FLOWS", 2)
    path = GOLDEN / "wikipedia.pcap"
    ids = flows_of(path)["flow_id"].to_list()
    found, reading = messages(path, flow_ids=ids)
    assert len({message["flow_id"] for message in found}) == 2
    assert any("the first 2 are dissected" in warning for warning in reading.warnings)
