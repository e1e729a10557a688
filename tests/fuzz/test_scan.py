"""The whole command line on mutants: absurd numbers reach no detector and no report as a defect."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from cyberterr.cli import main
from cyberterr.errors import FOUND, SOURCE_UNREADABLE
from tests.fuzz.formats import FORMATS
from tests.fuzz.mutants import mutant

SOURCES = [name for name, format_ in FORMATS.items() if format_.is_source]


def scanned(folder: Path, home: Path) -> tuple[int, str]:
    """Exit code and what was said of a scan of all of *folder*, with everything it can write."""
    report = home / "report.html"
    done = CliRunner().invoke(
        main,
        ["scan", str(folder), "--engine", "ours", "--format", "json", "--report", str(report)],
        env={"CYBERTERR_HOME": str(home)},
    )
    assert report.stat().st_size > 1000, done.stderr
    for line in done.stdout.splitlines():
        assert json.loads(line)["event"]["id"]
    shown = CliRunner().invoke(main, ["findings", "list"], env={"CYBERTERR_HOME": str(home)})
    assert shown.exit_code == 0, shown.stderr
    return done.exit_code, done.stderr


@pytest.mark.parametrize("name", SOURCES)
def test_forty_mutants_are_scanned_and_judged_without_a_defect(name, tmp_path):
    format_ = FORMATS[name]
    seeds = format_.seeds(name)
    for number in range(40):
        dice = random.Random(f"scan {name} {number}")
        # A folder each: the Zeek logs of one folder are one source.
        folder = tmp_path / "in" / f"{number:03}"
        folder.mkdir(parents=True)
        data = mutant(dice.choice(seeds), dice, is_text=format_.is_text)
        (folder / "mutant").write_bytes(data)
    code, said = scanned(tmp_path / "in", tmp_path)
    assert code in (0, SOURCE_UNREADABLE, FOUND), said
    assert "Traceback" not in said
