"""The flow table and its companions: column by column, with unit, meaning and when null.

One list per table; the schema, the docs and the Elastic mapping are generated from it.
Every source (capture, live interface, Zeek, Suricata, NetFlow) gives these tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import NamedTuple

import polars as pl

TIME = pl.Datetime("ns", "UTC")


class Column(NamedTuple):
    """One column: *null* says when a source leaves it empty ("never" if no source does)."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    unit: str
    meaning: str
    null: str = "never"


_COUNTED = "a flow log does not carry it"

_WHO = (
    Column("src_ip", pl.String, "", "who opened the connection: first packet seen, or SYN side"),
    Column("dst_ip", pl.String, "", "the other side"),
    Column("src_port", pl.UInt16, "", "0 where the protocol has no ports"),
    Column("dst_port", pl.UInt16, "", "0 where the protocol has no ports"),
    Column("protocol", pl.UInt8, "IANA number", "1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6, 132 SCTP …"),
    Column("sensor", pl.String, "", "where it was seen; the name given in the settings"),
)

_SIDES = (("src", "the source sent"), ("dst", "the destination sent"))

FLOW: tuple[Column, ...] = (
    Column("flow_id", pl.UInt64, "", "hash of key and start; the same in every run"),
    Column("start", TIME, "UTC", "time of the first packet"),
    Column("end", TIME, "UTC", "time of the last packet"),
    *_WHO,
    Column("vlan", pl.UInt16, "", "outermost 802.1Q tag", "untagged, or a flow log"),
    Column("tunnel", pl.String, "", "gre, vxlan, ipip …: what carried it", "not tunnelled"),
    Column("src_packets", pl.UInt64, "packets", "packets the source sent"),
    Column("dst_packets", pl.UInt64, "packets", "packets the destination sent"),
    Column("src_bytes", pl.UInt64, "bytes", "IP bytes the source sent, headers included"),
    Column("dst_bytes", pl.UInt64, "bytes", "IP bytes the destination sent"),
    Column("src_payload", pl.UInt64, "bytes", "bytes above TCP/UDP the source sent", _COUNTED),
    Column("dst_payload", pl.UInt64, "bytes", "bytes above TCP/UDP the destination sent", _COUNTED),
    Column(
        "state",
        pl.String,
        "",
        "how it ended, in Zeek's words (conn_state): S0 no answer, REJ refused, SF complete, "
        "S1 open, RSTO/RSTR reset, OTH seen from the middle; UDP and ICMP: SF answered, S0 not",
    ),
    Column("src_flags", pl.UInt8, "bits", "all TCP flags the source sent, or-ed", _COUNTED),
    Column("dst_flags", pl.UInt8, "bits", "all TCP flags the destination sent", _COUNTED),
    Column("src_syns", pl.UInt32, "packets", "SYN packets the source sent", _COUNTED),
    *(
        Column(f"{side}_len_{stat}", pl.Float32, "bytes", f"{stat} IP length {who}", _COUNTED)
        for side, who in _SIDES
        for stat in ("min", "mean", "max", "std")
    ),
    *(
        Column(
            f"{side}_gap_{stat}",
            pl.Float32,
            "seconds",
            f"{stat} time between two packets {who}",
            "fewer than two packets, or a flow log",
        )
        for side, who in _SIDES
        for stat in ("min", "mean", "max", "std")
    ),
    Column(
        "icmp_type",
        pl.UInt8,
        "",
        "type of the first ICMP packet; 8, in IPv6 128, is a ping",
        "no ICMP, or a log that does not say",
    ),
    Column("rtt", pl.Float32, "seconds", "SYN to SYN-ACK, at the sensor", "no handshake seen"),
    Column("src_ttl", pl.UInt8, "", "smallest TTL or hop limit of the source", _COUNTED),
    Column("dst_ttl", pl.UInt8, "", "smallest TTL or hop limit of the destination", _COUNTED),
    Column("service", pl.String, "", "dns, tls, http, ssh, ftp … by content", "not recognised"),
    Column(
        "end_reason",
        pl.String,
        "",
        "idle, active (time-out), end (of source), evicted; log: a flow log does not say",
    ),
)

_EVENT = (
    Column("time", TIME, "UTC", "when it was seen"),
    Column("flow_id", pl.UInt64, "", "the flow it belongs to", "no connection log beside it"),
    *_WHO,
)

DNS: tuple[Column, ...] = (
    *_EVENT,
    Column("query", pl.String, "", "name asked for, lower case, no final dot", "unreadable"),
    Column("qtype", pl.String, "", "A, AAAA, TXT … or TYPE65", "unreadable"),
    Column("rcode", pl.String, "", "NOERROR, NXDOMAIN …", "no answer was seen"),
    Column("answers", pl.List(pl.String), "", "answer data as text", "no answer was seen"),
    Column("query_bytes", pl.UInt32, "bytes", "DNS message length of the query", _COUNTED),
    Column("answer_bytes", pl.UInt32, "bytes", "DNS message length of the answer", _COUNTED),
)

