"""QUIC: the published examples, real captures, and hostile datagrams."""

import polars as pl
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.flows import quic
from cyberterr.flows.layer7 import Layer7, Message

# RFC 9001, Appendix A.1 and A.2; RFC 9369, Appendix A.1 and A.2: key, iv, hp of the client.
V1 = tuple(
    map(
        bytes.fromhex,
        (
            "1f369613dd76d5467730efcbe3b1a22d",
            "fa044b2f42a3fd3b46fb255c",
            "9f50449e04a0e810283a1e9933adedd2",
        ),
    )
)
V2 = tuple(
    map(
        bytes.fromhex,
        (
            "8b1a0bc121284290a29e0971b5cd045d",
            "91f73e2351d8fa91660e909f",
            "45b95e15235d6f45a6b19cbcb0294ba9",
        ),
    )
)
V1_HEADER = "c300000001088394c8f03e515708"
V2_HEADER = "d36b3343cf088394c8f03e515708"
HELLO = bytes.fromhex(
    "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c"
    "00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a"
    "00080006001d0017001800100007000504616c706e0005000501000000000033002600240"
    "01d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b"
    "0003020304000d0010000e0403050306030203080408050806002d00020101001c000240010"
    "03900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100"
    "f088394c8f03e51570806048000ffff"
)
FRAMES = bytes.fromhex("060040f1") + HELLO + bytes(917)


def protected(frames, keys=V1, header=V1_HEADER, number=2):
    """An Initial packet as its client sends it (RFC 9001 §5.3, §5.4); number in four bytes."""
    key, iv, hp = keys
    length = (len(frames) + 4 + 16 | 0x4000).to_bytes(2, "big")
    plain = bytes.fromhex(header) + b"\0\0" + length + number.to_bytes(4, "big")
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    sealed = AESGCM(key).encrypt(nonce, frames, plain)
    mask = Cipher(AES(hp), ECB()).encryptor().update(sealed[:16])
    covered = bytes(a ^ b for a, b in zip(plain[-4:], mask[1:5], strict=True))
    return bytes([plain[0] ^ mask[0] & 0x0F]) + plain[1:-4] + covered + sealed


def crypto(offset, data):
    return b"\x06" + (offset | 0x8000_0000).to_bytes(4, "big") + _length(data) + data


def _length(data):
    return (len(data) | 0x4000).to_bytes(2, "big")


def hellos(*datagrams, client=True):
    talk, rows = quic.Conversation(), []
    for number, datagram in enumerate(datagrams):
        rows += talk.hear(number, client, datagram)
    return [row.values for row in rows]


@pytest.mark.parametrize(
    ("keys", "header", "begins", "ends"),
    [
        (V1, V1_HEADER, "7b9aec34d1b1c98dd7689fb8ec11", "e221af44860018ab0856972e194cd934"),
        (V2, V2_HEADER, "a0c95e82ffe67b6abcdb4298b485dd04de806071", ""),
    ],
)
def test_the_published_initial_packets_are_read(keys, header, begins, ends):
    packet = protected(FRAMES, keys, header)
    assert packet[18:].hex().startswith(begins)  # it is the published one, to the byte
    assert packet.hex().endswith(ends)
    [(name, alpn, ja4, version)] = hellos(packet)
    assert (name, alpn, version) == ("example.com", "alpn", "TLS 1.3")
    assert ja4.startswith("q13d0211an_")


def test_a_hello_over_three_datagrams_is_read_in_any_order():
    parts = [crypto(at, HELLO[at : at + 100]) for at in range(0, len(HELLO), 100)]
    packets = [protected(part + bytes(1000), number=n) for n, part in enumerate(parts)]
    assert len(packets) == 3
    for order in (packets, packets[::-1], [packets[1], packets[1], packets[2], packets[0]]):
        assert [name for name, *_ in hellos(*order)] == ["example.com"]


