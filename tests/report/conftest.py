"""Findings as detectors make them, with addresses of RFC 5737."""

import datetime as dt

import pytest

from cyberterr.contracts.finding import Explanation, Finding, Measure, Picture, Severity, Text
from cyberterr.contracts.run import Run, Skipped
from cyberterr.contracts.site import Site

START = dt.datetime(2026, 3, 14, 6, 2, 11, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def make():
    def _make(**changed):
        usual = {
            "id": "6f1e0c52a9d84b7715c3e2aa",
            "detector": "beacon",
            "rule": "beacon",
            "family": "beacon",
            "severity": Severity.HIGH,
            "score": 0.9,
            "start": START,
            "end": START + dt.timedelta(hours=2),
            "actor": "192.0.2.42",
            "victim": "203.0.113.77",
            "victim_port": 443,
            "title": Text("A computer calls every minute", "Un poste appelle chaque minute"),
            "reason": Text("It called 141 times.", "Il a appelé 141 fois."),
        }
        return Finding(**{**usual, **changed})

    return _make


@pytest.fixture(scope="session")
def beacon(make):
    first = START.timestamp()
    return make(
        measures=(
            Measure(name="calls", value=141, baseline=20, label=Text("calls", "appels")),
            Measure(name="bytes_out", value=184_000, unit="bytes"),
        ),
        explanations=(
            Explanation(text=Text("An update", "Une mise à jour"), state="excluded"),
            Explanation(text=Text("A clock", "Une horloge"), state="holds"),
            Explanation(text=Text("An agent", "Un agent"), state="not_checked"),
        ),
        not_examined=(Text("What was said.", "Ce qui s’est dit."),),
        next_steps=(Text("Ask the user.", "Demander à l’usager."),),
        attack=("T1071.001",),
        picture=Picture(kind="timeline", x=tuple(first + 60.0 * i for i in range(141))),
    )


@pytest.fixture(scope="session")
def run():
    return Run(
        sources=("town.pcap", "zeek/"),
        started=START,
        seconds=3.4,
        bytes=812_000_000,
        packets=2_104_233,
        flows=48_120,
        first=START,
        last=START + dt.timedelta(hours=9),
        evicted=12,
        dropped=3,
        suppressed=2,
        warnings=("town.pcap: cut off after packet 2104233",),
        examined=("beacon",),
        skipped=(Skipped("anomaly", Text("no clean period", "pas de période saine")),),
        site=Site(name="Mairie", assets={"192.0.2.42": "accueil"}),
    )
