"""Packets become flows: our end of the process that runs `native/serve.c`, which does the work."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import mmap
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO, NamedTuple

import polars as pl

from cyberterr.config import Meter as MeterSettings
from cyberterr.errors import MissingPartError, SourceError, UsageError
from cyberterr.flows.frames import FINISHED, flow_table
from cyberterr.flows.tapped import HEADER

PROGRAM = Path(__file__).with_name("_meter")
FLUSH_S = 1.0
"""How often a live source gives what has finished: many small tables cost more than packets."""
_NO_MEMORY = 3  # the exit code of native/serve.c
MERGED_LATE_S = 60
"""Captures of several interfaces, merged, run out of order by the size of a buffer."""
_AT_MOST_UNDER_WAY = 2  # one block is read while the next one is filled


class Status(IntEnum):
    """How reading a block ended; the order is that of `MeterStatus` in native/meter.h."""

    NEED_MORE = 0
    FULL = 1
    NO_CAPTURE = 2
    CORRUPT = 3


class _Operation(IntEnum):
    BEGIN_SOURCE = 0
    FEED = 1
    EXPIRE = 2
    FINISH = 3


_COUNT_NAMES = (
    "packets", "wire_bytes", "ip_packets", "other", "malformed", "unknown_link", "cut_short",
    "flows", "evicted", "dropped", "backwards", "jumps_back", "without_time", "tunnelled",
    "fragments",
)  # fmt: skip


class _Counts(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in _COUNT_NAMES),
        ("first_ns", ctypes.c_int64),
        ("last_ns", ctypes.c_int64),
        ("source_first_ns", ctypes.c_int64),
        ("unknown_link_type", ctypes.c_uint32),
        ("open_flows", ctypes.c_uint32),
    )


class _Hello(ctypes.Structure):
    _fields_ = (
        *((n, ctypes.c_uint32) for n in ("sandboxed", "flow_size", "header_size", "counts_size")),
        *((name, ctypes.c_uint64) for name in ("block", "ahead")),
    )


class _Request(ctypes.Structure):
    _fields_ = (
        ("operation", ctypes.c_uint32),
        ("half", ctypes.c_uint32),
        ("size", ctypes.c_uint64),
        ("now_ns", ctypes.c_int64),
        ("flush", ctypes.c_uint32),
        ("number", ctypes.c_uint32),
    )


class _Reply(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("number", "status", "more", "unused")),
        *((name, ctypes.c_uint64) for name in ("position", "waiting")),
        *((n, ctypes.c_uint64) for n in ("flows", "tapped", "sources", "destinations")),
        ("counts", _Counts),
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """What went through the meter so far."""

    packets: int = 0
    wire_bytes: int = 0
    ip_packets: int = 0
    other: int = 0
    """packets that carry no IP: ARP, LLDP, spanning tree …"""
    malformed: int = 0
    unknown_link: int = 0
    """packets of a link type that this reader does not know"""
    cut_short: int = 0
    """packets of which the capture holds only the beginning (snap length)"""
    flows: int = 0
    evicted: int = 0
    """flows closed early because `max_open_flows` were open"""
    dropped: int = 0
    """packets that the capturing program says it lost"""
    backwards: int = 0
    """packets older than the one before"""
    jumps_back: int = 0
    """of these, by more than a minute"""
    without_time: int = 0
    tunnelled: int = 0
    fragments: int = 0
    first_ns: int = 0
    last_ns: int = 0
    source_first_ns: int = 0
    """time of the first packet of the source that is being read"""
    unknown_link_type: int = 0
    open_flows: int = 0


class Batch(NamedTuple):
    """What the meter gives at once. Payloads come before the flow that they belong to."""

    status: Status
    flows: pl.DataFrame
    tapped: bytes
    """payloads that layer 7 wants; see `tapped.messages`"""
    counts: Counts
    position: int
    """bytes of this source that were taken"""
    waiting: int
    """bytes after them, of a record that is not complete"""


class MeterError(SourceError):
    """The meter's process ended in the middle of a source; flows that were open are lost."""


