"""Genuine servers for every test that asks: one of a kind per run, or one to break.

Where none can be had the test is skipped, and the reason is found out only once.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.elastic import opensearch
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
def elastic_distribution() -> Distribution:
    """The server as published."""
    with or_skip():
        return prepare()


@pytest.fixture(scope="session")
def elastic_distribution_with_keys() -> Distribution:
    """The server with what API keys need."""
    with or_skip():
        return prepare(plugin=True)


@pytest.fixture(scope="session")
def elasticsearch(request: pytest.FixtureRequest) -> Iterator[Server | Reached]:
    """The one server of this run, on plain http; never break it: `own_elasticsearch` is for that.

    CYBERTERR_TEST_ES names one that runs already, which is used instead.
    """
    if url := os.environ.get("CYBERTERR_TEST_ES"):
        yield reach(url)
        return
    with running(request.getfixturevalue("elastic_distribution")) as server:
        yield server


@pytest.fixture(scope="session")
def secured_elasticsearch(elastic_distribution_with_keys: Distribution) -> Iterator[Server]:
    """The one server of this run with TLS, users and API keys; `admin` may do everything."""
    with running(elastic_distribution_with_keys, secured=True) as server:
        yield server


@pytest.fixture
def own_elasticsearch(request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Start a server that the test may break; arguments as `running`. It takes 7 to 90 s."""
    with contextlib.ExitStack() as ends:

        def start(*, secured: bool = False, **options: Any) -> Server:
            name = "elastic_distribution_with_keys" if secured else "elastic_distribution"
            own = request.getfixturevalue(name)
            return ends.enter_context(running(own, secured=secured, **options))

        yield start


@pytest.fixture(scope="session")
def own_opensearch() -> Iterator[Reached]:
    """The one OpenSearch of this run, on plain http."""
    with or_skip(), opensearch.running() as server:
        yield server
