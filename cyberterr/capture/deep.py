"""Deep fields of a few flows: pick their packets out of a capture, and have tshark dissect those.

editcap, which comes with tshark, turns any format into pcap; of its records only those go on to
tshark that lie in the time of a chosen flow and hold both of its addresses.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import IO, Any, BinaryIO, NamedTuple, cast

from cyberterr.capture import supervised
from cyberterr.capture.deep_fields import PROTOCOLS, messages_of
from cyberterr.capture.dissected import packet_of
from cyberterr.capture.engine import (
    CPU_S,
    MEMORY_BYTES,
    PACKETS_PER_PROCESS,
    Dissection,
    Engine,
    Reading,
    tshark_path,
)
from cyberterr.contracts.packet import Packet
from cyberterr.errors import SourceError

MESSAGES_PER_FLOW = 10_000
"""The most that is given of one flow."""
_TCP, _UDP = 6, 17
_COPIED = 1 << 20
_HEADER, _RECORD = 24, 16
_PREFERENCES = {
    # Heads only: bodies are not shown, and unpacking them would cost what a sender chooses.
    "http.desegment_body": "FALSE",
    "http.decompress_body": "FALSE",
    "tcp.reassemble_out_of_order": "TRUE",
}
_LAYERS_BELOW = ("frame", "vlan", "ip", "ipv6", "ah", "gre", "vxlan", "tcp", "udp")


class Chosen(NamedTuple):
    """One flow whose messages are wanted, as the flow table has it."""

    flow_id: int
    start_ns: int
    end_ns: int
    src_ip: str
    dst_ip: str
    src_port: int
    dst_port: int
    protocol: int
    vlan: int | None
    tunnel: str | None
    service: str | None


class Deep(NamedTuple):
    """One message of a chosen flow."""

    time_ns: int
    flow_id: int
    from_src: bool
    protocol: str
    """dns, mdns, llmnr, tls, http, ssh, modbus, dnp3, s7, iec104, bacnet or quic"""
    fields: dict[str, Any]
    """Wireshark's field name → text, true or false, or a list of these"""


def read_messages(
    stream: BinaryIO,
    flows: Sequence[Chosen],
    reading: Reading,
    *,
    where: str,
    packets_per_process: int = PACKETS_PER_PROCESS,
) -> Iterator[Deep]:
    """Give the messages of *flows* in the capture that *stream* holds, in its order.

    At most `MESSAGES_PER_FLOW` of each; a flow with more, and a capture that is cut off, is told
    in the warnings of *reading*.

    Args:
        stream: a capture in any format of Wireshark, not compressed.
        flows: at most a few hundred: each is a part of tshark's filter.
        reading: counts the packets that tshark dissected.
        where: the capture, as messages name it.
        packets_per_process: after so many a fresh tshark takes over.

    Raises:
        MissingPartError: tshark is absent.
        SourceError: tshark cannot read it.
    """
    tshark_path()
    by_ends = _by_ends(flows)
    given: Counter[int] = Counter()
    with (
        tempfile.TemporaryFile() as said,
        _as_pcap(stream, said) as pcap,
        Engine(reading, _dissection(flows), where=where) as engine,
    ):
        picker = _Picker(pcap, flows)
        if not picker.header:
            raise SourceError(
                f"tshark cannot read it: {_told(said) or 'it is empty'}",
                hint="of several link types in one file choose one: "
                "tshark -r FILE -Y 'frame.interface_id == 0' -w ONE.pcapng",
                where=where,
            )
        while not picker.at_end:
            ours, theirs = os.pipe()
            part = threading.Thread(target=picker.run, args=(theirs, packets_per_process))
            part.start()
            try:
                for frame, layers in engine.pipe(ours, packets_per_process):
                    try:
                        packet = packet_of(frame, layers)
                    except (ValueError, TypeError):
                        reading.malformed += 1
                        continue
                    flow = _flow_of(packet, by_ends) if packet else None
                    if packet is None or flow is None:
                        continue
                    yield from _given(packet, flow, layers, given)
            except BaseException:
                picker.at_end = True
                raise
            finally:
                os.close(ours)
                part.join()
        if told := _told(said):
            reading.warnings.append(f"{where}: read as far as it goes: {told}")
    for flow_id, count in given.items():
        if count > MESSAGES_PER_FLOW:
            reading.warnings.append(
                f"{where}: of flow {flow_id} the first {MESSAGES_PER_FLOW} messages of {count} "
                "are shown"
            )


def _given(
    packet: Packet, flow: Chosen, layers: Mapping[str, Any], given: Counter[int]
) -> Iterator[Deep]:
    from_src = (packet.src_ip, packet.src_port) == (flow.src_ip, flow.src_port)
    if packet.fragment is not None and not packet.fragment[1]:
        from_src = packet.src_ip == flow.src_ip
    for protocol, fields in messages_of(layers, from_server=not from_src):
        given[flow.flow_id] += 1
        if given[flow.flow_id] <= MESSAGES_PER_FLOW:
            yield Deep(packet.time_ns, flow.flow_id, from_src, protocol, fields)


_Ends = tuple[frozenset[tuple[str, int]], int]


