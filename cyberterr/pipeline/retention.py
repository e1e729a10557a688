"""Delete for good what is older than the settings allow."""

from __future__ import annotations

import datetime as dt
import os
import stat
from pathlib import Path

import msgspec

from cyberterr.config import Retention, home
from cyberterr.contracts.store import Erased, Store
from cyberterr.store.sqlite import SqliteStore


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What one run deleted."""

    store: Erased
    flow_files: int
    warnings: tuple[str, ...] = ()


def enforce(store: Store, settings: Retention, now: dt.datetime) -> Removed:
    """Delete findings with their decisions, and flow files, that are over their days at *now*.

    A finding's age counts from when its last revision came into the store, so that scanning an
    old capture does not erase what was decided on it. Call it at start and daily. On a cluster,
    which others share, the data streams' own lifecycle deletes (`elastic.templates`).

    Args:
        store: where findings live.
        settings: `[retention]`; 0 days keeps nothing.
        now: the moment to count back from.

    Raises:
        StoreError: the store cannot be written.
    """
    erased = Erased()
    if isinstance(store, SqliteStore):
        erased = store.erase(now - dt.timedelta(days=settings.findings_days))
    warnings: list[str] = []
    limit = (now - dt.timedelta(days=settings.flows_days)).timestamp()
    files = _unlink_old(home() / "flows", limit, warnings)
    return Removed(store=erased, flow_files=files, warnings=tuple(warnings))


def _unlink_old(folder: Path, limit: float, warnings: list[str]) -> int:
    count = 0
    for root, _, names in os.walk(folder):  # follows no link out of the folder
        for name in names:
            path = Path(root, name)
            try:
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and status.st_mtime <= limit:
                    path.unlink()
                    count += 1
            except FileNotFoundError:
                continue
            except OSError as error:
                warnings.append(f"{path} is over its days and cannot be deleted: {error.strerror}")
    return count
