"""What is wrong around a scan ends in words, with the right exit code, and nothing is lost."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"
BRUTE_FORCE = DATA / "golden" / "bruteforce.pcap"
PROGRAM = [sys.executable, "-m", "cyberterr"]


def families(output: bytes) -> list[str]:
    return [json.loads(line)["cyberterr"]["finding"]["family"] for line in output.splitlines()]


@pytest.fixture
def as_nobody(nobody, open_folder):
    def run(*arguments):
        return subprocess.run(
            [*nobody, *PROGRAM, *map(str, arguments)],
            env={**os.environ, "CYBERTERR_HOME": str(open_folder / "home")},
            capture_output=True,
            timeout=120,
            check=False,
        )

    return run


def test_what_may_not_be_read_is_named_and_the_rest_is_judged(as_nobody, open_folder):
    shutil.copy(BRUTE_FORCE, open_folder / "good.pcap")
    shutil.copy(BRUTE_FORCE, open_folder / "secret.pcap")
    (open_folder / "secret.pcap").chmod(0o600)
    (open_folder / "closed").mkdir(mode=0o700)
    done = as_nobody("scan", open_folder, "--format", "json")
    assert done.returncode == 3
    assert "brute_force" in families(done.stdout)
    for name in ("secret.pcap", "closed"):
        assert f"{open_folder / name}: no permission to read it".encode() in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_store_in_a_folder_that_is_read_only_exits_with_5_and_shows_the_findings(
    as_nobody, open_folder
):
    (open_folder / "fixed").mkdir(mode=0o555)
    shutil.copy(BRUTE_FORCE, open_folder / "good.pcap")
    store = f"sqlite:///{open_folder}/fixed/cyberterr.db"
    done = as_nobody("scan", open_folder / "good.pcap", "--format", "json", "--store", store)
    assert done.returncode == 5
    assert "brute_force" in families(done.stdout)
    assert b"Permission denied" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_capture_that_grows_while_it_is_read_is_judged_as_far_as_it_goes(call, tmp_path):
    whole = (DATA / "town_hall.pcapng").read_bytes()
    growing = tmp_path / "growing.pcapng"
    growing.write_bytes(whole[: len(whole) // 2])
    read = threading.Event()

    def grow():
        with growing.open("ab", buffering=0) as file:
            for at in range(len(whole) // 2, len(whole), 10_007):
                file.write(whole[at : at + 10_007])
                if read.wait(0.01):
                    return

    writer = threading.Thread(target=grow)
    writer.start()
    done = call("scan", growing, "--format", "json")
    read.set()
    writer.join()
    assert done.returncode == 0
    assert families(done.stdout)
    assert b"Traceback" not in done.stderr


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk with room for one page, and the program started so that it sees it."""
    folder = tmp_path / "full"
    folder.mkdir()
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    small = 'mount -t tmpfs -o size=4k tmpfs "$0" && exec "$@"'
    prefix = ["unshare", *own, "--mount", "sh", "-c", small, str(folder)]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no small disk can be mounted here: {tried.stderr.strip()}")

    def run(*arguments):
        return subprocess.run(
            [*prefix, *PROGRAM, *map(str, arguments)],
            env={**os.environ, "CYBERTERR_HOME": str(tmp_path / "home")},
            capture_output=True,
            timeout=120,
            check=False,
        )

    return folder, run


def test_a_full_disk_under_the_store_exits_with_5_and_shows_the_findings(full_disk):
    folder, run = full_disk
    store = f"sqlite:///{folder}/cyberterr.db"
    done = run("scan", BRUTE_FORCE, "--format", "json", "--store", store)
    assert done.returncode == 5
    assert "brute_force" in families(done.stdout)
    assert b"cyberterr.db" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_full_disk_under_the_report_loses_no_finding(full_disk):
    folder, run = full_disk
    report = folder / "report.html"
    done = run("scan", BRUTE_FORCE, "--format", "json", "--report", report)
    assert done.returncode == 70
    assert "brute_force" in families(done.stdout)
    assert b"report could not be written: " in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["flows.parquet", "flows.csv", "flows.json"])
def test_a_full_disk_under_the_flow_table_is_said_in_words(full_disk, name):
    folder, run = full_disk
    done = run("flows", DATA / "town_hall.pcapng", "-o", folder / name)
    assert done.returncode == 2
    assert b"cannot be written" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_report_that_cannot_be_written_is_said_before_anything_is_read(call, tmp_path):
    for report in (tmp_path / "absent" / "report.html", tmp_path):
        done = call("scan", tmp_path / "absent.pcap", "--report", report)
        assert done.returncode == 2
        assert b"absent.pcap" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", BRUTE_FORCE),
        ("scan", BRUTE_FORCE, "--format", "json"),
        ("flows", DATA / "town_hall.pcapng", "-o", "-"),
    ],
)
def test_a_reader_that_goes_away_is_no_error(tmp_path, arguments):
    with subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        env={**os.environ, "CYBERTERR_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as done:
        done.stdout.close()
        said = done.stderr.read()
        assert done.wait(timeout=60) == 0
    assert b"Traceback" not in said
    assert b"rror" not in said


@pytest.mark.parametrize(
    "arguments", [("scan", BRUTE_FORCE), ("scan", BRUTE_FORCE, "--format", "json")]
)
def test_a_standard_output_that_is_full_is_said_and_the_findings_are_kept(call, arguments):
    with Path("/dev/full").open("wb") as full:
        done = call(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 70
    assert b"standard output cannot be written: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
    assert "brute_force" in families(call("findings", "list", "--format", "json").stdout)


def test_an_error_is_said_even_where_a_person_wants_it_quiet(call, tmp_path):
    done = call("scan", tmp_path / "absent.pcap", BRUTE_FORCE, "-q")
    assert done.returncode == 3
    assert b"absent.pcap: no such file" in done.stderr
