"""Names that a program made up are found; mistyped and missing ones are not."""

from __future__ import annotations

import hashlib

from cyberterr.contracts import Finding
from tests.content.scenes import UDP, event, findings, recorded, tables


def missed(names: list[str], *, rcode: str = "NXDOMAIN") -> list[Finding]:
    look_ups = [
        event("10.0.0.5", "10.0.0.1", 53, after=number, protocol=UDP, query=name, rcode=rcode)
        for number, name in enumerate(names)
    ]
    return findings("dga", tables(dns=look_ups))


def made_up(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:14]


def test_many_random_names_that_do_not_exist_are_generated_by_a_program() -> None:
    (finding,) = missed([f"{made_up(n)}.com" for n in range(80)])
    assert (finding.family, finding.severity, finding.actor) == ("dga", 47, "10.0.0.5")


def test_they_are_found_below_a_countrys_second_level_too() -> None:
    (finding,) = missed([f"{made_up(n)}.co.uk" for n in range(80)])
    assert finding.family == "dga"


def test_random_names_that_exist_are_a_content_network() -> None:
    assert missed([f"{made_up(n)}.com" for n in range(80)], rcode="NOERROR") == []


def test_mistyped_names_are_nothing() -> None:
    assert missed([f"mairie-{n}-exemple.fr" for n in range(80)]) == []


def test_a_crawler_of_real_names_is_nothing() -> None:
    assert recorded("dga", "dns-benign/normal_00001_20230805152732.pcap.gz") == []
