"""Seconds of sound per CPU-second of the whole command: start, decoding, gate, model, verdict.

    python benchmarks/audio/throughput.py [--config FILE] [--minutes 20]

All processes count. Promised are 300 in every format; the exit status is 1 when one is slower.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "meter"))
from long import FORMATS, command, recording
from used import measured

PROMISED = 300


def main() -> int:
    """Print one row per format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, help="settings, such as a folder of models")
    parser.add_argument("--minutes", type=float, default=20)
    arguments = parser.parse_args()
    kept = True
    print(f"| {arguments.minutes:g} minutes | CPU s | s | seconds of sound per CPU-second | MB |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            path = recording(Path(folder), name, 60 * arguments.minutes)
            used = measured(command(path, arguments.config))
            path.unlink()
            speed = 60 * arguments.minutes / used.cpu_s
            kept &= speed >= PROMISED
            print(
                f"| {name} | {used.cpu_s:.2f} | {used.wall_s:.1f} | {speed:.0f} "
                f"| {used.megabytes:.0f} |",
                flush=True,
            )
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
