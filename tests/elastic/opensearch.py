"""A genuine OpenSearch: fetched by Maven, run as one node on a free port of loopback."""

from __future__ import annotations

import contextlib
import http.client
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.elastic import process
from tests.elastic.distribution import cache, locked, made, maven
from tests.elastic.java import Unavailable, find
from tests.elastic.server import QUICK, Reached, ask

SOURCES = Path(__file__).with_name("runner")
VERSION = "3.4.0"
JAVA = 21


@contextlib.contextmanager
def running() -> Iterator[Reached]:
    """Run one in a folder of its own and leave nothing of it.

    Raises:
        Unavailable: Java, its compiler or Maven is missing, or the download failed.
    """
    java = find(JAVA)
    if not java.compiles:
        raise Unavailable(f"no Java compiler in {java.home} (apt: openjdk-{JAVA}-jdk-headless)")
    libraries = cache() / f"opensearch-{VERSION}"
    with locked():
        if not libraries.exists():
            with made(libraries) as new:
                pom = ["-f", str(SOURCES / "pom.xml")]
                maven(java, "copy-dependencies", *pom, f"-DoutputDirectory={new}")
    with process.folder() as own:
        start = shutil.copy(SOURCES / "Start.java", own)
        process.hand_over(own)
        program = [java.home / "bin" / "java", *QUICK, "-cp", libraries / "*", start, own]
        said = own / "start.out"
        held = process.launch([str(part) for part in program], environment={}, said=said)
        ports = own / "node_1" / "logs" / "http.ports"
        try:
            process.wait_for(lambda: _answers(ports), held, said)
            yield Reached(f"http://{ports.read_text().strip()}", VERSION)
        finally:
            process.end(held)


def _answers(ports: Path) -> bool:
    if not ports.exists():
        return False
    try:
        ask(Reached(f"http://{ports.read_text().strip()}", ""), "/_cluster/health")
    except (OSError, http.client.HTTPException):
        return False
    return True
