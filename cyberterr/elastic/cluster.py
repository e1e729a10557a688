"""What a cluster is asked: plain requests, documents to create and delete, searches page by page.

Method, path, body: so `elastic setup --dry-run` prints what would be sent, and OpenSearch needs no
second implementation. `connection.connect` makes a `Cluster`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from cyberterr.elastic.refusal import ClusterError, Outcome, not_elasticsearch, outcome

TIMEOUT_S = 30.0
_JSON = {"accept": "application/json", "content-type": "application/json"}
_NDJSON = {"accept": "application/json", "content-type": "application/x-ndjson"}
WHOLE = {"allow_partial_search_results": "false"}
"""parameter of a search: without all of its shards it fails, rather than to forget some"""
_SHARD_MISSING = "search_phase_execution_exception"
"""a search met a data stream that another program is just making: it is there in a moment"""
_ANSWERED = "errors,items.*.status,items.*.error,items.*.failure_store"

Flavour = Literal["elasticsearch", "opensearch"]
Refresh = Literal["false", "wait_for", "true"]


class Request(NamedTuple):
    """One request, as `--dry-run` prints it."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str] | None = None


Perform = Callable[[str, str, Mapping[str, str], bytes | None, Mapping[str, str], float], Any]
"""method, path, params, body, headers, timeout in seconds → the decoded answer"""


class Cluster:
    """A cluster that can be asked; `connect` makes one.

    Attributes:
        url: without path and slash at the end.
        flavour: elasticsearch or opensearch.
    """

    def __init__(
        self,
        url: str,
        flavour: Flavour,
        perform: Perform,
        close: Callable[[], None],
    ) -> None:
        self.url = url
        self.flavour = flavour
        self._perform = perform
        self.close = close

    def ask(self, request: Request, *, timeout_s: float = TIMEOUT_S) -> Any:  # noqa: ANN401 (JSON)
        """The decoded answer to *request*.

        Raises:
            ClusterError: there was none, or it is a refusal; 404 is one too (`status`).
        """
        body = None if request.body is None else msgspec.json.encode(request.body)
        params = request.params or {}
        for pause in (0.1, 0.2, 0.4, 0.8):
            try:
                return self._perform(request.method, request.path, params, body, _JSON, timeout_s)
            except ClusterError as error:
                if error.kind != "weather" or error.type != _SHARD_MISSING:
                    raise
            time.sleep(pause)
        return self._perform(request.method, request.path, params, body, _JSON, timeout_s)

    def create(
        self,
        documents: Sequence[tuple[str, str, bytes]],
        *,
        refresh: Refresh = "false",
        timeout_s: float = TIMEOUT_S,
    ) -> list[Outcome]:
        """Create *documents*, (data stream, `_id`, JSON) each, in one request; see `outcome`.

        Raises:
            ClusterError: the request as a whole failed; what of it was done nobody knows, and
                sending it again is harmless.
        """
        lines = bytearray()
        for index, name, document in documents:
            lines += msgspec.json.encode({"create": {"_index": index, "_id": name}})
            lines += b"\n" + document + b"\n"
        # Without our templates the cluster would make a plain index, with a mapping of its own.
        only = {} if self.flavour == "opensearch" else {"require_data_stream": "true"}
        return self._bulk(lines, only, refresh, timeout_s)

    def delete(
        self,
        documents: Sequence[tuple[str, str]],
        *,
        refresh: Refresh = "false",
        timeout_s: float = TIMEOUT_S,
    ) -> list[Outcome]:
        """Delete *documents*, (backing index, `_id`) each, in one request; gone is delivered.

        Raises:
            ClusterError: the request as a whole failed; sending it again is harmless.
        """
        lines = bytearray()
        for index, name in documents:
            lines += msgspec.json.encode({"delete": {"_index": index, "_id": name}}) + b"\n"
        gone = Outcome("delivered", 404, "")
        done = self._bulk(lines, {}, refresh, timeout_s)
        return [gone if one.status == 404 else one for one in done]

    def _bulk(
        self, lines: bytearray, params: Mapping[str, str], refresh: Refresh, timeout_s: float
    ) -> list[Outcome]:
        params = {**params, "refresh": refresh, "filter_path": _ANSWERED}
        answer = self._perform("POST", "/_bulk", params, bytes(lines), _NDJSON, timeout_s)
        items = answer.get("items") if isinstance(answer, Mapping) else None
        if items is None:  # whoever answers so is no cluster
            raise not_elasticsearch(self.url)
        return [outcome(item) for entry in items for item in entry.values()]

    def pages(
        self, index: str, body: Mapping[str, Any], *, size: int = 1000
    ) -> Iterator[list[dict[str, Any]]]:
        """Every hit of a search, page by page, on a state of the index that stands still.

        A shard that does not answer is an error: half of the hits would look like all of them.

        Args:
            index: data streams and patterns, comma separated; those that are missing are empty.
            body: the search; a `sort` of its own must end in a field without ties.
            size: hits in a page.
        """
        missing = {"ignore_unavailable": "true", "allow_no_indices": "true"}
        opened = {"keep_alive": "2m", **missing}
        if self.flavour == "opensearch":
            path, key = f"/{index}/_search/point_in_time", "pit_id"
            shards = {**missing, "size": "0", "filter_path": "_shards.total"}
            if not self.ask(Request("GET", f"/{index}/_search", None, shards))["_shards"]["total"]:
                return  # OpenSearch opens no point in time on nothing
        else:
            path, key = f"/{index}/_pit", "id"
        pit = self.ask(Request("POST", path, None, opened))[key]
        try:
            after: dict[str, Any] = {}
            while True:
                wanted = {"sort": ["_shard_doc"], **body, **after, "size": size}
                wanted["track_total_hits"] = False
                wanted["pit"] = {"id": pit, "keep_alive": "2m"}
                answer = self.ask(Request("POST", "/_search", wanted, WHOLE))
                hits = answer["hits"]["hits"]
                if not hits:
                    return
                yield hits
                after = {"search_after": hits[-1]["sort"]}
                pit = answer.get("pit_id", pit)
        finally:
            if self.flavour == "opensearch":
                close = Request("DELETE", "/_search/point_in_time", {"pit_id": [pit]})
            else:
                close = Request("DELETE", "/_pit", {"id": pit})
            with contextlib.suppress(ClusterError):  # it is over, or closes by itself
                self.ask(close)
