"""Small scenes of network traffic, written as rows of the flow and companion tables."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.contracts import Detector, Finding, Site, Tables, Text, to_ecs
from cyberterr.contracts.flow import conform
from cyberterr.pipeline.judging import Judging
from cyberterr.pipeline.merging import merge, shaped
from cyberterr.report.text import FRENCH_UNITS

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "network"
TOWN_HALL = GOLDEN.parent / "town_hall.pcapng"
UNITS = {"", "share", "bytes", "machines", "ports", "sessions", *FRENCH_UNITS}
"""units that reports can say in French"""

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
    name: str | Detector,
    scene: Tables | Iterable[Tables],
    site: Site | None = None,
    normal: pl.DataFrame | None = None,
) -> list[Finding]:
    """What one detector finds in *scene*; each finding is held to what a person needs."""
    chosen = detector(name) if isinstance(name, str) else name
    judging = Judging([chosen], site or Site(), {} if normal is None else {chosen.card.id: normal})
    for part in [scene] if isinstance(scene, Tables) else scene:
        judging.add(part)
    found = judging.close()
    assert not judging.failed, judging.failed
    for finding in found:
        assert_a_person_can_act_on(finding)
    return found


def learned(name: str, scene: Tables, site: Site | None = None) -> pl.DataFrame:
    """What the detector called *name* keeps of *scene* as a clean period."""
    chosen: Any = detector(name)
    summary = chosen.summarise(scene, site or Site())
    normal: pl.DataFrame = chosen.learn(
        merge(chosen.card, [shaped(chosen.card, summary)]), site or Site()
    )
    return normal


def read(path: Path) -> list[Tables]:
    """The tables of a recorded capture or log; skips where it may not be redistributed."""
    from cyberterr.pipeline.sources import Reading, read_tables

    if not path.exists():
        pytest.skip(f"{path} is not here: it may not be redistributed")
    reading = Reading()
    parts = list(read_tables([path], Settings(), reading))
    assert not reading.errors, reading.errors
    return parts


def recorded(name: str, file: str) -> list[Finding]:
    """What one detector finds in a capture of the shared data sets."""
    return findings(name, read(SHARED / file))


def alarms(found: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.severity >= 47]


def assert_a_person_can_act_on(finding: Finding) -> None:
    """In English and in French: what, against which normal, what else it may be, what next."""
    picture = finding.picture
    assert picture is not None
    assert len(picture.x) <= 500
    assert finding.explanations
    assert finding.not_examined
    assert finding.next_steps
    assert any(measure.baseline is not None for measure in finding.measures)
    assert {measure.unit for measure in finding.measures} <= UNITS
    sentences = (
        finding.reason,
        *(explanation.text for explanation in finding.explanations),
        *finding.not_examined,
        *finding.next_steps,
    )
    for text in sentences:
        assert text.en.endswith("."), text
        assert text.fr.endswith("."), text
    labels = [label for label in picture.labels if isinstance(label, Text)]
    axis = picture.x_label if picture.kind == "fan_out" else picture.y_label
    if picture.kind != "timeline":  # its axes have fixed words
        labels.append(axis)
    for text in (finding.title, *sentences, *(m.label for m in finding.measures), *labels):
        assert text.en
        assert text.fr
    for text in (finding.title, *sentences):
        assert text.en != text.fr
    # A label that is no Text is a name of its own: a port, an address, a domain.
    names = [label for label in picture.labels if isinstance(label, str)]
    assert all(re.search(r"[\d.]", name) for name in names), names
    assert finding.start <= finding.end
    assert 0 <= finding.score <= 1
    json.dumps(to_ecs(finding))
    assert msgspec.json.decode(msgspec.json.encode(finding), type=Finding) == finding
