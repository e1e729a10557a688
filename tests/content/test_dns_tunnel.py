"""Data in names is found; crawlers, block lists and discovery are not."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import polars as pl
import pytest

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.contracts import Finding, Severity, Site, Tables
from cyberterr.contracts.flow import conform
from cyberterr.pipeline.judging import Judging
from cyberterr.pipeline.sources import Reading, read_tables

DNS = next(d for d in content.detectors() if d.card.id == "dns_tunnel")
START = dt.datetime(2026, 3, 14, 9, 0, tzinfo=dt.UTC)
SHARED = Path(__file__).parents[2].parent / "shared/data/network"


def asked(names: list[str], *, qtype: str = "A", rcode: str = "NOERROR") -> list[Finding]:
    rows = [
        {
            "time": START + dt.timedelta(seconds=number),
            "src_ip": "10.0.0.5",
            "dst_ip": "10.0.0.1",
            "src_port": 40000,
            "dst_port": 53,
            "protocol": 17,
            "sensor": "sensor",
            "query": name,
            "qtype": qtype,
            "rcode": rcode,
        }
        for number, name in enumerate(names)
    ]
    judging = Judging([DNS], Site(), {})
    judging.add(Tables(dns=conform("dns", pl.DataFrame(rows))))
    findings = judging.close()
    assert not judging.failed
    return findings


def code(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_long_random_names_under_one_domain_are_a_tunnel() -> None:
    (finding,) = asked([f"{code(n)[:60]}.evil.example" for n in range(150)], qtype="TXT")
    assert (finding.family, finding.severity) == ("dns_tunnel", Severity.HIGH)
    assert finding.scope == "evil.example"


def test_a_tunnel_without_a_domain_is_found_too() -> None:
    (finding,) = asked([f"dnscat.{code(n)[:50]}" + code(n)[:8] for n in range(60)])
    assert finding.severity >= Severity.MEDIUM


def test_a_mail_server_that_asks_a_block_list_is_nothing() -> None:
    assert asked([f"{n}.7.{n % 50}.198.zen.spamhaus.org" for n in range(200)]) == []


def test_an_antivirus_that_asks_with_hashes_is_no_alarm() -> None:
    (finding,) = asked([f"{code(n)[:48]}.avqs.mcafee.com" for n in range(200)])
    assert finding.severity == Severity.LOW


def test_reverse_look_ups_and_discovery_are_nothing() -> None:
    reverse = [f"{n}.0.168.192.in-addr.arpa" for n in range(200)]
    assert asked([*reverse, *(f"{code(n)[:40]}._tcp.local" for n in range(100))]) == []


def test_many_random_names_that_do_not_exist_are_generated_by_a_program() -> None:
    (finding,) = asked([f"{code(n)[:14]}.com" for n in range(80)], rcode="NXDOMAIN")
    assert finding.family == "dga"


def test_mistyped_names_are_nothing() -> None:
    assert asked([f"mairie-{n}-exemple.fr" for n in range(80)], rcode="NXDOMAIN") == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ndpi-attack/dns-tunnel-iodine.pcap", True),
        ("ndpi-attack/dns_exfiltration.pcap", True),
        ("dns-benign/normal_00001_20230805152732.pcap.gz", False),
    ],
)
def test_on_real_captures(name: str, found: bool) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not here")
    judging = Judging([DNS], Site(), {})
    for tables in read_tables([SHARED / name], Settings(), Reading()):
        judging.add(tables)
    assert any(f.severity >= Severity.MEDIUM for f in judging.close()) is found
