"""Live capture on the loopback interface, with packets that the test sends itself."""

import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cyberterr.capture import live as live_capture
from cyberterr.capture.live import Live
from cyberterr.errors import CyberterrError, MissingPartError, SourceError, UsageError


def reason_not_to_capture() -> str:
    try:
        Live("lo").close()
    except CyberterrError as error:
        return error.message
    return ""


NO_CAPTURE = reason_not_to_capture()
live = pytest.mark.skipif(bool(NO_CAPTURE), reason=NO_CAPTURE)


@pytest.fixture
def port():
    """A UDP port that is ours, with somebody listening so that no ICMP comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


@pytest.fixture
def veth():
    """The name of one end of a pair of virtual interfaces, both up."""
    name = f"ct{os.getpid()}"
    made = ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"]
    done = subprocess.run(made, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no interface can be made here: {done.stderr.strip()}")
    try:
        for end in (name, f"{name}p"):
            subprocess.run(["ip", "link", "set", end, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)


def send(port: int, count: int, first: int = 0) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(first, first + count):
            sender.sendto(b"%04d" % number, ("127.0.0.1", port))
            time.sleep(0.0005)


def payloads(pcap: bytes) -> list[bytes]:
    assert pcap[:4] == b"\xd4\xc3\xb2\xa1"
    found, at = [], 24
    while at < len(pcap):
        captured = struct.unpack_from("<I", pcap, at + 8)[0]
        found.append(pcap[at + 16 : at + 16 + captured][14 + 20 + 8 :])
        at += 16 + captured
    return found


@live
def test_every_packet_that_is_sent_arrives_and_none_is_dropped(port):
    with Live("lo", bpf=f"udp port {port}") as capture:
        send(port, 300)
        time.sleep(0.5)
        assert capture.dropped == 0
        capture.stop()
        pcap = capture.stream.read()
    assert payloads(pcap) == [b"%04d" % number for number in range(300)]
    assert capture.received == 300
    assert capture.dropped == 0


@live
def test_the_filter_keeps_other_traffic_out(port):
    with Live("lo", bpf=f"tcp port {port}") as capture:
        send(port, 20)
        time.sleep(0.3)
        capture.stop()
        assert payloads(capture.stream.read()) == []


@live
def test_a_duration_ends_the_capture_on_a_quiet_line(port):
    began = time.monotonic()
    with Live("lo", bpf=f"udp port {port}", duration_s=1) as capture:
        assert len(capture.stream.read()) == 24
    assert 0.5 < time.monotonic() - began < 5


@live
def test_a_fresh_dumpcap_takes_over_and_no_packet_is_lost_between_the_two(port, monkeypatch):
    monkeypatch.setattr(live_capture, "SEGMENT_S", 0.5)
    sent = 0
    with Live("lo", bpf=f"udp port {port}") as capture:
        began = descendants(os.getpid())
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not began.isdisjoint(descendants(os.getpid())):
            send(port, 50, first=sent)
            sent += 50
        send(port, 50, first=sent)
        time.sleep(0.5)
        capture.stop()
        numbers = [int(payload) for payload in payloads(capture.stream.read())]
    assert time.monotonic() < deadline
    assert sorted(set(numbers)) == list(range(sent + 50))
    assert capture.received == len(numbers)
    assert capture.dropped == 0


@live
def test_lost_packets_are_known_while_the_capture_goes_on(port, monkeypatch):
    monkeypatch.setattr(live_capture, "SEGMENT_S", 0.5)
    monkeypatch.setattr(live_capture, "KERNEL_BUFFER_MIB", 1)
    with (
        Live("lo", bpf=f"udp port {port}") as capture,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        for _ in range(8000):  # while nobody reads
            sender.sendto(bytes(1000), ("127.0.0.1", port))
        deadline = time.monotonic() + 30
        while not capture.dropped and time.monotonic() < deadline:
            capture.stream.read1(1 << 20)
            send(port, 1)
        while_it_ran = capture.dropped
    assert 0 < while_it_ran <= capture.dropped
    assert capture.dropped + capture.received >= 8000


@live
def test_an_interface_that_goes_away_is_an_error_and_what_came_before_is_there(veth):
    def read_until_it_goes():
        with Live(veth) as capture:
            subprocess.run(["ip", "link", "delete", veth], check=True)
            assert len(capture.stream.read()) >= 24

    with pytest.raises(SourceError, match="no longer attached") as error:
        read_until_it_goes()
    assert "ip link" in error.value.hint


@live
def test_a_wrong_filter_is_explained_in_the_words_of_libpcap():
    with pytest.raises(UsageError, match="syntax error") as error:
        Live("lo", bpf="tcp port")
    assert "pcap-filter" in error.value.hint


@live
def test_an_unknown_interface_names_those_there_are():
    with pytest.raises(SourceError, match="nope0") as error:
        Live("nope0")
    assert "lo" in error.value.hint


def test_without_dumpcap_the_debian_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPartError) as error:
        Live("lo")
    assert "apt install tshark" in error.value.hint
    assert error.value.exit_code == 4


def test_without_the_right_to_capture_the_hint_never_asks_for_root(monkeypatch, tmp_path):
    refused = tmp_path / "dumpcap"
    said = "dumpcap: The capture session could not be initiated on interface 'eth0' "
    said += "(You don't have permission to capture on that device)."
    refused.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    refused.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MissingPartError, match="may not capture on eth0") as error:
        Live("eth0")
    assert "setcap" in error.value.hint
    assert "never run cyberterr as root" in error.value.hint


@live
def test_where_no_rights_may_be_gained_the_hint_does_not_ask_for_capabilities():
    program = "from cyberterr.capture.live import Live; Live('lo')"
    bound = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    done = subprocess.run(
        [*bound, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert "MissingPartError: dumpcap may not capture on lo" in done.stderr
    assert "no_new_privs" in done.stderr
    assert "setcap" not in done.stderr


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found |= {int(child)} | descendants(int(child))
    return found


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # dead, and only waiting for an init that does not collect it


CAPTURING = """
    import sys
    from cyberterr.capture.live import Live
    capture = Live("lo", bpf="udp port 9")
    print("captures", flush=True)
    capture.stream.read()
"""
DISSECTING = """
    import sys
    from cyberterr.capture.live import Live
    from cyberterr.capture.tshark import Reading, read_stream
    capture = Live("lo", bpf="udp port {port}")
    print("captures", flush=True)
    for packet in read_stream(capture.stream, Reading()):
        print("dissects", flush=True)
"""


@live
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("program", "programs"), [(CAPTURING, 2), (DISSECTING, 4)])
def test_however_python_ends_no_dumpcap_and_no_tshark_stays_behind(port, program, programs, how):
    script = textwrap.dedent(program.replace("{port}", str(port)))
    python = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    with python.stdout as output:
        assert output.readline() == b"captures\n"
        if program is DISSECTING:
            for _ in range(100):  # until tshark is there to dissect one
                send(port, 1)
                time.sleep(0.05)
                if len(descendants(python.pid)) == programs:
                    break
            send(port, 1)
            assert output.readline() == b"dissects\n"
        started = descendants(python.pid)
        assert len(started) == programs
        python.send_signal(how)
        python.wait()
    deadline = time.monotonic() + 2
    while any(map(running, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in started if running(pid)]
