"""Sources to a flow table on disk, batch by batch in bounded memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import polars as pl

from cyberterr.config import Settings
from cyberterr.contracts.flow import empty
from cyberterr.errors import UsageError
from cyberterr.pipeline.sources import Engine, Reading, read_tables


class _Writer(Protocol):
    def add(self, flows: pl.DataFrame) -> None: ...

    def close(self) -> None: ...


class _Text:
    """CSV or JSON lines, appended frame by frame."""

    def __init__(self, out: BinaryIO, kind: str) -> None:
        self._out, self._kind = out, kind
        self._first = True

    def add(self, flows: pl.DataFrame) -> None:
        if self._kind == "csv":
            flows.write_csv(self._out, include_header=self._first)
        else:
            flows.write_ndjson(self._out)
        self._first = False

    def close(self) -> None:
        if self._first:
            self.add(empty("flows"))
        self._out.flush()


class _Parquet:
    """One Parquet file; frames wait in an uncompressed spool on disk beside it."""

    def __init__(self, out: BinaryIO, path: Path) -> None:
        self._out, self._path = out, path
        self._frames: list[pl.DataFrame] = []
        self._parts: list[Path] = []
        self._rows = 0

    def add(self, flows: pl.DataFrame) -> None:
        self._frames.append(flows)
        self._rows += flows.height
        if self._rows > 400_000:
            part = self._path.with_name(f"{self._path.name}.{len(self._parts)}")
            pl.concat(self._frames, rechunk=False).write_parquet(part, compression="lz4")
            self._parts.append(part)
            self._frames, self._rows = [], 0

    def close(self) -> None:
        if not self._parts:
            whole = pl.concat([empty("flows"), *self._frames], rechunk=False)
            whole.write_parquet(self._out, compression="lz4")
            return
        if self._frames:
            self._rows = 400_001
            self.add(empty("flows"))
        try:
            pl.scan_parquet(self._parts).sink_parquet(self._out, compression="lz4")
        finally:
            for part in self._parts:
                part.unlink(missing_ok=True)


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
    if str(output) == "-":
        return _written(_Text(sys.stdout.buffer, "csv"), paths, settings, reading, engine)
    half_done = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with half_done.open("wb") as out:
            writer = _Parquet(out, half_done) if kind == "parquet" else _Text(out, kind)
            rows = _written(writer, paths, settings, reading, engine)
        half_done.replace(output)
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror or error}",
            hint="choose a folder that exists, where you may write, with room",
            where=str(output),
        ) from None
    finally:
        half_done.unlink(missing_ok=True)
    return rows


def _written(
    writer: _Writer, paths: Sequence[str], settings: Settings, reading: Reading, engine: Engine
) -> int:
    rows = 0
    for tables in read_tables(paths, settings, reading, layer7=False, engine=engine):
        if tables.flows.height:
            writer.add(tables.flows)
            rows += tables.flows.height
    writer.close()
    return rows
