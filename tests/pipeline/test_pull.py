"""Decisions taken in Kibana come back.

No Kibana runs here: alerts are documents of the shape that Elastic documents (alert schema, closing
reasons), in an index of the name that Kibana gives it, on the genuine server.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyberterr.config import Elastic, Settings
from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Decision, Query
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.templates import install
from cyberterr.errors import StoreError, UsageError
from cyberterr.pipeline.pull import Pulled, pull
from cyberterr.store.elastic import ElasticStore
from cyberterr.store.sqlite import SqliteStore

Make = Callable[..., Finding]
NOON = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
MAPPING = {
    "kibana.alert.uuid": "keyword",
    "kibana.alert.workflow_status": "keyword",
    "kibana.alert.workflow_reason": "keyword",
    "kibana.alert.workflow_user": "keyword",
    "kibana.alert.workflow_status_updated_at": "date",
    "kibana.alert.original_event.id": "keyword",
    "kibana.alert.original_event.dataset": "keyword",
}


class Kibana:
    """What Kibana does with alerts, as far as we see it."""

    def __init__(self, cluster: Cluster, space: str) -> None:
        self.space = space
        self._cluster = cluster
        self._index = f".alerts-security.alerts-{space}"
        body = {
            "settings": {"index.hidden": True, "number_of_replicas": 0},
            "mappings": {
                "dynamic": False,
                "properties": {name: {"type": type} for name, type in MAPPING.items()},
            },
        }
        cluster.ask(Request("PUT", f"/{self._index}", body))

    def close(
        self,
        finding: Finding,
        reason: str | None,
        *,
        alert: str = "",
        time: dt.datetime = NOON,
        user: str | None = "a.martin",
        status: str = "closed",
        dataset: str = "cyberterr.finding",
    ) -> None:
        """Close an alert of *finding*; one that has the name of another replaces it."""
        document = {
            "kibana.alert.uuid": alert or secrets.token_hex(8),
            "kibana.alert.workflow_status": status,
            "kibana.alert.workflow_reason": reason,
            "kibana.alert.workflow_user": user,
            "kibana.alert.workflow_status_updated_at": time.isoformat(timespec="milliseconds"),
            "kibana.alert.original_event.id": finding.id,
            "kibana.alert.original_event.dataset": dataset,
        }
        written = {name: value for name, value in document.items() if value is not None}
        path = f"/{self._index}/_doc/{document['kibana.alert.uuid']}"
        self._cluster.ask(Request("PUT", path, written, {"refresh": "true"}))

    def remove(self) -> None:
        self._cluster.ask(Request("DELETE", f"/{self._index}"))


@pytest.fixture
def site(elasticsearch) -> Elastic:
    return Elastic(url=elasticsearch.url, namespace=f"t{secrets.token_hex(4)}")


@pytest.fixture
def kibana(site: Elastic) -> Iterator[Kibana]:
    cluster = connect(site)
    made = Kibana(cluster, f"t{secrets.token_hex(4)}")
    yield made
    made.remove()
    cluster.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def local(home: Path, finding: Make) -> Iterator[SqliteStore]:
    """A sensor's own store, with one finding in it."""
    with SqliteStore(home / "cyberterr.db") as store:
        store.put([finding()])
        yield store


@pytest.fixture
def shared(home: Path, site: Elastic, finding: Make) -> Iterator[ElasticStore]:
    """The cluster itself, with one finding in it."""
    cluster = connect(site)
    install(cluster, Settings(elastic=site))
    with ElasticStore(cluster, home / "cyberterr.db", site) as store:
        store.put([finding()])
        yield store


@pytest.fixture(params=["local", "shared"])
def store(request: pytest.FixtureRequest) -> SqliteStore | ElasticStore:
    return request.getfixturevalue(request.param)


def test_an_alert_closed_as_a_false_positive_is_a_decision(store, site, kibana, finding: Make):
    kibana.close(finding(), "false_positive")
    assert pull(store, site, kibana.space).added == 1
    assert store.find(Query())[0].decision == Decision(
        finding_id=finding().id,
        verdict="false_positive",
        reason="closed in Kibana as false positive",
        author="a.martin",
        time=NOON,
    )


def test_pulling_twice_adds_nothing(store, site, kibana, finding: Make):
    kibana.close(finding(), "true_positive")
    first, second = (pull(store, site, kibana.space) for _ in range(2))
    assert (first.added, first.known) == (1, 0)
    assert (second.added, second.known) == (0, 1)
    assert len(store.decisions(finding().id)) == 1


