"""Whether a report could be written, seen before the work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cyberterr.errors import UsageError


def check(path: Path, endings: Sequence[str] = ()) -> None:
    """See before the work whether a report could be written to *path*.

    Raises:
        UsageError: there is no such folder, it may not be written, *path* is no ordinary file, or
            it has none of the *endings*.
    """
    if endings and path.suffix.lower() not in endings:
        why = f"its name must end in {' or '.join(endings)}"
    elif path.exists() and not path.is_file():
        why = "it is no ordinary file"
    elif not path.parent.is_dir():
        why = f"there is no folder {path.parent}"
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        why = f"you may not write to {path.parent}"
    else:
        return
    raise UsageError(
        f"the report cannot be written: {why}",
        hint="name a file, like report.html",
        where=str(path),
    )
