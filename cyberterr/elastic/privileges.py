"""The API keys that our programs work with: each may do what its task needs, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cyberterr.config import Settings
from cyberterr.elastic.cluster import Request


class Key(NamedTuple):
    """One API key to create."""

    name: str
    """also the name of the file that it is written to"""
    use: str
    """who works with it, and what for"""
    request: Request


def keys(settings: Settings) -> list[Key]:
    """The keys of a sensor, of an analyst, and of a scan of flows that are in the cluster."""
    namespace = settings.elastic.namespace
    return [
        _key(
            f"cyberterr-sensor-{namespace}",
            "a sensor: adds documents; it can neither read, change nor delete any",
            # auto_configure: a new data stream, and a field that is not mapped yet
            _may(["create_doc", "auto_configure"], [f"logs-cyberterr.*-{namespace}"]),
        ),
        _key(
            "cyberterr-analyst",
            "an analyst: reads, decides, and takes over what was decided in Kibana",
            _may(
                ["read", "create_doc", "view_index_metadata", "auto_configure"],
                ["logs-cyberterr.*-*"],
            ),
            _may(["read"], [".alerts-security.alerts-*"]),
        ),
        _key(
            "cyberterr-flow-reader",
            "a scan of flows that are in the cluster already: reads them",
            _may(["read", "view_index_metadata"], ["packetbeat-*", "filebeat-*", "logs-*"]),
        ),
    ]


def _key(name: str, use: str, *indices: dict[str, Any]) -> Key:
    role = {"cluster": [], "indices": list(indices)}
    metadata = {"managed_by": "cyberterr", "use": use}
    body = {"name": name, "role_descriptors": {name: role}, "metadata": metadata}
    return Key(name, use, Request("POST", "/_security/api_key", body))


def _may(privileges: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    return {"names": list(names), "privileges": list(privileges)}
