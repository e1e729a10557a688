"""pyshark, held so that nothing of it stays behind: supervised, limited, with a profile of its own.

tshark decodes; pyshark starts it and reads its answer. Only the dissectors that are asked for are
switched on above TCP, UDP and SCTP: that saves half of the time, and most dissectors that hostile
bytes could reach.

What is relied on in pyshark 0.6, each measured: `use_ek` with `-J` (with `-j` it crashes, with
`use_json` a live packet waits for the next one); an event loop of our own, so that it never sets
a child watcher (gone in Python 3.14) and starts its programs under our supervisor.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from cyberterr.capture import supervised
from cyberterr.errors import MissingPartError, SourceError

PACKETS_PER_PROCESS = 200_000
"""tshark remembers every packet it has seen; after so many a fresh one goes on."""
MEMORY_BYTES = 3 << 30
CPU_S = 900
"""Limits of one tshark process: ten times what PACKETS_PER_PROCESS were measured to need."""
INSTALL = "sudo apt install tshark"
_TIME_AS_TEXT = re.compile(rb'"frame_frame_time":".*?Z",', re.DOTALL)
"""Not used; and for a time beyond the year 9999 tshark 4.0 writes stray bytes there."""
_SMALL_TALK = ("Running as user", "WARNING: Protocol")
_TABLES_ABOVE_TRANSPORT = {"tcp.port", "udp.port", "sctp.port", "sctp.ppi", "tcp", "udp", "sctp"}
_KEPT = {"vxlan", "gre", "mpls", "llc", "sctp", "ip", "ipv6", "eth", "ppp"}


@dataclass(slots=True)
class Reading:
    """What became of the packets so far."""

    packets: int = 0
    """all packets read, of whatever kind"""
    wire_bytes: int = 0
    other: int = 0
    """packets that carry no IP: ARP, spanning tree …"""
    malformed: int = 0
    """packets that tshark could not dissect, or whose answer could not be read"""
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dissection:
    """What tshark looks into, and what it hands over.

    Attributes:
        layers: names of the layers handed over, separated by spaces.
        preferences: tshark's settings by name.
        above_transport: dissectors above TCP, UDP and SCTP that stay switched on.
        display_filter: which packets are handed over (wireshark-filter(4)); empty for all.
        decode_as: `tcp.port==8081` → the dissector to use there.
    """

    layers: str
    preferences: Mapping[str, str]
    above_transport: frozenset[str] = frozenset()
    display_filter: str = ""
    decode_as: Mapping[str, str] = field(default_factory=dict)


class Dissected(NamedTuple):
    """What tshark says about one packet: field names to values, nothing taken on trust."""

    frame: Mapping[str, Any]
    layers: Mapping[str, Any]
    """name → its fields, or a list of them where the layer occurs more than once"""


def tshark_path() -> str:
    """Where tshark is.

    Raises:
        MissingPartError: it is not installed.
    """
    path = shutil.which("tshark")
    if path is None:
        raise MissingPartError(
            "this needs tshark, which is not installed (Debian package: tshark)", hint=INSTALL
        )
    return path


class Engine:
    """A context manager that gives what tshark dissected.

    Args:
        reading: counts what is read, and gets the warnings.
        dissection: what to look into.
        where: the source, as messages name it.
    """

    def __init__(self, reading: Reading, dissection: Dissection, *, where: str) -> None:
        self._reading, self._dissection, self._where = reading, dissection, where

    def __enter__(self) -> Self:
        """Make the profile: which dissectors are switched off."""
        self._profile = tempfile.TemporaryDirectory(prefix="cyberterr-tshark-")
        kept = self._dissection.above_transport
        names = [name for name in _above_transport(tshark_path()) if name not in kept]
        disabled = "".join(f"{name}\n" for name in names)
        Path(self._profile.name, "disabled_protos").write_text(disabled, encoding="utf-8")
        self._loop = _SupervisedLoop(self._profile.name)
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs."""
        self._loop.close()
        self._profile.cleanup()

    def file(self, path: str, most: int) -> Iterator[Dissected]:
        """Give the first *most* packets of a file."""
        file_capture, _ = _captures()
        yield from self._packets(
            file_capture(input_file=path, keep_packets=False, **self._options(most))
        )

    def pipe(self, descriptor: int, most: int) -> Iterator[Dissected]:
        """Give the first *most* packets that come through a pipe."""
        _, pipe_capture = _captures()
        yield from self._packets(pipe_capture(pipe=os.dup(descriptor), **self._options(most)))

    def _options(self, most: int) -> dict[str, Any]:
        dissection = self._dissection
        return {
            "use_ek": True,
            "tshark_path": tshark_path(),
            "eventloop": self._loop,
            "override_prefs": dict(dissection.preferences),
            "display_filter": dissection.display_filter or None,
            "decode_as": dict(dissection.decode_as),
            "custom_parameters": ["-c", str(most), "-J", dissection.layers],
        }

    def _packets(self, capture: Any) -> Iterator[Dissected]:  # noqa: ANN401 (pyshark has no types)
        reading, before = self._reading, self._reading.packets
        capture.reading = reading
        try:
            for raw in capture:
                reading.packets += 1
                reading.wire_bytes += int(raw.length)
                # A layer that occurs twice has no public accessor, hence the dictionaries.
                layers = {layer.layer_name: layer._fields_dict for layer in raw.layers}
                yield Dissected(raw.frame_info._fields_dict, layers)
        finally:
            capture.close()
        self._explain(capture._last_error_line or "", reading.packets - before)

    def _explain(self, said: str, packets: int) -> None:
        """Turn the last line that tshark said into an error or a warning."""
        said = said.removeprefix("tshark: ").strip()
        if not said or said.startswith(_SMALL_TALK):
            return
        if packets == 0 and "cut short" not in said:
            raise SourceError(f"tshark cannot read it: {said}", where=self._where)
        self._reading.warnings.append(
            f"{self._where}: read up to packet {self._reading.packets}, then tshark stopped: {said}"
        )


