"""What the decoders of machine protocols give: one row a protocol data unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cyberterr.flows.row import Row
from cyberterr.flows.stream import NotThisProtocol, Stream

UNKNOWN = ("unknown function", "other")


class Pdu(NamedTuple):
    """One protocol data unit.

    Attributes:
        function: code, as the protocol numbers it.
        name: in the words of the standard.
        kind: read, write, control, diagnostic or other.
        unit: unit, station or slave id.
        address: first register, coil or object.
        request: whether its sender asks; None where only the ports tell.
    """

    function: int
    name: str
    kind: str
    unit: int | None = None
    address: int | None = None
    request: bool | None = None


Read = Callable[[bytes, bool], tuple[list[Pdu], int]]
"""Decode one side's bytes: the complete units, and how many bytes they took."""


def row(protocol: str, time_ns: int, pdu: Pdu, *, asks: bool) -> Row:
    """The row of *pdu*; *asks* says whether its sender is the client of the flow."""
    request = asks if pdu.request is None else pdu.request
    values = (protocol, pdu.function, pdu.name, pdu.kind, request, pdu.unit, pdu.address)
    return Row("ot", time_ns, values, request != asks)


class Conversation:
    """Every unit of one TCP connection; after a gap or garbage it goes on at the next segment."""

    __slots__ = ("_protocol", "_read", "_spoken")
    done = False

    def __init__(self, protocol: str, read: Read) -> None:
        self._protocol = protocol
        self._read = read
        self._spoken = False

    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]:
        """Read what is new; *asks* is true for the client's side.

        Raises:
            NotThisProtocol: the connection does not begin as this protocol.
        """
        try:
            pdus, used = self._read(stream.data, asks)
        except NotThisProtocol:
            if not self._spoken:
                raise
            pdus, used = [], len(stream.data)
        if used:
            self._spoken = True
            stream.take(used)
        return [row(self._protocol, time_ns, pdu, asks=asks) for pdu in pdus]

    def end(self) -> list[Row]:
        """Nothing: half a unit is no unit."""
        return []
