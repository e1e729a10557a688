"""How documents are stored: templates, mapping and retention, written again only where they differ.

`cyberterr@custom` belongs to the site: it wins over our mappings and settings and is never written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from cyberterr.config import Settings
from cyberterr.contracts.documents import DATASETS
from cyberterr.contracts.fields import FIELDS, Field
from cyberterr.elastic.cluster import Cluster, Flavour, Request
from cyberterr.elastic.refusal import ClusterError

VERSION = 2
"""grows with every change of what `templates` gives for the same settings"""
STREAMS = "logs-cyberterr.*-*"
CUSTOM = "cyberterr@custom"
PRIORITY = 500
"""above the templates that Elasticsearch brings (100) and those of Fleet (200)"""
LONGEST = 1024
"""characters of a keyword that are searched, as in ECS; all of it is kept"""
TOTAL_FIELDS = 2000

State = Literal["created", "updated", "unchanged", "newer", "not done"]


class Step(NamedTuple):
    """One thing that set-up does, and how it is looked up first."""

    what: str
    read: Request
    write: Request


class Done(NamedTuple):
    """What became of one step."""

    what: str
    state: State
    note: str = ""


def mappings(flavour: Flavour) -> dict[str, Any]:
    """The mapping of every field of `FIELDS`; ours that are not there are kept, not searched."""
    tree: dict[str, Any] = {}
    for field in FIELDS:
        *above, last = field.name.split(".")
        place = tree
        for name in above:
            place = place.setdefault(name, {}).setdefault("properties", {})
        place.setdefault(last, {}).update(_mapped(field, flavour))
    tree["cyberterr"]["dynamic"] = "false"
    keyword = {"type": "keyword", "ignore_above": LONGEST}
    return {
        "dynamic_templates": [
            {"strings": {"match_mapping_type": "string", "mapping": keyword}},
        ],
        "properties": tree,
    }


def _mapped(field: Field, flavour: Flavour) -> dict[str, Any]:
    if field.type == "keyword":
        return {"type": "keyword", "ignore_above": LONGEST}
    if field.type == "object":
        return {"type": "object", "enabled": False}
    if field.type == "nested":
        return {"type": "nested", "dynamic": "false"}
    if field.type == "flattened" and flavour == "opensearch":
        return {"type": "flat_object"}
    return {"type": field.type}


def steps(settings: Settings) -> list[Step]:
    """Every template, in the order in which they need each other."""
    flavour = settings.elastic.flavour
    limits: dict[str, Any] = {"limit": str(TOTAL_FIELDS)}
    if flavour == "elasticsearch":
        limits["ignore_dynamic_beyond_limit"] = "true"
    index = {"codec": "best_compression", "mapping": {"total_fields": limits}}
    made = [
        _component("cyberterr@mappings", {"mappings": mappings(flavour)}),
        _component("cyberterr@settings", {"settings": {"index": index}}),
    ]
    if flavour == "opensearch":  # it takes no template that names a component which is not there
        path = f"/_component_template/{CUSTOM}"
        made.append(
            Step(
                f"component {CUSTOM}", Request("GET", path), Request("PUT", path, {"template": {}})
            )
        )
        return [*made, _index_template("logs-cyberterr", STREAMS, PRIORITY, None)]
    return [
        *made,
        _index_template("logs-cyberterr", STREAMS, PRIORITY, retention(settings, "")),
        _index_template(
            "logs-cyberterr.health",
            "logs-cyberterr.health-*",
            PRIORITY + 1,
            retention(settings, "cyberterr.health"),
        ),
    ]


def retention(settings: Settings, dataset: str) -> dict[str, Any]:
    """The lifecycle of the data streams of *dataset*: kept so many days, one at least.

    Elasticsearch deletes whole indices, counted from the day they were rolled over: up to 30 days
    more for a year, 7 for a quarter.
    """
    health = dataset == "cyberterr.health"
    days = settings.elastic.health_days if health else settings.retention.findings_days
    return {"enabled": True, "data_retention": f"{max(days, 1)}d"}


def _component(name: str, template: Mapping[str, Any]) -> Step:
    path = f"/_component_template/{name}"
    body = {"template": template, "_meta": _meta()}
    return Step(f"component {name}", Request("GET", path), Request("PUT", path, body))


def _index_template(
    name: str, pattern: str, priority: int, lifecycle: Mapping[str, Any] | None
) -> Step:
    body: dict[str, Any] = {
        "index_patterns": [pattern],
        "priority": priority,
        "data_stream": {},
        "composed_of": ["cyberterr@mappings", "cyberterr@settings", CUSTOM],
        "_meta": _meta(),
    }
    if lifecycle is not None:
        body["ignore_missing_component_templates"] = [CUSTOM]
        body["template"] = {"lifecycle": lifecycle}
    path = f"/_index_template/{name}"
    return Step(f"template {name}", Request("GET", path), Request("PUT", path, body))


def _meta() -> dict[str, Any]:
    return {"managed_by": "cyberterr", "version": VERSION}


def stream_steps(settings: Settings) -> list[Step]:
    """What brings data streams that are there already to the same state, without a rollover."""
    flavour = settings.elastic.flavour
    path = f"/{STREAMS}/_mapping"
    mapping = Request("PUT", path, mappings(flavour), {"write_index_only": "true"})
    made = [Step("mapping of the data streams", Request("GET", path), mapping)]
    if flavour == "opensearch":
        return made
    health = "cyberterr.health"
    for what, datasets in (
        ("findings and decisions", [d for d in DATASETS if d != health]),
        ("health", [health]),
    ):
        path = f"/_data_stream/{','.join(f'logs-{d}-*' for d in datasets)}/_lifecycle"
        write = Request("PUT", path, retention(settings, datasets[0]))
        made.append(Step(f"retention of {what}", Request("GET", path), write))
    return made


def requests(settings: Settings) -> list[Request]:
    """Everything that `install` may write; it leaves out what is there already."""
    return [step.write for step in (*steps(settings), *stream_steps(settings))]


def install(cluster: Cluster, settings: Settings) -> list[Done]:
    """Write what is missing or differs; doing it twice changes nothing.

    A template of a newer version than ours is left alone.

    Raises:
        ClusterError: the cluster cannot be reached, or does not let us.
    """
    done = [_install(cluster, step) for step in steps(settings)]
    if streams := write_indices(cluster):
        mapping, *lifecycles = stream_steps(settings)
        done += _extend(cluster, mapping, streams)
        done += [_keep(cluster, step) for step in lifecycles]
    return done


def installed(cluster: Cluster) -> int | None:
    """Version of the templates that the cluster has, 0 where it has none, None where unreadable."""
    try:
        found = cluster.ask(Request("GET", "/_index_template/logs-cyberterr"))
    except ClusterError as error:
        if error.status == 404:
            return 0
        if error.kind == "refused":
            return None
        raise
    return _version(found["index_templates"][0]["index_template"])


def write_indices(cluster: Cluster) -> dict[str, str]:
    """Our data streams, each with the index behind it that takes new documents."""
    found = cluster.ask(Request("GET", f"/_resolve/index/{STREAMS}"))
    return {
        stream["name"]: max(stream["backing_indices"], key=lambda name: int(name.split("-")[-1]))
        for stream in found.get("data_streams", [])
    }


def _install(cluster: Cluster, step: Step) -> Done:
    try:
        answer = cluster.ask(step.read)
    except ClusterError as error:
        if error.status != 404:
            raise
        cluster.ask(step.write)
        return Done(step.what, "created")
    [(_, [entry])] = ((k, v) for k, v in answer.items() if k.endswith("templates"))
    found = entry.get("component_template") or entry["index_template"]
    if step.what.endswith(CUSTOM) or _contains(found, step.write.body):
        return Done(step.what, "unchanged")
    if (version := _version(found)) > VERSION:
        return Done(step.what, "newer", f"version {version} is there, this is version {VERSION}")
    cluster.ask(step.write)
    return Done(step.what, "updated")


def _extend(cluster: Cluster, step: Step, streams: Mapping[str, str]) -> Iterator[Done]:
    found = cluster.ask(step.read)
    behind = [
        stream
        for stream, index in streams.items()
        if not _contains(found.get(index, {}).get("mappings"), step.write.body)
    ]
    if not behind:
        yield Done(step.what, "unchanged")
        return
    try:
        cluster.ask(step.write)
        yield Done(step.what, "updated")
    except ClusterError as error:
        if error.status != 400:
            raise
        for stream in behind:  # one that cannot follow shall not hold back the others
            yield _extend_one(cluster, step.write, stream)


def _extend_one(cluster: Cluster, write: Request, stream: str) -> Done:
    what = f"mapping of {stream}"
    try:
        cluster.ask(write._replace(path=f"/{stream}/_mapping"))
    except ClusterError as error:
        if error.status != 400:
            raise
        return Done(what, "not done", f"{error.message}; it needs POST /{stream}/_rollover")
    return Done(what, "updated")


def _keep(cluster: Cluster, step: Step) -> Done:
    try:
        found = cluster.ask(step.read).get("data_streams", [])
        if all(_contains(entry.get("lifecycle"), step.write.body) for entry in found):
            return Done(step.what, "unchanged")
        cluster.ask(step.write)
    except ClusterError as error:
        if error.status not in (400, 404, 405):
            raise
        note = "this server cannot change it; new data streams have it from their template"
        return Done(step.what, "not done", note)
    return Done(step.what, "updated")


def _version(template: Mapping[str, Any]) -> int:
    version = (template.get("_meta") or {}).get("version", 0)
    return version if isinstance(version, int) else 0


def _contains(found: object, wanted: object) -> bool:
    """Whether *found* says all that *wanted* says; servers add defaults and dates of their own."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            _contains(found.get(key), value) for key, value in wanted.items()
        )
    return found == wanted
