"""What the decoders found and nobody has taken yet: rows of tables, and services of flows."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cyberterr.contracts.flow import TABLES, Tables, conform
from cyberterr.flows.message import Who, turned
from cyberterr.flows.row import Row
from cyberterr.flows.services import Services

_NAMES = ("dns", "tls", "http", "ssh", "ot", "login")


class Found:
    """Rows by table, and services by flow.

    Attributes:
        services: of the flows recognised.
    """

    def __init__(self, sensor: str) -> None:
        self.services = Services()
        self._sensor = sensor
        self._rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in _NAMES}

    def __len__(self) -> int:
        """Rows that wait for `take_tables`."""
        return sum(map(len, self._rows.values()))

    def add(self, who: Who, row: Row) -> None:
        """Keep *row*, said in the flow of *who*."""
        ends = turned(who) if row.turned else who
        self._rows[row.table].append((row.time_ns, *ends, *row.values))

    def take_tables(self) -> Tables:
        """The rows since the last call, without flows."""
        rows, self._rows = self._rows, {name: [] for name in _NAMES}
        return Tables(**{name: self._frame(name, found) for name, found in rows.items() if found})

    def _frame(self, name: str, rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
        columns = [column for column in TABLES[name] if column.name != "sensor"]
        series = [
            pl.Series(
                column.name, values, dtype=pl.Int64 if column.name == "time" else column.dtype
            )
            for column, values in zip(columns, zip(*rows, strict=True), strict=True)
        ]
        return conform(
            name, pl.DataFrame(series).with_columns(pl.lit(self._sensor).alias("sensor"))
        )
