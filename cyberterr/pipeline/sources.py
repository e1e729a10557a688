"""Sources become tables: every capture through one meter, every log through its reader."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl

from cyberterr.capture import netflow, suricata, tshark, zeek
from cyberterr.capture.live import Live
from cyberterr.capture.source import Source, discover, open_stream
from cyberterr.config import Settings, account_key
from cyberterr.contracts import Tables
from cyberterr.contracts.packet import Packet
from cyberterr.errors import CyberterrError, SourceError
from cyberterr.flows import reference
from cyberterr.flows.layer7 import Layer7, Message
from cyberterr.flows.meter import Counts, Meter, Status
from cyberterr.flows.tapped import messages

Engine = Literal["auto", "ours", "pyshark"]

BLOCK_BYTES = 2 << 20
"""About a second-level cache: larger blocks are slower, not faster."""
PEEK_BYTES = 256 << 10
TICK_S = 1.0
_CAPTURES = ("pcap", "pcapng")


@dataclass(slots=True)
class Reading:
    """How far the reading is; a caller may look at it at any time."""

    bytes_total: int | None = 0
    """on disk; None where a source does not say (a pipe, a live interface)"""
    bytes: int = 0
    packets: int = 0
    flows: int = 0
    evicted: int = 0
    dropped: int = 0
    source: str = ""
    """what is being read now"""
    clock_ns: int = 0
    """time the packets have reached"""
    warnings: list[str] = field(default_factory=list)
    errors: list[CyberterrError] = field(default_factory=list)
    """sources that could not be read; the others were"""
    changed: Callable[[Reading], None] = lambda _: None
    """called after each block"""

    interrupted: bool = False

    def interrupt(self) -> None:
        """Note that a person or the system ended the reading."""
        self.interrupted = True
        self.warn("interrupted: only what was read until then was judged")

    def warn(self, text: str) -> None:
        """Remember a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)


def read_tables(
    paths: Sequence[str | Path],
    settings: Settings,
    reading: Reading,
    *,
    layer7: bool = True,
    engine: Engine = "auto",
) -> Generator[Tables, None, None]:
    """Read files, folders and standard input (`-`) in bounded parts.

    An interrupt, in here or thrown in, ends the reading; open flows are closed and given first.
    The captures of one call are one stream through one meter, the one with the earliest packet
    first. A source that cannot be read is added to `reading.errors`; the others are still read.

    Args:
        paths: as a person named them.
        settings: time-outs of the meter, name of the sensor.
        reading: filled while the iterator runs.
        layer7: decode DNS, TLS, HTTP, SSH, machine orders and logins too.
        engine: `pyshark` reads captures through tshark; `auto` only those our reader cannot.
    """
    discovery = discover(paths)
    reading.errors += discovery.errors
    reading.warnings += discovery.warnings
    sizes = [source.size for source in discovery.sources]
    known = [size for size in sizes if size is not None]
    reading.bytes_total = sum(known) if len(known) == len(sizes) else None
    captures = [source for source in discovery.sources if source.kind in _CAPTURES]
    ours, foreign = _divided(captures, engine)
    foreign += [source for source in discovery.sources if source.kind == "wireshark"]
    logs = [s for s in discovery.sources if s.kind not in (*_CAPTURES, "wireshark")]
    try:
        if ours:
            yield from _metered(ours, settings, reading, layer7)
        for source in foreign if not reading.interrupted else ():
            yield from _survived(_dissected(source, settings, reading, layer7), reading)
        for source in logs if not reading.interrupted else ():
            yield from _survived(_logged(source, settings, reading), reading)
    except KeyboardInterrupt:
        reading.interrupt()


def read_live(
    interface: str,
    settings: Settings,
    reading: Reading,
    *,
    bpf: str = "",
    duration_s: int | None = None,
    engine: Engine = "auto",
) -> Generator[Tables, None, None]:
    """Capture on *interface* with dumpcap until it ends; tables come at least every second.

    Raises:
        MissingPartError: dumpcap is absent or may not capture.
        SourceError: no such interface.
        UsageError: the filter is wrong.
    """
    reading.bytes_total = None
    reading.source = interface
    with Live(interface, bpf=bpf, duration_s=duration_s) as live:
        if engine == "pyshark":
            seen = tshark.Reading()
            packets = _counted(tshark.read_stream(live.stream, seen), seen, reading)
            yield from _through_reference(packets, settings, reading, layer7=True)
        else:
            stream = _Stream(settings, reading, layer7=True)
            try:
                yield from stream.read(live.stream, interface, live=lambda: live.dropped)
            except KeyboardInterrupt:
                reading.interrupt()
            yield from stream.end()
    reading.dropped = live.dropped


