"""The EVE records that are read, as Suricata's manual describes them; other fields are ignored."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from cyberterr.capture.logs import MAX_COUNT
from cyberterr.contracts.ot import DNP3, MODBUS

Port = Annotated[int, Meta(ge=0, le=2**16 - 1)]
FlowId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Code = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Byte = Annotated[int, Meta(ge=0, le=255)]
_NOTHING = msgspec.Raw(b"")
_Section = TypeVar("_Section", bound=msgspec.Struct)


def section(raw: msgspec.Raw, kind: type[_Section]) -> _Section:
    """Decode one section of an event; an absent one has only defaults.

    Raises:
        msgspec.DecodeError: it is not as the manual says.
    """
    return msgspec.json.decode(raw or b"{}", type=kind)


class EveFlow(msgspec.Struct, gc=False):
    """`flow`: packets and frames of both sides; in alerts also who opened it."""

    pkts_toserver: Count = 0
    pkts_toclient: Count = 0
    bytes_toserver: Count = 0
    bytes_toclient: Count = 0
    start: str | None = None
    end: str | None = None
    reason: str | None = None
    src_ip: str | None = None
    dest_ip: str | None = None
    src_port: Port | None = None
    dest_port: Port | None = None


class _Tcp(msgspec.Struct, gc=False):
    tcp_flags_ts: str | None = None
    tcp_flags_tc: str | None = None


class _Question(msgspec.Struct, gc=False):
    rrname: str | None = None
    rrtype: str | None = None


class _Answer(msgspec.Struct, gc=False):
    rdata: msgspec.Raw = _NOTHING


class Dns(msgspec.Struct):
    """`dns` in its three versions: one line an answer record, one a message, and with `queries`."""

    type: str = ""
    version: int = 1
    id: Code = 0
    rrname: str | None = None
    rrtype: str | None = None
    rcode: str | None = None
    rdata: msgspec.Raw = _NOTHING
    answers: list[_Answer] | None = None
    queries: list[_Question] | None = None

    def question(self) -> tuple[str | None, str | None]:
        """Name and type of the first question."""
        if self.queries:
            return self.queries[0].rrname, self.queries[0].rrtype
        return self.rrname, self.rrtype

    def data(self) -> list[str]:
        """Answer data as text; records that Suricata takes apart (SOA, SRV) have none."""
        found = [self.rdata, *(answer.rdata for answer in self.answers or ())]
        return [msgspec.json.decode(raw, type=str) for raw in found if bytes(raw)[:1] == b'"']

    def is_one_of_several(self) -> bool:
        """Whether more lines of the same answer may follow (version 1)."""
        return self.version < 2 and self.answers is None


class _Ja4(msgspec.Struct, gc=False):
    hash: str | None = None


class _Tls(msgspec.Struct):
    sni: str | None = None
    version: str | None = None
    ja4: str | _Ja4 | None = None
    client_alpns: list[str] | None = None

    def fingerprint(self) -> str | None:
        return self.ja4.hash if isinstance(self.ja4, _Ja4) else self.ja4


class _Http(msgspec.Struct, gc=False):
    hostname: str | None = None
    url: str | None = None
    http_user_agent: str | None = None
    http_method: str | None = None
    status: Port | None = None


class _SshSide(msgspec.Struct, gc=False):
    proto_version: str | None = None
    software_version: str | None = None

    def banner(self) -> str | None:
        """The identification string as RFC 4253 §4.2 writes it."""
        if self.software_version is None:
            return None
        return f"SSH-{self.proto_version or '2.0'}-{self.software_version}"


class _Ssh(msgspec.Struct):
    client: _SshSide = msgspec.field(default_factory=_SshSide)
    server: _SshSide = msgspec.field(default_factory=_SshSide)


class _Place(msgspec.Struct, gc=False):
    address: Code | None = None


class _ModbusMessage(msgspec.Struct):
    function_raw: Port | None = None
    unit_id: Code | None = None
    read: _Place = msgspec.field(default_factory=_Place)
    write: _Place = msgspec.field(default_factory=_Place)


class _Modbus(msgspec.Struct):
    request: _ModbusMessage | None = None
    response: _ModbusMessage | None = None


class _Dnp3Object(msgspec.Struct, gc=False):
    start: Code | None = None


class _Dnp3Application(msgspec.Struct):
    function_code: Port | None = None
    objects: list[_Dnp3Object] = msgspec.field(default_factory=list)


class _Dnp3(msgspec.Struct):
    type: str = ""
    src: Code | None = None
    dst: Code | None = None
    application: _Dnp3Application = msgspec.field(default_factory=_Dnp3Application)


class Event(msgspec.Struct):
    """One line; its sections are decoded only where its type needs them."""

    event_type: str
    timestamp: str
    flow_id: FlowId | None = None
    src_ip: str | None = None
    dest_ip: str | None = None
    src_port: Port | None = None
    dest_port: Port | None = None
    proto: str | None = None
    app_proto: str | None = None
    direction: str | None = None
    icmp_type: Byte | None = None
    flow: msgspec.Raw = _NOTHING
    tcp: msgspec.Raw = _NOTHING
    dns: msgspec.Raw = _NOTHING
    tls: msgspec.Raw = _NOTHING
    http: msgspec.Raw = _NOTHING
    ssh: msgspec.Raw = _NOTHING
    modbus: msgspec.Raw = _NOTHING
    dnp3: msgspec.Raw = _NOTHING

    def who(self) -> tuple[Any, ...]:
        """Flow id, addresses, ports and protocol, in the order of the rows."""
        ends = (self.src_ip, self.dest_ip, self.src_port, self.dest_port)
        return (self.flow_id, *ends, self.proto)

    def turned(self) -> Event:
        """The event with both sides exchanged."""
        return msgspec.structs.replace(
            self,
            src_ip=self.dest_ip,
            dest_ip=self.src_ip,
            src_port=self.dest_port,
            dest_port=self.src_port,
        )

    def flags(self) -> tuple[int | None, int | None]:
        """TCP flags of both sides; Suricata writes them in hexadecimal."""
        tcp = section(self.tcp, _Tcp)
        return _hexadecimal(tcp.tcp_flags_ts), _hexadecimal(tcp.tcp_flags_tc)

    def tls_section(self) -> _Tls:
        """The decoded `tls`."""
        return section(self.tls, _Tls)

    def http_section(self) -> _Http:
        """The decoded `http`."""
        return section(self.http, _Http)

    def ssh_section(self) -> _Ssh:
        """The decoded `ssh`."""
        return section(self.ssh, _Ssh)


def _hexadecimal(text: str | None) -> int | None:
    try:
        return int(text, 16) & 0xFF if text else None
    except ValueError:
        return None


def ot_row(event: Event) -> tuple[Any, ...] | None:
    """The OT columns of a modbus or dnp3 event, from `ot_protocol` to `address`.

    A Modbus event holds a request and its answer: the row is the request's, where there is one.

    Raises:
        msgspec.DecodeError: the section is not as the manual says.
    """
    if event.event_type == "modbus":
        modbus = section(event.modbus, _Modbus)
        message = modbus.request or modbus.response
        if message is None or message.function_raw is None:
            return None
        code = message.function_raw & 0x7F  # the highest bit marks an exception
        name, kind = MODBUS.get(code, (f"function {code}", "other"))
        place = message.write if message.write.address is not None else message.read
        request = modbus.request is not None
        return ("modbus", code, name, kind, request, message.unit_id, place.address)
    dnp3 = section(event.dnp3, _Dnp3)
    function = dnp3.application.function_code
    if function is None:
        return None
    name, kind = DNP3.get(function, (f"function {function}", "other"))
    request = dnp3.type == "request"
    objects = dnp3.application.objects
    station = dnp3.dst if request else dnp3.src
    return ("dnp3", function, name, kind, request, station, objects[0].start if objects else None)
