"""Fuzz every reader, one after another, and print what came of it.

    python benchmarks/fuzz/run.py --minutes 25

The meter's C code is fuzzed by libFuzzer under AddressSanitizer and UBSan (Debian: clang,
libclang-rt-14-dev), the Python readers by atheris (pip install atheris). Inputs that broke
something lie in the work folder afterwards; the seeds are those of the tests.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from cyberterr.capture.content import PCAP, PCAPNG  # noqa: E402 - found once the path is set
from tests.fuzz.formats import CORPUS, FORMATS, GOLDEN  # noqa: E402 - found once the path is set

METER = "meter (C)"
METER_SHARE = 0.25
"""Part of the time for the C code, where a mistake costs most."""
SANITIZED = ("-g", "-O1", "-std=c11", "-fsanitize=fuzzer,address,undefined",
             "-fno-sanitize-recover=undefined")  # fmt: skip
LIMITS = ("-timeout=10", "-rss_limit_mb=1500", "-max_len=16384", "-print_final_stats=1")
QUICK_ASAN = "quarantine_size_mb=8:allocator_release_to_os_interval_ms=-1"
"""The meter takes and frees 11 MB an input; AddressSanitizer would keep hundreds of them."""
KEPT_BYTES = 8_000
"""Of the inputs that reach different code, so much a format is kept with the tests."""
ZIP_ENTRY_BYTES = 100
OPTION_BYTES = 2
"""In front of a capture: what `meter_target.c` chooses its options by."""


class Outcome(NamedTuple):
    """What came of one target."""

    name: str
    runs: int = 0
    seconds: float = 0.0
    edges: int = 0
    crashes: int = 0
    corpus: int = 0

    def row(self) -> str:
        """One line of the table."""
        return (
            f"| {self.name} | {self.runs:,} | {self.seconds:.0f} | {self.edges} | {self.crashes} "
            f"| {self.corpus} |"
        )


def compiled(work: Path) -> Path:
    """The meter and its target, compiled with clang's sanitizers."""
    native = ROOT / "cyberterr" / "flows" / "native"
    program = work / "meter_target"
    sources = [native / f"{name}.c" for name in ("packet", "framing", "finished", "meter")]
    target = Path(__file__).with_name("meter_target.c")
    subprocess.run(
        ["clang", *SANITIZED, *map(str, [*sources, target]), "-o", str(program), "-lm"], check=True
    )
    return program


def seeded(folder: Path, seeds: Iterable[bytes]) -> Path:
    """*folder* with *seeds* in it, beside what an earlier run left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / f"seed-{number:03}").write_bytes(seed)
    return folder


def fuzzed(name: str, command: Sequence[str], corpus: Path, seconds: float) -> Outcome:
    """Run one target until its time is over, again after each crash."""
    started, outcome = time.monotonic(), Outcome(name)
    crashes = corpus.parent / f"{corpus.name}.crashes"
    crashes.mkdir(exist_ok=True)
    while (left := seconds - (time.monotonic() - started)) > 1:
        options = [f"-max_total_time={int(left)}", f"-artifact_prefix={crashes}/"]
        done = subprocess.run(
            [*command, *LIMITS, *options, str(corpus)],
            env={"ASAN_OPTIONS": QUICK_ASAN, "PATH": "/usr/bin:/bin",
                 "CYBERTERR_HOME": str(corpus.parent / "home"), "TMPDIR": tempfile.gettempdir()},
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        said = done.stderr + done.stdout
        edges = [int(count) for count in re.findall(r"cov: (\d+)", said)]
        runs = re.findall(r"number_of_executed_units: (\d+)", said) or re.findall(r"^#(\d+)", said)
        if not edges:
            sys.exit(f"{name} did not start:\n{said[-3000:]}")
        outcome = outcome._replace(
            runs=outcome.runs + int(runs[-1]),
            edges=max(outcome.edges, *edges),
            crashes=outcome.crashes + (done.returncode != 0),
        )
        if done.returncode != 0:
            print(said[-2000:], file=sys.stderr, flush=True)
    spent = time.monotonic() - started
    return outcome._replace(seconds=spent, corpus=len(list(corpus.iterdir())))


def merged(command: Sequence[str], corpus: Path) -> list[bytes]:
    """The inputs that together reach all the code that *corpus* reaches, smallest first."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [*command, "-merge=1", *LIMITS, folder, str(corpus)], capture_output=True, check=True
        )
        found = {path.read_bytes() for path in Path(folder).iterdir()}
    return sorted(found, key=lambda data: (len(data), data))


def keep(name: str, inputs: Iterable[bytes]) -> None:
    """Put the first of *inputs* beside the tests of the format *name*."""
    path = CORPUS / name / "coverage.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    left = KEPT_BYTES
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(dict.fromkeys(inputs)):
            left -= len(data) + ZIP_ENTRY_BYTES
            if left < 0:
                break
            # ZipInfo has no date of its own: the same inputs make the same file.
            entry = zipfile.ZipInfo(f"{number:03}")
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)


def main() -> None:
    """Run all targets, or those named."""
    parser = argparse.ArgumentParser(description="Fuzz every reader.")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument(
        "--keep", action="store_true", help="renew tests/data/corpus/*/coverage.zip"
    )
    parser.add_argument(
        "targets", nargs="*", help="names of formats, or 'meter (C)'; all by default"
    )
    asked = parser.parse_args()
    work: Path = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    names = asked.targets or [METER, *FORMATS]
    readers = [name for name in names if name != METER]
    seconds = asked.minutes * 60
    for_meter = (METER_SHARE if readers else 1.0) * seconds if METER in names else 0.0
    print("| target | runs | seconds | edges | crashes | corpus |\n|---|---|---|---|---|---|")
    for name in names:
        if name == METER:
            command = [str(compiled(work))]
            small = [p for p in sorted(GOLDEN.glob("*cap*")) if p.stat().st_size < 16_000]
            seeds = [b"\x00\x8f" + path.read_bytes() for path in small]
            corpus = seeded(work / "meter", seeds)
            outcome = fuzzed(name, command, corpus, for_meter)
            if asked.keep:
                captures = [data[OPTION_BYTES:] for data in merged(command, corpus)]
                keep("pcapng", (data for data in captures if data.startswith(PCAPNG)))
                keep("pcap", (data for data in captures if data.startswith(PCAP)))
        else:
            command = [sys.executable, str(Path(__file__).with_name("reader_target.py")), name]
            corpus = seeded(work / name, FORMATS[name].seeds(name))
            outcome = fuzzed(name, command, corpus, (seconds - for_meter) / len(readers))
            if asked.keep and name not in ("pcap", "pcapng"):  # the meter's own reach further
                keep(name, merged(command, corpus))
        print(outcome.row(), flush=True)


if __name__ == "__main__":
    main()
