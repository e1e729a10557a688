"""SSH identification strings (RFC 4253 §4.2). Whether a login succeeded is encrypted."""

from __future__ import annotations

from cyberterr.flows.row import Row
from cyberterr.flows.stream import NotThisProtocol, Stream

_MAX_LINE = 255
_MAX_GREETING = 4_096


def starts(data: bytes) -> bool:
    """Whether *data* begins an SSH connection."""
    return data.startswith(b"SSH-")


def identification(data: bytes) -> str | None:
    """The identification string at the start of a side, or None while its line is incomplete.

    Lines in front of it, which a server may send, are passed over.

    Raises:
        NotThisProtocol: no such string within the first 4,096 bytes.
    """
    at = 0 if starts(data) else data.find(b"\nSSH-") + 1
    if at or starts(data):
        line, end, _ = data[at:].partition(b"\n")
        if end or len(line) >= _MAX_LINE:
            return line[:_MAX_LINE].rstrip(b"\r").decode("ascii", "backslashreplace")
    elif len(data) > _MAX_GREETING:
        raise NotThisProtocol
    return None


class Conversation:
    """Both identification strings of a connection, in one row."""

    __slots__ = ("_seen", "_time_ns", "done")

    def __init__(self) -> None:
        self._seen: dict[bool, str] = {}
        self._time_ns = 0
        self.done = False

    def hear(self, time_ns: int, asks: bool, stream: Stream) -> list[Row]:
        """Read one side's string; *asks* is true for the client's side."""
        self._time_ns = self._time_ns or time_ns
        text = identification(stream.data) if asks not in self._seen else None
        if text is not None:
            self._seen[asks] = text
        return self.end() if len(self._seen) == 2 else []

    def end(self) -> list[Row]:
        """The row, with what was seen."""
        seen, self._seen, self.done = self._seen, {}, True
        values = (seen.get(True), seen.get(False), None, None)
        return [Row("ssh", self._time_ns, values)] if seen else []
