"""Find an installed Java that is new enough, and say what is missing when there is none."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

INSTALLED = (
    ("/usr/lib/jvm", "*"),
    ("/opt", "*jdk*"),
    ("~/.jdks", "*"),
    ("~/.sdkman/candidates/java", "*"),
)
"""Where distributions, IDEs and SDKMAN put a Java; the one on PATH comes last."""


class Unavailable(Exception):
    """A genuine server cannot be had on this machine; the text says why."""


@dataclass(frozen=True)
class Java:
    """One installed Java: its home folder and its major version."""

    home: Path
    major: int

    @property
    def compiles(self) -> bool:
        return (self.home / "bin" / "javac").exists()


def find(at_least: int) -> Java:
    """Give the oldest installed Java that is *at_least* so new; one that compiles comes first.

    Raises:
        Unavailable: there is none.
    """
    fitting = [java for java in _installed() if java.major >= at_least]
    if not fitting:
        raise Unavailable(f"no Java {at_least} or newer is installed")
    return min(fitting, key=lambda java: (not java.compiles, java.major))


@functools.cache
def _installed() -> tuple[Java, ...]:
    named = [os.environ.get("ES_JAVA_HOME"), os.environ.get("JAVA_HOME")]
    homes = [Path(home) for home in named if home]
    for folder, pattern in INSTALLED:
        homes += Path(folder).expanduser().glob(pattern)
    if on_path := shutil.which("java"):
        homes.append(Path(on_path).resolve().parents[1])
    found = {home.resolve(): None for home in homes if (home / "bin" / "java").exists()}
    return tuple(java for home in found if reachable(home) and (java := _ask(home)))


def reachable(place: Path) -> bool:
    """Whether the user that a server runs as may enter *place*: root hands it to another user."""
    return os.geteuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in place.parents)


def _ask(home: Path) -> Java | None:
    said = subprocess.run(
        [home / "bin" / "java", "-version"], capture_output=True, text=True, check=False
    )
    version = re.search(r'version "(\d+)', said.stderr)
    return Java(home, int(version[1])) if version else None
