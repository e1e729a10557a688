"""The unit as an administrator installs it, run by a real systemd in namespaces of its own."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "cyberterr-scan@.service"
SYSUSERS = ROOT / "deploy" / "systemd" / "cyberterr.sysusers"
SYSTEMD = "/usr/lib/systemd/systemd"

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (systemd)"
)


def missing_for_a_system_of_its_own():
    if os.geteuid() != 0:
        return "only root can start a systemd in namespaces"
    programs = ("unshare", "setpriv", "setcap", "dumpcap", "nmap", "ip", "systemd-sysusers")
    lacking = [program for program in (SYSTEMD, *programs) if shutil.which(program) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    return ""


@analyze
def test_systemd_finds_nothing_wrong_with_the_unit():
    done = subprocess.run(
        ["systemd-analyze", "verify", UNIT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@analyze
def test_what_the_unit_exposes_stays_small():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=30", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


# The machine's files seen through a layer that takes every change: nothing outside is touched.
PREPARE = """
    set -e
    out=$1 root=$2
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$out/over"
    cd "$out/over"
    mkdir changes work new
    mount -t overlay overlay -o lowerdir=/,upperdir=changes,workdir=work new
    cd new
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=755 tmpfs dev
    for device in null zero full random urandom tty; do cp -a /dev/$device dev/; done
    mkdir dev/pts dev/shm dev/mqueue dev/hugepages
    ln -s pts/ptmx dev/ptmx
    mkdir -p run/out run/old ".$root"
    mount --bind "$out" run/out
    mount --bind "$root" ".$root"
    mount -o remount,bind,ro ".$root"
    pivot_root . run/old
    cd /
    umount -l /run/old
    ip link set lo up

    # As docs/unattended.md says.
    mkdir -p /etc/sysusers.d /etc/cyberterr /opt
    cp "$root/deploy/systemd/cyberterr.sysusers" /etc/sysusers.d/cyberterr.conf
    systemd-sysusers
    rm -rf /opt/cyberterr
    ln -s "$root/.venv" /opt/cyberterr
    cp "$root/deploy/systemd/cyberterr-scan@.service" /etc/systemd/system/
    printf '[site]\\nname = "Town hall"\\n' > /etc/cyberterr/settings.toml
    # What `dpkg-reconfigure wireshark-common` does to dumpcap, on a copy that is found first.
    cp "$(command -v dumpcap)" /usr/local/bin/dumpcap
    chgrp wireshark /usr/local/bin/dumpcap
    chmod 750 /usr/local/bin/dumpcap
    setcap cap_net_raw,cap_net_admin=eip /usr/local/bin/dumpcap

    # A system that does nothing else: no udev, no journal.
    mkdir -p /run/systemd/system "/run/systemd/system/cyberterr-scan@.service.d"
    for target in sysinit basic network shutdown; do
        printf '[Unit]\\nDescription=%s\\nDefaultDependencies=no\\n' $target \\
            > /run/systemd/system/$target.target
    done
    # The Python of a developer may lie in a home directory, closed to others.
    for place in "$root/.venv" "$3"; do
        while [ "$place" != / ]; do
            chmod a+x "$place" 2>/dev/null || true  # below the repository nothing can be changed
            place=$(dirname "$place")
        done
    done
    cat > "/run/systemd/system/cyberterr-scan@.service.d/test.conf" <<END
    [Service]
    StandardError=append:/run/out/said
    ProtectHome=read-only
    Environment="OPTIONS=--filter 'not port 9999' --lang fr"
    END
    cat > /run/systemd/system/play.service <<END
    [Unit]
    DefaultDependencies=no
    [Service]
    Type=oneshot
    ExecStart=/bin/sh -c '"$root/.venv/bin/python" /run/out/play.py; systemctl exit'
    StandardError=append:/run/out/play.log
    StandardOutput=append:/run/out/play.log
    END
    export container=other
    exec /usr/lib/systemd/systemd --system --unit=play.service --log-target=console --show-status=0
