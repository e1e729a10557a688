import datetime as dt
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberterr.contracts.finding import Measure, Text
from cyberterr.contracts.site import Site
from cyberterr.report import text

ANY = st.text(alphabet=st.characters(exclude_categories=()))


@given(ANY)
def test_plain_text_steers_neither_a_terminal_nor_a_page(foreign):
    shown = text.plain(foreign)
    shown.encode("utf-8")
    assert not {unicodedata.category(c) for c in shown} & text.UNSEEN
    assert "\n" not in shown


def test_an_escape_sequence_stays_visible_as_what_it_is():
    assert text.plain("\x1b[2Jgo\nne \u202etxt.exe") == r"\x1b[2Jgo ne \u202etxt.exe"


def test_a_text_without_end_is_cut_and_says_so():
    assert text.plain("a" * 10_000) == "a" * text.LONGEST + "…"


@given(st.floats())
def test_every_number_has_a_form_in_both_languages(value):
    for lang in ("en", "fr"):
        assert text.number(value, lang)
        assert text.size(value, lang)
        assert text.span(value, lang)


@pytest.mark.parametrize(
    ("value", "english", "french"),
    [
        (0, "0 bytes", "0 octets"),
        (999, "999 bytes", "999 octets"),
        (4_210_000, "4.21 MB", "4,21 Mo"),
        (999_999, "1 MB", "1 Mo"),
    ],
)
def test_bytes_are_read_in_powers_of_a_thousand(value, english, french):
    assert text.size(value, "en") == english
    assert text.size(value, "fr") == french


def test_a_french_reader_gets_a_comma_and_thin_spaces():
    assert text.number(1234567, "fr") == "1\u202f234\u202f567"
    assert text.number(0.25, "fr") == "0,25"
    assert text.quantity(900, "packets/s", "fr") == "900 paquets/s"


def test_a_share_is_told_as_a_percentage():
    assert text.quantity(0.123, "share", "en") == "12.3 %"
    assert text.quantity(0.123, "share", "fr") == "12,3 %"


def test_a_duration_is_told_in_its_two_largest_units():
    assert text.span(7_384, "en") == "2 h 3 min"
    assert text.span(3.42, "fr") == "3,4 s"
    assert text.span(90_000, "fr") == "1 j 1 h"


def test_a_moment_is_told_in_the_zone_of_the_site():
    noon = dt.datetime(2026, 7, 1, 10, 0, tzinfo=dt.UTC)
    assert text.moment(noon, "Europe/Paris", "fr") == "1 juillet 2026 à 12:00:00"
    assert text.moment(noon, "Nowhere/Atlantis", "en") == "1 July 2026, 10:00:00"


def test_a_measure_without_a_label_is_spelled_out():
    assert text.label(Measure(name="distinct_ports", value=1), "en") == "distinct ports"
    named = Measure(name="distinct_ports", value=1, label=Text("ports", "ports distincts"))
    assert text.label(named, "fr") == "ports distincts"


def test_who_acts_on_whom_names_what_the_site_knows(make):
    site = Site(assets={"192.0.2.42": "accueil"})
    assert text.who(make(), site, "en") == "accueil (192.0.2.42) → 203.0.113.77:443"
    spoofed = make(actor=None, victim="2001:db8::1", victim_port=80)
    assert text.who(spoofed, site, "fr") == "origine inconnue → [2001:db8::1]:80"


def test_a_list_of_addresses_that_was_cut_is_told_as_at_least(make):
    hosts = tuple(f"198.51.100.{i}" for i in range(100))
    many = make(victim=None, victim_port=None, related=hosts)
    assert text.who(many, Site(), "en") == "192.0.2.42 → at least 100 addresses"
    few = make(victim=None, victim_port=None, related=hosts[:3])
    assert text.who(few, Site(), "fr") == "192.0.2.42 → 3 adresses"


@pytest.mark.parametrize(
    ("written", "set_in_type"),
    [
        ("l'attaque : 14,5 s ; qui ?", "l’attaque\u00a0: 14,5\u202fs\u202f; qui\u202f?"),
        ("3 Mo envoyés, 5 serveurs", "3\u202fMo envoyés, 5 serveurs"),
        ("10.0.0.1:443", "10.0.0.1:443"),
    ],
)
def test_french_is_set_as_french_is(written, set_in_type):
    assert text.say(Text("", written), "fr") == set_in_type
