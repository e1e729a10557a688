"""Add up the summaries of parts, once for all detectors."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cyberterr.contracts.detector import Card, Merge, added
from cyberterr.contracts.flow import TIME

_LISTS = {Merge.DISTINCT: pl.UInt64, Merge.TIMES: pl.Int64, Merge.SAMPLE: pl.String}


def shaped(card: Card, summary: pl.DataFrame) -> pl.DataFrame:
    """*summary* with `window`, the card's keys and columns, in that order and in their dtypes.

    Raises:
        ValueError: a column is missing or unknown, or a SUM column holds fractions.
    """
    wanted = ["window", *card.keys, *card.columns]
    if set(summary.columns) != set(wanted):
        raise ValueError(f"summary has {sorted(summary.columns)}, the card says {sorted(wanted)}")
    sums = [name for name, merge in card.columns.items() if merge is Merge.SUM]
    for name in sums:
        if not summary.schema[name].is_integer():
            raise ValueError(f"column {name} is {summary.schema[name]}; a SUM needs whole numbers")
    return summary.select(
        pl.col("window").cast(TIME),
        *(pl.col(name).cast(dtype) for name, dtype in card.keys.items()),
        *(
            pl.col(name).cast(pl.List(_LISTS[merge]))
            if merge in _LISTS
            else pl.col(name).cast(pl.Int64)
            if merge is Merge.SUM
            else pl.col(name)
            for name, merge in card.columns.items()
        ),
    )


def merge(card: Card, summaries: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add up *summaries* (each `shaped`): one row per window and entity, sorted by both.

    The result is the same for any split of the input into parts and any order of them.
    """
    rows = summaries[0] if len(summaries) == 1 else pl.concat(summaries)
    keys = ["window", *card.keys]
    # Most entities stand in one part only: only the others need adding up.
    again = rows.select(pl.struct(keys).is_duplicated()).to_series()
    if again.any():
        adding = (added(*column) for column in card.columns.items())
        whole = rows.filter(again).group_by(keys).agg(adding)
        rows = pl.concat([rows.filter(~again), whole.select(rows.columns)])
    return rows.sort(keys)
