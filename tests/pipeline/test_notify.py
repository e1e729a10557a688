"""Messages to real servers on loopback."""

from __future__ import annotations

import datetime as dt
import email
import json
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cyberterr.config import Notify, Settings
from cyberterr.contracts.finding import Finding, Severity, Text
from cyberterr.errors import UsageError
from cyberterr.pipeline import findings
from cyberterr.pipeline.channels import channels
from cyberterr.pipeline.notify import tell
from cyberterr.pipeline.verify import Progress, Verified, verify
from cyberterr.store.sqlite import SqliteStore
from tests.media import sounds

HOUR = dt.timedelta(hours=1)
Make = Callable[..., Finding]


class Smtp(socketserver.StreamRequestHandler):
    """Takes mail (RFC 5321, the least of it) and keeps it in `server.mails`."""

    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"RCPT" and self.server.refuses:
                self.wfile.write(b"550 no such box\r\n")
            elif verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    body += line.removeprefix(b".") if line.startswith(b"..") else line
                self.server.mails.append(email.message_from_bytes(body, policy=policy.default))
                self.wfile.write(b"250 kept\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append(json.loads(body))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[socketserver.BaseServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def smtp() -> Iterator[socketserver.TCPServer]:
    with serving(socketserver.TCPServer(("127.0.0.1", 0), Smtp)) as server:
        server.mails, server.refuses = [], False
        yield server


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    with serving(HTTPServer(("127.0.0.1", 0), Hook)) as server:
        server.posts, server.status = [], 200
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "cyberterr.db") as opened:
        yield opened


def by_mail(server: socketserver.TCPServer, **more: object) -> Notify:
    return Notify(
        mail_to=("soc@town.example",), smtp=f"127.0.0.1:{server.server_address[1]}", **more
    )


def by_hook(server: HTTPServer, **more: object) -> Notify:
    return Notify(webhook=f"http://127.0.0.1:{server.server_address[1]}/secret-token", **more)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def test_a_mail_says_what_happened_in_both_languages_and_nothing_more(
    store: SqliteStore, finding: Make, smtp
):
    store.put([finding()])
    assert tell(store, by_mail(smtp), now()) == []
    [mail] = smtp.mails
    assert mail["Subject"] == "[cyberterr] high: A PC calls a server every minute"
    assert mail["To"] == "soc@town.example"
    text = mail.get_content()
    assert "It called 60 times, 60 s apart." in text
    assert "Il a appelé 60 fois" in text
    assert f"cyberterr findings show {finding().id}" in text


def test_a_mail_about_a_recording_names_the_file(store: SqliteStore, smtp):
    [result] = verify([str(sounds.SPEECH)], Settings(), store, Progress())
    assert tell(store, by_mail(smtp, severity=21), now()) == []
    [mail] = smtp.mails
    assert "UTC, council_espeak.flac" in mail.get_content()
    assert "? ->" not in mail.get_content()
    assert isinstance(result, Verified)
    assert result.finding.reason.fr in mail.get_content()


def test_an_incident_is_told_once_and_again_only_when_it_gets_worse(
    store: SqliteStore, finding: Make, smtp
):
    settings = by_mail(smtp)
    store.put([finding()])
    tell(store, settings, now())
    tell(store, settings, now())
    store.put([finding(end=finding().end + HOUR, windows=2)])
    tell(store, settings, now())
    assert len(smtp.mails) == 1
    store.put([finding(end=finding().end + HOUR, windows=2, severity=Severity.CRITICAL)])
    tell(store, settings, now())
    assert [m["Subject"].split(":")[0] for m in smtp.mails] == [
        "[cyberterr] high",
        "[cyberterr] critical",
    ]


def test_below_the_severity_of_the_settings_nobody_is_told(store: SqliteStore, finding: Make, smtp):
    store.put([finding(severity=Severity.MEDIUM)])
    tell(store, by_mail(smtp), now())
    assert smtp.mails == []
    tell(store, by_mail(smtp, severity=47), now())
    assert len(smtp.mails) == 1


def test_nobody_is_told_what_is_suppressed_or_decided(store: SqliteStore, finding: Make, smtp):
    decided = finding(actor="10.0.0.2")
    store.put([finding(), finding(victim="203.0.113.9"), decided])
    findings.decide(
        store,
        finding().id,
        "false_positive",
        reason="backup",
        author="a",
        now=now(),
        days=9,
        scope=("rule", "actor"),
    )
    findings.decide(store, decided.id, "benign", reason="ok", author="a", now=now())
    tell(store, by_mail(smtp), now())
    assert smtp.mails == []


def test_a_flood_of_incidents_is_summed_up_in_the_next_message(
    store: SqliteStore, finding: Make, smtp
):
    settings = by_mail(smtp, per_hour=2)
    store.put(finding(actor=f"10.0.0.{i}", score=i / 10) for i in range(5))
    start = now()
    tell(store, settings, start)
    tell(store, settings, start)
    assert len(smtp.mails) == 2
    store.put([finding(actor="10.0.1.1", severity=Severity.CRITICAL)])
    tell(store, settings, start + 1.1 * HOUR)
    assert len(smtp.mails) == 3
    assert "3 more were held back by the hourly limit: 3 high" in smtp.mails[2].get_content()
    tell(store, settings, start + 3 * HOUR)
    assert len(smtp.mails) == 3


