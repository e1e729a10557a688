"""Read packets with pyshark: the second engine, and the one for formats only Wireshark knows.

What comes out is the innermost IP layer of every packet. Nothing above TCP, UDP and SCTP is
dissected; only VXLAN is looked into.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from cyberterr.capture import supervised
from cyberterr.capture.dissected import packet_of
from cyberterr.capture.engine import INSTALL as INSTALL
from cyberterr.capture.engine import PACKETS_PER_PROCESS, Dissected, Dissection, Engine, tshark_path
from cyberterr.capture.engine import Reading as Reading
from cyberterr.contracts.packet import Packet
from cyberterr.errors import SourceError

_LAYERS = "frame vlan ip ipv6 ah gre vxlan tcp udp udplite sctp icmp icmpv6"
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
_PACKETS = Dissection(_LAYERS, _PREFERENCES)


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
    with Engine(reading, _PACKETS, where=str(path)) as engine:
        before, first = reading.packets, 1
        yield from _packets(engine.file(whole, packets_per_process), reading)
        while reading.packets - before == first - 1 + packets_per_process:
            first += packets_per_process
            chosen = f"{first}-{first - 1 + packets_per_process}"
            # tshark cannot begin in the middle of a file; editcap, which comes with it, can.
            with tempfile.TemporaryFile() as said:
                editcap = supervised.start(["editcap", "-r", whole, "-", chosen], said=said)
                assert editcap.process.stdout is not None  # noqa: S101 (stdout=PIPE)
                with editcap.process.stdout as part:
                    piped = engine.pipe(part.fileno(), packets_per_process)
                    yield from _packets(piped, reading)
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
    with Engine(reading, _PACKETS, where="live") as engine:
        while True:
            before = reading.packets
            ours, theirs = os.pipe()
            pump = _Pump(stream, header, order, theirs, packets_per_process)
            pump.start()
            try:
                yield from _packets(engine.pipe(ours, packets_per_process), reading)
            finally:
                os.close(ours)
            pump.join()
            if pump.at_end or reading.packets == before:
                return


def _packets(dissected: Iterable[Dissected], reading: Reading) -> Iterator[Packet]:
    for frame, layers in dissected:
        try:
            packet = packet_of(frame, layers)
        except (ValueError, TypeError):
            reading.malformed += 1
            continue
        if packet is None:
            reading.other += 1
        else:
            yield packet


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
