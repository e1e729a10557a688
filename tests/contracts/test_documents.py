"""Every document that we can make is ECS 9.4, and every field of it has its place in the table."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.config import Elastic, Settings
from cyberterr.contracts import documents
from cyberterr.contracts.documents import Document, from_ecs, of_finding, to_ecs
from cyberterr.contracts.fields import FIELDS
from cyberterr.contracts.finding import (
    Explanation,
    Finding,
    Measure,
    Picture,
    Severity,
    Text,
)
from cyberterr.contracts.media import (
    Answer,
    Band,
    Declared,
    Evidence,
    Fact,
    Kind,
    Limit,
    Media,
    Provenance,
    Rate,
    Segment,
    Signature,
)
from cyberterr.contracts.run import Run, Skipped
from cyberterr.contracts.store import Decision, Notice, Suppression
from cyberterr.elastic.cluster import Cluster
from cyberterr.pipeline.scan import scan
from cyberterr.pipeline.sources import Reading
from cyberterr.store import outbox
from cyberterr.store.connection import opened
from cyberterr.store.sender import deliver, now
from tests.contracts import ecs

DATA = Path(__file__).parents[1] / "data"
MOMENTS = st.datetimes(
    dt.datetime(2000, 1, 1),  # noqa: DTZ001  (hypothesis adds the zone)
    dt.datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(dt.UTC),
)
WORDS = st.text(max_size=60)
NAMES = st.sampled_from(["beacon", "scan", "flood.dhcp", "indicator.domain"])
ADDRESSES = st.ip_addresses().map(str)
IDS = st.text("0123456789abcdef", min_size=24, max_size=24)
TEXTS = st.builds(Text, WORDS, WORDS)
NUMBERS = st.floats(-1e15, 1e15)
SCORES = st.floats(0, 1)
COUNTS = st.integers(0, 2**63 - 1)


def several(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


RANGES = st.tuples(NUMBERS, NUMBERS)
ANSWERS = st.sampled_from(get_args(Answer))
SEGMENTS = several(st.builds(Segment, start=NUMBERS, end=NUMBERS, score=SCORES))
EVIDENCE = st.builds(
    Evidence,
    head=NAMES,
    model=WORDS,
    answer=ANSWERS,
    score=st.none() | SCORES,
    interval=st.none() | st.tuples(SCORES, SCORES),
    rates=several(
        st.builds(Rate, what=TEXTS, hits=COUNTS, trials=COUNTS, low=SCORES, high=SCORES, data=WORDS)
    ),
    reason=TEXTS,
    calibration=TEXTS,
    segments=SEGMENTS,
    bands=several(
        st.builds(
            Band,
            low_hz=NUMBERS,
            high_hz=NUMBERS,
            value=NUMBERS,
            genuine=RANGES,
            synthetic=RANGES,
            weight=NUMBERS,
        )
    ),
)
MEASURES = several(
    st.builds(
        Measure, name=WORDS, value=NUMBERS, unit=WORDS, baseline=st.none() | NUMBERS, label=TEXTS
    )
)
MEDIA = st.builds(
    Media,
    kind=st.sampled_from(get_args(Kind)),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    name=WORDS,
    size=COUNTS,
    mime=WORDS,
    seconds=st.none() | st.floats(0, 1e6),
    answer=ANSWERS,
    score=st.none() | SCORES,
    interval=st.none() | st.tuples(SCORES, SCORES),
    evidence=several(EVIDENCE),
    quality=MEASURES,
    limits=several(st.builds(Limit, code=NAMES, text=TEXTS, decisive=st.booleans())),
    provenance=st.builds(
        Provenance,
        signature=st.sampled_from(get_args(Signature)),
        signer=WORDS,
        declared=several(
            st.builds(Declared, field=WORDS, value=WORDS, meaning=TEXTS, generated=st.booleans())
        ),
        facts=several(st.builds(Fact, name=NAMES, value=WORDS, label=TEXTS)),
    ),
    models=several(WORDS),
)
FINDINGS = st.builds(
    Finding,
    media=st.just(msgspec.UNSET) | MEDIA,
    id=IDS,
    detector=NAMES,
    sensor=WORDS,
    windows=st.integers(1, 1000),
    revision=st.integers(1, 1000),
    kind=st.sampled_from(["alert", "event"]),
    rule=NAMES,
    family=NAMES,
    severity=st.sampled_from(Severity),
    score=SCORES,
    start=MOMENTS,
    end=MOMENTS,
    actor=st.none() | ADDRESSES,
    victim=st.none() | ADDRESSES,
    victim_port=st.none() | st.integers(0, 65535),
    scope=WORDS,
    related=several(ADDRESSES),
    title=TEXTS,
    reason=TEXTS,
    measures=MEASURES,
    explanations=several(
        st.builds(
            Explanation, text=TEXTS, state=st.sampled_from(["excluded", "holds", "not_checked"])
        )
    ),
    not_examined=several(TEXTS),
    next_steps=several(TEXTS),
    attack=several(st.sampled_from(["T1071", "T1046", "T1498"])),
    picture=st.none()
    | st.builds(
        Picture,
        kind=st.sampled_from(["timeline", "fan_out", "rate", "bars"]),
        x=several(NUMBERS),
        y=several(NUMBERS),
        labels=several(WORDS),
        baseline=st.none() | NUMBERS,
        x_label=TEXTS,
        y_label=TEXTS,
    ),
)
DECISIONS = st.builds(
    Decision,
    finding_id=IDS,
    verdict=st.sampled_from(["true_positive", "false_positive", "benign"]),
    reason=WORDS,
    author=WORDS,
    time=MOMENTS,
)
SUPPRESSIONS = st.builds(
    Suppression,
    id=IDS,
    finding_id=IDS,
    rule=st.none() | NAMES,
    actor=st.none() | ADDRESSES,
    victim=st.none() | ADDRESSES,
    detail=st.none() | WORDS,
    network=st.none() | st.just("10.20.0.0/16"),
    port=st.none() | st.integers(0, 65535),
    created=MOMENTS,
    expires=MOMENTS,
    author=WORDS,
    reason=WORDS,
)
NOTICES = st.builds(
    Notice,
    finding_id=IDS,
    channel=st.sampled_from(["mail", "syslog", "webhook"]),
    severity=st.sampled_from(Severity),
    state=st.sampled_from(["sending", "sent", "failed", "held", "summed"]),
    time=MOMENTS,
)
RUNS = st.builds(
    Run,
    sources=several(WORDS),
    started=MOMENTS,
    seconds=st.floats(0, 1e6),
    bytes=COUNTS,
    packets=COUNTS,
    flows=COUNTS,
    evicted=COUNTS,
    dropped=COUNTS,
    suppressed=COUNTS,
    warnings=several(WORDS),
    examined=several(NAMES),
    skipped=several(st.builds(Skipped, NAMES, TEXTS)),
)
DOCUMENTS = st.one_of(
    FINDINGS.map(of_finding),
    st.builds(documents.of_decision, DECISIONS, FINDINGS),
    st.builds(documents.of_suppression, SUPPRESSIONS, lifted=st.none() | st.tuples(WORDS, MOMENTS)),
    st.builds(documents.of_notice, NOTICES, st.none() | NOTICES),
    st.builds(documents.of_run, RUNS, COUNTS, sensor=WORDS),
    st.builds(
        documents.of_drop,
        time=MOMENTS,
        dataset=st.sampled_from(documents.DATASETS),
        documents=COUNTS,
        size=COUNTS,
        oldest=MOMENTS,
        why=WORDS,
    ),
)


def plain(document: Document) -> dict[str, Any]:
    """*document* as it is sent: JSON there and back."""
    return dict(msgspec.json.decode(msgspec.json.encode(document.body)))


def sent(documents: list[Document], folder: Path) -> list[dict[str, Any]]:
    """*documents* as the cluster gets them: through a real outbox and its sender."""
    received: list[bytes] = []

    def perform(method, path, params, body, headers, timeout_s):
        del method, path, params, headers, timeout_s
        lines = body.splitlines()
        received.extend(lines[1::2])
        return {"items": [{"create": {"status": 201}} for _ in lines[1::2]]}

    cluster = Cluster("https://recorded", "elasticsearch", perform, lambda: None)
    elastic = Elastic(url=cluster.url, namespace="mairie", link="https://x.example/f/{id}")
    with opened(folder / "store.db") as db:
        outbox.queue(db, cluster.url, documents, now())
    assert deliver(folder / "store.db", cluster, elastic).trouble is None
    return [msgspec.json.decode(line) for line in received]


@given(DOCUMENTS)
def test_every_document_is_ecs(document):
    assert ecs.problems(plain(document)) == []


@given(st.lists(DOCUMENTS, unique_by=lambda document: document.id, min_size=1))
@settings(max_examples=25)
def test_every_document_is_ecs_after_it_is_sent_and_every_field_is_in_the_table(made):
    with tempfile.TemporaryDirectory() as folder:
        bodies = sent(made, Path(folder))
    assert len(bodies) == len(made)
    for body in bodies:
        assert ecs.problems(body) == []
        assert list(unmapped(body)) == []
        assert body["event"]["ingested"]
        assert body["data_stream"]["dataset"] == body["event"]["dataset"]


def test_findings_of_a_real_capture_are_ecs_too(tmp_path):
    found = scan([DATA / "town_hall.pcapng"], Settings(), None, Reading()).findings
    bodies = sent([of_finding(one) for one in found], tmp_path)
    assert len(bodies) > 5
    for body in bodies:
        assert ecs.problems(body) == []
        assert list(unmapped(body)) == []
        assert body["event"]["url"] == f"https://x.example/f/{body['event']['id']}"


@given(FINDINGS)
def test_the_event_that_people_export_is_ecs_too(finding):
    assert ecs.problems(msgspec.json.decode(msgspec.json.encode(to_ecs(finding)))) == []


@given(DOCUMENTS)
def test_every_document_has_an_id_that_a_server_takes_and_an_id_to_collapse_on(document):
    assert 0 < len(document.id.encode()) <= 64
    assert document.body["event"]["id"]
    assert document.body["event"]["dataset"] == document.dataset


@given(FINDINGS)
def test_a_finding_comes_back_as_it_was(finding):
    assert from_ecs(plain(of_finding(finding))) == finding


PYTHON = {
    "keyword": str,
    "text": str,
    "ip": str,
    "date": str,
    "long": int,
    "double": (int, float),
    "float": (int, float),
    "boolean": bool,
}
TABLE = {field.name: field for field in FIELDS}


def unmapped(node: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Leaves of a document that the table lacks, or has with another type."""
    for key, value in node.items():
        field = TABLE.get(f"{above}{key}")
        for one in value if isinstance(value, list) else [value]:
            if one is None or (field and field.type in ("object", "flattened")):
                continue
            if isinstance(one, Mapping):
                yield from unmapped(one, f"{above}{key}.")
            elif field is None or not isinstance(one, PYTHON.get(field.type, ())):
                yield f"{above}{key}: {one!r}"


