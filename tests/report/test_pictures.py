import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.contracts.finding import Picture, Text
from cyberterr.report.pictures import BARS, POINTS, bar, draw

NOON = 1_773_486_000.0  # 2026-03-14 12:00 in Paris
KINDS = ("timeline", "fan_out", "rate", "bars")
SERIES = st.lists(st.floats(), max_size=40).map(tuple)
TIMES = st.lists(st.floats(-1e12, 1e12), max_size=40).map(tuple)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def _drawn(svg):
    """Every coordinate pair of *svg* that must lie in the view box."""
    root = ElementTree.fromstring(svg)
    _, _, width, height = (float(n) for n in root.attrib["viewBox"].split())
    for node in root.iter():
        if "cx" in node.attrib:
            yield float(node.attrib["cx"]), float(node.attrib["cy"]), width, height
        if "x" in node.attrib:
            yield float(node.attrib["x"]), float(node.attrib["y"]), width, height
        for x, y in re.findall(r"M(\S+?) (\S+?)[VHhvZ]", node.attrib.get("d", "")):
            yield float(x), float(y), width, height


@settings(deadline=None)
@given(st.sampled_from(KINDS), st.one_of(SERIES, TIMES), SERIES, st.none() | st.floats())
def test_any_series_gives_coordinates_inside_the_view_box(kind, x, y, baseline):
    svg = draw(Picture(kind=kind, x=x, y=y, baseline=baseline), "en", "Europe/Paris")
    assert "nan" not in svg
    assert "inf" not in re.sub(r"<title>.*?</title>", "", svg)
    if svg:
        for left, top, width, height in _drawn(svg):
            assert 0 <= left <= width
            assert 0 <= top <= height


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_kind_draws_and_tells_what_it_shows(kind, lang):
    x = tuple(NOON + 10.0 * i for i in range(9))
    y = x if kind == "fan_out" else tuple(float(i) for i in range(9))
    root = ElementTree.fromstring(draw(Picture(kind=kind, x=x, y=y), lang, "Europe/Paris"))
    assert root.attrib["role"] == "img"
    title = root.find("title").text
    assert title == root.attrib["aria-label"]
    assert "9" in title


def test_times_are_those_of_the_site():
    beats = Picture(kind="timeline", x=tuple(NOON + 600 * i for i in range(7)))
    paris, tokyo = draw(beats, "en", "Europe/Paris"), draw(beats, "en", "Asia/Tokyo")
    assert ">12:20<" in paris
    assert "Europe/Paris" in paris
    assert ">20:20<" in tokyo


def test_a_beacon_shows_the_median_of_its_intervals():
    beats = Picture(kind="timeline", x=tuple(NOON + 60 * i for i in range(30)))
    assert ">median 60 s<" in draw(beats, "en", "UTC")
    same = Picture(kind="timeline", x=beats.x, y=(1.0,) * 30)
    assert draw(same, "en", "UTC") == draw(beats, "en", "UTC")


def test_a_rate_falls_to_nothing_where_no_second_was_counted():
    gap = Picture(kind="rate", x=(NOON, NOON + 1, NOON + 2, NOON + 9), y=(5.0, 5.0, 5.0, 5.0))
    line = re.search(r'class="line" d="([^"]+)"', draw(gap, "en", "UTC")).group(1)
    assert "V200.0H" in line


def test_the_normal_is_drawn_beside_the_rate():
    flood = Picture(kind="rate", x=(NOON, NOON + 1), y=(10.0, 48_000.0), baseline=900.0)
    assert "normal, au plus 900" in draw(flood, "fr", "UTC")


def test_a_long_series_is_thinned_and_keeps_both_ends():
    beats = Picture(kind="timeline", x=tuple(NOON + i for i in range(100_000)))
    svg = draw(beats, "en", "UTC")
    assert svg.count("V34") == POINTS
    assert "100,000" in svg
    assert 'cx="618.0"' in svg


def test_a_few_ports_are_named_and_many_are_dots():
    few = Picture(kind="fan_out", x=(22.0, 443.0, 50000.0), x_label=Text("port", "port"))
    assert ">50000<" in draw(few, "fr", "UTC")
    many = draw(Picture(kind="fan_out", x=tuple(float(i) for i in range(300))), "en", "UTC")
    assert many.count("<circle") == 300
    assert "0 – 299" in many


def test_a_page_shows_only_as_many_bars_as_fit():
    bars = Picture(kind="bars", x=tuple(float(i) for i in range(200)))
    assert draw(bars, "en", "UTC").count("<rect") == BARS


def test_bytes_and_known_words_of_bars_are_told_in_french():
    bars = Picture(
        kind="bars",
        x=(0.0, 1.0),
        y=(4.2e9, 1.2e6),
        labels=(Text("sent", "envoyé"), "203.0.113.7"),
        y_label=Text("bytes", "octets"),
    )
    svg = draw(bars, "fr", "UTC")
    assert ">envoyé<" in svg
    assert ">4,2 Go<" in svg
    assert ">203.0.113.7<" in svg


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_a_hostile_label_stays_text(label):
    bars = Picture(kind="bars", x=(1.0,), labels=(label,), y_label=Text(label, label))
    tags = {node.tag for node in ElementTree.fromstring(draw(bars, "en", "UTC")).iter()}
    assert tags <= {"svg", "title", "text", "rect", "path"}


def test_an_empty_series_draws_nothing():
    for kind in KINDS:
        assert draw(Picture(kind=kind, x=()), "en", "UTC") == ""


@given(st.floats(), st.none() | st.floats())
def test_a_small_bar_stays_in_its_box_or_is_left_out(value, baseline):
    svg = bar(value, baseline)
    if svg:
        for left, _, width, _ in _drawn(svg):
            assert 0 <= left <= width


def test_a_small_bar_says_whether_the_normal_was_passed():
    assert 'class="over"' in bar(141, 20)
    assert 'class="under"' in bar(3, 20)
    assert bar(3, None) == ""
