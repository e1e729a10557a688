"""`cyberterr scan -i` as an administrator runs it: real packets, real processes, no root."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "cyberterr", "scan", "-i"]


def reason_not_to_capture() -> str:
    if not shutil.which("nmap"):
        return "nmap is not installed"
    done = subprocess.run(
        [*PROGRAM, "lo", "--duration", "1", "--no-store", "-q"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip()


NO_CAPTURE = reason_not_to_capture()
live = pytest.mark.skipif(bool(NO_CAPTURE), reason=NO_CAPTURE)


def descendants(pid: int) -> list[int]:
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except FileNotFoundError:
        return []
    children = " ".join(lists).split()
    return [pid, *(below for child in children for below in descendants(int(child)))]


def status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return {"Name": "", "State": "X"}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def wait_for(pid: int, *names: str) -> list[int]:
    """Processes below *pid*, as soon as all of *names* are among them."""
    for _ in range(300):
        found = descendants(pid)
        if set(names) <= {status(one)["Name"] for one in found}:
            return found
        time.sleep(0.1)
    pytest.fail(f"{names} did not start: {[status(one)['Name'] for one in descendants(pid)]}")


def gone(pids: list[int]) -> bool:
    for _ in range(50):
        if all(status(pid)["State"][0] in "XZ" for pid in pids):
            return True
        time.sleep(0.1)
    return False


def start(*arguments, home: Path, prefix=(), path=os.environ["PATH"], **options):
    return subprocess.Popen(
        [*prefix, *PROGRAM, *map(str, arguments)],
        env={**os.environ, "CYBERTERR_HOME": str(home), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def scan_ports() -> None:
    subprocess.run(
        ["nmap", "-sT", "-Pn", "-n", "-T4", "-p1-400", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        check=True,
    )


def families(output: bytes) -> list[str]:
    return [json.loads(line)["cyberterr"]["finding"]["family"] for line in output.splitlines()]


@live
@pytest.mark.parametrize(
    ("engine", "programs", "dissecting_s"),
    [("ours", ["dumpcap"], 1), ("pyshark", ["dumpcap", "tshark"], 10)],
)
def test_a_port_scan_on_the_wire_is_found_and_losses_are_stated(
    tmp_path, engine, programs, dissecting_s
):
    if engine == "pyshark" and not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    with start("lo", "--engine", engine, "--format", "json", home=tmp_path) as scan:
        running = wait_for(scan.pid, *programs)
        scan_ports()
        time.sleep(dissecting_s)
        scan.send_signal(signal.SIGTERM)
        out, said = scan.communicate(timeout=60)
    assert scan.returncode == 0, said
    assert "scan" in families(out)
    assert b"0 packets lost, 0 flows closed early" in said
    assert b"Traceback" not in said
    assert gone(running)


@live
@pytest.mark.parametrize("engine", ["ours", "pyshark"])
def test_a_scan_that_is_killed_leaves_no_process(tmp_path, engine):
    if engine == "pyshark" and not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    with start("lo", "--engine", engine, home=tmp_path) as scan:
        expected = ["dumpcap", "tshark"] if engine == "pyshark" else ["dumpcap"]
        running = wait_for(scan.pid, *expected)
        scan.kill()
        scan.communicate()
        assert gone(running)


@live
@pytest.mark.skipif(shutil.which("setcap") is None, reason="setcap is not installed (libcap2-bin)")
def test_a_user_without_rights_captures_through_the_capabilities_of_dumpcap(nobody, open_folder):
    # The copy has the capabilities; dumpcap of this machine stays as it is.
    dumpcap = shutil.copy(shutil.which("dumpcap"), open_folder / "dumpcap")
    setting = ["setcap", "cap_net_raw,cap_net_admin=ep", dumpcap]
    done = subprocess.run(setting, capture_output=True, text=True, check=False)
    if done.returncode or os.statvfs(open_folder).f_flag & os.ST_NOSUID:
        pytest.skip(f"capabilities on files have no effect in {open_folder}: {done.stderr}")
    path = f"{open_folder}:{os.environ['PATH']}"
    home = open_folder / "home"
    with start("lo", "--format", "json", home=home, prefix=nobody, path=path) as scan:
        running = wait_for(scan.pid, "dumpcap")
        facts = [status(pid) for pid in running]
        scan_ports()
        time.sleep(1)
        scan.send_signal(signal.SIGTERM)
        out, said = scan.communicate(timeout=60)
    assert scan.returncode == 0, said
    assert "scan" in families(out)
    ours = [fact for fact in facts if fact["Name"] != "dumpcap"]
    assert len(ours) >= 2
    for fact in ours:
        assert fact["Uid"].split() == ["65534"] * 4
        assert {fact["CapEff"], fact["CapPrm"], fact["CapAmb"]} == {"0" * 16}
    assert gone(running)


@live
def test_an_interface_that_goes_away_exits_with_3_and_keeps_what_was_found(tmp_path):
    name = f"cl{os.getpid()}"
    made = ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"]
    if subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("no interface can be made here")
    try:
        for end in (name, f"{name}p"):
            subprocess.run(["ip", "link", "set", end, "up"], check=True)
        with start(name, home=tmp_path) as scan:
            running = wait_for(scan.pid, "dumpcap")
            time.sleep(1)
            subprocess.run(["ip", "link", "delete", name], check=True)
            out, said = scan.communicate(timeout=60)
    finally:
        subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
    assert scan.returncode == 3
    assert b"no longer attached" in said
    assert b"Traceback" not in said
    assert b"flows" in out  # the facts of the run, all the same
    assert gone(running)


@live
def test_an_interface_that_is_not_there_exits_with_3_and_names_those_there_are(tmp_path):
    with start("nope0", home=tmp_path) as scan:
        _, said = scan.communicate(timeout=60)
    assert scan.returncode == 3
    assert b"interfaces here: lo" in said