def test_a_hello_in_shuffled_frames_among_pings_and_acks_is_read():
    ack = b"\x02\x05\x00\x01\x02\x00\x01"
    frames = crypto(150, HELLO[150:]) + b"\x01" + ack + bytes(30) + crypto(0, HELLO[:160])
    assert len(hellos(protected(frames + bytes(800)))) == 1


def test_what_the_server_sends_is_not_a_hello():
    server = b"\xcf" + protected(FRAMES)[1:]
    talk = quic.Conversation()
    assert talk.hear(0, False, server) == []
    assert len(talk.hear(1, True, protected(FRAMES))) == 1


def test_a_capture_that_begins_with_the_server_turns_the_row():
    talk = quic.Conversation()
    [row] = talk.hear(0, False, protected(FRAMES))
    assert row.turned


@pytest.mark.parametrize(
    ("name", "server_name", "alpn", "ja4"),
    [
        (
            "quic_win11_firefox_google.pcap",
            "www.google.com",
            "h3",
            "q13d0314h3_55b375c5d22e_2d2a40a25571",
        ),
        ("quicv2-http3-443.pcap", None, "h3", "q13i0310h3_55b375c5d22e_df5b9e597968"),
        (
            "quicv2-echo-dpd-custom-port-4433.pcap",
            "localhost",
            "quic-echo-example",
            "q13d0311qe_55b375c5d22e_df5b9e597968",
        ),
        (
            "quic-interop-retry.pcap",
            "server4:443",
            "hq-interop",
            "q13d0311hp_55b375c5d22e_df5b9e597968",
        ),
    ],
)
def test_real_connections_show_what_tshark_shows(golden_tables, name, server_name, alpn, ja4):
    [row] = golden_tables(name).tls.to_dicts()
    assert (row["server_name"], row["alpn"], row["ja4"]) == (server_name, alpn, ja4)
    assert (row["protocol"], row["version"]) == (17, "TLS 1.3")


def test_the_service_of_a_flow_is_quic_whatever_its_port(golden_messages):
    layer7 = Layer7("test")
    messages = golden_messages("quicv2-echo-dpd-custom-port-4433.pcap")
    layer7.feed(messages)
    finished = pl.DataFrame({"flow_id": [messages[0].flow_id], "end_reason": ["end"]})
    finished = finished.cast({"flow_id": pl.UInt64})
    assert layer7.named(finished)["service"].to_list() == ["quic"]


def test_one_hello_is_one_row_however_often_it_is_sent(say):
    layer7 = Layer7("test")
    layer7.feed(say(protected(FRAMES), port=443, protocol=17) for _ in range(5))
    assert layer7.drain(final=True).tls.height == 1


def test_a_connection_costs_a_bounded_number_of_decryptions(monkeypatch):
    tried = []
    opened = quic._opened
    monkeypatch.setattr(quic, "_opened", lambda *given: tried.append(given) or opened(*given))
    talk = quic.Conversation()
    for number in range(100):
        if not talk.done:
            damaged = protected(crypto(0, HELLO[:50]) + bytes(1000), number=number)
            talk.hear(number, True, damaged[:-1] + b"\0")
    assert talk.done
    assert len(tried) <= 12


def test_a_hello_without_end_costs_bounded_memory():
    talk = quic.Conversation()
    endless = b"\x01\xff\xff\xff" + bytes(16_300)
    talk.hear(0, True, protected(crypto(0, endless)[:5] + _length(endless) + endless))
    assert talk.done


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 1250), st.booleans())
def test_any_datagram_is_quic_or_not(noise, at, whole):
    datagram = protected(FRAMES)
    for tried in (
        b"\xc0\0\0\0\1" + noise,
        datagram[:at] + noise + (datagram[at + len(noise) :] if whole else b""),
        protected(noise + bytes(60)),
    ):
        hellos(tried)
        layer7 = Layer7("test")
        layer7.feed([Message(0, 1, True, "10.0.0.1", "10.0.0.2", 40000, 443, 17, 0, tried)])
        layer7.drain(final=True)
