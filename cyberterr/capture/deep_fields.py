"""The fields of a message that an analyst gets to see, and how they are cut down to that.

A list of what is shown, not of what is hidden: passwords, cookies, authorisation, user names and
bodies are in no list, and a field that a later tshark adds shows nowhere by itself. Of addresses
of web pages the values behind `?` are left out; of certificates those that a client presents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MOST_VALUES = 64
"""Values of one field in one message; the rest is counted."""
MOST_CHARACTERS = 512


class Protocol(NamedTuple):
    """What is shown of one protocol.

    Attributes:
        layers: tshark's layers that make up a message; fields of the n-th of each go together.
        dissectors: what tshark needs switched on above TCP and UDP.
        decode_as: the one that takes a port over where the protocol was found on another one.
        fields: in the words of Wireshark's display filters.
    """

    layers: tuple[str, ...]
    dissectors: tuple[str, ...]
    decode_as: str
    fields: Sequence[str]


_DNS = """
    dns.id dns.flags.response dns.flags.opcode dns.flags.rcode dns.flags.truncated dns.qry.name
    dns.qry.type dns.resp.name dns.resp.type dns.resp.ttl dns.a dns.aaaa dns.cname dns.ns
    dns.ptr.domain_name dns.mx.mail_exchange dns.srv.target dns.srv.port dns.txt dns.soa.mname
    dns.time
"""
_TLS = """
    tls.handshake.type tls.handshake.version tls.handshake.extensions.supported_version
    tls.handshake.extensions_server_name
    tls.handshake.extensions_alpn_str tls.handshake.ciphersuite tls.handshake.extension.type
    tls.handshake.extensions_supported_group tls.handshake.sig_hash_alg tls.handshake.ja3
    tls.handshake.ja3s tls.handshake.ja4 tls.alert_message.level tls.alert_message.desc
    x509sat.printableString x509sat.uTF8String x509ce.dNSName x509af.utcTime
    x509af.serialNumber
"""
_HTTP = """
    http.request.method http.host http.request.uri http.request.version http.user_agent
    http.referer http.content_type http.content_length_header http.transfer_encoding
    http.upgrade http.response.code http.response.phrase http.server http.location http.time
"""
_SSH = """
    ssh.protocol ssh.message_code ssh.kex_algorithms ssh.server_host_key_algorithms
    ssh.encryption_algorithms_client_to_server ssh.mac_algorithms_client_to_server
    ssh.compression_algorithms_client_to_server ssh.kex.hassh ssh.kex.hasshserver
"""
_MODBUS = """
    mbtcp.trans_id mbtcp.unit_id modbus.func_code modbus.exception_code modbus.diagnostic_code
    modbus.reference_num modbus.read_reference_num modbus.write_reference_num modbus.word_cnt
    modbus.bit_cnt modbus.regnum16 modbus.regval_uint16 modbus.bitnum modbus.bitval modbus.data
"""
_DNP3 = """
    dnp3.src dnp3.dst dnp3.ctl.prifunc dnp3.al.seq dnp3.al.func dnp3.al.iin dnp3.al.obj
    dnp3.al.index dnp3.al.point_index dnp3.ctl.op dnp3.al.ctrlstatus dnp3.al.ana.int
    dnp3.al.ana.float dnp3.al.anaout.int dnp3.al.anaout.float
"""
_S7 = """
    s7comm.header.rosctr s7comm.header.pduref s7comm.header.errcls s7comm.header.errcod
    s7comm.param.func s7comm.param.itemcount s7comm.param.item.area s7comm.param.item.db
    s7comm.param.item.address s7comm.param.item.length s7comm.param.userdata.funcgroup
    s7comm.param.userdata.subfunc s7comm.data.returncode s7comm.data.userdata.szl_id
    s7comm.data.blockcontrol.block_type s7comm.data.blockcontrol.block_number
"""
_IEC104 = """
    iec60870_104.type iec60870_104.utype iec60870_asdu.typeid iec60870_asdu.causetx
    iec60870_asdu.addr iec60870_asdu.oa iec60870_asdu.ioa iec60870_asdu.nega iec60870_asdu.test
    iec60870_asdu.siq.spi iec60870_asdu.diq.dpi iec60870_asdu.sco.on iec60870_asdu.sco.se
    iec60870_asdu.dco.on iec60870_asdu.dco.se iec60870_asdu.float iec60870_asdu.normval
    iec60870_asdu.scalval iec60870_asdu.qoi
