"""Run a server as a user without rights, in a folder of its own, on a leash of ours."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cyberterr.capture import supervised

START_LIMIT_S = 400.0
NOBODY = 65534  # neither server runs as root


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give an empty folder that every user may enter, and remove it afterwards."""
    new = Path(tempfile.mkdtemp(prefix="cyberterr-server-"))
    new.chmod(0o755)
    try:
        yield new
    finally:
        shutil.rmtree(new)


def hand_over(folder: Path) -> None:
    """Let the user that `launch` chooses write in *folder*."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)


def launch(
    program: Sequence[str], *, environment: Mapping[str, str], said: Path
) -> supervised.Held:
    """Start *program*, as nobody when we are root; all that it writes is added to *said*."""
    if os.geteuid() == 0:
        ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        program = ["setpriv", *ids, "--pdeathsig=SIGKILL", *program]
    held, ours = supervised.leash()
    with said.open("ab") as output:
        process = subprocess.Popen(
            supervised.command(program, held),
            env={"PATH": "/usr/bin:/bin", **environment},
            pass_fds=(held,),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    os.close(held)
    return supervised.Held(process, ours)


def end(held: supervised.Held) -> None:
    """End the program in whatever state it is."""
    held.let_go()
    held.process.wait()


def wait_for(answers: Callable[[], bool], held: supervised.Held, said: Path) -> None:
    """Wait until the server *answers*.

    Raises:
        RuntimeError: it ended, or does not answer within `START_LIMIT_S`; with what it wrote.
    """
    limit = time.monotonic() + START_LIMIT_S
    while not answers():
        if held.process.poll() is not None or time.monotonic() > limit:
            end(held)
            text = said.read_text(errors="replace")
            raise RuntimeError(f"the server does not start:\n{text[-3000:]}")
        time.sleep(0.2)
