"""Finished flows, as `native/serve.c` writes them, become the flow table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from cyberterr.contracts.flow import conform, empty

STATES = (
    "S0", "S1", "S2", "S3", "SF", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH",
)  # fmt: skip
TUNNELS = (None, "gre", "vxlan", "ipip", "6in4", "4in6", "6in6")
END_REASONS = ("idle", "active", "end", "evicted")
NO_ICMP_TYPE = 255
NOTHING = empty("flows")

FINISHED = np.dtype(
    [
        ("flow_id", "u8"), ("first_packet", "u8"), ("start", "i8"), ("end", "i8"),
        ("packets", "u8", 2), ("bytes", "u8", 2), ("payload", "u8", 2),
        ("source", "u8", 2), ("destination", "u8", 2),
        ("length", "f4", (2, 4)), ("gap", "f4", (2, 4)), ("rtt", "f4"), ("source_syns", "u4"),
        ("source_port", "u2"), ("destination_port", "u2"), ("vlan", "u2"),
        ("protocol", "u1"), ("state", "u1"), ("tunnel", "u1"), ("end_reason", "u1"), ("v4", "u1"),
        ("flags", "u1", 2), ("ttl", "u1", 2), ("icmp_type", "u1"),
    ],
    align=True,
)  # fmt: skip
"""`FinishedFlow` of native/meter.h."""


def flow_table(
    finished: bytes, sources: bytes, destinations: bytes, *, sensor: str
) -> pl.DataFrame:
    """Make the flow table of *finished*, in the order of the flows' first packets.

    Args:
        finished: records of type `FINISHED`.
        sources: address of each flow's source, one a line.
        destinations: likewise.
        sensor: goes into every row.
    """
    if not finished:
        return NOTHING
    order = np.argsort(np.frombuffer(finished, FINISHED)["first_packet"], kind="stable")
    # As plain bytes: numpy copies structured records field by field.
    plain = np.frombuffer(finished, f"V{FINISHED.itemsize}")[order]
    records = plain.view(FINISHED)
    columns: dict[str, object] = {
        "flow_id": records["flow_id"],
        "start": records["start"],
        "end": records["end"],
        "src_ip": _lines(sources).gather(order),
        "dst_ip": _lines(destinations).gather(order),
        "src_port": records["source_port"],
        "dst_port": records["destination_port"],
        "protocol": records["protocol"],
        "vlan": records["vlan"],
        "tunnel": _named(TUNNELS, records["tunnel"]),
        "state": _named(STATES, records["state"]),
        "src_syns": records["source_syns"],
        "icmp_type": records["icmp_type"],
        "rtt": records["rtt"],
        "end_reason": _named(END_REASONS, records["end_reason"]),
    }
    for number, side in enumerate(("src", "dst")):
        for name in ("packets", "bytes", "payload", "flags", "ttl"):
            columns[f"{side}_{name}"] = records[name][:, number]
        for name, field in (("len", "length"), ("gap", "gap")):
            for position, stat in enumerate(("min", "mean", "max", "std")):
                columns[f"{side}_{name}_{stat}"] = records[field][:, number, position]
    frame = pl.DataFrame({name: _contiguous(column) for name, column in columns.items()})
    return conform(
        "flows",
        frame.with_columns(
            pl.col("start", "end").cast(pl.Datetime("ns", "UTC")),
            pl.lit(sensor).alias("sensor"),
            pl.when(pl.col("vlan") > 0).then("vlan"),
            pl.when(pl.col("icmp_type") != NO_ICMP_TYPE).then("icmp_type"),
            *(
                pl.when(pl.col(f"{side}_packets") > 0).then(f"{side}_{name}")
                for side in ("src", "dst")
                for name in ("flags", "ttl")
            ),
            pl.col(pl.Float32).fill_nan(None),
        ),
    )


def _lines(text: bytes) -> pl.Series:
    return pl.Series([text.decode("ascii").removesuffix("\n")]).str.split("\n").explode()


def _named(names: tuple[str | None, ...], codes: npt.NDArray[np.uint8]) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(codes)


def _contiguous(column: object) -> object:
    return np.ascontiguousarray(column) if isinstance(column, np.ndarray) else column
