"""SSH identification strings (RFC 4253 §4.2). Whether a login succeeded is encrypted."""

from __future__ import annotations

from cyberterr.flows.stream import NotThisProtocol

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
