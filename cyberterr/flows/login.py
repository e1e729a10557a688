"""Logins in clear text: FTP (RFC 959), POP3 (1939), IMAP (3501), SMTP AUTH (4954), telnet, SNMP.

No account name and no secret leaves this file: an account becomes a keyed hash, a secret nothing.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from hashlib import blake2s

from cyberterr.flows.row import Row
from cyberterr.flows.stream import NotThisProtocol, Stream

TEXT_PORTS = {21: "ftp", 25: "smtp", 110: "pop3", 143: "imap", 587: "smtp"}
TELNET_PORT = 23
SNMP_PORT = 161

_MAX_LINE = 2_048
_MAX_NAME = 256
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_LITERAL = re.compile(rb"\{(\d{1,4})\+?\}")


def account_id(name: bytes, key: bytes) -> str | None:
    """A keyed hash of an account name (BLAKE2s, RFC 7693), 32 hex digits; None without a name.

    With the empty key it can be found by guessing names: give each site a key of its own.
    """
    if not name:
        return None
    secret = blake2s(key).digest()
    return blake2s(name[:_MAX_NAME], key=secret, digest_size=16).hexdigest()


def basic_account(credentials: bytes, key: bytes) -> str | None:
    """The account of HTTP Basic *credentials* (RFC 7617), hashed."""
    return account_id(_base64(credentials).partition(b":")[0], key)


def snmp_request(datagram: bytes) -> bool:
    """Whether *datagram* of SNMP v1 or v2c (RFC 1157, 3416) asks; it carries a community in clear.

    Raises:
        NotThisProtocol: it is neither, or it is v3.
    """
    if len(datagram) < 12 or datagram[0] != 0x30:
        raise NotThisProtocol
    at = 2 if datagram[1] < 0x80 else 2 + (datagram[1] & 0x7F)
    head = datagram[at : at + 5]
    if len(head) < 5 or head[:2] != b"\x02\x01" or head[2] > 1 or head[3] != 4 or head[4] > 0x7F:
        raise NotThisProtocol
    at += 5 + head[4]
    if at >= len(datagram) or not 0xA0 <= datagram[at] <= 0xA8:
        raise NotThisProtocol
    return datagram[at] in (0xA0, 0xA1, 0xA3, 0xA5)


@dataclass(slots=True)
class _Attempt:
    time_ns: int
    scheme: str
    account: str | None
    tag: bytes = b""


class TextLogin:
    """The logins of one FTP, POP3, IMAP or SMTP connection, line by line."""

    __slots__ = (
        "_attempt", "_expects", "_key", "_literal_bytes", "_owed", "_rows", "_service", "_tag",
        "_user",
    )  # fmt: skip
    done = False

    def __init__(self, service: str, key: bytes) -> None:
        self._service = service
        self._key = key
        self._user = b""
        self._tag = b""
        self._expects = ""
        self._literal_bytes = 0
        self._owed = 0  # commands without a reply: POP3's replies do not say which they answer
        self._attempt: _Attempt | None = None
        self._rows: list[Row] = []

    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]:
        """Read whole lines; *asks* is true for the client's side."""
        *lines, rest = stream.data.split(b"\n")
        if len(rest) > _MAX_LINE:
            lines, rest = [*lines, rest], b""
        if lines:
            stream.take(len(stream.data) - len(rest))
        for line in lines:
            text = line[:_MAX_LINE].rstrip(b"\r")
            if asks:
                self._said(time_ns, text)
            else:
                self._answered(text)
        rows, self._rows = self._rows, []
        return rows

    def end(self) -> list[Row]:
        """The attempt that got no answer."""
        self._judge(None)
        rows, self._rows = self._rows, []
        return rows

    def _said(self, time_ns: int, line: bytes) -> None:
        if self._expects:
            self._continued(time_ns, line)
            return
        self._owed += 1
        words = line.split(b" ", 4)
        if self._service == "imap":
            self._tag, words = words[0], words[1:]
        verb = words[0].upper() if words else b""
        if verb == b"USER" and self._service in ("ftp", "pop3"):
            self._user = line[5:].strip()
        elif verb == b"PASS" and self._service in ("ftp", "pop3"):
            public = self._service == "ftp" and self._user.lower() in (b"anonymous", b"ftp")
            self._tried(time_ns, "anonymous" if public else "PASS", self._user)
        elif verb == b"LOGIN" and self._service == "imap":
            self._imap_login(time_ns, line)
        elif verb in (b"AUTH", b"AUTHENTICATE") and len(words) > 1:
            self._authenticate(time_ns, words[1].upper(), words[2] if len(words) > 2 else b"")

    def _imap_login(self, time_ns: int, line: bytes) -> None:
        """The user name: a word, a quoted string or a literal (RFC 3501 §4.3, §6.2.3)."""
        argument = line.split(b" ", 2)[-1]
        quoted = _QUOTED.match(argument)
        literal = _LITERAL.fullmatch(argument)
        if literal:
            self._expects, self._literal_bytes = "literal", int(literal[1])
        elif quoted:
            self._tried(time_ns, "LOGIN", re.sub(rb"\\(.)", rb"\1", quoted[1]))
        else:
            self._tried(time_ns, "LOGIN", argument.split(b" ")[0])

    def _authenticate(self, time_ns: int, mechanism: bytes, initial: bytes) -> None:
        if mechanism == b"PLAIN":
            self._expects = "plain"
        elif mechanism == b"LOGIN":
            self._expects = "name"
        if self._expects and initial:
            self._continued(time_ns, initial)

    def _continued(self, time_ns: int, line: bytes) -> None:
        """A line that answers the server's challenge (SASL PLAIN, RFC 4616, and LOGIN)."""
        expected, self._expects = self._expects, ""
        if line == b"*":
            return
        if expected == "plain":
            self._tried(time_ns, "PLAIN", [*_base64(line).split(b"\0"), b"", b""][1])
        elif expected == "literal":
            self._tried(time_ns, "LOGIN", line[: self._literal_bytes])
        elif expected == "name":
            self._user, self._expects = _base64(line), "secret"
        else:
            self._tried(time_ns, "LOGIN", self._user)

    def _tried(self, time_ns: int, scheme: str, user: bytes) -> None:
        self._judge(None)
        self._attempt = _Attempt(time_ns, scheme, account_id(user, self._key), self._tag)

    def _answered(self, line: bytes) -> None:
        if self._service == "pop3":
            if line[:3] == b"+OK" or line[:4] == b"-ERR":
                self._owed = max(0, self._owed - 1)
                if not self._owed:
                    self._judge(line[:1] == b"+")
        elif self._service == "imap":
            tag, _, rest = line.partition(b" ")
            if tag and tag == (self._attempt.tag if self._attempt else self._tag):
                self._judge(rest[:2].upper() == b"OK")
        elif line[:3].isdigit():
            code = int(line[:3])
            if code in (230, 202, 235):
                self._judge(True)
            elif code >= 400:
                self._judge(False)

    def _judge(self, success: bool | None) -> None:
        attempt, self._attempt = self._attempt, None
        if success is False:
            self._expects = ""  # a mechanism that is refused asks for no more
        if attempt is not None:
            values = (self._service, attempt.scheme, attempt.account, success)
            self._rows.append(Row("login", attempt.time_ns, values))


