"""Which protocol a TCP connection speaks: by its first bytes, else by the port of its server."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from cyberterr.flows import dnp3, dns, http, iec104, login, modbus, ot, questions, s7, ssh, tls
from cyberterr.flows.row import Row
from cyberterr.flows.stream import Stream

OT_PORTS: dict[int, tuple[str, ot.Read]] = {
    502: ("modbus", modbus.read),
    20000: ("dnp3", dnp3.read),
    102: ("s7", s7.read),
    2404: ("iec104", iec104.read),
}


class Conversation(Protocol):
    """Reads both sides of one connection, as far as there is something to learn."""

    @property
    def done(self) -> bool:
        """Whether nothing more can be learned."""
        ...

    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]:
        """Read what is new on one side; *asks* is true for the client's."""
        ...

    def end(self) -> list[Row]:
        """What waited for an answer."""
        ...


class Recognised(NamedTuple):
    """A protocol and who speaks it."""

    service: str
    talk: Conversation
    turned: bool
    """the destination of the flow asks"""


def recognise(src: Stream, dst: Stream, ports: tuple[int, int], key: bytes) -> Recognised | None:
    """Tell the protocol of a connection; None while it shows too little.

    Args:
        src: what the source of the flow sent and nobody has read.
        dst: the same of the destination.
        ports: of source and destination.
        key: makes the account hashes of this site unlike those of others.
    """
    return _by_content(src.data, dst.data, key) or _by_port(ports, key)


def turns_to_tls(talk: Conversation | None, said: bytes) -> bool:
    """Whether *said*, unread bytes of the client, begins TLS inside another protocol.

    After STARTTLS (RFC 3207, 2595, 4217) or behind a proxy's CONNECT (RFC 9110 §9.3.6).
    """
    may = isinstance(talk, login.TextLogin) or (isinstance(talk, http.Conversation) and talk.tunnel)
    return may and tls.starts(said)


def _by_content(src: bytes, dst: bytes, key: bytes) -> Recognised | None:
    for data, turned in ((src, False), (dst, True)):
        if len(data) >= tls.RECOGNISED_BYTES and tls.starts(data):
            return Recognised("tls", tls.Conversation(), turned)
        if http.starts(data):
            return Recognised("http", http.Conversation(key), turned)
        if ssh.starts(data):
            return Recognised("ssh", ssh.Conversation(), False)
    for server, client, turned in ((src, dst, True), (dst, src, False)):
        service = _greeting(server, client)
        if service:
            return Recognised(service, login.TextLogin(service, key), turned)
    return None


def _greeting(server: bytes, client: bytes) -> str | None:
    """A text protocol on a port that is not its own (RFC 959, 1939, 3501, 5321)."""
    if server.startswith(b"220"):
        verb = client[:5].upper()
        return "ftp" if verb == b"USER " else "smtp" if verb in (b"EHLO ", b"HELO ") else None
    if server.startswith(b"+OK"):
        return "pop3"
    return "imap" if server.startswith(b"* OK") else None


def _by_port(ports: tuple[int, int], key: bytes) -> Recognised | None:
    """The server is the source where the capture began in the middle."""
    source, destination = ports
    for port, turned in ((destination, False), (source, True)):
        if port in OT_PORTS:
            name, read = OT_PORTS[port]
            return Recognised(name, ot.Conversation(name, read), turned)
        if port in questions.PORTS:
            return Recognised("dns", dns.Conversation(), turned)
        if port in login.TEXT_PORTS:
            name = login.TEXT_PORTS[port]
            return Recognised(name, login.TextLogin(name, key), turned)
        if port == login.TELNET_PORT:
            return Recognised("telnet", login.Telnet(key), turned)
    return None
