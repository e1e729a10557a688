"""Packets become flows: the Python side of `native/meter.c`, which does the work."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from cyberterr.config import Meter as MeterSettings
from cyberterr.contracts.flow import conform
from cyberterr.errors import MissingPartError

STATES = (
    "S0", "S1", "S2", "S3", "SF", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH",
)  # fmt: skip
TUNNELS = (None, "gre", "vxlan", "ipip", "6in4", "4in6", "6in6")
END_REASONS = ("idle", "active", "end", "evicted")

_FINISHED = np.dtype(
    [
        ("flow_id", "u8"), ("first_packet", "u8"), ("start", "i8"), ("end", "i8"),
        ("packets", "u8", 2), ("bytes", "u8", 2), ("payload", "u8", 2),
        ("source", "u8", 2), ("destination", "u8", 2),
        ("length", "f4", (2, 4)), ("gap", "f4", (2, 4)), ("rtt", "f4"), ("source_syns", "u4"),
        ("source_port", "u2"), ("destination_port", "u2"), ("vlan", "u2"),
        ("protocol", "u1"), ("state", "u1"), ("tunnel", "u1"), ("end_reason", "u1"), ("v4", "u1"),
        ("flags", "u1", 2), ("ttl", "u1", 2),
    ],
    align=True,
)  # fmt: skip
_ADDRESS_TEXT = 47  # the longest IPv6 text with IPv4 tail, and a newline


class Status(IntEnum):
    """What `Meter.feed` says; the order is that of `MeterStatus` in meter.h."""

    NEED_MORE = 0
    FULL = 1
    NO_CAPTURE = 2
    CORRUPT = 3


class _Options(ctypes.Structure):
    _fields_ = (
        ("idle_ns", ctypes.c_int64),
        ("active_ns", ctypes.c_int64),
        ("max_open_flows", ctypes.c_uint32),
        ("tap", ctypes.c_uint32),
    )


_COUNT_NAMES = (
    "packets", "wire_bytes", "ip_packets", "other", "malformed", "unknown_link", "cut_short",
    "flows", "evicted", "dropped", "backwards", "without_time", "tunnelled", "fragments",
)  # fmt: skip


class _Counts(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in _COUNT_NAMES),
        ("first_ns", ctypes.c_int64),
        ("last_ns", ctypes.c_int64),
        ("unknown_link_type", ctypes.c_uint32),
        ("open_flows", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """What went through the meter so far."""

    packets: int
    wire_bytes: int
    ip_packets: int
    other: int
    """packets that carry no IP: ARP, LLDP, spanning tree …"""
    malformed: int
    unknown_link: int
    """packets of a link type that this reader does not know"""
    cut_short: int
    """packets of which the capture holds only the beginning (snap length)"""
    flows: int
    evicted: int
    """flows closed early because `max_open_flows` were open"""
    dropped: int
    """packets that the capturing program says it lost"""
    backwards: int
    """packets older than the one before"""
    without_time: int
    tunnelled: int
    fragments: int
    first_ns: int
    last_ns: int
    unknown_link_type: int
    open_flows: int


def _library() -> ctypes.CDLL:
    path = Path(__file__).with_name("_meter.so")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise MissingPartError(
            f"the compiled flow meter cannot be loaded: {error}",
            hint="install the package (pip install .): that compiles it",
            where=str(path),
        ) from None
    pointer, size = ctypes.c_void_p, ctypes.c_uint64
    signatures: dict[str, tuple[object, tuple[object, ...]]] = {
        "meter_new": (pointer, (ctypes.POINTER(_Options),)),
        "meter_free": (None, (pointer,)),
        "meter_next_source": (None, (pointer,)),
        "meter_feed": (ctypes.c_int, (pointer, pointer, size, ctypes.POINTER(size))),
        "meter_expire": (None, (pointer, ctypes.c_int64)),
        "meter_finish": (ctypes.c_int, (pointer,)),
        "meter_flows": (ctypes.c_uint32, (pointer, ctypes.POINTER(pointer))),
        "meter_tapped": (size, (pointer, ctypes.POINTER(pointer))),
        "meter_collected": (None, (pointer,)),
        "meter_counts": (None, (pointer, ctypes.POINTER(_Counts))),
        "meter_addresses": (size, (pointer, size, ctypes.c_int, pointer)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Meter:
    """One stream of packets through one flow table, in bounded memory.

    Feed bytes of a capture; whenever it is full, and at the end, collect tapped payloads first and
    finished flows after them: a flow never finishes before its payloads were handed over.
    """

    def __init__(self, settings: MeterSettings, *, sensor: str, tap: bool) -> None:
        self._library = _library()
        self._sensor = sensor
        options = _Options(
            settings.idle_timeout_s * 1_000_000_000,
            settings.active_timeout_s * 1_000_000_000,
            settings.max_open_flows,
            int(tap),
        )
        self._meter = self._library.meter_new(ctypes.byref(options))
        if not self._meter:
            raise MemoryError("no memory for the flow table")

    def __del__(self) -> None:
        if getattr(self, "_meter", None):
            self._library.meter_free(self._meter)
            self._meter = None

    def next_source(self) -> None:
        """Begin another capture; flows that are open stay open."""
        self._library.meter_next_source(self._meter)

    def feed(self, data: memoryview) -> tuple[Status, int]:
        """Take whole records from *data*, a view of writable memory; how it ended, bytes used."""
        used = ctypes.c_uint64()
        start = ctypes.addressof(ctypes.c_char.from_buffer(data)) if data.nbytes else None
        status = self._library.meter_feed(self._meter, start, data.nbytes, ctypes.byref(used))
        return Status(status), used.value

    def expire(self, now_ns: int) -> None:
        """Close what has been idle at *now_ns*; a quiet live line brings no packet that would."""
        self._library.meter_expire(self._meter, now_ns)

    def finish(self) -> Iterator[pl.DataFrame]:
        """Close all open flows, and give them in bounded frames."""
        more = True
        while more:
            more = bool(self._library.meter_finish(self._meter))
            yield self.flows()
            self.collected()

    def flows(self) -> pl.DataFrame:
        """The flow table of what has finished since `collected`."""
        address = ctypes.c_void_p()
        count = self._library.meter_flows(self._meter, ctypes.byref(address))
        size = count * _FINISHED.itemsize
        raw = ctypes.string_at(address.value or 0, size) if count else b""
        records = np.frombuffer(raw, _FINISHED)
        order = np.argsort(records["first_packet"], kind="stable")
        # As plain bytes: numpy copies structured records field by field.
        plain = np.frombuffer(raw, f"V{_FINISHED.itemsize}")[order]
        return self._frame(plain.view(_FINISHED))

    def tapped(self) -> bytes:
        """The payloads that layer 7 wants, since `collected`; see `TappedHeader` in meter.h."""
        address = ctypes.c_void_p()
        size = self._library.meter_tapped(self._meter, ctypes.byref(address))
        return ctypes.string_at(address.value or 0, size) if size else b""

    def collected(self) -> None:
        """Free the room of what was collected."""
        self._library.meter_collected(self._meter)

    def counts(self) -> Counts:
        """What went through so far."""
        raw = _Counts()
        self._library.meter_counts(self._meter, ctypes.byref(raw))
        return Counts(*(getattr(raw, name) for name, *_ in _Counts._fields_))

    def _addresses(self, records: npt.NDArray[np.void], *, destination: bool) -> pl.Series:
        text = ctypes.create_string_buffer(max(1, len(records) * _ADDRESS_TEXT))
        size = self._library.meter_addresses(
            records.ctypes.data, len(records), int(destination), ctypes.addressof(text)
        )
        lines = ctypes.string_at(ctypes.addressof(text), max(0, size - 1)).decode("ascii")
        return pl.Series([lines]).str.split("\n").explode()

    def _frame(self, records: npt.NDArray[np.void]) -> pl.DataFrame:
        if not len(records):
            return conform("flows", pl.DataFrame())
        columns: dict[str, object] = {
            "flow_id": records["flow_id"],
            "start": records["start"],
            "end": records["end"],
            "src_ip": self._addresses(records, destination=False),
            "dst_ip": self._addresses(records, destination=True),
            "src_port": records["source_port"],
            "dst_port": records["destination_port"],
            "protocol": records["protocol"],
            "vlan": records["vlan"],
            "tunnel": _named(TUNNELS, records["tunnel"]),
            "state": _named(STATES, records["state"]),
            "src_syns": records["source_syns"],
            "rtt": records["rtt"],
            "end_reason": _named(END_REASONS, records["end_reason"]),
        }
        for number, side in enumerate(("src", "dst")):
            for name in ("packets", "bytes", "payload", "flags", "ttl"):
                columns[f"{side}_{name}"] = records[name][:, number]
            for name, field in (("len", "length"), ("gap", "gap")):
                for position, stat in enumerate(("min", "mean", "max", "std")):
                    columns[f"{side}_{name}_{stat}"] = records[field][:, number, position]
        frame = pl.DataFrame({n: _contiguous(c) for n, c in columns.items()}).with_columns(
            pl.col("start", "end").cast(pl.Datetime("ns", "UTC")),
            pl.lit(self._sensor).alias("sensor"),
            pl.when(pl.col("vlan") > 0).then("vlan"),
            *(
                pl.when(pl.col(f"{side}_packets") > 0).then(f"{side}_{name}")
                for side in ("src", "dst")
                for name in ("flags", "ttl")
            ),
            pl.col(pl.Float32).fill_nan(None),
        )
        return conform("flows", frame)


def _named(names: tuple[str | None, ...], codes: npt.NDArray[np.uint8]) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(codes)


def _contiguous(column: object) -> object:
    return np.ascontiguousarray(column) if isinstance(column, np.ndarray) else column
