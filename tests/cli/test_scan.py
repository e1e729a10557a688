"""`cyberterr scan` and `flows` as people and programs call them: real captures, real processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "golden"
BRUTE_FORCE = GOLDEN / "bruteforce.pcap"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "network"


def events(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_password_attack_is_found_and_explained_in_both_languages(call):
    done = call("scan", BRUTE_FORCE, "--format", "json")
    assert done.returncode == 0
    worst = events(done)[0]
    assert worst["cyberterr"]["finding"]["family"] == "brute_force"
    assert worst["event"]["severity"] >= 47
    assert worst["source"]["ip"] == "192.168.56.1"
    assert worst["destination"]["ip"] == "192.168.56.101"
    assert {"192.168.56.1", "192.168.56.101"} <= set(worst["related"]["ip"])
    assert worst["event"]["reason"]
    assert worst["cyberterr"]["finding"]["reason_fr"] != worst["event"]["reason"]
    assert worst["event"]["start"].endswith("Z")
    assert 0 <= worst["cyberterr"]["finding"]["score"] <= 1


def test_the_same_capture_again_gives_the_same_ids_and_nothing_twice(call):
    first = events(call("scan", BRUTE_FORCE, "--format", "json"))
    second = events(call("scan", BRUTE_FORCE, "--format", "json"))
    assert first == second
    listed = events(call("findings", "list", "--format", "json"))
    assert sorted(e["event"]["id"] for e in listed) == sorted(e["event"]["id"] for e in first)


def test_standard_input_compressed_input_and_a_folder_give_the_same_findings(call, tmp_path):
    plain = call("scan", BRUTE_FORCE, "--format", "json").stdout
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(BRUTE_FORCE, folder / "no ending")
    subprocess.run(["gzip", folder / "no ending"], check=True)
    assert call("scan", folder, "--format", "json", "--no-store").stdout == plain
    piped = call("scan", "-", "--format", "json", "--no-store", input=BRUTE_FORCE.read_bytes())
    assert piped.stdout == plain


def test_a_capture_in_two_files_gives_the_findings_of_the_whole(call, tmp_path):
    if not shutil.which("editcap"):
        pytest.skip("editcap is not installed")
    halves = [tmp_path / "b.pcap", tmp_path / "a.pcap"]
    for half, packets in zip(halves, ("1-300", "301-700"), strict=True):
        subprocess.run(["editcap", "-F", "pcap", "-r", BRUTE_FORCE, half, packets], check=True)
    whole = events(call("scan", BRUTE_FORCE, "--format", "json", "--no-store"))
    assert events(call("scan", *halves, "--format", "json", "--no-store")) == whole


def test_a_picture_named_like_a_capture_is_refused_and_the_other_source_still_judged(
    call, tmp_path
):
    picture = tmp_path / "holiday.pcap"
    picture.write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    done = call("scan", picture, BRUTE_FORCE, "--format", "json")
    assert done.returncode == 3
    assert events(done)
    assert b"JPEG" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_empty_file_a_missing_file_and_an_empty_folder_exit_with_3(call, tmp_path):
    empty = tmp_path / "empty.pcap"
    empty.touch()
    (tmp_path / "nothing").mkdir()
    for source in (empty, tmp_path / "absent.pcap", tmp_path / "nothing"):
        done = call("scan", source)
        assert done.returncode == 3, source
        assert str(source).encode() in done.stderr


def test_a_capture_that_is_cut_off_is_read_as_far_as_it_goes(call, tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(BRUTE_FORCE.read_bytes()[:40_001])
    done = call("scan", cut, "--format", "json")
    assert done.returncode == 0
    assert b"ends in the middle of a packet" in done.stderr
    assert b"packets before it were read" in done.stderr


def test_no_source_is_a_usage_error(call):
    done = call("scan")
    assert done.returncode == 2
    assert b"interface" in done.stderr


def test_fail_on_tells_a_script_that_something_was_found(call):
    assert call("scan", BRUTE_FORCE, "--fail-on", "medium", "-q").returncode == 10
    assert call("scan", GOLDEN / "wikipedia.pcap", "--fail-on", "medium", "-q").returncode == 0


def test_a_suppressed_finding_is_hidden_and_counted(call):
    found = events(call("scan", BRUTE_FORCE, "--format", "json"))[0]["event"]["id"]
    decided = call(
        "findings", "decide", found, "false_positive", "--reason", "our own audit",
        "--suppress", "--days", "30",
    )  # fmt: skip
    assert decided.returncode == 0, decided.stderr
    again = call("scan", BRUTE_FORCE, "--format", "json")
    assert found not in [event["event"]["id"] for event in events(again)]
    assert b"hidden" in again.stderr


def test_a_store_that_cannot_be_written_exits_with_5_and_still_shows_the_findings(call, tmp_path):
    broken = tmp_path / "broken.db"
    broken.write_bytes(os.urandom(8192))
    done = call("scan", BRUTE_FORCE, "--format", "json", "--store", f"sqlite:///{broken}")
    assert done.returncode == 5
    assert events(done)


def test_the_report_is_one_page_that_loads_nothing(call, tmp_path):
    page = tmp_path / "report.html"
    assert call("scan", BRUTE_FORCE, "-q", "--report", page).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert "192.168.56.101" in text
    assert "<script src" not in text
    assert "<link" not in text


@pytest.mark.parametrize(
    ("name", "read"),
    [("f.parquet", pl.read_parquet), ("f.csv", pl.read_csv), ("f.json", pl.read_ndjson)],
)
def test_flows_writes_the_same_table_in_three_formats(call, tmp_path, name, read):
    target = tmp_path / name
    assert call("flows", BRUTE_FORCE, "-o", target).returncode == 0
    table = read(target)
    assert table.height == 30
    assert table["src_packets"].sum() + table["dst_packets"].sum() == 606


def test_two_runs_write_byte_identical_tables(call, tmp_path):
    for name in ("a.parquet", "b.parquet"):
        assert call("flows", GOLDEN, "-o", tmp_path / name).returncode == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_being_told_to_end_keeps_what_was_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with (
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "cyberterr",
                "scan",
                "--no-store",
                "--format",
                "json",
                str(pipe),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as scan,
        pipe.open("wb", buffering=0) as writer,
    ):
        writer.write(BRUTE_FORCE.read_bytes())
        time.sleep(4)
        scan.send_signal(signal.SIGTERM)
        out, err = scan.communicate(timeout=30)
    assert b"interrupted" in err
    assert scan.returncode == 0
    families = [json.loads(line)["cyberterr"]["finding"]["family"] for line in out.splitlines()]
    assert "brute_force" in families


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_hundreds_of_malformed_captures_end_in_words(call):
    done = call("scan", SHARED / "malformed-tcpdump", SHARED / "malformed-ndpi", "--no-store")
    assert done.returncode in (0, 3)
    assert b"Traceback" not in done.stderr
