"""Every key on which cyberterr and nfstream count differently, and what in its packets is why.

    python benchmarks/meter/differences.py one.pcap --nfstream VENV/bin/python

Each packet is read twice more, in plain Python: by the standards (`decode.py`) and as nfstream
reads (`nfstream_reading.py`). A difference counts as explained when, on its key, the first reading
adds up to cyberterr's packets and bytes, the second to nfstream's, and each packet on which the two
part has a cause (`causes.py`). All else is printed as unexplained, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple

from causes import UNEXPLAINED, why
from decode import Layer, ethernet
from flow_tables import End, Key, Totals, add, by_cyberterr, by_nfstream, key
from nfstream_reading import counted
from pcap import SECOND, records

FRAGMENTS_WAIT = 30 * SECOND
Fragments = dict[tuple[bytes, bytes, int, int], tuple[int, int, int]]


class Parting(NamedTuple):
    """A packet on which the two readings part."""

    number: int
    cause: str


class Read(NamedTuple):
    """What the packets say that each program should have counted."""

    packets: int
    cyberterr: Totals
    nfstream: Totals
    partings: dict[Key, list[Parting]]


def read(capture: Path) -> Read:
    """Read every packet of *capture* both ways."""
    ours: Totals = {}
    theirs: Totals = {}
    partings: dict[Key, list[Parting]] = defaultdict(list)
    fragments: Fragments = {}
    number = 0
    for number, record in enumerate(records(capture), start=1):
        reading, other = ethernet(record.frame, record.wire), counted(record.frame)
        mine = its = None
        if reading.layers:
            layer = reading.layers[-1]
            src_port, dst_port = _ports(layer, record.time_ns, fragments)
            vlan = next(filter(None, reading.tags), 0)
            ends = _end(layer.src, src_port), _end(layer.dst, dst_port)
            mine = key(*ends, layer.protocol, vlan), layer.size
            add(ours, mine[0], 1, layer.size)
        if other:
            ends = _end(other.src, other.src_port), _end(other.dst, other.dst_port)
            its = key(*ends, other.protocol, other.vlan), other.size
            add(theirs, its[0], 1, other.size)
        if mine != its:
            parting = Parting(number, why(record, reading, other))
            for where in {one[0] for one in (mine, its) if one}:
                partings[where].append(parting)
    return Read(number, ours, theirs, partings)


def _end(address: bytes, port: int) -> End:
    return _text(address), port


@cache
def _text(address: bytes) -> str:
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


def _ports(layer: Layer, now: int, fragments: Fragments) -> tuple[int, int]:
    """The ports of *layer*; a later fragment has those of the first one, if that came before."""
    if not layer.fragment:
        return layer.src_port, layer.dst_port
    identification, first = layer.fragment
    datagram = layer.src, layer.dst, identification, layer.protocol
    if first:
        fragments[datagram] = now, layer.src_port, layer.dst_port
    time, *ports = fragments.get(datagram, (now, 0, 0))
    return (ports[0], ports[1]) if abs(now - time) < FRAGMENTS_WAIT else (0, 0)


def table(title: str, keys: Iterable[Key], ours: Totals, theirs: Totals, packets: Read) -> int:
    """Print *keys* by cause, with an example each; how many are unexplained."""
    groups: dict[str, list[Key]] = defaultdict(list)
    for one in sorted(keys):
        groups[_cause(one, ours, theirs, packets)].append(one)
    print(f"\n{title}: {sum(map(len, groups.values()))}")
    if groups:
        print("\n| cause | keys | packets | example |\n|---|---|---|---|")
    for cause, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        partings = {parting.number for one in members for parting in packets.partings.get(one, ())}
        example = _example(members[0], ours, theirs, packets)
        print(f"| {cause} | {len(members)} | {len(partings)} | {example} |")
    return len(groups[UNEXPLAINED])


def _cause(one: Key, ours: Totals, theirs: Totals, packets: Read) -> str:
    adds_up = packets.cyberterr.get(one) == ours.get(one)
    adds_up &= packets.nfstream.get(one) == theirs.get(one)
    causes = sorted({parting.cause for parting in packets.partings.get(one, ())})
    if not adds_up or not causes or UNEXPLAINED in causes:
        return UNEXPLAINED
    return " + ".join(causes)


def _example(one: Key, ours: Totals, theirs: Totals, packets: Read) -> str:
    (src, src_port), (dst, dst_port), protocol, vlan = one
    tag = f" VLAN {vlan}" if vlan else ""
    counts = " / ".join("{} p {} B".format(*side.get(one, (0, 0))) for side in (ours, theirs))
    numbers = [parting.number for parting in packets.partings.get(one, ())]
    first = f", packet {numbers[0]}" if numbers else ""
    return f"{src}:{src_port} - {dst}:{dst_port} protocol {protocol}{tag}: {counts}{first}"


def agreement(name: str, program: Totals, packets: Totals) -> str:
    """How many keys of a program have the packets and bytes that a reading gives them."""
    equal = sum(program.get(one) == packets.get(one) for one in program.keys() | packets.keys())
    return f"{name}: {equal} of {len(program.keys() | packets.keys())} keys"


def main() -> None:
    """Print the tables; exit with 1 if a difference is left unexplained."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("capture", type=Path, help="an Ethernet capture")
    parser.add_argument("--nfstream", required=True, help="a Python that has nfstream 6.6.0")
    arguments = parser.parse_args()
    ours = by_cyberterr(arguments.capture)
    theirs = by_nfstream(arguments.capture, arguments.nfstream)
    packets = read(arguments.capture)
    common = ours.keys() & theirs.keys()
    different = {one for one in common if ours[one] != theirs[one]}
    equal = len(common) - len(different)
    print(f"{packets.packets} packets; keys: cyberterr {len(ours)}, nfstream {len(theirs)}")
    print(
        f"common keys with equal packets and bytes: {equal} of {len(common)} = "
        f"{100 * equal / max(1, len(common)):.3f} %"
    )
    print("read from the packets once more, equal packets and bytes:")
    print(f"  {agreement('by the standards, with cyberterr', ours, packets.cyberterr)}")
    print(f"  {agreement('as nfstream reads, with nfstream', theirs, packets.nfstream)}")
    print("(p packets, B bytes: cyberterr / nfstream)")
    unexplained = (
        table("common keys that differ", different, ours, theirs, packets)
        + table("keys of cyberterr only", ours.keys() - theirs.keys(), ours, theirs, packets)
        + table("keys of nfstream only", theirs.keys() - ours.keys(), ours, theirs, packets)
    )
    print(f"\nunexplained: {unexplained}")
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
