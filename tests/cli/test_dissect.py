"""The command line of dissect: JSON lines, and exit codes that other programs rely on."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cyberterr.cli.dissect import dissect
from cyberterr.config import Settings
from cyberterr.pipeline.sources import Reading, read_tables

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
MODBUS = str(GOLDEN / "modbusBig.pcap")
needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed (Debian package: tshark)"
)


def run(*arguments):
    return CliRunner().invoke(dissect, list(arguments))


@needs_tshark
def test_each_message_is_one_json_object_a_line():
    path = GOLDEN / "quicv2-http3-443.pcap"
    [flow_id] = [
        id for t in read_tables([path], Settings(), Reading()) for id in t.flows["flow_id"]
    ]
    shown = run(str(path), "--flow", str(flow_id))
    assert shown.exit_code == 0
    first = json.loads(shown.stdout.splitlines()[0])
    assert set(first) == {"time", "flow_id", "direction", "protocol", "fields"}
    assert shown.stderr.endswith("messages\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((MODBUS,), 2, "--flow ID"),
        ((MODBUS, "--flow", "abc"), 2, "not a valid integer"),
        ((MODBUS, "--finding", "nope"), 2, "no finding has the id"),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_is_right(
    monkeypatch, tmp_path, arguments, code, said
):
    monkeypatch.setenv("CYBERTERR_HOME", str(tmp_path))
    shown = run(*arguments)
    assert shown.exit_code == code
    assert said in shown.stderr


def test_without_tshark_it_ends_with_4_and_names_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = run(MODBUS, "--flow", "17")
    assert shown.exit_code == 4
    assert "Debian package: tshark" in shown.stderr
