"""Ping sweep: one of our machines pings many machines once to see which exist."""

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
    window_of,
)

PINGED = 12
"""machines an hour that get a ping or two: people ping a few, a monitor pings for ever"""
MANY = 100
"""machines that nobody pings by mistake"""
PINGS_EACH = 5
"""packets a pinged machine: a sweep sends one or two, a monitor dozens an hour"""
KNOWN_TARGETS = 0.7
"""share of machines already pinged in the hours before: a fixed list, as monitors have"""
ICMP = (1, 58)
ASKING = (8, 13, 15, 17, 128)
"""ICMP types that ask: echo, time, information, mask (RFC 792, 950), echo in IPv6 (RFC 4443)"""

BLIND = (
    Text(
        "Sweeps slower than a dozen machines an hour, or that ask by ARP on the same network.",
        "Les balayages plus lents qu'une douzaine de machines par heure, ou faits par ARP sur le "
        "même réseau.",
    ),
)
MONITOR = Text(
    "A monitoring server or inventory tool that checks a fixed list of machines.",
    "Un serveur de supervision ou d'inventaire qui vérifie une liste fixe de machines.",
)
AUTHORISED = Text(
    "A vulnerability scanner that the settings authorise.",
    "Un scanner de vulnérabilités autorisé dans les paramètres.",
)
REFUSAL = Text(
    "A machine that tells its callers that a port is closed.",
    "Une machine qui signale à ceux qui l'appellent qu'un port est fermé.",
)
STEPS = (
    Text(
        "Ask who uses this machine and what ran on it at that time.",
        "Demandez qui utilise cette machine et ce qui y tournait à ce moment.",
    ),
    Text(
        "See what the machine did next: a scan of ports usually follows.",
        "Voyez ce que la machine a fait ensuite : un balayage de ports suit en général.",
    ),
)


class PingSweep:
    """Machines that one own machine pinged."""

    card = Card(
        id="ping_sweep",
        families=("scan",),
        question=Text(
            "Which of our machines looks for machines that exist?",
            "Laquelle de nos machines cherche quelles machines existent ?",
        ),
        proof="a ping or two to each of many machines within an hour",
        blind_spots=BLIND,
        innocent=(MONITOR, AUTHORISED, REFUSAL),
        attack=("T1018",),
        cost="one pass over flows; one row per own machine",
        tables=("flows",),
        keys={"machine": pl.String},
        columns={
            "others": Merge.DISTINCT,
            "silent": Merge.DISTINCT,
            "packets": Merge.SUM,
            "untold": Merge.SUM,
            "first": Merge.MIN,
            "last": Merge.MAX,
            "examples": Merge.SAMPLE,
        },
        apart=("machine",),
        window=dt.timedelta(hours=1),
        history=dt.timedelta(days=1),
        gap=dt.timedelta(hours=6),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Machines that each own machine pinged; `untold` counts flows of an unknown type."""
        to_many = pl.col("dst_ip").str.contains(r"^(22[4-9]|23\d|255)\.|\.255$|^ff")
        # A refusal is ICMP too: it answers somebody who called.
        asks = pl.col("protocol").is_in(ICMP) & (
            pl.col("icmp_type").is_in(ASKING) | pl.col("icmp_type").is_null()
        )
        pings = tables.flows.filter(pl.col("src_packets") > 0, ~to_many, asks)
        return (
            pings.filter(own(pings["src_ip"], site))
            .with_columns(window_of("start", self.card), machine="src_ip")
            .group_by("window", *self.card.keys)
            .agg(
                others=sketch(pl.col("dst_ip")),
                silent=sketch(pl.col("dst_ip").filter(pl.col("state") == "S0")),
                packets=pl.col("src_packets").cast(pl.Int64).sum(),
                untold=pl.col("icmp_type").is_null().cast(pl.Int64).sum(),
                first=pl.col("start").cast(pl.Int64).min(),
                last=pl.col("end").cast(pl.Int64).max(),
                examples=sample(pl.col("dst_ip")),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per own machine that sweeps."""
        rows = view.window.with_columns(reached=distinct("others"), mute=distinct("silent"))
        sweeps = (pl.col("reached") >= PINGED) & (
            pl.col("packets") <= PINGS_EACH * pl.col("reached")
        )
        for row in rows.filter(sweeps).sort("machine").iter_rows(named=True):
            yield _claim(row, view)


def _claim(row: dict[str, Any], view: View) -> Claim:
    source, count, pinged = row["machine"], round(row["reached"]), set(row["others"])
    past = view.history.filter(pl.col("machine") == source)
    known = pinged & set(past["others"].explode())
    fixed = len(known) >= KNOWN_TARGETS * len(pinged)
    allowed = view.site.may_scan(source, view.start)
    severity = Severity.HIGH if count >= MANY else Severity.MEDIUM
    name, mute = view.site.name_of(source), min(count, round(row["mute"]))
    return Claim(
        rule="scan.ping_sweep",
        family="scan",
        severity=Severity.LOW if allowed or fixed else severity,
        score=min(1.0, 0.4 + count / 400),
        start=moment(row["first"]),
        end=moment(row["last"]),
        actor=source,
        related=tuple(row["examples"]),
        title=Text(
            f"{name} calls many machines to see which exist",
            f"{name} appelle de nombreuses machines pour voir lesquelles existent",
        ),
        reason=Text(
            f"{name} sent a ping or two to each of {count} machines within an hour; {mute} did "
            "not answer.",
            f"{name} a envoyé un ou deux pings à chacune de {count} machines en une heure ; "
            f"{mute} n'ont pas répondu.",
        ),
        measures=(
            Measure(
                name="pinged_machines",
                label=Text("machines pinged", "machines appelées par ping"),
                value=count,
                unit="machines",
                baseline=PINGED,
            ),
            Measure(
                name="packets_per_machine",
                label=Text("packets for each machine", "paquets par machine"),
                value=round(row["packets"] / row["reached"], 2),
                unit="packets",
                baseline=PINGS_EACH,
            ),
            Measure(
                name="silent_machines",
                label=Text("machines without answer", "machines sans réponse"),
                value=mute,
                unit="machines",
            ),
        ),
        explanations=(
            explained(AUTHORISED, allowed),
            explained(MONITOR, fixed if view.past else None),
            explained(REFUSAL, None if row["untold"] else False),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1018",),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0),
            y=(float(count - mute), float(mute)),
            labels=(Text("answered", "ont répondu"), Text("silent", "sans réponse")),
            y_label=Text("machines", "machines"),
        ),
    )


DETECTOR = PingSweep()
