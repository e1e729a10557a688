"""What the payloads say: messages go in, rows of DNS, TLS, HTTP, SSH, machines and logins come out.

A conversation is known by its port where the protocol has one, else by its first bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import polars as pl

from cyberterr.contracts.flow import TABLES, Tables, conform
from cyberterr.flows import bacnet, dnp3, dns, http, iec104, login, modbus, ot, s7, ssh, tls
from cyberterr.flows.row import Row
from cyberterr.flows.stream import NotThisProtocol, Stream

_TCP, _UDP = 6, 17
_DNS_PORTS = frozenset((53, 5353, 5355))
_MDNS, _LLMNR = 5353, 5355
_BACNET_PORT = 47808
_OT_PORTS: dict[int, tuple[str, ot.Read]] = {
    502: ("modbus", modbus.read),
    20000: ("dnp3", dnp3.read),
    102: ("s7", s7.read),
    2404: ("iec104", iec104.read),
}
_PATIENCE_NS = 10 * 10**9
_IDLE_NS = 120 * 10**9
_MAX_WAITING = 65_536
_MAX_FLOWS = 65_536
_MAX_OVER = 262_144
_MAX_HELD = 64 << 20
_MAX_LOOKS = 8
"""Segments of a flow that are looked at before it counts as not recognised."""

_Who = tuple[int, str, str, int, int, int]
_NAMES = ("dns", "tls", "http", "ssh", "ot", "login")
_WHO_COLUMNS = ("time", "flow_id", "src_ip", "dst_ip", "src_port", "dst_port", "protocol")


class Message(NamedTuple):
    """The payload of one packet. *src* and *dst* are those of the flow: client, then server."""

    time_ns: int
    flow_id: int
    from_src: bool
    src_ip: str
    dst_ip: str
    src_port: int
    dst_port: int
    protocol: int
    seq: int
    """TCP sequence number; 0 for UDP"""
    payload: bytes


class _Conversation(Protocol):
    @property
    def done(self) -> bool: ...
    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]: ...
    def end(self) -> list[Row]: ...


class _Flow:
    """A TCP flow whose conversation is not over."""

    __slots__ = ("held", "last_ns", "looks", "sides", "talk", "turned", "who")

    def __init__(self, who: _Who) -> None:
        self.who = who
        self.sides = {True: Stream(), False: Stream()}
        self.talk: _Conversation | None = None
        self.turned = False
        self.looks = 0
        self.held = 0
        self.last_ns = 0


class Layer7:
    """Decodes messages in bounded memory.

    Attributes:
        dropped: conversations given up in the middle because too many were open.

    Args:
        sensor: the name in the rows.
        key: makes the account hashes of this site unlike those of others.
    """

    def __init__(self, sensor: str, key: bytes = b"") -> None:
        self.dropped = 0
        self._sensor = sensor
        self._key = key
        self._rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in _NAMES}
        self._services: dict[int, str] = {}
        self._flows: OrderedDict[int, _Flow] = OrderedDict()  # longest silent first
        self._over: dict[int, None] = {}  # nothing more to learn from these
        self._held = 0
        self._asked: dict[object, tuple[int, _Who, dns.DnsMessage, int]] = {}
        self._communities: dict[int, tuple[int, _Who]] = {}
        self._now = 0

    def __len__(self) -> int:
        """Rows that wait for `drain`."""
        return sum(map(len, self._rows.values()))

    def feed(self, messages: Iterable[Message]) -> None:
        """Decode *messages*, in the order of the capture."""
        for message in messages:
            self._now = message.time_ns
            if message.protocol == _TCP:
                self._segment(message)
            elif message.protocol == _UDP:
                self._datagram(message)
        self._expire()

    def drain(self, final: bool = False) -> Tables:
        """The rows since the last call, without flows.

        Args:
            final: nothing comes any more: what waits for an answer is given without one.
        """
        if final:
            while self._flows:
                self._close(self._flows.popitem(last=False)[1])
            while self._asked:
                self._unanswered(next(iter(self._asked)))
            while self._communities:
                self._community_done(next(iter(self._communities)), None)
        tables = Tables(
            **{name: self._frame(name, rows) for name, rows in self._rows.items() if rows}
        )
        self._rows = {name: [] for name in _NAMES}
        return tables

    def take_services(self) -> dict[int, str]:
        """Service by flow id, of the flows recognised since the last call."""
        services, self._services = self._services, {}
        return services

    # -- UDP --

    def _datagram(self, message: Message) -> None:
        source, destination = message.src_port, message.dst_port
        try:
            if destination in _DNS_PORTS or source in _DNS_PORTS:
                self._name(message, message.payload)
            elif _BACNET_PORT in (source, destination):
                pdu = bacnet.read(message.payload)
                self._services[message.flow_id] = "bacnet"
                if pdu is not None:
                    self._add(
                        _who(message), ot.row("bacnet", message.time_ns, pdu, asks=message.from_src)
                    )
            elif destination == 20000 or source == 20000:
                asks = message.from_src == (destination == 20000)
                for pdu in dnp3.read(message.payload, asks)[0]:
                    self._services[message.flow_id] = "dnp3"
                    row = ot.row("dnp3", message.time_ns, pdu, asks=message.from_src)
                    self._add(_who(message), row)
            elif login.SNMP_PORT in (source, destination):
                self._community(message)
            elif message.payload[:1] >= b"\xc0" and message.payload[1:5] in _QUIC_VERSIONS:
                self._services[message.flow_id] = "quic"
        except NotThisProtocol:
            pass

    def _name(self, message: Message, payload: bytes) -> None:
        """One DNS message: a question waits for its answer, an answer finds its question."""
        number, content = dns.decode(payload)
        flow_id = message.flow_id
        self._services[flow_id] = "dns"
        who = _who(message)
        if message.from_src == content.response:  # who asks is the source, whoever came first
            who = _turned(who)
        local = who[4] if who[4] in (_MDNS, _LLMNR) else 0
        key: object = (flow_id, number, content.query)
        if local == _LLMNR:  # the question goes to a group, the answer comes from a host
            key = (who[1], who[3], number, content.query)
        time_ns, size = message.time_ns, len(payload)
        if not content.response:
            if key in self._asked:
                self._unanswered(key)
            elif len(self._asked) >= _MAX_WAITING:
                self._unanswered(next(iter(self._asked)))
            self._asked[key] = (time_ns, who, content, size)
            return
        asked = self._asked.pop(key, None)
        if asked is None:
            if local:
                return
            query_ns, query_bytes = time_ns, None
        else:
            query_ns, who, _, query_bytes = asked
        self._rows["dns"].append((
            query_ns, *who, content.query, content.qtype, content.rcode, content.answers,
            query_bytes, size,
        ))  # fmt: skip

    def _unanswered(self, key: object) -> None:
        time_ns, who, content, size = self._asked.pop(key)
        row = (time_ns, *who, content.query, content.qtype, None, None, size, None)
        self._rows["dns"].append(row)

    def _community(self, message: Message) -> None:
        """One row a flow: an agent that knows the community answers, another stays silent."""
        if login.snmp_request(message.payload):
            self._services[message.flow_id] = "snmp"
            who = _who(message) if message.from_src else _turned(_who(message))
            if len(self._communities) >= _MAX_WAITING:
                self._community_done(next(iter(self._communities)), None)
            self._communities.setdefault(message.flow_id, (message.time_ns, who))
        elif message.flow_id in self._communities:
            self._community_done(message.flow_id, True)

    def _community_done(self, flow_id: int, success: bool | None) -> None:
        time_ns, who = self._communities.pop(flow_id)
        self._rows["login"].append((time_ns, *who, "snmp", "community", None, success))

    # -- TCP --

    def _segment(self, message: Message) -> None:
        flow_id = message.flow_id
        if flow_id in self._over:
            return
        flow = self._flows.get(flow_id)
        if flow is None:
            while self._flows and (len(self._flows) >= _MAX_FLOWS or self._held > _MAX_HELD):
                self.dropped += 1
                self._close(self._flows.popitem(last=False)[1])
            flow = self._flows[flow_id] = _Flow(_who(message))
        else:
            self._flows.move_to_end(flow_id)
        flow.last_ns = message.time_ns
        stream = flow.sides[message.from_src]
        if stream.push(message.seq, message.payload) and not self._read(flow, message, stream):
            self._close(self._flows.pop(flow_id))
            self._over[flow_id] = None
            if len(self._over) > _MAX_OVER:
                del self._over[next(iter(self._over))]
            return
        held = stream.held() + flow.sides[not message.from_src].held()
        self._held += held - flow.held
        flow.held = held

    def _read(self, flow: _Flow, message: Message, stream: Stream) -> bool:
        """Take what is new; false when there is nothing more to learn from this flow."""
        if flow.talk is None:
            if not self._recognise(flow, message):
                flow.looks += 1
                return flow.looks < _MAX_LOOKS
            sides = [side for side in (not flow.turned, flow.turned) if flow.sides[side].data]
        else:
            sides = [message.from_src]
        for side in sides:
            if not self._hear(flow, message, side):
                return False
        return flow.talk is not None and not flow.talk.done

    def _hear(self, flow: _Flow, message: Message, side: bool) -> bool:
        asks, stream = side != flow.turned, flow.sides[side]
        if isinstance(flow.talk, login.TextLogin) and asks and tls.starts(stream.data):
            flow.talk = tls.Conversation()  # STARTTLS
        if flow.talk is None:
            return False
        try:
            rows = flow.talk.hear(message.time_ns, asks, stream)
        except NotThisProtocol:
            self._services.pop(message.flow_id, None)
            return False
        if isinstance(flow.talk, _DnsConversation):
            self._names_over_tcp(flow.talk, message)
        for row in rows:
            self._add(_turned(flow.who) if flow.turned else flow.who, row)
        return True

    def _names_over_tcp(self, talk: _DnsConversation, message: Message) -> None:
        for payload in talk.take():
            try:
                self._name(message, payload)
            except NotThisProtocol:
                continue

    def _recognise(self, flow: _Flow, message: Message) -> bool:
        """Find out which protocol the flow speaks and who asks in it."""
        found = _by_content(flow, self._key) or _by_port(flow, self._key)
        if found is None:
            return False
        service, flow.talk, flow.turned = found
        self._services[message.flow_id] = service
        return True

    def _close(self, flow: _Flow) -> None:
        self._held -= flow.held
        for side, stream in flow.sides.items():
            while flow.talk is not None and not flow.talk.done and stream.skip_gap():
                last = Message(flow.last_ns, flow.who[0], side, *flow.who[1:], 0, b"")
                if not self._hear(flow, last, side):
                    break
        if flow.talk is not None:
            for row in flow.talk.end():
                self._add(_turned(flow.who) if flow.turned else flow.who, row)

    def _expire(self) -> None:
        """Give up waiting; with a clock that jumps back only the bounds on memory hold."""
        late = self._now - _PATIENCE_NS
        while self._asked and self._asked[key := next(iter(self._asked))][0] < late:
            self._unanswered(key)
        while (
            self._communities and self._communities[flow := next(iter(self._communities))][0] < late
        ):
            self._community_done(flow, None)
        while self._flows and next(iter(self._flows.values())).last_ns < self._now - _IDLE_NS:
            self._close(self._flows.popitem(last=False)[1])

    def _add(self, who: _Who, row: Row) -> None:
        self._rows[row.table].append(
            (row.time_ns, *(_turned(who) if row.turned else who), *row.values)
        )

    def _frame(self, name: str, rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
        columns = [column for column in TABLES[name] if column.name != "sensor"]
        series = [
            pl.Series(
                column.name, values, dtype=pl.Int64 if column.name == "time" else column.dtype
            )
            for column, values in zip(columns, zip(*rows, strict=True), strict=True)
        ]
        return conform(
            name, pl.DataFrame(series).with_columns(pl.lit(self._sensor).alias("sensor"))
        )


class _DnsConversation:
    """DNS over TCP: whole messages, in either direction."""

    __slots__ = ("_messages",)
    done = False

    def __init__(self) -> None:
        self._messages: list[bytes] = []

    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]:
        self._messages += dns.take_messages(stream)
        return []

    def take(self) -> list[bytes]:
        messages, self._messages = self._messages, []
        return messages

    def end(self) -> list[Row]:
        return []


_Found = tuple[str, _Conversation, bool]
_QUIC_VERSIONS = frozenset((b"\0\0\0\1", b"\x6b\x33\x43\xcf"))  # RFC 9000, 9369


def _who(message: Message) -> _Who:
    return message[1], message[3], message[4], message[5], message[6], message[7]


def _turned(who: _Who) -> _Who:
    flow_id, src_ip, dst_ip, src_port, dst_port, protocol = who
    return flow_id, dst_ip, src_ip, dst_port, src_port, protocol


def _by_content(flow: _Flow, key: bytes) -> _Found | None:
    """By the first bytes of either side, whatever the port."""
    for side in (True, False):
        data = flow.sides[side].data
        if len(data) >= 6 and tls.starts(data):
            return "tls", tls.Conversation(), not side
        if http.starts(data):
            return "http", http.Conversation(key), not side
        if ssh.starts(data):
            return "ssh", ssh.Conversation(), False
    for side in (True, False):
        service = _greeting(flow.sides[side].data, flow.sides[not side].data)
        if service:
            return service, login.TextLogin(service, key), side
    return None


def _greeting(server: bytes, client: bytes) -> str | None:
    """A text protocol on a port that is not its own (RFC 959, 1939, 3501, 5321)."""
    if server.startswith(b"220"):
        verb = client[:5].upper()
        return "ftp" if verb == b"USER " else "smtp" if verb in (b"EHLO ", b"HELO ") else None
    if server.startswith(b"+OK"):
        return "pop3"
    return "imap" if server.startswith(b"* OK") else None


def _by_port(flow: _Flow, key: bytes) -> _Found | None:
    """By the port of the server, which is the source where the capture began in the middle."""
    for port, turned in ((flow.who[4], False), (flow.who[3], True)):
        if port in _OT_PORTS:
            name, read = _OT_PORTS[port]
            return name, ot.Conversation(name, read), turned
        if port in _DNS_PORTS:
            return "dns", _DnsConversation(), turned
        if port in login.TEXT_PORTS:
            name = login.TEXT_PORTS[port]
            return name, login.TextLogin(name, key), turned
        if port == login.TELNET_PORT:
            return "telnet", login.Telnet(key), turned
    return None
