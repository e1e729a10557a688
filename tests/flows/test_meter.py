"""The compiled meter on real captures, in every dress a capture can wear, and on broken ones."""

import io
import random
import struct
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cyberterr.config import Meter as Settings
from cyberterr.flows.meter import Counts, Meter, Status

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
BROWSING = GOLDEN / "workshop_2011_browse.pcap"


def metered(*captures: bytes, settings: Settings | None = None, block: int = 1 << 20):
    """Flows, counts and last status of *captures*, fed in blocks of *block* bytes."""
    frames, status = [], Status.NEED_MORE
    with Meter(settings or Settings(), sensor="test", tap=True) as meter:
        for capture in captures:
            data = io.BytesIO(capture)
            for batch in meter.read(lambda room, data=data: data.readinto(room[:block]) or None):
                frames.append(batch.flows)
                status = batch.status
        frames += [batch.flows for batch in meter.finish()]
        return pl.concat(frames), meter.counts, status


def records(capture: bytes) -> list[tuple[int, int, int, bytes]]:
    """(seconds, fraction, length on the wire, bytes) of a little-endian pcap."""
    found, at = [], 24
    while at + 16 <= len(capture):
        seconds, fraction, captured, wire = struct.unpack_from("<IIII", capture, at)
        found.append((seconds, fraction, wire, capture[at + 16 : at + 16 + captured]))
        at += 16 + captured
    return found


def as_pcap(packets, order: str = "<", magic: int = 0xA1B2C3D4, factor: int = 1) -> bytes:
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, 1)]
    for seconds, fraction, wire, data in packets:
        parts.append(struct.pack(order + "IIII", seconds, fraction * factor, len(data), wire))
        parts.append(data)
    return b"".join(parts)


def block(order: str, kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def as_pcapng(packets, order: str = "<") -> bytes:
    """Two interfaces in turn, the second in nanoseconds, with a block nobody knows between."""
    section = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
    resolution = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0)
    parts = [
        block(order, 0x0A0D0D0A, section),
        block(order, 1, struct.pack(order + "HHI", 1, 0, 0)),
        block(order, 1, struct.pack(order + "HHI", 1, 0, 0) + resolution),
        block(order, 0x4242, b"nobody knows this"),
    ]
    for number, (seconds, fraction, wire, data) in enumerate(packets):
        interface = number % 2
        ticks = (seconds * 1_000_000 + fraction) * (1000 if interface else 1)
        header = struct.pack(
            order + "IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire
        )
        parts.append(block(order, 6, header + data))
    return b"".join(parts)


@pytest.fixture(scope="module")
def browsing():
    return records(BROWSING.read_bytes())


@pytest.fixture(scope="module")
def plain(browsing):
    return metered(as_pcap(browsing))


def test_a_browsing_session_becomes_its_six_connections(plain):
    flows, counts, _ = plain
    assert flows.height == 6
    assert counts.packets == 121
    assert flows["src_packets"].sum() + flows["dst_packets"].sum() == 121
    assert set(flows["src_ip"]) == {"10.0.2.15"}
    assert set(flows["state"]) <= {"SF", "S1", "S2", "S3", "RSTO", "RSTR"}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "factor"),
    [(0xA1B2C3D4, 1), (0xA1B23C4D, 1000)],
    ids=["microseconds", "nanoseconds"],
)
def test_both_byte_orders_and_resolutions_give_the_same_flows(
    browsing, plain, order, magic, factor
):
    flows, _, _ = metered(as_pcap(browsing, order, magic, factor))
    assert_frame_equal(flows, plain[0])


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_with_two_interfaces_gives_the_same_flows(browsing, plain, order):
    flows, _, _ = metered(as_pcapng(browsing, order))
    assert_frame_equal(flows, plain[0])


@pytest.mark.parametrize("block_size", [13, 1000, 1 << 20])
def test_the_size_of_the_blocks_changes_nothing(browsing, plain, block_size):
    flows, _, _ = metered(as_pcap(browsing), block=block_size)
    assert_frame_equal(flows, plain[0])


