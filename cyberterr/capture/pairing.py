"""Two one-way flow records that answer each other become one flow, in bounded memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from cyberterr.capture.logs import ACK, SYN
from cyberterr.contracts.flow import TIME

MAX_APART = dt.timedelta(seconds=120)
"""Largest time between the starts of two records that answer each other: an idle time-out."""
MAX_HELD = 50_000
"""Records that wait one batch longer for the other side."""

_KEY = ("protocol", "low_ip", "low_port", "high_ip", "high_port")
_RECORD: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "start": TIME,
    "end": TIME,
    "src_ip": pl.String,
    "dst_ip": pl.String,
    "src_port": pl.UInt16,
    "dst_port": pl.UInt16,
    "protocol": pl.UInt8,
    "src_packets": pl.UInt64,
    "src_bytes": pl.UInt64,
    "dst_packets": pl.UInt64,
    "dst_bytes": pl.UInt64,
    "src_flags": pl.UInt8,
    "held": pl.Boolean,
}


class Pairing:
    """Pairs records within a batch and with at most MAX_HELD of the batch before.

    Of the two ends of a 5-tuple the lower one sends `low` records, the higher one `high`
    records. Each low record takes the high record whose start is nearest, at most 120 s away; a
    high record that several would take goes to the nearest. Who began: the earlier record; at
    the same instant the side that sent SYN without ACK, else the higher port. What has
    packets of both sides already (nfdump -b) is left as it is, and what finds no other side
    stays a flow without an answer.
    """

    def __init__(self) -> None:
        self._held = pl.DataFrame(schema=dict(_RECORD))

    def add(self, records: pl.DataFrame) -> pl.DataFrame:
        """Flows that are settled; the records of *records* without a partner wait."""
        fresh = records.with_columns(pl.lit(False).alias("held")).select(
            pl.col(name).cast(dtype) for name, dtype in _RECORD.items()
        )
        paired, single = _pair(pl.concat([self._held, fresh]))
        waits = ~single["held"] & (single["dst_packets"] == 0)
        self._held = single.filter(waits).tail(MAX_HELD).with_columns(held=True)
        settled = [paired, _alone(single.filter(~waits))]
        dropped = int(waits.sum()) - self._held.height
        return pl.concat([*settled, _alone(single.filter(waits).head(dropped))])

    def rest(self) -> pl.DataFrame:
        """The records that still wait."""
        held, self._held = self._held, pl.DataFrame(schema=dict(_RECORD))
        return _alone(held)


def _alone(records: pl.DataFrame) -> pl.DataFrame:
    """One record as a flow; one of both sides has or-ed their flags, which says nothing."""
    has_flags = (pl.col("protocol") == 6) & (pl.col("dst_packets") == 0)
    return records.select(
        *(name for name in _RECORD if name not in ("src_flags", "held")),
        pl.when(has_flags).then("src_flags").alias("src_flags"),
        pl.lit(None, pl.UInt8).alias("dst_flags"),
    )


def _pair(records: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Flows made of two records, and the records that are left."""
    low_first = (pl.col("src_ip") < pl.col("dst_ip")) | (
        (pl.col("src_ip") == pl.col("dst_ip")) & (pl.col("src_port") <= pl.col("dst_port"))
    )
    records = records.with_row_index("row").with_columns(low_first.alias("is_low"))
    is_low = pl.col("is_low")
    records = records.with_columns(
        pl.when(is_low).then("src_ip").otherwise("dst_ip").alias("low_ip"),
        pl.when(is_low).then("dst_ip").otherwise("src_ip").alias("high_ip"),
        pl.when(is_low).then("src_port").otherwise("dst_port").alias("low_port"),
        pl.when(is_low).then("dst_port").otherwise("src_port").alias("high_port"),
    )
    one_way = records.filter(pl.col("dst_packets") == 0).sort("start", "row")
    low = one_way.filter(pl.col("is_low"))
    high = one_way.filter(~pl.col("is_low")).with_columns(pl.col("start").alias("other_start"))
    sent = ("end", "src_packets", "src_bytes", "src_flags", "row")
    both = low.join_asof(
        high.select(*_KEY, "start", "other_start", *sent),
        on="start",
        by=_KEY,
        strategy="nearest",
        tolerance=MAX_APART,
        suffix="_high",
        check_sortedness=False,
    ).filter(pl.col("row_high").is_not_null())
    apart = (pl.col("start") - pl.col("other_start")).abs()
    both = both.sort(apart, "row").unique("row_high", keep="first", maintain_order=True)
    used = pl.concat([both["row"], both["row_high"]])
    single = records.join(used.to_frame(), on="row", how="anti").sort("row").select(*_RECORD)
    return _joined(both.sort("row")), single


def _joined(both: pl.DataFrame) -> pl.DataFrame:
    asks_low = (pl.col("src_flags") & (SYN | ACK)) == SYN
    asks_high = (pl.col("src_flags_high") & (SYN | ACK)) == SYN
    low_began = (
        pl.when(pl.col("start") != pl.col("other_start"))
        .then(pl.col("start") < pl.col("other_start"))
        .when((asks_low != asks_high).fill_null(False))
        .then(asks_low)
        .otherwise(pl.col("low_port") > pl.col("high_port"))
    )
    both = both.with_columns(low_began.alias("low_began"))
    began = pl.col("low_began")

    def side(when_low: str, when_high: str, name: str) -> pl.Expr:
        return pl.when(began).then(when_low).otherwise(when_high).alias(name)

    is_tcp = pl.col("protocol") == 6
    return both.select(
        pl.min_horizontal("start", "other_start").alias("start"),
        pl.max_horizontal("end", "end_high").alias("end"),
        side("low_ip", "high_ip", "src_ip"),
        side("high_ip", "low_ip", "dst_ip"),
        side("low_port", "high_port", "src_port"),
        side("high_port", "low_port", "dst_port"),
        "protocol",
        side("src_packets", "src_packets_high", "src_packets"),
        side("src_bytes", "src_bytes_high", "src_bytes"),
        side("src_packets_high", "src_packets", "dst_packets"),
        side("src_bytes_high", "src_bytes", "dst_bytes"),
        pl.when(is_tcp).then(side("src_flags", "src_flags_high", "src_flags")),
        pl.when(is_tcp).then(side("src_flags_high", "src_flags", "dst_flags")).alias("dst_flags"),
    )
