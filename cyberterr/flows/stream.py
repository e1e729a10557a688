"""One direction of a TCP connection, put back in order in bounded memory."""

from __future__ import annotations

_SPACE = 1 << 32
_WINDOW = 1 << 20
_MAX_AHEAD = 8
_MAX_BYTES = 70_000  # one DNS message over TCP (65,537 bytes) must fit


class NotThisProtocol(Exception):
    """The bytes are not the protocol that was tried."""


class Stream:
    """The bytes one side sent and nobody has read yet, in TCP sequence order (RFC 9293 §3.4).

    Attributes:
        data: unread bytes in order.
        fresh: true when the last segment began a new piece: the first one seen, or after a gap.
    """

    __slots__ = ("_ahead", "_first", "_next", "_touched", "data", "fresh")

    def __init__(self) -> None:
        self.data = b""
        self.fresh = False
        self._first = -1
        self._next = -1
        self._touched = False
        self._ahead: dict[int, bytes] = {}

    def push(self, seq: int, payload: bytes) -> bool:
        """Add a segment; true when there is something new to read.

        Args:
            seq: sequence number of the first byte, 0..2**32-1.
            payload: at most 65,535 bytes.
        """
        self.fresh = self._next < 0
        if self.fresh:
            self._first = seq
        elif seq != self._next:
            ahead = (seq - self._next) % _SPACE
            behind = _SPACE - ahead
            if ahead < _WINDOW:
                self._ahead[seq] = payload
                return len(self._ahead) > _MAX_AHEAD and self.skip_gap()
            if behind > _WINDOW:
                self._restart(seq)
            elif behind >= len(payload):
                return not self._touched and self._prepend(seq, payload)
            else:
                payload = payload[behind:]
                seq = self._next
        self._append(seq, payload)
        return True

    def take(self, count: int) -> None:
        """Forget the first *count* unread bytes: they have been read."""
        self._touched = True
        self.data = self.data[count:]

    def held(self) -> int:
        """Bytes kept in memory."""
        return (
            len(self.data) + sum(map(len, self._ahead.values())) if self._ahead else len(self.data)
        )

    def _append(self, seq: int, payload: bytes) -> None:
        self.data = self.data + payload if self.data else payload
        self._next = (seq + len(payload)) % _SPACE
        while self._ahead and self._next in self._ahead:
            payload = self._ahead.pop(self._next)
            self.data += payload
            self._next = (self._next + len(payload)) % _SPACE
        if len(self.data) > _MAX_BYTES:
            self.take(len(self.data))

    def _prepend(self, seq: int, payload: bytes) -> bool:
        """Two first segments that came in the wrong order."""
        if (seq + len(payload)) % _SPACE != self._first:
            return False
        self.data = payload + self.data
        self._first = seq
        self.fresh = True
        return True

    def _restart(self, seq: int) -> None:
        self.data = b""
        self._ahead.clear()
        self._next = seq
        self.fresh = True

    def skip_gap(self) -> bool:
        """Go on behind bytes that the sensor never saw; false when nothing lies behind them."""
        if not self._ahead:
            return False
        nearest = min(self._ahead, key=lambda seq: (seq - self._next) % _SPACE)
        payload = self._ahead.pop(nearest)
        self.data = b""
        self._next = nearest
        self.fresh = True
        self._append(nearest, payload)
        return True
