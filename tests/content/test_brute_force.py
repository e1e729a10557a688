"""Refused logins and short equal sessions in a row are a brute force; checks and work are not."""

from __future__ import annotations

import pytest

from cyberterr.contracts import Tables
from tests.content.scenes import GOLDEN, alarms, event, findings, flow, read, recorded, tables


def test_the_recorded_ftp_brute_force_is_found_with_its_refusals() -> None:
    (finding,) = findings("brute_force", read(GOLDEN / "bruteforce.pcap"))
    assert (finding.actor, finding.victim) == ("192.168.56.1", "192.168.56.101")
    assert finding.victim_port == 21
    assert finding.severity >= 47
    assert {m.name: m.value for m in finding.measures}["refused_logins"] == 30


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


def test_the_recorded_ssh_brute_force_names_both_machines() -> None:
    found = alarms(recorded("brute_force", "slips-ssh-bf/malicious-ssh-bruteforce.pcap"))
    assert {(f.actor, f.victim) for f in found} == {("147.32.80.40", "147.32.80.37")}


@pytest.mark.parametrize("day", ["ctu-normal-008", "ctu-normal-010", "ctu-normal-011"])
def test_a_normal_day_on_the_internet_raises_no_alarm(day: str) -> None:
    found = recorded("brute_force", f"{day}/conn.log.labeled.gz")
    assert alarms(found) == []
    assert len(found) <= 5, "the noise of a day is a few lines"
