"""HTTP/1 requests and the status of their answers (RFC 9112), in order, without the bodies."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from cyberterr.flows import login, tls
from cyberterr.flows.row import Row
from cyberterr.flows.stream import NotThisProtocol, Stream

METHODS = frozenset(
    b"GET POST HEAD PUT DELETE OPTIONS CONNECT TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK "
    b"UNLOCK SEARCH REPORT NOTIFY SUBSCRIBE M-SEARCH RPC_IN_DATA RPC_OUT_DATA".split()
)
"""IANA "HTTP Method Registry", plus UPnP's and RPC over HTTP's."""

_MAX_HEAD = 16_384
_MAX_TEXT = 2_048
_MAX_WAITING = 64
_REFUSED = frozenset((401, 403, 407))


@dataclass(slots=True)
class _Request:
    time_ns: int
    method: str
    uri: str
    host: str | None = None
    user_agent: str | None = None
    status: int | None = None
    credentials: bool = False
    account: str | None = None

    def rows(self) -> list[Row]:
        values = (self.method, self.host, self.uri, self.user_agent, self.status)
        rows = [Row("http", self.time_ns, values)]
        if self.credentials:
            success = (
                None if self.status is None or self.status >= 500 else self.status not in _REFUSED
            )
            rows.append(Row("login", self.time_ns, ("http", "Basic", self.account, success)))
        return rows


def starts(data: bytes) -> bool:
    """Whether *data* begins with a method of HTTP; SIP and RTSP share some, so not with those."""
    method, space, _ = data[:16].partition(b" ")
    if not space or method not in METHODS:
        return False
    end = data.find(b"\r\n", 0, _MAX_HEAD)
    return end < 0 or b" HTTP/" in data[:end]


class Conversation:
    """The requests and answers of one connection, matched in order (RFC 9112 §9.3).

    Attributes:
        tunnel: a proxy was asked to CONNECT and did: what follows is another protocol.
        done: so it is, and not one that this conversation leaves to others.
    """

    __slots__ = ("_answered", "_finished", "_key", "_skip", "_spoken", "_waiting", "done", "tunnel")

    def __init__(self, key: bytes) -> None:
        self.done = False
        self.tunnel = False
        self._key = key
        self._waiting: deque[_Request] = deque()
        self._finished: list[Row] = []
        self._spoken = False
        self._answered = False
        # Bytes of a body still to come; -1: unknown, so wait for a segment that starts a message.
        self._skip = {True: 0, False: 0}

    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]:
        """Read what is new on *stream*; *asks* is true for the client's side.

        Raises:
            NotThisProtocol: it does not begin as HTTP.
        """
        if stream.fresh:
            self._skip[asks] = -1
            if not asks and self._answered:  # answers were lost: the next one is for the newest
                while len(self._waiting) > 1:
                    self._finished += self._waiting.popleft().rows()
        while stream.data and not self.tunnel:
            skip = self._skip[asks]
            if skip > 0:
                count = min(skip, len(stream.data))
                self._skip[asks] = skip - count
                stream.take(count)
                continue
            if not (starts(stream.data) if asks else stream.data.startswith(b"HTTP/1.")):
                if not self._spoken:
                    raise NotThisProtocol
                self._skip[asks] = -1
                stream.take(len(stream.data))
                break
            end = stream.data.find(b"\r\n\r\n", 0, _MAX_HEAD)
            if end < 0 and len(stream.data) < _MAX_HEAD:
                break
            head = stream.data[: end if end >= 0 else _MAX_HEAD]
            stream.take(end + 4 if end >= 0 else _MAX_HEAD)
            if asks:
                self._request(time_ns, head, cut=end < 0)
            else:
                self._answer(head, cut=end < 0)
        # Whoever hears TLS begin takes over before it comes here; fewer bytes cannot tell yet.
        self.done = self.tunnel and asks and len(stream.data) >= tls.RECOGNISED_BYTES
        rows, self._finished = self._finished, []
        return rows

    def end(self) -> list[Row]:
        """What was asked and not answered."""
        rows = [row for request in self._waiting for row in request.rows()]
        self._waiting.clear()
        return rows

    def _request(self, time_ns: int, head: bytes, *, cut: bool) -> None:
        line, _, rest = head.partition(b"\r\n")
        method, _, target = line.partition(b" ")
        fields = _fields(rest)
        request = _Request(
            time_ns, method.decode("ascii"), _text(target.rpartition(b" HTTP/")[0] or target)
        )
        if b"host" in fields:
            request.host = _text(fields[b"host"]).lower()
        if b"user-agent" in fields:
            request.user_agent = _text(fields[b"user-agent"])
        credentials = fields.get(b"authorization") or fields.get(b"proxy-authorization", b"")
        scheme, _, secret = credentials.partition(b" ")
        if scheme.lower() == b"basic":
            request.credentials = True
            request.account = login.basic_account(secret, self._key)
        self._spoken = True
        self._waiting.append(request)
        if len(self._waiting) > _MAX_WAITING:
            self._finished += self._waiting.popleft().rows()
        self._skip[True] = -1 if cut else _body(fields)

    def _answer(self, head: bytes, *, cut: bool) -> None:
        self._answered = True
        line, _, rest = head.partition(b"\r\n")
        code = line[9:12]
        status = int(code) if len(code) == 3 and code.isdigit() else None
        if status is None:
            self._skip[False] = -1
            return
        if 100 <= status < 200 and status != 101:
            return
        bodiless = status in (101, 204, 304)
        if self._waiting:
            request = self._waiting.popleft()
            request.status = status
            self._finished += request.rows()
            bodiless = bodiless or request.method == "HEAD"
            self.tunnel = request.method == "CONNECT" and status < 300
        self._skip[False] = -1 if cut else 0 if bodiless else _body(_fields(rest), until_close=True)


def _body(fields: dict[bytes, bytes], *, until_close: bool = False) -> int:
    """Length of the body in bytes; -1 where only its content would tell."""
    length = fields.get(b"content-length", b"")
    if b"transfer-encoding" in fields:
        return -1
    if length.isdigit() and len(length) < 12:
        return int(length)
    return -1 if until_close else 0


def _fields(raw: bytes) -> dict[bytes, bytes]:
    """Header fields by lower-case name; the first of a name counts."""
    fields: dict[bytes, bytes] = {}
    for line in raw.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _text(raw: bytes) -> str:
    """At most 2,048 characters; what is not ASCII is written as its hex code."""
    return raw[:_MAX_TEXT].decode("ascii", "backslashreplace")
