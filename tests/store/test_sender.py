"""Documents reach the cluster once, whatever it answers; nothing is lost, nothing is doubled.

The genuine server says what it says; where it cannot be brought to (an overload, a lost answer), a
double answers with what the genuine one was seen to answer.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cyberterr.config import Elastic
from cyberterr.contracts.documents import Document, of_finding, stream
from cyberterr.contracts.finding import Finding
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.store import outbox, sender
from cyberterr.store.connection import opened, transaction
from cyberterr.store.sender import Delivery, deliver
from tests.store.double import Answer, Double

Make = Callable[..., Finding]
NOW = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
FULL = {"error": {"type": "es_rejected_execution_exception", "reason": "queue is full"}}
WHO = {"error": {"type": "security_exception", "reason": "unable to authenticate"}}


@pytest.fixture
def double() -> Iterator[Double]:
    server = Double()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cyberterr.db"


@pytest.fixture
def settings(prepared: Elastic, namespace: str) -> Elastic:
    """The genuine server, and a namespace of this test."""
    return msgspec.structs.replace(prepared, namespace=namespace, link="https://soc.example/f/{id}")


def documents(make: Make, count: int, **changes: Any) -> list[Document]:
    plain = make(**changes)
    return [of_finding(msgspec.structs.replace(plain, id=f"{n:024x}")) for n in range(count)]


def bad(document: Document) -> Document:
    """*document* with an address that is none."""
    body = {**document.body, "source": {"ip": "no address"}}
    return msgspec.structs.replace(document, id=f"bad-{document.id}", body=body)


def queue(path: Path, url: str, many: list[Document], now: dt.datetime | None = None) -> None:
    with opened(path) as db, transaction(db):
        outbox.queue(db, url, many, now or sender.now())


def state(path: Path, url: str) -> outbox.State:
    with opened(path) as db:
        return outbox.state(db, url)


def send(path: Path, settings: Elastic, **options: Any) -> Delivery:
    with closing(connect(settings)) as cluster:
        return deliver(path, cluster, settings, **options)


def found(cluster: Cluster, settings: Elastic) -> list[dict[str, Any]]:
    where = stream("cyberterr.finding", settings.namespace)
    cluster.ask(Request("POST", f"/{where}/_refresh"))
    return [hit for page in cluster.pages(where, {}) for hit in page]


def test_everything_arrives_as_it_was_queued_and_says_when_and_where(
    path, settings, cluster, finding
):
    many = documents(finding, 1200)
    queue(path, settings.url, many)
    began = sender.now()
    assert send(path, settings) == Delivery(delivered=1200)
    hits = {hit["_id"]: hit["_source"] for hit in found(cluster, settings)}
    assert len(hits) == 1200
    one = hits[many[7].id]
    stamped = one["event"].pop("ingested")
    assert began <= dt.datetime.fromisoformat(stamped) <= sender.now()
    assert one["event"].pop("url") == f"https://soc.example/f/{7:024x}"
    assert one.pop("data_stream") == {
        "type": "logs",
        "dataset": "cyberterr.finding",
        "namespace": settings.namespace,
    }
    assert one == msgspec.json.decode(msgspec.json.encode(many[7].body))
    assert state(path, settings.url).waiting == 0


def test_what_is_there_already_is_delivered_and_not_doubled(path, settings, cluster, finding):
    for _ in range(2):
        queue(path, settings.url, documents(finding, 30))
        assert send(path, settings).delivered == 30
    assert len(found(cluster, settings)) == 30


def test_a_document_that_does_not_fit_waits_for_a_person_and_the_rest_arrives(
    path, settings, cluster, finding
):
    good = documents(finding, 40)
    queue(path, settings.url, [*good[:20], bad(good[0]), *good[20:]])
    assert send(path, settings) == Delivery(delivered=40, dead=1)
    with opened(path) as db:
        [dead] = outbox.dead_letters(db, settings.url)
    assert dead.id == f"bad-{good[0].id}"
    assert "document_parsing_exception" in dead.reason
    assert "source.ip" in dead.reason
    assert len(found(cluster, settings)) == 40


def test_half_of_a_bulk_refused_is_half_of_it_delivered(path, settings, cluster, finding):
    good = documents(finding, 700)
    queue(path, settings.url, [each for one in good for each in (one, bad(one))])
    assert send(path, settings) == Delivery(delivered=700, dead=700)
    assert len(found(cluster, settings)) == 700
    assert state(path, settings.url).dead == 700


def test_one_id_that_sinks_the_whole_request_is_found_and_the_others_arrive(
    path, settings, cluster, finding
):
    many = documents(finding, 300)
    many[123] = msgspec.structs.replace(many[123], id="x" * 600)
    queue(path, settings.url, many)
    assert send(path, settings) == Delivery(delivered=299, dead=1)
    with opened(path) as db:
        [dead] = outbox.dead_letters(db, settings.url)
    assert "action_request_validation_exception" in dead.reason


def test_a_stream_that_takes_nothing_is_weather_and_nothing_is_lost(
    path, settings, cluster, finding
):
    where = stream("cyberterr.finding", settings.namespace)
    queue(path, settings.url, documents(finding, 5))
    send(path, settings)
    block = Request("PUT", f"/{where}/_settings", {"index": {"blocks": {"write": True}}})
    cluster.ask(block)
    queue(path, settings.url, documents(finding, 5, actor="10.0.0.9"))
    done = send(path, settings)
    assert (done.delivered, done.postponed, done.dead) == (0, 5, 0)
    assert done.trouble.kind == "weather"
    assert "cluster_block_exception" in done.trouble.text
    known = state(path, settings.url)
    assert (known.waiting, known.dead, known.stopped) == (5, 0, False)
    cluster.ask(Request("PUT", f"/{where}/_settings", {"index": {"blocks": {"write": False}}}))
    assert send(path, settings, at_once=True).delivered == 5
    assert len(found(cluster, settings)) == 10


def test_where_nobody_listens_it_waits_and_tries_later(path, finding):
    settings = Elastic(url="http://127.0.0.1:9")
    queue(path, settings.url, documents(finding, 3))
    done = send(path, settings)
    assert done.trouble.kind == "weather"
    assert "cannot be reached" in done.trouble.text
    assert state(path, settings.url).waiting == 3
    assert state(path, settings.url).next_try > sender.now()


@pytest.mark.parametrize("status", [200, 301, 404, 405, 400])
def test_a_server_of_another_kind_gets_nothing_and_costs_nothing(path, double, finding, status):
    double.always, double.foreign = Answer(status, {"hello": "I am a printer"}), True
    queue(path, double.url, documents(finding, 3))
    done = send(path, Elastic(url=double.url))
    assert (done.delivered, done.dead) == (0, 0)
    assert state(path, double.url).stopped
    assert len(double.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"type": "illegal_argument_exception", "reason": "not like this"}}),
        (413, None),
    ],
)
def test_what_refuses_every_document_takes_few_of_them_with_it(path, double, finding, status, body):
    double.always = Answer(status, body)
    queue(path, double.url, documents(finding, 500))
    done = send(path, Elastic(url=double.url))
    known = state(path, double.url)
    assert (done.delivered, done.dead, known.waiting) == (0, 3, 497)
    assert known.stopped
    assert len(double.requests) < 40


def test_a_client_that_is_too_new_is_told_and_costs_nothing(path, double, finding):
    double.always = Answer(400, {"error": {"type": "media_type_header_exception"}})
    queue(path, double.url, documents(finding, 3))
    done = send(path, Elastic(url=double.url))
    assert (done.dead, done.trouble.kind) == (0, "wrong_server")
    assert "elasticsearch<9" in done.trouble.hint


def test_a_refused_identity_stops_it_and_only_a_new_start_tries_again(path, double, finding):
    double.always = Answer(401, WHO)
    settings = Elastic(url=double.url)
    queue(path, double.url, documents(finding, 3))
    done = send(path, settings)
    assert done.trouble.kind == "refused"
    assert "api_key_file" in done.trouble.hint
    queue(path, double.url, documents(finding, 3, actor="10.0.0.9"))
    assert send(path, settings).trouble == done.trouble
    assert len(double.requests) == 1
    known = state(path, double.url)
    assert (known.waiting, known.dead, known.stopped) == (6, 0, True)
    double.always = None
    assert send(path, settings, at_once=True).delivered == 6
    assert not state(path, double.url).stopped


def test_a_privilege_that_is_missing_for_one_document_stops_it_too(path, double, finding):
    double.item = lambda name: {"status": 403, **WHO} if name.startswith(f"{1:024x}") else None
    queue(path, double.url, documents(finding, 3))
    done = send(path, Elastic(url=double.url))
    assert (done.delivered, done.trouble.kind) == (2, "refused")
    assert state(path, double.url).waiting == 1


def test_the_failure_store_is_no_delivery(path, double, finding):
    double.item = lambda _: {"status": 201, "failure_store": "used"}
    queue(path, double.url, documents(finding, 3))
    assert send(path, Elastic(url=double.url)) == Delivery(dead=3)


def test_a_lost_answer_is_asked_for_again_and_doubles_nothing(path, double, finding):
    double.next.append(None)  # it does the work and hangs up
    queue(path, double.url, documents(finding, 800))
    done = send(path, Elastic(url=double.url))
    assert (done.delivered, done.trouble.kind) == (0, "weather")
    assert send(path, Elastic(url=double.url), at_once=True).delivered == 800
    assert len(double.stored) == 800
    assert set(double.stored.values()) == {1}


def test_a_server_that_does_not_answer_costs_its_time_only_once(path, double, finding):
    double.slow_s = 3
    queue(path, double.url, documents(finding, 3))
    end = time.monotonic() + 0.5
    began = time.monotonic()
    done = send(path, Elastic(url=double.url), seconds_left=lambda: end - time.monotonic())
    assert time.monotonic() - began < 2.5
    assert "no answer" in done.trouble.text


def test_when_its_time_is_over_it_leaves_the_rest(path, double, finding):
    queue(path, double.url, documents(finding, 1200))
    left = iter([10, 10, 0])
    done = send(path, Elastic(url=double.url), seconds_left=lambda: next(left))
    assert done == Delivery(delivered=1000)
    assert state(path, double.url).waiting == 200


@pytest.mark.parametrize("luck", [0.0, None])
def test_in_a_storm_of_429_few_requests_a_minute_are_made(path, double, finding, luck):
    double.always = Answer(429, FULL)
    queue(path, double.url, documents(finding, 3), NOW)
    chance = random.Random(4).random if luck is None else lambda: luck
    asked = []
    with closing(connect(Elastic(url=double.url))) as cluster:
        for second in range(3600 if luck is None else 120):
            before = len(double.requests)
            deliver(
                path,
                cluster,
                Elastic(url=double.url),
                clock=lambda s=second: NOW + dt.timedelta(seconds=s),
                chance=chance,
            )
            asked += [second] * (len(double.requests) - before)
    worst = max(sum(begin <= moment < begin + 60 for moment in asked) for begin in asked)
    if luck is None:
        assert worst <= 12
        assert len(asked) <= 60
    else:  # the worst luck there is
        assert worst <= 60
    assert state(path, double.url).waiting == 3


def test_what_the_server_asks_to_wait_is_waited(path, double, finding):
    double.next.append(Answer(503, FULL, Retry_After="120"))
    queue(path, double.url, documents(finding, 3), NOW)
    settings = Elastic(url=double.url)
    send(path, settings, clock=lambda: NOW)
    assert state(path, double.url).next_try == NOW + dt.timedelta(seconds=120)
    assert send(path, settings, clock=lambda: NOW + dt.timedelta(seconds=119)).delivered == 0
    assert send(path, settings, clock=lambda: NOW + dt.timedelta(seconds=120)).delivered == 3


def test_pauses_double_up_to_five_minutes_and_begin_anew_when_it_goes_well(path, double, finding):
    double.always = Answer(429, FULL)
    queue(path, double.url, documents(finding, 3), NOW)
    settings, now, pauses = Elastic(url=double.url), NOW, []
    for _ in range(11):
        send(path, settings, clock=lambda now=now: now, chance=lambda: 0.999999)
        next_try = state(path, double.url).next_try
        pauses.append(round((next_try - now).total_seconds()))
        now = next_try
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    double.always = None
    send(path, settings, clock=lambda: now)
    assert state(path, double.url).failures == 0


def test_documents_refused_one_by_one_are_tried_later_and_the_others_arrive(path, double, finding):
    tries: Counter[str] = Counter()

    def every_third_is_too_many(name: str) -> dict[str, Any] | None:
        tries[name] += 1
        return {"status": 429, **FULL} if tries[name] == 1 and int(name[:24], 16) % 3 == 0 else None

    double.item = every_third_is_too_many
    queue(path, double.url, documents(finding, 300), NOW)
    settings = Elastic(url=double.url)
    assert send(path, settings, clock=lambda: NOW) == Delivery(delivered=200, postponed=100)
    assert send(path, settings, clock=lambda: NOW + dt.timedelta(seconds=9)).delivered == 100
    assert set(double.stored.values()) == {1}


def test_too_large_a_request_is_sent_in_parts_and_too_large_a_document_never(path, double, finding):
    many = documents(finding, 500)
    huge = msgspec.structs.replace(
        many[3], id="huge", body={**many[3].body, "message": "x" * 300_000}
    )
    queue(path, double.url, [*many, huge])
    double.most_bytes = 200_000
    assert send(path, Elastic(url=double.url)) == Delivery(delivered=500, dead=1)
    with opened(path) as db:
        [dead] = outbox.dead_letters(db, double.url)
    assert (dead.id, "413" in dead.reason) == ("huge", True)
    assert set(double.stored.values()) == {1}
    assert len(double.requests) < 30


def test_two_senders_at_once_do_not_double_the_work(path, double, finding):
    double.slow_s = 0.1
    queue(path, double.url, documents(finding, 2000))
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(send(path, Elastic(url=double.url))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((one.delivered, one.busy) for one in done) == [
        (0, True),
        (0, True),
        (2000, False),
    ]
    assert sum(double.requests) == 2000


def test_a_killed_sender_leaves_everything_to_the_next_at_once(path, double, finding):
    queue(path, double.url, documents(finding, 50))
    double.slow_s = 5
    code = """
        import sys
        from pathlib import Path
        from cyberterr.config import Elastic
        from cyberterr.elastic.connection import connect
        from cyberterr.store.sender import deliver
        settings = Elastic(url=sys.argv[2])
        deliver(Path(sys.argv[1]), connect(settings), settings)
    """
    other = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(path), double.url])
    while not double.requests:
        time.sleep(0.01)
    assert send(path, Elastic(url=double.url)).busy
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    double.slow_s = 0
    assert send(path, Elastic(url=double.url)).delivered == 50
    assert set(double.stored.values()) == {1}


def test_memory_does_not_grow_with_what_waits(path, double, finding):
    settings = Elastic(url=double.url)
    queue(path, double.url, documents(finding, 1))
    send(path, settings)  # the client is imported
    queue(path, double.url, documents(finding, 8_000))
    double.item = lambda _: {"status": 201}
    tracemalloc.start()
    assert send(path, settings).delivered == 8_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000  # the double's half of it too; all documents are 16 MB, sent twice 32


def test_what_was_dropped_is_told_as_soon_as_it_goes_well(path, settings, cluster, finding):
    small = msgspec.structs.replace(settings, outbox_mb=1)
    queue(path, settings.url, documents(finding, 1000))
    waited = state(path, settings.url).waiting_bytes
    assert waited > 1_000_000
    done = send(path, small)
    where = stream("cyberterr.health", settings.namespace)
    cluster.ask(Request("POST", f"/{where}/_refresh"))
    [told] = [hit["_source"] for page in cluster.pages(where, {}) for hit in page]
    lost = told["cyberterr"]["dropped"]["documents"]
    assert lost == state(path, settings.url).dropped["cyberterr.finding"]
    assert done.delivered == 1000 - lost + 1
    assert told["cyberterr"]["dropped"]["bytes"] + 1_000_000 >= waited