"""
_BACNET = """
    bacapp.type bacapp.invoke_id bacapp.confirmed_service bacapp.unconfirmed_service
    bacapp.objectType bacapp.instance_number bacapp.property_identifier
    bacapp.present_value.boolean bacapp.present_value.uint bacapp.present_value.int
    bacapp.present_value.real bacapp.present_value.double bacapp.present_value.enum_index
    bacapp.error_class bacapp.error_code bacapp.reject_reason bacapp.abort_reason
"""
_QUIC = "quic.version quic.long.packet_type quic.long.packet_type_v2"

PROTOCOLS: dict[str, Protocol] = {
    "dns": Protocol(("dns",), ("dns",), "dns", _DNS.split()),
    "mdns": Protocol(("mdns",), ("mdns",), "", _DNS.split()),
    "llmnr": Protocol(("llmnr",), ("llmnr",), "", _DNS.split()),
    "tls": Protocol(("tls",), ("tls",), "tls", _TLS.split()),
    "http": Protocol(("http",), ("http",), "http", _HTTP.split()),
    "ssh": Protocol(("ssh",), ("ssh",), "ssh", _SSH.split()),
    "modbus": Protocol(("mbtcp", "modbus"), ("mbtcp",), "mbtcp", _MODBUS.split()),
    "dnp3": Protocol(("dnp3",), ("dnp3",), "dnp3", _DNP3.split()),
    "s7": Protocol(("s7comm",), ("tpkt",), "tpkt", _S7.split()),
    "iec104": Protocol(
        ("iec60870_104", "iec60870_asdu"), ("iec60870_104",), "iec60870_104", _IEC104.split()
    ),
    "bacnet": Protocol(("bacnet", "bacapp"), ("bvlc",), "bvlc", _BACNET.split()),
    "quic": Protocol(("quic",), ("quic",), "quic", _QUIC.split()),
}
"""By the name that the flow table's `service` has for them."""

_ADDRESSES = {"http.request.uri", "http.referer", "http.location"}
_PATH_VALUE = re.compile(r"(;[^=/;]*)=[^/;]*")
_ACCOUNT = re.compile(r"^(\w+://)[^/?#]*@")


def messages_of(
    layers: Mapping[str, Any], *, from_server: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The messages of one packet: protocol, and its fields that are shown.

    Args:
        layers: what tshark dissected, by layer; a list where a layer occurs more than once.
        from_server: the destination of the flow sent it.

    Values are text as tshark writes it, true or false, or lists of these, at most `MOST_VALUES`.
    """
    for name, protocol in PROTOCOLS.items():
        found = [_instances(layers.get(layer)) for layer in protocol.layers]
        for at in range(max(map(len, found))):
            parts = {
                layer: instances[at]
                for layer, instances in zip(protocol.layers, found, strict=True)
                if at < len(instances)
            }
            fields = dict(_shown(parts, protocol.fields, from_server))
            if fields:
                yield name, fields
            for part in parts.values():  # TLS stands inside of QUIC
                inner = {key: part[key] for key in ("tls",) if key in part and name != "tls"}
                yield from messages_of(inner, from_server=from_server) if inner else ()


def without_values(address: str) -> str:
    """*address* of a web page with the names of its parameters, and none of their values.

    What stands before `@` goes too. A parameter without a name is all value.
    """
    path, mark, query = _ACCOUNT.sub(r"\1", address).partition("?")
    parts = [part.partition("=") for part in re.split("[&;]", query.partition("#")[0])]
    shown = "&".join(f"{name}=…" if equals else "…" for name, equals, _ in parts)
    return _PATH_VALUE.sub(r"\1=…", path.partition("#")[0]) + (mark and f"?{shown}")


def _instances(layer: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 (what JSON holds)
    several = layer if isinstance(layer, list) else [layer]
    return [one for one in several if isinstance(one, dict) and "filtered" not in one]


def _shown(
    parts: Mapping[str, Mapping[str, Any]], names: Sequence[str], from_server: bool
) -> Iterator[tuple[str, Any]]:
    for name in names:
        if name.startswith("x509") and not from_server:
            continue  # a client's certificate bears a person's name
        prefix, flat = name.partition(".")[0], name.replace(".", "_")
        for layer, part in parts.items():
            value = part.get(f"{prefix}_{flat}", part.get(f"{layer}_{flat}"))
            if value is not None:
                yield name, _cut(value, address=name in _ADDRESSES)
                break


def _cut(value: Any, *, address: bool) -> Any:  # noqa: ANN401 (what JSON holds)
    if isinstance(value, list):
        more = len(value) - MOST_VALUES
        kept = [_cut(one, address=address) for one in value[:MOST_VALUES]]
        return [*kept, f"… {more} more"] if more > 0 else kept
    if isinstance(value, bool):
        return value
    text = str(value)
    if address:
        text = without_values(text)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
