"""A genuine Elasticsearch: start it, secure it, stop it, break it, start it again on its data.

    python tests/elastic/server.py [--secured]

starts one for a developer, prints how to reach it and ends it with Ctrl-C.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyberterr.capture import supervised
from tests.elastic import process
from tests.elastic.distribution import Distribution, prepare

QUICK = ("-Xms512m", "-Xmx512m", "-XX:TieredStopAtLevel=1")
"""Little memory and half the start time; a measurement of speed takes the second compiler."""
STOP_LIMIT_S = 30.0
SETTINGS: dict[str, object] = {
    "cluster.name": "cyberterr-test",
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    "transport.port": 0,
    "node.portsfile": True,
    "cluster.routing.allocation.disk.threshold_enabled": False,  # a full disk of ours is no fault
    "cluster.max_shards_per_node": 10_000,  # it cannot delete the data stream of a test
    "action.destructive_requires_name": False,
}
SECURED: dict[str, object] = {
    "xpack.security.enabled": True,
    "xpack.security.enrollment.enabled": False,
    "xpack.security.transport.ssl.enabled": False,
    "xpack.security.http.ssl.enabled": True,
    "xpack.security.http.ssl.certificate": "http.crt",
    "xpack.security.http.ssl.key": "http.key",
    "xpack.security.authc.realms.file.file1.order": 0,
    "xpack.security.authc.realms.native.native1.order": 1,
}


@dataclass(frozen=True)
class Reached:
    """A server that others run: where it listens and its version; it asks nobody who they are."""

    url: str
    version: str
    ca: None = None
    admin: None = None


class Server:
    """One server on loopback with its data in *folder*; it cannot outlive this process.

    Attributes:
        url: where it listens; the same after every start.
        version: its version, such as "9.2.0".
        folder: its configuration, data and logs.
        ca: certificate of the authority that signed its own; None: plain http.
        admin: name and password of a superuser; None: it asks nobody.

    Args:
        distribution: the unpacked server.
        folder: an empty folder that every user may enter.
        secured: with TLS and users.
        settings: more of `elasticsearch.yml`.
        java: options of its virtual machine.
    """

    def __init__(
        self,
        distribution: Distribution,
        folder: Path,
        *,
        secured: bool = False,
        settings: Mapping[str, object] | None = None,
        java: Sequence[str] = QUICK,
    ) -> None:
        self.version = distribution.version
        self.folder = folder
        self.url = ""
        self.ca: Path | None = None
        self.admin: tuple[str, str] | None = None
        self._distribution = distribution
        self._java = java
        self._held: supervised.Held | None = None
        self._configure(secured, settings or {})

    def _configure(self, secured: bool, settings: Mapping[str, object]) -> None:
        config = self.folder / "config"
        shutil.copytree(self._distribution.home / "config", config)
        for name in ("data", "logs", "tmp"):
            (self.folder / name).mkdir()
        options = config / "jvm.options"
        unwanted = ("-Xlog:gc", "-XX:+HeapDumpOnOutOfMemoryError")
        lines = options.read_text().splitlines(keepends=True)
        options.write_text("".join(line for line in lines if not line.startswith(unwanted)))
        every = {
            **SETTINGS,
            "path.data": str(self.folder / "data"),
            "path.logs": str(self.folder / "logs"),
            **(SECURED if secured else {"xpack.security.enabled": False}),
            **settings,
        }
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in every.items()]
        (config / "elasticsearch.yml").write_text("".join(lines))
        if secured:
            self._secure(config)
        process.hand_over(self.folder)

    def _secure(self, config: Path) -> None:
        import trustme

        authority = trustme.CA()
        own = authority.issue_cert("localhost", "127.0.0.1")
        own.private_key_pem.write_to_path(config / "http.key")
        own.cert_chain_pems[0].write_to_path(config / "http.crt")
        self.ca = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.admin = ("admin", secrets.token_urlsafe())
        (config / "users").write_text(":".join(self.admin) + "\n")
        (config / "users_roles").write_text(f"superuser:{self.admin[0]}\n")

    def start(self) -> None:
        """Start it, and wait until it answers; on the port that it had before, if any.

        Raises:
            RuntimeError: it does not start.
        """
        port = self.url.rpartition(":")[2] or "0"
        ports = self.folder / "logs" / "http.ports"
        ports.unlink(missing_ok=True)
        program = self._distribution.home / "bin" / "elasticsearch"
        said = self.folder / "start.out"
        self._held = process.launch(
            [str(program), "-p", str(self.folder / "pid"), "-E", f"http.port={port}"],
            environment={
                "HOME": str(self.folder),
                "ES_TMPDIR": str(self.folder / "tmp"),
                "ES_PATH_CONF": str(self.folder / "config"),
                "ES_JAVA_HOME": str(self._distribution.java.home),
                "ES_JAVA_OPTS": " ".join(self._java),
                "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1",
            },
            said=said,
        )
        process.wait_for(lambda: self._answers(ports), self._held, said)

    def _answers(self, ports: Path) -> bool:
        if not ports.exists():
            return False
        self.url = f"{'https' if self.ca else 'http'}://{ports.read_text().strip()}"
        try:
            ask(self, "/_cluster/health?wait_for_status=yellow&timeout=1s")
        except (OSError, http.client.HTTPException):
            return False
        return True

    @property
    def pid(self) -> int:
        """Process id of the server itself, not of what started it."""
        return int((self.folder / "pid").read_text())

    def stop(self) -> None:
        """Ask it to end, as an administrator does, and wait until it has."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without warning, as a power cut does (SIGKILL)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it from running (SIGSTOP): it keeps its connections and answers nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._held:
            os.kill(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._held.process.wait(STOP_LIMIT_S)
            self.close()

    def close(self) -> None:
        """End it in whatever state it is; nothing happens when it has ended already."""
        if self._held:
            process.end(self._held)
            self._held = None


def reach(url: str) -> Reached:
    """Find the unsecured server at *url*, such as one that a developer keeps running."""
    url = url.rstrip("/")
    nodes = ask(Reached(url, ""), "/_nodes/_local?filter_path=nodes.*.version")["nodes"]
    return Reached(url, next(iter(nodes.values()))["version"])


def ask(server: Server | Reached, path: str) -> dict[str, Any]:
    """Send a GET for *path* to *server* as its administrator and give the JSON answer."""
    request = urllib.request.Request(server.url + path)
    if server.admin:
        credential = b64encode(":".join(server.admin).encode()).decode()
        request.add_header("Authorization", f"Basic {credential}")
    context = ssl.create_default_context(cafile=server.ca) if server.ca else None
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return dict(json.load(answer))


@contextlib.contextmanager
def running(
    distribution: Distribution,
    *,
    secured: bool = False,
    settings: Mapping[str, object] | None = None,
    java: Sequence[str] = QUICK,
) -> Iterator[Server]:
    """Run a server in a folder of its own and leave nothing of it; arguments as `Server`."""
    with process.folder() as own:
        server = Server(distribution, own, secured=secured, settings=settings, java=java)
        try:
            server.start()
            yield server
        finally:
            server.close()


def main() -> None:
    """Run one until Ctrl-C."""
    secured = "--secured" in sys.argv[1:]
    with (
        contextlib.suppress(KeyboardInterrupt),
        running(prepare(plugin=secured), secured=secured) as server,
    ):
        lines = [server.url]
        if server.admin:
            lines.append(f"user {server.admin[0]}, password {server.admin[1]}, CA {server.ca}")
        print("\n".join(lines), flush=True)  # noqa: T201 (a program of its own)
        signal.pause()


if __name__ == "__main__":
    main()
