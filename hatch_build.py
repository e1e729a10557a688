"""Compile the flow meter when the package is built: with the system's C compiler, else with zig's.

The program has no Python in it, so one build serves every Python version; a machine without a
compiler gets one as a build dependency from PyPI, used once and thrown away.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = (
    "-O3", "-std=c11", "-fPIE", "-pie", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2",
    "-Wl,-z,relro,-z,now",
)  # fmt: skip


def system_compiler() -> list[str] | None:
    """The C compiler on PATH, if there is one."""
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name)
        if found:
            return [found]
    return None


class MeterBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling calls `dependencies` first and `initialize` before it collects files."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling."""
        if self.target_name != "wheel" or system_compiler():
            return []
        return ["ziglang>=0.13,<0.18"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and mark the wheel as made for this platform but for any Python 3."""
        if self.target_name != "wheel":
            return
        native = Path(self.root) / "cyberterr" / "flows" / "native"
        program = native.parent / "_meter"
        compiler = system_compiler() or [sys.executable, "-m", "ziglang", "cc"]
        sources = [str(path) for path in sorted(native.glob("*.c"))]
        half_done = program.with_suffix(".new")
        command = [*compiler, *FLAGS, *sources, "-lm", "-o", str(half_done)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"the flow meter did not compile: {' '.join(command)}\n{done.stderr}")
        half_done.replace(program)  # a running program keeps the old file
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False
