"""What a person, and a journal, is shown while a scan runs."""

import contextlib
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cyberterr.cli import progress as shown
from cyberterr.cli.progress import progress, status
from cyberterr.errors import SourceError
from cyberterr.pipeline.pace import Pace
from cyberterr.pipeline.sources import Reading

CAPTURE = Path(__file__).parents[1] / "data" / "town_hall.pcapng"


def test_a_service_says_how_it_goes_now_and_then_with_losses_and_lag(monkeypatch, capsys):
    monkeypatch.setattr(shown, "STATUS_EVERY_S", 0.3)
    monkeypatch.setattr(shown, "LOOK_EVERY_S", 0.02)
    reading = Reading(source="eth0")
    with progress(reading, quiet=False, live=True):
        for _ in range(10):
            reading.packets += 100
            reading.dropped, reading.evicted = 7, 5
            reading.clock_ns = time.time_ns() - 3_000_000_000
            time.sleep(0.05)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("eth0: ") for line in lines)
    assert "7 packets lost, 5 flows closed early" in lines[-1]
    assert "3.0 s at most" in lines[0] or "3.1 s at most" in lines[0]


def test_warnings_and_errors_of_a_service_are_said_once_and_at_once(monkeypatch, capsys):
    monkeypatch.setattr(shown, "LOOK_EVERY_S", 0.02)
    reading = Reading()
    with progress(reading, quiet=False, live=True) as said:
        reading.warn("mail: not told, tried again next time")
        reading.errors.append(SourceError("went away", where="eth0"))
        time.sleep(0.2)
        lines = capsys.readouterr().err.splitlines()
        assert lines == ["warning: mail: not told, tried again next time", "error: eth0: went away"]
        time.sleep(0.1)
    assert capsys.readouterr().err == ""
    assert said == set(lines)


def test_quiet_shows_nothing(monkeypatch, capsys):
    reading = Reading()
    with progress(reading, quiet=True, live=True):
        reading.warn("x")
        time.sleep(0.3)
    assert capsys.readouterr().err == ""


def test_silence_on_the_line_is_not_lag():
    reading, pace = Reading(), Pace()
    reading.clock_ns = time.time_ns() - 2_000_000_000
    pace.look(reading)
    assert 2 <= pace.lag_s < 3
    pace.look(reading)
    assert pace.lag_s == 0
    assert 2 <= pace.worst_lag_s < 3
    assert "0.0 s behind, 2.0 s at most" in status(reading, pace, live=True)


def test_on_a_terminal_a_bar_shows_bytes_packets_flows_losses_rate_and_time_left():
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "cyberterr", "scan", CAPTURE, "--no-store"],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "160", "TERM": "xterm"},
    ):
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the end, where the other side is closed
            while block := os.read(ours, 4096):
                seen += block
    os.close(ours)
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode()).strip().splitlines()[-1]
    shape = (
        r"[\d.]+/[\d.]+ \w+ [\d,]+ packets, [\d,]+ flows, 0 packets lost, "
        r"0 flows closed early, [\d,]+/s (\d:\d\d:\d\d|-:--:--)"
    )
    assert re.search(shape, last), last


@pytest.mark.parametrize("value", [0, 1_234_567])
def test_numbers_are_set_in_groups(value):
    assert status(Reading(packets=value)).startswith(f"{value:,} packets")
