"""Set up a cluster for our documents: templates, API keys, and what Kibana shows of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from cyberterr.config import Elastic, Settings
from cyberterr.elastic import kibana as imports
from cyberterr.elastic import templates
from cyberterr.elastic.cluster import Cluster, Request
from cyberterr.elastic.connection import connect
from cyberterr.elastic.identity import API_KEY
from cyberterr.elastic.kibana import Upload
from cyberterr.elastic.privileges import Key, keys
from cyberterr.elastic.refusal import ClusterError
from cyberterr.elastic.templates import Done as Done
from cyberterr.errors import UsageError
from cyberterr.kibana import bundle, rule
from cyberterr.report.text import Lang

ADMIN_KEY = "CYBERTERR_ELASTIC_ADMIN_API_KEY"
"""environment variable with the API key that set-up works with"""


class Admin(NamedTuple):
    """Who sets up; without a key or user it is who `[elastic]` names."""

    key_file: str = ""
    user: str = ""
    password_file: str = ""


class Kibana(NamedTuple):
    """Where dashboards and the detection rule are imported."""

    url: str
    space: str = "default"
    lang: Lang = "en"


def requests(settings: Settings) -> list[Request]:
    """What set-up may send to the cluster; nothing is sent, and no cluster is needed."""
    return templates.requests(settings)


def key_requests(settings: Settings) -> list[Key]:
    """The API keys that our programs work with."""
    return keys(settings)


def kibana_uploads(settings: Settings, kibana: Kibana) -> list[Upload]:
    """What set-up imports into Kibana."""
    return imports.uploads(
        kibana.space,
        bundle.ndjson(settings.elastic, lang=kibana.lang),
        rule.ndjson(settings.elastic, lang=kibana.lang),
    )


def set_up(settings: Settings, admin: Admin) -> list[Done]:
    """Write the templates where they are missing or differ.

    Raises:
        UsageError: no cluster is named, or the administrator's secret cannot be read.
        ClusterError: the cluster cannot be reached, or does not let us.
    """
    with _administered(settings, admin) as cluster:
        return templates.install(cluster, settings)


def import_into(url: str, uploads: Sequence[Upload], settings: Settings, admin: Admin) -> int:
    """Hand *uploads* to the Kibana at *url*; how many objects it took.

    Raises:
        ClusterError: Kibana cannot be reached, refuses us, or did not take every object.
    """
    as_admin, variable = _as(settings.elastic, admin)
    return sum(imports.send(url, upload, as_admin, key_variable=variable) for upload in uploads)


def create_keys(settings: Settings, admin: Admin, folder: Path) -> list[tuple[Key, Path, bool]]:
    """Create the API keys that *folder* lacks, each in a file that only its owner can read.

    Returns:
        Each key with its file, and whether it was created now.

    Raises:
        UsageError: a file cannot be written, or the cluster has no API keys.
        ClusterError: the cluster cannot be reached, or does not let us.
    """
    if settings.elastic.flavour == "opensearch":
        raise UsageError(
            "OpenSearch has no API keys",
            hint="name a user in [elastic], with a role of OpenSearch's security plugin",
        )
    made = []
    with _administered(settings, admin) as cluster:
        for key in keys(settings):
            path = folder / f"{key.name}.key"
            new = not path.exists()
            if new:
                _keep_secret(path, partial(_create, cluster, key))
            made.append((key, path, new))
    return made


def _create(cluster: Cluster, key: Key) -> str:
    try:
        return str(cluster.ask(key.request)["encoded"])
    except ClusterError as error:
        if "derived" not in error.message:
            raise
        raise ClusterError(
            "an API key cannot create API keys that may do something",
            kind="refused",
            status=error.status,
            hint="--admin-user NAME --admin-password-file FILE",
            where=cluster.url,
        ) from None


def _keep_secret(path: Path, secret: Callable[[], str]) -> None:
    # The file comes first: a key that cannot be kept is not created.
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        try:
            file.write(f"{secret()}\n")
        except BaseException:
            path.unlink()
            raise


@contextlib.contextmanager
def _administered(settings: Settings, admin: Admin) -> Iterator[Cluster]:
    as_admin, variable = _as(settings.elastic, admin)
    with contextlib.closing(connect(as_admin, key_variable=variable)) as cluster:
        yield cluster


def _as(settings: Elastic, admin: Admin) -> tuple[Elastic, str]:
    """The settings with the administrator in them, and the environment variable for the key."""
    if not (any(admin) or os.environ.get(ADMIN_KEY)):
        return settings, API_KEY
    named_here = msgspec.structs.replace(
        settings, api_key_file=admin.key_file, user=admin.user, password_file=admin.password_file
    )
    # Who is named on the command line is meant, whatever the environment says.
    return named_here, "" if any(admin) else ADMIN_KEY
