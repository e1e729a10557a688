"""All that Kibana imports at once: data view, tag, lists, dashboards, in one NDJSON."""

from __future__ import annotations

import msgspec

from cyberterr.config import Elastic
from cyberterr.errors import UsageError
from cyberterr.kibana import saved
from cyberterr.kibana.audit import AUDIT
from cyberterr.kibana.decoys import DECOYS
from cyberterr.kibana.health import HEALTH_BOARD, TROUBLE
from cyberterr.kibana.media import MEDIA
from cyberterr.kibana.panel import Dashboard, Lang, Search
from cyberterr.kibana.triage import TRIAGE

DASHBOARDS: tuple[Dashboard, ...] = (TRIAGE, MEDIA, DECOYS, AUDIT, HEALTH_BOARD)
SEARCHES: tuple[Search, ...] = (
    *(panel for board in DASHBOARDS for panel in board.panels if isinstance(panel, Search)),
    TROUBLE,
)


def ndjson(settings: Elastic, *, lang: Lang = "en") -> bytes:
    """Saved objects for `POST /api/saved_objects/_import?overwrite=true`, a line each.

    Both languages have the same ids: the other one takes the place of this one in a Kibana space,
    and links and bookmarks go on working.

    Raises:
        UsageError: the cluster is OpenSearch, whose Dashboards cannot import them.
    """
    elasticsearch_only(settings)
    objects = [
        saved.data_view(lang),
        saved.tag(lang),
        *(saved.search(search, lang) for search in SEARCHES),
        *(saved.dashboard(board, lang) for board in DASHBOARDS),
    ]
    return b"".join(msgspec.json.encode(one, order="sorted") + b"\n" for one in objects)


def elasticsearch_only(settings: Elastic) -> None:
    """Raise UsageError where there is no Kibana."""
    if settings.flavour == "opensearch":
        raise UsageError(
            "OpenSearch Dashboards cannot import what is made for Kibana",
            hint="leave out --kibana; findings are searchable there all the same",
            where="flavour in [elastic]",
        )
