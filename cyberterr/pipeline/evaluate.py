"""Measure: run the detectors over captures with known truth, count what was found and what not.

The unit is the incident: a family, the hosts that most of its flows share, and its file. Truth is
read after the findings are made and for nothing but scoring them.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.contracts import Finding, Severity
from cyberterr.contracts.rate import wilson
from cyberterr.errors import UsageError
from cyberterr.pipeline.judging import Judging
from cyberterr.pipeline.sources import Reading, read_tables

FITS: dict[str, frozenset[str]] = {
    "C2": frozenset({"beacon", "c2"}),
    "beacon": frozenset({"beacon", "c2"}),
    # The flows of a stealer that calls its master: the call itself is what can be seen.
    "exfiltration": frozenset({"exfiltration", "c2", "beacon"}),
    "portscan": frozenset({"scan"}),
    "scan-inbound": frozenset({"scan", "brute_force"}),
    "icmp-sweep": frozenset({"scan"}),
    "iot-botnet-scan": frozenset({"scan", "iot_bot"}),
    "ssh-bruteforce": frozenset({"brute_force"}),
    "ftp-bruteforce": frozenset({"brute_force"}),
    "syn-flood": frozenset({"flood"}),
    "amplification": frozenset({"flood"}),
    "dns-tunnel": frozenset({"dns_tunnel"}),
    "dns-exfiltration": frozenset({"dns_tunnel", "exfiltration"}),
    "icmp-tunnel": frozenset({"exfiltration", "c2"}),
    "ot-rogue-write": frozenset({"ot_write"}),
    "ot-recon": frozenset({"ot_recon"}),
}
"""Which families of ours meet which attack of GROUND_TRUTH.json; an attack not named here is met
by the family of its own name."""

_BENIGN = re.compile(r"\b(benign|normal)\b")
_NOT_BENIGN = re.compile(r"\b(attack|mixed|malicious)\b")

MOST = 0.5
"""share of an incident's flows that a host must be in to be one of its hosts"""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One known attack and what became of it."""

    file: str
    attack: str
    hosts: tuple[str, ...]
    severity: int
    """of the worst finding that names a right host and a fitting family; 0 where none does"""
    findings: int
    """fitting ones at 47 or above"""
    others: int
    """findings at 47 or above in the file that fit nothing"""

    @property
    def found(self) -> bool:
        """Found means: at 47 or above."""
        return self.severity >= Severity.MEDIUM


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """One benign network: what was claimed there is false."""

    network: str
    site_days: int
    """calendar days on which it has packets; nothing is extrapolated"""
    low: int
    medium: int
    high: int
    """at 73 or above"""
    worst_day: int
    """most findings at 47 or above that began on one day"""


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an evaluation."""

    incidents: tuple[Incident, ...]
    quiet: tuple[Quiet, ...]
    unreadable: tuple[str, ...]

    def rate(self, attack: str | None = None) -> tuple[int, int, float, float]:
        """Found, of how many, and the 95 % interval; of one *attack* or of all."""
        chosen = [i for i in self.incidents if attack in (None, i.attack)]
        found = sum(i.found for i in chosen)
        return (found, len(chosen), *wilson(found, len(chosen)))

    def precision(self) -> tuple[int, int, float, float]:
        """Right findings at 47 or above on attack files, of how many, and the 95 % interval."""
        right = sum(i.findings for i in self.incidents)
        total = right + sum(i.others for i in self.incidents)
        return (right, total, *wilson(right, total))

    def document(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        attacks = sorted({i.attack for i in self.incidents})
        names = ("found", "of", "low", "high")
        days = sum(q.site_days for q in self.quiet)
        alarms = sum(q.medium + q.high for q in self.quiet)
        return {
            "recall": dict(zip(names, self.rate(), strict=True)),
            "recall_by_attack": {a: dict(zip(names, self.rate(a), strict=True)) for a in attacks},
            "precision": dict(zip(names, self.precision(), strict=True)),
            "false_alarms": {"count": alarms, "site_days": days},
            **msgspec.to_builtins(self),
        }


def evaluate(folder: Path, settings: Settings, told: Callable[[str], None]) -> Scores:
    """Judge every file of *folder* that its GROUND_TRUTH.json or MANIFEST.csv labels.

    Args:
        folder: holds GROUND_TRUTH.json (attacks) and MANIFEST.csv (labels, for the benign parts).
        settings: as for a scan.
        told: gets the name of each file before it is read.

    Raises:
        UsageError: the folder has no readable ground truth.
    """
    truth = _truth(folder)
    attacked = {str(item["file"]) for item in truth}
    incidents: list[Incident] = []
    noise: dict[str, tuple[set[dt.date], list[Finding]]] = {}
    unreadable: list[str] = []
    for item in truth:
        name = str(item["file"])
        told(name)
        findings, days, whole = _judged(folder / name, settings)
        if not whole:
            unreadable.append(name)
            continue
        incident, rest = _scored(item, findings, folder / name)
        incidents.append(incident)
        if item["attack"] == "scan-inbound":  # a benign office day beside the scans it receives
            kept = noise.setdefault(str(Path(name).parent), (set(), []))
            kept[0].update(days)
            kept[1].extend(rest)
    for name in _benign(folder, attacked):
        told(name)
        findings, days, whole = _judged(folder / name, settings)
        if not whole and not days:
            unreadable.append(name)
            continue
        kept = noise.setdefault(str(Path(name).parent), (set(), []))
        kept[0].update(days)
        kept[1].extend(findings)
    return Scores(
        incidents=tuple(incidents),
        quiet=tuple(_quiet(name, *seen) for name, seen in sorted(noise.items())),
        unreadable=tuple(unreadable),
    )


def _truth(folder: Path) -> list[dict[str, Any]]:
    path = folder / "GROUND_TRUTH.json"
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["items"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"no ground truth: {error}",
            hint="give a folder with GROUND_TRUTH.json and MANIFEST.csv",
            where=str(path),
        ) from None
    return list(items)


def _benign(folder: Path, attacked: set[str]) -> Iterator[str]:
    """Files that the manifest calls benign; companions of a connection log are read with it."""
    path = folder / "MANIFEST.csv"
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            label = row.get("label", "").lower()
            quiet = _BENIGN.search(label) and not _NOT_BENIGN.search(label)
            if quiet and row["file"] not in attacked:
                yield row["file"]


def _judged(path: Path, settings: Settings) -> tuple[list[Finding], set[dt.date], bool]:
    """Findings of one file, the days it has traffic, and whether it could be read."""
    reading = Reading()
    judging = Judging(content.detectors(), settings.site, {})
    days: set[dt.date] = set()
    for tables in read_tables([path], settings, reading):
        judging.add(tables)
        days.update(tables.flows["start"].dt.date().unique().to_list())
    return judging.close(), days, not reading.errors


def _scored(
    item: dict[str, Any], findings: Iterable[Finding], path: Path
) -> tuple[Incident, list[Finding]]:
    """*item* with what was found of it, and the findings that do not fit."""
    attack = str(item["attack"])
    families = FITS.get(attack, frozenset({attack.replace("-", "_")}))
    hosts = _hosts(item, path)
    fitting: list[Finding] = []
    rest: list[Finding] = []
    for finding in findings:
        named = {finding.actor, finding.victim, *finding.related}
        fits = finding.family in families and (not hosts or named & hosts)
        (fitting if fits else rest).append(finding)
    incident = Incident(
        file=str(item["file"]),
        attack=attack,
        hosts=tuple(sorted(hosts)),
        severity=max((int(f.severity) for f in fitting), default=0),
        findings=sum(f.severity >= Severity.MEDIUM for f in fitting),
        others=sum(f.severity >= Severity.MEDIUM for f in rest),
    )
    return incident, rest


def _hosts(item: dict[str, Any], path: Path) -> set[str]:
    rules = item.get("positive_rules")
    if rules:
        return {rule[end] for rule in rules for end in ("a", "b") if end in rule}
    column, _, wanted = str(item["positive_column"]).removeprefix("column:").partition("==")
    seen: Counter[str] = Counter()
    flows = 0
    for row in _labelled(path):
        if row.get(column) == wanted:
            flows += 1
            seen.update({row["id.orig_h"], row["id.resp_h"]})
    return {host for host, count in seen.items() if count >= MOST * flows}


def _labelled(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a Zeek log in tab-separated form, label columns included."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    with io.StringIO(data.decode(errors="replace")) as lines:
        fields: list[str] = []
        for line in lines:
            text = line.rstrip("\n")
            if text.startswith("#fields"):
                fields = text.split("\t")[1:]
            elif fields and not text.startswith("#"):
                yield dict(zip(fields, text.split("\t"), strict=False))


def _quiet(name: str, days: set[dt.date], findings: list[Finding]) -> Quiet:
    alarms = [f for f in findings if f.severity >= Severity.MEDIUM]
    by_day = Counter(f.start.date() for f in alarms)
    return Quiet(
        network=name,
        site_days=len(days),
        low=len(findings) - len(alarms),
        medium=sum(f.severity < Severity.HIGH for f in alarms),
        high=sum(f.severity >= Severity.HIGH for f in alarms),
        worst_day=max(by_day.values(), default=0),
    )
