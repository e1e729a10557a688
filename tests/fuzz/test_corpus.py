"""What is kept: inputs that once broke something, and those that reach different code."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.formats import FORMATS, GOLDEN

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "cyberterr" / "flows" / "native"
TARGET = ROOT / "benchmarks" / "fuzz" / "meter_target.c"
SANITIZED = ("-g", "-O1", "-std=c11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
             "-DSTANDALONE")  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_input_that_is_kept_keeps_the_contract(name):
    kept = list(FORMATS[name].kept(name))
    for label, data in kept:
        try:
            FORMATS[name].read(data)
        except Exception as error:
            error.add_note(f"in {name}/{label}")
            raise
    assert kept or FORMATS[name].files, "nothing to fuzz it with"


def test_the_captures_that_are_kept_harm_nothing_under_the_sanitizers(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    program = tmp_path / "meter_target"
    sources = [
        *(NATIVE / f"{name}.c" for name in ("packet", "framing", "finished", "meter")),
        TARGET,
    ]
    made = subprocess.run(
        [compiler, *SANITIZED, *map(str, sources), "-o", str(program), "-lm"], capture_output=True
    )
    if made.returncode != 0 and b"san" in made.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert made.returncode == 0, made.stderr.decode()
    inputs = [path for path in sorted(GOLDEN.glob("*cap*")) if path.stat().st_size < 30_000]
    for name in ("pcap", "pcapng"):
        for label, data in FORMATS[name].kept(name):
            inputs.append(tmp_path / f"{name}-{label.replace('/', '-')}")
            inputs[-1].write_bytes(data)
    done = subprocess.run([program, *inputs], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
