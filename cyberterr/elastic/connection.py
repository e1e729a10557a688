"""A connection through the official client of each flavour: TLS, identity, its errors in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cyberterr.config import Elastic
from cyberterr.elastic.cluster import Cluster
from cyberterr.elastic.identity import API_KEY, api_key, safe_url, secret, trusting
from cyberterr.elastic.refusal import ClusterError, not_elasticsearch, refusal
from cyberterr.errors import MissingPartError, UsageError

_NOISE = re.compile(r"^HTTPS?Connection(Pool)?\(.*?\): |<.*?>: |\[Errno -?\d+\] ")
"""the client's own objects in its messages"""


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
