"""Scan: one of our machines tries one door on many machines, and mostly meets silence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import polars as pl

from cyberterr.contracts import (
    Card,
    Claim,
    Measure,
    Merge,
    Picture,
    Severity,
    Site,
    Tables,
    Text,
    View,
    distinct,
    explained,
    moment,
    own,
    sample,
    sketch,
    tries,
    window_of,
    with_history,
)

HOSTS = 15
"""machines an hour on one port without answer: dead servers and old bookmarks are a handful"""
WEB_HOSTS = 40
"""the same for web ports: a browser without Internet tries a dozen or two in an hour"""
SLOW_HOSTS = 60
"""machines a day on one TCP port without answer, for scans that stay under HOSTS an hour"""
UNANSWERED = 0.6
"""share of the machines tried that did not answer: peer-to-peer programs stay below it"""
SLOW_UNANSWERED = 0.8
KNOWN_TARGETS = 0.7
"""share of targets already tried in the hours before: a fixed list, as monitors have"""

WEB = (80, 443, 8080, 8443)
TCP = 6
TRANSPORTS = {TCP: "TCP", 17: "UDP"}

BLIND = (
    Text(
        "Scans slower than about 60 machines a day, or shared among many sources.",
        "Les balayages plus lents que 60 machines par jour environ, ou répartis entre "
        "plusieurs sources.",
    ),
    Text(
        "UDP probes sent from a service port, and probes made of lone ACK packets.",
        "Les sondes UDP émises depuis un port de service et celles faites de simples ACK.",
    ),
)
MISTAKE = Text(
    "A program whose servers are down, or no way out to the Internet.",
    "Un logiciel dont les serveurs sont arrêtés, ou une coupure d'accès à Internet.",
)
MONITOR = Text(
    "A monitoring server or inventory tool that checks a fixed list of machines.",
    "Un serveur de supervision ou d'inventaire qui vérifie une liste fixe de machines.",
)
AUTHORISED = Text(
    "A vulnerability scanner that the settings authorise.",
    "Un scanner de vulnérabilités autorisé dans les paramètres.",
)
PEERS = Text(
    "A peer-to-peer program looking for partners.",
    "Un logiciel pair-à-pair à la recherche de partenaires.",
)
STEPS = (
    Text(
        "Ask who uses this machine and what ran on it at that time.",
        "Demandez qui utilise cette machine et ce qui y tournait à ce moment.",
    ),
    Text(
        "If nobody can explain it, take the machine off the network and have it examined.",
        "Si personne ne l'explique, isolez la machine du réseau et faites-la examiner.",
    ),
)


class Scan:
    """Machines that one own machine tried on one port, and how many gave no useful answer."""

    card = Card(
        id="scan",
        families=("scan",),
        question=Text(
            "Which of our machines looks for an open door on many others?",
            "Laquelle de nos machines cherche une porte ouverte chez de nombreuses autres ?",
        ),
        proof="many machines tried on one port by one source, most of which refuse or stay silent",
        blind_spots=BLIND,
        innocent=(MISTAKE, MONITOR, AUTHORISED, PEERS),
        attack=("T1046", "T1018"),
        cost="one pass over flows; one row per own source and port",
        tables=("flows",),
        keys={"src": pl.String, "protocol": pl.Int64, "port": pl.Int64},
        columns={
            "failed": Merge.DISTINCT,
            "answered": Merge.DISTINCT,
            "tries": Merge.SUM,
            "first": Merge.MIN,
            "last": Merge.MAX,
            "examples": Merge.SAMPLE,
        },
        apart=("src",),
        window=dt.timedelta(hours=1),
        history=dt.timedelta(days=1),
        gap=dt.timedelta(hours=6),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Machines that each own source tried on each port, by whether they answered."""
        machine = pl.col("dst_ip")
        return (
            tries(tables.flows.filter(own(tables.flows["src_ip"], site)))
            .with_columns(
                window_of("start", self.card), src=pl.col("src_ip"), port=pl.col("dst_port")
            )
            .group_by("window", *self.card.keys)
            .agg(
                failed=sketch(machine.filter("failed")),
                answered=sketch(machine.filter(~pl.col("failed"))),
                tries=pl.len(),
                first=pl.col("start").cast(pl.Int64).min(),
                last=pl.col("end").cast(pl.Int64).max(),
                examples=sample(machine),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per own scanner, of the hour, or of the day where it is slow."""
        if not view.window.height:
            return
        web = pl.col("port").is_in(WEB)
        fast = _counted(view.window).filter(
            pl.col("silent") >= pl.when(web).then(WEB_HOSTS).otherwise(HOSTS),
            pl.col("share") >= UNANSWERED,
        )
        slow = _counted(with_history(view.window, view.history, self.card)).filter(
            pl.col("protocol") == TCP,
            ~web,
            pl.col("silent") >= SLOW_HOSTS,
            pl.col("share") >= SLOW_UNANSWERED,
            ~pl.col("src").is_in(fast["src"].to_list()),
        )
        for rows, is_slow in ((fast, False), (slow, True)):
            for doors in rows.sort("src").partition_by("src", maintain_order=True):
                yield _claim(doors, view, is_slow=is_slow)


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    # A machine that also answered is not silent, whatever else failed.
    only = pl.col("failed").list.set_difference(pl.col("answered")).list.len()
    part = only / pl.max_horizontal(pl.col("failed").list.len(), 1)
    rows = rows.with_columns(silent=distinct("failed") * part, open=distinct("answered"))
    return rows.with_columns(share=pl.col("silent") / (pl.col("silent") + pl.col("open")))


def _claim(doors: pl.DataFrame, view: View, *, is_slow: bool) -> Claim:
    doors = doors.sort("silent", "protocol", "port", descending=[True, False, False])
    names = [f"{TRANSPORTS[p]} {n}" for p, n in doors.select("protocol", "port").iter_rows()]
    top = doors.row(0, named=True)
    silent, total = round(top["silent"]), round(top["silent"] + top["open"])
    allowed = view.site.may_scan(top["src"], view.start)
    fixed = not is_slow and _known(doors, view.history) >= KNOWN_TARGETS
    severity = Severity.MEDIUM
    if allowed or fixed:
        severity = Severity.LOW
    elif not is_slow and (silent >= 2 * HOSTS or doors.height > 1):
        severity = Severity.HIGH
    name = view.site.name_of(top["src"])
    span = ("in a day", "en un jour") if is_slow else ("within an hour", "en une heure")
    return Claim(
        rule="scan.horizontal",
        family="scan",
        severity=severity,
        score=min(1.0, 0.5 + silent / 400 + 0.05 * doors.height),
        start=moment(min(doors["first"])),
        end=moment(max(doors["last"])),
        actor=top["src"],
        victim_port=top["port"],
        related=tuple(doors["examples"].explode().unique().sort().head(50)),
        title=Text(
            f"{name} looks for open doors on many machines",
            f"{name} cherche des portes ouvertes sur de nombreuses machines",
        ),
        reason=Text(
            f"{name} tried {names[0]} on {total} machines {span[0]} and {silent} of them gave no "
            f"useful answer; ports tried this way: {', '.join(names[:5])}.",
            f"{name} a essayé {names[0]} sur {total} machines {span[1]} et {silent} n'ont pas "
            f"répondu utilement ; ports essayés ainsi : {', '.join(names[:5])}.",
        ),
        measures=_measures(doors, top, is_slow=is_slow),
        explanations=(
            explained(AUTHORISED, allowed),
            explained(MONITOR, fixed if view.past else None),
            explained(MISTAKE, None),
            explained(PEERS, False),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1046", "T1018"),
        picture=Picture(
            kind="bars",
            x=tuple(float(place) for place in range(min(doors.height, 20))),
            y=tuple(doors["silent"].head(20)),
            labels=tuple(names[:20]),
            baseline=SLOW_HOSTS if is_slow else HOSTS,
            y_label=Text("machines without answer", "machines sans réponse"),
        ),
    )


def _known(doors: pl.DataFrame, history: pl.DataFrame) -> float:
    """Share of the silent machines that this source tried before."""
    before = history.filter(pl.col("src") == doors["src"][0])
    tried = {*before["failed"].explode(), *before["answered"].explode()}
    silent = set(doors["failed"].explode())
    return len(silent & tried) / len(silent)


def _measures(doors: pl.DataFrame, top: dict[str, Any], *, is_slow: bool) -> tuple[Measure, ...]:
    return (
        Measure(
            name="unanswered_machines",
            label=Text("machines without answer", "machines sans réponse"),
            value=round(top["silent"]),
            unit="machines",
            baseline=SLOW_HOSTS if is_slow else HOSTS,
        ),
        Measure(
            name="unanswered_share",
            label=Text("share without answer", "part sans réponse"),
            value=round(top["share"], 3),
            unit="share",
            baseline=SLOW_UNANSWERED if is_slow else UNANSWERED,
        ),
        Measure(
            name="ports",
            label=Text("ports tried this way", "ports essayés ainsi"),
            value=doors.height,
            unit="ports",
        ),
        Measure(
            name="attempts",
            label=Text("tries", "essais"),
            value=int(doors["tries"].sum()),
            unit="connections",
        ),
    )


DETECTOR = Scan()