def test_what_was_held_is_told_even_if_nothing_new_comes(store: SqliteStore, finding: Make, smtp):
    settings = by_mail(smtp, per_hour=1)
    store.put(finding(actor=f"10.0.0.{i}", score=i / 10) for i in range(4))
    start = now()
    tell(store, settings, start)
    tell(store, settings, start + 1.1 * HOUR)
    assert len(smtp.mails) == 2
    assert "2 more were held back" in smtp.mails[1].get_content()


def test_a_channel_that_fails_is_a_warning_and_is_tried_again(
    store: SqliteStore, finding: Make, smtp, hook
):
    store.put([finding()])
    settings = Notify(
        mail_to=("soc@town.example",),
        smtp=f"127.0.0.1:{smtp.server_address[1]}",
        webhook=by_hook(hook).webhook,
    )
    smtp.refuses, hook.status = True, 503
    warnings = tell(store, settings, now())
    assert [w.split(":")[0] for w in warnings] == ["mail", "webhook"]
    assert "550" in warnings[0]
    assert "answered 503" in warnings[1]
    assert "secret-token" not in warnings[1]
    smtp.refuses, hook.status = False, 200
    assert tell(store, settings, now()) == []
    assert (len(smtp.mails), len(hook.posts)) == (1, 2)


def test_a_server_that_is_not_there_is_a_warning(store: SqliteStore, finding: Make):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store.put([finding()])
    settings = Notify(mail_to=("a@b.example",), smtp=f"127.0.0.1:{port}")
    [warning] = tell(store, settings, now())
    assert warning.startswith("mail: not told, tried again next time")


def test_a_store_that_is_away_is_a_warning(tmp_path: Path, smtp):
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"x" * 4096)
    [warning] = tell(SqliteStore(broken), by_mail(smtp), now())
    assert "damaged" in warning


def test_the_webhook_gets_the_ecs_document(store: SqliteStore, finding: Make, hook):
    store.put([finding()])
    assert tell(store, by_hook(hook), now()) == []
    [post] = hook.posts
    assert post["event"]["id"] == finding().id
    assert post["event"]["severity"] == 73
    assert post["source"]["ip"] == "10.20.4.14"


def test_a_webhook_that_sends_us_elsewhere_has_not_taken_it(
    store: SqliteStore, finding: Make, hook
):
    hook.status = 302
    store.put([finding()])
    [warning] = tell(store, by_hook(hook), now())
    assert "answered 302" in warning


def test_syslog_is_rfc_5424_with_the_severity_in_its_priority(store: SqliteStore, finding: Make):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        settings = Notify(syslog=f"127.0.0.1:{receiver.getsockname()[1]}")
        hostile = Text("name\n<0>1 forged \x1b[2J", "")
        store.put([finding(title=hostile), finding(severity=Severity.CRITICAL, rule="c2")])
        assert tell(store, settings, now()) == []
        first, second = receiver.recv(4096), receiver.recv(4096)
    assert first.startswith(b"<82>1 ")
    assert second.startswith(b"<83>1 ")
    shape = (
        rb"<\d+>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ cyberterr - finding "
        rb'\[origin software="cyberterr" swVersion="[\d.]+"\] \xef\xbb\xbf[^\x00-\x1f]+'
    )
    assert re.fullmatch(shape, second)
    assert re.fullmatch(shape, first)


def test_a_long_syslog_message_is_cut_between_characters(store: SqliteStore, finding: Make):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        store.put(
            finding(
                actor=f"10.0.0.{i}", title=Text("é" * 599, ""), reason=Text("x" * i + "é" * 598, "")
            )
            for i in (1, 2)
        )
        tell(store, Notify(syslog=f"127.0.0.1:{receiver.getsockname()[1]}"), now())
        for _ in range(2):
            datagram = receiver.recv(4096)
            assert len(datagram) in (2047, 2048)
            datagram.decode()


def test_a_title_with_line_breaks_adds_no_mail_header(store: SqliteStore, finding: Make, smtp):
    store.put([finding(title=Text("x\r\nBcc: evil@example.com", ""))])
    assert tell(store, by_mail(smtp), now()) == []
    assert smtp.mails[0]["Bcc"] is None


@pytest.mark.parametrize(
    "settings",
    [
        Notify(webhook="http://hooks.example/x"),
        Notify(webhook="file:///etc/passwd"),
        Notify(webhook="https://"),
        Notify(webhook="http://[::1"),
        Notify(syslog="host:port"),
        Notify(mail_to=("a@b.example",), smtp=":25"),
    ],
)
def test_a_channel_that_would_be_unsafe_or_is_nonsense_is_refused(settings: Notify):
    with pytest.raises(UsageError) as caught:
        channels(settings)
    assert caught.value.where.startswith("notify.")


def test_without_settings_nobody_is_told(store: SqliteStore, finding: Make):
    store.put([finding()])
    assert channels(Notify()) == []
    assert tell(store, Notify(), now()) == []
