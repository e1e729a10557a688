"""Pings of changing, large size carry something; ordinary pings do not."""

from __future__ import annotations

from typing import Any

from cyberterr.contracts import Finding
from tests.content.scenes import ICMP, alarms, findings, flow, recorded, tables


def pinged(**changes: Any) -> list[Finding]:
    ping = {"protocol": ICMP, "src_port": 0, "src_packets": 400, "dst_packets": 400}
    return findings(
        "ping_tunnel", tables(flows=[flow("10.0.0.7", "10.0.0.8", 0, **ping | changes)])
    )


def test_pings_of_changing_size_are_an_alarm() -> None:
    (finding,) = pinged(src_bytes=80_000, dst_bytes=80_000, src_len_min=60.0, src_len_max=1056.0)
    assert (finding.rule, finding.severity) == ("exfiltration.icmp", 47)


def test_large_pings_whose_sizes_a_log_does_not_tell_are_only_noted() -> None:
    (finding,) = pinged(src_bytes=80_000, dst_bytes=80_000)
    assert finding.severity == 21


def test_ordinary_pings_are_nothing() -> None:
    assert pinged(src_bytes=33_600, dst_bytes=33_600, src_len_min=84.0, src_len_max=84.0) == []


def test_the_recorded_tunnel_is_found() -> None:
    found = alarms(recorded("ping_tunnel", "ndpi-attack/icmp-tunnel.pcap"))
    assert "192.168.154.131" in {f.actor for f in found} | {f.victim for f in found}
