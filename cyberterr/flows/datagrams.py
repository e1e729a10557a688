"""UDP: names, orders to machines, SNMP communities and the first packets of QUIC."""

from __future__ import annotations

from cyberterr.flows import bacnet, dnp3, login, ot, questions, quic
from cyberterr.flows.found import Found
from cyberterr.flows.message import Message, Who, turned, who_of
from cyberterr.flows.questions import PATIENCE_NS, Questions
from cyberterr.flows.row import Row
from cyberterr.flows.stream import NotThisProtocol

_BACNET_PORT = 47808
_DNP3_PORT = 20000
_MAX_WAITING = 65_536
_MAX_HELLOS = 4_096
"""QUIC connections whose ClientHello is not whole yet, at most 16 KiB each."""
_MAX_OVER = 65_536


class Datagrams:
    """What waits for another datagram, the oldest first."""

    def __init__(self, found: Found, names: Questions) -> None:
        self._found = found
        self._names = names
        self._communities: dict[int, tuple[int, Who]] = {}
        self._hellos: dict[int, quic.Conversation] = {}
        self._over: dict[int, None] = {}  # QUIC connections with nothing more to learn from

    def hear(self, message: Message) -> None:
        """Take one datagram."""
        ports = message.src_port, message.dst_port
        try:
            if message.dst_port in questions.PORTS or message.src_port in questions.PORTS:
                self._names.hear(message, message.payload)
            elif _BACNET_PORT in ports:
                self._bacnet(message)
            elif _DNP3_PORT in ports:
                self._dnp3(message)
            elif login.SNMP_PORT in ports:
                self._community(message)
            elif quic.starts(message.payload):
                self._quic(message)
        except NotThisProtocol:
            pass

    def expire(self, now_ns: int) -> None:
        """Give up on communities nobody answered."""
        late = now_ns - PATIENCE_NS
        while (
            self._communities and self._communities[flow := next(iter(self._communities))][0] < late
        ):
            self._community_done(flow, None)

    def end(self) -> None:
        """Give what still waits, without an answer."""
        while self._communities:
            self._community_done(next(iter(self._communities)), None)

    def _bacnet(self, message: Message) -> None:
        pdu = bacnet.read(message.payload)
        self._found.services.note(message.flow_id, "bacnet")
        if pdu is not None:
            row = ot.row("bacnet", message.time_ns, pdu, asks=message.from_src)
            self._found.add(who_of(message), row)

    def _dnp3(self, message: Message) -> None:
        asks = message.from_src == (message.dst_port == _DNP3_PORT)
        for pdu in dnp3.read(message.payload, asks)[0]:
            self._found.services.note(message.flow_id, "dnp3")
            row = ot.row("dnp3", message.time_ns, pdu, asks=message.from_src)
            self._found.add(who_of(message), row)

    def _community(self, message: Message) -> None:
        """One row a flow: an agent that knows the community answers, another stays silent."""
        if login.snmp_request(message.payload):
            self._found.services.note(message.flow_id, "snmp")
            who = who_of(message) if message.from_src else turned(who_of(message))
            if len(self._communities) >= _MAX_WAITING:
                self._community_done(next(iter(self._communities)), None)
            self._communities.setdefault(message.flow_id, (message.time_ns, who))
        elif message.flow_id in self._communities:
            self._community_done(message.flow_id, True)

    def _community_done(self, flow_id: int, success: bool | None) -> None:
        time_ns, who = self._communities.pop(flow_id)
        self._found.add(who, Row("login", time_ns, ("snmp", "community", None, success)))

    def _quic(self, message: Message) -> None:
        """One row a connection: its ClientHello, as soon as it is whole."""
        flow_id = message.flow_id
        if flow_id in self._over:
            return
        talk = self._hellos.get(flow_id)
        if talk is None:
            if len(self._hellos) >= _MAX_HELLOS:
                del self._hellos[next(iter(self._hellos))]
            talk = self._hellos[flow_id] = quic.Conversation()
            self._found.services.note(flow_id, "quic")
        for row in talk.hear(message.time_ns, message.from_src, message.payload):
            self._found.add(who_of(message), row)
        if talk.done:
            del self._hellos[flow_id]
            self._over[flow_id] = None
            if len(self._over) > _MAX_OVER:
                del self._over[next(iter(self._over))]
