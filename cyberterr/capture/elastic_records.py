"""What an event in Elasticsearch was before its ingest pipeline: a Zeek or an EVE record.

Fields as the ingest pipelines of elastic/integrations write them: packages/zeek/data_stream/
{connection,dns,http,ssl,ssh} and packages/suricata/data_stream/eve, each with
elasticsearch/ingest_pipeline/*.yml, sample_event.json and the *-expected.json of its tests. For
Packetbeat as elastic/beats writes them: packetbeat/flows/worker.go (createEvent) and
packetbeat/tests/system/golden, and packages/network_traffic/data_stream/{flow,dns,http,tls}.

Packetbeat becomes EVE: both count whole frames, and an interim report is to its flow what an
alert is: the last word on it only where no final report follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Literal

from cyberterr.capture.elastic_fields import (
    Event,
    answers_of,
    below,
    instant,
    text,
    whole,
)

Record = dict[str, Any]

ZeekLog = Literal["conn", "dns", "ssl", "http", "ssh"]

UNKNOWN_PROTOCOL = "255"
"""IANA "reserved": a Packetbeat flow that is none of TCP, UDP and ICMP names no protocol."""


def zeek(log: ZeekLog, event: Event) -> Record:
    """The record of Zeek's *log*; the pipeline of conn.log drops `orig_bytes` and `resp_bytes`."""
    is_icmp = event.get("network.transport") == "icmp" and "source.port" not in event
    source, destination = (
        ("zeek.connection.icmp.type", "zeek.connection.icmp.code")
        if is_icmp
        else ("source.port", "destination.port")
    )
    return {
        "ts": instant(event.get("@timestamp")),
        "uid": text(event, "zeek.session_id"),
        "id.orig_h": text(event, "source.ip", "source.address"),
        "id.orig_p": whole(event, source),
        "id.resp_h": text(event, "destination.ip", "destination.address"),
        "id.resp_p": whole(event, destination),
        "proto": text(event, "network.transport"),
        **_ZEEK[log](event),
    }


def _conn(event: Event) -> Record:
    duration = event.get("event.duration")
    return {
        "ip_proto": whole(event, "zeek.connection.ip_proto"),
        "service": text(event, "network.protocol"),
        "duration": duration / 1e9 if isinstance(duration, int | float) else None,
        "conn_state": text(event, "zeek.connection.state"),
        "history": text(event, "zeek.connection.history"),
        "orig_bytes": whole(event, "zeek.connection.orig_bytes"),
        "resp_bytes": whole(event, "zeek.connection.resp_bytes"),
        "orig_pkts": whole(event, "source.packets"),
        "orig_ip_bytes": whole(event, "source.bytes"),
        "resp_pkts": whole(event, "destination.packets"),
        "resp_ip_bytes": whole(event, "destination.bytes"),
    }


def _zeek_dns(event: Event) -> Record:
    answers = event.get("zeek.dns.answers")
    return {
        "query": text(event, "zeek.dns.query", "dns.question.name"),
        "qtype_name": text(event, "zeek.dns.qtype_name", "dns.question.type"),
        "rcode_name": text(event, "zeek.dns.rcode_name", "dns.response_code"),
        "answers": answers if isinstance(answers, list) else answers_of(event) or None,
    }


def _ssl(event: Event) -> Record:
    return {
        "version": text(event, "zeek.ssl.version"),
        "server_name": text(event, "zeek.ssl.server.name", "tls.client.server_name"),
        "next_protocol": text(event, "zeek.ssl.next_protocol", "tls.next_protocol"),
        "ja4": text(event, "zeek.ssl.ja4"),
    }


def _zeek_http(event: Event) -> Record:
    return {
        "method": text(event, "http.request.method"),
        "host": text(event, "url.domain"),
        "uri": text(event, "url.original"),
        "user_agent": text(event, "user_agent.original"),
        "status_code": whole(event, "http.response.status_code"),
    }


def _zeek_ssh(event: Event) -> Record:
    return {
        "client": text(event, "zeek.ssh.client"),
        "server": text(event, "zeek.ssh.server"),
        "auth_success": event.get("zeek.ssh.auth.success"),
        "auth_attempts": whole(event, "zeek.ssh.auth.attempts"),
    }


_ZEEK: Mapping[ZeekLog, Callable[[Event], Record]] = {
    "conn": _conn,
    "dns": _zeek_dns,
    "ssl": _ssl,
    "http": _zeek_http,
    "ssh": _zeek_ssh,
}


def _who(event: Event) -> Record:
    return {
        "timestamp": instant(event.get("@timestamp")) or "",
        "src_ip": text(event, "source.ip", "source.address"),
        "src_port": whole(event, "source.port"),
        "dest_ip": text(event, "destination.ip", "destination.address"),
        "dest_port": whole(event, "destination.port"),
        "proto": text(event, "network.transport"),
    }


def _counters(event: Event) -> Record:
    return {
        "pkts_toserver": whole(event, "source.packets") or 0,
        "pkts_toclient": whole(event, "destination.packets") or 0,
        "bytes_toserver": whole(event, "source.bytes") or 0,
        "bytes_toclient": whole(event, "destination.bytes") or 0,
        "start": instant(event.get("event.start")),
        "end": instant(event.get("event.end")),
    }


