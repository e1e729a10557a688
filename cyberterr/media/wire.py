"""What the decoding child says to its parent: framed messages over a pipe."""

from __future__ import annotations

import os
import struct
from enum import Enum
from typing import BinaryIO, NamedTuple

HEADER = struct.Struct("<cI")
LONGEST = 64 << 20
"""bytes of one message; a longer one is a defect or an attack"""


class Say(Enum):
    """What a message holds."""

    CONTAINER = b"c"
    """JSON of `recording.Container`"""
    PROVENANCE = b"p"
    """JSON of `contracts.media.Provenance`"""
    SOUND = b"s"
    """float32 samples, mono at 16 kHz"""
    NATIVE = b"n"
    """JSON of `recording.Native`: the last message of a whole recording"""
    REFUSED = b"r"
    """JSON of `Refusal`: why there is no sound; the last message"""


class Refusal(NamedTuple):
    """Why a file cannot be judged, and what to try."""

    message: str
    hint: str


def send(descriptor: int, what: Say, payload: bytes | memoryview) -> None:
    """Write one message; blocks while the reader is busy."""
    for part in (HEADER.pack(what.value, len(payload)), payload):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def receive(pipe: BinaryIO) -> tuple[Say, bytes] | None:
    """The next message, or None where the sender is gone.

    Raises:
        ValueError: what came is no message.
    """
    head = pipe.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    code, length = HEADER.unpack(head)
    if length > LONGEST:
        raise ValueError(f"a message of {length} bytes")
    payload = pipe.read(length)
    return None if len(payload) < length else (Say(code), payload)
