"""Packets become flows in plain Python: the meter of the pyshark engine.

Slow (about 100,000 packets a second) and short on purpose: `native/meter.c` is the meter for work,
and a test holds both equal. Written from the flow table's contract, not from the C code.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal, NamedTuple

import polars as pl

from cyberterr.config import Meter as Settings
from cyberterr.contracts.flow import conform, empty
from cyberterr.contracts.packet import Packet

BATCH = 65_536
"""The most rows of one frame."""
LATE_NS = 60 * 10**9
"""How much out of order packets may come, after others have moved the clock."""
EPOCH = 1_024
"""Packets that must agree that time has passed: one wrong clock moves nothing."""
FRAGMENTS_KEPT = 4_096
FRAGMENT_NS = 30 * 10**9
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_TCP, _UDP = 6, 17
_WORD = 2**64 - 1
_TUNNELS = (None, "gre", "vxlan", "ipip", "6in4", "4in6", "6in6")  # as native/packet.h counts
_EVERY_PAYLOAD = {53, 5353, 5355, 102, 502, 2404, 20000, 47808}  # names, orders to machines
_LOGINS = {21, 23, 25, 110, 143, 161, 587}
_LONG_HEADER = 0xC0  # of QUIC, whose hello may span three datagrams, twice after a Retry

Endpoint = tuple[str, int]
Key = tuple[frozenset[Endpoint], int, int | None, str | None, int]
EndReason = Literal["idle", "active", "end", "evicted"]


@dataclass(slots=True)
class Statistic:
    """Count, least, greatest, mean and population deviation of a series (Welford 1962)."""

    count: int = 0
    least: float = math.inf
    greatest: float = -math.inf
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Take one more value."""
        self.count += 1
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)
        distance = value - self.mean
        self.mean += distance / self.count
        self.squares += distance * (value - self.mean)

    def row(self, prefix: str) -> dict[str, float | None]:
        """Its four columns; null where nothing was counted."""
        if not self.count:
            return {f"{prefix}_{name}": None for name in ("min", "mean", "max", "std")}
        return {
            f"{prefix}_min": self.least,
            f"{prefix}_mean": self.mean,
            f"{prefix}_max": self.greatest,
            f"{prefix}_std": math.sqrt(max(0.0, self.squares / self.count)),
        }


@dataclass(slots=True)
class Side:
    """What one side sent."""

    packets: int = 0
    bytes: int = 0
    payload: int = 0
    flags: int = 0
    syns: int = 0
    ttl: int = 255
    last_ns: int | None = None
    lengths: Statistic = field(default_factory=Statistic)
    gaps: Statistic = field(default_factory=Statistic)
    tapped: int = 0

    def add(self, packet: Packet) -> None:
        """Count one packet."""
        self.packets += 1
        self.bytes += packet.ip_bytes
        self.payload += packet.payload_bytes
        self.flags |= packet.tcp_flags
        self.syns += bool(packet.tcp_flags & _SYN)
        self.ttl = min(self.ttl, packet.ttl)
        self.lengths.add(packet.ip_bytes)
        if self.last_ns is None:
            self.last_ns = packet.time_ns
        else:
            self.gaps.add(max(0, packet.time_ns - self.last_ns) / 1e9)
            self.last_ns = max(self.last_ns, packet.time_ns)


