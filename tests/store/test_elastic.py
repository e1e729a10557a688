"""The data streams themselves, and a cluster that cannot be used: nothing is lost."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import getpass
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyberterr.config import Elastic, Settings
from cyberterr.contracts.documents import of_finding, stream
from cyberterr.contracts.finding import Finding, Severity
from cyberterr.contracts.store import Decision, Notice, Query, Suppression
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.privileges import keys
from cyberterr.elastic.templates import install
from cyberterr.errors import StoreError
from cyberterr.store import delivery, elastic, spool
from cyberterr.store.elastic import ElasticStore

Make = Callable[..., Finding]
Open = Callable[[], ElasticStore]
NOW = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def decision(finding: Finding, reason: str = "backup", time: dt.datetime = NOW) -> Decision:
    return Decision(
        finding_id=finding.id, verdict="benign", reason=reason, author="a.martin", time=time
    )


def ask(cluster: Cluster, method: str, path: str, body: object = None) -> dict:
    return cluster.ask(Request(method, path, body))


def documents(cluster: Cluster, index: str) -> list[dict]:
    ask(cluster, "POST", f"/{index}/_refresh")
    return [hit for page in cluster.pages(index, {}) for hit in page]


@contextlib.contextmanager
def blocked(cluster: Cluster, index: str) -> Iterator[None]:
    """The cluster takes no documents, as when its disks are full."""
    ask(cluster, "PUT", f"/{index}/_settings", {"index.blocks.write": True})
    try:
        yield
    finally:
        ask(cluster, "PUT", f"/{index}/_settings", {"index.blocks.write": None})


def test_what_is_sent_again_after_a_rollover_is_there_twice_and_counts_once(
    elastic_store: ElasticStore, cluster: Cluster, namespace: str, finding: Make
):
    elastic_store.put([finding()])
    elastic_store.decide(decision(finding()))
    before = elastic_store.find(Query())
    for dataset in ("cyberterr.finding", "cyberterr.decision"):
        index = stream(dataset, namespace)
        [sent] = documents(cluster, index)
        ask(cluster, "POST", f"/{index}/_rollover")
        again = {**sent["_source"], "event": {**sent["_source"]["event"]}}
        again["event"]["ingested"] = "2099-01-01T00:00:00.000000Z"
        [outcome] = cluster.create([(index, sent["_id"], json.dumps(again).encode())])
        assert outcome.status == 201
        assert len(documents(cluster, index)) == 2
    assert elastic_store.find(Query()) == before
    assert elastic_store.revisions(finding().id) == [finding()]
    assert elastic_store.decisions(finding().id) == [decision(finding())]
    assert elastic_store.put([finding()]) == []


def test_a_new_revision_after_a_rollover_is_the_last_one(
    elastic_store: ElasticStore, cluster: Cluster, namespace: str, finding: Make
):
    elastic_store.put([finding()])
    ask(cluster, "POST", f"/{stream('cyberterr.finding', namespace)}/_rollover")
    [longer] = elastic_store.put([finding(end=finding().end + HOUR, windows=2)])
    assert longer.revision == 2
    assert [case.finding for case in elastic_store.find(Query())] == [longer]


def test_several_hundred_incidents_are_all_found(elastic_store: ElasticStore, finding: Make):
    many = [finding(actor=f"10.1.{n // 250}.{n % 250}") for n in range(2300)]
    assert len(elastic_store.put(many)) == 2300
    assert len(elastic_store.find(Query())) == 2300
    assert elastic_store.put(many) == []
    assert len(elastic_store.ids("")) == 100


def test_two_programs_that_store_the_same_keep_it_once(opened: Open, finding: Make):
    ours, theirs = opened(), opened()
    ours.put([finding()])
    assert theirs.put([finding()]) == []
    [revised] = theirs.put([finding(end=finding().end + HOUR)])
    assert ours.get(finding().id) == revised


def test_of_many_who_would_tell_an_incident_at_once_one_does(opened: Open, finding: Make):
    stores = [opened() for _ in range(4)]
    stores[0].put([finding()])
    start, won = threading.Barrier(len(stores)), []

    def tell(store: ElasticStore, number: int) -> None:
        mine = Notice(
            finding_id=finding().id,
            channel="mail",
            severity=Severity.HIGH,
            state="sending",
            time=NOW + dt.timedelta(seconds=number),
        )
        start.wait()
        won.append(store.notice(mine, None))

    threads = [threading.Thread(target=tell, args=(store, n)) for n, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False, False, False, True]


def test_a_failed_notice_can_be_tried_again(elastic_store: ElasticStore, finding: Make):
    elastic_store.put([finding()])
    steps = [None]
    for number, state in enumerate(("sending", "failed", "sending", "sent")):
        notice = Notice(
            finding_id=finding().id,
            channel="mail",
            severity=Severity.HIGH,
            state=state,
            time=NOW + number * HOUR,
        )
        assert elastic_store.notice(notice, steps[-1])
        steps.append(notice)
    assert elastic_store.notices("mail") == {finding().id: steps[-1]}


def test_a_decision_made_later_counts_even_where_it_is_stored_first(
    elastic_store: ElasticStore, finding: Make
):
    elastic_store.put([finding()])
    late, early = decision(finding(), "late", NOW + HOUR), decision(finding(), "early", NOW)
    elastic_store.decide(late)
    elastic_store.decide(early)
    assert elastic_store.decisions(finding().id) == [early, late]
    assert elastic_store.find(Query())[0].decision == late


def test_who_lifted_a_suppression_stays_on_record(
    elastic_store: ElasticStore, cluster: Cluster, namespace: str, finding: Make
):
    one = Suppression(
        id="s1",
        finding_id=finding().id,
        rule="beacon",
        created=NOW,
        expires=NOW + HOUR,
        author="a.martin",
        reason="backup",
    )
    elastic_store.suppress(one)
    assert elastic_store.unsuppress("s1")
    made, lifted = sorted(
        (hit["_source"] for hit in documents(cluster, stream("cyberterr.decision", namespace))),
        key=lambda source: source["event"]["ingested"],
    )
    assert (made["event"]["action"], made["user"]["name"]) == ("suppression-made", "a.martin")
    assert lifted["event"]["action"] == "suppression-lifted"
    assert lifted["user"]["name"] == getpass.getuser()


def test_a_document_of_another_program_is_left_out_and_said(
    elastic_store: ElasticStore, cluster: Cluster, namespace: str, finding: Make
):
    elastic_store.put([finding()])
    foreign = {"@timestamp": "2026-03-14T08:12:00Z", "event": {"id": "x", "severity": 99}}
    foreign["event"]["ingested"] = "2026-03-14T08:12:00Z"
    index = stream("cyberterr.finding", namespace)
    cluster.create([(index, "x", json.dumps(foreign).encode())], refresh="true")
    assert [case.finding for case in elastic_store.find(Query())] == [finding()]
    assert "no finding that this version can read" in elastic_store.warnings[0]


def test_a_time_is_compared_to_the_microsecond(elastic_store: ElasticStore, finding: Make):
    end = dt.datetime(2026, 3, 14, 9, 0, 0, 123_456, tzinfo=dt.UTC)
    tick = dt.timedelta(microseconds=1)
    elastic_store.put([finding(end=end)])
    assert elastic_store.find(Query(since=end))
    assert elastic_store.find(Query(since=end + tick)) == []


def test_what_is_erased_is_gone_from_every_backing_index(
    elastic_store: ElasticStore, cluster: Cluster, namespace: str, finding: Make
):
    index = stream("cyberterr.finding", namespace)
    elastic_store.put([finding(), finding(actor="10.0.0.2")])
    elastic_store.decide(decision(finding()))
    ask(cluster, "POST", f"/{index}/_rollover")
    moment = dt.datetime.now(dt.UTC)
    elastic_store.put([finding(end=finding().end + HOUR, windows=2)])  # this one goes on
    erased = elastic_store.erase(moment)
    assert (erased.findings, erased.decisions) == (1, 0)
    assert [case.finding.actor for case in elastic_store.find(Query())] == [finding().actor]
    erased = elastic_store.erase(dt.datetime.now(dt.UTC))
    assert (erased.findings, erased.decisions) == (1, 1)
    assert documents(cluster, index) == []
    assert documents(cluster, stream("cyberterr.decision", namespace)) == []


def test_findings_wait_while_the_cluster_cannot_be_reached(
    opened: Open, tmp_path: Path, namespace: str, finding: Make
):
    path = tmp_path / "cyberterr.db"
    closed = Elastic(url="http://127.0.0.1:9", namespace=namespace)
    nobody = ElasticStore(connect(closed), path, closed)
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        nobody.put([finding()])
    assert caught.value.exit_code == 5
    assert f"1 findings wait in {spool.beside(path)}" in caught.value.hint
    with pytest.raises(StoreError):
        nobody.find(Query())
    store = opened()
    store.put([finding(actor="10.0.0.2")])
    assert len(store.find(Query())) == 2
    assert spool.beside(path).read_bytes() == b""


def test_a_cluster_that_takes_no_documents_loses_none_and_doubles_none(
    opened: Open, cluster: Cluster, namespace: str, tmp_path: Path, finding: Make
):
    index = stream("cyberterr.finding", namespace)
    store, longer = opened(), finding(end=finding().end + HOUR, windows=2)
    store.put([finding()])
    with blocked(cluster, index):
        with pytest.raises(StoreError) as first:
            store.put([longer])
        assert f"1 documents wait in {tmp_path / 'cyberterr.db'}" in first.value.hint
        with pytest.raises(StoreError) as second:
            opened().put([longer, finding(actor="10.0.0.2")])
        assert "2 findings wait in" in second.value.hint
    store.put([])
    assert [f.revision for f in store.revisions(finding().id)] == [1, 2]
    assert len(store.find(Query())) == 2
    assert len(documents(cluster, index)) == 3


def test_a_decision_waits_while_the_cluster_takes_no_documents(
    opened: Open, cluster: Cluster, namespace: str, finding: Make
):
    store = opened()
    store.put([finding()])
    store.decide(decision(finding(), "first"))
    with blocked(cluster, stream("cyberterr.decision", namespace)), pytest.raises(StoreError):
        store.decide(decision(finding(), "second", NOW + HOUR))
    store.put([])
    assert [made.reason for made in store.decisions(finding().id)] == ["first", "second"]


def test_what_the_cluster_never_takes_is_said_each_time_and_the_rest_is_kept(
    elastic_store: ElasticStore, finding: Make
):
    for _ in range(2):
        with pytest.raises(StoreError, match="refuses 1 of ") as caught:
            elastic_store.put([finding(), finding(actor="no address")])
        assert "dead-letters" in caught.value.hint
        assert [case.finding for case in elastic_store.find(Query())] == [finding()]


def test_a_number_that_is_not_finite_is_a_defect_of_the_detector(
    elastic_store: ElasticStore, finding: Make
):
    with pytest.raises(ValueError, match="a detector gave a number that is not finite"):
        elastic_store.put([finding(score=float("nan"))])
    assert elastic_store.find(Query()) == []


def test_another_program_that_sends_is_waited_for(
    opened: Open, tmp_path: Path, finding: Make, monkeypatch: pytest.MonkeyPatch
):
    store = opened()
    store.put([])
    [lock] = tmp_path.glob("*.sending-*")
    with lock.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(delivery, "BUSY_SECONDS", 0.2)
        with pytest.raises(StoreError, match="another program has been sending"):
            store.put([finding()])
    assert store.put([]) == []
    assert store.find(Query())


def test_a_cluster_that_was_not_set_up_is_told_in_words(
    opened: Open, tmp_path: Path, finding: Make, monkeypatch: pytest.MonkeyPatch
):
    store = opened()
    monkeypatch.setattr(elastic, "installed", lambda cluster: 0)  # as on a server without them
    with pytest.raises(StoreError, match="not set up for cyberterr") as caught:
        store.put([finding()])
    assert "cyberterr elastic setup" in caught.value.hint
    assert spool.beside(tmp_path / "cyberterr.db").exists()


def test_streams_that_our_template_did_not_make_are_not_asked(
    opened: Open, cluster: Cluster, namespace: str, finding: Make
):
    own = {"index_patterns": [f"logs-cyberterr.*-{namespace}"], "priority": 9999, "data_stream": {}}
    ask(cluster, "PUT", f"/_index_template/test-{namespace}", own)
    index, document = stream("cyberterr.finding", namespace), of_finding(finding())
    cluster.create([(index, document.id, json.dumps(document.body).encode())], refresh="true")
    with pytest.raises(StoreError, match=r"event\.id is not mapped as keyword") as caught:
        opened().find(Query())
    assert "cyberterr elastic setup" in caught.value.hint


def test_an_analyst_reads_and_decides_and_erases_nothing(
    secured_elasticsearch, tmp_path: Path, finding: Make, monkeypatch: pytest.MonkeyPatch
):
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(secured_elasticsearch.admin[1])
    namespace = f"t{secrets.token_hex(4)}"
    site = Elastic(
        url=secured_elasticsearch.url,
        ca=str(secured_elasticsearch.ca),
        user=secured_elasticsearch.admin[0],
        password_file=str(password),
        namespace=namespace,
    )
    admin = connect(site)
    install(admin, Settings(elastic=site))
    [analyst] = [key for key in keys(Settings(elastic=site)) if "analyst" in key.name]
    monkeypatch.setenv("CYBERTERR_ELASTIC_API_KEY", admin.ask(analyst.request)["encoded"])
    with ElasticStore(connect(site), tmp_path / "cyberterr.db", site) as store:
        store.put([finding()])
        store.decide(decision(finding()))
        assert store.find(Query())[0].decision == decision(finding())
        with pytest.raises(StoreError, match="delete") as caught:
            store.erase(dt.datetime.now(dt.UTC))
        assert "needs the privilege delete" in caught.value.hint
        assert store.find(Query())
    admin.close()


moment = st.integers(0, 4 * 10**15).map(
    lambda us: dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=us)
)
address = st.ip_addresses().map(str)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        Finding,
        id=st.just(""),
        rule=st.text(max_size=20),
        detector=st.text(max_size=20),
        family=st.text(max_size=20),
        severity=st.sampled_from(Severity),
        score=st.floats(0, 1),
        start=moment,
        end=moment,
        actor=st.none() | address,
        victim=st.none() | address,
        victim_port=st.none() | st.integers(0, 65535),
        scope=st.text(max_size=20),
        related=st.lists(address, max_size=3).map(tuple),
        windows=st.integers(1, 100),
    )
)
def test_any_finding_survives_the_cluster(elastic_store: ElasticStore, one: Finding):
    one = msgspec.structs.replace(one, id=secrets.token_hex(12))
    elastic_store.put([one])
    assert elastic_store.get(one.id) == one
    query = Query(severity=one.severity, families=(one.family,), since=one.end, address=one.actor)
    found = elastic_store.find(query)
    assert msgspec.json.encode(one) in [msgspec.json.encode(case.finding) for case in found]