def _divided(captures: Sequence[Source], engine: Engine) -> tuple[list[Source], list[Source]]:
    """Captures for our reader, by first packet, and those for tshark."""
    ours: list[tuple[int, str, Source]] = []
    foreign: list[Source] = []
    for source in captures:
        counts = None if source.stream else _peeked(source)
        unknown = counts is not None and 0 < counts.packets == counts.unknown_link
        if engine == "pyshark" or (unknown and engine == "auto"):
            foreign.append(source)
        else:
            ours.append((counts.first_ns if counts else 0, source.path, source))
    return [source for *_, source in sorted(ours, key=lambda item: item[:2])], foreign


def _peeked(source: Source) -> Counts | None:
    """What the first packets say: when they begin, and whether we know their link type."""
    meter = Meter(Settings().meter, sensor="", tap=False)
    try:
        with open_stream(source, lambda _: None) as stream:
            head = bytearray(stream.read(PEEK_BYTES))
    except (CyberterrError, OSError):
        return None  # reading it for good will say what is wrong
    meter.feed(memoryview(head))
    return meter.counts()


def _metered(
    sources: Sequence[Source], settings: Settings, reading: Reading, layer7: bool
) -> Iterator[Tables]:
    stream = _Stream(settings, reading, layer7=layer7)
    for source in sources:
        try:
            with open_stream(source, reading.warn) as data:
                yield from stream.read(data, source.path)
        except KeyboardInterrupt:
            reading.interrupt()
            break
        except CyberterrError as error:
            reading.errors.append(error)
        except OSError as error:
            reading.errors.append(
                SourceError(f"cannot be read: {error.strerror or error}", where=source.path)
            )
    yield from stream.end()


class _Stream:
    """All captures of one call: one meter, and layer 7 beside it."""

    def __init__(self, settings: Settings, reading: Reading, *, layer7: bool) -> None:
        self._meter = Meter(settings.meter, sensor=settings.site.sensor, tap=layer7)
        self._layer7 = Layer7(settings.site.sensor, account_key()) if layer7 else None
        self._services: dict[int, str] = {}
        self._reading = reading
        self._before = self._meter.counts()

    def read(
        self, data: BinaryIO, where: str, live: Callable[[], int] | None = None
    ) -> Iterator[Tables]:
        """Take one capture; where *live* is given it tells the packets lost so far.

        Raises:
            SourceError: it has no capture magic, or nothing in it can be read.
        """
        meter, reading = self._meter, self._reading
        reading.source = where
        meter.next_source()
        self._before = meter.counts()
        buffer = memoryview(bytearray(BLOCK_BYTES))
        waiting = at = 0
        while (count := _fill(data, buffer[waiting:], live=live is not None)) is not None:
            waiting += count
            reading.bytes += count
            at, status = 0, Status.FULL
            while status is Status.FULL:
                status, used = meter.feed(buffer[at:waiting])
                at += used
                if status is Status.FULL or live is not None:
                    yield self._collected()
            if status is Status.NO_CAPTURE:
                raise SourceError("is no capture, or is cut off in its header", where=where)
            if status is Status.CORRUPT:
                self._report(where, f"is damaged at byte {reading.bytes - waiting + at}")
                return
            buffer[: waiting - at] = buffer[at:waiting]
            waiting -= at
            self._count()
            if live is not None:
                meter.expire(time.time_ns())
                reading.dropped = live()
        self._report(where, "ends in the middle of a packet" if waiting else "")

    def end(self) -> Iterator[Tables]:
        """Close all open flows."""
        # Payloads first: a flow's service is known before the flow comes.
        yield self._collected(final=True)
        for flows in self._meter.finish():
            if flows.height:
                yield Tables(flows=self._named(flows))
        self._count()

    def _collected(self, *, final: bool = False) -> Tables:
        tables = Tables()
        if self._layer7 is not None:
            self._layer7.feed(messages(self._meter.tapped()))
            tables = self._layer7.drain(final=final)
            self._services.update(self._layer7.take_services())
        tables = replace(tables, flows=self._named(self._meter.flows()))
        self._meter.collected()
        return tables

    def _named(self, flows: pl.DataFrame) -> pl.DataFrame:
        """*flows* with the service that layer 7 recognised."""
        if not self._services or not flows.height:
            return flows
        names = [self._services.pop(flow, None) for flow in flows["flow_id"]]
        return flows.with_columns(pl.Series("service", names, dtype=pl.String))

    def _count(self) -> None:
        counts, reading = self._meter.counts(), self._reading
        reading.packets, reading.flows = counts.packets, counts.flows + counts.open_flows
        reading.evicted, reading.dropped = counts.evicted, counts.dropped
        reading.clock_ns = counts.last_ns
        reading.changed(reading)

    def _report(self, where: str, ending: str) -> None:
        """Say how far *where* was read.

        Raises:
            SourceError: nothing in it could be read.
        """
        now, before, warn = self._meter.counts(), self._before, self._reading.warn
        packets = now.packets - before.packets
        unknown = now.unknown_link - before.unknown_link
        if ending and not packets:
            raise SourceError(f"{ending}, before the first packet", where=where)
        if ending:
            warn(f"{where}: {ending}; {packets} packets before it were read")
        if unknown:
            warn(
                f"{where}: {unknown} of {packets} packets have link type {now.unknown_link_type}, "
                "which our reader does not know; try --engine pyshark"
            )
        malformed = now.malformed - before.malformed
        if malformed:
            warn(f"{where}: {malformed} of {packets} packets have broken headers and were left out")
        if now.cut_short > before.cut_short:
            warn(
                f"{where}: {now.cut_short - before.cut_short} of {packets} packets were cut off by "
                "the capture's snap length: names and payloads may be missing"
            )
        if now.without_time > before.without_time:
            warn(f"{where}: {now.without_time - before.without_time} packets carry no time")


