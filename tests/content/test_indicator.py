"""What lists call bad is found by address, name, URL and fingerprint."""

from __future__ import annotations

from cyberterr.contracts import Detector
from cyberterr.contracts.indicator import Indicator, Indicators
from cyberterr.pipeline.indicators import informed
from tests.content.scenes import SILENT, UDP, detector, event, findings, flow, tables


def looking_for(*items: Indicator) -> Detector:
    (chosen,) = informed([detector("indicator")], Indicators(items))
    return chosen


def test_without_lists_no_indicator_is_found() -> None:
    scene = tables(flows=[flow("10.0.0.5", "203.0.113.66", 443)])
    assert findings("indicator", scene) == []


def test_an_answered_contact_with_a_listed_address_is_high() -> None:
    listed = Indicator("network", "203.0.113.0/24", 90, "bad hosting", "feed.csv")
    scene = tables(flows=[flow("10.0.0.5", "203.0.113.66", 443)])
    (finding,) = findings(looking_for(listed), scene)
    assert (finding.severity, finding.actor, finding.victim) == (73, "10.0.0.5", "203.0.113.66")


def test_a_listed_scanner_that_nobody_answered_is_only_noted() -> None:
    listed = Indicator("address", "203.0.113.66", 90)
    scene = tables(flows=[flow("203.0.113.66", "10.0.0.5", 22, **SILENT)])
    (finding,) = findings(looking_for(listed), scene)
    assert finding.severity == 21


def test_a_look_up_below_a_listed_domain_is_found() -> None:
    listed = Indicator("domain", "evil.example", 60)
    asked = event(
        "10.0.0.5",
        "10.0.0.53",
        53,
        protocol=UDP,
        query="a.b.evil.example",
        rcode="NXDOMAIN",
        answers=[],
    )
    other = event(
        "10.0.0.5",
        "10.0.0.53",
        53,
        protocol=UDP,
        query="notevil.example",
        rcode="NOERROR",
        answers=["198.51.100.1"],
    )
    (finding,) = findings(looking_for(listed), tables(dns=[asked, other]))
    assert finding.severity == 47
    assert finding.scope == "evil.example"


def test_listed_urls_and_fingerprints_are_found() -> None:
    ja4 = "t13d1516h2_8daaf6152771_b186095e22b6"
    chosen = looking_for(Indicator("ja4", ja4, 80), Indicator("url", "bad.example/x.bin", 80))
    scene = tables(
        tls=[event("10.0.0.5", "198.51.100.1", 443, server_name="cdn.example", ja4=ja4)],
        http=[
            event("10.0.0.6", "198.51.100.2", 80, method="GET", host="Bad.example", uri="/x.bin")
        ],
    )
    assert {f.scope for f in findings(chosen, scene)} == {ja4, "bad.example/x.bin"}
