"""Genuine servers for every test that asks: one of a kind per run, or one to break.

Where none can be had the test is skipped, and the reason is found out only once.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from tests.elastic.distribution import Distribution, prepare
from tests.elastic.java import Unavailable
from tests.elastic.server import Reached, Server, reach, running


@contextlib.contextmanager
def or_skip() -> Iterator[None]:
    try:
        yield
    except Unavailable as reason:
        pytest.skip(f"no genuine server: {reason}")


@pytest.fixture(scope="session")
def distribution() -> Distribution:
    """The server as published."""
    with or_skip():
        return prepare()


@pytest.fixture(scope="session")
def distribution_with_keys() -> Distribution:
    """The server with what API keys need."""
    with or_skip():
        return prepare(plugin=True)
