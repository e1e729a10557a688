"""Every detector keeps the shape of its card, and each of ours is right about small scenes."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.contracts import Detector, Finding, Site, Tables, to_ecs
from cyberterr.contracts.flow import TABLES
from cyberterr.contracts.indicator import Indicator, Indicators
from cyberterr.contracts.site import Scanner
from cyberterr.pipeline.indicators import informed
from cyberterr.pipeline.judging import Judging
from cyberterr.pipeline.merging import shaped
from tests.content.scenes import (
    ICMP,
    NOON,
    SILENT,
    UDP,
    detector,
    event,
    findings,
    flow,
    tables,
)

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "network"

DETECTORS = content.detectors()
NAMES = [d.card.id for d in DETECTORS]


def read(path: Path) -> list[Tables]:
    from cyberterr.pipeline.sources import Reading, read_tables

    if not path.exists():
        pytest.skip(f"{path} is not here: it may not be redistributed")
    reading = Reading()
    parts = list(read_tables([path], Settings(), reading))
    assert not reading.errors, reading.errors
    return parts


def judged(name: str, path: Path, site: Site | None = None) -> list[Finding]:
    judging = Judging([detector(name)], site or Site(), {})
    for part in read(path):
        judging.add(part)
    found = judging.close()
    assert not judging.failed, judging.failed
    return found


@pytest.mark.parametrize("each", DETECTORS, ids=NAMES)
def test_every_detector_has_a_complete_card(each: Detector) -> None:
    card = each.card
    assert card.families
    assert card.question.en
    assert card.question.fr
    assert card.proof
    assert card.cost
    assert all(text.en and text.fr for text in (*card.blind_spots, *card.innocent))
    assert card.blind_spots, "nothing sees everything"
    assert card.innocent, "every pattern has a harmless cause"
    assert set(card.tables) <= set(TABLES)
    assert dt.timedelta(0) < card.window <= dt.timedelta(days=1)
    assert all(technique.startswith("T") for technique in card.attack)


def test_every_detector_is_named_like_its_file() -> None:
    files = {p.stem for p in content.folder("detectors").glob("*.py") if p.stem != "__init__"}
    assert set(NAMES) == files


@pytest.mark.parametrize("each", DETECTORS, ids=NAMES)
def test_every_detector_summarises_nothing_into_nothing_of_the_right_shape(each: Detector) -> None:
    summary = each.summarise(Tables(), Site())
    assert shaped(each.card, summary).is_empty()


@pytest.mark.parametrize("name", ["bruteforce.pcap", "dhcp_flood.pcap", "modbusBig.pcap"])
@pytest.mark.parametrize("each", DETECTORS, ids=NAMES)
def test_every_detector_summarises_a_real_capture_into_its_cards_columns(
    each: Detector, name: str
) -> None:
    for part in read(GOLDEN / name):
        shaped(each.card, each.summarise(part, Site()))


def assert_a_person_can_act_on(finding: Finding) -> None:
    for text in (finding.title, finding.reason):
        assert text.en
        assert text.fr
        assert text.en != text.fr
    assert finding.reason.en.endswith(".")
    assert finding.measures
    assert any(measure.baseline is not None for measure in finding.measures)
    assert finding.explanations
    assert finding.not_examined
    assert finding.next_steps
    assert finding.attack
    assert finding.picture is not None
    assert len(finding.picture.x) <= 500
    assert finding.start <= finding.end
    assert 0 <= finding.score <= 1
    json.dumps(to_ecs(finding))


def a_sweep(hosts: int, port: int = 22, src: str = "10.0.0.66") -> Tables:
    return tables(
        flows=[flow(src, f"10.0.1.{i}", port, after=i / 10, **SILENT) for i in range(hosts)]
    )


def test_an_own_machine_that_tries_many_others_is_an_alarm() -> None:
    (finding,) = findings("scan", a_sweep(60))
    assert finding.severity == 73
    assert (finding.rule, finding.actor) == ("scan.horizontal", "10.0.0.66")
    assert_a_person_can_act_on(finding)


def test_an_authorised_scanner_is_only_noted() -> None:
    until = NOON.date()
    site = Site(scanners=(Scanner(address="10.0.0.66", until=until, reason="yearly audit"),))
    (finding,) = findings("scan", a_sweep(60), site)
    assert finding.severity == 21
    assert "holds" in {e.state for e in finding.explanations}


def test_an_authorisation_that_ended_protects_nobody() -> None:
    until = NOON.date() - dt.timedelta(days=1)
    site = Site(scanners=(Scanner(address="10.0.0.66", until=until, reason="last year"),))
    (finding,) = findings("scan", a_sweep(60), site)
    assert finding.severity == 73


def test_a_browser_without_internet_is_no_scan() -> None:
    lost = [flow("10.0.0.5", f"198.51.100.{i}", 443, after=i, **SILENT) for i in range(30)]
    assert findings("scan", tables(flows=lost)) == []


def test_a_crawler_whose_servers_answer_is_no_scan() -> None:
    calm = [flow("10.0.0.5", f"198.51.{i // 200}.{i % 200}", 443, after=i) for i in range(600)]
    lost = [flow("10.0.0.5", f"203.0.113.{i}", 443, after=i, **SILENT) for i in range(60)]
    assert findings("scan", tables(flows=calm + lost)) == []


def test_a_peer_to_peer_program_is_no_scan() -> None:
    peers = [
        flow("10.0.0.5", f"198.51.{i}.9", 6881, after=i, protocol=UDP, **(SILENT if i % 2 else {}))
        for i in range(200)
    ]
    assert findings("scan", tables(flows=peers)) == []


def test_a_router_whose_dns_answers_come_late_is_no_scan() -> None:
    late = [
        flow(
            "10.0.0.1",
            "10.0.0.5",
            40_000 + i,
            after=i / 9,
            protocol=UDP,
            src_port=53,
            **{k: v for k, v in SILENT.items() if k != "src_port"},
        )
        for i in range(200)
    ]
    assert findings("scan", tables(flows=late)) == []


def test_a_monitor_that_pings_a_fixed_list_all_day_is_no_alarm() -> None:
    pings = [
        flow(
            "10.0.0.9",
            f"10.0.2.{i}",
            0,
            after=i,
            lasts=3000,
            protocol=ICMP,
            src_packets=60,
            dst_packets=60,
        )
        for i in range(150)
    ]
    assert findings("scan", tables(flows=pings)) == []


def test_telling_callers_that_a_port_is_closed_is_no_ping_sweep() -> None:
    calls = [
        flow(f"198.51.100.{i}", "10.0.0.5", 161, after=i, protocol=UDP, **SILENT) for i in range(40)
    ]
    refusals = [
        flow("10.0.0.5", f"198.51.100.{i}", 0, after=i, protocol=ICMP, **SILENT) for i in range(40)
    ]
    found = findings("scan", tables(flows=calls + refusals))
    assert not [f for f in found if f.rule == "scan.ping_sweep"]


def test_the_internet_scanning_us_is_weather() -> None:
    noise = [
        flow(f"198.51.{i % 250}.{i // 250}", "192.168.7.7", 20 + i % 3000, after=i, **SILENT)
        for i in range(900)
    ]
    loud = [flow("203.0.113.5", "192.168.7.7", 1 + i, after=i, **SILENT) for i in range(150)]
    found = findings("scan", tables(flows=noise + loud))
    assert {f.severity for f in found} == {21}
    assert {f.rule for f in found} == {"scan.radiation", "scan.outside"}
    for finding in found:
        assert_a_person_can_act_on(finding)


def test_one_scan_of_one_machine_is_one_finding_however_many_ports() -> None:
    ports = [flow("10.0.0.66", "10.0.0.7", 1 + i, after=i / 50, **SILENT) for i in range(2000)]
    (finding,) = findings("scan", tables(flows=ports))
    assert (finding.rule, finding.victim, finding.severity) == ("scan.vertical", "10.0.0.7", 73)
    assert_a_person_can_act_on(finding)


def test_a_slow_scan_is_seen_by_the_day() -> None:
    # Five machines an hour for sixteen hours.
    slow = [
        flow("10.0.0.66", f"10.0.{i // 200}.{i % 200}", 3389, after=i * 700, **SILENT)
        for i in range(80)
    ]
    (finding,) = findings("scan", tables(flows=slow))
    assert finding.severity == 47
    assert "in a day" in finding.reason.en


def test_the_recorded_ftp_brute_force_is_found_with_its_refusals() -> None:
    (finding,) = judged("brute_force", GOLDEN / "bruteforce.pcap")
    assert (finding.actor, finding.victim) == ("192.168.56.1", "192.168.56.101")
    assert finding.victim_port == 21
    assert finding.severity >= 47
    assert {m.name: m.value for m in finding.measures}["refused_logins"] == 30
    assert_a_person_can_act_on(finding)


def ssh(sessions: int, every: float, *, bytes_each: int = 2300, grows: int = 0) -> Tables:
    return tables(
        flows=[
            flow(
                "203.0.113.9",
                "10.0.0.20",
                902,
                after=i * every,
                lasts=2,
                service="ssh",
                src_bytes=bytes_each + grows * i,
                dst_bytes=bytes_each,
            )
            for i in range(sessions)
        ]
    )


def test_many_short_equal_ssh_sessions_are_a_brute_force_on_any_port() -> None:
    (finding,) = findings("brute_force", ssh(60, 1))
    assert (finding.victim_port, finding.severity) == (902, 47)


def test_a_check_once_a_minute_is_no_brute_force() -> None:
    assert findings("brute_force", ssh(60, 60)) == []


def test_sessions_that_move_data_are_work() -> None:
    assert findings("brute_force", ssh(60, 1, bytes_each=400_000, grows=30_000)) == []


def test_a_mail_program_with_an_old_password_is_only_noted() -> None:
    refused = [
        event(
            "10.0.0.5",
            "10.0.0.25",
            143,
            after=i * 120,
            service="imap",
            scheme="LOGIN",
            account="a1",
            success=False,
        )
        for i in range(20)
    ]
    (finding,) = findings("brute_force", tables(login=refused))
    assert finding.severity == 21


def test_a_browser_with_many_connections_is_no_brute_force() -> None:
    many = [flow("10.0.0.5", "198.51.100.1", 443, after=i / 10) for i in range(400)]
    assert findings("brute_force", tables(flows=many)) == []


def test_a_forged_syn_flood_blames_nobody() -> None:
    syns = [
        flow(f"198.{i % 200}.{i % 77}.{i % 251}", "10.0.0.80", 443, after=i / 400, **SILENT)
        for i in range(4000)
    ]
    (finding,) = findings("flood", tables(flows=syns))
    assert (finding.actor, finding.victim) == (None, "10.0.0.80")
    assert finding.severity >= 47
    assert_a_person_can_act_on(finding)


def test_a_rush_of_visitors_is_no_flood() -> None:
    rush = [
        flow(f"198.{i % 200}.{i % 77}.{i % 251}", "10.0.0.80", 443, after=i / 100)
        for i in range(4000)
    ]
    assert findings("flood", tables(flows=rush)) == []


def test_a_resolver_whose_answers_come_late_is_not_flooded() -> None:
    asked = [
        flow("10.0.0.53", f"198.51.100.{i % 50}", 53, after=i / 5, protocol=UDP) for i in range(600)
    ]
    late = [
        flow(
            f"198.51.100.{i % 50}",
            "10.0.0.53",
            40_000 + i,
            after=i / 5,
            protocol=UDP,
            **SILENT | {"src_packets": 1},
        )
        | {"src_port": 53}
        for i in range(200)
    ]
    assert findings("flood", tables(flows=asked + late)) == []


def test_the_recorded_dhcp_flood_is_found() -> None:
    (finding,) = judged("flood", GOLDEN / "dhcp_flood.pcap")
    assert finding.rule == "flood.dhcp"
    assert finding.severity >= 47


def test_a_password_that_stays_inside_is_noted_and_one_that_leaves_is_an_alarm() -> None:
    logins = [
        event("10.0.0.5", "10.0.0.21", 21, service="ftp", scheme="PASS", account="a", success=True),
        event(
            "10.0.0.5", "198.51.100.21", 21, service="ftp", scheme="PASS", account="a", success=True
        ),
        event(
            "10.0.0.6",
            "198.51.100.22",
            110,
            service="pop3",
            scheme="PASS",
            account="b",
            success=True,
        ),
    ]
    found = findings("cleartext", tables(login=logins))
    assert [f.severity for f in found] == [47, 21]
    for finding in found:
        assert_a_person_can_act_on(finding)


def test_an_outsider_guessing_a_community_is_no_password_of_ours() -> None:
    guess = [
        event("198.51.100.7", "10.0.0.1", 161, protocol=UDP, service="snmp", scheme="community")
    ]
    assert findings("cleartext", tables(login=guess)) == []


def looking_for(*items: Indicator) -> Detector:
    (chosen,) = informed([detector("indicator")], Indicators(items))
    return chosen


def test_without_lists_no_indicator_is_found() -> None:
    assert findings("indicator", a_sweep(30)) == []


def test_an_answered_contact_with_a_listed_address_is_high() -> None:
    listed = Indicator("network", "203.0.113.0/24", 90, "bad hosting", "feed.csv")
    scene = tables(flows=[flow("10.0.0.5", "203.0.113.66", 443)])
    (finding,) = findings(looking_for(listed), scene)
    assert (finding.severity, finding.actor, finding.victim) == (73, "10.0.0.5", "203.0.113.66")
    assert_a_person_can_act_on(finding)


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


@pytest.mark.parametrize(
    ("name", "file", "actor", "victim"),
    [
        ("scan", "nmap-scan/conn.log.gz", "172.16.1.11", None),
        ("scan", "slips-icmp/test12-icmp-portscan.pcap", "192.168.1.109", None),
        ("scan", "slips-iot-bot/test7-malicious.pcap.gz", "192.168.2.16", None),
        ("scan", "ndpi-attack/synscan.pcap", "172.16.0.8", "64.13.134.52"),
        ("brute_force", "slips-ssh-bf/malicious-ssh-bruteforce.pcap", "147.32.80.40",
         "147.32.80.37"),
        ("flood", "ddos/pkt.TCP.synflood.spoofed.pcap.gz", None, "10.10.10.10"),
        ("flood", "ddos/amp.UDP.snmp.src161.pcapng.gz", None, "10.10.10.10"),
        ("flood", "ddos/amp.dns.RRSIG.fragmented.pcap.gz", None, "10.10.10.10"),
    ],
)  # fmt: skip
def test_recorded_attacks_are_alarms_that_name_who(
    name: str, file: str, actor: str | None, victim: str | None
) -> None:
    alarms = [f for f in judged(name, SHARED / file) if f.severity >= 47]
    assert alarms
    assert {f.actor for f in alarms} == {actor}
    assert victim in {f.victim for f in alarms}


@pytest.mark.parametrize("file", ["ctu-normal-008", "ctu-normal-010", "ctu-normal-011"])
@pytest.mark.parametrize("name", ["scan", "brute_force", "flood"])
def test_a_normal_day_on_the_internet_raises_no_alarm(name: str, file: str) -> None:
    found = judged(name, SHARED / file / "conn.log.labeled.gz")
    assert [f for f in found if f.severity >= 47] == []
    assert len(found) <= 5, "the noise of a day is a few lines"
