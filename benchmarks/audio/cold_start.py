"""Time from a cold start to the verdict on ten seconds of speech.

    python benchmarks/audio/cold_start.py [--config FILE] [--runs 9]

Each run is a process of its own. Promised are 2 s; the exit status is 1 when the median is slower.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "meter"))
from long import command, recording
from used import measured

PROMISED_S = 2.0


def main() -> int:
    """Print one row per format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, help="settings, such as a folder of models")
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    kept = True
    print("| 10 s of | median s | slowest s | median CPU s |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("wav", "mp3", "opus"):
            path = recording(Path(folder), name, 10)
            runs = [measured(command(path, arguments.config)) for _ in range(arguments.runs)]
            wall = [run.wall_s for run in runs]
            cpu = statistics.median(run.cpu_s for run in runs)
            median = statistics.median(wall)
            kept &= median < PROMISED_S
            print(f"| {name} | {median:.2f} | {max(wall):.2f} | {cpu:.2f} |", flush=True)
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
