"""Every measurement of the cluster, one after the other: versions, kills, throughput, flows.

    .venv/bin/python benchmarks/elastic/run.py

Each starts the servers that it needs and says what it measures; about twenty minutes in all.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("matrix.py", "kill.py", "throughput.py", "flows.py")


def main() -> int:
    """Run them; 1 where one is not as it should be."""
    failed = []
    for name in SCRIPTS:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, str(Path(__file__).with_name(name))]).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all as they should be")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
