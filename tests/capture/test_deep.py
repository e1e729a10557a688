"""Deep fields of chosen flows, with the real tshark."""

import io
import itertools
import os
import shutil
import signal
import struct
import subprocess
from pathlib import Path

import polars as pl
import pytest

from cyberterr.capture import deep
from cyberterr.capture.deep import Chosen, read_messages
from cyberterr.capture.engine import Reading
from cyberterr.capture.tshark import read_file
from cyberterr.config import Meter as Settings
from cyberterr.errors import MissingPartError, SourceError
from cyberterr.flows import reference
from cyberterr.flows.meter import Meter

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed (Debian package: tshark)"
)


def flows_of(path, service=None):
    with Meter(Settings(), sensor="test", tap=False) as metering, path.open("rb") as capture:
        batches = list(metering.read(lambda room: capture.readinto(room) or None))
        table = pl.concat([batch.flows for batch in (*batches, *metering.finish())])
    if not table.height:  # a format that our meter does not know
        table = pl.concat(reference.meter(read_file(path, Reading()), Settings(), sensor="test"))
    times = table.with_columns(pl.col("start", "end").cast(pl.Int64)).sort("start")
    return [
        Chosen(
            row["flow_id"], row["start"], row["end"], row["src_ip"], row["dst_ip"],
            row["src_port"], row["dst_port"], row["protocol"], row["vlan"], row["tunnel"], service,
        )
        for row in times.iter_rows(named=True)
    ]  # fmt: skip


def read(path, flows, **options):
    reading = Reading()
    with path.open("rb") as stream:
        found = list(read_messages(stream, flows, reading, where=str(path), **options))
    return found, reading


def by_tshark(path, display_filter):
    """Times of what Wireshark itself shows under *display_filter*, with all its dissectors.

    An HTTP head counts where it ends, as with us, and not where its body does.
    """
    command = ["tshark", "-r", path, "-o", "http.desegment_body:FALSE", "-Y", display_filter]
    command += ["-T", "fields", "-e", "frame.time_epoch"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {int(line.replace(".", "")) for line in said.split()}


HTTP = "http.request or http.response"


@needs_tshark
@pytest.mark.parametrize(
    ("name", "protocol", "display_filter", "shown"),
    [
        ("DnsPackets.pcap", "dns", "dns", {"dns.qry.name"}),
        ("wikipedia.pcap", "http", HTTP, {"http.host", "http.response.code"}),
        ("one_ipv6_http_stream.pcap", "http", HTTP, {"http.request.uri"}),
        ("dnp3.pcap", "dnp3", "dnp3", {"dnp3.al.func", "dnp3.al.obj"}),
        ("quicv2-http3-443.pcap", "tls", "tls.handshake", {"tls.handshake.extensions_alpn_str"}),
    ],
)  # fmt: skip
def test_messages_are_those_that_wireshark_sees(name, protocol, display_filter, shown):
    path = GOLDEN / name
    found, reading = read(path, flows_of(path))
    of_it = [message for message in found if message.protocol == protocol]
    assert {message.time_ns for message in of_it} == by_tshark(path, display_filter)
    assert shown <= {field for message in of_it for field in message.fields}
    assert not reading.warnings


@needs_tshark
def test_only_the_packets_of_the_chosen_flow_reach_tshark():
    path = GOLDEN / "wikipedia.pcap"
    flow = next(flow for flow in flows_of(path) if flow.dst_port == 80)
    found, reading = read(path, [flow])
    ports = f"tcp.port=={flow.src_port}"
    assert reading.packets == len(by_tshark(path, ports)) < 20
    assert {message.flow_id for message in found} == {flow.flow_id}
    assert [message.from_src for message in found] == [True, False]
    assert all(flow.start_ns <= message.time_ns <= flow.end_ns for message in found)


@needs_tshark
def test_an_order_to_a_machine_shows_what_was_written():
    path = GOLDEN / "modbusBig.pcap"
    found, _ = read(path, flows_of(path)[:1])
    order = next(message for message in found if message.fields["modbus.func_code"] == "5")
    assert order.fields == {
        "mbtcp.trans_id": "49739",
        "mbtcp.unit_id": "255",
        "modbus.func_code": "5",
        "modbus.reference_num": "1",
        "modbus.data": "ff:00",
    }


@needs_tshark
def test_a_protocol_on_a_port_that_is_not_its_own_is_dissected_by_the_service_of_the_flow(tmp_path):
    path = tmp_path / "odd.pcap"
    path.write_bytes(a_capture(b"SSH-2.0-OpenSSH_9.6\r\n", port=902))
    assert read(path, flows_of(path))[0] == []
    [message], _ = read(path, flows_of(path, "ssh"))
    assert message.fields == {"ssh.protocol": "SSH-2.0-OpenSSH_9.6"}


@needs_tshark
def test_no_password_cookie_user_name_or_body_comes_out(tmp_path):
    request = (
        b"POST http://alice:hunter2@mairie.example/agents;sid=hunter2?user=alice&hunter2#x"
        b" HTTP/1.1\r\nHost: mairie.example\r\nAuthorization: Basic YWxpY2U6aHVudGVyMg==\r\n"
        b"Cookie: session=hunter2\r\nReferer: http://mairie.example/?name=alice\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\n"
        b"user=alice&password=hunter2xx"
    )
    path = tmp_path / "secrets.pcap"
    path.write_bytes(a_capture(request, port=80))
    [message], _ = read(path, flows_of(path))
    said = str(message)
    assert not any(secret in said for secret in ("alice", "hunter2", "YWxpY2U6", "session"))
    assert message.fields["http.request.uri"] == "http://mairie.example/agents;sid=…?user=…&…"
    assert message.fields["http.referer"] == "http://mairie.example/?name=…"
    assert message.fields["http.request.method"] == "POST"


@needs_tshark
def test_a_fresh_tshark_every_hundred_packets_gives_the_same_messages():
    path = GOLDEN / "dnp3.pcap"
    flows = flows_of(path)
    assert read(path, flows, packets_per_process=100)[0] == read(path, flows)[0]


@needs_tshark
@pytest.mark.parametrize("name", ["vxlan.pcap", "mixed-vlan-mpls.pcap", "quic-interop-retry.pcap"])
def test_tunnels_tags_and_other_links_are_seen_through(name):
    path = GOLDEN / name
    _, reading = read(path, flows_of(path))
    assert reading.packets > 0
    assert not reading.warnings


@needs_tshark
def test_a_format_that_only_wireshark_knows_is_dissected_too():
    path = GOLDEN / "nflog-http.pcap"
    found, _ = read(path, flows_of(path))
    assert found[0].fields["http.host"] == "www.example.net"


@needs_tshark
def test_a_capture_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path):
    whole = GOLDEN / "DnsPackets.pcap"
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole.read_bytes()[:-7])
    found, reading = read(cut, flows_of(whole))
    assert len(found) == len(read(whole, flows_of(whole))[0]) - 1
    assert "read as far as it goes" in reading.warnings[0]
    assert "cut short" in reading.warnings[0]


