"""What a source is: files, folders and streams, told apart by content and never by name."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from cyberterr.capture.content import Content, described, recognise
from cyberterr.capture.decompress import Compression, compression_of, decompressed, replayed
from cyberterr.errors import CyberterrError, SourceError

HEAD_BYTES = 256 << 10
READ_BYTES = 64 << 10
BUFFER_BYTES = 1 << 20
NAMED = 5
"""Names in a warning before it says how many more there are."""

ACCEPTED = (
    "accepted: pcap and pcapng, formats of Wireshark, Zeek (conn, dns, ssl, http, ssh), "
    "Suricata EVE, nfdump and its CSV, Argus binetflow; plain or gz, zst, xz"
)

Kind = Literal["pcap", "pcapng", "wireshark", "zeek", "eve", "nfdump", "nfdump-csv", "binetflow"]


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to read: a capture, a log, or all Zeek logs of one folder.

    Attributes:
        path: as given, or found below the folder given; `-` for standard input.
        kind: which reader it needs; `wireshark` is what only tshark reads.
        compression: of the file itself; empty for a plain one.
        detail: the Zeek log (`conn` …), or the format's name for `wireshark`.
        json: a Zeek log of JSON lines, else of tab-separated columns.
        size: bytes on disk; None for a pipe.
        parts: the log files of a Zeek source, connections first.
        stream: a pipe that was opened to look at it: it can be read once.
    """

    path: str
    kind: Kind
    compression: Compression = ""
    detail: str = ""
    json: bool = False
    size: int | None = None
    parts: tuple[Source, ...] = ()
    stream: BinaryIO | None = field(default=None, compare=False, repr=False)


class Discovery(NamedTuple):
    """What was found, what cannot be read, and what a person should know."""

    sources: list[Source]
    errors: list[CyberterrError]
    warnings: list[str]


class _Unused(NamedTuple):
    path: str
    why: str


def discover(paths: Sequence[str | Path]) -> Discovery:
    """Find the sources that *paths* name: files, folders (recursive, sorted), `-` for stdin.

    Folders and files reached twice, by a link or by name, are read once. In a folder, what is
    no capture and no log is passed over and named in one warning; a file that was named itself
    is an error. The others are still found.
    """
    sources: list[Source] = []
    errors: list[CyberterrError] = []
    unused_logs: list[_Unused] = []
    passed_over: list[_Unused] = []
    seen: set[tuple[int, int]] = set()
    for given in map(str, paths):
        before = len(sources) + len(errors) + len(unused_logs)
        is_folder = _is_folder(given)
        for path in _walk(Path(given), seen, errors) if is_folder else (given,):
            try:
                if not is_folder and _reached_before(given, seen):
                    continue
                found = _look(path)
            except OSError as error:
                errors.append(_unreadable(path, error))
            except SourceError as error:
                if is_folder:
                    passed_over.append(_Unused(path, error.message))
                else:
                    errors.append(error)
            else:
                if isinstance(found, Source):
                    sources.append(found)
                else:
                    unused_logs.append(found)
        if is_folder and len(sources) + len(errors) + len(unused_logs) == before:
            errors.append(
                SourceError("the folder holds nothing to read", hint=ACCEPTED, where=given)
            )
    if unused_logs and not any(source.kind == "zeek" for source in sources):
        errors += [_not_used(log) for log in unused_logs]
        unused_logs = []
    return Discovery(_gather(sources), errors, _warnings(unused_logs, passed_over))


def open_stream(source: Source, warn: Callable[[str], None]) -> BinaryIO:
    """The bytes of *source*, decompressed, in bounded memory.

    A compressed file that is cut off or damaged ends where the damage is, after one warning.

    Raises:
        SourceError: the file cannot be opened any more, or the pipe was read before.
    """
    if source.stream is not None:
        if source.stream.closed:
            raise SourceError("the stream was read already", where=source.path)
        return source.stream
    try:
        raw = Path(source.path).open("rb", buffering=BUFFER_BYTES)  # noqa: SIM115 - the caller closes
    except OSError as error:
        raise _unreadable(source.path, error) from None
    if not source.compression:
        return raw
    return decompressed(raw, source.compression, lambda text: warn(f"{source.path}: {text}"))


def _is_folder(given: str) -> bool:
    try:
        return given != "-" and Path(given).is_dir()
    except OSError:
        return False  # opening it will say why


def _reached_before(path: str, seen: set[tuple[int, int]]) -> bool:
    if path == "-":
        return False
    status = Path(path).stat()
    key = (status.st_dev, status.st_ino)
    again = key in seen
    seen.add(key)
    return again


