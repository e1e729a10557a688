"""Port scan: one of our machines tries the doors of one machine, one after the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

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
    sketch,
    tries,
    window_of,
    with_history,
)

PORTS = 20
"""ports of one machine an hour without answer: a program that looks for its server tries few"""
SLOW_PORTS = 60
"""ports of one machine a day without answer, for scans that stay under PORTS an hour"""
MANY = 100
"""ports of one machine that nobody tries by mistake"""
KNOWN_PORTS = 0.7
"""share of ports already tried in the hours before: a fixed list, as monitors have"""
BITS = 16
"""bits of a port, beside its time in one number"""

BLIND = (
    Text(
        "Port scans slower than about 60 ports a day, or shared among many sources.",
        "Les balayages plus lents que 60 ports par jour environ, ou répartis entre plusieurs "
        "sources.",
    ),
    Text(
        "UDP probes sent from a service port, and probes made of lone ACK packets.",
        "Les sondes UDP émises depuis un port de service et celles faites de simples ACK.",
    ),
)
MISTAKE = Text(
    "A program that looks for its server, which is down.",
    "Un logiciel qui cherche son serveur, arrêté.",
)
MONITOR = Text(
    "A monitoring server or inventory tool that checks a fixed list of ports.",
    "Un serveur de supervision ou d'inventaire qui vérifie une liste fixe de ports.",
)
AUTHORISED = Text(
    "A vulnerability scanner that the settings authorise.",
    "Un scanner de vulnérabilités autorisé dans les paramètres.",
)
STEPS = (
    Text(
        "Ask who uses this machine and what ran on it at that time.",
        "Demandez qui utilise cette machine et ce qui y tournait à ce moment.",
    ),
    Text(
        "See which of the ports answered, and whether anybody logged in there afterwards.",
        "Voyez quels ports ont répondu, et si quelqu'un s'y est connecté ensuite.",
    ),
)


class PortScan:
    """Ports of one machine that one own machine tried without a useful answer."""

    card = Card(
        id="port_scan",
        families=("scan",),
        question=Text(
            "Which of our machines tries all the doors of another?",
            "Laquelle de nos machines essaie toutes les portes d'une autre ?",
        ),
        proof="many ports of one machine tried by one source that refuse or stay silent",
        blind_spots=BLIND,
        innocent=(MISTAKE, MONITOR, AUTHORISED),
        attack=("T1046",),
        cost="one pass over flows; one row per own source and machine that failed it",
        tables=("flows",),
        keys={"src": pl.String, "dst": pl.String},
        columns={
            "ports": Merge.DISTINCT,
            "tries": Merge.SUM,
            "touches": Merge.TIMES,
            "last": Merge.MAX,
        },
        apart=("src",),
        window=dt.timedelta(hours=1),
        history=dt.timedelta(days=1),
        gap=dt.timedelta(hours=6),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Ports of each machine on which each own source failed."""
        start, port = pl.col("start").cast(pl.Int64), pl.col("dst_port").cast(pl.Int64)
        return (
            tries(tables.flows.filter(own(tables.flows["src_ip"], site)))
            .filter("failed")
            .with_columns(window_of("start", self.card), src=pl.col("src_ip"), dst=pl.col("dst_ip"))
            .group_by("window", *self.card.keys)
            .agg(
                ports=sketch(pl.concat_str("protocol", "dst_port", separator="/")),
                tries=pl.len(),
                # Milliseconds, then the port in the low bits: sorts by time as TIMES must.
                touches=(start // 1_000_000 * 2**BITS + port).sort().head(1024),
                last=pl.col("end").cast(pl.Int64).max(),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per own scanner, of the hour, or of the day where it is slow."""
        if not view.window.height:
            return
        counted = distinct("ports").alias("silent")
        fast = view.window.with_columns(counted).filter(pl.col("silent") >= PORTS)
        slow = (
            with_history(view.window, view.history, self.card)
            .with_columns(counted)
            .filter(
                pl.col("silent") >= SLOW_PORTS, ~pl.col("src").is_in(fast["src"].unique().to_list())
            )
        )
        for rows, is_slow in ((fast, False), (slow, True)):
            for machines in rows.sort("src").partition_by("src", maintain_order=True):
                yield _claim(machines, view, is_slow=is_slow)


def _claim(machines: pl.DataFrame, view: View, *, is_slow: bool) -> Claim:
    machines = machines.sort("silent", "dst", descending=[True, False])
    top, others = machines.row(0, named=True), machines.height - 1
    silent = round(top["silent"])
    allowed = view.site.may_scan(top["src"], view.start)
    fixed = not is_slow and _known(machines, view.history) >= KNOWN_PORTS
    severity = Severity.MEDIUM
    if allowed or fixed:
        severity = Severity.LOW
    elif silent >= MANY or others:
        severity = Severity.HIGH
    name, target = view.site.name_of(top["src"]), view.site.name_of(top["dst"])
    more = (
        (f" and did the same to {others} others", f" et de même pour {others} autres")
        if others
        else ("", "")
    )
    span = ("in a day", "en un jour") if is_slow else ("within an hour", "en une heure")
    touches = top["touches"][:: max(1, -(-len(top["touches"]) // 500))]
    begun = min(machines["touches"].explode())
    return Claim(
        rule="scan.vertical",
        family="scan",
        severity=severity,
        score=min(1.0, 0.5 + silent / 1000 + 0.02 * others),
        start=moment((begun >> BITS) * 1_000_000),
        end=moment(max(machines["last"])),
        actor=top["src"],
        victim=None if others else top["dst"],
        related=tuple(machines["dst"].head(50)),
        title=Text(
            f"{name} tries the doors of {target} one after the other",
            f"{name} essaie une à une les portes de {target}",
        ),
        reason=Text(
            f"{name} tried {silent} different ports of {target} {span[0]} without a useful "
            f"answer{more[0]}.",
            f"{name} a essayé {silent} ports différents de {target} {span[1]} sans réponse "
            f"utile{more[1]}.",
        ),
        measures=(
            Measure(
                name="unanswered_ports",
                label=Text("ports without answer", "ports sans réponse"),
                value=silent,
                unit="ports",
                baseline=SLOW_PORTS if is_slow else PORTS,
            ),
            Measure(
                name="machines",
                label=Text("machines tried this way", "machines essayées ainsi"),
                value=machines.height,
                unit="machines",
            ),
            Measure(
                name="attempts",
                label=Text("tries", "essais"),
                value=int(machines["tries"].sum()),
                unit="connections",
            ),
        ),
        explanations=(
            explained(AUTHORISED, allowed),
            explained(MONITOR, fixed if view.past else None),
            explained(MISTAKE, None),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1046",),
        picture=Picture(
            kind="fan_out",
            x=tuple(float(touch % 2**BITS) for touch in touches),
            y=tuple((touch >> BITS) / 1000 for touch in touches),
            x_label=Text(f"ports of {target}", f"ports de {target}"),
        ),
    )


def _known(machines: pl.DataFrame, history: pl.DataFrame) -> float:
    """Share of the silent ports that this source tried before."""
    tried = set(history.filter(pl.col("src") == machines["src"][0])["ports"].explode())
    silent = set(machines["ports"].explode())
    return len(silent & tried) / len(silent)


DETECTOR = PortScan()
