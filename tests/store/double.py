"""A server that answers as the genuine one did, where that one cannot be brought to it."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Answer:
    """What the double says instead of doing what it was asked."""

    def __init__(self, status: int, body: Any = None, **headers: str) -> None:
        self.status, self.body, self.headers = status, body, headers


class Double(ThreadingHTTPServer):
    """A server that keeps what it is given by id, as the genuine one does, and fails when told.

    Attributes:
        stored: how often each id was created; more than once is never right.
        requests: number of documents in each request.
        next: answers to give before it does its work again; None: it works, and then hangs up.
        always: answer to every request.
        foreign: whether it does not say that it is Elasticsearch.
        item: what becomes of a document by its id; None: it is created.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stored: Counter[str] = Counter()
        self.requests: list[int] = []
        self.next: deque[Answer | None] = deque()
        self.always: Answer | None = None
        self.foreign = False
        self.item: Callable[[str], dict[str, Any] | None] = lambda _: None
        self.most_bytes = 10**9
        self.slow_s = 0.0
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Double
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        double = self.server
        ids = [json.loads(line)["create"]["_id"] for line in body.splitlines()[::2]]
        double.requests.append(len(ids))
        time.sleep(double.slow_s)
        if len(body) > double.most_bytes:
            self.close_connection = True
            return self.say(Answer(413))  # no body, no product header: so does the genuine one
        if double.always:
            return self.say(double.always)
        hang_up = False
        if double.next:
            answer = double.next.popleft()
            if answer is not None:
                return self.say(answer)
            hang_up = True
        items = [{"create": double.item(name) or self.create(name)} for name in ids]
        if hang_up:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        return self.say(Answer(200, {"errors": True, "items": items}))

    def create(self, name: str) -> dict[str, Any]:
        if name in self.server.stored:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception"}}
        self.server.stored[name] += 1
        return {"status": 201}

    def say(self, answer: Answer) -> None:
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        if body and not self.server.foreign:
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/json")
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...
