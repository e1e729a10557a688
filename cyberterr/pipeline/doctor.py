"""What is installed, what is missing, and what each missing part would add."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from cyberterr import content
from cyberterr.capture.live import NO_NEW_RIGHTS, RIGHTS, may_gain_rights
from cyberterr.capture.tshark import INSTALL
from cyberterr.config import Meter as MeterSettings
from cyberterr.config import home, load
from cyberterr.errors import CyberterrError
from cyberterr.flows.meter import Meter
from cyberterr.store.sqlite import SqliteStore

LEAST_FREE_BYTES = 1 << 30

State = Literal["ok", "missing", "broken"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    """version, path or what is wrong"""
    adds: str
    """what works with it, and not without"""
    remedy: str = ""
    """the command to try where it is not ok"""
    required: bool = False
    """whether a scan of a capture needs it"""


def examine(settings_file: Path | None = None, store: Path | None = None) -> list[Part]:
    """Look at every part, the required ones first; never raises for what it finds.

    Args:
        settings_file: as for `config.load`.
        store: the SQLite file; the one in the data folder by default.
    """
    return [
        Part(
            name="python",
            state="ok",
            found=f"{platform.python_version()} on {platform.system()} {platform.machine()}",
            adds="everything",
            required=True,
        ),
        _tried("flow meter", _meter, adds="pcap and pcapng become flows", required=True),
        _tried("detectors", _detectors, adds="flows become findings", required=True),
        _tried(
            "settings", lambda: _settings(settings_file), adds="what is ours, who is told",
            required=True,
        ),
        _tried(
            "data folder", _data_folder, adds="findings and what is normal are kept",
            remedy="set CYBERTERR_HOME to a folder you may write to", required=True,
        ),
        _tried(
            "store", lambda: _store(store or home() / "cyberterr.db"),
            adds="decisions, revisions, nothing reported twice",
        ),
        _program(
            "tshark", ("-v",), remedy=INSTALL,
            adds="--engine pyshark, and all capture formats of Wireshark",
        ),
        _tried(
            "pyshark", lambda: importlib.metadata.version("pyshark"), adds="--engine pyshark",
            remedy="pip install pyshark",
        ),
        _program("dumpcap", ("-v",), remedy=INSTALL, adds="live capture (scan -i)"),
        _tried("right to capture", _right_to_capture, adds="live capture (scan -i)", remedy=RIGHTS),
        _program(
            "nfdump", ("-V",), remedy="sudo apt install nfdump", adds="NetFlow files of nfcapd",
        ),
        _tried(
            "elasticsearch", lambda: importlib.metadata.version("elasticsearch"),
            adds="findings in Elasticsearch; cyberterr elastic status tries the link",
            remedy='pip install "elasticsearch<9"',
        ),
        _tried(
            "opensearch", lambda: importlib.metadata.version("opensearch-py"),
            adds="findings in OpenSearch", remedy='pip install "cyberterr[opensearch]"',
        ),
    ]  # fmt: skip


def can_scan(parts: list[Part]) -> bool:
    """Whether a scan of a capture works."""
    return all(part.state == "ok" for part in parts if part.required)


def _tried(
    name: str, look: Callable[[], str], *, adds: str, remedy: str = "", required: bool = False
) -> Part:
    state: State = "ok"
    try:
        found = look()
    except CyberterrError as error:
        state, found = "broken", error.message
        remedy = error.hint or remedy
    except importlib.metadata.PackageNotFoundError:
        state, found = "missing", "not installed"
    except OSError as error:
        state, found = "broken", f"{error.strerror}: {error.filename}"
    return Part(
        name=name,
        state=state,
        found=found,
        adds=adds,
        remedy="" if state == "ok" else remedy,
        required=required,
    )


def _program(name: str, version: tuple[str, ...], *, adds: str, remedy: str) -> Part:
    path = shutil.which(name)
    if path is None:
        return Part(name=name, state="missing", found="not installed", adds=adds, remedy=remedy)
    try:
        shown = subprocess.run(
            [path, *version], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Part(name=name, state="broken", found=str(error), adds=adds, remedy=remedy)
    lines = (shown.stdout or shown.stderr).splitlines()
    return Part(name=name, state="ok", found=f"{path}: {lines[0] if lines else ''}", adds=adds)


def _meter() -> str:
    with Meter(MeterSettings(), sensor="doctor", tap=False) as meter:
        walls = "may only read and write (seccomp)" if meter.sandboxed else "without a sandbox here"
    return f"compiled, starts, {walls}"


def _detectors() -> str:
    names = [detector.card.id for detector in content.detectors()]
    if not names:
        raise CyberterrError(f"none in {content.folder('detectors')}", hint="install it again")
    return ", ".join(names)


def _settings(path: Path | None) -> str:
    load(path)
    used = path or home() / "settings.toml"
    return str(used) if used.exists() else f"defaults ({used} does not exist)"


def _data_folder() -> str:
    folder = home()
    standing = next(place for place in (folder, *folder.parents) if place.exists())
    if not (standing.is_dir() and os.access(standing, os.W_OK | os.X_OK)):
        raise CyberterrError(f"{folder} cannot be written")
    free = shutil.disk_usage(standing).free
    if free < LEAST_FREE_BYTES:
        raise CyberterrError(f"{folder}: only {free >> 20} MiB free", hint="make room")
    return f"{folder}, {free / 2**30:.1f} GiB free"


def _store(path: Path) -> str:
    if not path.exists():
        return f"{path} does not exist yet: the first scan makes it"
    with SqliteStore(path) as store:
        store.ids("none begins like this")
    return str(path)


def _right_to_capture() -> str:
    dumpcap = shutil.which("dumpcap")
    if dumpcap is None or not os.access(dumpcap, os.X_OK):
        raise CyberterrError("dumpcap cannot be run by this user")
    if os.geteuid() == 0:
        return "this user is root (not advised: dumpcap alone needs rights)"
    try:
        os.getxattr(dumpcap, "security.capability")
    except OSError:
        raise CyberterrError("dumpcap has no capabilities") from None
    if not may_gain_rights():
        raise CyberterrError("the capabilities of dumpcap have no effect", hint=NO_NEW_RIGHTS)
    interfaces = ", ".join(name for _, name in socket.if_nameindex())
    return f"dumpcap has capabilities; interfaces: {interfaces}"
