"""What the payloads say: messages go in, rows of DNS, TLS, HTTP, SSH, machines and logins come out.

A conversation is known by its port where the protocol has one, else by its first bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cyberterr.contracts.flow import Tables
from cyberterr.flows.connections import Connections
from cyberterr.flows.datagrams import Datagrams
from cyberterr.flows.found import Found
from cyberterr.flows.message import Message as Message
from cyberterr.flows.questions import Questions

_TCP, _UDP = 6, 17


class Layer7:
    """Decodes messages in bounded memory.

    Args:
        sensor: the name in the rows.
        key: makes the account hashes of this site unlike those of others.
    """

    def __init__(self, sensor: str, key: bytes = b"") -> None:
        self._found = Found(sensor)
        self._questions = Questions(self._found)
        self._datagrams = Datagrams(self._found, self._questions)
        self._connections = Connections(self._found, self._questions, key)

    def __len__(self) -> int:
        """Rows that wait for `drain`."""
        return len(self._found)

    @property
    def dropped(self) -> int:
        """Conversations given up in the middle because too many were open."""
        return self._connections.dropped

    def feed(self, messages: Iterable[Message]) -> None:
        """Decode *messages*, in the order of the capture."""
        message = None
        for message in messages:
            if message.protocol == _TCP:
                self._connections.hear(message)
            elif message.protocol == _UDP:
                self._datagrams.hear(message)
        if message is None:
            return
        # With a clock that jumps back only the bounds on memory hold.
        for part in (self._questions, self._datagrams, self._connections):
            part.expire(message.time_ns)

    def drain(self, final: bool = False) -> Tables:
        """The rows since the last call, without flows.

        Args:
            final: nothing comes any more: what waits for an answer is given without one.
        """
        if final:
            for part in (self._connections, self._questions, self._datagrams):
                part.end()
        return self._found.take_tables()

    def named(self, flows: pl.DataFrame) -> pl.DataFrame:
        """Finished *flows*, in the order of their first packet, with the service recognised."""
        return self._found.services.named(flows)
