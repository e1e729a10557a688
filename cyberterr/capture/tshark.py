"""Read packets with pyshark: the second engine, and the one for formats only Wireshark knows.

tshark decodes, pyshark starts it and reads its answer, and what comes out is the innermost IP
layer of every packet. Nothing above TCP, UDP and SCTP is dissected (only VXLAN is looked into):
that is half of the time, and most dissectors that hostile bytes could reach are switched off.

What is relied on in pyshark 0.6, each measured: `use_ek` with `-J` (with `-j` it crashes, with
`use_json` a live packet waits for the next one); an event loop of our own, so that it never sets
a child watcher (gone in Python 3.14) and starts its programs under our supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

from cyberterr.capture import supervised
from cyberterr.capture.dissected import packet_of
from cyberterr.contracts.packet import Packet
from cyberterr.errors import MissingPartError, SourceError

PACKETS_PER_PROCESS = 200_000
"""tshark remembers every packet it has seen; after so many a fresh one goes on."""
MEMORY_BYTES = 3 << 30
CPU_S = 900
"""Limits of one tshark process: ten times what PACKETS_PER_PROCESS were measured to need."""
INSTALL = "sudo apt install tshark"
_TIME_AS_TEXT = re.compile(rb'"frame_frame_time":".*?Z",', re.DOTALL)
"""Not used; and for a time beyond the year 9999 tshark 4.0 writes stray bytes there."""
_LAYERS = "frame vlan ip ipv6 ah gre vxlan tcp udp udplite sctp"
_PREFERENCES = {
    # Every packet for itself: fragments and streams are put together by the flow table.
    "ip.defragment": "FALSE",
    "ipv6.defragment": "FALSE",
    "tcp.desegment_tcp_streams": "FALSE",
    "tcp.analyze_sequence_numbers": "FALSE",
    "tcp.calculate_timestamps": "FALSE",
    "udp.calculate_timestamps": "FALSE",
    "sctp.reassembly": "FALSE",
    "sctp.tsn_analysis": "FALSE",
    "tcp.try_heuristic_first": "FALSE",
}
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


def read_file(
    path: Path, reading: Reading, *, packets_per_process: int = PACKETS_PER_PROCESS
) -> Iterator[Packet]:
    """Give the IP packets of the capture *path*, any format that Wireshark reads.

    A capture that is cut off is read as far as it goes, with a warning in *reading*.

    Raises:
        MissingPartError: tshark is absent.
        SourceError: it cannot be opened, or it is no capture.
    """
    tshark_path()
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", where=str(path)) from None
    whole = str(path.absolute())
    with _Engine(reading, where=str(path)) as engine:
        before, first = reading.packets, 1
        yield from engine.file(whole, packets_per_process)
        while reading.packets - before == first - 1 + packets_per_process:
            first += packets_per_process
            chosen = f"{first}-{first - 1 + packets_per_process}"
            # tshark cannot begin in the middle of a file; editcap, which comes with it, can.
            with tempfile.TemporaryFile() as said:
                editcap = supervised.start(["editcap", "-r", whole, "-", chosen], said=said)
                assert editcap.process.stdout is not None  # noqa: S101 (stdout=PIPE)
                with editcap.process.stdout as part:
                    yield from engine.pipe(part.fileno(), packets_per_process)
                editcap.let_go()
                editcap.process.wait()


def read_stream(
    stream: BinaryIO, reading: Reading, *, packets_per_process: int = PACKETS_PER_PROCESS
) -> Iterator[Packet]:
    """Give the IP packets of *stream*, a pcap that may never end: what `live.Live` gives.

    Every *packets_per_process* packets a fresh tshark takes over, and none is lost between them.

    Raises:
        MissingPartError: tshark is absent.
        SourceError: the stream does not begin with a pcap header.
    """
    tshark_path()
    header = stream.read(24)
    if not header:
        return
    order = _byte_order(header)
    with _Engine(reading, where="live") as engine:
        while True:
            before = reading.packets
            ours, theirs = os.pipe()
            pump = _Pump(stream, header, order, theirs, packets_per_process)
            pump.start()
            try:
                yield from engine.pipe(ours, packets_per_process)
            finally:
                os.close(ours)
            pump.join()
            if pump.at_end or reading.packets == before:
                return


def _byte_order(header: bytes) -> Literal["little", "big"]:
    if len(header) == 24:
        if header[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
            return "little"
        if header[:4] in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
            return "big"
    raise SourceError("the stream does not begin with a pcap header")


class _Pump(threading.Thread):
    """Carries a bounded number of whole pcap records from one pipe to the next."""

    def __init__(
        self, stream: BinaryIO, header: bytes, order: Literal["little", "big"], to: int, count: int
    ) -> None:
        super().__init__(daemon=True)
        self.at_end = False
        self._stream, self._header, self._order = stream, header, order
        self._to, self._count = to, count

    def run(self) -> None:
        # A closed stream or a tshark that ended is how a capture is stopped, not an error.
        with io.FileIO(self._to, "wb") as out, contextlib.suppress(OSError, ValueError):
            out.write(self._header)
            for _ in range(self._count):
                record = self._stream.read(16)
                if len(record) < 16:
                    self.at_end = True
                    return
                body = self._stream.read(int.from_bytes(record[8:12], self._order))
                _write_all(out, record + body)


def _write_all(out: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


class _SupervisedLoop(asyncio.SelectorEventLoop):
    """An event loop whose programs cannot outlive us, have limits and a profile of their own."""

    def __init__(self, profile: str) -> None:
        super().__init__()
        self._environment = {**os.environ, "WIRESHARK_CONFIG_DIR": profile, "LC_ALL": "C.UTF-8"}
        self._leashes: list[int] = []

    async def subprocess_exec(
        self,
        protocol_factory: Any,  # noqa: ANN401 (passed through)
        *program: Any,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Start *program* under a supervisor."""
        held, ours = supervised.leash()
        self._leashes.append(ours)
        try:
            return await super().subprocess_exec(
                protocol_factory,
                *supervised.command(program, held, memory_bytes=MEMORY_BYTES, cpu_s=CPU_S),
                pass_fds=(held,),
                start_new_session=True,
                env=self._environment,
                **options,
            )
        finally:
            os.close(held)

    def let_go(self) -> None:
        """Have every program ended that still runs."""
        while self._leashes:
            os.close(self._leashes.pop())

    def close(self) -> None:
        """Close the loop, and let go of its programs."""
        self.let_go()
        super().close()