def test_a_capture_in_two_parts_is_one_capture(browsing, plain):
    half = len(browsing) // 2
    flows, _, _ = metered(as_pcap(browsing[:half]), as_pcap(browsing[half:]))
    assert_frame_equal(flows, plain[0])


def test_packets_of_other_flows_in_between_change_nothing(browsing, plain):
    """Each flow's packets keep their order; which flow comes first within a second does not."""
    shuffled = list(browsing)
    random.Random(7).shuffle(shuffled)
    by_flow = {}
    for packet in browsing:
        ends = frozenset((packet[3][26:30] + packet[3][34:36], packet[3][30:34] + packet[3][36:38]))
        by_flow.setdefault(ends, []).append(packet)
    queues = {ends: iter(packets) for ends, packets in by_flow.items()}
    mixed = []
    for packet in shuffled:
        ends = frozenset((packet[3][26:30] + packet[3][34:36], packet[3][30:34] + packet[3][36:38]))
        mixed.append(next(queues[ends]))
    flows, _, _ = metered(as_pcap(mixed))
    assert_frame_equal(flows.sort("flow_id"), plain[0].sort("flow_id"))


def test_a_silence_longer_than_the_idle_time_out_cuts_a_flow(browsing):
    first = browsing[0]
    later = (first[0] + 121, *first[1:])
    soon = (first[0] + 119, *first[1:])
    assert metered(as_pcap([first, later]))[0]["end_reason"].to_list() == ["idle", "end"]
    assert metered(as_pcap([first, soon]))[0].height == 1


def test_a_full_table_closes_the_flow_idle_longest_and_counts_it():
    ethernet = bytes(12) + b"\x08\x00"
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0)
    syn = struct.pack("!HHIIBBHHH", 40000, 80, 0, 0, 0x50, 0x02, 0, 0, 0)
    packets = [
        (1_700_000_000, n, 54, ethernet + header + struct.pack("!II", n + 1, 0x0A000001) + syn)
        for n in range(5_000)
    ]
    flows, counts, _ = metered(as_pcap(packets), settings=Settings(max_open_flows=1_000))
    assert flows.height == 5_000
    assert counts.evicted == 4_000
    assert flows["end_reason"].value_counts().sort("end_reason").rows() == [
        ("end", 1_000),
        ("evicted", 4_000),
    ]
    assert set(flows["state"]) == {"S0"}


def test_fragments_belong_to_the_flow_of_their_first_one():
    flows, counts, _ = metered((GOLDEN / "ip4_fragments.pcap").read_bytes())
    assert counts.fragments > 0
    assert flows.filter(pl.col("src_port") > 0)["src_packets"].max() > 1


@pytest.mark.parametrize(
    ("name", "tunnel"),
    [("GrePackets.cap", "gre"), ("vxlan.pcap", "vxlan"), ("6in4.pcap", "6in4")],
)
def test_what_a_tunnel_carries_is_what_counts(name, tunnel):
    flows, counts, _ = metered((GOLDEN / name).read_bytes())
    assert counts.tunnelled > 0
    assert tunnel in flows["tunnel"].to_list()


def test_a_picture_is_no_capture():
    _, counts, status = metered(b"\xff\xd8\xff\xe0" + bytes(100))
    assert status is Status.NO_CAPTURE
    assert counts.packets == 0


SMALL = [path for path in sorted(GOLDEN.glob("*.pcap*")) if 24 <= path.stat().st_size < 3_000]


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_a_capture_cut_at_any_byte_gives_the_packets_before_the_cut(path):
    whole = path.read_bytes()
    packets = -1
    with Meter(Settings(max_open_flows=1_000), sensor="test", tap=True) as meter:
        for end in range(len(whole) + 1):
            before, data = meter.counts.packets, io.BytesIO(whole[:end])
            for _ in meter.read(lambda room, data=data: data.readinto(room) or None):
                pass
            assert meter.counts.packets - before >= packets
            packets = meter.counts.packets - before
        frames = [batch.flows for batch in meter.finish()]
        total = sum(f["src_packets"].sum() + f["dst_packets"].sum() for f in frames)
        assert total <= meter.counts.ip_packets


