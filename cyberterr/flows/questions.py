"""DNS questions meet their answers, whether they came over UDP or TCP."""

from __future__ import annotations

from cyberterr.flows import dns
from cyberterr.flows.found import Found
from cyberterr.flows.message import Message, Who, turned, who_of
from cyberterr.flows.row import Row

PORTS = frozenset((53, 5353, 5355))
PATIENCE_NS = 10 * 10**9
"""How long a question waits for its answer."""
_MDNS, _LLMNR = 5353, 5355
_MAX_WAITING = 65_536


class Questions:
    """Those that wait for an answer, the oldest first."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._asked: dict[object, tuple[int, Who, dns.DnsMessage, int]] = {}

    def hear(self, message: Message, payload: bytes) -> None:
        """Take one DNS message: a question waits, an answer finds its question.

        Args:
            message: what carried it.
            payload: the DNS message itself.

        Raises:
            NotThisProtocol: it is no DNS message.
        """
        number, content = dns.decode(payload)
        flow_id = message.flow_id
        self._found.services.note(flow_id, "dns")
        who = who_of(message)
        if message.from_src == content.response:  # who asks is the source, whoever came first
            who = turned(who)
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
        values = (content.query, content.qtype, content.rcode, content.answers, query_bytes, size)
        self._found.add(who, Row("dns", query_ns, values))

    def expire(self, now_ns: int) -> None:
        """Give up on what was asked `PATIENCE_NS` before *now_ns*."""
        late = now_ns - PATIENCE_NS
        while self._asked and self._asked[key := next(iter(self._asked))][0] < late:
            self._unanswered(key)

    def end(self) -> None:
        """Give what still waits, without an answer."""
        while self._asked:
            self._unanswered(next(iter(self._asked)))

    def _unanswered(self, key: object) -> None:
        time_ns, who, content, size = self._asked.pop(key)
        values = (content.query, content.qtype, None, None, size, None)
        self._found.add(who, Row("dns", time_ns, values))
