"""Play a small town hall with real programs, and record what a mirror port would see.

    python tests/lab/town_hall.py --out DIR --minutes 5            an attack day
    python tests/lab/town_hall.py --out DIR --minutes 5 --quiet    the same without attacks

Writes `town_hall.pcapng` and `town_hall.json`, its ground truth (`town_hall_quiet.*` with
`--quiet`). Everything runs in network, mount and process namespaces of its own, with no way out:
no address but the lab's is reached, and the kernel removes all of it when the play ends, however
it ends. Times are those of the clock. Exit 0: recorded; 3: skipped, with the reason.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

SKIPPED = 3
OWN_NAMESPACES = (
    *("unshare", "--net", "--mount", "--pid"),
    *("--fork", "--kill-child", "--mount-proc"),
)


def why_not() -> str:
    """Why no lab can be played here; empty where it can."""
    os.environ["PATH"] += os.pathsep + os.pathsep.join(("/usr/sbin", "/sbin"))
    missing = [program for program in ("ip", "unshare", "mount") if not shutil.which(program)]
    if not shutil.which("dumpcap") and not shutil.which("tcpdump"):
        missing.append("dumpcap or tcpdump")
    if missing:
        return f"missing: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    tried = subprocess.run(
        (*OWN_NAMESPACES, "ip", "link", "add", "try0", "type", "bridge"),
        check=False,
        capture_output=True,
        text=True,
    )
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for capture and truth")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--quiet", action="store_true", help="a day without attacks")
    parser.add_argument("--seed", default="mairie", help="what people do, and in which order")
    return parser.parse_args()


def _let_go(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Play, and tidy up."""
    wanted = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if reason := why_not():
        logging.info("skipped: %s", reason)
        return SKIPPED
    wanted.out.mkdir(parents=True, exist_ok=True)
    name, mode = ("town_hall_quiet", "quiet") if wanted.quiet else ("town_hall", "day")
    stage = str(Path(__file__).with_name("stage.py"))
    seconds = str(wanted.minutes * 60)
    signal.signal(signal.SIGTERM, _let_go)
    with subprocess.Popen(
        (
            *(*OWN_NAMESPACES, sys.executable, stage),
            *(str(wanted.out.resolve()), name, seconds, mode, wanted.seed),
        ),
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches us only, and we close the lifeline
    ) as play:
        try:
            return play.wait()
        except KeyboardInterrupt:
            logging.info("stopping")
            assert play.stdin
            play.stdin.close()
            return play.wait(30)
        finally:
            play.kill()


if __name__ == "__main__":
    sys.exit(main())
