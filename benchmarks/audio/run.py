"""Every measurement of recordings, one after the other: speed, memory, start, flips.

python benchmarks/audio/run.py ../shared/data/audio [--config FILE]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("throughput.py", "memory.py", "cold_start.py", "flips.py")


def main() -> int:
    """Run them; 1 where one is not as it should be."""
    folder, *settings = sys.argv[1:] or sys.exit(__doc__)
    failed = []
    for name in SCRIPTS:
        print(f"== {name}", flush=True)
        data = [folder] if name == "flips.py" else []
        script = str(Path(__file__).with_name(name))
        if subprocess.run([sys.executable, script, *data, *settings]).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all as they should be")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
