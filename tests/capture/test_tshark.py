"""The pyshark engine on real captures."""

import asyncio
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from cyberterr.capture.tshark import Reading, read_file, read_stream
from cyberterr.errors import MissingPartError, SourceError

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed (Debian package: tshark)"
)


@needs_tshark
@pytest.mark.parametrize(
    ("name", "packets", "carry_ip"),
    [("solaris.snoop", 250, 71), ("radiotap.pcap", 3, 3), ("nflog-http.pcap", 13, 13)],
)
def test_formats_that_only_wireshark_knows_are_read(name, packets, carry_ip):
    reading = Reading()
    assert len(list(read_file(GOLDEN / name, reading))) == carry_ip
    assert (reading.packets, reading.other) == (packets, packets - carry_ip)
    assert not reading.warnings


@needs_tshark
def test_payloads_come_through_whole():
    packets = list(read_file(GOLDEN / "nflog-http.pcap", Reading()))
    assert any(
        packet.payload.startswith(b"GET / HTTP/1.1\r\nHost: www.example.net") for packet in packets
    )


@needs_tshark
def test_a_fresh_tshark_every_hundred_packets_gives_the_same_packets():
    at_once = list(read_file(GOLDEN / "bruteforce.pcap", Reading()))
    in_turns = list(read_file(GOLDEN / "bruteforce.pcap", Reading(), packets_per_process=100))
    assert len(at_once) == 606
    assert in_turns == at_once


@needs_tshark
def test_a_count_that_divides_the_capture_ends_it_too():
    reading = Reading()
    assert len(list(read_file(GOLDEN / "dhcp_flood.pcap", reading, packets_per_process=250))) == 500
    assert not reading.warnings


@needs_tshark
def test_a_pipe_gives_what_the_file_gives():
    path = GOLDEN / "one_tcp_stream.pcap"
    with path.open("rb") as stream:
        piped = list(read_stream(stream, Reading(), packets_per_process=10))
    assert piped == list(read_file(path, Reading()))


@needs_tshark
def test_a_capture_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((GOLDEN / "one_tcp_stream.pcap").read_bytes()[:-7])
    reading = Reading()
    assert len(list(read_file(cut, reading))) == 35
    assert "read up to packet 35" in reading.warnings[0]
    assert "cut short" in reading.warnings[0]


@needs_tshark
def test_what_is_no_capture_is_an_error_that_names_the_file(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a capture")
    with pytest.raises(SourceError, match="isn't a capture file") as error:
        list(read_file(text, Reading()))
    assert error.value.where == str(text)


@needs_tshark
def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        list(read_file(tmp_path / "nothing.pcap", Reading()))


@needs_tshark
def test_stopping_early_leaves_nothing_running():
    packets = read_file(GOLDEN / "modbusBig.pcap", Reading())
    next(packets)
    packets.close()
    children = Path("/proc/self/task").glob("*/children")
    running = [pid for task in children for pid in task.read_text().split()]
    assert not [pid for pid in running if _name(pid) in ("tshark", "python")]


def _name(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


@needs_tshark
def test_what_tshark_gave_before_it_was_killed_is_kept_and_said(tmp_path):
    capture = (GOLDEN / "modbusBig.pcap").read_bytes()
    long = tmp_path / "long.pcap"
    long.write_bytes(capture + capture[24:] * 4)
    reading = Reading()
    packets = read_file(long, reading)
    kept = [next(packets)]
    [tshark] = [pid for pid in _descendants(os.getpid()) if _name(pid) == "tshark"]
    os.kill(tshark, signal.SIGKILL)
    kept += packets
    assert 0 < len(kept) <= reading.packets < 5 * 14_000
    [warning] = reading.warnings
    assert f"{long}: read up to packet {reading.packets}" in warning
    assert "ended by SIGKILL" in warning


def _descendants(pid):
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            yield child
            yield from _descendants(child)


@needs_tshark
def test_a_users_own_wireshark_profile_changes_nothing(monkeypatch, tmp_path):
    (tmp_path / "disabled_protos").write_text("ip\n")
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", str(tmp_path))
    assert len(list(read_file(GOLDEN / "dhcp_flood.pcap", Reading()))) == 500


@needs_tshark
def test_nothing_is_called_that_python_3_14_removed(monkeypatch):
    for name in ("set_child_watcher", "get_child_watcher", "SafeChildWatcher"):
        monkeypatch.delattr(asyncio, name, raising=False)
    monkeypatch.delattr(asyncio, "get_event_loop_policy")  # deprecated there, gone in 3.16
    assert len(list(read_file(GOLDEN / "one_tcp_stream.pcap", Reading()))) == 36


@needs_tshark
def test_a_thread_may_read_while_the_main_thread_does_something_else():
    found = []
    reader = threading.Thread(
        target=lambda: found.extend(read_file(GOLDEN / "one_tcp_stream.pcap", Reading()))
    )
    reader.start()
    reader.join()
    assert len(found) == 36


def test_without_tshark_the_debian_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPartError, match="Debian package: tshark") as error:
        list(read_file(GOLDEN / "solaris.snoop", Reading()))
    assert error.value.exit_code == 4