@dataclass(slots=True)
class Flow:
    """One bidirectional flow while it is open."""

    src: Endpoint
    dst: Endpoint
    protocol: int
    vlan: int | None
    tunnel: str | None
    icmp_type: int | None
    start_ns: int
    end_ns: int
    number: int
    """how many packets were read when it began; orders the table"""
    flow_id: int
    from_src: Side = field(default_factory=Side)
    from_dst: Side = field(default_factory=Side)
    syn_ns: int | None = None
    rtt: float | None = None
    reset_by_src: bool = False

    def add(self, packet: Packet) -> bool:
        """Count one packet; true when the source sent it."""
        sent_by_src = (packet.src_ip, packet.src_port) == self.src
        seen = self.from_src.flags | self.from_dst.flags
        if packet.tcp_flags & _RST and not seen & _RST:
            self.reset_by_src = sent_by_src
        if packet.tcp_flags & _SYN:
            if sent_by_src and self.syn_ns is None:
                self.syn_ns = packet.time_ns
            elif not sent_by_src and self.syn_ns is not None and self.rtt is None:
                self.rtt = (packet.time_ns - self.syn_ns) / 1e9
        (self.from_src if sent_by_src else self.from_dst).add(packet)
        self.start_ns = min(self.start_ns, packet.time_ns)
        self.end_ns = max(self.end_ns, packet.time_ns)
        return sent_by_src

    def state(self) -> str:
        """How it stands, in the words of Zeek's conn_state."""
        src, dst = self.from_src, self.from_dst
        if self.protocol != _TCP:
            return "SF" if dst.packets else "S0"
        if not src.syns:
            if not dst.syns:
                return "OTH"
            return "RSTRH" if dst.flags & _RST else "SHR" if dst.flags & _FIN else "OTH"
        if not dst.syns:
            if dst.flags & _RST:
                return "REJ"
            if src.flags & _RST:
                return "RSTOS0"
            if dst.packets:
                return "OTH"
            return "SH" if src.flags & _FIN else "S0"
        if src.flags & dst.flags & _FIN:
            return "SF"
        if (src.flags | dst.flags) & _RST:
            return "RSTO" if self.reset_by_src else "RSTR"
        return "S2" if src.flags & _FIN else "S3" if dst.flags & _FIN else "S1"

    def row(self, reason: EndReason, sensor: str) -> dict[str, object]:
        """Its row of the flow table."""
        columns: dict[str, object] = {
            "flow_id": self.flow_id,
            "start": self.start_ns,
            "end": self.end_ns,
            "src_ip": self.src[0],
            "dst_ip": self.dst[0],
            "src_port": self.src[1],
            "dst_port": self.dst[1],
            "protocol": self.protocol,
            "sensor": sensor,
            "vlan": self.vlan,
            "tunnel": self.tunnel,
            "state": self.state(),
            "src_syns": self.from_src.syns,
            "icmp_type": self.icmp_type,
            "rtt": self.rtt,
            "end_reason": reason,
        }
        for name, side in (("src", self.from_src), ("dst", self.from_dst)):
            columns |= {
                f"{name}_packets": side.packets,
                f"{name}_bytes": side.bytes,
                f"{name}_payload": side.payload,
                f"{name}_flags": side.flags if side.packets else None,
                f"{name}_ttl": side.ttl if side.packets else None,
                **side.lengths.row(f"{name}_len"),
                **side.gaps.row(f"{name}_gap"),
            }
        return columns


class Tapped(NamedTuple):
    """A payload that layer 7 wants; addresses and ports are the flow's, not the packet's."""

    time_ns: int
    flow_id: int
    from_src: bool
    src_ip: str
    dst_ip: str
    src_port: int
    dst_port: int
    protocol: int
    seq: int
    payload: bytes


class _Fragment(NamedTuple):
    time_ns: int
    ports: tuple[int, int]


def meter(
    packets: Iterable[Packet],
    settings: Settings,
    *,
    sensor: str,
    tap: Callable[[Tapped], object] | None = None,
) -> Iterator[pl.DataFrame]:
    """Give the flow table of *packets*, in frames of at most `BATCH` rows.

    A flow's own packets cut it: one later than `idle_timeout_s` after its last, or than
    `active_timeout_s` after its first, begins a new flow. Beyond `max_open_flows` the flow that
    has been idle longest is closed, with the end reason `evicted`. *tap* gets the payloads that
    layer 7 wants, before the flow they belong to.
    """
    idle_ns = settings.idle_timeout_s * 10**9
    active_ns = settings.active_timeout_s * 10**9
    open_flows: OrderedDict[Key, Flow] = OrderedDict()  # the one idle longest first
    fragments: OrderedDict[tuple[str, str, int, int], _Fragment] = OrderedDict()
    finished: list[tuple[Flow, EndReason]] = []
    epoch_oldest_ns = math.inf
    for number, whole in enumerate(packets):
        packet = _with_ports(whole, fragments)
        key = _key(packet)
        flow = open_flows.pop(key, None)
        if flow is not None:
            idle = abs(packet.time_ns - flow.end_ns) > idle_ns
            if idle or packet.time_ns - flow.start_ns > active_ns:
                finished.append((flow, "idle" if idle else "active"))
                flow = None
        if flow is None:
            if len(open_flows) >= settings.max_open_flows:
                finished.append((open_flows.popitem(last=False)[1], "evicted"))
            flow = _opened(packet, key, number)
        open_flows[key] = flow
        sent_by_src = flow.add(packet)
        if tap is not None and _wanted(packet, flow, sent_by_src):
            tap(_tapped(packet, flow, sent_by_src))
        epoch_oldest_ns = min(epoch_oldest_ns, packet.time_ns)
        if number % EPOCH == EPOCH - 1:
            _expire(open_flows, finished, epoch_oldest_ns - idle_ns - LATE_NS)
            epoch_oldest_ns = math.inf
        if len(finished) >= BATCH:
            yield _frame(finished, sensor)
            finished.clear()
    finished += [(flow, "end") for flow in open_flows.values()]
    for begin in range(0, max(1, len(finished)), BATCH):
        yield _frame(finished[begin : begin + BATCH], sensor)


