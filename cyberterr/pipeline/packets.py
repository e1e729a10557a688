"""Captures become tables: packets through the meter, payloads through layer 7 beside it."""

from __future__ import annotations

import io
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO

from cyberterr.capture.decompress import on_disk
from cyberterr.capture.source import Source, open_stream
from cyberterr.config import Meter as MeterSettings
from cyberterr.config import Settings, account_key
from cyberterr.contracts import Tables
from cyberterr.errors import CyberterrError, SourceError
from cyberterr.flows.layer7 import Layer7
from cyberterr.flows.meter import MERGED_LATE_S, Batch, Counts, Meter, MeterError, Status
from cyberterr.flows.tapped import messages
from cyberterr.pipeline.reading import Reading

PEEK_BYTES = 256 << 10
TICK_S = 1.0


class Looking:
    """Looks at the first packets of captures: when they begin, and whether we know their link."""

    def __init__(self) -> None:
        self._meter = self._new_meter()

    def at(self, source: Source) -> Counts:
        """Counts of the first packets of *source*; nothing where it cannot be read."""
        before = self._meter.counts
        try:
            with open_stream(source, lambda _: None) as stream:
                head = io.BytesIO(stream.read(PEEK_BYTES))
                for _ in self._meter.read(lambda room: head.readinto(room) or None):
                    pass
        except (CyberterrError, OSError):  # reading it for good will say what is wrong
            self.close()
            self._meter = self._new_meter()
            return Counts()
        now = self._meter.counts
        return replace(
            now,
            packets=now.packets - before.packets,
            unknown_link=now.unknown_link - before.unknown_link,
        )

    def close(self) -> None:
        """End the meter."""
        self._meter.close()

    @staticmethod
    def _new_meter() -> Meter:
        return Meter(MeterSettings(max_open_flows=1_024), sensor="", tap=False)


class Stream:
    """All captures of one call: one meter, and layer 7 beside it. A context manager."""

    def __init__(
        self, settings: Settings, reading: Reading, *, layer7: bool, late_s: int = MERGED_LATE_S
    ) -> None:
        self._settings = settings
        self._late_s = late_s
        self._tap = layer7
        self._meter = self._new_meter()
        self._layer7 = Layer7(settings.site.sensor, account_key()) if layer7 else None
        self._reading = reading
        self._counts = Counts()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._meter.close()

    def read(
        self, data: BinaryIO, where: str, live: Callable[[], int] | None = None
    ) -> Iterator[Tables]:
        """Take one capture; where *live* is given it tells the packets lost so far.

        Raises:
            SourceError: it has no capture magic, nothing in it can be read, or it broke the meter.
        """
        reading = self._reading
        reading.source = where
        before = self._counts

        began, given = reading.bytes, 0

        def fill(room: memoryview) -> int | None:
            nonlocal given
            count = _fill(data, room, live=live is not None)
            given += count or 0
            reading.bytes = began + on_disk(data, given)
            return count

        ending, due = "", 0.0
        try:
            for batch in self._meter.read(fill, now_ns=time.time_ns if live else None):
                yield from self._taken(batch)
                if live is not None:
                    reading.dropped = live()
                    if time.monotonic() >= due:
                        yield Tables()  # windows close on a quiet line too
                        due = time.monotonic() + TICK_S
                if batch.status is Status.NO_CAPTURE:
                    raise SourceError("is no capture, or is cut off in its header", where=where)
                if batch.status is Status.CORRUPT:
                    ending = f"is damaged at byte {batch.position}"
                elif batch.status is Status.NEED_MORE:
                    ending = "ends in the middle of a packet" if batch.waiting else ""
        except MeterError as error:
            self._meter.close()
            self._meter, self._counts = self._new_meter(), Counts()
            raise SourceError(error.message, hint=error.hint, where=where) from None
        self._report(where, ending, before)

    def end(self) -> Iterator[Tables]:
        """Close all open flows."""
        for batch in self._meter.under_way():  # after an interrupt
            yield from self._taken(batch)
        for number, batch in enumerate(self._meter.finish()):
            yield from self._taken(batch, final=number == 0)

    def _new_meter(self) -> Meter:
        return Meter(
            self._settings.meter,
            sensor=self._settings.site.sensor,
            tap=self._tap,
            late_s=self._late_s,
        )

    def _taken(self, batch: Batch, *, final: bool = False) -> Iterator[Tables]:
        self._count(batch.counts)
        if not (batch.tapped or batch.flows.height or final):
            return
        tables = Tables()
        if self._layer7 is not None and (batch.tapped or final):
            # Payloads first: a flow's service is known before the flow comes.
            self._layer7.feed(messages(batch.tapped))
            tables = self._layer7.drain(final=final)
        named = batch.flows if self._layer7 is None else self._layer7.named(batch.flows)
        yield replace(tables, flows=named)

    def _count(self, now: Counts) -> None:
        before, reading = self._counts, self._reading
        self._counts = now
        reading.packets += now.packets - before.packets
        reading.flows += now.flows + now.open_flows - before.flows - before.open_flows
        reading.evicted += now.evicted - before.evicted
        reading.dropped += now.dropped - before.dropped
        reading.clock_ns = now.last_ns
        reading.changed(reading)

    def _report(self, where: str, ending: str, before: Counts) -> None:
        """Say how far *where* was read, and what is odd about it.

        Raises:
            SourceError: nothing in it could be read.
        """
        now, warn = self._counts, self._reading.warn
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
        odd = {
            "have broken headers and were left out": now.malformed - before.malformed,
            "were cut off by the capture's snap length: names and payloads may be missing": (
                now.cut_short - before.cut_short
            ),
            "carry no time": now.without_time - before.without_time,
            "are more than a minute older than the one before: the clock was set back, "
            "so times and durations may be wrong": now.jumps_back - before.jumps_back,
        }
        for what, count in odd.items():
            if count:
                warn(f"{where}: {count} of {packets} packets {what}")


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
