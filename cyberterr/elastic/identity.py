"""Who we are to a server, whom we trust, and where keys may go at all."""

from __future__ import annotations

import ipaddress
import os
import ssl
import stat
from pathlib import Path
from urllib.parse import urlsplit

from cyberterr.config import Elastic
from cyberterr.errors import UsageError

API_KEY = "CYBERTERR_ELASTIC_API_KEY"
"""environment variable that wins over api_key_file"""


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
