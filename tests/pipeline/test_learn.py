"""Learning keeps a frame per detector with its provenance, and refuses what is too little."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cyberterr.config import Settings
from cyberterr.errors import SourceError, UsageError
from cyberterr.pipeline import learn
from cyberterr.pipeline.sources import Reading

FIELDS = (
    *("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "service"),
    *("duration", "orig_bytes", "resp_bytes", "conn_state", "missed_bytes", "orig_pkts"),
    *("orig_ip_bytes", "resp_pkts", "resp_ip_bytes"),
)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path / "home"))


def a_log(folder: Path, hours: int) -> Path:
    lines = ["#separator \\x09", "#path\tconn", "#fields\t" + "\t".join(FIELDS)]
    for hour in range(hours):
        for number in range(3):
            values = (
                f"{1_770_000_000 + hour * 3600 + number}.5 C{hour}x{number} "
                f"10.0.0.9 {40000 + number} "
                f"198.51.100.{number} 443 tcp ssl 1.5 900 5000 SF 0 9 {1300 + hour} 9 5400"
            )
            lines.append("\t".join(values.split()))
    path = folder / "conn.log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_two_clean_days_are_learned_and_their_origin_is_kept(tmp_path: Path) -> None:
    log = a_log(tmp_path, 48)
    learned = learn.learn([log], Settings(), Reading())
    assert learned.windows >= 48
    assert "anomaly" in learn.normals()
    kept = json.loads((learned.folder / "provenance.json").read_text(encoding="utf-8"))
    assert kept["windows"] == learned.windows
    assert len(kept["sources"][str(log)]) == 64


def test_a_few_hours_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 24"):
        learn.learn([a_log(tmp_path, 5)], Settings(), Reading())
    assert learn.normals() == {}


def test_a_source_that_cannot_be_read_is_never_learned_from(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(b"no capture")
    with pytest.raises(SourceError):
        learn.learn([a_log(tmp_path, 48), broken], Settings(), Reading())


def test_a_spoilt_normal_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    learn.folder().mkdir(parents=True)
    (learn.folder() / "anomaly.parquet").write_bytes(b"spoilt")
    with pytest.raises(UsageError, match="learn again"):
        learn.normals()
