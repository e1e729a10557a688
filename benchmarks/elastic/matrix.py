"""Every client against every server: what works, and what is said where it cannot.

    .venv/bin/python benchmarks/elastic/matrix.py

Installs each client into a folder of its own and runs the tests that need nothing but one server.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cyberterr.config import Elastic
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.refusal import ClusterError
from tests.elastic.distribution import JAVA, prepare
from tests.elastic.server import running

ROOT = Path(__file__).parents[2]
CLIENTS = ("8.19.3", "9.5.1")
TESTS = ("tests/elastic/test_cluster.py", "tests/elastic/test_templates.py", "tests/store")
TOO_NEW = {("9.5.1", "8.19.16")}
"""Client 9 sends a header that no server 8 accepts."""


def main() -> int:
    """Print a line for each pair; 1 where one is not as it should be."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for client in CLIENTS:
            install(client, Path(folder, client))
        for version in JAVA:
            with running(prepare(version)) as server:
                for client in CLIENTS:
                    check = told if (client, version) in TOO_NEW else tested
                    good, said = check(Path(folder, client), server.url)
                    print(f"client {client:8} server {version:8} {said}", flush=True)
                    wrong += not good
    return int(wrong > 0)


def install(client: str, folder: Path) -> None:
    """Put the *client* and its transport into *folder*."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
    subprocess.run([*pip, f"elasticsearch=={client}"], check=True)


def tested(client: Path, url: str) -> tuple[bool, str]:
    """Run the tests with that client; the closing line of pytest."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(client), "CYBERTERR_TEST_ES": url},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode == 0, ended.stdout.strip().splitlines()[-1]


def told(client: Path, url: str) -> tuple[bool, str]:
    """Ask with a client that is too new, in a process of its own; what a person reads."""
    ended = subprocess.run(
        [sys.executable, __file__, url],
        env={**os.environ, "PYTHONPATH": str(client)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = ended.stdout.strip().replace("\n", " ")
    return 'pip install "elasticsearch<9"' in said, said


def ask(url: str) -> None:
    """Print what comes of one question."""
    try:
        print(connect(Elastic(url=url)).ask(Request("GET", "/_cluster/health"))["status"])
    except ClusterError as error:
        print(error)


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1]) if len(sys.argv) > 1 else main())
