"""The recorded town hall: every attack of its bad day is found, its quiet day is quiet."""

import json
from pathlib import Path

import pytest

from cyberterr.config import Settings
from cyberterr.pipeline.scan import scan
from cyberterr.pipeline.sources import Reading

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def bad_day():
    return scan([DATA / "town_hall.pcapng"], Settings(), None, Reading()).findings


def planted():
    truth = json.loads((DATA / "town_hall.json").read_text(encoding="utf-8"))
    return [attack for attack in truth["attacks"] if attack["family"] != "cleartext_credentials"]


@pytest.mark.parametrize("attack", planted(), ids=lambda a: f"{a['family']} by {a['actor']}")
def test_every_attack_is_an_alarm_that_names_its_actor(bad_day, attack):
    alarms = [f for f in bad_day if f.severity >= 47 and f.family == attack["family"]]
    assert attack["actor"] in {finding.actor for finding in alarms}


def test_nobody_innocent_is_accused(bad_day):
    guilty = {attack["actor"] for attack in planted()}
    assert {finding.actor for finding in bad_day if finding.severity >= 47} <= guilty


def test_a_quiet_day_raises_no_alarm():
    found = scan([DATA / "town_hall_quiet.pcapng"], Settings(), None, Reading()).findings
    assert [finding.title.en for finding in found if finding.severity >= 47] == []


def test_a_readable_password_inside_is_context_and_no_alarm(bad_day):
    seen = [finding for finding in bad_day if finding.family == "cleartext_credentials"]
    assert [int(finding.severity) for finding in seen] == [21]