TLS: tuple[Column, ...] = (
    *_EVENT,
    Column("server_name", pl.String, "", "SNI", "the client sent none"),
    Column("alpn", pl.String, "", "first protocol offered: h2, http/1.1 …", "the client sent none"),
    Column("ja4", pl.String, "", "JA4 client fingerprint (FoxIO)", _COUNTED),
    Column("version", pl.String, "", "highest version offered, or negotiated in logs", "unknown"),
)

HTTP: tuple[Column, ...] = (
    *_EVENT,
    Column("method", pl.String, "", "GET, POST …", "unreadable"),
    Column("host", pl.String, "", "Host header", "the client sent none"),
    Column("uri", pl.String, "", "request target; kept in memory only", "unreadable"),
    Column("user_agent", pl.String, "", "User-Agent header", "the client sent none"),
    Column("status", pl.UInt16, "", "status code of the answer", "no answer was seen"),
)

SSH: tuple[Column, ...] = (
    *_EVENT,
    Column("client", pl.String, "", "client identification string", "not seen"),
    Column("server", pl.String, "", "server identification string", "not seen"),
    Column("success", pl.Boolean, "", "whether the login succeeded (Zeek's guess)", "unknown"),
    Column("attempts", pl.UInt16, "", "login attempts in the connection", "unknown"),
)

OT: tuple[Column, ...] = (
    *_EVENT,
    Column("ot_protocol", pl.String, "", "modbus, dnp3, s7, bacnet, iec104"),
    Column("function", pl.UInt16, "", "function code, as the protocol numbers it"),
    Column("function_name", pl.String, "", "its name in the protocol's standard"),
    Column("kind", pl.String, "", "read, write, control, diagnostic, other"),
    Column("request", pl.Boolean, "", "true: the src asks; false: it answers"),
    Column("unit", pl.UInt32, "", "unit, station or slave id", "the protocol has none"),
    Column("address", pl.UInt32, "", "first register, coil or object", "not readable"),
)

LOGIN: tuple[Column, ...] = (
    *_EVENT,
    Column("service", pl.String, "", "ftp, telnet, pop3, imap, smtp, http, snmp"),
    Column(
        "scheme",
        pl.String,
        "",
        "how the secret travelled: PASS, LOGIN, Basic, community; anonymous: no secret",
    ),
    Column("account", pl.String, "", "keyed hash of the user name, never the name", "none seen"),
    Column("success", pl.Boolean, "", "whether the server accepted it", "no answer was seen"),
)

DECOY: tuple[Column, ...] = (
    *_EVENT,
    Column("decoy", pl.String, "", "id of the decoy or honeytoken that was touched"),
    Column("service", pl.String, "", "service of the decoy that was touched"),
    Column("action", pl.String, "", "connect, login, command, open …"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "flows": FLOW,
    "dns": DNS,
    "tls": TLS,
    "http": HTTP,
    "ssh": SSH,
    "ot": OT,
    "login": LOGIN,
    "decoy": DECOY,
}


def schema(name: str) -> dict[str, pl.DataType | type[pl.DataType]]:
    """The polars schema of the table *name*, in column order."""
    return {column.name: column.dtype for column in TABLES[name]}


def conform(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with exactly the columns of table *name*: missing ones null, others dropped."""
    if not frame.width:
        return empty(name)  # a select of constants alone would make one row of them
    wanted = schema(name)
    present = set(frame.columns)
    return frame.select(
        pl.col(column).cast(dtype) if column in present else pl.lit(None, dtype).alias(column)
        for column, dtype in wanted.items()
    )


def empty(name: str) -> pl.DataFrame:
    """The table *name* without rows."""
    return pl.DataFrame(schema=schema(name))


@dataclass(frozen=True, slots=True)
class Tables:
    """What one source, or one part of it, gave. Each table has exactly its contract's columns."""

    flows: pl.DataFrame = field(default_factory=lambda: empty("flows"))
    dns: pl.DataFrame = field(default_factory=lambda: empty("dns"))
    tls: pl.DataFrame = field(default_factory=lambda: empty("tls"))
    http: pl.DataFrame = field(default_factory=lambda: empty("http"))
    ssh: pl.DataFrame = field(default_factory=lambda: empty("ssh"))
    ot: pl.DataFrame = field(default_factory=lambda: empty("ot"))
    login: pl.DataFrame = field(default_factory=lambda: empty("login"))
    decoy: pl.DataFrame = field(default_factory=lambda: empty("decoy"))

    def __len__(self) -> int:
        return sum(getattr(self, table.name).height for table in fields(self))
