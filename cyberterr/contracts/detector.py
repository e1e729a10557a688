"""What a detector of events is: summarise, then judge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import polars as pl

from cyberterr.contracts.finding import Claim, Text
from cyberterr.contracts.flow import Tables
from cyberterr.contracts.site import Site

SKETCH_SIZE = 1024
"""Rows a sketch keeps per entity: counts are exact below it, ±3 % (1/√k) above."""


class Merge(Enum):
    """How a summary column adds up over parts; each is associative and commutative."""

    SUM = "sum"
    """Int64: whole numbers, since sums of fractions depend on the order (count ms, not seconds)."""
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"
    """List(UInt64): the SKETCH_SIZE smallest hashes of the values, sorted (a bottom-k sketch,
    Bar-Yossef et al. 2002). Make it with `sketch()`, read it with `distinct()`."""
    TIMES = "times"
    """List(Int64): the SKETCH_SIZE earliest instants, ns since the epoch, repeats kept."""
    SAMPLE = "sample"
    """List(String): the SAMPLE_SIZE smallest values, as examples for people."""


SAMPLE_SIZE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What an auditor reads about a detector before trusting it."""

    id: str
    """equals the file's name"""
    families: tuple[str, ...]
    question: Text
    """the question it answers, as a person would ask it"""
    proof: str
    """what in the data proves it"""
    blind_spots: tuple[Text, ...]
    """what it cannot see; goes into every finding as *not examined*"""
    innocent: tuple[Text, ...]
    """harmless causes known for the pattern"""
    attack: tuple[str, ...]
    """MITRE ATT&CK technique ids"""
    cost: str
    tables: tuple[str, ...]
    """names of the tables it reads"""
    keys: Mapping[str, pl.DataType | type[pl.DataType]]
    """columns that name an entity, beside `window`"""
    columns: Mapping[str, Merge]
    """summary columns and how each adds up"""
    window: dt.timedelta
    """length of the clock-aligned window; at most a day"""
    history: dt.timedelta = dt.timedelta(0)
    """how far back `judge` looks beside the window it judges"""
    apart: tuple[str, ...] = ()
    """keys whose every value can be judged without the rows of another; empty: all rows together"""
    gap: dt.timedelta = dt.timedelta(hours=2)
    """windows further apart are two incidents"""
    early: bool = False
    """true: live, a window is also judged while it is open, since its evidence only grows"""
    needs_normal: bool = False
    """true: says nothing before `learn network` has fitted it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What `judge` may look at: one closed window, what came before it, what is normal here."""

    start: dt.datetime
    """start of the window that is judged"""
    window: pl.DataFrame
    """summary rows of this window, one per entity"""
    history: pl.DataFrame
    """summary rows of the windows before it, as far back as the card asks; never later ones"""
    past: bool
    """whether anything was seen in that time, of whatever entity"""
    site: Site
    normal: pl.DataFrame | None
    """what `learn network` kept for this detector from a clean period; None before"""


class Detector(Protocol):
    """One file of `detectors/`: a plain object with a card and two methods."""

    card: Card

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """One row per entity and window: `window`, the card's keys and columns, nothing else."""
        ...

    def judge(self, view: View) -> Iterable[Claim]:
        """What is wrong in *view*, one claim per incident in sight."""
        ...


class LearningDetector(Detector, Protocol):
    """A detector that compares with a clean period of this site."""

    def learn(self, summary: pl.DataFrame, site: Site) -> pl.DataFrame:
        """Fit on all summary rows of a clean period; what comes back is `view.normal` later."""
        ...


def window_of(time: str, card: Card) -> pl.Expr:
    """Start of the clock-aligned window that column *time* falls into, named `window`."""
    return pl.col(time).dt.truncate(card.window).alias("window")


def sketch(value: pl.Expr) -> pl.Expr:
    """Bottom-k sketch of *value* inside a group_by, for a DISTINCT column."""
    return value.drop_nulls().hash(seed=0).unique().sort().head(SKETCH_SIZE)


def times(column: str) -> pl.Expr:
    """The earliest instants of *column* inside a group_by, for a TIMES column."""
    return pl.col(column).drop_nulls().cast(pl.Int64).sort().head(SKETCH_SIZE)


