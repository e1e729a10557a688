"""What a process gives up before it looks at a hostile file.

Limits of resources (setrlimit(2)) and a filter of system calls (seccomp(2)): no socket, no new
program, no file opened, no other process touched. What is not on the list fails with EPERM.
"""

from __future__ import annotations

import ctypes
import platform
import resource
import signal
import struct
from typing import NamedTuple

from cyberterr.errors import MissingPartError


class Bounds(NamedTuple):
    """How much a child may take."""

    memory: int = 512 << 20
    """bytes of address space beyond what it started with"""
    stall_s: int = 30
    """seconds, of its own and on the clock, that may pass without one block of sound"""
    seconds: float = 24 * 3600.0
    """of sound; what is longer is refused"""


_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 1, 38, 22, 2
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CALLS = {
    # name: number on x86_64, on aarch64 (None: there is none)
    "read": (0, 63),
    "pread64": (17, 67),
    "readv": (19, 65),
    "write": (1, 64),
    "writev": (20, 66),
    "lseek": (8, 62),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "gettimeofday": (96, 169),
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrusage": (98, 165),
    "setitimer": (38, 103),
    "poll": (7, None),
    "ppoll": (271, 73),
    "prlimit64": (302, 261),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "restart_syscall": (219, 128),
}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # EPERM is 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def die_with_parent() -> None:
    """End this process when the one that made it ends (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def limit(bounds: Bounds) -> None:
    """Bound memory, file sizes, descriptors and processes of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - one line of the kernel
        now = int(file.read().split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_AS, now + bounds.memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (most, most))


def still_alive(bounds: Bounds) -> None:
    """Give this process another `stall_s` seconds, by its own time and by the clock.

    Both signals end it without a word of Python: a decoder that loops cannot catch them.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime) + bounds.stall_s
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_REAL, bounds.stall_s)


def rest() -> None:
    """Stop the clock of `still_alive`, not the count of this process's own time."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def close_doors() -> None:
    """Refuse every system call that decoding does not need, for good.

    Raises:
        MissingPartError: this kernel or machine has no seccomp filter.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURE:
        raise MissingPartError(
            f"media cannot be decoded safely on {machine}",
            hint="x86_64 and aarch64 are supported",
        )
    column = list(_ARCHITECTURE).index(machine)
    numbers = [n for call in _CALLS.values() if (n := call[column]) is not None]
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURE[machine]), (_RETURN, 0, 0, _KILL)]
    steps.append((_LOAD, 0, 0, 0))
    steps += [(_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    refused = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0
    )
    if refused:
        raise MissingPartError(
            "media cannot be decoded safely: the kernel refuses a filter of system calls",
            hint="a Linux kernel with CONFIG_SECCOMP_FILTER is needed",
        )
