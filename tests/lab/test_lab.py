"""The lab plays what its ground truth says, reaches nobody else, and leaves nothing behind."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

import polars as pl
import pytest

from cyberterr.config import Settings
from cyberterr.pipeline.sources import Reading, read_tables

SCRIPT = Path(__file__).with_name("town_hall.py")
DATA = Path(__file__).parents[1] / "data"
LAB = [
    ip_network(text)
    for text in ("10.20.0.0/16", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
]
ATTACKS = [
    "beacon",
    "brute_force",
    "cleartext_credentials",
    "dns_tunnel",
    "ot_write",
    "scan",
    "scan",
]


def reason_not_to_play() -> str:
    spec = importlib.util.spec_from_file_location("town_hall", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.why_not()


NO_LAB = reason_not_to_play()
lab = pytest.mark.skipif(bool(NO_LAB), reason=f"no lab: {NO_LAB}")


def start(out: Path, seconds: float, *options: str) -> subprocess.Popen:
    command = (sys.executable, SCRIPT, "--out", out, "--minutes", str(seconds / 60), *options)
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def flows_of(capture: Path) -> pl.DataFrame:
    reading = Reading()
    parts = [t.flows for t in read_tables([capture], Settings(), reading, layer7=False)]
    assert not reading.errors
    return pl.concat(parts)


def descendants(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found |= {int(child)} | descendants(int(child))
    return found


def shown(flows: pl.DataFrame, scene: dict) -> pl.DataFrame:
    """The flows of *flows* that *scene* speaks of."""
    begin, end = (dt.datetime.fromisoformat(scene[key]) for key in ("start", "end"))
    victim = ip_network(scene["victim"])
    seen = flows.filter(
        pl.col("src_ip") == scene["actor"],
        pl.col("start") <= end,
        pl.col("end") >= begin,
        pl.col("dst_ip").map_elements(lambda a: ip_address(a) in victim, return_dtype=pl.Boolean),
    )
    port = scene["victim_port"]
    return seen if port is None else seen.filter(pl.col("dst_port") == port)


def assert_true_to_its_word(capture: Path) -> None:
    truth = json.loads(capture.with_suffix(".json").read_text(encoding="utf-8"))
    flows = flows_of(capture)
    for scene in truth["attacks"] + truth["benign"]:
        assert len(shown(flows, scene)), scene
    addresses = {ip_address(a) for a in (*flows["src_ip"].unique(), *flows["dst_ip"].unique())}
    assert [a for a in addresses if not any(a in network for network in LAB)] == []


@pytest.mark.parametrize("name", ["town_hall", "town_hall_quiet"])
def test_the_stored_capture_shows_what_its_truth_says_and_only_our_addresses(name):
    assert_true_to_its_word(DATA / f"{name}.pcapng")


def test_the_attack_day_holds_every_attack_in_its_measure():
    truth = json.loads((DATA / "town_hall.json").read_text(encoding="utf-8"))
    flows = flows_of(DATA / "town_hall.pcapng")
    seen = {
        (scene["family"], scene["victim_port"]): shown(flows, scene) for scene in truth["attacks"]
    }
    assert sorted(family for family, _ in seen) == ATTACKS
    assert len(seen["brute_force", 22]) >= 60
    assert len(seen["beacon", 443]) >= 18
    assert seen["scan", 445]["dst_ip"].n_unique() > 200
    assert seen["scan", None]["dst_port"].n_unique() >= 990
    assert len(seen["ot_write", 502]) == 1


def test_on_the_quiet_day_nobody_attacks():
    truth = json.loads((DATA / "town_hall_quiet.json").read_text(encoding="utf-8"))
    flows = flows_of(DATA / "town_hall_quiet.pcapng")
    assert truth["attacks"] == []
    assert "10.20.1.66" not in set(flows["src_ip"]) | set(flows["dst_ip"])
    assert "203.0.113.77" not in set(flows["dst_ip"])
    assert 21 not in set(flows["dst_port"])


@lab
def test_a_short_day_is_played_and_recorded(tmp_path):
    with start(tmp_path, 8) as play:
        said = play.stderr.read()
    assert play.returncode == 0, said
    if "left out" in said:
        pytest.skip(next(line for line in said.splitlines() if "left out" in line))
    assert_true_to_its_word(tmp_path / "town_hall.pcapng")
    truth = json.loads((tmp_path / "town_hall.json").read_text(encoding="utf-8"))
    assert sorted(scene["family"] for scene in truth["attacks"]) == ATTACKS


@lab
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_nothing_stays_behind(tmp_path, how):
    with start(tmp_path, 60, "--quiet") as play:
        for line in play.stderr:
            if "mail" in line:  # by now servers, recorder and people run
                break
        programs = descendants(play.pid)
        assert len(programs) > 20
        play.send_signal(how)
        said = play.stderr.read()
    assert play.returncode == (-how if how == signal.SIGKILL else 0), said
    capture = tmp_path / "town_hall_quiet.pcapng"
    assert capture.stat().st_size > 1000  # what was recorded is kept
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in programs):
        time.sleep(0.1)
    assert [pid for pid in programs if Path(f"/proc/{pid}").exists()] == []
    names = subprocess.run(("ip", "netns", "list"), capture_output=True, text=True, check=True)
    assert "etat-civil" not in names.stdout


@lab
def test_where_the_lab_cannot_be_played_it_says_why_and_exits_3(tmp_path):
    lonely = {**os.environ, "PATH": str(tmp_path)}
    command = (sys.executable, SCRIPT, "--out", tmp_path / "out")
    done = subprocess.run(command, env=lonely, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "skipped: missing:" in done.stderr
