"""The week of a town on a genuine server, once for all tests of panels."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cyberterr.config import Elastic, Settings
from cyberterr.elastic import templates
from cyberterr.elastic.cluster import Request
from cyberterr.elastic.connection import connect
from tests.kibana import town

Ask = Callable[[str, dict[str, Any]], Any]


@pytest.fixture(scope="session")
def ask(elasticsearch: Any) -> Iterator[Ask]:
    """The answer to a search; `now` is what is written today, `later` what is to be written."""
    settings = Settings(elastic=Elastic(url=elasticsearch.url))
    cluster = connect(settings.elastic)
    templates.install(cluster, settings)
    namespace = f"t{secrets.token_hex(4)}"
    town.store(cluster, namespace)
    town.store_again(cluster, namespace)
    indices = {
        "now": f"logs-cyberterr.*-{namespace}",
        "later": f"logs-cyberterr.*-{namespace}.later",
        "both": f"logs-cyberterr.*-{namespace}*",
        "alerts": f"logs-cyberterr.finding-{namespace}",
    }
    yield lambda part, body: cluster.ask(Request("POST", f"/{indices[part]}/_search", body))
    cluster.close()