def _by_ends(flows: Sequence[Chosen]) -> dict[_Ends, list[Chosen]]:
    """Flows by their ends; those of later fragments, which hide the ports, by the addresses."""
    found: dict[_Ends, list[Chosen]] = {}
    for flow in flows:
        for ports in ((flow.src_port, flow.dst_port), (0, 0)):
            ends = frozenset(zip((flow.src_ip, flow.dst_ip), ports, strict=True)), flow.protocol
            found.setdefault(ends, []).append(flow)
    return found


def _flow_of(packet: Packet, flows: Mapping[_Ends, list[Chosen]]) -> Chosen | None:
    ends = frozenset(((packet.src_ip, packet.src_port), (packet.dst_ip, packet.dst_port)))
    for flow in flows.get((ends, packet.protocol), ()):
        in_time = flow.start_ns <= packet.time_ns <= flow.end_ns
        if in_time and (flow.vlan, flow.tunnel) == (packet.vlan, packet.tunnel):
            return flow
    return None


def _dissection(flows: Sequence[Chosen]) -> Dissection:
    """What tshark is asked: only these flows, and their services on whatever port they are."""
    layers = dict.fromkeys(layer for p in PROTOCOLS.values() for layer in p.layers)
    filters, decode_as = [], {}
    for flow in flows:
        transport = {_TCP: "tcp", _UDP: "udp"}.get(flow.protocol)
        version = "ipv6" if ":" in flow.src_ip else "ip"
        parts = [f"{version}.addr=={flow.src_ip}", f"{version}.addr=={flow.dst_ip}"]
        if transport:
            parts += [f"{transport}.port=={port}" for port in (flow.src_port, flow.dst_port)]
            known = PROTOCOLS.get(flow.service or "")
            if known and known.decode_as:
                decode_as[f"{transport}.port=={flow.dst_port}"] = known.decode_as
        filters.append(f"({' && '.join(parts)})")
    return Dissection(
        layers=" ".join((*_LAYERS_BELOW, *layers)),
        preferences=_PREFERENCES,
        above_transport=frozenset(name for p in PROTOCOLS.values() for name in p.dissectors),
        display_filter=" || ".join(dict.fromkeys(filters)),
        decode_as=decode_as,
    )


@contextlib.contextmanager
def _as_pcap(stream: BinaryIO, said: IO[bytes]) -> Iterator[BinaryIO]:
    """*stream* as pcap with nanoseconds, in our byte order, through a supervised editcap."""
    held, ours = supervised.leash()
    program = ["editcap", "-F", "nsecpcap", "-", "-"]
    try:
        process = subprocess.Popen(
            supervised.command(program, held, memory_bytes=MEMORY_BYTES, cpu_s=CPU_S),
            pass_fds=(held,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    finally:
        os.close(held)
    feeder = threading.Thread(target=_copy, args=(stream, process.stdin))
    feeder.start()
    try:
        with cast(BinaryIO, process.stdout) as pcap:
            yield pcap
    finally:
        supervised.Held(process, ours).let_go()
        process.wait()
        feeder.join()


def _copy(stream: BinaryIO, to: IO[bytes]) -> None:
    # editcap that ended, because nobody wants more, is no error.
    with contextlib.suppress(OSError), to:
        while block := stream.read(_COPIED):
            to.write(block)


class _Picker:
    """Carries the records that may belong to *flows* from one pipe to the next, in parts.

    Attributes:
        at_end: there is no more to carry; set it to end early.
        header: of the pcap; empty where there is none.
    """

    def __init__(self, pcap: BinaryIO, flows: Sequence[Chosen]) -> None:
        self.at_end = False
        self._pcap = pcap
        self.header = pcap.read(_HEADER)
        pairs = {(ip_address(f.src_ip).packed, ip_address(f.dst_ip).packed) for f in flows}
        self._pairs = tuple(pairs)
        self._first_ns = min(flow.start_ns for flow in flows)
        self._last_ns = max(flow.end_ns for flow in flows)

    def run(self, to: int, most: int) -> None:
        """Write at most *most* records to the descriptor *to*, and close it."""
        left = most
        with contextlib.suppress(OSError), io.FileIO(to, "wb") as raw:
            out = io.BufferedWriter(raw)
            out.write(self.header)
            while left and not self.at_end:
                record = self._pcap.read(_RECORD)
                if len(record) < _RECORD:
                    self.at_end = True
                    break
                body = self._pcap.read(int.from_bytes(record[8:12], sys.byteorder))
                if self._wanted(record, body):
                    out.write(record + body)
                    left -= 1
            out.flush()
            return
        self.at_end = True  # tshark has ended: it says why

    def _wanted(self, record: bytes, body: bytes) -> bool:
        seconds = int.from_bytes(record[:4], sys.byteorder)
        time_ns = seconds * 10**9 + int.from_bytes(record[4:8], sys.byteorder)
        if not self._first_ns <= time_ns <= self._last_ns:
            return False
        return any(one in body and other in body for one, other in self._pairs)


def _told(said: IO[bytes]) -> str:
    """What editcap said, in one line."""
    said.seek(0)
    lines = said.read(4096).decode(errors="replace").splitlines()
    return " ".join(line.removeprefix("editcap: ") for line in lines if line.strip())[:300]
