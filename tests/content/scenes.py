"""Small scenes of network traffic, written as rows of the flow and companion tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from cyberterr import content
from cyberterr.contracts import Detector, Finding, Site, Tables
from cyberterr.contracts.flow import conform
from cyberterr.pipeline.judging import Judging

NOON = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC)
TCP, UDP, ICMP = 6, 17, 1


def detector(name: str) -> Detector:
    return next(d for d in content.detectors() if d.card.id == name)


def flow(
    src: str, dst: str, port: int, *, after: float = 0.0, lasts: float = 0.1, **changes: Any
) -> dict[str, Any]:
    """A finished HTTPS-like connection; `after` and `lasts` in seconds; *changes* replace."""
    start = NOON + dt.timedelta(seconds=after)
    row: dict[str, Any] = {
        "flow_id": hash((src, dst, port, after)) & 0xFFFF_FFFF,
        "start": start,
        "end": start + dt.timedelta(seconds=lasts),
        "src_ip": src,
        "dst_ip": dst,
        "src_port": 40_000 + int(after * 7) % 20_000,
        "dst_port": port,
        "protocol": TCP,
        "sensor": "sensor",
        "src_packets": 8,
        "dst_packets": 8,
        "src_bytes": 1200,
        "dst_bytes": 6000,
        "src_payload": 780,
        "dst_payload": 5500,
        "state": "SF",
        "end_reason": "end",
    }
    return row | changes


NOTHING = {"src_packets": 1, "dst_packets": 0, "src_bytes": 44, "dst_bytes": 0}
SILENT = {**NOTHING, "src_payload": 0, "dst_payload": 0, "state": "S0"}


def event(src: str, dst: str, port: int, *, after: float = 0.0, **values: Any) -> dict[str, Any]:
    """One row of a companion table."""
    return {
        "time": NOON + dt.timedelta(seconds=after),
        "src_ip": src,
        "dst_ip": dst,
        "src_port": 50_000,
        "dst_port": port,
        "protocol": TCP,
        "sensor": "sensor",
    } | values


def tables(**rows: Iterable[Mapping[str, Any]]) -> Tables:
    return Tables(
        **{
            name: conform(name, pl.DataFrame(list(some), infer_schema_length=None))
            for name, some in rows.items()
        }
    )


def findings(
    name: str | Detector, scene: Tables, site: Site | None = None, *, failures: bool = False
) -> list[Finding]:
    chosen = detector(name) if isinstance(name, str) else name
    judging = Judging([chosen], site or Site(), {})
    judging.add(scene)
    found = judging.close()
    assert failures or not judging.failed, judging.failed
    return found
