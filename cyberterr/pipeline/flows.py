"""Sources to a flow table on disk, batch by batch in bounded memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import polars as pl
from polars.io.plugins import register_io_source

from cyberterr.config import Settings
from cyberterr.contracts import Tables
from cyberterr.contracts.flow import empty, schema
from cyberterr.errors import UsageError
from cyberterr.pipeline.sources import Engine, Reading, read_tables

ROW_GROUP = 150_000
"""Rows that a Parquet file keeps together, about 300 bytes each in memory."""


def write_flows(
    paths: Sequence[str],
    output: Path,
    settings: Settings,
    reading: Reading,
    *,
    engine: Engine = "auto",
) -> int:
    """Write the flow table of *paths* to *output*; the number of rows.

    The file appears whole or not at all.

    Raises:
        UsageError: the name ends in no format we write, or the file cannot be written.
    """
    kind = "csv" if str(output) == "-" else output.suffix.removeprefix(".").lower()
    if kind not in ("parquet", "csv", "json", "jsonl", "ndjson"):
        raise UsageError(
            f"no flow table is called {output.name!r}", hint="FILE.parquet, FILE.csv or FILE.json"
        )
    frames = _Frames(read_tables(paths, settings, reading, layer7=False, engine=engine))
    if str(output) == "-":
        try:
            _write_text(frames, sys.stdout.buffer, "csv")
        except BrokenPipeError:  # whoever reads it has enough
            raise
        except OSError as error:
            raise UsageError(f"standard output cannot be written: {error.strerror}") from None
        return frames.rows
    half_done = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        if kind == "parquet":
            source = register_io_source(frames.give, schema=schema("flows"))
            source.sink_parquet(half_done, compression="lz4", row_group_size=ROW_GROUP)
        else:
            with half_done.open("wb") as out:
                _write_text(frames, out, kind)
        half_done.replace(output)
    except (OSError, pl.exceptions.ComputeError) as error:
        # polars tells a full disk under a Parquet file in its own way.
        if not isinstance(error, OSError) and "IO error" not in str(error):
            raise
        raise UsageError(
            f"cannot be written: {getattr(error, 'strerror', None) or error}",
            hint="choose a folder that exists, where you may write, with room",
            where=str(output),
        ) from None
    finally:
        half_done.unlink(missing_ok=True)
    return frames.rows


class _Frames:
    """The flow frames of some sources, in order; *rows* grows as they are taken."""

    def __init__(self, tables: Iterator[Tables]) -> None:
        self._tables = tables
        self.rows = 0

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for tables in self._tables:
            if tables.flows.height:
                self.rows += tables.flows.height
                yield tables.flows

    def give(
        self,
        _columns: list[str] | None,
        _predicate: pl.Expr | None,
        _rows: int | None,
        _batch: int | None,
    ) -> Iterator[pl.DataFrame]:
        """What polars asks of a source; a plain sink asks for everything."""
        return iter(self)


def _write_text(frames: Iterable[pl.DataFrame], out: BinaryIO, kind: str) -> None:
    """CSV or JSON lines, frame after frame."""
    if kind == "csv":
        out.write(empty("flows").write_csv().encode())
    for flows in frames:
        # Through Python, whose errors say that a reader went away.
        text = flows.write_csv(include_header=False) if kind == "csv" else flows.write_ndjson()
        out.write(text.encode())
    out.flush()
