"""Network events as Elastic's integrations store them, each as the line of a log it once was.

The readers of Zeek and Suricata logs make the rows, so an event gives the same row whether it comes
from a log or through Elasticsearch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from cyberterr.capture.content import NOT_JSON
from cyberterr.capture.elastic_fields import Event, flat, text
from cyberterr.capture.elastic_records import PACKETBEAT, ZeekLog, eve, zeek

Log = ZeekLog | Literal["eve"]
"""Zeek's five logs, and Suricata's EVE"""

MAX_NAME = 100

ZEEK: Mapping[str, ZeekLog] = {
    "zeek.connection": "conn",
    "zeek.dns": "dns",
    "zeek.ssl": "ssl",
    "zeek.http": "http",
    "zeek.ssh": "ssh",
}
SURICATA = "suricata.eve"
EVE_TYPES = ("flow", "alert", "dns", "tls", "http", "ssh", "modbus", "dnp3")
DATASETS = (*ZEEK, SURICATA, *PACKETBEAT, *(f"network_traffic.{name}" for name in PACKETBEAT))
"""What is read, as `data_stream.dataset` or `event.dataset` name it"""

FIELDS = (
    "@timestamp", "event.dataset", "data_stream.dataset", "event.original",
    "event.start", "event.end", "event.duration", "observer.name", "agent.name",
    "source.ip", "source.address", "source.port", "source.bytes", "source.packets",
    "destination.ip", "destination.address", "destination.port", "destination.bytes",
    "destination.packets", "destination.domain",
    "network.transport", "network.protocol", "network.iana_number",
    "flow.id", "flow.final", "network_traffic.flow.id", "network_traffic.flow.final",
    "dns.id", "dns.type", "dns.question.name", "dns.question.type", "dns.response_code",
    "dns.answers",
    "http.request.method", "http.response.status_code", "url.original", "url.domain",
    "url.path", "url.query", "user_agent.original",
    "tls.client.server_name", "tls.version", "tls.version_protocol", "tls.next_protocol",
    "tls.detailed.client_hello.extensions.application_layer_protocol_negotiation",
    "zeek.session_id", "zeek.connection.state", "zeek.connection.history",
    "zeek.connection.icmp", "zeek.connection.ip_proto", "zeek.connection.orig_bytes",
    "zeek.connection.resp_bytes", "zeek.dns.query", "zeek.dns.qtype_name",
    "zeek.dns.rcode_name", "zeek.dns.answers", "zeek.ssl.version", "zeek.ssl.server.name",
    "zeek.ssl.next_protocol", "zeek.ssl.ja4", "zeek.ssh.client", "zeek.ssh.server",
    "zeek.ssh.auth",
    "suricata.eve.event_type", "suricata.eve.flow_id", "suricata.eve.flow", "suricata.eve.tcp",
    "suricata.eve.direction", "suricata.eve.icmp_type", "suricata.eve.dns", "suricata.eve.tls.sni",
    "suricata.eve.tls.version", "suricata.eve.tls.ja4", "suricata.eve.tls.client_alpns",
    "suricata.eve.ssh", "suricata.eve.modbus", "suricata.eve.dnp3",
)  # fmt: skip
"""All that is asked of the cluster; certificates, cookies and bodies stay there."""


class Line(NamedTuple):
    """One line of a log."""

    log: Log
    sensor: str
    """who saw it; empty where the event does not say"""
    json: bytes
    """without a line feed"""
    is_answer: bool = False
    """whether it belongs after the question of the same millisecond"""


def line(document: object) -> Line | None:
    """The log line that *document* (a hit's `_source`) was; None where it is none that is read.

    It is the very line where the site keeps that (`preserve_original_event`).
    """
    event = flat(document)
    named = (text(event, name) for name in ("data_stream.dataset", "event.dataset"))
    dataset = next((name for name in named if name in DATASETS), "")
    sensor = (text(event, "observer.name", "agent.name") or "")[:MAX_NAME]
    if dataset in ZEEK:
        log = ZEEK[dataset]
        original = _original(event, "uid", "id.orig_h")
        return Line(log, sensor, _json(original or zeek(log, event)))
    if dataset == SURICATA:
        record = _original(event, "event_type", "timestamp") or eve(event, document)
        if record.get("event_type") not in EVE_TYPES:
            return None
        dns = record.get("dns")
        is_answer = isinstance(dns, dict) and dns.get("type") in ("answer", "response")
        return Line("eve", sensor, _json(record), is_answer)
    if dataset:
        return Line("eve", sensor, _json(PACKETBEAT[dataset.rpartition(".")[2]](event)))
    return None


def _original(event: Event, *needed: str) -> dict[str, Any] | None:
    try:
        record = msgspec.json.decode(event.get("event.original", ""))
    except (*NOT_JSON, TypeError):
        return None
    is_line = isinstance(record, dict) and all(name in record for name in needed)
    return record if is_line else None


def _json(record: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({name: value for name, value in record.items() if value is not None})
