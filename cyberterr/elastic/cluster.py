"""One connection to a cluster, through the official client: TLS, identity, and answers in words.

Everything else is plain requests: method, path, body. So `elastic setup --dry-run` prints what
would be sent, and OpenSearch needs no second implementation.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import ssl
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from cyberterr.config import Elastic
from cyberterr.elastic.refusal import ClusterError, Outcome, not_elasticsearch, outcome, refusal
from cyberterr.errors import MissingPartError, UsageError

API_KEY = "CYBERTERR_ELASTIC_API_KEY"
"""environment variable that wins over api_key_file"""
TIMEOUT_S = 30.0
_JSON = {"accept": "application/json", "content-type": "application/json"}
_NDJSON = {"accept": "application/json", "content-type": "application/x-ndjson"}
WHOLE = {"allow_partial_search_results": "false"}
"""parameter of a search: without all of its shards it fails, rather than to forget some"""
_NOISE = re.compile(r"^HTTPS?Connection(Pool)?\(.*?\): |<.*?>: |\[Errno -?\d+\] ")
"""the client's own objects in its messages"""
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
        return self._bulk(lines, refresh, timeout_s)

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
        done = self._bulk(lines, refresh, timeout_s)
        return [gone if one.status == 404 else one for one in done]

    def _bulk(self, lines: bytearray, refresh: Refresh, timeout_s: float) -> list[Outcome]:
        params = {"refresh": refresh, "filter_path": _ANSWERED}
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


def connect(settings: Elastic, *, key_variable: str = API_KEY) -> Cluster:
    """A connection as `[elastic]` says; nothing is sent yet.

    Args:
        settings: where to, and as whom.
        key_variable: environment variable whose API key wins over the settings.

    Raises:
        UsageError: the settings contradict themselves, a secret is readable by others, or plain
            http would leave this machine.
        MissingPartError: the client's package is not installed.
    """
    if not settings.url:
        raise UsageError("no cluster is named", hint='url = "https://…:9200" in [elastic]')
    url = safe_url(settings.url, settings)
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.port is None:
        raise UsageError("the URL lacks its port", hint=f"{url}:9200", where=url)
    if parts.scheme == "http" and (settings.ca or settings.fingerprint):
        raise UsageError("ca and fingerprint mean nothing over http", hint="https://…", where=url)
    if settings.flavour == "opensearch":
        return _opensearch(url, settings)
    return _elasticsearch(url, settings, key_variable)