MUTATED = [
    "workshop_2011_browse.pcap", "nanosecs.pcap", "pcapng-example.pcapng", "vxlan.pcap",
    "GrePackets.cap", "mixed-vlan-mpls.pcap", "sll.pcap", "raw_ip.pcap", "ip6_fragments.pcap",
]  # fmt: skip


@pytest.mark.parametrize("name", MUTATED)
def test_a_hundred_mutants_are_read_without_harm(name):
    whole = (GOLDEN / name).read_bytes()[:60_000]
    dice = random.Random(name)
    for _ in range(100):
        mutant = bytearray(whole)
        for _ in range(dice.randint(1, 30)):
            mutant[dice.randrange(len(mutant))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, 0x45, 0x60))
        flows, counts, _ = metered(bytes(mutant))
        assert isinstance(counts, Counts)
        assert flows["src_packets"].sum() + flows["dst_packets"].sum() == counts.ip_packets


HOUR, YEARS = 3_600, 60 * 365 * 86_400


def long_session(packets: int) -> list[tuple[int, int, int, bytes]]:
    """Two TCP connections that speak in turn, a packet a second."""
    ethernet = bytes(12) + b"\x08\x00"
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0)
    found = []
    for n in range(packets):
        addresses = struct.pack("!II", 0x0A000001 + n % 2, 0x0A0000FE)
        ack = struct.pack("!HHIIBBHHH", 40_000, 443, n, 0, 0x50, 0x10, 0, 0, 0)
        found.append((1_700_000_000 + n, 0, 54, ethernet + header + addresses + ack))
    return found


def other_machine(seconds: int) -> tuple[int, int, int, bytes]:
    addresses = struct.pack("!II", 0x0A000009, 0x0A0000FE)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, 17, 0)
    udp = struct.pack("!HHHH", 123, 123, 8, 0)
    return seconds, 0, 42, bytes(12) + b"\x08\x00" + header + addresses + udp


@pytest.mark.parametrize("jump", [YEARS, -YEARS // 2, 10 * HOUR, -10 * HOUR])
def test_one_packet_with_a_wrong_clock_cuts_no_other_flow(jump):
    session = long_session(600)
    strange = other_machine(1_700_000_000 + jump)
    flows, counts, _ = metered(as_pcap([*session[:300], strange, *session[300:]]))
    alone, _, _ = metered(as_pcap(session))
    assert_frame_equal(flows.filter(pl.col("src_port") != 123), alone)
    assert counts.jumps_back == 1


def test_two_clocks_in_one_capture_give_the_flows_of_each():
    """A merged capture of two sensors, one of them ten hours ahead."""
    session = long_session(1_500)
    ahead = [other_machine(1_700_000_000 + 10 * HOUR + n) for n in range(1_500)]
    mixed = [packet for pair in zip(session, ahead, strict=True) for packet in pair]
    flows, counts, _ = metered(as_pcap(mixed))
    apart, _, _ = metered(as_pcap(session), as_pcap(ahead))
    assert_frame_equal(flows.sort("flow_id"), apart.sort("flow_id"))
    assert counts.jumps_back == 1_499


def test_a_clock_that_is_set_back_loses_no_packet():
    session = long_session(1_500)
    earlier = [(seconds - 7 * HOUR, *rest) for seconds, *rest in session]
    flows, counts, _ = metered(as_pcap([*session, *earlier]))
    assert flows["src_packets"].sum() + flows["dst_packets"].sum() == 3_000
    assert flows.height == 4, "each connection is cut where its own clock jumps, and nowhere else"
    assert counts.jumps_back == 1
