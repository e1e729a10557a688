import struct

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
        assert layer7.take_services() == {1: "tls"}


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