@needs_tshark
def test_what_cannot_become_a_pcap_is_an_error_with_what_to_try(tmp_path):
    both = tmp_path / "both.pcapng"
    parts = (GOLDEN / "raw_ip.pcap", GOLDEN / "wikipedia.pcap")
    subprocess.run(["mergecap", "-w", both, *parts], check=True)
    with pytest.raises(SourceError, match="can't be written") as error:
        read(both, flows_of(GOLDEN / "wikipedia.pcap"))
    assert "frame.interface_id" in error.value.hint


@needs_tshark
def test_of_a_long_flow_the_first_messages_are_given_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(deep, "MESSAGES_PER_FLOW", 7)
    path = GOLDEN / "modbusBig.pcap"
    [flow, *_] = flows_of(path)
    found, reading = read(path, [flow])
    assert len(found) == 7
    assert f"of flow {flow.flow_id} the first 7 messages" in reading.warnings[0]


@needs_tshark
def test_a_tshark_that_is_killed_leaves_its_messages_and_a_warning(tmp_path):
    capture = (GOLDEN / "modbusBig.pcap").read_bytes()
    long = tmp_path / "long.pcap"
    long.write_bytes(capture + capture[24:] * 4)
    reading = Reading()
    with long.open("rb") as stream:
        flows = flows_of(GOLDEN / "modbusBig.pcap")
        messages = read_messages(stream, flows, reading, where="long.pcap")
        kept = [next(messages)]
        [tshark] = [pid for pid in _running() if _name(pid) == "tshark"]
        os.kill(tshark, signal.SIGKILL)
        kept += messages
    assert 0 < len(kept) < 5 * 5_000
    assert any("ended by SIGKILL" in warning for warning in reading.warnings)


@needs_tshark
@pytest.mark.parametrize("taken", [1, 5_000])  # by then more waits in the pipe than is read at once
def test_stopping_early_ends_at_once_and_leaves_nothing_running(tmp_path, taken):
    before = set(_running())
    capture = (GOLDEN / "modbusBig.pcap").read_bytes()
    long = tmp_path / "long.pcap"
    long.write_bytes(capture + capture[24:] * 4)
    with long.open("rb") as stream:
        flows = flows_of(GOLDEN / "modbusBig.pcap")
        messages = read_messages(stream, flows, Reading(), where="long.pcap")
        assert len(list(itertools.islice(messages, taken))) == taken
        messages.close()
    assert not [pid for pid in set(_running()) - before if _name(pid) in ("tshark", "editcap")]


def test_without_tshark_the_debian_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    flow = Chosen(1, 0, 1, "10.0.0.1", "10.0.0.2", 1, 2, 6, None, None, None)
    with pytest.raises(MissingPartError, match="Debian package: tshark"):
        list(read_messages(io.BytesIO(), [flow], Reading(), where="x"))


def a_capture(payload, *, port):
    """One TCP segment from 10.0.0.1 to 10.0.0.2 as a capture of raw IP."""
    tcp = struct.pack(">HHIIBBHHH", 40000, port, 1, 1, 0x50, 0x18, 1024, 0, 0) + payload
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0)
    packet = ip + bytes((10, 0, 0, 1, 10, 0, 0, 2)) + tcp
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    return head + struct.pack("<IIII", 1_700_000_000, 5, len(packet), len(packet)) + packet


def _running(pid="self"):
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            yield child
            yield from _running(child)


def _name(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()
