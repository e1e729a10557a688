"""Why the standards and nfstream make different things of one frame."""

from __future__ import annotations

from decode import IN6, IPIP, SCTP, UDPLITE, VLAN_TAGS, Reading, big
from nfstream_reading import CAPWAP, Counted, counted
from pcap import Record

UNEXPLAINED = "unexplained"


def why(record: Record, reading: Reading, theirs: Counted | None) -> str:
    """The cause, in words, from what the frame holds; `UNEXPLAINED` where none is known."""
    if not reading.layers:
        return _without_ip(record.frame)
    carrier, flow = reading.layers[0], reading.layers[-1]
    if any(layer.fragment and not layer.fragment[1] for layer in reading.layers):
        return "later fragment: nfstream leaves it out, cyberterr counts it"
    if CAPWAP in (flow.src_port, flow.dst_port):
        return _capwap(theirs, record.wire)
    if theirs and theirs.tunnel:
        return f"{theirs.tunnel}: nfstream counts the content, cyberterr what carries it"
    if flow.inside and theirs and (theirs.src, theirs.dst) == (carrier.src, carrier.dst):
        return f"{flow.inside}: cyberterr counts the content, nfstream what carries it"
    unknown = [name for name in reading.between if name not in ("802.1Q", "MPLS")]
    if unknown:
        return f"{unknown[0]}: nfstream does not read past it"
    tags = [name for name in reading.between if name in VLAN_TAGS.values()]
    if len(tags) > 1 and theirs and theirs.vlan == reading.tags[-1]:
        return "two VLAN tags: cyberterr names the flow by the outer one, nfstream by the inner"
    if flow.stated in (0, 40) and flow.size > flow.stated:
        return "length field 0 (left to the network card, or a jumbogram): nfstream goes by it"
    if theirs is None and len(record.frame) < 28:
        return "frame below 28 bytes: nfstream leaves it out"
    if theirs is None and counted(record.frame.ljust(record.wire, b"\0")):
        return "cut off by the snap length: nfstream leaves it out, and would not if it were whole"
    if theirs is None and len(flow.src) == 16 and flow.stated > flow.size:
        return "IPv6 states more bytes than were on the wire: nfstream leaves it out"
    if theirs is None and flow.protocol == 59:
        return "IPv6 without a next header: nfstream leaves it out"
    if flow.protocol in (IPIP, IN6):
        return "IP in IP around something else: nfstream leaves the packet out or misreads it"
    if theirs and flow.protocol in (SCTP, UDPLITE):
        return "SCTP and UDP-Lite: nfstream has no ports for them"
    if theirs and theirs.size == flow.stated > flow.size:
        return "IP states more bytes than were on the wire: nfstream counts them"
    return UNEXPLAINED


def _without_ip(frame: bytes) -> str:
    kind = big(frame, 12) if len(frame) >= 14 else 0
    if kind in (0x0800, 0x86DD):
        return "broken IP header: cyberterr leaves it out and says so"
    return "EtherType is not IP's: nfstream goes by the first four bits after it"


def _capwap(theirs: Counted | None, wire: int) -> str:
    if theirs is None:
        return "CAPWAP: nfstream looks inside, finds nothing to read and leaves it out"
    if theirs.size > wire:  # no packet is longer than the frame that carries it
        return "CAPWAP: nfstream takes other bytes for an IP header"
    return "CAPWAP: nfstream counts the content"
