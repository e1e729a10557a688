"""A readable password is context inside and an alarm where it leaves."""

from __future__ import annotations

from tests.content.scenes import UDP, event, findings, tables


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


def test_an_outsider_guessing_a_community_is_no_password_of_ours() -> None:
    guess = [
        event("198.51.100.7", "10.0.0.1", 161, protocol=UDP, service="snmp", scheme="community")
    ]
    assert findings("cleartext", tables(login=guess)) == []


def test_a_visitor_who_logs_in_readably_from_outside_is_an_alarm_too() -> None:
    visit = event(
        "198.51.100.7", "10.0.0.21", 21, service="ftp", scheme="PASS", account="a", success=True
    )
    (finding,) = findings("cleartext", tables(login=[visit]))
    assert (finding.rule, finding.severity) == ("cleartext.leaving", 47)


def test_a_stranger_whose_guesses_are_refused_is_no_password_of_ours() -> None:
    guess = event(
        "198.51.100.7", "10.0.0.21", 21, service="ftp", scheme="PASS", account="a", success=False
    )
    (finding,) = findings("cleartext", tables(login=[guess]))
    assert finding.severity == 21
