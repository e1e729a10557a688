"""The payload of one packet, and who spoke in its flow."""

from __future__ import annotations

from typing import NamedTuple

Who = tuple[int, str, str, int, int, int]
"""flow id, source and destination address, source and destination port, protocol"""


class Message(NamedTuple):
    """The payload of one packet. *src* and *dst* are those of the flow: client, then server."""

    time_ns: int
    flow_id: int
    from_src: bool
    src_ip: str
    dst_ip: str
    src_port: int
    dst_port: int
    protocol: int
    seq: int
    """TCP sequence number; 0 for UDP"""
    payload: bytes


def who_of(message: Message) -> Who:
    """The flow of *message* and its two ends."""
    return message[1], message[3], message[4], message[5], message[6], message[7]


def turned(who: Who) -> Who:
    """*who* with the ends exchanged."""
    flow_id, src_ip, dst_ip, src_port, dst_port, protocol = who
    return flow_id, dst_ip, src_ip, dst_port, src_port, protocol