"""

# What the administrator does, and an attacker.
PLAY = """
    import json, pathlib, subprocess, time

    def run(*program):
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr.strip()

    def descendants(pid):
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(d for child in children for d in descendants(child))]

    def facts(pid):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        return {k: v.strip() for k, _, v in (line.partition(":") for line in lines)}

    def find(name):
        for _ in range(100):
            found = [f for f in map(facts, descendants(main)) if f["Name"] == name]
            if found:
                return found[0]
            time.sleep(0.1)
        raise SystemExit(f"no {name} runs: {state()}")

    unit = "cyberterr-scan@lo.service"

    def state(unit=unit):
        names = "Result,ExecMainStatus,NRestarts,SubState"
        shown = run("systemctl", "show", f"--property={names}", unit)
        return dict(line.split("=", 1) for line in shown.splitlines())

    result = {"start": run("systemctl", "start", unit)}
    main = run("systemctl", "show", "--property=MainPID", "--value", unit)
    if main == "0":
        raise SystemExit(f"it does not start: {state()} {run('systemctl', 'status', unit)}")
    result["main"] = facts(main)
    find("dumpcap")
    run("nmap", "-sS", "-Pn", "-n", "-T4", "-p1-500", "127.0.0.1")
    time.sleep(1)
    result["processes"] = [facts(pid) for pid in descendants(main)]
    run("systemctl", "stop", unit)
    result["ended"] = state()
    result["left"] = run("pgrep", "-l", "-u", "cyberterr")
    result["folder"] = run("stat", "-c", "%U %a", "/var/lib/cyberterr")
    result["findings"] = run(
        "runuser", "-u", "cyberterr", "--", "env", "CYBERTERR_HOME=/var/lib/cyberterr",
        "/opt/cyberterr/bin/cyberterr", "findings", "list", "--format", "json",
    )
    away = "cyberterr-scan@away0.service"
    run("systemctl", "start", away)
    for _ in range(100):
        result["away"] = state(away)
        if result["away"]["SubState"] == "auto-restart":
            break
        time.sleep(0.1)
    run("systemctl", "stop", away)

    pathlib.Path("/etc/cyberterr/settings.toml").write_text("[site]\\nnonsense = 1\\n")
    run("systemctl", "start", unit)
    for _ in range(100):
        result["misled"] = state()
        if result["misled"]["SubState"] not in ("start", "running"):
            break
        time.sleep(0.1)
    pathlib.Path("/run/out/result.json").write_text(json.dumps(result))
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    if reason := missing_for_a_system_of_its_own():
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("systemd")
    (out / "over").mkdir()
    (out / "play.py").write_text(textwrap.dedent(PLAY))
    (out / "prepare").write_text(textwrap.dedent(PREPARE))
    alone = ["--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
    with (out / "log").open("wb") as log:
        try:
            subprocess.run(
                ["unshare", *alone, "sh", out / "prepare", out, ROOT, sys.base_prefix],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=90,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.fail((out / "log").read_text(errors="replace")[-2000:])
    if not (out / "play.log").exists():
        pytest.skip(f"no systemd can be started here: {(out / 'log').read_text()[-300:]}")
    assert (out / "result.json").exists(), (out / "play.log").read_text()
    result = json.loads((out / "result.json").read_text())
    result["said"] = (out / "said").read_text()
    return result


def test_it_captures_as_a_user_without_any_right(played):
    for facts in played["processes"]:
        assert "0" not in facts["Uid"].split(), facts["Name"]
        assert facts["CapAmb"] == "0" * 16
        assert facts["CapEff"] == "0" * 16, facts["Name"]  # dumpcap has opened, and given it up
    assert played["main"]["CapBnd"] == "0000000000003000"
    assert played["main"]["Seccomp"] == "2"
    [meter] = [facts for facts in played["processes"] if facts["Name"] == "_meter"]
    assert int(meter["Seccomp_filters"]) > int(played["main"]["Seccomp_filters"])


def test_the_attack_is_in_the_store_of_the_service_and_in_its_log(played):
    families = [
        json.loads(line)["cyberterr"]["finding"]["family"]
        for line in played["findings"].splitlines()
    ]
    assert "scan" in families
    assert "élevée : 127.0.0.1 essaie" in played["said"]
    assert "cyberterr findings show" in played["said"]


def test_being_stopped_is_a_good_end_and_leaves_no_process(played):
    assert played["ended"]["Result"] == "success"
    assert played["ended"]["ExecMainStatus"] == "0"
    assert played["left"] == ""
    assert "0 packets lost" in played["said"]


def test_what_it_found_can_be_read_by_its_user_alone(played):
    assert played["folder"] == "cyberterr 700"


def test_an_interface_that_is_away_is_tried_again(played):
    assert played["away"]["ExecMainStatus"] == "3"
    assert played["away"]["SubState"] == "auto-restart"
    assert "interfaces here: lo" in played["said"]


def test_wrong_settings_do_not_restart_it_for_ever(played):
    assert played["misled"] == {
        "Result": "exit-code", "ExecMainStatus": "2", "NRestarts": "0", "SubState": "failed",
    }  # fmt: skip
    assert "nonsense" in played["said"]
