"""The stores: one in a file, one in data streams of its own on the genuine server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from cyberterr.config import Elastic, Settings
from cyberterr.elastic.cluster import Cluster
from cyberterr.elastic.connection import connect
from cyberterr.elastic.templates import install
from cyberterr.store.elastic import ElasticStore
from cyberterr.store.sqlite import SqliteStore


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "findings.db") as store:
        yield store


@pytest.fixture(scope="session")
def prepared(elasticsearch) -> Elastic:
    """How to reach the server, once it has our templates."""
    settings = Elastic(url=elasticsearch.url)
    cluster = connect(settings)
    install(cluster, Settings(elastic=settings))
    cluster.close()
    return settings


@pytest.fixture
def cluster(prepared: Elastic) -> Iterator[Cluster]:
    connected = connect(prepared)
    yield connected
    connected.close()


@pytest.fixture
def namespace() -> str:
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def own_streams(prepared: Elastic, namespace: str) -> Elastic:
    return msgspec.structs.replace(prepared, namespace=namespace)


@pytest.fixture
def opened(own_streams: Elastic, tmp_path: Path) -> Iterator[Callable[[], ElasticStore]]:
    """Opens the store of this test, as each program does."""
    stores = []

    def open_store() -> ElasticStore:
        stores.append(ElasticStore(connect(own_streams), tmp_path / "cyberterr.db", own_streams))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def elastic_store(opened: Callable[[], ElasticStore]) -> ElasticStore:
    return opened()


@pytest.fixture
def opensearch_store(own_opensearch, namespace: str, tmp_path: Path) -> Iterator[ElasticStore]:
    site = Elastic(url=own_opensearch.url, flavour="opensearch", namespace=namespace)
    cluster = connect(site)
    install(cluster, Settings(elastic=site))
    with ElasticStore(cluster, tmp_path / "cyberterr.db", site) as store:
        yield store
