import struct

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.flows import tls
from cyberterr.flows.layer7 import Layer7
from cyberterr.flows.stream import NotThisProtocol

# The worked example of JA4.md (FoxIO-LLC/ja4, technical_details), GREASE added.
CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
EXTENSIONS = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"
SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"
JA4 = "t13d1516h2_8daaf6152771_e5627efa2ab1"


FINISHED = pl.DataFrame({"flow_id": [1], "end_reason": ["end"]})


def service(layer7):
    return layer7.named(FINISHED)["service"].item()


def block(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def codes(text: str) -> bytes:
    return bytes.fromhex(text.replace(",", ""))


def hello(
    extensions: str = EXTENSIONS,
    *,
    alpn: bytes = b"h2",
    signatures: str = SIGNATURES,
    padding: int = 0,
    record_bytes: int = 16_384,
) -> bytes:
    name = b"www.example.org"
    contents = {
        "0000": block(b"\0" + block(name)),
        "0010": block(bytes([len(alpn)]) + alpn),
        "000d": block(codes(signatures)),
        "002b": b"\x06\x3a\x3a\x03\x04\x03\x03",
        "0015": bytes(padding),
    }
    listed = ["0a0a", *extensions.split(",")] if extensions else []
    sent = b"".join(codes(code) + block(contents.get(code, b"")) for code in listed)
    body = b"\x03\x03" + bytes(32) + b"\0" + block(codes("1a1a," + CIPHERS)) + b"\1\0" + block(sent)
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    pieces = [handshake[at : at + record_bytes] for at in range(0, len(handshake), record_bytes)]
    return b"".join(b"\x16\x03\x01" + block(piece) for piece in pieces)


def test_the_published_example_has_its_published_fingerprint():
    found = tls.client_hello(hello())
    assert found == ("www.example.org", "h2", JA4, "TLS 1.3")


def test_without_signature_algorithms_the_last_part_is_the_published_one():
    found = tls.client_hello(hello(signatures=""))
    assert found.ja4 == "t13d1516h2_8daaf6152771_6d807ffa2a79"


def test_odd_alpn_values_show_their_hex_digits():
    for alpn, shown in (
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"0\xab", "3b"),
        (b"0\xab\xcd1", "01"),
        (b"x", "xx"),
        (b"http/1.1", "h1"),
        (b"", "00"),
    ):
        assert tls.client_hello(hello(alpn=alpn)).ja4[8:10] == shown


def test_without_extensions_the_last_part_is_zeros():
    found = tls.client_hello(hello(""))
    assert found.ja4 == "t12i150000_8daaf6152771_000000000000"


def test_a_hello_in_several_records_is_the_same_hello():
    assert tls.client_hello(hello(record_bytes=100)).ja4 == JA4


def test_a_post_quantum_hello_in_three_segments_is_read_in_any_order(say):
    data = hello(padding=2000)
    parts = [say(data[at : at + 1000], port=8443, seq=500 + at) for at in range(0, len(data), 1000)]
    assert len(parts) >= 3
    for order in (parts, [parts[0], *reversed(parts[1:])], [parts[1], parts[0], *parts[2:]]):
        layer7 = Layer7("test")
        layer7.feed(order)
        (row,) = layer7.drain(final=True).tls.to_dicts()
        assert (row["server_name"], row["ja4"]) == ("www.example.org", JA4)
        assert service(layer7) == "tls"


def read(*messages):
    layer7 = Layer7("test")
    layer7.feed(messages)
    return layer7.drain(final=True), service(layer7)


@pytest.mark.parametrize("step", [3, 100, 5000])
@pytest.mark.parametrize(
    ("port", "spoken", "greeting", "order", "answer"),
    [
        (25, "smtp", b"220 mail\r\n", b"EHLO pc\r\nSTARTTLS\r\n", b"250 ok\r\n220 go\r\n"),
        (2525, "smtp", b"220 mail\r\n", b"EHLO pc\r\nSTARTTLS\r\n", b"250 ok\r\n220 go\r\n"),
        (143, "imap", b"* OK ready\r\n", b"a STARTTLS\r\n", b"a OK go\r\n"),
        (110, "pop3", b"+OK\r\n", b"STLS\r\n", b"+OK go\r\n"),
        (21, "ftp", b"220 ready\r\n", b"AUTH TLS\r\n", b"234 go\r\n"),
        (3128, "http", b"", b"CONNECT a.example:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
def test_the_hello_behind_another_protocol_is_read(
    say, port, spoken, greeting, order, answer, step
):
    data = hello()
    said = [say(greeting, client=False, port=port)] if greeting else []
    said += [say(order, port=port), say(answer, client=False, port=port)]
    said += [say(data[at : at + step], port=port) for at in range(0, len(data), step)]
    tables, found = read(*said)
    assert tables.tls["server_name"].to_list() == ["www.example.org"]
    assert tables.http.height == (spoken == "http")
    assert found == spoken


def test_a_proxy_that_refuses_opens_no_tunnel(say):
    denied = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    connect = b"CONNECT a.example:443 HTTP/1.1\r\n\r\n"
    tables, _ = read(say(connect), say(denied, client=False), say(connect))
    assert tables.http["status"].to_list() == [403, None]


def test_the_hello_of_rdp_stands_behind_its_own_first_message(say):
    asked = bytes.fromhex("030000130ee000000000000100080003000000")
    tables, found = read(say(asked, port=3389), say(hello(), port=3389))
    assert tables.tls["ja4"].to_list() == [JA4]
    assert found == "tls"


def test_a_hello_that_is_cut_off_is_waited_for():
    data = hello()
    assert all(tls.client_hello(data[:cut]) is None for cut in range(11, len(data)))


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 500))
def test_any_bytes_are_a_hello_or_not(noise, at):
    data = hello()
    for tried in (noise, b"\x16\x03\x01" + noise, data[:at] + noise + data[at + len(noise) :]):
        try:
            tls.client_hello(tried)
        except NotThisProtocol:
            continue


def test_a_database_client_that_turns_to_tls_shows_its_hello(golden_tables):
    [row] = golden_tables("pcapng-example.pcapng").tls.to_dicts()
    assert (row["dst_port"], row["version"]) == (3306, "TLS 1.2")
    assert row["ja4"].startswith("t12i9805")  # tshark: 98 cipher suites, 5 extensions
