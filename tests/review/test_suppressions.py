from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Case, Decision
from cyberterr.errors import UsageError
from cyberterr.review.suppressions import covers, marked, suppression

NOW = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
Make = Callable[..., Finding]


def because(finding: Finding, verdict: str = "false_positive") -> Decision:
    return Decision(
        finding_id=finding.id, verdict=verdict, reason="backup", author="a.martin", time=NOW
    )


def test_the_default_scope_is_the_narrowest(finding: Make):
    made = suppression(finding(), because(finding()), days=30)
    assert covers(made, finding(start=NOW, end=NOW))
    for other in (
        finding(rule="scan"),
        finding(actor="10.0.0.2"),
        finding(victim="203.0.113.67"),
        finding(scope="evil.example"),
    ):
        assert not covers(made, other)


def test_a_wider_scope_covers_more_and_nothing_else(finding: Make):
    made = suppression(finding(), because(finding()), days=30, scope=("rule", "port"))
    assert covers(made, finding(actor="10.0.0.2", scope="other.example"))
    assert not covers(made, finding(victim_port=22))


@pytest.mark.parametrize("actor", ["10.20.5.1", "10.21.4.14", "not an address", None])
def test_a_network_narrows_to_the_actors_in_it(finding: Make, actor: str | None):
    made = suppression(
        finding(), because(finding()), days=30, scope=("rule",), network="10.20.4.0/24"
    )
    assert covers(made, finding(actor="10.20.4.200"))
    assert not covers(made, finding(actor=actor))


def test_it_ends_on_time(finding: Make):
    made = suppression(finding(), because(finding()), days=30)
    [case] = marked([Case(finding=finding(), stored=NOW)], [made], NOW + dt.timedelta(days=29))
    assert case.suppressed_by == (made.id,)
    [case] = marked([Case(finding=finding(), stored=NOW)], [made], NOW + dt.timedelta(days=30))
    assert case.suppressed_by == ()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"days": 0}, "cannot last 0 days"),
        ({"days": 401}, "cannot last 401 days"),
        ({"days": 1, "scope": ("port",)}, "would hide too much"),
        ({"days": 1, "scope": ("everything",)}, "no such scope"),
        ({"days": 1, "network": "10.0.0.0/33"}, "is no network"),
        ({"days": 1, "network": "10.99.0.0/16"}, "does not contain"),
    ],
)
def test_a_suppression_too_wide_or_without_end_is_refused(finding: Make, how, words):
    with pytest.raises(UsageError, match=words):
        suppression(finding(), because(finding()), **how)


@pytest.mark.parametrize("verdict", ["true_positive", "benign"])
def test_what_is_real_stays_visible(finding: Make, verdict: str):
    with pytest.raises(UsageError, match=f"decided {verdict} is not suppressed"):
        suppression(finding(), because(finding(), verdict), days=1)


def test_a_scope_the_finding_does_not_have_is_refused(finding: Make):
    flood = finding(actor=None)
    with pytest.raises(UsageError, match="this finding has no actor"):
        suppression(flood, because(flood), days=1, scope=("rule", "actor"))


@given(
    st.lists(st.sampled_from(["rule", "actor", "victim", "detail", "port"]), unique=True),
    st.sets(st.sampled_from(["rule", "actor", "victim", "scope", "victim_port"])),
)
def test_it_covers_exactly_what_is_equal_in_its_scope(scope: list[str], changed: set[str]):
    from msgspec.structs import replace

    base = Finding(
        id="f", detector="d", rule="r", family="f", severity=73, score=0.5, start=NOW, end=NOW,
        actor="10.0.0.1", victim="10.0.0.2", victim_port=1, scope="s", title=("", ""),
        reason=("", ""),
    )  # fmt: skip
    if not {"rule", "actor", "victim"} & set(scope):
        scope = [*scope, "rule"]
    made = suppression(base, because(base), days=1, scope=scope)
    other = replace(base, **{key: 9 if key == "victim_port" else "9" for key in changed})
    names = {"detail": "scope", "port": "victim_port"}
    assert covers(made, other) == (not changed & {names.get(word, word) for word in scope})
