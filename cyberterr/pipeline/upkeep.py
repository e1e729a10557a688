"""What goes on beside a live scan: people are told, and what is too old is deleted."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator

from cyberterr.config import Settings
from cyberterr.contracts.store import Store
from cyberterr.errors import CyberterrError, StoreError
from cyberterr.pipeline import notify, retention

TELL_AGAIN_S = 60.0
"""How often messages that failed or were held back are tried again."""
DAY_S = 86_400.0

Warn = Callable[[str], None]


def clean(store: Store, settings: Settings, warn: Warn) -> None:
    """Delete what the retention setting no longer allows to be kept; what fails is a warning."""
    try:
        removed = retention.enforce(store, settings.retention, dt.datetime.now(dt.UTC))
    except StoreError as error:
        warn(f"old findings could not be deleted: {error.message}")
    else:
        for text in removed.warnings:
            warn(text)


def tell(store: Store, settings: Settings, warn: Warn) -> None:
    """Tell the people that the settings name; a channel that fails is a warning."""
    try:
        told = notify.tell(store, settings.notify, dt.datetime.now(dt.UTC))
    except StoreError as error:
        told = [f"nobody could be notified: {error.message}"]
    for text in told:
        warn(text)


@contextlib.contextmanager
def upkeep(
    opened: Callable[[], Store], settings: Settings, warn: Warn
) -> Iterator[Callable[[], None]]:
    """Clean at once and daily, tell when asked and every minute, while the block runs.

    It has a thread and a connection to the store of its own: a mail server that does not answer
    takes 10 s a message, and meanwhile packets must not be lost; a quiet line brings no packet,
    and yet old findings have to go.

    Args:
        opened: opens the store.
        settings: `[notify]` and `[retention]`.
        warn: takes what went wrong; called from the thread.

    Yields:
        A function that asks for telling, because something new is in the store. It returns at once.
    """
    asked, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=_work, args=(opened, settings, warn, asked, over), daemon=True)
    thread.start()
    try:
        yield asked.set
    finally:
        over.set()
        asked.set()
        thread.join()


def _work(
    opened: Callable[[], Store],
    settings: Settings,
    warn: Warn,
    asked: threading.Event,
    over: threading.Event,
) -> None:
    with contextlib.closing(opened()) as store:
        due = time.monotonic()
        while not over.is_set():
            try:
                if time.monotonic() >= due:
                    due += DAY_S
                    clean(store, settings, warn)
                tell(store, settings, warn)
            except CyberterrError as error:  # settings that no channel understands
                warn(f"nobody could be notified: {error}")
            except Exception as error:  # a defect here must not end it unseen
                warn(f"our own error beside the scan: {type(error).__name__}: {error}")
            asked.wait(TELL_AGAIN_S)
            asked.clear()