class _SupervisedLoop(asyncio.SelectorEventLoop):
    """An event loop whose programs cannot outlive us, have limits and a profile of their own."""

    def __init__(self, profile: str) -> None:
        super().__init__()
        self._environment = {**os.environ, "WIRESHARK_CONFIG_DIR": profile, "LC_ALL": "C.UTF-8"}
        self._running: list[tuple[int, asyncio.SubprocessTransport]] = []
        # After an interrupt pyshark leaves a task behind whose stream has ended: no news to anyone.
        self.set_exception_handler(lambda *_: None)

    async def subprocess_exec(
        self,
        protocol_factory: Any,  # noqa: ANN401 (passed through)
        *program: Any,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Start *program* under a supervisor."""
        held, ours = supervised.leash()
        try:
            transport, protocol = await super().subprocess_exec(
                protocol_factory,
                *supervised.command(program, held, memory_bytes=MEMORY_BYTES, cpu_s=CPU_S),
                pass_fds=(held,),
                start_new_session=True,
                env=self._environment,
                **options,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(held)
        self._running.append((ours, transport))
        return transport, protocol

    def let_go(self) -> None:
        """Have every program ended that still runs; what it still wrote is thrown away."""
        while self._running:
            leash, transport = self._running.pop()
            os.close(leash)
            # A process counts as ended only when its pipes are; a full one that nobody reads on
            # never is (asyncio, gh-119710).
            output = transport.get_pipe_transport(1)
            if output is not None:
                output.close()

    def close(self) -> None:
        """Close the loop, and let go of its programs."""
        self.let_go()
        super().close()


@functools.cache
def _captures() -> tuple[Any, Any]:
    """Make pyshark's captures of files and pipes read on after a packet they cannot parse."""
    from pyshark.capture.capture import Capture
    from pyshark.capture.file_capture import FileCapture
    from pyshark.capture.pipe_capture import PipeCapture
    from pyshark.tshark.output_parser.tshark_ek import TsharkEkJsonParser
    from pyshark.tshark.tshark import get_tshark_version

    version = functools.cache(get_tshark_version)

    class Parser(TsharkEkJsonParser):  # type: ignore[misc]  # pyshark has no types
        def __init__(self, reading: Reading) -> None:
            super().__init__()
            self._reading = reading

        def _parse_single_packet(self, packet: bytes) -> Any:  # noqa: ANN401
            text = _TIME_AS_TEXT.sub(b"", packet, count=1).decode(errors="replace").encode()
            try:
                return super()._parse_single_packet(text)
            except (ValueError, KeyError, AttributeError, TypeError):
                self._reading.packets += 1
                self._reading.malformed += 1
                return None

    class Lean(Capture):  # type: ignore[misc]
        reading: Reading

        def _get_tshark_version(self) -> Any:  # noqa: ANN401
            return version(self.tshark_path)  # 0.2 s, which pyshark spends on every file

        def _setup_tshark_output_parser(self) -> Any:  # noqa: ANN401
            # pyshark's own way first loads the types of all fields: 1 s, 150 MB, a cache in $HOME.
            return Parser(self.reading)

        def __del__(self) -> None:
            """Nothing: whoever opened it closed it, and the pipe's number is another's by now."""

        async def _cleanup_subprocess(self, process: asyncio.subprocess.Process) -> None:
            # pyshark kills it, which at the end of a file races with tshark's own end.
            self.eventloop.let_go()
            await process.wait()
            self._running_processes.discard(process)

    class LeanFile(Lean, FileCapture):  # type: ignore[misc]
        pass

    class LeanPipe(Lean, PipeCapture):  # type: ignore[misc]
        def __init__(self, pipe: int, *, use_ek: bool, **options: Any) -> None:  # noqa: ANN401
            super().__init__(pipe, **options)
            self._use_ek = use_ek  # which PipeCapture forgot to offer

    return LeanFile, LeanPipe


@functools.cache
def _above_transport(tshark: str) -> tuple[str, ...]:
    """Names of the dissectors that TCP, UDP and SCTP hand their payload to."""
    names: set[str] = set()
    for report, column in (("decodes", 2), ("heuristic-decodes", 1)):
        shown = subprocess.run(
            [tshark, "-G", report], capture_output=True, text=True, check=False
        ).stdout
        for line in shown.splitlines():
            columns = line.split("\t")
            if columns[0] in _TABLES_ABOVE_TRANSPORT and len(columns) > column:
                names.add(columns[column])
    return tuple(sorted(names - _KEPT))
