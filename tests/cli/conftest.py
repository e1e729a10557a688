"""The program as people call it: a real process, in a data folder of its own, as a user of ours."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def call(tmp_path):
    """Run the program in a data folder of its own."""

    def run(*arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "cyberterr", *map(str, arguments)],
            **{
                "capture_output": True,
                "env": {**os.environ, "CYBERTERR_HOME": str(tmp_path / "home")},
                "timeout": 120,
                "check": False,
                **options,
            },
        )

    return run


@pytest.fixture
def open_folder():
    """A folder that every user may enter, and nobody owns."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


# A developer's Python or checkout may lie in a closed home: nobody sees it through an open layer.
OPENED = """
    set -e
    layers=$1; shift
    while [ "$1" != -- ]; do
        layer=$(mktemp -d -p "$layers"); mount -t tmpfs tmpfs "$layer"
        mkdir -m 711 "$layer/upper"; mkdir "$layer/work"
        mount -t overlay overlay "$1" \\
            -o "lowerdir=$1,upperdir=$layer/upper,workdir=$layer/work"
        shift
    done
    shift
    exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --ambient-caps=-all \\
        --bounding-set=-all,+net_raw,+net_admin "$@"
"""


@pytest.fixture
def nobody(open_folder):
    """Arguments before a command that run it as the user nobody."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    needed = [ROOT, Path(sys.base_prefix), open_folder]
    above = {parent for place in needed for parent in (place, *place.parents)}
    closed = sorted(folder for folder in above if not folder.stat().st_mode & 0o001)
    layers = open_folder / "layers"
    layers.mkdir()
    return ["unshare", "--mount", "sh", "-c", OPENED, "sh", layers, *closed, "--"]