@given(DOCUMENTS)
def test_every_field_of_every_document_is_in_the_table_with_its_type(document):
    assert list(unmapped(plain(document))) == []


def test_a_field_is_in_the_table_once():
    assert len(TABLE) == len(FIELDS)


COMPATIBLE = {"match_only_text": "text", "constant_keyword": "keyword", "wildcard": "keyword"}


@pytest.mark.parametrize("field", [f for f in FIELDS if not f.name.startswith("cyberterr.")])
def test_what_is_not_ours_is_a_field_of_ecs_with_its_type(field):
    official = ecs.fields()[field.name]["type"]
    assert COMPATIBLE.get(official, official) == field.type


def changed(path: str, value: object, finding) -> dict[str, Any]:
    body = plain(of_finding(finding()))
    *above, last = path.split(".")
    place = body
    for key in above:
        place = place.setdefault(key, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("event.sevrity", 73, "no such field"),
        ("event.severity", 73.0, "is no long"),
        ("event.severity", True, "is no long"),
        ("event.risk_score", "80", "is no float"),
        ("event.kind", "finding", "is not allowed"),
        ("event.category", "intrusion_detection", "no list"),
        ("event.category", ["intrusion"], "is not allowed"),
        ("event.type", ["start"], "is not expected of intrusion_detection"),
        ("event.module", ["cyberterr"], "a list"),
        ("event.start", "14/03/2026", "is no date"),
        ("source.ip", "printer", "is no ip"),
        ("source.ip", "fe80::1%eth0", "is no ip"),
        ("related.ip", ["10.0.0.1", "10.0.0.999"], "is no ip"),
        ("threat.technique.id", "T1071", "no list"),
        ("message", {"en": "x"}, "no such field"),
        ("@timestamp", ..., "missing"),
        ("ecs.version", ..., "missing"),
        ("finding", 1, "no such field"),
    ],
)
def test_what_is_not_ecs_is_noticed(finding, path, value, says):
    assert ecs.problems(plain(of_finding(finding()))) == []
    [problem] = ecs.problems(changed(path, value, finding))
    assert says in problem
