"""A supervised program ends with its leash, keeps its exit code, and has limits."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cyberterr.capture import supervised


def run(program, **limits):
    held, ours = supervised.leash()
    try:
        return subprocess.run(
            supervised.command(program, held, **limits),
            pass_fds=(held,),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(held)
        os.close(ours)


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_that_of_the_program(code):
    assert run([sys.executable, "-c", f"raise SystemExit({code})"]).returncode == code


def test_a_program_that_is_not_there_is_said_by_name():
    ended = run(["/no/such/program"])
    assert ended.returncode == 127
    assert "/no/such/program: No such file" in ended.stderr


def test_a_crash_is_said_by_the_name_of_its_signal():
    ended = run([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"])
    assert ended.returncode == 128 + 11
    assert "SIGSEGV" in ended.stderr


def test_a_program_that_wants_too_much_memory_fails_alone():
    ended = run([sys.executable, "-c", "b'x' * 10**9"], memory_bytes=400 << 20)
    assert ended.returncode == 1
    assert "MemoryError" in ended.stderr


def test_a_program_that_never_ends_is_stopped_by_its_cpu_limit():
    ended = run([sys.executable, "-c", "while True: pass"], cpu_s=1)
    assert "SIGKILL" in ended.stderr or "SIGXCPU" in ended.stderr


def test_letting_go_ends_the_program_and_what_it_started():
    with tempfile.TemporaryFile() as said:
        held = supervised.start(["sh", "-c", "sleep 60 & echo $!; sleep 60"], said=said)
        with held.process.stdout as output:
            grandchild = int(output.readline())
            held.let_go()
            assert output.read() == b""
        assert held.process.wait(timeout=5) == 128 + 15
    assert not Path(f"/proc/{grandchild}/exe").exists() or _is_zombie(grandchild)


def test_a_program_that_ignores_the_request_is_killed():
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True);"
    with tempfile.TemporaryFile() as said:
        held = supervised.start([sys.executable, "-c", deaf + "time.sleep(60)"], said=said)
        with held.process.stdout as output:
            output.readline()
            began = time.monotonic()
            held.let_go()
            assert held.process.wait(timeout=10) == 128 + 9
    assert time.monotonic() - began < supervised.GRACE_S + 2


def test_when_the_supervisor_is_killed_the_program_dies_too():
    with tempfile.TemporaryFile() as said:
        held = supervised.start(["sh", "-c", "echo $$; exec sleep 60"], said=said)
        with held.process.stdout as output:
            child = int(output.readline())
            held.process.kill()
            assert output.read() == b""  # the last one who could write is gone
        held.process.wait()
        held.let_go()
    assert not Path(f"/proc/{child}/exe").exists() or _is_zombie(child)


def _is_zombie(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
