"""Ask the same things again and again: what monitoring does, a mail program, and a beacon.

python poll.py --every 10 --http http://10.20.1.20/status --ping 10.20.2.10
python poll.py --every 15 --jitter 0.1 --http https://static-sync.example/v
"""

from __future__ import annotations

import argparse
import random
import subprocess
import time


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, required=True, help="seconds")
    parser.add_argument("--jitter", type=float, default=0.0, help="share of --every, 0..1")
    parser.add_argument("--http", action="append", default=[], help="URL to get")
    parser.add_argument("--ping", action="append", default=[], help="address to ping")
    parser.add_argument("--agent", default="check_http/v2.3 (monitoring-plugins 2.3)")
    parser.add_argument("--certificate", default="")
    return parser.parse_args()


def _once(wanted: argparse.Namespace) -> None:
    trust = ("--cacert", wanted.certificate) if wanted.certificate else ()
    curl = ("curl", "--silent", "--max-time", "5", "--user-agent", wanted.agent, *trust)
    for url in wanted.http:
        subprocess.run((*curl, "--output", "/dev/null", url), check=False)
    for address in wanted.ping:
        subprocess.run(
            ("ping", "-n", "-c", "1", "-W", "1", address), check=False, stdout=subprocess.DEVNULL
        )


def _for_ever(wanted: argparse.Namespace) -> None:
    due = time.monotonic()
    while True:
        _once(wanted)
        due += wanted.every * random.uniform(1 - wanted.jitter, 1 + wanted.jitter)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    _for_ever(_arguments())
