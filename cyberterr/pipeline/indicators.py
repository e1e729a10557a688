"""Read files of known indicators: CSV or plain lists, STIX 2.1 bundles, MISP events."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, cast

import msgspec

from cyberterr.contracts import Detector, Site
from cyberterr.contracts.indicator import Indicator, Indicators, InformedDetector, Kind
from cyberterr.errors import SourceError

MAX_BYTES = 64 * 2**20
MAX_ITEMS = 1_000_000
WIDEST_V4, WIDEST_V6 = 8, 16
"""Shortest prefix taken: a wider one would name half the Internet."""

COMMON = frozenset(
    [
        "8.8.8.8",
        "8.8.4.4",
        "1.1.1.1",
        "1.0.0.1",
        "9.9.9.9",
        "208.67.222.222",
        "208.67.220.220",
        "80.67.169.12",
        "google.com",
        "gstatic.com",
        "googleapis.com",
        "youtube.com",
        "microsoft.com",
        "windows.com",
        "office.com",
        "windowsupdate.com",
        "live.com",
        "apple.com",
        "icloud.com",
        "amazon.com",
        "amazonaws.com",
        "cloudflare.com",
        "akamai.net",
        "akamaiedge.net",
        "facebook.com",
        "wikipedia.org",
        "github.com",
        "gouv.fr",
        "mozilla.org",
        "debian.org",
        "ubuntu.com",
        "example.com",
    ]
)
"""Used by everybody every day: as indicators they would only raise false alarms."""

_HEADS: dict[str, Kind | None] = {
    "ip": "address",
    "address": "address",
    "ipv4": "address",
    "ipv6": "address",
    "cidr": "network",
    "network": "network",
    "domain": "domain",
    "hostname": "domain",
    "url": "url",
    "ja4": "ja4",
    "indicator": None,
    "value": None,
    "ioc": None,
}
_MISP: dict[str, Kind] = {
    "ip-src": "address",
    "ip-dst": "address",
    "ip-src|port": "address",
    "ip-dst|port": "address",
    "domain": "domain",
    "hostname": "domain",
    "hostname|port": "domain",
    "domain|ip": "domain",
    "url": "url",
    "uri": "url",
    "ja4-fingerprint": "ja4",
    "ja4": "ja4",
}
_STIX = re.compile(  # counted repeats: a hostile pattern must not cost the square of its length
    r"(ipv4-addr|ipv6-addr|domain-name|url|x-ja4|(?<![\w-])[\w-]{1,80}:[\w.]{0,80}?ja4)"
    r"[\w.:]{0,80}\s{0,9}=\s{0,9}'([^']{1,2000})'"
)
_JA4 = re.compile(r"[tqd][0-9s]{2}[di]\d{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


def load(paths: Sequence[Path], site: Site) -> Indicators:
    """All indicators of *paths*; entries that would only raise false alarms are left out.

    Args:
        paths: CSV with or without a header, plain lists, STIX 2.1 (JSON), MISP events (JSON).
        site: what is ours; an own address in a feed is a mistake, or an alarm of its own.

    Raises:
        SourceError: a file cannot be read, is too large, or holds no indicator.
    """
    best: dict[tuple[str, str], Indicator] = {}
    warnings: list[str] = []
    for path in paths:
        found = 0
        for kind, raw, confidence, label in _entries(path):
            indicator = _checked(kind, raw, confidence, label, path.name)
            if indicator is None:
                continue
            found += 1
            reason = _useless(indicator, site)
            if reason:
                warnings.append(f"{path.name}: {indicator.value} left out: {reason}")
                continue
            key = (indicator.kind, indicator.value)
            if key not in best or indicator.confidence > best[key].confidence:
                best[key] = indicator
            if len(best) > MAX_ITEMS:
                raise SourceError(
                    f"more than {MAX_ITEMS:,} indicators",
                    hint="give a smaller or more recent list",
                    where=str(path),
                )
        if not found:
            raise SourceError(
                "no indicator in this file",
                hint="accepted: CSV, one value a line, STIX 2.1 bundle, MISP event; of kind "
                "address, CIDR, domain, URL or JA4",
                where=str(path),
            )
    return Indicators(tuple(sorted(best.values())), tuple(dict.fromkeys(warnings)))


def informed(detectors: Iterable[Detector], indicators: Indicators) -> list[Detector]:
    """*detectors*, those that look for known indicators knowing *indicators*."""
    return [
        cast(InformedDetector, d).informed(indicators) if hasattr(d, "informed") else d
        for d in detectors
    ]


Entry = tuple[Kind | None, str, int, str]


def _entries(path: Path) -> Iterator[Entry]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(raw) > MAX_BYTES:
        raise SourceError(f"larger than {MAX_BYTES >> 20} MiB", where=str(path))
    text = raw.decode("utf-8-sig", errors="replace")
    if not text.lstrip().startswith(("{", "[")) or text.lstrip().startswith("[."):
        yield from _csv(text, path)
        return
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SourceError(
            f"not readable as JSON: {error}", hint="STIX 2.1 or MISP", where=str(path)
        ) from None
    for thing in _objects(document):
        yield from _stix(thing)
        yield from _misp(thing)


def _objects(document: object) -> Iterator[dict[str, Any]]:
    # Bundles, events, lists of events and their objects nest a few levels deep, never more.
    level: list[Any] = [document]
    for _ in range(8):
        below: list[Any] = []
        for thing in level:
            if isinstance(thing, list):
                below += thing
            elif isinstance(thing, dict):
                yield thing
                below += [
                    thing[name]
                    for name in ("objects", "response", "Event", "Object", "Attribute")
                    if name in thing
                ]
        level = below


def _number(value: object, otherwise: int = 50) -> int:
    try:
        return max(0, min(100, int(float(str(value)))))
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _stix(thing: dict[str, Any]) -> Iterator[Entry]:
    pattern = thing.get("pattern")
    if thing.get("type") != "indicator" or thing.get("revoked") or not isinstance(pattern, str):
        return
    label = str(thing.get("name") or thing.get("description") or "")[:200]
    for what, value in _STIX.findall(pattern):
        kind: Kind = "ja4"
        if what.startswith("ip"):
            kind = "address"
        elif what == "domain-name":
            kind = "domain"
        elif what == "url":
            kind = "url"
        yield kind, value, _number(thing.get("confidence")), label


def _misp(thing: dict[str, Any]) -> Iterator[Entry]:
    kind, value = _MISP.get(str(thing.get("type"))), thing.get("value")
    if kind is None or not isinstance(value, str):
        return
    label = str(thing.get("comment") or thing.get("category") or "")[:200]
    confidence = 75 if thing.get("to_ids") else 40
    first, _, second = value.partition("|")
    yield kind, first, confidence, label
    if thing.get("type") == "domain|ip" and second:
        yield "address", second, confidence, label


def _csv(text: str, path: Path) -> Iterator[Entry]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return
    delimiter = ";" if lines[0].count(";") > lines[0].count(",") else ","
    # Strict: a quote that nobody closes would swallow the rest of the list without a word.
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    head: list[str] = []
    try:
        for row in rows:
            if not head:
                names = [cell.strip().lower() for cell in row]
                head = names if any(name in _HEADS for name in names) else ["value"]
                if head is names:
                    continue
            cells = {name: cell.strip() for name, cell in zip(head, row, strict=False)}
            label = cells.get("label") or cells.get("description") or cells.get("comment") or ""
            for name, cell in cells.items():
                if name in _HEADS and cell:
                    yield _HEADS[name], cell, _number(cells.get("confidence")), label[:200]
    except csv.Error as error:
        raise SourceError(
            f"not readable as CSV: {error}",
            hint="look for a quote that is not closed",
            where=str(path),
        ) from None


def _checked(
    kind: Kind | None, raw: str, confidence: int, label: str, feed: str
) -> Indicator | None:
    # Reports write hxxp://bad[.]example so that nobody clicks on it.
    value = raw.strip().strip('"').replace("[.]", ".").replace("(.)", ".").replace("[:]", ":")
    value = re.sub(r"^hxxp", "http", value, flags=re.IGNORECASE)
    if kind in (None, "address", "network"):
        try:
            if "/" in value:
                net = ip_network(value, strict=False)
                single = net.prefixlen == net.max_prefixlen
                text = str(net.network_address) if single else str(net)
                return Indicator("address" if single else "network", text, confidence, label, feed)
            return Indicator("address", str(ip_address(value)), confidence, label, feed)
        except ValueError:
            if kind is not None:
                return None
    if kind in (None, "ja4") and _JA4.fullmatch(value.lower()):
        return Indicator("ja4", value.lower(), confidence, label, feed)
    if kind == "url" or (kind is None and ("://" in value or "/" in value)):
        host, slash, rest = value.split("://", 1)[-1].partition("/")
        if not host:
            return None
        address = (host.lower() + slash + rest).rstrip("/")
        return Indicator("url", address, confidence, label, feed)
    name = value.lower().rstrip(".")
    if kind in (None, "domain") and _DOMAIN.fullmatch(name):
        return Indicator("domain", name, confidence, label, feed)
    return None


def _useless(indicator: Indicator, site: Site) -> str:
    if indicator.kind == "network":
        net = ip_network(indicator.value)
        if net.prefixlen < (WIDEST_V4 if net.version == 4 else WIDEST_V6):
            return "so wide a network would match everything"
        if any(net.version == ours.version and net.overlaps(ours) for ours in site.own()):
            return "it overlaps our own networks"
        if not net.is_global:
            return "not an address of the Internet"
    if indicator.kind == "address":
        if site.is_own(indicator.value):
            return "it is one of our own addresses"
        if not ip_address(indicator.value).is_global:
            return "not an address of the Internet"
    if indicator.value.removeprefix("www.") in COMMON:
        return "everybody uses it every day"
    return ""
