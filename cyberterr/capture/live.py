"""Capture from a network interface: dumpcap writes pcap into a pipe, our reader reads it.

dumpcap is the only program that needs rights (`cap_net_raw`); cyberterr itself needs none.

dumpcap says how many packets it lost only when it ends (measured with 4.0; what `ss` shows of its
ring buffer stays 0). A capture that runs for months would never know, so every `SEGMENT_S` a fresh
dumpcap takes over: it starts before the old one ends, so that nothing is lost between them, and
their outputs become one stream. The packets of the `OVERLAP_S` they share are in it twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import math
import os
import re
import select
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from cyberterr.capture import supervised
from cyberterr.errors import CyberterrError, MissingPartError, SourceError, UsageError

KERNEL_BUFFER_MIB = 32
"""How much the kernel holds for us while we are busy: about 0.3 s at 1 Gbit/s."""
SEGMENT_S = 900.0
"""How long one dumpcap captures, so how old the count of lost packets may be."""
OVERLAP_S = 1.0
"""What dumpcap has not taken when it ends is lost: 0.25 s that the kernel holds packets back, and
more where the machine is busy."""
PIPE_BYTES = 1 << 20
"""The largest pipe an ordinary user may have; a full one makes dumpcap wait."""
RIGHTS = (
    "give the right to dumpcap only, never run cyberterr as root: "
    "sudo dpkg-reconfigure wireshark-common (answer yes), sudo usermod -aG wireshark $USER, "
    "log in again; or sudo setcap cap_net_raw,cap_net_admin+ep $(which dumpcap)"
)
NO_NEW_RIGHTS = (
    "this process may not gain rights (no_new_privs, which a container or systemd's "
    "NoNewPrivileges sets): the capabilities on dumpcap have no effect here; see docs/unattended.md"
)
INSTALL = "sudo apt install tshark (it brings dumpcap, in the package wireshark-common)"
_HEADER_BYTES = 24
_COUNTS = re.compile(r"received/dropped on interface '.*': (\d+)/(\d+)")


class Live:
    """A running capture; a context manager, or call `close`.

    Attributes:
        stream: pcap (microseconds, one interface) as it comes; ends when the capture does.
        dropped: packets lost because they came faster than we took them, as far as is known: at
            most `SEGMENT_S` old while the capture runs, final after `close`.
        received: packets that dumpcap took, known like `dropped`.

    Args:
        interface: name as in `ip link`, or `any`.
        bpf: capture filter in libpcap's language (pcap-filter(7)); empty takes everything.
        duration_s: seconds after which the capture ends by itself; None captures until `stop`.

    Raises:
        MissingPartError: dumpcap is absent, or may not capture.
        UsageError: the filter is wrong.
        SourceError: there is no such interface, or it cannot be opened. At the end of a `with`:
            the capture ended though nobody asked for it (the interface went away).
    """

    def __init__(self, interface: str, *, bpf: str = "", duration_s: int | None = None) -> None:
        self._interface, self._bpf = interface, bpf
        self._until = math.inf if duration_s is None else time.monotonic() + duration_s
        self.dropped = self.received = 0
        self._failure: CyberterrError | None = None
        self._stopping = False
        self._lock = threading.Lock()
        self._running: list[_Segment] = []
        first = self._begin()
        ours, self._out = os.pipe()
        with contextlib.suppress(OSError):  # the system allows less: then it is smaller
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.write(self._out, first.header)
        self.stream = io.BufferedReader(io.FileIO(ours, "rb"), PIPE_BYTES)
        self._pump = threading.Thread(target=self._carry, args=(first,), daemon=True)
        self._pump.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close()
        if self._failure is not None and kind is None:
            raise self._failure

    def stop(self) -> None:
        """End the capture; what was captured can still be read from `stream`."""
        with self._lock:
            self._stopping = True
            for segment in self._running:
                segment.held.let_go()

    def close(self) -> None:
        """End the capture and wait until dumpcap is gone."""
        self.stop()
        deadline = time.monotonic() + 2 * supervised.GRACE_S
        # A full pipe would keep dumpcap from ending in order, and from saying what it lost.
        while not self.stream.closed and self.stream.read1(1 << 20):
            if time.monotonic() > deadline:
                break
        self.stream.close()
        self._pump.join()

    def _carry(self, segment: _Segment | None) -> None:
        """Hand on what dumpcap gives, one segment after the other; runs in a thread."""
        try:
            while segment is not None:
                following = self._carry_one(segment)
                self._end(segment, expected=following is not None)
                segment = following
        except BrokenPipeError:  # nobody reads any more
            self.stop()
        finally:
            os.close(self._out)
            while self._running:
                self._end(self._running[0], expected=True)

    def _carry_one(self, segment: _Segment) -> _Segment | None:
        """Hand on *segment* to its end; the segment that follows, where one took over."""
        following: _Segment | None = None
        due = self._unless_over(SEGMENT_S)
        pipe = segment.output
        while True:
            wait = None if math.isinf(due) else max(0.0, due - time.monotonic())
            ready, _, _ = select.select([pipe], [], [], wait)
            if ready:
                # Copied, not spliced: a spliced packet takes a whole page of room in the pipe.
                data = memoryview(os.read(pipe, PIPE_BYTES))
                if not data:
                    return following
                while data:
                    data = data[os.write(self._out, data) :]
            if self._stopping:
                due = math.inf
            if time.monotonic() < due:
                continue
            if following is not None:
                segment.held.let_go()
                due = math.inf
                continue
            try:
                following = self._begin()
                due = time.monotonic() + OVERLAP_S
            except (CyberterrError, OSError):  # the old one goes on; if that ends, it says why
                due = self._unless_over(SEGMENT_S)

    def _unless_over(self, seconds: float) -> float:
        """The moment in so many seconds; never, where the capture is over by then."""
        when = time.monotonic() + seconds
        return when if when < self._until else math.inf

    def _begin(self) -> _Segment:
        left = self._until - time.monotonic()
        segment = _started(self._interface, self._bpf, None if math.isinf(left) else left)
        with self._lock:
            self._running.append(segment)
            if self._stopping:
                segment.held.let_go()
        return segment

    def _end(self, segment: _Segment, *, expected: bool) -> None:
        """Let go of *segment*, and note what it says of losses and of its end."""
        early = time.monotonic() < self._until - 1
        said = segment.close()
        if counts := _COUNTS.search(said):
            self.received += int(counts[1])
            self.dropped += int(counts[2])
        if early and not expected and not self._stopping:
            self._failure = _in_words(said, self._interface, self._bpf, ended=True)
        with self._lock:
            self._running.remove(segment)


class _Segment(NamedTuple):
    """One dumpcap at work."""

    held: supervised.Held
    said: IO[bytes]
    header: bytes
    """the pcap header; short where dumpcap could not begin"""

    @property
    def output(self) -> int:
        assert self.held.process.stdout is not None  # noqa: S101 (stdout=PIPE)
        return self.held.process.stdout.fileno()

    def close(self) -> str:
        """End it, wait for it, and give what it said."""
        self.held.let_go()
        assert self.held.process.stdout is not None  # noqa: S101 (stdout=PIPE)
        self.held.process.stdout.close()
        self.held.process.wait()
        with self.said:
            self.said.seek(0)
            return self.said.read(1 << 16).decode(errors="replace")


def interfaces() -> list[str]:
    """Names of the network interfaces of this machine."""
    return [name for _, name in socket.if_nameindex()]


def may_gain_rights() -> bool:
    """Whether file capabilities of a program that we start have an effect (no_new_privs unset)."""
    return "NoNewPrivs:\t1" not in Path("/proc/self/status").read_text(encoding="ascii")


def _started(interface: str, bpf: str, left_s: float | None) -> _Segment:
    """Start one dumpcap and wait until it captures."""
    dumpcap = shutil.which("dumpcap")
    if dumpcap is None:
        raise MissingPartError("live capture needs dumpcap, which is not installed", hint=INSTALL)
    program = [dumpcap, "-q", "-P", "-B", str(KERNEL_BUFFER_MIB), "-i", interface]
    program += ["-f", bpf] if bpf else []
    program += ["-a", f"duration:{max(1, round(left_s))}"] if left_s is not None else []
    program += ["-w", "-"]
    said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the segment)
    held = supervised.start(program, said=said)
    header = b""
    segment = _Segment(held, said, header)
    # The pcap header comes as soon as the interface is open.
    while len(header) < _HEADER_BYTES:
        part = os.read(segment.output, _HEADER_BYTES - len(header))
        if not part:
            raise _in_words(segment.close(), interface, bpf)
        header += part
    return segment._replace(header=header)


def _in_words(said: str, interface: str, bpf: str, *, ended: bool = False) -> CyberterrError:
    """What dumpcap *said* when it could not begin, or *ended*, as an error a person can act on."""
    lines = [
        line.removeprefix("dumpcap: ").strip()
        for line in said.splitlines()
        if line.strip() and not line.startswith(("Capturing on", "File: ", "Packets "))
    ]
    reason = " ".join(lines[:3])[:500] or "dumpcap ended without a word"
    if ended:
        return SourceError(
            f"the capture on {interface!r} ended: {reason}",
            hint="what came before was judged and kept; `ip link` says whether it is still there",
        )
    if "capture filter" in said:
        detail = re.search(r"\((?:can't parse filter expression: )?(.*?)\)\.", said, re.DOTALL)
        return UsageError(
            f"the capture filter {bpf!r} is wrong: {detail[1] if detail else reason}",
            hint="it is libpcap's language, see man pcap-filter; for example: tcp port 443",
        )
    if "permi" in said.lower():  # permission denied, operation not permitted
        hint = RIGHTS if may_gain_rights() else NO_NEW_RIGHTS
        return MissingPartError(f"dumpcap may not capture on {interface}: {reason}", hint=hint)
    if "no device named" in said or "No such device" in said or "not up" in said:
        return SourceError(
            f"cannot capture on {interface!r}: {reason}",
            hint=f"interfaces here: {', '.join(interfaces())}, any",
        )
    return SourceError(f"cannot capture on {interface!r}: {reason}")
