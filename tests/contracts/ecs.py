"""Whether a document is ECS 9.4, by the list that Elastic publishes (`tests/data/ecs`)."""

from __future__ import annotations

import ast
import datetime as dt
import functools
import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

LIST = Path(__file__).parents[1] / "data" / "ecs" / "ecs_flat.js.gz"
SHA256 = "6733e19059f65c99a92547aec40e18b8a1bdb21b9d422e92b2a1be05806a8ecf"
OWN = "cyberterr"
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b[A-Za-z_]\w*""")
_WORDS = {"true": "True", "false": "False", "null": "None"}
_STRINGS = {"keyword", "constant_keyword", "wildcard", "text", "match_only_text"}
_FRACTIONS = {"float", "scaled_float", "half_float", "double"}


@functools.cache
def fields() -> dict[str, dict[str, Any]]:
    """Everything the list says of each field, by its dotted name."""
    source = gzip.decompress(LIST.read_bytes())
    assert hashlib.sha256(source).hexdigest() == SHA256, "the list is not the published one"
    text = source.decode()
    literal = text[text.index("{", text.index("exports.EcsFlat = {")) : text.rindex("}") + 1]

    def python(token: re.Match[str]) -> str:
        word = token[0]
        return word if word[0] in "'\"" else _WORDS.get(word, repr(word))

    return dict(ast.literal_eval(_TOKEN.sub(python, literal)))


def problems(document: Mapping[str, Any]) -> list[str]:
    """What in *document* is not ECS, one sentence each; what lies under `cyberterr` is ours."""
    leaves = dict(_leaves({k: v for k, v in document.items() if k != OWN}))
    found = [f"{name}: missing" for name, field in fields().items() if _missing(field, leaves)]
    for name, value in leaves.items():
        found += [f"{name}: {wrong}" for wrong in _wrong(name, value)]
    return [*found, *_types_of_categories(leaves)]


def _leaves(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and fields().get(name, {}).get("type") not in (
            "object",
            "flattened",
            "geo_point",
        ):
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _missing(field: Mapping[str, Any], leaves: Mapping[str, Any]) -> bool:
    return bool(field.get("required")) and field["flat_name"] not in leaves


def _wrong(name: str, value: object) -> Iterator[str]:
    if (field := fields().get(name)) is None:
        yield "no such field"
        return
    many = "array" in field["normalize"]
    if many != isinstance(value, list):
        yield "no list" if many else "a list"
    allowed = {entry["name"] for entry in field.get("allowed_values", ())}
    for one in value if isinstance(value, list) else [value]:
        if not _fits(field["type"], one):
            yield f"{one!r} is no {field['type']}"
        elif allowed and one not in allowed:
            yield f"{one!r} is not allowed"


def _fits(type: str, value: object) -> bool:
    match type:
        case "ip":
            return _parses(ip_address, value) and "%" not in str(value)  # no zone for the server
        case "date":
            return _parses(dt.datetime.fromisoformat, value)
        case "boolean":
            return isinstance(value, bool)
        case "long" | "integer" | "unsigned_long":
            return isinstance(value, int) and not isinstance(value, bool)
        case _ if type in _FRACTIONS:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _ if type in _STRINGS:
            return isinstance(value, str)
    return isinstance(value, Mapping)


def _parses(reader: Any, value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        reader(value)
    except ValueError:
        return False
    return True


def _types_of_categories(leaves: Mapping[str, Any]) -> Iterator[str]:
    categories = leaves.get("event.category", [])
    known = {c["name"]: c for c in fields()["event.category"]["allowed_values"]}
    expected = {
        kind for name in categories for kind in known.get(name, {}).get("expected_event_types", ())
    }
    for kind in leaves.get("event.type", []) if expected else []:
        if kind not in expected:
            yield f"event.type: {kind!r} is not expected of {', '.join(categories)}"
