"""What many tests need: a finding to work with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from cyberterr.contracts.finding import (
    Explanation,
    Finding,
    Measure,
    Severity,
    Text,
    finding_id,
)

pytest_plugins = ["tests.elastic.fixtures"]

# How fast a machine is at the moment says nothing about the code.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

MORNING = dt.datetime(2026, 3, 14, 8, 12, tzinfo=dt.UTC)


def a_finding(**changes: object) -> Finding:
    """A beacon as a detector would describe it; *changes* replace fields."""
    fields: dict[str, object] = {
        "rule": "beacon",
        "detector": "beacon",
        "family": "beacon",
        "severity": Severity.HIGH,
        "score": 0.8,
        "start": MORNING,
        "end": MORNING + dt.timedelta(hours=1),
        "actor": "10.20.4.14",
        "victim": "203.0.113.66",
        "victim_port": 443,
        "scope": "update.example",
        "title": Text("A PC calls a server every minute", "Un PC appelle un serveur"),
        "reason": Text("It called 60 times, 60 s apart.", "Il a appelé 60 fois, toutes les 60 s."),
        "measures": (Measure(name="calls", value=60, baseline=10),),
        "explanations": (
            Explanation(text=Text("a program that checks mail", "une messagerie"), state="holds"),
        ),
        "not_examined": (Text("what was said: it is encrypted", "le contenu, chiffré"),),
        "next_steps": (Text("ask who uses the PC", "demander qui utilise le PC"),),
        "attack": ("T1071",),
        "sensor": "town-hall",
    }
    fields |= changes
    if "id" not in fields:
        known = Finding(id="", **fields)  # type: ignore[arg-type]  # fields by name
        fields["id"] = finding_id(known, known.start)
    return Finding(**fields)  # type: ignore[arg-type]  # fields by name


@pytest.fixture
def finding() -> Callable[..., Finding]:
    return a_finding
