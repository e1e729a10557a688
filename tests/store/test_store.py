"""What every store must do."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.contracts.finding import Finding, Picture, Severity, Text
from cyberterr.contracts.store import Decision, Notice, Query, Store, Suppression
from cyberterr.store.sqlite import SqliteStore

NOW = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)

Make = Callable[..., Finding]


@pytest.fixture(params=["sqlite_store", "elastic_store", "opensearch_store"])
def store(request: pytest.FixtureRequest) -> Store:
    return request.getfixturevalue(request.param)


def decision(finding: Finding, verdict: str = "benign", reason: str = "backup") -> Decision:
    return Decision(
        finding_id=finding.id, verdict=verdict, reason=reason, author="a.martin", time=NOW
    )


def suppression(finding: Finding, expires: dt.datetime = NOW + HOUR) -> Suppression:
    return Suppression(
        id="s1",
        finding_id=finding.id,
        rule=finding.rule,
        created=NOW,
        expires=expires,
        author="a.martin",
        reason="backup",
    )


def test_what_is_put_comes_back_unchanged(store: Store, finding: Make):
    beacon = finding()
    assert store.put([beacon]) == [beacon]
    assert store.get(beacon.id) == beacon
    assert [case.finding for case in store.find(Query())] == [beacon]


def test_scanning_again_adds_nothing(store: Store, finding: Make):
    store.put([finding(), finding(actor="10.0.0.2")])
    assert store.put([finding(), finding(actor="10.0.0.2")]) == []
    assert len(store.revisions(finding().id)) == 1


def test_an_incident_that_goes_on_is_one_line_with_a_new_revision(store: Store, finding: Make):
    first, longer = finding(), finding(end=finding().end + HOUR, windows=2)
    store.put([first])
    [revised] = store.put([longer])
    assert (revised.revision, revised.kind) == (2, "event")
    assert [case.finding for case in store.find(Query())] == [revised]
    assert [f.revision for f in store.revisions(first.id)] == [1, 2]


def test_the_last_revisions_of_many_come_at_once(store: Store, finding: Make):
    one, other = finding(), finding(actor="10.0.0.2")
    store.put([one, other])
    [worse] = store.put([finding(score=0.9)])
    assert store.latest([one.id, other.id, "0" * 24]) == {one.id: worse, other.id: other}
    assert store.latest([]) == {}


def test_only_a_rise_in_severity_is_an_alert_again(store: Store, finding: Make):
    levels = (Severity.HIGH, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)
    kinds = [store.put([finding(severity=level)])[0].kind for level in levels]
    assert kinds == ["alert", "event", "event", "alert"]


def test_content_that_comes_back_is_a_revision_of_its_own(store: Store, finding: Make):
    high, medium = finding(), finding(severity=Severity.MEDIUM)
    for one in (high, medium, high):
        store.put([one])
    assert store.get(high.id).severity == Severity.HIGH
    assert [f.revision for f in store.revisions(high.id)] == [1, 2, 3]


def test_several_contents_put_at_once_are_revisions_in_their_order(store: Store, finding: Make):
    first, longer = finding(), finding(end=finding().end + HOUR, windows=2)
    assert [f.revision for f in store.put([first, longer, first])] == [1, 2]
    assert store.get(first.id).end == longer.end


def test_a_part_of_a_capture_scanned_later_does_not_shrink_the_incident(
    store: Store, finding: Make
):
    whole = finding(end=finding().end + HOUR, windows=2)
    store.put([whole])
    assert store.put([finding()]) == []
    assert store.get(whole.id) == whole


def test_the_engines_own_revision_and_kind_are_not_content(store: Store, finding: Make):
    store.put([finding()])
    assert store.put([finding(revision=7, kind="event")]) == []


def test_findings_are_listed_worst_first(store: Store, finding: Make):
    low = finding(severity=Severity.LOW, actor="10.0.0.1", score=1.0)
    high = finding(actor="10.0.0.2", score=0.2)
    higher = finding(actor="10.0.0.3", score=0.9)
    store.put([low, high, higher])
    assert [case.finding for case in store.find(Query())] == [higher, high, low]


def test_filters_narrow_the_list(store: Store, finding: Make):
    beacon = finding()
    scan = finding(
        rule="scan",
        family="scan",
        severity=Severity.MEDIUM,
        actor="10.0.0.9",
        victim=None,
        end=beacon.end + 5 * HOUR,
    )
    store.put([beacon, scan])
    store.decide(decision(scan))

    def found(**query: object) -> list[Finding]:
        return [case.finding for case in store.find(Query(**query))]

    assert found(severity=73) == [beacon]
    assert found(families=("scan", "flood")) == [scan]
    assert found(since=beacon.end + HOUR) == [scan]
    assert found(address="203.0.113.66") == [beacon]
    assert found(address="10.0.0.9") == [scan]
    assert found(decided=True) == [scan]
    assert found(decided=False) == [beacon]
    assert found(stored_since=dt.datetime.now(dt.UTC) + HOUR) == []


def test_a_severity_that_fell_is_filtered_as_it_is_now(store: Store, finding: Make):
    store.put([finding()])
    store.put([finding(severity=Severity.LOW)])
    assert store.find(Query(severity=73)) == []


def test_the_latest_decision_counts_and_all_are_kept(store: Store, finding: Make):
    store.put([finding()])
    first, second = decision(finding()), decision(finding(), "true_positive", "it was not backup")
    store.decide(first)
    store.decide(second)
    assert store.find(Query())[0].decision == second
    assert store.decisions(finding().id) == [first, second]


def test_nobody_decides_on_what_is_not_there(store: Store, finding: Make):
    with pytest.raises(KeyError):
        store.decide(decision(finding()))


def test_the_first_characters_of_an_id_find_it(store: Store, finding: Make):
    store.put([finding()])
    assert store.ids(finding().id[:6]) == [finding().id]
    assert store.ids("%") == []


def test_suppressions_are_kept_and_lifted(store: Store, finding: Make):
    store.suppress(suppression(finding()))
    assert store.suppressions() == [suppression(finding())]
    assert store.unsuppress("s1")
    assert not store.unsuppress("s1")
    assert store.suppressions() == []


def test_of_two_who_would_tell_an_incident_one_is_too_late(store: Store, finding: Make):
    store.put([finding()])
    mine = Notice(
        finding_id=finding().id, channel="mail", severity=Severity.HIGH, state="sending", time=NOW
    )
    sent = msgspec.structs.replace(mine, state="sent")
    assert store.notice(mine, None)
    assert not store.notice(mine, None)
    assert store.notice(sent, mine)
    assert not store.notice(sent, mine)
    assert store.notices("mail") == {finding().id: sent}
    assert store.notices("syslog") == {}


def test_erasing_takes_decisions_notices_and_expired_suppressions_along(
    store: Store, finding: Make
):
    store.put([finding()])
    store.decide(decision(finding()))
    store.suppress(suppression(finding(), expires=NOW))
    assert store.erase(NOW - 9 * 365 * 24 * HOUR).findings == 0
    erased = store.erase(dt.datetime.now(dt.UTC))
    assert (erased.findings, erased.decisions, erased.suppressions) == (1, 1, 1)
    assert store.find(Query()) == []
    assert store.get(finding().id) is None
    assert store.decisions(finding().id) == []


number = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(max_size=20)
both = st.builds(Text, text, text)
moment = st.integers(0, 10**15).map(lambda us: NOW + dt.timedelta(microseconds=us))
findings = st.builds(
    Finding,
    id=st.sampled_from("abc"),
    rule=text,
    detector=text,
    family=text,
    severity=st.sampled_from(Severity),
    score=st.floats(0, 1),
    start=moment,
    end=moment,
    actor=st.none() | text,
    victim=st.none() | text,
    victim_port=st.none() | st.integers(0, 65535),
    scope=text,
    related=st.lists(text, max_size=3).map(tuple),
    title=both,
    reason=both,
    picture=st.none()
    | st.builds(Picture, kind=st.just("rate"), x=st.lists(number, max_size=3).map(tuple)),
    windows=st.integers(1, 100),
)


@settings(deadline=None, max_examples=30)  # each example writes to the disk
@given(findings)
def test_any_finding_survives_json_and_the_store(one: Finding):
    assert msgspec.json.decode(msgspec.json.encode(one), type=Finding) == one
    with tempfile.TemporaryDirectory() as folder, SqliteStore(Path(folder, "f.db")) as opened:
        opened.put([one])
        assert opened.get(one.id) == one


@settings(deadline=None, max_examples=30)  # each example writes to the disk
@given(
    st.lists(findings, max_size=8, unique_by=lambda f: (f.id, f.end, f.windows)),
    st.randoms(use_true_random=False),
)
def test_the_order_of_putting_does_not_change_the_list(many: list[Finding], random):
    views = []
    for _ in range(2):
        random.shuffle(many)
        with tempfile.TemporaryDirectory() as folder, SqliteStore(Path(folder, "f.db")) as opened:
            for one in many:
                opened.put([one])
            shown = [case.finding for case in opened.find(Query())]
        views.append([msgspec.structs.replace(f, revision=1, kind="alert") for f in shown])
    assert views[0] == views[1]