class _Engine:
    """pyshark, held in a way that it leaves nothing behind."""

    def __init__(self, reading: Reading, *, where: str) -> None:
        self._reading, self._where = reading, where

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(prefix="cyberterr-tshark-")
        disabled = "".join(f"{name}\n" for name in _above_transport(tshark_path()))
        Path(self._profile.name, "disabled_protos").write_text(disabled, encoding="utf-8")
        self._loop = _SupervisedLoop(self._profile.name)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()
        self._profile.cleanup()

    def file(self, path: str, most: int) -> Iterator[Packet]:
        """Give the first *most* packets of a file."""
        file_capture, _ = _captures()
        yield from self._packets(
            file_capture(input_file=path, keep_packets=False, **self._options(most))
        )

    def pipe(self, descriptor: int, most: int) -> Iterator[Packet]:
        """Give the first *most* packets that come through a pipe."""
        _, pipe_capture = _captures()
        yield from self._packets(pipe_capture(pipe=os.dup(descriptor), **self._options(most)))

    def _options(self, most: int) -> dict[str, Any]:
        return {
            "use_ek": True,
            "tshark_path": tshark_path(),
            "eventloop": self._loop,
            "override_prefs": _PREFERENCES,
            "custom_parameters": ["-c", str(most), "-J", _LAYERS],
        }

    def _packets(self, capture: Any) -> Iterator[Packet]:  # noqa: ANN401 (pyshark has no types)
        reading, before = self._reading, self._reading.packets
        capture.reading = reading
        try:
            for raw in capture:
                reading.packets += 1
                reading.wire_bytes += int(raw.length)
                # A layer that occurs twice has no public accessor, hence the dictionaries.
                layers = {layer.layer_name: layer._fields_dict for layer in raw.layers}
                try:
                    packet = packet_of(raw.frame_info._fields_dict, layers)
                except (ValueError, TypeError):
                    reading.malformed += 1
                    continue
                if packet is None:
                    reading.other += 1
                else:
                    yield packet
        finally:
            capture.close()
        self._explain(capture._last_error_line or "", reading.packets - before)

    def _explain(self, said: str, packets: int) -> None:
        """Turn the last line that tshark said into an error or a warning."""
        said = said.removeprefix("tshark: ").strip()
        if not said or said.startswith("Running as user"):
            return
        if packets == 0 and "cut short" not in said:
            raise SourceError(f"tshark cannot read it: {said}", where=self._where)
        self._reading.warnings.append(
            f"{self._where}: read up to packet {self._reading.packets}, then tshark stopped: {said}"
        )


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