def test_an_alert_closed_again_for_another_reason_is_another_decision(
    store, site, kibana, finding: Make
):
    kibana.close(finding(), "false_positive", alert="one")
    pull(store, site, kibana.space)
    kibana.close(finding(), "benign_positive", alert="one", time=NOON + 9 * HOUR)
    assert pull(store, site, kibana.space).added == 1
    made = store.decisions(finding().id)
    assert [decision.verdict for decision in made] == ["false_positive", "benign"]


@pytest.mark.parametrize("reason", ["duplicate", "other", "automated_closure", "of our own", None])
def test_a_reason_that_is_no_verdict_is_counted_and_no_decision(
    local, site, kibana, finding: Make, reason: str | None
):
    kibana.close(finding(), reason)
    pulled = pull(local, site, kibana.space)
    assert (pulled.added, pulled.no_verdict) == (0, {reason or "": 1})
    assert local.decisions(finding().id) == []


def test_a_finding_that_is_not_here_is_counted(store, site, kibana, finding: Make):
    kibana.close(finding(actor="10.0.0.2"), "false_positive")
    assert pull(store, site, kibana.space).unknown == 1


def test_alerts_that_are_open_or_of_other_programs_are_not_ours(local, site, kibana, finding: Make):
    kibana.close(finding(), "false_positive", status="open")
    kibana.close(finding(), "false_positive", dataset="suricata.eve")
    index = f".alerts-security.alerts-{kibana.space}"
    assert pull(local, site, kibana.space) == Pulled(index=index, no_verdict={})


def test_a_later_decision_made_here_stays_the_last(store, site, kibana, finding: Make):
    ours = Decision(
        finding_id=finding().id,
        verdict="true_positive",
        reason="it was not backup",
        author="b.leroy",
        time=NOON + HOUR,
    )
    store.decide(ours)
    kibana.close(finding(), "false_positive")
    assert pull(store, site, kibana.space).overruled == 1
    assert store.find(Query())[0].decision == ours


def test_of_several_alerts_the_one_closed_last_counts(store, site, kibana, finding: Make):
    kibana.close(finding(), "true_positive", time=NOON + HOUR)
    kibana.close(finding(), "false_positive", time=NOON)
    assert pull(store, site, kibana.space).added == 2
    assert store.find(Query())[0].decision.verdict == "true_positive"


def test_who_closed_it_is_kibana_where_nobody_is_named(local, site, kibana, finding: Make):
    kibana.close(finding(), "false_positive", user=None)
    pull(local, site, kibana.space)
    assert local.find(Query())[0].decision.author == "Kibana"


def test_only_what_was_closed_since_is_asked_for(local, site, kibana, finding: Make):
    kibana.close(finding(), "duplicate", time=NOON - 9 * HOUR)
    kibana.close(finding(), "false_positive")
    assert pull(local, site, kibana.space).no_verdict == {"duplicate": 1}
    assert pull(local, site, kibana.space).no_verdict == {}


def test_another_store_is_given_everything(local, site, kibana, finding: Make, tmp_path: Path):
    kibana.close(finding(), "duplicate", time=NOON - 9 * HOUR)
    kibana.close(finding(), "false_positive")
    pull(local, site, kibana.space)
    with SqliteStore(tmp_path / "other.db") as other:
        other.put([finding()])
        pulled = pull(other, site, kibana.space)
    assert (pulled.added, pulled.no_verdict) == (1, {"duplicate": 1})


def test_a_space_without_alerts_gives_nothing(local, site: Elastic):
    assert pull(local, site, f"t{secrets.token_hex(4)}").added == 0


@pytest.mark.parametrize("space", ["", "Default", "a,b", "*", "../x", "a b"])
def test_a_name_that_no_space_can_have_is_a_usage_error(local, site, space: str):
    with pytest.raises(UsageError, match="no space is called"):
        pull(local, site, space)


def test_without_a_cluster_in_the_settings_it_says_so(tmp_path: Path):
    with (
        SqliteStore(tmp_path / "x.db") as store,
        pytest.raises(UsageError, match="no cluster is named"),
    ):
        pull(store, Elastic(), "default")


def test_a_damaged_cursor_is_told_in_words(local, site, kibana, tmp_path: Path):
    (tmp_path / "pulled.json").write_text(json.dumps([1]))
    with pytest.raises(StoreError, match="how far we came") as caught:
        pull(local, site, kibana.space)
    assert "delete it" in caught.value.hint
