"""What tshark says about a packet, read without trusting any of it."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberterr.capture.dissected import packet_of
from cyberterr.contracts.packet import Packet


def frame(protocols, time="1400000000.000000001"):
    return {"frame_frame_protocols": protocols, "frame_frame_time_epoch": time}


def ip4(src, dst, protocol, length, **more):
    fields = {"ip_ip_src": src, "ip_ip_dst": dst, "ip_ip_proto": str(protocol)}
    return {**fields, "ip_ip_len": str(length), "ip_ip_hdr_len": "20", "ip_ip_ttl": "64", **more}


UDP = {"udp_udp_srcport": "1024", "udp_udp_dstport": "53", "udp_udp_length": "11"}
UDP |= {"udp_udp_payload": "61:62:63"}


def test_times_keep_their_nanoseconds():
    layers = {"ip": ip4("10.0.0.1", "10.0.0.2", 17, 31), "udp": UDP}
    packet = packet_of(frame("eth:ethertype:ip:udp:data"), layers)
    assert packet.time_ns == 1_400_000_000_000_000_001


def test_newer_versions_of_tshark_write_the_time_in_iso_8601():
    layers = {"ip": ip4("10.0.0.1", "10.0.0.2", 17, 31), "udp": UDP}
    packet = packet_of(frame("ip:udp", "2014-07-16T13:50:49.812800000Z"), layers)
    assert packet.time_ns == 1_405_518_649_812_800_000


def test_a_udp_packet_is_read_field_by_field():
    layers = {"ip": ip4("10.0.0.1", "10.0.0.2", 17, 31), "udp": UDP, "vlan": {"vlan_vlan_id": "7"}}
    assert packet_of(frame("eth:ethertype:vlan:ethertype:ip:udp:data"), layers) == Packet(
        time_ns=1_400_000_000_000_000_001,
        src_ip="10.0.0.1",
        dst_ip="10.0.0.2",
        src_port=1024,
        dst_port=53,
        protocol=17,
        ip_bytes=31,
        payload_bytes=3,
        tcp_flags=0,
        ttl=64,
        vlan=7,
        tunnel=None,
        tunnel_id=0,
        seq=0,
        fragment=None,
        payload=b"abc",
    )


def test_the_packet_quoted_in_an_icmp_error_is_not_the_packet():
    layers = {
        "ip": [ip4("10.0.0.1", "10.0.0.2", 1, 56), ip4("10.0.0.2", "10.0.0.1", 17, 28)],
        "icmp": {},
        "udp": UDP,
    }
    packet = packet_of(frame("eth:ethertype:ip:icmp:ip:udp"), layers)
    assert (packet.src_ip, packet.protocol, packet.src_port) == ("10.0.0.1", 1, 0)


@pytest.mark.parametrize(
    ("protocols", "tunnel"),
    [("eth:ethertype:ip:gre:ip:udp", "gre"), ("eth:ethertype:ip:ip:udp", "ipip")],
)
def test_the_innermost_ip_layer_counts(protocols, tunnel):
    layers = {"ip": [ip4("10.0.0.1", "10.0.0.2", 47, 99), ip4("1.1.1.1", "2.2.2.2", 17, 31)]}
    layers |= {"udp": UDP, "gre": {"gre_gre_key": "0x00000005"}}
    packet = packet_of(frame(protocols), layers)
    assert (packet.src_ip, packet.ip_bytes, packet.tunnel) == ("1.1.1.1", 31, tunnel)
    assert packet.tunnel_id == (5 if tunnel == "gre" else 0)


def test_a_tunnel_that_carries_no_ip_leaves_the_packet_that_carried_it():
    layers = {"ip": ip4("10.0.0.1", "10.0.0.2", 47, 70), "gre": {}, "ppp": {}}
    packet = packet_of(frame("eth:ethertype:ip:gre:ppp:lcp"), layers)
    assert (packet.protocol, packet.tunnel) == (47, None)


def test_what_carries_no_ip_is_none():
    assert packet_of(frame("eth:ethertype:arp"), {}) is None


def test_an_ip_header_that_tshark_could_not_read_is_an_error():
    with pytest.raises(ValueError, match="IP header"):
        packet_of(frame("eth:ethertype:ip"), {"ip": {"ip_ip_version": "4"}})


def test_a_time_that_no_clock_has_is_clamped_to_what_64_bits_hold():
    layers = {"ip": ip4("10.0.0.1", "10.0.0.2", 17, 31), "udp": UDP}
    packet = packet_of(frame("ip:udp", "18446744073204.126329000"), layers)
    assert packet.time_ns == 9_000_000_000_126_329_000


NAMES = st.sampled_from(["eth", "ip", "ipv6", "ipv6.fraghdr", "udp", "tcp", "vxlan", "gre", "icmp"])
FIELD = st.sampled_from(
    [
        "ip_ip_src",
        "ip_ip_dst",
        "ip_ip_len",
        "ip_ip_proto",
        "ip_ip_frag_offset",
        "ipv6_ipv6_src",
        "ipv6_ipv6_dst",
        "ipv6_ipv6_nxt",
        "ipv6_fraghdr",
        "udp_udp_dstport",
        "tcp_tcp_payload",
    ]
)
SCALAR = st.none() | st.booleans() | st.integers() | st.text(string.printable, max_size=8)
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner) | st.dictionaries(FIELD, inner))
LAYER = st.dictionaries(FIELD, VALUE)


@given(
    st.lists(NAMES, max_size=6),
    st.dictionaries(NAMES, LAYER | st.lists(LAYER, max_size=3)),
    st.one_of(SCALAR, st.just("1.5")),
)
def test_no_answer_of_tshark_is_more_than_a_packet_nothing_or_a_value_error(names, layers, time):
    layers = json.loads(json.dumps(layers))
    try:
        packet = packet_of(frame(":".join(names), time), layers)
    except (ValueError, TypeError):
        return
    assert packet is None or isinstance(packet, Packet)
