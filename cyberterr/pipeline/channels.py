"""The three ways a message leaves: mail (SMTP), syslog (RFC 5424), webhook (ECS by POST)."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

import cyberterr
from cyberterr.config import Notify
from cyberterr.contracts.documents import to_ecs
from cyberterr.contracts.finding import Finding, Severity
from cyberterr.errors import UsageError
from cyberterr.report.text import plain

SECONDS = 10.0
"""How long one message may take to be accepted."""
FACILITY = 10
"""authpriv (RFC 5424 §6.2.1): on Debian its file is closed to ordinary users."""
SYSLOG_SEVERITY = {
    Severity.CRITICAL: 2,
    Severity.HIGH: 3,
    Severity.MEDIUM: 4,
    Severity.LOW: 5,
}
LONGEST_DATAGRAM = 2048
"""bytes a syslog receiver should take (RFC 5426 §3.2)"""

Send = Callable[[Finding, Sequence[Finding]], None]


class Channel(NamedTuple):
    """One way to tell people; `send` takes a finding and those held before it."""

    name: str
    send: Send


def channels(settings: Notify) -> list[Channel]:
    """The channels that `[notify]` sets up.

    Raises:
        UsageError: an address cannot be used, e.g. a webhook without TLS outside this machine.
    """
    ways: list[Channel] = []
    if settings.mail_to:
        host, port = _host_port(settings.smtp, 25, "notify.smtp")
        ways.append(Channel("mail", partial(_mail, host, port, settings)))
    if settings.syslog:
        host, port = _host_port(settings.syslog, 514, "notify.syslog")
        ways.append(Channel("syslog", partial(_syslog, host, port)))
    if settings.webhook:
        url = _checked(settings.webhook)
        ways.append(Channel("webhook", partial(_webhook, settings.webhook, url.hostname or "")))
    return ways


def _mail(
    host: str, port: int, settings: Notify, finding: Finding, held: Sequence[Finding]
) -> None:
    import smtplib
    import ssl
    from email.message import EmailMessage
    from email.utils import format_datetime, make_msgid

    message = EmailMessage()
    severity = finding.severity.name.lower()
    message["Subject"] = f"[cyberterr] {severity}: {plain(finding.title.en, 120)}"
    message["From"] = settings.mail_from
    message["To"] = ", ".join(settings.mail_to)
    message["Date"] = format_datetime(dt.datetime.now(dt.UTC))
    message["Message-ID"] = make_msgid(domain="cyberterr.invalid")
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes in return
    lines = [
        plain(finding.reason.en),
        plain(finding.reason.fr),
        "",
        f"{finding.start.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC, {_where(finding)}",
        f"cyberterr findings show {finding.id}",
    ]
    if held:
        lines += ["", summary(held)]
    message.set_content("\n".join(lines) + "\n")
    try:
        with smtplib.SMTP(host, port, timeout=SECONDS) as server:
            server.ehlo()
            if server.has_extn("starttls") and not _is_loopback(host):
                server.starttls(context=ssl.create_default_context())
            server.send_message(message)
    except smtplib.SMTPException as error:
        raise OSError(f"{host}:{port} refused the mail: {plain(str(error), 200)}") from error


def _where(finding: Finding) -> str:
    """Who acts on whom, or the name of the file that was examined."""
    if finding.media is not msgspec.UNSET:
        return plain(finding.scope or "-")
    return f"{plain(finding.actor or '?')} -> {plain(finding.victim or '?')}"


def _syslog(host: str, port: int, finding: Finding, held: Sequence[Finding]) -> None:
    priority = FACILITY * 8 + SYSLOG_SEVERITY[finding.severity]
    time = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    name = socket.gethostname().encode("ascii", "replace").decode()[:255] or "-"
    origin = f'[origin software="cyberterr" swVersion="{cyberterr.__version__}"]'
    text = (
        f"{finding.severity.name.lower()} {finding.id} {plain(finding.family)}: "
        f"{plain(finding.title.en)}. {plain(finding.reason.en)}"
    )
    if held:
        text += f" {summary(held)}"
    head = f"<{priority}>1 {time} {name} cyberterr - finding {origin} "
    datagram = (head.encode() + b"\xef\xbb\xbf" + text.encode())[:LONGEST_DATAGRAM]
    datagram = datagram.decode(errors="ignore").encode()  # no character cut in half
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as sender:
        sender.settimeout(SECONDS)
        sender.sendto(datagram, address)


def _webhook(url: str, host: str, finding: Finding, held: Sequence[Finding]) -> None:
    import http.client
    import urllib.error
    import urllib.request

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        # A redirected POST becomes a GET without the finding, perhaps without TLS.
        def redirect_request(self, *_: object) -> None:
            return None

    document = to_ecs(finding)
    if held:
        document["cyberterr"]["notify"] = {"held": len(held), "summary": summary(held)}
    request = urllib.request.Request(  # noqa: S310  (https or loopback http: checked in _checked)
        url,
        data=msgspec.json.encode(document),
        headers={"Content-Type": "application/json", "User-Agent": "cyberterr"},
        method="POST",
    )
    handlers: list[urllib.request.BaseHandler] = [NoRedirect()]
    if _is_loopback(host):
        handlers.append(urllib.request.ProxyHandler({}))
    # The URL often holds a secret: only its host is named.
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as answer:
            answer.read(4096)
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"{host} answered {error.code}") from None
    except urllib.error.URLError as error:
        raise OSError(f"{host} cannot be reached: {error.reason}") from None
    except (http.client.HTTPException, OSError) as error:
        raise OSError(f"{host} did not take it: {type(error).__name__}") from None


def summary(held: Sequence[Finding]) -> str:
    """One line about findings that were not sent one by one."""
    counts = Counter(finding.severity for finding in held)
    parts = [f"{counts[s]} {s.name.lower()}" for s in sorted(counts, reverse=True)]
    return (
        f"{len(held)} more were held back by the hourly limit: {', '.join(parts)}; "
        "see cyberterr findings list"
    )


def _host_port(text: str, default: int, where: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or default
    except ValueError:
        host, port = None, default
    if not host:
        raise UsageError(f"{text!r} is no host:port", hint="like mail.example.fr:25", where=where)
    return host, port


def _checked(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        url = urlsplit("")
    if url.hostname and (
        url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname))
    ):
        return url
    raise UsageError(
        "the webhook would send findings unprotected, or is no URL",
        hint="https://…, or http:// to this machine",
        where="notify.webhook",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
