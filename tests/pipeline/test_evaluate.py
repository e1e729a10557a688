"""Scores count incidents, never flows, and never promise more than the number of trials allows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyberterr.config import Settings
from cyberterr.contracts.rate import wilson
from cyberterr.errors import UsageError
from cyberterr.pipeline.evaluate import evaluate

GOLDEN = Path(__file__).parents[1] / "data/golden"


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share(hits_and_trials: tuple[int, int]) -> None:
    hits, trials = hits_and_trials
    low, high = wilson(hits, trials)
    assert 0 <= low <= hits / trials + 1e-9
    assert hits / trials - 1e-9 <= high <= 1


def test_all_of_two_found_proves_little() -> None:
    low, high = wilson(2, 2)
    assert (round(low, 2), high) == (0.34, 1.0)


def a_set(folder: Path, host: str) -> Path:
    (folder / "attack").mkdir()
    (folder / "quiet").mkdir()
    shutil.copy(GOLDEN / "bruteforce.pcap", folder / "attack")
    shutil.copy(GOLDEN / "DnsPackets.pcap", folder / "quiet")
    item = {
        "file": "attack/bruteforce.pcap",
        "attack": "ftp-bruteforce",
        "positive_column": None,
        "positive_rules": [{"a": host, "port": 21}],
    }
    (folder / "GROUND_TRUTH.json").write_text(json.dumps({"items": [item]}), encoding="utf-8")
    (folder / "MANIFEST.csv").write_text(
        "file,label\nattack/bruteforce.pcap,attack\nquiet/DnsPackets.pcap,benign look-ups\n",
        encoding="utf-8",
    )
    return folder


def test_an_attack_is_found_only_where_a_finding_names_its_host(tmp_path: Path) -> None:
    scores = evaluate(a_set(tmp_path, "192.168.56.1"), Settings(), lambda _: None)
    assert scores.rate("ftp-bruteforce")[:2] == (1, 1)
    assert [q.network for q in scores.quiet] == ["quiet"]
    assert scores.quiet[0].site_days >= 1


def test_the_right_family_at_the_wrong_host_is_not_found(tmp_path: Path) -> None:
    scores = evaluate(a_set(tmp_path, "192.0.2.99"), Settings(), lambda _: None)
    assert scores.rate()[:2] == (0, 1)
    assert scores.incidents[0].others >= 1


def test_a_folder_without_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ground truth"):
        evaluate(tmp_path, Settings(), lambda _: None)
