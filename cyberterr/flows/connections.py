"""TCP: segments become streams, streams become conversations, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict

from cyberterr.flows import dns, tls
from cyberterr.flows.found import Found
from cyberterr.flows.message import Message, Who, turned, who_of
from cyberterr.flows.questions import Questions
from cyberterr.flows.recognise import Conversation, Recognised, recognise, turns_to_tls
from cyberterr.flows.stream import NotThisProtocol, Stream

IDLE_NS = 120 * 10**9
_MAX_FLOWS = 65_536
_MAX_OVER = 262_144
_MAX_HELD = 64 << 20
_MAX_LOOKS = 8
"""Segments of a flow that are looked at before it counts as not recognised."""


class _Flow:
    """A flow whose conversation is not over."""

    __slots__ = ("held", "last_ns", "looks", "sides", "talk", "turned", "who")

    def __init__(self, who: Who) -> None:
        self.who = who
        self.sides = {True: Stream(), False: Stream()}
        self.talk: Conversation | None = None
        self.turned = False
        self.looks = 0
        self.held = 0
        self.last_ns = 0


class Connections:
    """All of them.

    Attributes:
        dropped: conversations given up in the middle because too many were open.
    """

    def __init__(self, found: Found, questions: Questions, key: bytes) -> None:
        self.dropped = 0
        self._found = found
        self._questions = questions
        self._key = key
        self._flows: OrderedDict[int, _Flow] = OrderedDict()  # longest silent first
        self._over: dict[int, None] = {}  # nothing more to learn from these
        self._held = 0

    def hear(self, message: Message) -> None:
        """Take one segment."""
        flow_id = message.flow_id
        if flow_id in self._over:
            return
        flow = self._flows.get(flow_id)
        if flow is None:
            while self._flows and (len(self._flows) >= _MAX_FLOWS or self._held > _MAX_HELD):
                self.dropped += 1
                self._close(self._flows.popitem(last=False)[1])
            flow = self._flows[flow_id] = _Flow(who_of(message))
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

    def expire(self, now_ns: int) -> None:
        """Close what has said nothing for `IDLE_NS`."""
        while self._flows and next(iter(self._flows.values())).last_ns < now_ns - IDLE_NS:
            self._close(self._flows.popitem(last=False)[1])

    def end(self) -> None:
        """Close all."""
        while self._flows:
            self._close(self._flows.popitem(last=False)[1])

    def _read(self, flow: _Flow, message: Message, stream: Stream) -> bool:
        """Take what is new; false when there is nothing more to learn from this flow."""
        sides = [message.from_src]
        if flow.talk is None:
            if not self._recognise(flow, message, stream):
                flow.looks += 1
                return flow.looks < _MAX_LOOKS
            sides = [side for side in (not flow.turned, flow.turned) if flow.sides[side].data]
        for side in sides:
            if not self._hear(flow, message, side):
                return False
        return flow.talk is not None and not flow.talk.done

    def _recognise(self, flow: _Flow, message: Message, stream: Stream) -> bool:
        """Find out which protocol the flow speaks and who asks in it."""
        found = recognise(flow.sides[True], flow.sides[False], flow.who[3:5], self._key)
        if found is None and tls.hello_follows(stream.data, message.payload):
            stream.take(len(stream.data) - len(message.payload))
            found = Recognised("tls", tls.Conversation(), not message.from_src)
        if found is None:
            return False
        service, flow.talk, flow.turned = found
        self._found.services.note(message.flow_id, service)
        return True

    def _hear(self, flow: _Flow, message: Message, side: bool) -> bool:
        asks, stream = side != flow.turned, flow.sides[side]
        if asks and turns_to_tls(flow.talk, stream.data):
            self._finish(flow)
            flow.talk = tls.Conversation()
        if flow.talk is None:
            return False
        try:
            rows = flow.talk.hear(message.time_ns, asks, stream)
        except NotThisProtocol:
            self._found.services.forget(message.flow_id)
            return False
        if isinstance(flow.talk, dns.Conversation):
            self._names(flow.talk, message)
        who = turned(flow.who) if flow.turned else flow.who
        for row in rows:
            self._found.add(who, row)
        return True

    def _names(self, talk: dns.Conversation, message: Message) -> None:
        for payload in talk.take():
            try:
                self._questions.hear(message, payload)
            except NotThisProtocol:
                continue

    def _close(self, flow: _Flow) -> None:
        self._held -= flow.held
        for side, stream in flow.sides.items():
            while flow.talk is not None and not flow.talk.done and stream.skip_gap():
                last = Message(flow.last_ns, flow.who[0], side, *flow.who[1:], 0, b"")
                if not self._hear(flow, last, side):
                    break
        self._finish(flow)

    def _finish(self, flow: _Flow) -> None:
        """What the conversation still held."""
        who = turned(flow.who) if flow.turned else flow.who
        for row in flow.talk.end() if flow.talk is not None else ():
            self._found.add(who, row)
