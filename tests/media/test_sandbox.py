"""What a decoding child can no longer do."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, socket, subprocess, sys
import numpy as np
from cyberterr.media import sandbox
bounds = sandbox.Bounds(memory=64 << 20, stall_s=1)
sandbox.limit(bounds)
sandbox.still_alive(bounds)
sandbox.close_doors()
{attempt}
print("done")
"""
REFUSED = {
    "a socket": "socket.socket()",
    "a file to read": "open('/etc/passwd')",
    "a file to write": "open('/tmp/cyberterr-x', 'w')",
    "another program": "os.execv('/bin/true', ['true'])",
    "a process of its own": "os.fork()",
    "a folder's content": "os.listdir('/')",
    "a signal to another": "os.kill(os.getppid(), 0)",
    "memory beyond the bounds": "np.ones(100 << 20, np.uint8)",
    "looking into another process": "open(f'/proc/{os.getppid()}/mem', 'rb')",
}


def run(attempt: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{attempt}", attempt)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_child_is_refused(what: str) -> None:
    ended = run(REFUSED[what])
    assert "done" not in ended.stdout
    assert "PermissionError" in ended.stderr or "MemoryError" in ended.stderr


def test_a_child_may_compute_and_speak() -> None:
    ended = run("np.ones(1 << 20).sum(); os.write(1, b'heard ')")
    assert ended.stdout.endswith("done\n")


@pytest.mark.parametrize("loop", ["while True: pass", "import time; time.sleep(20)"])
def test_a_child_that_gives_no_sound_is_ended(loop: str) -> None:
    assert run(loop).returncode < 0  # by a signal that it cannot catch
