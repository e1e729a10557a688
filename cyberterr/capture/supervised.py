"""Run a program that cannot outlive us: a small supervisor process holds it by a leash.

The leash is a pipe whose writing end only we hold. However we end, SIGKILL included, the kernel
closes it, and the supervisor ends the program's whole process group. Should the supervisor itself
be killed, the kernel ends the program (PR_SET_PDEATHSIG, prctl(2)). The kernel forgets that signal
for a program with file capabilities, such as dumpcap, which is why the signal alone is not enough.

This file is also the supervisor: it is run as a script and needs the standard library only.
Linux only (pidfd_open(2)).
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

GRACE_S = 2.0
"""How long a program may take to end by itself after it was asked to."""
_PR_SET_PDEATHSIG = 1


def leash() -> tuple[int, int]:
    """Make a leash: (end to pass to the supervisor, end to keep); closing the latter lets go."""
    return os.pipe()


def command(
    program: Sequence[str], held: int, *, memory_bytes: int = 0, cpu_s: int = 0
) -> list[str]:
    """Argument vector that runs *program* under a supervisor; pass the descriptor *held* on to it.

    Args:
        program: argument vector of the program.
        held: the supervisor's end of the leash; the caller passes it on (`pass_fds`).
        memory_bytes: most address space the program may take (RLIMIT_AS); 0 sets no limit.
        cpu_s: most CPU seconds it may use (RLIMIT_CPU); 0 sets no limit.
    """
    limits = [str(held), str(memory_bytes), str(cpu_s)]
    return [sys.executable, "-I", "-S", __file__, *limits, *program]


class Held:
    """A supervised program and our end of its leash.

    Attributes:
        process: the supervisor.

    Args:
        process: the supervisor.
        ours: our end of the leash; it belongs to this object from now on.
    """

    def __init__(self, process: subprocess.Popen[bytes], ours: int) -> None:
        self.process = process
        # A file, not a number: closed twice, a number may be somebody else's by then.
        self._leash = io.FileIO(ours, "wb")

    def let_go(self) -> None:
        """Ask the program to end (SIGTERM), and end it after `GRACE_S`; does not wait for it."""
        self._leash.close()


def start(program: Sequence[str], *, said: IO[bytes]) -> Held:
    """Start *program* supervised: no input, its output in a pipe, what it says in the file *said*.

    It runs in a session of its own: a Ctrl-C on the terminal reaches us alone.
    """
    held, ours = leash()
    try:
        process = subprocess.Popen(
            command(program, held),
            pass_fds=(held,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(held)
    return Held(process, ours)


def _become(program: list[str], supervisor: int, memory_bytes: int, cpu_s: int) -> None:
    """Turn this forked child into *program*, or end with the shell's codes 126 and 127."""
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:  # it died before the kernel knew what to do then
            os._exit(126)
        if memory_bytes:
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        if cpu_s:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        os.execvp(program[0], program)  # noqa: S606 (an argument vector, no shell)
    except OSError as error:
        print(f"{program[0]}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(127)


def _wait(child: int, held: int) -> int:
    """Wait until *child* ends, or end it when the leash is let go; give its wait status."""
    ended = os.pidfd_open(child)
    either = select.poll()
    either.register(ended, select.POLLIN)
    either.register(held, 0)  # only its hang-up counts
    ready = {descriptor for descriptor, _ in either.poll()}
    if ended not in ready:
        either.unregister(held)
        _signal_group(child, signal.SIGTERM)
        either.poll(GRACE_S * 1000)
    _signal_group(child, signal.SIGKILL)  # whatever the program started and left behind
    return os.waitpid(child, 0)[1]


def _signal_group(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, number)


def _main(held: str, memory_bytes: str, cpu_s: str, *program: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the leash alone decides; a Ctrl-C is for our parent
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _become(list(program), supervisor, int(memory_bytes), int(cpu_s))
    with contextlib.suppress(OSError):
        os.setpgid(child, child)  # both sides do it: neither can know who comes first
    code = os.waitstatus_to_exitcode(_wait(child, int(held)))
    if code < 0:
        print(f"{program[0]}: ended by {signal.Signals(-code).name}", file=sys.stderr, flush=True)  # noqa: T201
        return 128 - code
    return code


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