def sample(value: pl.Expr) -> pl.Expr:
    """A few values as text inside a group_by, for a SAMPLE column."""
    return value.drop_nulls().cast(pl.String).unique().sort().head(SAMPLE_SIZE)


def distinct(column: str) -> pl.Expr:
    """Estimate of the number of distinct values behind a DISTINCT column; exact when small."""
    kept = pl.col(column).list.len()
    share = pl.col(column).list.max().cast(pl.Float64) / 2.0**64
    estimate = (SKETCH_SIZE - 1) / share
    return pl.when(kept < SKETCH_SIZE).then(kept.cast(pl.Float64)).otherwise(estimate)


def added(name: str, how: Merge) -> pl.Expr:
    """Column *name* of several parts as one, inside a group_by over window and entity."""
    column = pl.col(name)
    match how:
        case Merge.SUM:
            return column.sum()
        case Merge.MIN:
            return column.min()
        case Merge.MAX:
            return column.max()
        case Merge.DISTINCT:
            return column.explode().drop_nulls().unique().sort().head(SKETCH_SIZE)
        case Merge.TIMES:
            return column.explode().drop_nulls().sort().head(SKETCH_SIZE)
        case Merge.SAMPLE:
            return column.explode().drop_nulls().unique().sort().head(SAMPLE_SIZE)


def with_history(window: pl.DataFrame, history: pl.DataFrame, card: Card) -> pl.DataFrame:
    """One row per entity of *window*, added up over *window* and *history*; without `window`."""
    keys = list(card.keys)
    rows = pl.concat([history, window]).join(window.select(keys), on=keys, how="semi")
    return rows.group_by(keys).agg(added(*column) for column in card.columns.items()).sort(keys)


def moment(nanoseconds: int) -> dt.datetime:
    """Instant of *nanoseconds* since the epoch, UTC."""
    return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC)


def tries(flows: pl.DataFrame) -> pl.DataFrame:
    """TCP and UDP rows of *flows* in which one machine tries a door of another.

    Adds `failed` (Boolean): nobody answered, or the answer was a refusal. Answers whose question
    was not seen, and packets to many machines at once, are no tries.
    """
    tcp, udp = pl.col("protocol") == 6, pl.col("protocol") == 17
    # An old connection that ends also starts in the middle, but always with ACK or RST.
    crafted = (pl.col("state") == "OTH") & ((pl.col("src_flags") & 0x14) == 0)
    refused = pl.col("state").is_in(["S0", "REJ", "RSTOS0", "SH", "RSTRH"])
    quiet = pl.col("src_payload").fill_null(0) == 0
    # Answers that come late look like a server that tries the client's ports.
    late_answer = udp & (pl.col("src_port") < 1024) & (pl.col("dst_port") >= 1024)
    to_many = pl.col("dst_ip").str.contains(r"^(22[4-9]|23\d|255)\.|\.255$|^ff")
    return flows.filter(tcp | udp, pl.col("src_packets") > 0, ~late_answer, ~to_many).with_columns(
        failed=pl.when(tcp)
        .then((refused | crafted.fill_null(False)) & quiet)
        .otherwise(pl.col("state") == "S0")
    )


def own(addresses: pl.Series, site: Site) -> pl.Series:
    """Whether each of *addresses* (String) lies in the own networks; False for what is none.

    IPv4 is compared as whole columns, since a flood brings a million addresses; IPv6 one by one.
    """
    octet = pl.col("octets").struct
    number = pl.sum_horizontal(
        octet.field(str(place + 1)).cast(pl.Int64, strict=False) * 256 ** (3 - place)
        for place in range(4)
    )
    pattern = r"^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$"
    in_any = pl.any_horizontal(
        pl.lit(False),
        *(
            pl.col("number").is_between(int(net.network_address), int(net.broadcast_address))
            for net in site.own()
            if net.version == 4
        ),
    )
    frame = pl.DataFrame({"address": addresses})
    long = frame.filter(pl.col("address").str.contains(":", literal=True))["address"].unique()
    ours = [address for address in long if site.is_own(address)]
    return (
        frame.with_columns(octets=pl.col("address").str.extract_groups(pattern))
        .with_columns(number=number)
        .select(
            own=pl.when(octet.field("1").is_not_null())
            .then(in_any)
            .otherwise(pl.col("address").is_in(ours))
            .fill_null(False)
        )
        .to_series()
    )
