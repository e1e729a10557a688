"""A double of Kibana's import interfaces: none can be had for tests.

It answers as Elastic documents it, and keeps what it was asked.
https://www.elastic.co/docs/api/doc/kibana (saved objects, detection rules)
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer


class Kibana(BaseHTTPRequestHandler):
    """One request after the other."""

    answers: dict[str, tuple[int, object]]
    asked: list[tuple[str, dict[str, str], bytes]]

    def handle(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # a client that does not trust us goes
            super().handle()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked.append((self.path, headers, body))
        part = "rules" if "detection_engine" in self.path else "objects"
        status, said = self.answers[part]
        content = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/login")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


OBJECTS = {"success": True, "successCount": 7, "successResults": [], "warnings": []}
RULES = {
    "success": True,
    "success_count": 1,
    "rules_count": 1,
    "errors": [],
    "exceptions_success": True,
    "exceptions_success_count": 0,
    "exceptions_errors": [],
}
CONFLICT = {
    "success": False,
    "successCount": 6,
    "errors": [
        {
            "id": "cyberterr-triage",
            "type": "dashboard",
            "error": {"type": "missing_references", "references": []},
        }
    ],
}
RULE_REFUSED = {
    "success": False,
    "success_count": 0,
    "rules_count": 1,
    "errors": [
        {"rule_id": "cyberterr-findings", "error": {"status_code": 400, "message": "bad query"}}
    ],
}


@contextlib.contextmanager
def a_kibana(objects=(200, OBJECTS), rules=(200, RULES), certificate=None):
    """Give the URL of one that answers so, and the list of what it is asked."""

    class Double(Kibana):
        answers = {"objects": objects, "rules": rules}  # noqa: RUF012  (one class per double)
        asked = []  # noqa: RUF012

    with HTTPServer(("127.0.0.1", 0), Double) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            scheme = "https" if certificate else "http"
            yield f"{scheme}://127.0.0.1:{server.server_port}", Double.asked
        finally:
            server.shutdown()
            thread.join()


def file_of(headers: dict[str, str], body: bytes) -> list[dict[str, object]]:
    """The lines of the one file in a multipart body."""
    boundary = headers["content-type"].split("boundary=")[1].encode()
    before, part, after = body.split(b"--" + boundary)
    assert (before, after) == (b"", b"--\r\n")
    head, content = part.split(b"\r\n\r\n", 1)
    assert b'name="file"; filename="cyberterr' in head
    return [json.loads(line) for line in content.decode().strip().split("\n")]