_ASKS_NAME = (b"login:", b"username:", b"user name:", b"user:", b"account:")
_ASKS_SECRET = (b"password:", b"passwort:", b"mot de passe:", b"passcode:")
_REFUSES = (b"incorrect", b"failed", b"failure", b"denied", b"invalid", b"bad ", b"refused")
_SHELL = (b"$", b"#", b">", b"%")
_KEPT = 256


class Telnet:
    """The logins of one telnet connection (RFC 854), told by the server's prompts."""

    __slots__ = ("_attempt", "_key", "_shown", "_stage", "_typed", "_user")
    done = False

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._shown = b""
        self._typed = b""
        self._stage = ""
        self._user = b""
        self._attempt: _Attempt | None = None

    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]:
        """Read what is new; *asks* is true for the client's side."""
        text = _without_commands(stream.data)
        stream.take(len(stream.data))
        if not asks:
            return self._server(text)
        rows: list[Row] = []
        for piece in (
            text.replace(b"\0", b"").replace(b"\r\n", b"\r").replace(b"\n", b"\r").splitlines(True)
        ):
            self._typed = (self._typed + piece)[-_KEPT:]
            if piece.endswith(b"\r"):
                rows += self._line(time_ns, self._typed[:-1])
                self._typed = b""
        return rows

    def end(self) -> list[Row]:
        """The attempt that got no answer."""
        return self._judge(None)

    def _line(self, time_ns: int, typed: bytes) -> list[Row]:
        stage, self._stage = self._stage, ""
        if stage == "name":
            self._user = typed.strip()
        elif stage == "secret":
            rows = self._judge(None)
            self._attempt = _Attempt(time_ns, "prompt", account_id(self._user, self._key))
            self._shown = b""
            return rows
        return []

    def _server(self, text: bytes) -> list[Row]:
        self._shown = (self._shown + text)[-_KEPT:]
        shown = self._shown.lower().rstrip(b" \r\n\0\x07")
        rows: list[Row] = []
        if self._attempt is not None:
            if any(word in shown for word in _REFUSES) or shown.endswith(_ASKS_NAME + _ASKS_SECRET):
                rows = self._judge(False)
            elif shown.endswith(_SHELL) or b"last login" in shown or b"welcome" in shown:
                rows = self._judge(True)
        if shown.endswith(_ASKS_NAME) and not shown.endswith(b"last login:"):
            self._stage, self._shown = "name", b""
        elif shown.endswith(_ASKS_SECRET):
            self._stage, self._shown = "secret", b""
        return rows

    def _judge(self, success: bool | None) -> list[Row]:
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return []
        values = ("telnet", attempt.scheme, attempt.account, success)
        return [Row("login", attempt.time_ns, values)]


def _without_commands(data: bytes) -> bytes:
    """*data* without telnet's option commands (RFC 854, 855)."""
    if b"\xff" not in data:
        return data
    kept, at = bytearray(), 0
    while at < len(data):
        command = data[at + 1] if data[at] == 0xFF and at + 1 < len(data) else 0
        if data[at] != 0xFF:
            kept.append(data[at])
            at += 1
        elif command == 0xFA:
            end = data.find(b"\xff\xf0", at)
            at = end + 2 if end >= 0 else len(data)
        else:
            at += 3 if 0xFB <= command <= 0xFE else 2
    return bytes(kept)


def _base64(text: bytes) -> bytes:
    try:
        return b64decode(text[:_MAX_LINE].strip())
    except ValueError:
        return b""
