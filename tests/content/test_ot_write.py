"""An order from a stranger is found; the master at its work is context."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from cyberterr import content
from cyberterr.contracts import Finding, Severity, Site, Tables
from cyberterr.contracts.flow import conform
from cyberterr.pipeline.judging import Judging
from cyberterr.pipeline.merging import merge, shaped

OT: Any = next(d for d in content.detectors() if d.card.id == "ot_write")
START = dt.datetime(2026, 3, 14, 9, 0, tzinfo=dt.UTC)
DEVICE = "192.168.1.102"


def requests(src: str, kind: str, count: int, dst: str = DEVICE, address: int = 3) -> pl.DataFrame:
    rows = [
        {
            "time": START + dt.timedelta(seconds=2 * number),
            "src_ip": src,
            "dst_ip": dst,
            "src_port": 40000,
            "dst_port": 502,
            "protocol": 6,
            "sensor": "sensor",
            "ot_protocol": "modbus",
            "function": 5 if kind == "write" else 3,
            "function_name": "Write Single Coil" if kind == "write" else "Read",
            "kind": kind,
            "request": True,
            "unit": 1,
            "address": address,
        }
        for number in range(count)
    ]
    return conform("ot", pl.DataFrame(rows))


def judged(*parts: pl.DataFrame, normal: pl.DataFrame | None = None) -> list[Finding]:
    judging = Judging([OT], Site(), {} if normal is None else {"ot_write": normal})
    judging.add(Tables(ot=pl.concat(parts)))
    findings = judging.close()
    assert not judging.failed
    return findings


MASTER = requests("192.168.1.100", "read", 200)


def test_one_order_from_another_than_the_master_is_an_alarm() -> None:
    (finding,) = judged(MASTER, requests("192.168.1.101", "write", 1))
    assert (finding.actor, finding.victim) == ("192.168.1.101", DEVICE)
    assert finding.severity == Severity.MEDIUM


def test_an_order_from_a_machine_that_is_itself_a_device_is_worse() -> None:
    polled = requests("192.168.1.100", "read", 200, dst="192.168.1.101")
    (finding,) = judged(MASTER, polled, requests("192.168.1.101", "write", 1))
    assert finding.severity == Severity.HIGH


def test_the_only_master_that_writes_is_context() -> None:
    (finding,) = judged(MASTER, requests("192.168.1.100", "write", 30))
    assert (finding.rule, finding.severity) == ("ot_write.context", Severity.LOW)


def test_after_learning_the_known_writer_is_silent_and_a_new_address_is_not() -> None:
    known = Tables(ot=pl.concat([MASTER, requests("192.168.1.100", "write", 9)]))
    summary = merge(OT.card, [shaped(OT.card, OT.summarise(known, Site()))])
    normal = OT.learn(summary, Site())
    assert judged(MASTER, requests("192.168.1.100", "write", 2), normal=normal) == []
    elsewhere = requests("192.168.1.100", "write", 1, address=77)
    (finding,) = judged(MASTER, elsewhere, normal=normal)
    assert finding.severity == Severity.MEDIUM
