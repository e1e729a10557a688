import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from cyberterr.contracts.finding import Severity, Text
from cyberterr.report import terminal


def _printed(findings, run, lang="en", *, colour=False, width=80):
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    terminal.show(findings, run, console, lang)
    return out.getvalue()


def test_the_worst_comes_first_and_context_last(make, run):
    low = make(id="l", severity=Severity.LOW, title=Text("quiet thing", ""))
    high = make(id="h", severity=Severity.HIGH, title=Text("loud thing", ""))
    worst = make(id="c", severity=Severity.CRITICAL, title=Text("burning thing", ""))
    text = _printed([low, high, worst], run)
    assert text.index("burning thing") < text.index("loud thing") < text.index("quiet thing")
    assert text.startswith("2 things need a person today, 1 is context.")


def test_a_finding_shows_who_did_what_to_whom_and_when(beacon, run):
    text = _printed([beacon], run)
    for told in (
        "HIGH",
        "A computer calls every minute",
        "accueil (192.0.2.42) → 203.0.113.77:443",
        "2026-03-14 07:02",
        "It called 141 times.",
        "id 6f1e0c52a9d84b7715c3e2aa",
    ):
        assert told in text


def test_the_footer_says_what_was_read_and_what_was_not(beacon, run):
    text = " ".join(_printed([beacon], run).split())
    for told in (
        "2,104,233 packets, 48,120 flows, 3 packets lost, 12 flows closed early, 812 MB, 3.4 s, ",
        "Held back by a person’s decision: 2",
        "warning: town.pcap: cut off after packet 2104233",
        "3 packets lost unseen.",
        "12 flows closed early",
        "anomaly, not applied: no clean period",
        "The content of encrypted connections",
    ):
        assert told in text


def test_it_speaks_french(beacon, run):
    text = " ".join(_printed([beacon], run, "fr").split())
    for told in (
        "1 chose demande une décision humaine aujourd’hui.",
        "ÉLEVÉE",
        "Un poste appelle chaque minute",
        "Il a appelé 141 fois.",
        "3 paquets perdus",
        "812 Mo",
    ):
        assert told in text


def test_a_long_context_is_cut_and_counted(make, run):
    lows = [make(id=f"{i}", severity=Severity.LOW) for i in range(50)]
    text = _printed(lows, run)
    assert text.count("CONTEXT") == terminal.CONTEXT_SHOWN
    assert "+30 more: cyberterr findings list" in text


def test_an_alarm_is_never_cut(make, run):
    alarms = [make(id=f"{i}", severity=Severity.MEDIUM) for i in range(50)]
    assert _printed(alarms, run).count("MEDIUM") == 50


def test_nothing_but_text_goes_into_a_pipe(beacon, run):
    assert "\x1b" not in _printed([beacon], run)
    assert "\x1b" in _printed([beacon], run, colour=True)


@pytest.mark.parametrize("lang", ["en", "fr"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_no_text_whatever_leaves_its_80_columns_or_steers_the_terminal(make, run, lang, bad):
    poisoned = make(title=Text(bad, bad), reason=Text(bad * 9, bad), actor=bad, id=bad)
    for line in _printed([poisoned], run, lang).split("\n"):
        assert cell_len(line) <= 80
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)


def test_markup_in_a_name_is_shown_and_not_obeyed(make, run):
    text = _printed([make(title=Text("[red]name[/red] [link=x]y", ""))], run, colour=True)
    assert "[red]name[/red] [link=x]y" in text


def test_two_long_addresses_fit(make, run):
    long = "2001:db8:1234:5678:9abc:def0:1234:5678"
    text = _printed([make(actor=long, victim=long, victim_port=65535)], run)
    assert all(cell_len(line) <= 80 for line in text.split("\n"))
