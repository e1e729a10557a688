"""The plain meter: what makes a flow, written down as single cases."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberterr.config import Meter as Settings
from cyberterr.contracts.flow import schema
from cyberterr.contracts.packet import Packet
from cyberterr.flows.reference import meter

SYN, SYN_ACK, ACK, FIN_ACK, RST = 0x02, 0x12, 0x10, 0x11, 0x04
CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 443)
SECOND = 10**9


def packet(at, src=CLIENT, dst=SERVER, flags=ACK, protocol=6, **more):
    fields = {
        "time_ns": int(at * SECOND),
        "src_ip": src[0],
        "dst_ip": dst[0],
        "src_port": src[1],
        "dst_port": dst[1],
        "protocol": protocol,
        "ip_bytes": 60,
        "payload_bytes": 20,
        "tcp_flags": flags if protocol == 6 else 0,
        "ttl": 64,
        "vlan": None,
        "tunnel": None,
        "tunnel_id": 0,
        "seq": 0,
        "fragment": None,
        "payload": b"",
    }
    return Packet(**{**fields, **more})


def answer(at, flags=ACK, **more):
    return packet(at, SERVER, CLIENT, flags, **more)


def flows(*packets, **settings):
    return pl.concat(meter(packets, Settings(**settings), sensor="test"))


def test_a_connection_is_one_row_in_both_directions():
    table = flows(
        packet(0, flags=SYN), answer(0.05, SYN_ACK), packet(0.1), answer(1, ip_bytes=1500),
        packet(2, flags=FIN_ACK), answer(2.1, FIN_ACK),
    )  # fmt: skip
    row = table.row(0, named=True)
    assert table.height == 1
    assert (row["src_ip"], row["dst_port"], row["state"]) == ("10.0.0.1", 443, "SF")
    assert (row["src_packets"], row["dst_packets"], row["dst_bytes"]) == (3, 3, 1620)
    assert row["rtt"] == pytest.approx(0.05)
    assert row["src_gap_max"] == pytest.approx(1.9)
    assert row["src_gap_std"] == pytest.approx(0.9)
    assert row["dst_len_std"] == pytest.approx(678.82, abs=0.01)


def test_the_table_has_exactly_the_columns_of_the_contract():
    assert flows().schema == pl.Schema(schema("flows"))
    assert flows(packet(0)).schema == pl.Schema(schema("flows"))
    assert flows().height == 0


@pytest.mark.parametrize(
    ("packets", "state"),
    [
        ([packet(0, flags=SYN)], "S0"),
        ([packet(0, flags=SYN), answer(1, RST | ACK)], "REJ"),
        ([packet(0, flags=SYN), answer(1, SYN_ACK)], "S1"),
        ([packet(0, flags=SYN), answer(1, SYN_ACK), packet(2, flags=RST)], "RSTO"),
        ([packet(0, flags=SYN), answer(1, SYN_ACK), answer(2, RST)], "RSTR"),
        ([packet(0, flags=SYN), packet(1, flags=RST)], "RSTOS0"),
        ([packet(0, flags=SYN), packet(1, flags=FIN_ACK)], "SH"),
        ([answer(0, SYN_ACK), answer(1, RST)], "RSTRH"),
        ([answer(0, SYN_ACK), answer(1, FIN_ACK)], "SHR"),
        ([packet(0, flags=SYN), answer(1, SYN_ACK), packet(2, flags=FIN_ACK)], "S2"),
        ([packet(0, flags=SYN), answer(1, SYN_ACK), answer(2, FIN_ACK)], "S3"),
        ([packet(0), answer(1)], "OTH"),
        ([packet(0, protocol=17)], "S0"),
        ([packet(0, protocol=17), answer(1, protocol=17)], "SF"),
    ],
)
def test_the_state_is_zeeks(packets, state):
    assert flows(*packets)["state"].to_list() == [state]


def test_who_answers_a_syn_is_never_the_source():
    assert flows(answer(0, SYN_ACK))["src_ip"].to_list() == ["10.0.0.1"]


def test_seen_from_the_middle_the_low_port_is_the_server():
    assert flows(answer(0))["dst_port"].to_list() == [443]


@pytest.mark.parametrize(("gap", "count"), [(120, 1), (120.001, 2)])
def test_a_flow_ends_after_two_minutes_of_silence(gap, count):
    assert flows(packet(0), packet(gap)).height == count


def test_a_flow_is_cut_after_half_an_hour_however_busy():
    table = flows(*(packet(at) for at in range(0, 3601, 60)))
    assert table["end_reason"].to_list() == ["active", "end"]
    assert table["src_packets"].to_list() == [31, 30]


def test_beyond_the_limit_the_flow_idle_longest_is_closed_and_says_so():
    others = [packet(at, src=(f"10.0.1.{at}", 1234)) for at in range(4)]
    table = flows(*others, max_open_flows=2)
    assert table["end_reason"].to_list() == ["evicted", "evicted", "end", "end"]


def test_later_fragments_belong_to_the_flow_of_the_first():
    first = packet(0, protocol=17, fragment=(7, True))
    later = packet(1, ("10.0.0.1", 0), ("10.0.0.2", 0), protocol=17, fragment=(7, False))
    late = packet(40, ("10.0.0.1", 0), ("10.0.0.2", 0), protocol=17, fragment=(7, False))
    assert flows(first, later)["src_packets"].to_list() == [2]
    assert flows(first, late)["dst_port"].to_list() == [443, 0]


def test_two_tunnels_with_the_same_addresses_are_two_flows():
    table = flows(
        packet(0, tunnel="vxlan", tunnel_id=1), packet(1, tunnel="vxlan", tunnel_id=2), packet(2)
    )
    assert table["tunnel"].to_list() == ["vxlan", "vxlan", None]


def test_a_clock_that_jumps_back_gives_no_negative_gap():
    row = flows(packet(10), packet(5), packet(11)).row(0, named=True)
    assert row["src_gap_min"] == 0
    assert row["end"] > row["start"]


def tapped(*packets):
    found = []
    for _ in meter(packets, Settings(), sensor="test", tap=found.append):
        pass
    return found


def test_one_packet_with_a_wrong_clock_cuts_no_other_flow():
    strange = packet(60 * 365 * 86_400, ("10.0.0.9", 123), ("10.0.0.8", 123), protocol=17)
    table = flows(*(packet(n) for n in range(200)), strange, *(packet(200 + n) for n in range(200)))
    assert table.filter(pl.col("src_port") != 123)["src_packets"].to_list() == [400]


def test_layer_7_gets_the_beginning_of_a_connection_in_the_flows_direction():
    sent = [answer(at, payload=b"%d" % at) for at in range(20)]
    found = tapped(packet(0, flags=SYN), *sent)
    assert [each.payload for each in found] == [b"%d" % at for at in range(12)]
    assert {(each.src_ip, each.dst_port, each.from_src) for each in found} == {
        ("10.0.0.1", 443, False)
    }


def test_layer_7_gets_every_dns_message_and_no_ciphertext():
    questions = [
        packet(at, dst=("10.0.0.2", 53), protocol=17, payload=b"question") for at in range(20)
    ]
    assert len(tapped(*questions)) == 20
    assert tapped(packet(0, payload=b"\x17\x03\x03 secret")) == []


ENDS = st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2", "::1"]), st.integers(0, 3))
PACKETS = st.builds(
    packet, st.integers(0, 4000), ENDS, ENDS, st.integers(0, 255), st.sampled_from([1, 6, 17])
)


@given(st.lists(PACKETS, max_size=40))
def test_every_packet_is_counted_once_and_two_runs_are_equal(packets):
    table = flows(*packets)
    assert table["src_packets"].sum() + table["dst_packets"].sum() == len(packets)
    assert table["src_bytes"].sum() + table["dst_bytes"].sum() == 60 * len(packets)
    assert table.equals(flows(*packets))