def flow_id(key: Key, start_ns: int, src: Endpoint) -> int:
    """Make the id of a flow from its key, start and source: the one that native/meter.c makes."""
    endpoints, protocol, vlan, tunnel, tunnel_id = key
    low, *_, high = sorted((int(ip_address(host)), port) for host, port in endpoints) * 2
    source_is_high = (int(ip_address(src[0])), src[1]) == high
    rest = low[1] | high[1] << 16 | (vlan or 0) << 32
    rest |= protocol << 48 | _TUNNELS.index(tunnel) << 56
    mixed = _mix(
        _mix(low[0] >> 64 ^ rest, low[0] & _WORD ^ tunnel_id),
        _mix(high[0] >> 64, high[0] & _WORD),
    )
    return _mix(mixed, _mix(start_ns & _WORD, source_is_high))


def _mix(a: int, b: int) -> int:
    """Folded multiply, as wyhash has it."""
    product = (a ^ 0x9E3779B97F4A7C15) * (b ^ 0xE7037ED1A0B428DB)
    return (product ^ product >> 64) & _WORD


def _key(packet: Packet) -> Key:
    ends = frozenset(((packet.src_ip, packet.src_port), (packet.dst_ip, packet.dst_port)))
    return ends, packet.protocol, packet.vlan, packet.tunnel, packet.tunnel_id


def _opened(packet: Packet, key: Key, number: int) -> Flow:
    """Open the flow of its first packet: the sender is the source, unless TCP says otherwise."""
    src, dst = (packet.src_ip, packet.src_port), (packet.dst_ip, packet.dst_port)
    syn, ack = packet.tcp_flags & _SYN, packet.tcp_flags & _ACK
    answers = (syn and ack) or (not syn and packet.src_port < 1024 <= packet.dst_port)
    if packet.protocol == _TCP and answers:
        src, dst = dst, src
    return Flow(
        src,
        dst,
        packet.protocol,
        packet.vlan,
        packet.tunnel,
        packet.icmp_type,
        start_ns=packet.time_ns,
        end_ns=packet.time_ns,
        number=number,
        flow_id=flow_id(key, packet.time_ns, src),
    )


def _wanted(packet: Packet, flow: Flow, sent_by_src: bool) -> bool:
    later_fragment = packet.fragment is not None and not packet.fragment[1]
    if packet.protocol not in (_TCP, _UDP) or not packet.payload or later_fragment:
        return False
    if packet.protocol == _TCP and packet.payload[:2] == b"\x17\x03":
        return False  # TLS application data: ciphertext
    ports = {flow.src[1], flow.dst[1]}
    side = flow.from_src if sent_by_src else flow.from_dst
    udp = 8 if packet.payload[0] >= _LONG_HEADER else 2
    most = 400 if ports & _LOGINS else 12 if packet.protocol == _TCP else udp
    if not ports & _EVERY_PAYLOAD and side.tapped >= most:
        return False
    side.tapped += 1
    return True


def _tapped(packet: Packet, flow: Flow, sent_by_src: bool) -> Tapped:
    return Tapped(
        packet.time_ns,
        flow.flow_id,
        sent_by_src,
        *(flow.src[0], flow.dst[0], flow.src[1], flow.dst[1]),
        packet.protocol,
        packet.seq,
        packet.payload,
    )


def _with_ports(
    packet: Packet, fragments: OrderedDict[tuple[str, str, int, int], _Fragment]
) -> Packet:
    """Give a later fragment the ports that only the first one carries."""
    if packet.fragment is None:
        return packet
    identification, first = packet.fragment
    key = (packet.src_ip, packet.dst_ip, identification, packet.protocol)
    if first:
        fragments[key] = _Fragment(packet.time_ns, (packet.src_port, packet.dst_port))
        fragments.move_to_end(key)
        if len(fragments) > FRAGMENTS_KEPT:
            fragments.popitem(last=False)
        return packet
    known = fragments.get(key)
    if known is None or abs(packet.time_ns - known.time_ns) >= FRAGMENT_NS:
        return packet
    return packet._replace(src_port=known.ports[0], dst_port=known.ports[1])


def _expire(
    open_flows: OrderedDict[Key, Flow], finished: list[tuple[Flow, EndReason]], before_ns: float
) -> None:
    while open_flows and next(iter(open_flows.values())).end_ns < before_ns:
        finished.append((open_flows.popitem(last=False)[1], "idle"))


def _frame(finished: list[tuple[Flow, EndReason]], sensor: str) -> pl.DataFrame:
    ordered = sorted(finished, key=lambda flow: flow[0].number)
    rows = [flow.row(reason, sensor) for flow, reason in ordered]
    if not rows:
        return empty("flows")
    return conform("flows", pl.DataFrame(rows, infer_schema_length=None))
