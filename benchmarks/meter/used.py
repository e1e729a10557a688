"""CPU time and memory of a program together with everything it starts."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import IO, NamedTuple

EVERY_S = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """What a program and its descendants used."""

    cpu_s: float
    """user and system"""
    wall_s: float
    megabytes: float
    """sum of each process's own peak: shared pages count in each, and peaks as if together"""
    processes: int


class _Seen(NamedTuple):
    cpu_s: float
    kilobytes: int


def measured(
    command: list[str],
    *,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
) -> Used:
    """Run *command* to its end.

    Raises:
        SystemExit: it failed.
    """
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr)
    seen: dict[int, _Seen] = {}
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        seen.update(_look(process.pid))
        time.sleep(EVERY_S)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit status {process.returncode}: {' '.join(command)}")
    # The kernel's account is exact, but lacks a child that nobody waited for.
    cpu = max(usage.ru_utime + usage.ru_stime, sum(one.cpu_s for one in seen.values()))
    kilobytes = max(usage.ru_maxrss, sum(one.kilobytes for one in seen.values()))
    return Used(cpu, wall, kilobytes / 1024, max(1, len(seen)))


def _look(root: int) -> dict[int, _Seen]:
    """*root* and its descendants as they are now."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = _fields(path)
        if fields:
            parents[int(path.parent.name)] = int(fields[1])
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return {pid: one for pid in family if (one := _one(pid))}


def _one(pid: int) -> _Seen | None:
    fields = _fields(Path(f"/proc/{pid}/stat"))
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    if not fields or not peak:  # it has just ended
        return None
    return _Seen((int(fields[11]) + int(fields[12])) / _TICKS, int(peak[1]))


def _fields(stat: Path) -> list[str]:
    """Of proc(5)'s stat, from the state on; the name before it may hold anything."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except OSError:
        return []
