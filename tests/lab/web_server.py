"""A web server for every name of the lab: HTTP on 80, and HTTPS on 443 with a certificate.

    python web_server.py [CERTIFICATE KEY]

`/text/N/…` and `/image/N/…` answer N bytes, the same for the same path; PUT takes any file.
"""

from __future__ import annotations

import random
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ("conseil", "municipal", "séance", "budget", "voirie", "école", "état civil", "horaires")
LARGEST = 400_000


class Pages(BaseHTTPRequestHandler):
    """Answer what the path asks for."""

    protocol_version = "HTTP/1.1"
    server_version = "town-hall"
    timeout = 15

    def do_GET(self) -> None:
        kind, size = (*self.path.strip("/").split("/"), "", "")[:2]
        length = min(int(size), LARGEST) if size.isdigit() else 40
        chance = random.Random(self.path)
        time.sleep(chance.uniform(0.005, 0.08))  # a page takes time to be made
        if kind == "image":
            self._send(200, "image/webp", chance.randbytes(length))
        else:
            words = " ".join(chance.choices(WORDS, k=length // 4)).encode()[:length]
            self._send(200, "text/html; charset=utf-8", words.ljust(length))

    def do_PUT(self) -> None:
        self.rfile.read(min(int(self.headers.get("Content-Length", 0)), LARGEST))
        self._send(201, "text/plain", b"")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the capture is the log."""


def _serve(certificate: str, key: str) -> None:
    plain = ThreadingHTTPServer(("", 80), Pages)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(["http/1.1"])
        secure = ThreadingHTTPServer(("", 443), Pages)
        secure.socket = context.wrap_socket(
            secure.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=secure.serve_forever, daemon=True).start()
    plain.serve_forever()


if __name__ == "__main__":
    _serve(*(sys.argv[1:3] or ("", "")))
