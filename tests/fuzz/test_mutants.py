"""A hundred seeded mutants of every format; the same hundred in every run."""

import random
import shutil
import subprocess
import time

import pytest

from cyberterr.capture import netflow
from tests.fuzz.formats import FORMATS, GOLDEN, read_file
from tests.fuzz.mutants import mutant

LONGEST_CPU_S = 5.0
"""No input of these few kilobytes may cost more; the usual one takes some milliseconds."""


def withstood(read, seeds, name, *, is_text):
    for number in range(100):
        dice = random.Random(f"{name} {number}")
        data = mutant(dice.choice(seeds), dice, is_text=is_text)
        started = time.process_time()
        try:
            read(data)
        except Exception as error:
            error.add_note(f"mutant {number} of {name}: {data[:2000]!r}")
            raise
        assert time.process_time() - started < LONGEST_CPU_S, f"mutant {number} of {name}"


@pytest.mark.parametrize("name", FORMATS)
def test_a_hundred_mutants_keep_the_contract(name):
    format_ = FORMATS[name]
    withstood(format_.read, format_.seeds(name), name, is_text=format_.is_text)


@pytest.mark.skipif(
    not (shutil.which("nfdump") and shutil.which("nfpcapd")), reason="nfdump is not installed"
)
def test_a_hundred_mutants_of_nfdumps_own_files_keep_the_contract(tmp_path, monkeypatch):
    """Its program reads them, and may fail or hang: what it printed is a log like any other."""
    monkeypatch.setattr(netflow, "PATIENCE_S", 1)
    subprocess.run(
        ["nfpcapd", "-r", GOLDEN / "workshop_2011_browse.pcap", "-l", tmp_path],
        check=True,
        capture_output=True,
    )
    seeds = [path.read_bytes() for path in sorted(tmp_path.glob("nfcapd.*"))]
    withstood(read_file, seeds, "nfdump", is_text=False)