def _http(event: Event, url: str | None) -> Record:
    return {
        "hostname": text(event, "url.domain", "destination.domain"),
        "url": url,
        "http_user_agent": text(event, "user_agent.original"),
        "http_method": text(event, "http.request.method"),
        "status": whole(event, "http.response.status_code"),
    }


def eve(event: Event, document: object) -> Record:
    """The EVE record: what the pipeline moved to ECS goes back to its place."""
    kind = text(event, "suricata.eve.event_type")
    record: Record = {
        **_who(event),
        "event_type": kind,
        "flow_id": whole(event, "suricata.eve.flow_id"),
        "app_proto": text(event, "network.protocol"),
        "direction": text(event, "suricata.eve.direction"),
        "icmp_type": whole(event, "suricata.eve.icmp_type"),
    }
    match kind:
        case "flow" | "alert":
            opened = ("src_ip", "dest_ip", "src_port", "dest_port", "reason")
            kept = {name: event.get(f"suricata.eve.flow.{name}") for name in opened}
            record["flow"] = _counters(event) | kept
            record["tcp"] = {
                name: text(event, f"suricata.eve.tcp.{name}")
                for name in ("tcp_flags_ts", "tcp_flags_tc")
            }
        case "dns":
            record["dns"] = _eve_dns(event)
        case "tls":
            names = ("version", "client_alpns")
            ja4 = event.get("suricata.eve.tls.ja4", event.get("suricata.eve.tls.ja4.hash"))
            sni = text(event, "suricata.eve.tls.sni", "tls.client.server_name")
            kept = {name: event.get(f"suricata.eve.tls.{name}") for name in names}
            record["tls"] = {"sni": sni, "ja4": ja4, **kept}
        case "http":
            record["http"] = _http(event, text(event, "url.original"))
        case "ssh" | "modbus" | "dnp3":
            record[kind] = below(document, "suricata", "eve", kind) or {}
    return record


def _eve_dns(event: Event) -> Record:
    """`dns`; its version is not kept: only version 1 leaves an answer without a question."""
    kind = text(event, "suricata.eve.dns.type", "dns.type") or ""
    queries = event.get("suricata.eve.dns.queries")
    is_first = kind == "answer" and "dns.question.name" not in event and not queries
    dns: Record = {
        "type": kind,
        "version": 1 if is_first else 2,
        "id": whole(event, "suricata.eve.dns.id", "dns.id") or 0,
        "rrname": text(event, "suricata.eve.dns.rrname", "dns.question.name"),
        "rrtype": text(event, "suricata.eve.dns.rrtype", "dns.question.type"),
        "rcode": text(event, "suricata.eve.dns.rcode", "dns.response_code"),
    }
    if isinstance(queries, list):
        dns["queries"] = queries
    if is_first:
        return dns | {"rdata": event.get("suricata.eve.dns.rdata")}
    return dns | {"answers": [{"rdata": data} for data in answers_of(event)]}


def _packetbeat_flow(event: Event) -> Record:
    """A flow, or an interim report of one: those of one flow share the id of their EVE record.

    Packetbeat's own `flow.id` is made of addresses and ports only, and comes again with them.
    """
    name = text(event, "flow.id", "network_traffic.flow.id") or ""
    start = text(event, "event.start") or ""
    digest = blake2b(f"{name}|{start}".encode("utf-8", "replace"), digest_size=8).digest()
    final = event.get("flow.final", event.get("network_traffic.flow.final"))
    who = _who(event)
    return {
        **who,
        "event_type": "alert" if final is False else "flow",
        "flow_id": int.from_bytes(digest, "little") >> 1,
        "proto": who["proto"] or text(event, "network.iana_number") or UNKNOWN_PROTOCOL,
        "flow": _counters(event),
    }


def _packetbeat_dns(event: Event) -> Record:
    answered = text(event, "dns.response_code") is not None
    dns = {
        "type": "answer" if answered else "query",
        "version": 2,
        "id": whole(event, "dns.id") or 0,
        "rrname": text(event, "dns.question.name"),
        "rrtype": text(event, "dns.question.type"),
        "rcode": text(event, "dns.response_code"),
        "answers": [{"rdata": data} for data in answers_of(event)] if answered else None,
    }
    return {**_who(event), "event_type": "dns", "dns": dns}


def _packetbeat_http(event: Event) -> Record:
    path, query = text(event, "url.path"), text(event, "url.query")
    http = _http(event, f"{path or ''}?{query}" if query else path)
    method = http["http_method"]
    http["http_method"] = method.upper() if method else None
    return {**_who(event), "event_type": "http", "http": http}


def _packetbeat_tls(event: Event) -> Record:
    version = text(event, "tls.version")
    name = (text(event, "tls.version_protocol") or "tls").upper()
    offered = event.get(
        "tls.detailed.client_hello.extensions.application_layer_protocol_negotiation"
    )
    tls = {
        "sni": text(event, "tls.client.server_name"),
        "version": f"{name} {version}" if version else None,
        "client_alpns": [offered] if isinstance(offered, str) else offered,
    }
    return {**_who(event), "event_type": "tls", "tls": tls}


PACKETBEAT: Mapping[str, Callable[[Event], Record]] = {
    "flow": _packetbeat_flow,
    "dns": _packetbeat_dns,
    "http": _packetbeat_http,
    "tls": _packetbeat_tls,
}
