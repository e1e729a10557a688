"""A genuine Elasticsearch: start it, secure it, stop it, break it, start it again on its data.

    python tests/elastic/server.py [--secured]

starts one for a developer, prints how to reach it and ends it with Ctrl-C.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cyberterr.capture import supervised
from tests.elastic.distribution import Distribution, prepare

QUICK = ("-Xms512m", "-Xmx512m", "-XX:TieredStopAtLevel=1")
"""Little memory and half the start time; a measurement of speed takes the second compiler."""
START_LIMIT_S = 400.0
STOP_LIMIT_S = 30.0
NOBODY = 65534  # it refuses to run as root
SETTINGS: dict[str, object] = {
    "cluster.name": "cyberterr-test",
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    "transport.port": 0,
    "node.portsfile": True,
    "cluster.routing.allocation.disk.threshold_enabled": False,  # a full disk of ours is no fault
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
        folder: an empty folder that its user may enter.
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
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)

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
            RuntimeError: it ended, or does not answer in `START_LIMIT_S`.
        """
        port = self.url.rpartition(":")[2] or "0"
        ports = self.folder / "logs" / "http.ports"
        ports.unlink(missing_ok=True)
        user = [str(self._distribution.home / "bin" / "elasticsearch")]
        if os.geteuid() == 0:
            ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            user = ["setpriv", *ids, "--pdeathsig=SIGKILL", *user]
        held, ours = supervised.leash()
        with (self.folder / "start.out").open("ab") as said:
            process = subprocess.Popen(
                supervised.command(
                    [*user, "-p", str(self.folder / "pid"), "-E", f"http.port={port}"], held
                ),
                env=self._environment(),
                pass_fds=(held,),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        os.close(held)
        self._held = supervised.Held(process, ours)
        limit = time.monotonic() + START_LIMIT_S
        while not (ports.exists() and self._answers(ports)):
            if process.poll() is not None or time.monotonic() > limit:
                self.end()
                raise RuntimeError(f"Elasticsearch does not start:\n{self.said()[-3000:]}")
            time.sleep(0.2)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_PATH_CONF": str(self.folder / "config"),
            "ES_JAVA_HOME": str(self._distribution.java.home),
            "ES_JAVA_OPTS": " ".join(self._java),
            "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1",
        }

    def _answers(self, ports: Path) -> bool:
        address = ports.read_text().strip()
        self.url = f"{'https' if self.ca else 'http'}://{address}"
        try:
            health = ask(self, "/_cluster/health?wait_for_status=yellow&timeout=1s")
        except (OSError, ValueError):
            return False
        return isinstance(health, dict) and health["status"] in ("yellow", "green")

    @property
    def pid(self) -> int:
        """Process id of the server itself, not of what started it."""
        return int((self.folder / "pid").read_text())

    def said(self) -> str:
        """What it wrote on its output since its first start."""
        return (self.folder / "start.out").read_text(errors="replace")

    def stop(self) -> None:
        """Ask it to end, as an administrator does, and wait until it has."""
        os.kill(self.pid, signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """End it without warning, as a power cut does (SIGKILL)."""
        os.kill(self.pid, signal.SIGKILL)
        self._wait()

    def freeze(self) -> None:
        """Stop it from running (SIGSTOP): it keeps its connections and answers nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def _wait(self) -> None:
        if self._held:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._held.process.wait(STOP_LIMIT_S)
        self.end()

    def end(self) -> None:
        """End it in whatever state it is; nothing happens when it has ended already."""
        if self._held:
            self._held.let_go()
            self._held.process.wait()
            self._held = None


def ask(server: Server, path: str) -> object:
    """Send a GET for *path* to *server* as its administrator and give the JSON answer."""
    request = urllib.request.Request(server.url + path)
    if server.admin:
        name = b64encode(":".join(server.admin).encode()).decode()
        request.add_header("Authorization", f"Basic {name}")
    context = ssl.create_default_context(cafile=server.ca) if server.ca else None
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return json.load(answer)


@contextlib.contextmanager
def running(
    distribution: Distribution,
    *,
    secured: bool = False,
    settings: Mapping[str, object] | None = None,
    java: Sequence[str] = QUICK,
) -> Iterator[Server]:
    """Run a server with a folder of its own, and leave nothing of it; arguments as `Server`."""
    folder = Path(tempfile.mkdtemp(prefix="cyberterr-elastic-"))
    folder.chmod(0o755)
    server = Server(distribution, folder, secured=secured, settings=settings, java=java)
    try:
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder)


def main() -> None:
    """Run one until Ctrl-C."""
    secured = "--secured" in sys.argv[1:]
    with running(prepare(plugin=secured), secured=secured) as server:
        print(server.url)
        if server.admin:
            print(f"user {server.admin[0]}, password {server.admin[1]}, CA {server.ca}")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
