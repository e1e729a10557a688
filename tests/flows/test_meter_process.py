"""The meter's process: it may do nothing, and its end is nobody else's."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cyberterr.config import Meter as Settings
from cyberterr.errors import MissingPartError
from cyberterr.flows import meter as metering
from cyberterr.flows.meter import Meter, MeterError

BROWSING = Path(__file__).parents[1] / "data" / "golden" / "workshop_2011_browse.pcap"


def filling(data: bytes, block: int):
    stream = io.BytesIO(data)
    return lambda room: stream.readinto(room[:block]) or None


def status_of(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def children() -> list[int]:
    me = os.getpid()
    return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


def test_what_reads_packets_may_only_read_write_and_end():
    with Meter(Settings(), sensor="test", tap=True) as meter:
        if not meter.sandboxed:
            pytest.skip("this kernel lets no process give up its system calls (seccomp)")
        status = status_of(children()[-1])
        assert status["Name"] == "_meter"
        ours = int(status_of(os.getpid())["Seccomp_filters"])
        assert int(status["Seccomp_filters"]) == ours + 1  # on top of a container's or systemd's
        assert status["NoNewPrivs"] == "1"


def test_a_decoder_that_dies_is_an_error_that_says_how_far_it_came():
    with Meter(Settings(), sensor="test", tap=True) as meter:
        batches = meter.read(filling(BROWSING.read_bytes(), 1_000), now_ns=time.time_ns)
        next(batches)
        os.kill(children()[-1], signal.SIGKILL)
        with pytest.raises(MeterError, match=r"after packet \d+; \d+ open flows are lost"):
            list(batches)


def test_a_program_of_another_version_is_named_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(metering, "PROGRAM", Path("/bin/true"))
    with pytest.raises(MissingPartError, match="not of this version"):
        Meter(Settings(), sensor="test", tap=True)


def test_a_meter_that_was_never_compiled_is_a_missing_part(monkeypatch, tmp_path):
    monkeypatch.setattr(metering, "PROGRAM", tmp_path / "_meter")
    with pytest.raises(MissingPartError, match="cannot be started"):
        Meter(Settings(), sensor="test", tap=True)


def test_it_does_not_outlive_us():
    """The parent is killed without a chance to say goodbye."""
    code = (
        "import os, signal, pathlib\n"
        "from cyberterr.config import Meter as Settings\n"
        "from cyberterr.flows.meter import Meter\n"
        "meter = Meter(Settings(), sensor='', tap=False)\n"
        "me = os.getpid()\n"
        "print(pathlib.Path(f'/proc/{me}/task/{me}/children').read_text(), flush=True)\n"
        "os.kill(me, signal.SIGKILL)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    process = int(said.stdout)
    deadline = time.monotonic() + 2
    while _runs(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(process)


def _runs(process: int) -> bool:
    try:
        return status_of(process)["State"][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_closing_in_the_middle_leaves_no_process_and_no_thread():
    threads = threading.active_count()
    meter = Meter(Settings(), sensor="test", tap=True)
    batches = meter.read(filling(BROWSING.read_bytes(), 1_000), now_ns=time.time_ns)
    next(batches)
    process = children()[-1]
    meter.close()
    assert not _runs(process)
    assert threading.active_count() == threads
