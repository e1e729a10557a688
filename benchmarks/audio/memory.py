"""Memory of all processes on a council meeting of four hours.

    python benchmarks/audio/memory.py [--config FILE] [--hours 4]

Promised are 600 MB; the exit status is 1 when it takes more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "meter"))
from long import command, recording
from used import measured

PROMISED = 600


def main() -> int:
    """Print one row per format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, help="settings, such as a folder of models")
    parser.add_argument("--hours", type=float, default=4)
    parser.add_argument("--formats", nargs="+", default=["mp3", "opus", "wav"])
    arguments = parser.parse_args()
    most = 0.0
    print(f"| {arguments.hours:g} h | MB | processes | CPU s | s |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.formats:
            path = recording(Path(folder), name, 3600 * arguments.hours)
            used = measured(command(path, arguments.config))
            path.unlink()
            most = max(most, used.megabytes)
            print(
                f"| {name} | {used.megabytes:.0f} | {used.processes} | {used.cpu_s:.1f} "
                f"| {used.wall_s:.1f} |",
                flush=True,
            )
    return int(most >= PROMISED)


if __name__ == "__main__":
    sys.exit(main())
