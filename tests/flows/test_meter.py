"""The compiled meter on real captures, in every dress a capture can wear, and on broken ones."""

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
    meter = Meter(settings or Settings(), sensor="test", tap=True)
    frames, status = [], Status.NEED_MORE
    for capture in captures:
        meter.next_source()
        waiting = bytearray()
        for start in range(0, len(capture), block):
            waiting += capture[start : start + block]
            status = Status.FULL
            while status is Status.FULL and waiting:
                status, used = meter.feed(memoryview(waiting))
                del waiting[:used]
                if status is Status.FULL:
                    frames.append(meter.flows())
                    meter.collected()
            if status in (Status.NO_CAPTURE, Status.CORRUPT):
                break
    frames.append(meter.flows())
    meter.collected()
    frames += list(meter.finish())
    return pl.concat(frames), meter.counts(), status


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


@pytest.mark.parametrize("block_size", [1, 7, 1000, 1 << 20])
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
    meter = Meter(Settings(max_open_flows=1_000), sensor="test", tap=True)
    packets = -1
    for end in range(len(whole) + 1):
        before = meter.counts()
        meter.next_source()
        meter.feed(memoryview(bytearray(whole[:end])))
        now = meter.counts()
        meter.collected()
        assert now.packets - before.packets >= packets
        packets = now.packets - before.packets
    frames = list(meter.finish())
    total = sum(f["src_packets"].sum() + f["dst_packets"].sum() for f in frames)
    assert total <= meter.counts().ip_packets


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
