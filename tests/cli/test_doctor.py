"""`cyberterr doctor` on this machine, and on one where parts are missing."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cyberterr.cli.doctor import doctor


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def parts(*arguments):
    result = CliRunner().invoke(doctor, ["--format", "json", *arguments])
    found = {part["name"]: part for part in map(json.loads, result.stdout.splitlines())}
    return result.exit_code, found


def test_what_a_scan_needs_is_there():
    code, found = parts()
    required = {name for name, part in found.items() if part["required"]}
    assert required == {"python", "flow meter", "detectors", "settings", "data folder"}
    assert {name for name in required if found[name]["state"] != "ok"} <= {"detectors"}
    assert code == (0 if found["detectors"]["state"] == "ok" else 4)


def test_a_machine_without_wireshark_is_told_the_package_and_what_it_would_add(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    _, found = parts()
    for name in ("tshark", "dumpcap"):
        assert found[name]["state"] == "missing"
        assert "apt install tshark" in found[name]["remedy"]
    assert "--engine pyshark" in found["tshark"]["adds"]
    assert "live capture" in found["dumpcap"]["adds"]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_is_shown_with_path_and_version():
    _, found = parts()
    assert found["tshark"]["state"] == "ok"
    assert "TShark" in found["tshark"]["found"]


@pytest.mark.skipif(shutil.which("setcap") is None, reason="setcap is not installed (libcap2-bin)")
@pytest.mark.parametrize(("bound", "state"), [([], "ok"), (["--no-new-privs"], "broken")])
def test_whether_the_capabilities_of_dumpcap_have_an_effect_is_told(
    nobody, open_folder, bound, state
):
    if not shutil.which("dumpcap"):
        pytest.skip("dumpcap is not installed")
    dumpcap = shutil.copy(shutil.which("dumpcap"), open_folder / "dumpcap")
    setting = ["setcap", "cap_net_raw,cap_net_admin=ep", dumpcap]
    if subprocess.run(setting, capture_output=True, check=False).returncode:
        pytest.skip(f"files in {open_folder} can have no capabilities")
    done = subprocess.run(
        [*nobody, "setpriv", *bound, sys.executable, "-m", "cyberterr", "doctor", "--format=json"],
        env={**os.environ, "PATH": f"{open_folder}:{os.environ['PATH']}"},
        capture_output=True,
        check=False,
    )
    found = {part["name"]: part for part in map(json.loads, done.stdout.splitlines())}
    assert found["right to capture"]["state"] == state
    assert bool(bound) == ("no_new_privs" in found["right to capture"]["remedy"])


def test_wrong_settings_are_found_before_a_scan_trips_over_them(tmp_path):
    wrong = tmp_path / "settings.toml"
    wrong.write_text("[site]\nnetwork = ['10.0.0.0/8']\n")
    code, found = parts("--config", str(wrong))
    assert found["settings"]["state"] == "broken"
    assert "network" in found["settings"]["found"]
    assert code == 4


def test_a_corrupt_store_is_named_but_a_scan_still_works(home):
    home.mkdir()
    (home / "cyberterr.db").write_bytes(b"this is no database" * 100)
    code, found = parts()
    assert found["store"]["state"] == "broken"
    assert code == (0 if found["detectors"]["state"] == "ok" else 4)


def test_the_table_ends_with_the_verdict():
    shown = CliRunner().invoke(doctor, []).stdout
    assert "flow meter" in shown
    assert shown.splitlines()[-1].startswith("A scan of a capture")