def _walk(folder: Path, seen: set[tuple[int, int]], errors: list[CyberterrError]) -> Iterator[str]:
    """Regular files below *folder* in name order, links followed, nothing twice."""
    pending = [folder]
    while pending:
        path = pending.pop()
        try:
            if _reached_before(str(path), seen):
                continue
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                pending += sorted(path.iterdir(), reverse=True)
            elif stat.S_ISREG(mode):
                yield str(path)
        except OSError as error:
            errors.append(_unreadable(str(path), error))


def _look(path: str) -> Source | _Unused:
    """Open *path*, look at its first bytes, and say what it is.

    Raises:
        SourceError: it is empty, or neither a capture nor a log.
        OSError: it cannot be read.
    """
    if path == "-":
        if sys.stdin.isatty():
            raise SourceError(
                "standard input is a terminal", hint="pipe a capture or a log into it", where=path
            )
        return _look_into(path, sys.stdin.buffer, None)
    status = Path(path).stat()
    stream = Path(path).open("rb", buffering=BUFFER_BYTES)  # noqa: SIM115 - a pipe stays open
    if not stat.S_ISREG(status.st_mode):
        return _look_into(path, stream, None)
    with stream:
        found = _look_into(path, stream, status.st_size)
    return replace(found, stream=None) if isinstance(found, Source) else found


def _look_into(path: str, raw: BinaryIO, size: int | None) -> Source | _Unused:
    magic = raw.read(6)
    if not magic:
        raise SourceError("the file is empty", hint=ACCEPTED, where=path)
    compression = compression_of(magic)
    stream = replayed(magic, raw)
    damage: list[str] = []
    if compression:
        stream = decompressed(stream, compression, damage.append)
    head = b""
    content: Content | None = None
    while content is None and len(head) < HEAD_BYTES:
        chunk = stream.read1(READ_BYTES)  # type: ignore[attr-defined]  # both are BufferedReaders
        if not chunk:
            break
        head += chunk
        content = recognise(head, complete=False)
    content = content or recognise(head, complete=True)
    if content is None:
        unknown = f"is {described(head or magic)}, no capture and no log we read"
        raise SourceError(damage[0] if damage else unknown, hint=ACCEPTED, where=path)
    if content.kind == "unused":
        return _Unused(path, content.detail)
    return Source(
        path=path,
        kind=content.kind,
        compression=compression,
        detail=content.detail,
        json=content.json,
        size=size,
        stream=replayed(head, stream),
    )


def _gather(sources: list[Source]) -> list[Source]:
    """All Zeek logs of one folder become one source, where the first of them stood."""
    folders: dict[str, list[Source]] = {}
    for source in sources:
        if source.kind == "zeek":
            folders.setdefault(str(Path(source.path).parent), []).append(source)
    gathered = []
    for source in sources:
        if source.kind != "zeek":
            gathered.append(source)
        elif logs := folders.pop(str(Path(source.path).parent), None):
            logs.sort(key=lambda log: (log.detail != "conn", log.detail, log.path))
            whole = logs[0] if len(logs) == 1 else Source(str(Path(source.path).parent), "zeek")
            sizes = [log.size for log in logs if log.size is not None]
            size = sum(sizes) if len(sizes) == len(logs) else None
            gathered.append(replace(whole, parts=tuple(logs), size=size))
    return gathered


def _warnings(unused_logs: list[_Unused], passed_over: list[_Unused]) -> list[str]:
    warnings = []
    if unused_logs:
        names = _some(sorted({log.why for log in unused_logs}))
        warnings.append(f"Zeek logs that are not used are skipped: {names}")
    if passed_over:
        names = _some([file.path for file in passed_over])
        warnings.append(f"{len(passed_over)} files are no capture and no log, skipped: {names}")
    return warnings


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _not_used(log: _Unused) -> SourceError:
    return SourceError(
        f"the Zeek log {log.why} is not used",
        hint="name the folder, or one of conn.log, dns.log, ssl.log, http.log, ssh.log",
        where=log.path,
    )


def _unreadable(path: str, error: OSError) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return SourceError("no such file or folder", hint="check the path", where=path)
    if isinstance(error, PermissionError):
        return SourceError(
            "no permission to read it", hint=f"try: ls -l {path}, or another account", where=path
        )
    return SourceError(f"cannot be read: {error.strerror or error}", hint=ACCEPTED, where=path)
