import datetime as dt
import re
import resource
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyberterr.contracts.finding import Explanation, Finding, Measure, Picture, Severity, Text
from cyberterr.contracts.run import Run
from cyberterr.errors import CyberterrError, UsageError
from cyberterr.report import html

START = dt.datetime(2026, 3, 14, 6, 2, 11, tzinfo=dt.UTC)
VOID = {"meta", "input", "br", "link", "img"}


class Page(HTMLParser):
    """Tags, attributes and text; fails where a tag is closed that was not open."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def values(self, *names):
        return [value for _, name, value in self.attributes if name in names]


def test_the_page_is_whole_and_asks_the_network_for_nothing(beacon, run):
    source = html.render([beacon], run)
    page = Page(source)
    assert set(page.tags) & {"script", "link", "img", "iframe", "object", "base", "form"} == set()
    assert all(value.startswith("#") for value in page.values("src", "href", "action", "data"))
    assert "url(" not in source
    assert "@import" not in source
    policy = next(v for v in page.values("content") if "default-src" in v)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_both_languages_are_there_and_the_asked_one_is_shown_first(beacon, run):
    source = html.render([beacon], run, "fr")
    text = Page(source).text
    for word in ("It called 141 times.", "Il a appelé 141 fois.", "appels", "Une horloge"):
        assert word in text
    assert '<html lang="fr">' in source
    assert re.findall(r'id="lang-(..)"[^>]* checked', source) == ["fr"]


def test_limits_come_before_the_first_finding(beacon, run):
    text = Page(html.render([beacon], run)).text
    assert text.index("What this scan did not examine") < text.index("It called 141 times.")
    assert "3 packets lost unseen." in text
    assert "anomaly, not applied: no clean period" in text


def test_a_finding_tells_all_that_a_person_needs(beacon, run):
    text = Page(html.render([beacon], run)).text
    for told in (
        "1 thing needs a person today.",
        "accueil (192.0.2.42) → 203.0.113.77:443",
        "14 March 2026, 07:02:11",
        "184 kB",
        "ruled out",
        "applies here",
        "not checked",
        "Ask the user.",
        "What was said.",
        "T1071.001",
        "6f1e0c52a9d84b7715c3e2aa",
        "cut off after packet 2104233",
    ):
        assert told in text


def test_every_anchor_leads_somewhere_and_no_name_is_given_twice(make, beacon, run):
    page = Page(html.render([beacon, make(id="2"), make(id="3", severity=Severity.LOW)], run))
    names = page.values("id")
    assert len(names) == len(set(names))
    targets = [v.removeprefix("#") for v in page.values("href")]
    labelled = page.values("aria-labelledby", "for")
    assert targets
    assert set(targets + labelled) <= set(names)


def test_the_verdict_counts_alarms_and_context_apart(make, run):
    lows = [make(id=str(i), severity=Severity.LOW) for i in range(12)]
    alarms = [make(id=f"a{i}") for i in range(3)]
    source = Page(html.render([*lows, *alarms], run)).text
    assert "3 things need a person today, 12 are context." in source
    assert "3 choses demandent une décision humaine aujourd’hui, 12 autres servent" in source


def test_nothing_found_is_not_told_as_nothing_happened(run):
    text = Page(html.render([], run)).text
    assert "Nothing that was examined needs a person today." in text
    assert "does not prove that nothing happened" in text
    blind = msgspec.structs.replace(run, packets=0, flows=0)
    assert "Nothing could be examined." in Page(html.render([], blind)).text


def test_a_flood_of_findings_gives_a_page_that_still_opens(make, run):
    many = [make(id=str(i)) for i in range(html.ALARMS_SHOWN + 7)]
    text = Page(html.render(many, run)).text
    assert "+7 more: cyberterr findings list" in text


HOSTILE = "<script>alert(1)</script>\"' onload=x \x1b[31m\x00\u202e{{ 7*7 }}&amp;"


def _poisoned(bad: str) -> Finding:
    both = Text(bad, bad)
    return Finding(
        id=bad,
        detector=bad,
        rule=bad,
        family=bad,
        sensor=bad,
        severity=Severity.HIGH,
        score=0.5,
        start=START,
        end=START,
        actor=bad,
        victim=bad,
        scope=bad,
        related=(bad, bad + "2"),
        title=both,
        reason=both,
        measures=(Measure(name=bad, value=1.0, unit=bad, label=both),),
        explanations=(Explanation(text=both, state="holds"),),
        not_examined=(both,),
        next_steps=(both,),
        attack=(bad,),
        picture=Picture(kind="bars", x=(1.0,), labels=(bad,), y_label=both),
    )


def _shape(source):
    page = Page(source)
    return page.tags, [(tag, name) for tag, name, _ in page.attributes]


def test_hostile_texts_stay_texts_everywhere(run):
    bad_run = msgspec.structs.replace(run, sources=(HOSTILE,), warnings=(HOSTILE,))
    source = html.render([_poisoned(HOSTILE)], bad_run)
    assert "<script" not in source
    assert "\x1b" not in source
    assert "\x00" not in source
    assert "\u202e" not in source
    assert "{{ 7*7 }}" in source
    assert _shape(source) == _shape(
        html.render(
            [_poisoned("calm")], msgspec.structs.replace(bad_run, sources=("a",), warnings=("b",))
        )
    )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(alphabet=st.characters(exclude_categories=()), min_size=1))
def test_no_text_whatever_changes_the_shape_of_the_page(run, bad):
    # A text of nothing but blanks may drop a label, so a letter goes before it.
    source = html.render([_poisoned("a" + bad)], run)
    source.encode("utf-8")
    assert _shape(source) == _shape(html.render([_poisoned("calm")], run))


def test_the_file_is_written_whole_and_nothing_else_is_left(tmp_path, beacon, run):
    path = tmp_path / "report.html"
    path.write_text("older")
    html.write(path, [beacon], run)
    assert path.read_text(encoding="utf-8") == html.render([beacon], run)
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_too_long_is_told_in_words(tmp_path, beacon, run):
    with pytest.raises(UsageError, match="too long"):
        html.write(tmp_path / ("a" * 300), [beacon], run)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told_in_words(tmp_path, beacon, run):
    with pytest.raises(UsageError, match="No such file") as caught:
        html.write(tmp_path / "no" / "report.html", [beacon], run)
    assert "folder that exists" in caught.value.hint


def test_a_folder_or_device_is_never_replaced(tmp_path, beacon, run):
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError, match="ordinary file"):
            html.write(path, [beacon], run)
    assert Path("/dev/null").is_char_device()


def test_no_more_room_leaves_the_old_report_and_says_so(tmp_path, beacon, run):
    path = tmp_path / "report.html"
    path.write_text("older")
    # The kernel refuses the write half way, as a full disk does.
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, usual[1]))
    try:
        with pytest.raises(CyberterrError, match="File too large") as caught:
            html.write(path, [beacon], run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert "free some space" in caught.value.hint
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_read_nothing_still_gives_a_page(run):
    bare = Run(sources=(), started=run.started, seconds=0.0)
    assert "Nothing could be examined." in Page(html.render([], bare)).text