class _Answer(NamedTuple):
    reply: _Reply
    flows: bytes
    tapped: bytes
    sources: bytes
    destinations: bytes


class Meter:
    """One stream of packets through one flow table, in bounded memory, in a process of its own.

    The process may read, write and end, and nothing else (`sandboxed`); a capture that breaks it
    breaks a process that holds nothing and reaches nothing. A context manager, or call `close`.

    Args:
        settings: time-outs and the size of the flow table.
        sensor: goes into every row.
        tap: give the payloads that layer 7 wants, too.
        late_s: how much out of order packets may come; idle flows wait that long for one more.

    Raises:
        MissingPartError: the compiled meter is absent, or is not of this version.
        UsageError: there is no memory for so many flows.
    """

    def __init__(
        self, settings: MeterSettings, *, sensor: str, tap: bool, late_s: int = MERGED_LATE_S
    ) -> None:
        self._sensor = sensor
        self.counts = Counts()
        shared = os.memfd_create("cyberterr-meter")
        try:
            self._process = _started(settings, shared, late_s, tap=tap)
            assert self._process.stdin is not None  # noqa: S101 - both are pipes
            assert self._process.stdout is not None  # noqa: S101
            self._requests, replies = self._process.stdin, self._process.stdout
            hello = _heard(replies)
            if hello is None:
                replies.close()
                self._end()
                if self._process.returncode == _NO_MEMORY:
                    raise UsageError(
                        f"there is no memory for {settings.max_open_flows} open flows",
                        hint="lower max_open_flows in the section [meter] of the settings",
                    )
                raise MissingPartError(
                    "the compiled flow meter is not of this version",
                    hint="install the package again (pip install .): that compiles it",
                    where=str(PROGRAM),
                )
            self.sandboxed = bool(hello.sandboxed)
            room = mmap.mmap(shared, 2 * (hello.ahead + hello.block))
        finally:
            os.close(shared)
        starts = (hello.ahead, 2 * hello.ahead + hello.block)
        self._halves = itertools.cycle(
            (number, memoryview(room)[start : start + hello.block])
            for number, start in enumerate(starts)
        )
        self._asked = self._answered = 0
        # A thread, because an interrupt in the middle of an answer would lose the place in it.
        self._answers: queue.Queue[_Answer | None] = queue.Queue(_AT_MOST_UNDER_WAY)
        self._listener = threading.Thread(
            target=_listen, args=(replies, self._answers), daemon=True
        )
        self._listener.start()

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self._end()

    def close(self) -> None:
        """End the process; what was not collected is lost."""
        self._end()
        while self._answers.get() is not None:
            pass
        self._listener.join()
        self._answers.put(None)

    def read(
        self, fill: Callable[[memoryview], int | None], *, now_ns: Callable[[], int] | None = None
    ) -> Iterator[Batch]:
        """Take one source; flows that are open at its end stay open.

        Args:
            fill: writes the next bytes into the room it is given; how many, None at the end.
            now_ns: for a live source, the time: what has finished is given every `FLUSH_S`, and
                where *fill* gives 0 bytes, flows that are idle by then are closed.

        Raises:
            MeterError: the process ended.
        """
        yield from self.under_way()
        self._ask(_Operation.BEGIN_SOURCE)
        status, due = Status.NEED_MORE, 0.0
        while status is Status.NEED_MORE:
            half, room = next(self._halves)
            count = fill(room)
            if count is None:
                break
            if count:
                flush = now_ns is not None and time.monotonic() >= due
                self._ask(_Operation.FEED, half=half, size=count, flush=flush)
                due = time.monotonic() + FLUSH_S if flush else due
            elif now_ns is not None:
                self._ask(_Operation.EXPIRE, now_ns=now_ns())
            for batch in self.under_way(_AT_MOST_UNDER_WAY - 1):
                status = batch.status
                yield batch
        yield from self.under_way()

    def finish(self) -> Iterator[Batch]:
        """Close all open flows, and give them in bounded parts; the first holds the last payloads.

        Raises:
            MeterError: the process ended.
        """
        self._ask(_Operation.FINISH)
        yield from self.under_way()

    def _ask(self, operation: _Operation, **values: int) -> None:
        self._asked += operation is not _Operation.BEGIN_SOURCE
        request = _Request(operation=operation, number=self._asked % 2**32, **values)
        with contextlib.suppress(BrokenPipeError):  # the missing answer will tell
            self._requests.write(bytes(request))

    def under_way(self, left: int = 0) -> Iterator[Batch]:
        """Wait for answers until at most *left* requests have none; `read` may leave some behind.

        Raises:
            MeterError: the process ended.
        """
        while self._asked - self._answered > left:
            answer = self._answers.get()
            if answer is None:
                self._answers.put(None)
                self._answered = self._asked
                raise MeterError(
                    f"broke the decoder after packet {self.counts.packets}; "
                    f"{self.counts.open_flows} open flows are lost",
                    hint="please report this capture: it shows a defect of cyberterr",
                )
            reply = answer.reply
            # By number: an interrupt may have lost an answer on its way to us.
            self._answered += (reply.number - reply.more - self._answered) % 2**32
            names = (name for name, *_ in _Counts._fields_)
            self.counts = Counts(*(getattr(reply.counts, name) for name in names))
            yield Batch(
                Status(reply.status),
                flow_table(answer.flows, answer.sources, answer.destinations, sensor=self._sensor),
                answer.tapped,
                self.counts,
                reply.position,
                reply.waiting,
            )

    def _end(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        self._process.kill()
        self._process.wait()


def _started(
    settings: MeterSettings, shared: int, late_s: int, *, tap: bool
) -> subprocess.Popen[bytes]:
    second = 1_000_000_000
    numbers = (
        settings.idle_timeout_s * second,
        settings.active_timeout_s * second,
        late_s * second,
        settings.max_open_flows,
        int(tap),
        shared,
    )
    try:
        return subprocess.Popen(
            [str(PROGRAM), *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=(shared,),
            env={},
            start_new_session=True,  # a Ctrl-C on the terminal is for us alone
        )
    except OSError as error:
        raise MissingPartError(
            f"the compiled flow meter cannot be started: {error.strerror}",
            hint="install the package (pip install .): that compiles it",
            where=str(PROGRAM),
        ) from None


def _heard(replies: IO[bytes]) -> _Hello | None:
    """What the process says of itself; None where it is not the one that this file expects."""
    hello = _Hello()
    expected = (FINISHED.itemsize, HEADER.size, ctypes.sizeof(_Counts))
    if not _filled(replies, memoryview(hello).cast("B")):
        return None
    sizes = (hello.flow_size, hello.header_size, hello.counts_size)
    return hello if sizes == expected else None


def _listen(replies: IO[bytes], answers: queue.Queue[_Answer | None]) -> None:
    """Put every answer into *answers*, and None after the last."""
    with replies:
        while True:
            reply = _Reply()
            if not _filled(replies, memoryview(reply).cast("B")):
                break
            sizes = (reply.tapped, reply.flows, reply.sources, reply.destinations)
            parts = [bytearray(size) for size in sizes]
            if not all(_filled(replies, memoryview(part)) for part in parts):
                break
            tapped, flows, sources, destinations = map(bytes, parts)
            answers.put(_Answer(reply, flows, tapped, sources, destinations))
    answers.put(None)


def _filled(replies: IO[bytes], room: memoryview) -> bool:
    """Read until *room* is full; false where the process ended before."""
    while room:
        count = replies.readinto(room)  # type: ignore[attr-defined]  # an unbuffered FileIO
        if not count:
            return False
        room = room[count:]
    return True
