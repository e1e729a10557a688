"""What a cluster's refusal means: wait, stop, mend the document, or talk to another server.

The rules were measured on Elasticsearch 8.19 and 9.2: an error's type says more than its status.
`cluster_block_exception` comes with 403 and 429 and passes; a 403 `security_exception` does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from cyberterr.errors import StoreError

Kind = Literal["weather", "refused", "rejected", "too_large", "wrong_server"]
"""weather: it passes, try again later; refused: who we are, or what we may, is not accepted;
rejected: this request will never be accepted; too_large: send less at once; wrong_server: this
client cannot talk to that server"""

_PASSES = {429, 500, 502, 503, 504}
_WEATHER = {"cluster_block_exception", "es_rejected_execution_exception", "timeout_exception"}
_HINTS: dict[Kind, str] = {
    "weather": "try again later; what waits to be sent is tried by itself, see elastic status",
    "refused": "check api_key_file, or user and password_file, in [elastic]; "
    "cyberterr elastic setup --dry-run prints the privileges that are needed",
    "rejected": "",
    "too_large": "raise http.max_content_length of the server",
    "wrong_server": "check url and flavour in [elastic]",
}


class ClusterError(StoreError):
    """A cluster that did not do what it was asked (exit code 5).

    Attributes:
        kind: what to do about it.
        status: of the HTTP answer; 0 where there was none.
        type: the server's name for the error; empty where it gave none.
        retry_after_s: seconds that the server asks to wait; 0 where it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Kind,
        status: int = 0,
        type: str = "",
        retry_after_s: float = 0,
        hint: str = "",
        where: str = "",
    ) -> None:
        super().__init__(message, hint=hint or _HINTS[kind], where=where)
        self.kind: Kind = kind
        self.status = status
        self.type = type
        self.retry_after_s = retry_after_s


class Outcome(NamedTuple):
    """What became of one document of a bulk request."""

    kind: Literal["delivered", "weather", "refused", "rejected"]
    status: int
    reason: str
    """the server's, `type: reason`; empty where it is delivered"""


def outcome(item: Mapping[str, Any]) -> Outcome:
    """What the answer to one `create` means; there already (409) is delivered."""
    status, error = int(item["status"]), item.get("error") or {}
    if item.get("failure_store") in ("used", "failed"):
        return Outcome("rejected", status, "put into the failure store: its mapping does not fit")
    if status in (200, 201, 409):
        return Outcome("delivered", status, "")
    if error.get("type") == "index_not_found_exception":  # no fault of the document
        return Outcome("refused", status, f"{_reason(error)}: run cyberterr elastic setup first")
    kind = _kind(status, str(error.get("type", "")))
    one = "rejected" if kind in ("too_large", "wrong_server") else kind
    return Outcome(one, status, _reason(error))  # type: ignore[arg-type]  # the two are mapped


def refusal(
    status: int, body: object, *, where: str, retry_after: str | None = None
) -> ClusterError:
    """The error that an answer of *status* with the decoded *body* is."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        error = {"reason": error}
    name = str(error.get("type", ""))
    if name == "media_type_header_exception":
        return ClusterError(
            "this client is too new for that server",
            kind="wrong_server",
            status=status,
            type=name,
            hint='pip install "elasticsearch<9": that client talks to 8.19 and to 9',
            where=where,
        )
    if status == 406:
        return not_elasticsearch(where)
    kind = _kind(status, name)
    said = _reason(error) or f"HTTP {status}"
    return ClusterError(
        f"the cluster {'is not ready' if kind == 'weather' else 'refuses'}: {said}",
        kind=kind,
        status=status,
        type=name,
        retry_after_s=float(retry_after) if retry_after and retry_after.isdigit() else 0,
        where=where,
    )


def not_elasticsearch(where: str) -> ClusterError:
    """That the server is no Elasticsearch."""
    return ClusterError(
        "that server is no Elasticsearch; is it OpenSearch?",
        kind="wrong_server",
        hint='for OpenSearch: pip install "cyberterr[opensearch]", '
        'and flavour = "opensearch" in [elastic]',
        where=where,
    )


def _kind(status: int, name: str) -> Kind:
    if name in _WEATHER or status in _PASSES:
        return "weather"
    if status in (401, 403):
        return "refused"
    return "too_large" if status == 413 else "rejected"


def _reason(error: Mapping[str, Any]) -> str:
    cause = error.get("caused_by") or {}
    parts = (error.get("type"), error.get("reason"), cause.get("reason"))
    return ": ".join(str(part) for part in dict.fromkeys(parts) if part)[:500]
