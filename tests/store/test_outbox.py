"""What waits for a cluster: committed with what it describes, in order, within its room."""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyberterr.contracts.documents import Document, of_decision, of_finding, of_run
from cyberterr.contracts.finding import Finding, Severity
from cyberterr.contracts.run import Run
from cyberterr.contracts.store import Decision, Query, Suppression
from cyberterr.store import outbox, room, schema
from cyberterr.store.connection import connect, opened, transaction
from cyberterr.store.revisions import as_kept
from cyberterr.store.sqlite import SqliteStore

Make = Callable[..., Finding]
HERE = "https://here.example:9200"
NOW = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
MONTH = 30 * DAY
SCHEMA_1 = Path(__file__).parents[1] / "data" / "store" / "schema1.sql"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with opened(tmp_path / "cyberterr.db") as connection:
        yield connection


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "cyberterr.db", forward=outbox.Forward(HERE)) as opened:
        yield opened


def a_decision(finding: Finding, **changes: object) -> Decision:
    fields = {
        "finding_id": finding.id,
        "verdict": "false_positive",
        "reason": "our backup",
        "author": "x",
        "time": NOW,
    }
    return Decision(**{**fields, **changes})  # type: ignore[arg-type]  # fields by name


def queue(db: sqlite3.Connection, *documents: Document, now: dt.datetime = NOW) -> None:
    with transaction(db):
        outbox.queue(db, HERE, documents, now)


def trim(db: sqlite3.Connection, *, size: int = 10**9, now: dt.datetime = NOW) -> int:
    return room.trim(db, HERE, max_bytes=size, max_age=MONTH, now=now)


def waiting(db: sqlite3.Connection, now: dt.datetime = NOW) -> list[str]:
    return [one.id for one in outbox.take(db, HERE, now, documents=10_000, size=10**9)]


def documents(make: Make, count: int, **changes: object) -> list[Document]:
    plain = make(**changes)
    return [of_finding(msgspec.structs.replace(plain, id=f"{n:024x}")) for n in range(count)]


def test_what_is_stored_waits_to_be_sent_and_what_was_known_does_not(store, finding):
    store.put([finding(), finding(actor="10.0.0.9")])
    store.put([finding()])
    with opened(store.path) as db:
        assert len(waiting(db)) == 2
        [first, _] = outbox.take(db, HERE, NOW)
    body = msgspec.json.decode(first.body)
    assert body == msgspec.json.decode(msgspec.json.encode(of_finding(finding()).body))
    assert list(body)[-1] == "event"
    assert first.incident == finding().id


def test_decisions_and_suppressions_made_and_lifted_wait_too(store, finding):
    store.put([finding()])
    store.decide(a_decision(finding()))
    store.suppress(
        Suppression(
            id="s1", finding_id=finding().id, rule="beacon", created=NOW, expires=NOW + DAY,
            author="x", reason="our backup",
        )
    )  # fmt: skip
    assert store.unsuppress("s1")
    assert not store.unsuppress("s1")
    with opened(store.path) as db:
        taken = outbox.take(db, HERE, NOW)
    actions = [msgspec.json.decode(one.body)["event"].get("action") for one in taken]
    assert actions == ["finding-decided", "suppression-made", "suppression-lifted", None]
    assert {one.incident for one in taken} == {finding().id}


def test_without_a_cluster_nothing_waits(tmp_path, finding):
    with SqliteStore(tmp_path / "cyberterr.db") as store:
        store.put([finding()])
        store.queue([of_run(Run(sources=(), started=NOW, seconds=1.0), 0, sensor="")])
    with opened(store.path) as db:
        assert outbox.targets(db) == []


def test_a_finding_that_cannot_wait_is_not_stored_either(store, finding):
    assert store.find(Query()) == []
    with opened(store.path) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(sqlite3.IntegrityError):
        store.put([finding()])
    assert store.find(Query()) == []


def test_what_is_erased_is_not_sent_afterwards(store, finding):
    store.put([finding()])
    store.decide(a_decision(finding(), reason="Madame Unique said so"))
    store.erase(dt.datetime.now(dt.UTC))
    with opened(store.path) as db:
        assert outbox.state(db, HERE).waiting == 0
    for file in store.path.parent.iterdir():
        assert b"Madame Unique" not in file.read_bytes()


