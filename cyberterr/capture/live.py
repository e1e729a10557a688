"""Capture from a network interface: dumpcap writes pcap into a pipe, our reader reads it.

dumpcap is the only program that needs rights (`cap_net_raw`); cyberterr itself needs none.
"""

from __future__ import annotations

import io
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from cyberterr.capture import supervised
from cyberterr.errors import CyberterrError, MissingPartError, SourceError, UsageError

KERNEL_BUFFER_MIB = 32
"""How much the kernel holds for us while we are busy: about 0.3 s at 1 Gbit/s."""
RIGHTS = (
    "give the right to dumpcap only, never run cyberterr as root: "
    "sudo dpkg-reconfigure wireshark-common (answer yes), sudo usermod -aG wireshark $USER, "
    "log in again; or sudo setcap cap_net_raw,cap_net_admin+ep $(which dumpcap)"
)
INSTALL = "sudo apt install tshark (it brings dumpcap, in the package wireshark-common)"
_COUNTS = re.compile(r"received/dropped on interface '.*': (\d+)/(\d+)")
_DROPS_OF_SOCKET = re.compile(r"skmem:\(.*?,d(\d+)\)")


class Live:
    """A running capture; a context manager, or call `close`.

    Attributes:
        stream: pcap (microseconds, one interface) as it comes; ends when the capture does.

    Args:
        interface: name as in `ip link`, or `any`.
        bpf: capture filter in libpcap's language (pcap-filter(7)); empty takes everything.
        duration_s: seconds after which the capture ends by itself; None captures until `stop`.

    Raises:
        MissingPartError: dumpcap is absent, or may not capture.
        UsageError: the filter is wrong.
        SourceError: there is no such interface, or it cannot be opened.
    """

    def __init__(self, interface: str, *, bpf: str = "", duration_s: int | None = None) -> None:
        dumpcap = shutil.which("dumpcap")
        if dumpcap is None:
            raise MissingPartError(
                "live capture needs dumpcap, which is not installed", hint=INSTALL
            )
        program = [dumpcap, "-q", "-P", "-B", str(KERNEL_BUFFER_MIB), "-i", interface]
        program += ["-f", bpf] if bpf else []
        program += ["-a", f"duration:{duration_s}"] if duration_s is not None else []
        program += ["-w", "-"]
        self._interface = interface
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (close ends it)
        self._held = supervised.start(program, said=self._said)
        assert isinstance(self._held.process.stdout, io.BufferedReader)  # noqa: S101 (stdout=PIPE)
        self.stream = self._held.process.stdout
        if not self.stream.peek(1):  # the pcap header comes as soon as the interface is open
            self._held.process.wait()
            message = self._what_was_said()
            self.close()
            raise _in_words(message, interface, bpf)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def dropped(self) -> int:
        """Packets lost because they came faster than we took them.

        While the capture runs this is the kernel's count for dumpcap's socket (0 where `ss` is
        absent); after its end it is what dumpcap reports for kernel and itself.
        """
        counts = _COUNTS.search(self._what_was_said())
        return int(counts[2]) if counts else _kernel_drops(self._held.process.pid)

    @property
    def received(self) -> int | None:
        """Packets dumpcap took, known after the end of the capture."""
        counts = _COUNTS.search(self._what_was_said())
        return int(counts[1]) if counts else None

    def stop(self) -> None:
        """End the capture; what was captured can still be read from `stream`."""
        self._held.let_go()

    def close(self) -> None:
        """End the capture and wait until dumpcap is gone; `dropped` is final then."""
        self.stop()
        deadline = time.monotonic() + 2 * supervised.GRACE_S
        while self.stream.read1(1 << 20):  # a full pipe would keep dumpcap from ending in order
            if time.monotonic() > deadline:
                break
        self.stream.close()
        self._held.process.wait()
        self._last_words = self._what_was_said()
        self._said.close()

    def _what_was_said(self) -> str:
        if self._said.closed:
            return self._last_words
        self._said.seek(0)
        return self._said.read(1 << 16).decode(errors="replace")


def interfaces() -> list[str]:
    """Names of the network interfaces of this machine."""
    return [name for _, name in socket.if_nameindex()]


def _in_words(said: str, interface: str, bpf: str) -> CyberterrError:
    """What dumpcap *said* when it could not begin, as an error a person can act on."""
    lines = [
        line.removeprefix("dumpcap: ").strip()
        for line in said.splitlines()
        if line.strip() and not line.startswith(("Capturing on", "File: "))
    ]
    reason = " ".join(lines[:3])[:500] or "dumpcap ended without a word"
    if "capture filter" in said:
        detail = re.search(r"\((?:can't parse filter expression: )?(.*?)\)\.", said, re.DOTALL)
        return UsageError(
            f"the capture filter {bpf!r} is wrong: {detail[1] if detail else reason}",
            hint="it is libpcap's language, see man pcap-filter; for example: tcp port 443",
        )
    if "permission" in said.lower() or "not permitted" in said.lower():
        return MissingPartError(f"dumpcap may not capture on {interface}: {reason}", hint=RIGHTS)
    if "no device named" in said or "No such device" in said or "not up" in said:
        return SourceError(
            f"cannot capture on {interface!r}: {reason}",
            hint=f"interfaces here: {', '.join(interfaces())}, any",
        )
    return SourceError(f"cannot capture on {interface!r}: {reason}")


def _kernel_drops(supervisor: int) -> int:
    """Drops of the packet sockets of dumpcap, the child of process *supervisor*."""
    ss = shutil.which("ss")
    try:
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    except OSError:
        return 0
    if ss is None or not children:
        return 0
    shown = subprocess.run(
        [ss, "--packet", "--no-header", "--memory", "--processes"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return sum(
        int(drops[1])
        for block in re.split(r"\n(?=\S)", shown)
        if any(f"pid={child}," in block for child in children)
        and (drops := _DROPS_OF_SOCKET.search(block))
    )
