"""Sources become tables: every capture through one meter, every log through its reader."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cyberterr.capture import elastic, netflow, suricata, tshark, zeek
from cyberterr.capture.elastic_search import PREFIX, Selection, narrowed, parsed
from cyberterr.capture.live import Live
from cyberterr.capture.source import Source, discover, open_stream
from cyberterr.config import Settings, account_key
from cyberterr.contracts import Tables
from cyberterr.contracts.packet import Packet
from cyberterr.elastic.connection import connect
from cyberterr.errors import CyberterrError, SourceError, UsageError
from cyberterr.flows import reference
from cyberterr.flows.layer7 import Layer7, Message
from cyberterr.flows.meter import Counts
from cyberterr.pipeline.packets import Looking, Stream
from cyberterr.pipeline.reading import Reading

__all__ = ["Engine", "Reading", "read_live", "read_tables", "within"]

Engine = Literal["auto", "ours", "pyshark"]

LIVE_LATE_S = 2
"""What one line gives comes in order; each of the kernel's queues may hold back a moment."""
_CAPTURES = ("pcap", "pcapng")


def read_tables(
    paths: Sequence[str | Path],
    settings: Settings,
    reading: Reading,
    *,
    layer7: bool = True,
    engine: Engine = "auto",
) -> Generator[Tables, None, None]:
    """Read files, folders, standard input (`-`) and clusters (`elastic:INDEX`) in bounded parts.

    An interrupt, in here or thrown in, ends the reading; open flows are closed and given first.
    The captures of one call are one stream through one meter, the one with the earliest packet
    first. A source that cannot be read is added to `reading.errors`; the others are still read.

    Args:
        paths: as a person named them.
        settings: time-outs of the meter, name of the sensor, and where the cluster is.
        reading: filled while the iterator runs.
        layer7: decode DNS, TLS, HTTP, SSH, machine orders and logins too.
        engine: `pyshark` reads captures through tshark; `auto` only those our reader cannot.

    Raises:
        UsageError: an `elastic:` names no index, or the settings no cluster.
        MissingPartError: the cluster's client is not installed.
    """
    clusters = [parsed(str(path), dt.datetime.now(dt.UTC)) for path in paths if _stored(path)]
    if clusters:
        connect(settings.elastic).close()  # a wrong setting shows before the work
    discovery = discover([path for path in paths if not _stored(path)])
    reading.errors += discovery.errors
    for text in discovery.warnings:
        reading.warn(text)
    sizes = [source.size for source in discovery.sources]
    known = [size for size in sizes if size is not None]
    reading.bytes_total = sum(known) if len(known) == len(sizes) and not clusters else None
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
        for selection in clusters if not reading.interrupted else ():
            yield from _survived(_searched(selection, settings, reading), reading)
    except KeyboardInterrupt:
        reading.interrupt()


def within(
    sources: Sequence[str], since: str, until: str, sensors: tuple[str, ...]
) -> tuple[str, ...]:
    """*sources*, those in a cluster narrowed to a time and to what *sensors* saw.

    Raises:
        UsageError: none of them is in a cluster, or a time is none.
    """
    if not any(map(_stored, sources)):
        raise UsageError(
            "--since, --until and --sensor are for what a cluster keeps",
            hint="cyberterr scan 'elastic:logs-zeek.*-*' --since 24h",
        )
    now = dt.datetime.now(dt.UTC)
    return tuple(
        narrowed(source, now, since, until, sensors) if _stored(source) else source
        for source in sources
    )


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
            yield from _through_reference(packets, settings, reading, layer7=True, stop=live.stop)
        else:
            with Stream(settings, reading, layer7=True, late_s=LIVE_LATE_S) as stream:
                try:
                    yield from stream.read(live.stream, interface, live=lambda: live.dropped)
                except KeyboardInterrupt:
                    reading.interrupt()
                yield from stream.end()
    reading.dropped = live.dropped


def _divided(captures: Sequence[Source], engine: Engine) -> tuple[list[Source], list[Source]]:
    """Captures for our reader, by first packet, and those for tshark."""
    if engine == "pyshark":
        return [], list(captures)
    if len(captures) == 1 and engine == "ours":
        return list(captures), []
    ours: list[tuple[int, str, Source]] = []
    foreign: list[Source] = []
    looking = Looking()
    for source in captures:
        counts = Counts() if source.stream else looking.at(source)
        if engine == "auto" and 0 < counts.packets == counts.unknown_link:
            foreign.append(source)
        else:
            ours.append((counts.source_first_ns, source.path, source))
    looking.close()
    return [source for *_, source in sorted(ours, key=lambda item: item[:2])], foreign


def _metered(
    sources: Sequence[Source], settings: Settings, reading: Reading, layer7: bool
) -> Iterator[Tables]:
    with Stream(settings, reading, layer7=layer7) as stream:
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
        reading.changed(reading)
        yield packet
    reading.packets = before + seen.packets
    for text in seen.warnings:
        reading.warn(text)


def _through_reference(
    packets: Iterable[Packet],
    settings: Settings,
    reading: Reading,
    *,
    layer7: bool,
    stop: Callable[[], None] = lambda: None,
) -> Iterator[Tables]:
    """Meter *packets* in Python; an interrupt ends them, and open flows are closed and given.

    Args:
        packets: what tshark dissected.
        settings: time-outs of the meter, name of the sensor.
        reading: filled meanwhile.
        layer7: decode what they carry too.
        stop: ends a source that may wait for its next packet for ever.
    """
    decoder = Layer7(settings.site.sensor, account_key())
    frames = reference.meter(
        _until_interrupt(packets, reading),
        settings.meter,
        sensor=settings.site.sensor,
        tap=(lambda tapped: decoder.feed([Message(*tapped)])) if layer7 else None,
    )
    for flows in frames:
        reading.flows += flows.height
        try:
            yield replace(decoder.drain(), flows=decoder.named(flows))
        except KeyboardInterrupt:
            reading.interrupt()
            stop()
    yield decoder.drain(final=True)


def _until_interrupt(packets: Iterable[Packet], reading: Reading) -> Iterator[Packet]:
    try:
        for packet in packets:
            if reading.interrupted:
                return
            yield packet
    except KeyboardInterrupt:
        reading.interrupt()


def _logged(source: Source, settings: Settings, reading: Reading) -> Iterator[Tables]:
    reading.source = source.path
    reader = {"zeek": zeek.read, "eve": suricata.read}.get(source.kind, netflow.read)
    for tables in reader(source, sensor=settings.site.sensor, warn=reading.warn):
        reading.flows += tables.flows.height
        reading.changed(reading)
        yield tables
    reading.bytes += source.size or 0


def _stored(path: str | Path) -> bool:
    """Whether *path* names indices of a cluster; a file of that name is `./elastic:…`."""
    return isinstance(path, str) and path.startswith(PREFIX)


def _searched(selection: Selection, settings: Settings, reading: Reading) -> Iterator[Tables]:
    reading.source = str(selection)
    cluster = connect(settings.elastic)
    try:
        for tables in elastic.read(
            selection, cluster, sensor=settings.site.sensor, warn=reading.warn
        ):
            reading.flows += tables.flows.height
            reading.changed(reading)
            yield tables
    finally:
        cluster.close()
