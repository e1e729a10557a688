"""Lists of known indicators: each format is read, mistakes in a feed do no harm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberterr.contracts import Site
from cyberterr.contracts.indicator import Indicators
from cyberterr.errors import CyberterrError, SourceError
from cyberterr.pipeline.indicators import load

JA4 = "t13d1516h2_8daaf6152771_b186095e22b6"


def loaded(folder: Path, text: str | bytes, name: str = "feed") -> Indicators:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load([path], Site())


def pairs(indicators: Indicators) -> set[tuple[str, str]]:
    return {(item.kind, item.value) for item in indicators.items}


def test_a_csv_with_a_header_is_read(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        "# TLP:CLEAR\ntype;value;confidence;description\n"
        "ip;45.33.32.156;90;C2\ndomain;Evil.Example.;40;phishing\nja4;" + JA4 + ";;\n",
    )
    assert pairs(found) == {("address", "45.33.32.156"), ("domain", "evil.example"), ("ja4", JA4)}
    assert {i.value: i.confidence for i in found.items}["45.33.32.156"] == 90
    assert {i.value: i.label for i in found.items}["evil.example"] == "phishing"


def test_a_plain_list_with_disarmed_names_is_read(tmp_path: Path) -> None:
    found = loaded(
        tmp_path, "hxxps://bad[.]example/drop/x.bin\n45.33.32[.]0/24\n2a00:1450::/32\nbad[.]test\n"
    )
    assert pairs(found) == {
        ("url", "bad.example/drop/x.bin"),
        ("network", "45.33.32.0/24"),
        ("network", "2a00:1450::/32"),
        ("domain", "bad.test"),
    }


def test_a_stix_bundle_is_read_without_what_was_revoked(tmp_path: Path) -> None:
    def indicator(pattern: str, **more: object) -> dict[str, object]:
        return {"type": "indicator", "name": "APT", "pattern": pattern, "confidence": 85, **more}

    bundle = {
        "type": "bundle",
        "objects": [
            indicator("[ipv4-addr:value = '45.33.32.156' OR domain-name:value = 'evil.example']"),
            indicator("[url:value = 'http://evil.example/a']"),
            indicator("[domain-name:value = 'withdrawn.example']", revoked=True),
            {"type": "identity", "name": "CERT"},
        ],
    }
    found = loaded(tmp_path, json.dumps(bundle))
    assert pairs(found) == {
        ("address", "45.33.32.156"),
        ("domain", "evil.example"),
        ("url", "evil.example/a"),
    }
    assert {item.confidence for item in found.items} == {85}


def test_a_misp_event_is_read_with_its_objects(tmp_path: Path) -> None:
    event = {
        "Event": {
            "Attribute": [
                {"type": "ip-dst|port", "value": "45.33.32.156|8443", "to_ids": True},
                {"type": "md5", "value": "0" * 32, "to_ids": True},
            ],
            "Object": [
                {"Attribute": [{"type": "domain", "value": "evil.example", "to_ids": False}]}
            ],
        }
    }
    found = loaded(tmp_path, json.dumps({"response": [event]}))
    assert pairs(found) == {("address", "45.33.32.156"), ("domain", "evil.example")}
    assert {i.value: i.confidence for i in found.items} == {"45.33.32.156": 75, "evil.example": 40}


@pytest.mark.parametrize(
    "value",
    ["8.8.8.8", "0.0.0.0", "10.1.2.3", "google.com", "0.0.0.0/0", "10.0.0.0/8", "127.0.0.1"],
)
def test_what_everybody_uses_or_owns_is_left_out_and_said(tmp_path: Path, value: str) -> None:
    found = loaded(tmp_path, f"{value}\nevil.example\n")
    assert pairs(found) == {("domain", "evil.example")}
    (warning,) = found.warnings
    assert value in warning


def test_the_most_confident_of_two_entries_counts(tmp_path: Path) -> None:
    found = loaded(tmp_path, "value,confidence\nevil.example,20\nevil.example,80\n")
    (item,) = found.items
    assert item.confidence == 80


@pytest.mark.parametrize("text", ["", "{", "[]", "hello\nworld\n", "\x00\x01", "[" * 100_000])
def test_a_file_without_indicators_is_an_error_a_person_can_mend(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceError) as caught:
        loaded(tmp_path, text)
    assert caught.value.exit_code == 3
    assert "feed" in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        load([tmp_path / "absent"], Site())


@given(text=st.text(max_size=300) | st.from_regex(r"\{.{0,60}\}", fullmatch=True))
def test_no_file_makes_the_reader_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_text(text, encoding="utf-8")
    try:
        load([path], Site())
    except CyberterrError as error:
        assert error.exit_code == 3  # noqa: PT017  # either outcome is right
