"""Data in names is found; crawlers, block lists and discovery are not."""

from __future__ import annotations

import hashlib

import pytest

from cyberterr.contracts import Finding, Severity
from tests.content.scenes import UDP, alarms, event, findings, recorded, tables


def asked(names: list[str], *, qtype: str = "A") -> list[Finding]:
    look_ups = [
        event("10.0.0.5", "10.0.0.1", 53, after=number, protocol=UDP, query=name, qtype=qtype)
        for number, name in enumerate(names)
    ]
    return findings("dns_tunnel", tables(dns=look_ups))


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


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ndpi-attack/dns-tunnel-iodine.pcap", True),
        ("ndpi-attack/dns_exfiltration.pcap", True),
        ("dns-benign/normal_00001_20230805152732.pcap.gz", False),
    ],
)
def test_on_real_captures(name: str, found: bool) -> None:
    assert bool(alarms(recorded("dns_tunnel", name))) is found
