"""The detection rule: what it takes up, as what, and a guide whose fields exist."""

from __future__ import annotations

import json
import re

import pytest

from cyberterr.config import Elastic
from cyberterr.contracts.fields import FIELDS
from cyberterr.contracts.finding import Severity
from cyberterr.kibana import rule

RULE = json.loads(rule.ndjson(Elastic()))
NAMES = {field.name for field in FIELDS}


def test_every_severity_has_elastics_level():
    assert {(m["severity"], m["value"]) for m in RULE["severity_mapping"]} == {
        ("low", "21"),
        ("medium", "47"),
        ("high", "73"),
        ("critical", "99"),
    }
    assert {int(m["value"]) for m in RULE["severity_mapping"]} == set(Severity)
    assert {m["field"] for m in RULE["severity_mapping"]} == {"event.severity"}


def test_an_alert_is_named_scored_and_timed_by_the_finding():
    assert RULE["rule_name_override"] == "message"
    assert [m["field"] for m in RULE["risk_score_mapping"]] == ["event.risk_score"]
    assert RULE["timestamp_override"] == "event.ingested"
    assert RULE["query"] == 'event.dataset: "cyberterr.finding" and event.kind: "alert"'
    assert RULE["index"] == ["logs-cyberterr.finding-*"]


def test_it_looks_back_longer_than_it_waits():
    minutes = {key: int(re.sub(r"\D", "", RULE[key])) for key in ("from", "interval")}
    assert minutes["from"] > minutes["interval"]


def test_every_field_that_it_names_exists():
    shown = RULE["investigation_fields"]["field_names"]
    named = {"message", "event.risk_score", "event.ingested", *shown}
    named |= {n for n in re.findall(r"`([\w.]+)`", RULE["note"]) if "." in n}
    above = {name.rpartition(".")[0] for name in NAMES}
    assert named <= NAMES | above


def test_the_guide_is_there_in_both_languages():
    english, french = RULE["note"].split("## Traiter")
    for part, word in ((english, "innocent explanations"), (french, "explications innocentes")):
        assert word in part
        assert [line[:2] for line in part.splitlines() if re.match(r"\d\.", line)] == [
            f"{step}." for step in range(1, 7)
        ]


@pytest.mark.parametrize(("lang", "name"), [("en", "cyberterr finding"), ("fr", "Constat de")])
def test_the_rule_keeps_its_id_in_either_language(lang, name):
    written = json.loads(rule.ndjson(Elastic(), lang=lang))
    assert written["name"].startswith(name)
    assert written["rule_id"] == "cyberterr-findings"


def test_what_only_a_paid_licence_allows_is_left_out():
    assert "alert_suppression" not in RULE