def _fill(data: BinaryIO, room: memoryview, *, live: bool) -> int | None:
    """Read into *room*; bytes read, None at the end. Live: 0 when a quiet second has passed."""
    if not live:
        return data.readinto1(room) or None  # type: ignore[attr-defined]  # all are BufferedReaders
    ready, _, _ = select.select([data], [], [], TICK_S)
    if not ready:
        return 0
    block = data.read1(len(room))  # type: ignore[attr-defined]
    room[: len(block)] = block
    return len(block) or None


def _survived(tables: Iterable[Tables], reading: Reading) -> Iterator[Tables]:
    try:
        yield from tables
    except CyberterrError as error:
        reading.errors.append(error)


def _dissected(
    source: Source, settings: Settings, reading: Reading, layer7: bool
) -> Iterator[Tables]:
    reading.source = source.path
    seen = tshark.Reading()
    if source.stream is not None and source.path == "-":
        raise SourceError(
            "the pyshark engine cannot read standard input",
            hint="write it to a file first",
            where="-",
        )
    packets = _counted(tshark.read_file(Path(source.path), seen), seen, reading)
    yield from _through_reference(packets, settings, reading, layer7=layer7)
    reading.bytes += source.size or 0
    reading.changed(reading)


def _counted(packets: Iterable[Packet], seen: tshark.Reading, reading: Reading) -> Iterator[Packet]:
    before = reading.packets
    for packet in packets:
        reading.packets = before + seen.packets
        reading.clock_ns = packet.time_ns
        yield packet
    reading.packets = before + seen.packets
    for text in seen.warnings:
        reading.warn(text)


def _through_reference(
    packets: Iterable[Packet], settings: Settings, reading: Reading, *, layer7: bool
) -> Iterator[Tables]:
    decoder = Layer7(settings.site.sensor, account_key())
    services: dict[int, str] = {}
    frames = reference.meter(
        packets,
        settings.meter,
        sensor=settings.site.sensor,
        tap=(lambda tapped: decoder.feed([Message(*tapped)])) if layer7 else None,
    )
    for flows in frames:
        services.update(decoder.take_services())
        names = [services.pop(flow, None) for flow in flows["flow_id"]]
        named = flows.with_columns(pl.Series("service", names, dtype=pl.String))
        reading.flows += flows.height
        yield replace(decoder.drain(), flows=named)
    yield decoder.drain(final=True)


def _logged(source: Source, settings: Settings, reading: Reading) -> Iterator[Tables]:
    reading.source = source.path
    reader = {"zeek": zeek.read, "eve": suricata.read}.get(source.kind, netflow.read)
    for tables in reader(source, sensor=settings.site.sensor, warn=reading.warn):
        reading.flows += tables.flows.height
        reading.changed(reading)
        yield tables
    reading.bytes += source.size or 0
