"""Files handed to Kibana's import interfaces, with what it answers in words.

https://www.elastic.co/docs/api/doc/kibana (saved objects, detection rules)
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from cyberterr.config import Elastic
from cyberterr.elastic.identity import api_key, is_loopback, safe_url, secret, trusting
from cyberterr.elastic.refusal import ClusterError, Kind

TIMEOUT_S = 60.0
LONGEST_ANSWER = 10_000_000
OBJECTS = "/api/saved_objects/_import?overwrite=true"
RULES = "/api/detection_engine/rules/_import?overwrite=true"
PASSES = {408, 429, 500, 502, 503, 504}


class Upload(NamedTuple):
    """One file for one interface."""

    path: str
    file: str
    content: bytes
    """NDJSON"""


def uploads(space: str, objects: bytes, rules: bytes) -> list[Upload]:
    """Saved objects and detection rules for a Kibana *space*; `default` has no name in paths."""
    before = "" if space == "default" else f"/s/{quote(space, safe='')}"
    return [
        Upload(before + OBJECTS, "cyberterr.ndjson", objects),
        Upload(before + RULES, "cyberterr-rules.ndjson", rules),
    ]


def send(kibana: str, upload: Upload, settings: Elastic, *, key_variable: str) -> int:
    """Hand *upload* to the Kibana at the URL *kibana*; how many objects it took.

    Raises:
        UsageError: plain http would leave this machine, or a secret cannot be read.
        ClusterError: Kibana cannot be reached, refuses us, or did not take every object.
    """
    url = safe_url(kibana, settings)
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="{upload.file}"\r\nContent-Type: application/x-ndjson\r\n\r\n'
    )
    body = head.encode() + upload.content + f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "kbn-xsrf": "cyberterr",
        **_identity(settings, key_variable),
    }
    request = urllib.request.Request(  # noqa: S310  (http or https: checked by safe_url)
        url + upload.path, data=body, headers=headers, method="POST"
    )
    return _taken(_answer(request, url, settings), url)


def _identity(settings: Elastic, key_variable: str) -> dict[str, str]:
    if key := api_key(settings, key_variable):
        return {"Authorization": f"ApiKey {key}"}
    if settings.user:
        pair = f"{settings.user}:{secret(settings.password_file)}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _answer(request: urllib.request.Request, url: str, settings: Elastic) -> Mapping[str, Any]:
    context = trusting(settings.ca) if settings.ca else ssl.create_default_context()
    try:
        status, body = _exchange(request, context)
    except (http.client.HTTPException, OSError) as error:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(why, ssl.SSLCertVerificationError):
            text = f"Kibana's certificate is not trusted: {why.verify_message}"
            raise _failed(text, "refused", url) from None
        raise _failed(f"Kibana cannot be reached: {why}", "weather", url) from None
    if status != http.client.OK:
        raise _refusal(status, body, url)
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, Mapping):
        raise _failed("what answers is no Kibana", "wrong_server", url)
    return said


def _exchange(request: urllib.request.Request, context: ssl.SSLContext) -> tuple[int, bytes]:
    class NoRedirect(urllib.request.HTTPRedirectHandler):
        # To a login page, or to another server that would be shown the key.
        def redirect_request(self, *_: object) -> None:
            return None

    handlers = [NoRedirect(), urllib.request.HTTPSHandler(context=context)]
    if is_loopback(urlsplit(request.full_url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read(LONGEST_ANSWER)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(LONGEST_ANSWER)


def _taken(said: Mapping[str, Any], url: str) -> int:
    count = int(said.get("successCount", said.get("success_count", 0)))
    if said.get("success") is True:
        return count
    wrong = [_reason(error) for error in said.get("errors", ())]
    raise ClusterError(
        f"Kibana took {count} objects and refused {len(wrong)}: {'; '.join(wrong[:5])}",
        kind="rejected",
        hint="they need Kibana 8.19 or newer; cyberterr elastic setup --dry-run prints them",
        where=url,
    )


def _reason(error: Mapping[str, Any]) -> str:
    name = error.get("id") or error.get("rule_id") or "?"
    why = error.get("error") or {}
    return f"{name}: {why.get('message') or why.get('type') or 'no reason given'}"[:300]


def _refusal(status: int, body: bytes, url: str) -> ClusterError:
    try:
        said = json.loads(body)
        told = str(said.get("message") or said.get("error") or "")
    except (ValueError, AttributeError):
        told = ""
    reason = f"HTTP {status}{f': {told[:300]}' if told else ''}"
    if status in (401, 403):
        return ClusterError(
            f"Kibana refuses: {reason}",
            kind="refused",
            status=status,
            hint="setup needs an administrator who may import saved objects and rules there: "
            "--admin-key-file, or --admin-user and --admin-password-file",
            where=url,
        )
    kind: Kind = "weather" if status in PASSES else "rejected"
    return ClusterError(f"Kibana refuses: {reason}", kind=kind, status=status, where=url)


def _failed(text: str, kind: Kind, url: str) -> ClusterError:
    hint = "check --kibana, and ca in [elastic]; what is imported already stays"
    return ClusterError(text, kind=kind, hint=hint, where=url)
