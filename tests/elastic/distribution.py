"""Fetch the genuine server as Elastic publishes it for integration tests, and unpack it once.

Maven Central holds `org.elasticsearch.distribution.integ-test-zip`: the real server, network
and security code, and no other module. API keys and native users need an analyzer that is not in
it; our small plugin (`plugin/`) brings it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.elastic.java import Java, Unavailable, find

PLUGIN = Path(__file__).with_name("plugin")
ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{version}:zip"
SHA256 = {
    "9.2.0": "bf44938a0490ba2a303d39c9cb64b38963dd08c812ce93e10816e878585bcb6b",
    "8.19.16": "c3d95992e27741b33a8057118379cda8b17cfda9e46ff4ec25e3f5b94fc22b52",
}
JAVA = {"9.2.0": 21, "8.19.16": 17}
"""Oldest Java that each version runs on; the version that is preferred comes first."""
FETCH_LIMIT_S = 600
COPIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
"""What Maven copies artifacts with; without a version the installed Maven would choose."""


@dataclass(frozen=True)
class Distribution:
    """An unpacked server: its version, its folder (read-only for us) and the Java it runs on."""

    version: str
    home: Path
    java: Java


def cache() -> Path:
    """Folder kept between runs; the unprivileged user that a server of root runs as may enter."""
    if os.geteuid() == 0:  # a home of root is closed to others
        return Path("/var/cache/cyberterr-tests")
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cyberterr-tests"


def prepare(version: str | None = None, *, plugin: bool = False) -> Distribution:
    """Give the server unpacked, fetched first where needed.

    Args:
        version: one of `JAVA`; without it CYBERTERR_TEST_ES_VERSION, or else the newest that the
            installed Java runs.
        plugin: with the plugin that makes API keys and native users work.

    Raises:
        Unavailable: Java, its compiler or Maven is missing, or the download failed.
        ValueError: *version* is none of those.
    """
    version, java = _choose(version or os.environ.get("CYBERTERR_TEST_ES_VERSION"))
    name = f"elasticsearch-{version}" + (f"-{_plugin_digest()}" if plugin else "")
    home = cache() / name
    with locked():
        if not home.exists():
            archive = _fetch(version, java)
            with made(home) as folder:
                _unpack(archive, folder)
                if plugin:
                    _install_plugin(folder, version, java)
    return Distribution(version, home, java)


def _choose(version: str | None) -> tuple[str, Java]:
    if version:
        if version not in JAVA:
            raise ValueError(f"Elasticsearch {version} is not known here: only {', '.join(JAVA)}")
        return version, find(JAVA[version])
    for candidate, needed in JAVA.items():
        with contextlib.suppress(Unavailable):
            return candidate, find(needed)
    raise Unavailable(
        f"no Java {min(JAVA.values())} or newer is installed (apt: default-jdk-headless)"
    )


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one test run at a time fill the cache."""
    cache().mkdir(parents=True, exist_ok=True)
    cache().chmod(0o755)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def made(target: Path) -> Iterator[Path]:
    """Give a folder that becomes *target*, readable for all, once it is whole."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        new = Path(folder) / target.name
        new.mkdir()
        yield new
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        new.rename(target)


def maven(java: Java, goal: str, *arguments: str) -> None:
    """Let Maven run the *goal* of its dependency plugin, without asking anybody.

    Raises:
        Unavailable: it is not installed or failed.
    """
    program = shutil.which("mvn")
    if not program:
        raise Unavailable("Maven is not installed, which fetches the server (apt: maven)")
    try:
        ended = subprocess.run(
            [program, "-q", "-B", "-Dstyle.color=never", f"{COPIES}:{goal}", *arguments],
            env={**os.environ, "JAVA_HOME": str(java.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FETCH_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"Maven did not end within {FETCH_LIMIT_S} s") from error
    if ended.returncode:
        said = ended.stdout.partition("[ERROR] ")[2] or ended.stderr
        raise Unavailable(f"Maven could not fetch the server: {said.strip()[:500]}")


def _fetch(version: str, java: Java) -> Path:
    archive = cache() / f"elasticsearch-{version}.zip"
    if not archive.exists() or _digest(archive) != SHA256[version]:
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            maven(
                java,
                "copy",
                f"-Dartifact={ARTIFACT.format(version=version)}",
                f"-DoutputDirectory={folder}",
            )
            fetched = Path(folder) / archive.name
            if _digest(fetched) != SHA256[version]:
                raise Unavailable(f"{archive.name} as fetched has not the SHA-256 that we expect")
            fetched.rename(archive)
    return archive


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the archive's only folder as *folder*."""
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    (inner,) = folder.iterdir()
    for entry in inner.iterdir():
        entry.rename(folder / entry.name)
    inner.rmdir()


def _plugin_digest() -> str:
    sources = b"".join(path.read_bytes() for path in sorted(PLUGIN.iterdir()))
    return hashlib.sha256(sources).hexdigest()[:8]


def _install_plugin(home: Path, version: str, java: Java) -> None:
    if not java.compiles:
        raise Unavailable(
            f"no Java compiler in {java.home}, for API keys (apt: default-jdk-headless)"
        )
    target = home / "plugins" / "test-analysis"
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as classes:
        compiler = [str(java.home / "bin" / "javac"), "--release", "17", "-d", classes]
        libraries = ["-cp", str(home / "lib" / "*")]
        subprocess.run([*compiler, *libraries, str(PLUGIN / "TestAnalysis.java")], check=True)
        with zipfile.ZipFile(target / "test-analysis.jar", "w") as jar:
            for compiled in Path(classes).glob("*.class"):
                jar.write(compiled, compiled.name)
    descriptor = (PLUGIN / "plugin-descriptor.properties").read_text()
    (target / "plugin-descriptor.properties").write_text(descriptor.replace("VERSION", version))