def test_a_file_of_schema_1_is_taken_over_with_all_that_is_in_it(tmp_path, finding):
    path = tmp_path / "cyberterr.db"
    old = sqlite3.connect(path)
    old.executescript(SCHEMA_1.read_text())
    old.execute("PRAGMA journal_mode = WAL")
    old.close()
    with SqliteStore(path, forward=outbox.Forward(HERE)) as store:
        [case] = store.find(Query())
        assert case.finding.id == "0123456789abcdef01234567"
        assert case.decision
        assert case.decision.reason == "our own updates"
        store.put([finding()])
    with opened(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert waiting(db) == [of_finding(as_kept(finding())).id]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_new_file_and_one_of_schema_1_end_alike(tmp_path):
    old = sqlite3.connect(tmp_path / "old.db")
    old.executescript(SCHEMA_1.read_text())
    old.close()
    tables = "SELECT type, name, sql FROM sqlite_schema ORDER BY name"
    with opened(tmp_path / "old.db") as one, opened(tmp_path / "new.db") as other:
        assert one.execute(tables).fetchall() == other.execute(tables).fetchall()


def test_two_programs_may_take_over_an_old_file_at_once(tmp_path):
    old = sqlite3.connect(tmp_path / "cyberterr.db")
    old.executescript(SCHEMA_1.read_text())
    old.execute("BEGIN IMMEDIATE")  # the first of them is at it
    done = []
    second = threading.Thread(target=lambda: done.append(connect(tmp_path / "cyberterr.db")))
    second.start()
    second.join(0.3)
    assert not done
    old.execute("COMMIT")
    old.close()
    second.join()
    assert len(done) == 1


def test_two_threads_may_make_a_new_file_at_once(tmp_path):
    for number in range(30):
        made, both = [], threading.Barrier(2)

        def make(path=tmp_path / f"{number}.db", made=made, both=both):
            both.wait()
            with opened(path) as db:
                made.append(db.execute("PRAGMA journal_mode").fetchone()[0])

        threads = [threading.Thread(target=make) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == ["wal", "wal"]


def test_what_people_decided_goes_first_then_the_severe_then_the_old(db, finding):
    low, medium, high = (
        documents(finding, 2, severity=s) for s in (Severity.LOW, Severity.MEDIUM, Severity.HIGH)
    )
    run = of_run(Run(sources=(), started=NOW, seconds=1.0), 0, sensor="")
    decided = of_decision(a_decision(finding()), finding())
    queue(db, run, *low, *medium, *high, decided)
    expected = [decided, *high, *medium, *low, run]
    assert waiting(db) == [document.id for document in expected]


def test_a_chunk_ends_with_its_documents_or_its_bytes_but_has_one_at_least(db, finding):
    many = documents(finding, 20)
    queue(db, *many)
    [one] = outbox.take(db, HERE, NOW, size=1)
    size = len(one.body)
    assert len(outbox.take(db, HERE, NOW, documents=7)) == 7
    assert len(outbox.take(db, HERE, NOW, size=3 * size)) == 3
    assert len(outbox.take(db, HERE, NOW, size=3 * size - 1)) == 2


def test_the_same_document_waits_once_for_each_target(db, finding):
    queue(db, of_finding(finding()))
    queue(db, of_finding(finding()))
    with transaction(db):
        outbox.queue(db, "https://there.example", [of_finding(finding())], NOW)
    assert [outbox.state(db, target).waiting for target in outbox.targets(db)] == [1, 1]


def test_what_is_settled_goes_waits_for_a_person_or_waits_for_later(db, finding):
    queue(db, *documents(finding, 3))
    a, b, c = outbox.take(db, HERE, NOW)
    later = NOW + dt.timedelta(seconds=30)
    outbox.settle(
        db,
        HERE,
        delivered=[a.number],
        dead=[(b.number, "mapping: no ip")],
        postponed=[outbox.Postponed(c.number, later, "busy")],
    )
    assert waiting(db) == []
    assert waiting(db, later) == [c.id]
    assert outbox.take(db, HERE, later)[0].attempts == 1
    [dead] = outbox.dead_letters(db, HERE)
    assert (dead.id, dead.reason, dead.attempts) == (b.id, "mapping: no ip", 1)
    state = outbox.state(db, HERE)
    assert (state.waiting, state.dead, state.oldest) == (1, 1, NOW)


def test_dead_letters_wait_again_when_a_person_says_so(db, finding):
    queue(db, *documents(finding, 3))
    taken = outbox.take(db, HERE, NOW)
    outbox.settle(db, HERE, dead=[(one.number, "no") for one in taken])
    assert outbox.retry(db, HERE, [taken[0].id, "no such"]) == 1
    assert waiting(db) == [taken[0].id]
    assert outbox.retry(db, HERE) == 2
    assert outbox.state(db, HERE).dead == 0


def test_what_waits_can_be_sent_elsewhere(db, finding):
    queue(db, *documents(finding, 3))
    one, *_ = outbox.take(db, HERE, NOW)
    outbox.settle(db, HERE, dead=[(one.number, "no")])
    with transaction(db):
        outbox.queue(db, "https://new.example", documents(finding, 1), NOW)
    assert outbox.redirect(db, HERE, "https://new.example") == 3
    assert outbox.state(db, HERE).waiting == 0
    assert outbox.state(db, "https://new.example").waiting == 3


def test_an_answer_that_comes_after_a_document_was_redirected_does_not_delete_it(db, finding):
    queue(db, of_finding(finding()))
    [one] = outbox.take(db, HERE, NOW)
    outbox.redirect(db, HERE, "https://new.example")
    outbox.settle(db, HERE, delivered=[one.number])
    assert outbox.state(db, "https://new.example").waiting == 1


def test_a_number_is_not_used_again_while_its_document_may_be_on_its_way(db, finding):
    queue(db, of_finding(finding()))
    [one] = outbox.take(db, HERE, NOW)
    with transaction(db):
        outbox.forget(db, [finding().id])
    queue(db, of_finding(finding(actor="10.0.0.9")))
    outbox.settle(db, HERE, delivered=[one.number])
    assert len(waiting(db)) == 1


def test_without_room_the_least_severe_and_oldest_are_dropped_and_it_is_told(db, finding):
    high = documents(finding, 5, severity=Severity.HIGH)
    low = documents(finding, 1200, severity=Severity.LOW, actor="10.0.0.9")
    decided = of_decision(a_decision(finding()), finding())
    queue(db, decided, *high, *low)
    every = outbox.state(db, HERE).waiting_bytes
    each = len(outbox.take(db, HERE, NOW)[-1].body)
    assert trim(db, size=every - 700 * each) == 700
    assert waiting(db) == [d.id for d in (decided, *high, *low[700:])]
    assert trim(db, size=every - 700 * each) == 0

    assert room.tell_drops(db, HERE, NOW)
    assert not room.tell_drops(db, HERE, NOW)
    first = msgspec.json.decode(outbox.take(db, HERE, NOW)[0].body)
    assert first["cyberterr"]["dropped"] == {
        "dataset": "cyberterr.finding",
        "documents": 700,
        "bytes": 700 * each,
        "oldest": "2026-03-14T12:00:00.000000Z",
    }
    assert trim(db, size=0) == 506
    assert len(waiting(db)) == 1  # what tells of drops is not dropped
    assert outbox.state(db, HERE).dropped == {"cyberterr.finding": 1205, "cyberterr.decision": 1}


def test_what_waits_longer_than_it_may_is_dropped_though_it_is_severe_or_dead(db, finding):
    queue(db, *documents(finding, 2, severity=Severity.CRITICAL))
    outbox.settle(db, HERE, dead=[(outbox.take(db, HERE, NOW)[0].number, "no")])
    young = of_finding(finding(actor="10.0.0.9", severity=Severity.LOW))
    queue(db, young, now=NOW + DAY)
    assert trim(db, now=NOW + MONTH) == 0
    assert trim(db, now=NOW + MONTH + DAY / 2) == 2
    assert waiting(db) == [young.id]
    assert room.tell_drops(db, HERE, NOW)
    told = msgspec.json.decode(outbox.take(db, HERE, NOW)[0].body)
    assert told["event"]["reason"] == "waited more than 30 days"


def test_an_outage_of_months_leaves_one_line_about_all_drops(db, finding):
    for day in range(100):
        moment = NOW + day * DAY
        queue(db, of_finding(finding(end=moment)), now=moment)
        trim(db, now=moment)
    assert room.tell_drops(db, HERE, NOW)
    [told] = [d for d in outbox.take(db, HERE, NOW) if d.dataset == "cyberterr.health"]
    assert msgspec.json.decode(told.body)["cyberterr"]["dropped"]["documents"] == 69


def test_trouble_is_remembered_until_it_goes_well_and_its_text_beyond(db):
    trouble = outbox.Trouble("refused", "key expired", "make a new one", NOW)
    outbox.failed(db, HERE, trouble, NOW + DAY)
    outbox.failed(db, HERE, trouble, NOW + 2 * DAY)
    state = outbox.state(db, HERE)
    assert (state.failures, state.next_try, state.stopped) == (2, NOW + 2 * DAY, True)
    outbox.went_well(db, HERE)
    state = outbox.state(db, HERE)
    assert (state.failures, state.next_try, state.stopped) == (0, None, False)
    assert state.last_error == trouble


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # it makes, and keeps nothing
@given(
    st.lists(st.tuples(st.sampled_from(Severity), st.integers(0, 40)), max_size=30),
    st.integers(0, 60_000),
)
def test_trimming_leaves_what_has_room_and_drops_nothing_better_than_it_keeps(finding, made, size):
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.prepare(db, Path("memory"))
    ages = {}
    for number, (severity, days) in enumerate(made):
        one = of_finding(finding(severity=severity, scope=str(number)))
        queue(db, one, now=NOW - days * DAY)
        ages[one.id] = (days, severity)
    dropped = trim(db, size=size)
    left = waiting(db)
    assert len(left) + dropped == len(made)
    assert outbox.state(db, HERE).waiting_bytes <= size
    assert all(ages[name][0] <= 30 for name in left)
    gone = [severity for name, (days, severity) in ages.items() if name not in left and days <= 30]
    if gone and left:
        assert max(gone) <= min(ages[name][1] for name in left)
    db.close()
