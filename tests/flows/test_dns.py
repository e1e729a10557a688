import struct

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberterr.flows import dns
from cyberterr.flows.stream import NotThisProtocol

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
NAMES = st.lists(LABEL, min_size=1, max_size=8).map(".".join)


def wire_name(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def message(
    name: str, *, qtype: int = 1, flags: int = 0x0100, records: tuple[bytes, ...] = ()
) -> bytes:
    head = struct.pack(">HHHHHH", 7, flags, 1, len(records), 0, 0)
    return head + wire_name(name) + struct.pack(">HH", qtype, 1) + b"".join(records)


def record(kind: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


@given(NAMES)
def test_a_name_comes_back_as_it_was_asked(name):
    number, content = dns.decode(message(name))
    assert (number, content.response, content.query, content.qtype) == (7, False, name, "A")


@given(st.binary(min_size=1, max_size=63))
def test_a_name_of_any_bytes_is_printable_text(label):
    head = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    _, content = dns.decode(head + bytes([len(label)]) + label + b"\0\0\x10\0\1")
    assert content.query.isprintable()
    assert content.qtype == "TXT"


@given(st.binary(max_size=600))
def test_any_bytes_are_a_message_or_not_dns(data):
    try:
        dns.decode(data)
    except NotThisProtocol:
        return


def test_answers_are_text_and_pointers_are_followed():
    records = (
        record(5, b"\x03www\xc0\x0c"),
        record(1, bytes((192, 0, 2, 1))),
        record(28, bytes.fromhex("20010db8000000000000000000000001")),
        record(15, b"\0\x0a\x04mail\xc0\x0c"),
        record(16, b"\x05hello\x06 world"),
        record(48, b"x" * 264),
    )
    _, content = dns.decode(message("Mairie.Example", flags=0x8183, records=records))
    assert content.rcode == "NXDOMAIN"
    assert content.query == "mairie.example"
    assert content.answers == (
        "www.mairie.example", "192.0.2.1", "2001:db8::1", "10 mail.mairie.example", "hello world",
        "DNSKEY, 264 bytes",
    )  # fmt: skip


def test_a_pointer_that_points_to_itself_ends():
    head = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    _, content = dns.decode(head + b"\xc0\x0c\0\1\0\1")
    assert content.query is None


def test_a_header_with_an_impossible_opcode_is_not_dns():
    with pytest.raises(NotThisProtocol):
        dns.decode(message("a.example", flags=0x7800))


def test_the_golden_dns_capture_gives_its_queries_and_answers(golden_tables):
    table = golden_tables("DnsPackets.pcap").dns
    assert table["query_bytes"].is_not_null().sum() == 238  # tshark: dns.flags.response == 0
    assert table["rcode"].is_not_null().sum() == 212  # tshark: 226, of which 14 are mDNS


def test_a_question_without_answer_is_kept_without_rcode(say):
    from cyberterr.flows.layer7 import Layer7

    layer7 = Layer7("test")
    layer7.feed([say(message("a.example"), port=53, protocol=17)])
    assert layer7.drain().dns.height == 0  # it may still be answered
    layer7.feed([say(message("b.example"), port=53, protocol=17, flow=2, time_ns=11 * 10**9)])
    (row,) = layer7.drain().dns.to_dicts()
    assert (row["query"], row["rcode"], row["answers"]) == ("a.example", None, None)


def test_an_answer_finds_its_question(say):
    from cyberterr.flows.layer7 import Layer7

    layer7 = Layer7("test")
    answer = message("a.example", flags=0x8180, records=(record(1, bytes((192, 0, 2, 1))),))
    layer7.feed([
        say(message("a.example"), port=53, protocol=17),
        say(answer, client=False, port=53, protocol=17, time_ns=5),
    ])  # fmt: skip
    (row,) = layer7.drain().dns.to_dicts()
    assert (row["src_ip"], row["rcode"], row["answers"]) == ("10.0.0.1", "NOERROR", ["192.0.2.1"])
    assert (row["query_bytes"], row["answer_bytes"]) == (27, len(answer))


def test_several_messages_over_tcp_are_split_at_their_lengths(say):
    from cyberterr.flows.layer7 import Layer7

    both = b"".join(
        struct.pack(">H", len(m)) + m for m in (message("a.example"), message("b.example"))
    )
    layer7 = Layer7("test")
    layer7.feed([say(both[:10], port=53), say(both[10:], port=53)])
    assert layer7.drain(final=True).dns["query"].to_list() == ["a.example", "b.example"]
    finished = pl.DataFrame({"flow_id": [1], "end_reason": ["end"]})
    assert layer7.named(finished)["service"].to_list() == ["dns"]