def safe_url(url: str, settings: Elastic) -> str:
    """*url* without a slash at its end, where keys may be sent to it.

    Raises:
        UsageError: it is plain http and would leave this machine.
    """
    url = url.rstrip("/")
    parts = urlsplit(url)
    if parts.scheme == "http" and not (settings.allow_http or is_loopback(parts.hostname or "")):
        raise UsageError(
            "plain http would show keys and findings to whoever listens",
            hint="use https, or say allow_http = true in [elastic]",
            where=url,
        )
    return url


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _elasticsearch(url: str, settings: Elastic, key_variable: str) -> Cluster:
    from elastic_transport import ConnectionError, ConnectionTimeout, TlsError, TransportError
    from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError

    options: dict[str, Any] = {"max_retries": 0, "retry_on_timeout": False}
    if key := api_key(settings, key_variable):
        options["api_key"] = key
    elif settings.user:
        options["basic_auth"] = (settings.user, secret(settings.password_file))
    if settings.fingerprint:
        options["ssl_assert_fingerprint"] = settings.fingerprint.replace(":", "")
    elif settings.ca:
        options["ssl_context"] = trusting(settings.ca)
    client = Elasticsearch(url, **options)

    def perform(
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> Any:  # noqa: ANN401 (JSON)
        asked = client.options(request_timeout=timeout_s)
        try:
            return asked.perform_request(
                method, path, params=params, headers=headers, body=body
            ).body
        except UnsupportedProductError:
            raise not_elasticsearch(url) from None
        except ApiError as error:
            after = error.meta.headers.get("retry-after")
            raise refusal(error.status_code, error.body, where=url, retry_after=after) from None
        except TlsError as error:
            raise _untrusted(url, error.message) from None
        except ConnectionTimeout:
            raise _silent(url, timeout_s) from None
        except (ConnectionError, TransportError) as error:
            raise _unreachable(url, error.message) from None

    return Cluster(url, "elasticsearch", perform, client.close)


def _opensearch(url: str, settings: Elastic) -> Cluster:
    try:
        from opensearchpy import OpenSearch
        from opensearchpy.exceptions import (
            ConnectionError,
            ConnectionTimeout,
            SSLError,
            TransportError,
        )
    except ImportError:
        raise MissingPartError(
            "OpenSearch needs its own client", hint='pip install "cyberterr[opensearch]"'
        ) from None

    options: dict[str, Any] = {"max_retries": 0, "retry_on_timeout": False}
    if settings.user:
        options["http_auth"] = (settings.user, secret(settings.password_file))
    if settings.fingerprint:
        options |= {
            "ssl_assert_fingerprint": settings.fingerprint.replace(":", ""),
            "verify_certs": False,
            "ssl_show_warn": False,
        }
    elif settings.ca:
        options["ssl_context"] = trusting(settings.ca)
    client = OpenSearch([url], **options)

    def perform(
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> Any:  # noqa: ANN401 (JSON)
        try:
            return client.transport.perform_request(
                method,
                path,
                params={**params, "request_timeout": timeout_s},
                body=body,
                headers=headers,
            )
        except SSLError as error:
            raise _untrusted(url, str(error.error)) from None
        except ConnectionTimeout:
            raise _silent(url, timeout_s) from None
        except ConnectionError as error:
            raise _unreachable(url, str(error.error)) from None
        except TransportError as error:
            status = error.status_code if isinstance(error.status_code, int) else 0
            raise refusal(status, error.info, where=url) from None

    return Cluster(url, "opensearch", perform, client.close)


def api_key(settings: Elastic, variable: str = API_KEY) -> str:
    """The API key of the environment *variable*, else of the settings; empty where there is none.

    Raises:
        UsageError: its file cannot be read, or others can read it.
    """
    return os.environ.get(variable) or (
        secret(settings.api_key_file) if settings.api_key_file else ""
    )


def secret(file: str) -> str:
    """What stands in *file*, which nobody but its owner may read.

    Raises:
        UsageError: it cannot be read, is empty, or others can read it.
    """
    path = Path(file).expanduser()
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(
                "others can read this secret", hint=f"chmod 600 {path}", where=str(path)
            )
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(
            f"the secret cannot be read: {error.strerror}", where=str(path) if file else "[elastic]"
        ) from None
    if not text:
        raise UsageError("the secret is empty", where=str(path))
    return text


def trusting(ca: str) -> ssl.SSLContext:
    """TLS that trusts nobody but the authority of the PEM file *ca*.

    Raises:
        UsageError: the file cannot be read, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=str(Path(ca).expanduser()))
    except OSError as error:
        raise UsageError(
            f"the certificate authority cannot be read: {error}", hint="ca in [elastic]", where=ca
        ) from None


def _untrusted(url: str, why: str) -> ClusterError:
    return ClusterError(
        f"the server's certificate is not trusted: {why}",
        kind="refused",
        hint="name the authority that signed it (ca), or its fingerprint, in [elastic]",
        where=url,
    )


def _silent(url: str, seconds: float) -> ClusterError:
    return ClusterError(f"no answer within {seconds:.0f} s", kind="weather", where=url)


def _unreachable(url: str, why: str) -> ClusterError:
    plain = _NOISE.sub("", why)
    return ClusterError(f"the cluster cannot be reached: {plain}", kind="weather", where=url)
