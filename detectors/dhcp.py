"""Address exhaustion: strange machines ask for addresses until the network has none left."""

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
    sketch,
    window_of,
)

CLIENTS = 100
"""machines that ask one network for an address in ten minutes"""
RATE = 20
"""requests in the peak second: a school's morning is spread over minutes"""
STRONG = 10
"""times the threshold from which addresses run out for certain"""
UDP, SERVER_PORT = 17, 67

BLIND = (
    Text(
        "Requests that the sensor does not see: they are broadcast, and end at the router.",
        "Les demandes que la sonde ne voit pas : elles sont diffusées et s'arrêtent au routeur.",
    ),
)
MORNING = Text(
    "Many machines switched on at once, after a power cut for instance.",
    "De nombreuses machines allumées en même temps, par exemple après une panne de courant.",
)
STEPS = (
    Text(
        "Look at the switch for the port that the requests come from, and who is plugged in there.",
        "Cherchez sur le commutateur le port d'où viennent les demandes, et qui y est branché.",
    ),
    Text(
        "See how many addresses the DHCP server still has.",
        "Voyez combien d'adresses il reste au serveur DHCP.",
    ),
)


class Dhcp:
    """Requests for an address, second by second; every rogue client has another name."""

    card = Card(
        id="dhcp",
        families=("flood",),
        question=Text(
            "Is somebody using up the addresses of the network?",
            "Quelqu'un épuise-t-il les adresses du réseau ?",
        ),
        proof="requests for an address from many machines within a few seconds",
        blind_spots=BLIND,
        innocent=(MORNING,),
        attack=("T1498",),
        cost="one pass over flows; one row per second with a request",
        tables=("flows",),
        keys={"second": pl.Int64},
        columns={
            "requests": Merge.SUM,
            "bytes": Merge.SUM,
            "sources": Merge.DISTINCT,
            "last": Merge.MAX,
        },
        window=dt.timedelta(minutes=10),
        gap=dt.timedelta(minutes=30),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Requests that began in each second, and from how many machines."""
        del site
        return (
            tables.flows.filter(pl.col("protocol") == UDP, pl.col("dst_port") == SERVER_PORT)
            .with_columns(window_of("start", self.card), second=pl.col("start").dt.epoch("s"))
            .group_by("window", "second")
            .agg(
                requests=pl.len().cast(pl.Int64),
                bytes=pl.col("src_bytes").cast(pl.Int64).sum(),
                sources=sketch(pl.col("src_ip")),
                last=pl.col("end").cast(pl.Int64).max(),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim for the network, where addresses run out."""
        seconds = view.window.sort("second")
        whole = seconds.select(
            requests=pl.col("requests").sum(),
            peak=pl.col("requests").max(),
            bytes=pl.col("bytes").sum(),
            sources=pl.col("sources").explode().drop_nulls().unique().sort().head(1024).implode(),
            first=pl.col("second").min(),
            last=pl.col("last").max(),
        ).with_columns(clients=pl.min_horizontal(distinct("sources"), pl.col("requests")))
        for row in whole.iter_rows(named=True):
            if (row["clients"] or 0) >= CLIENTS and row["peak"] >= RATE:
                yield _claim(row, seconds)


def _claim(row: dict[str, Any], seconds: pl.DataFrame) -> Claim:
    requests, peak, clients = row["requests"], row["peak"], int(row["clients"])
    strong = requests >= STRONG * CLIENTS or peak >= STRONG * RATE
    return Claim(
        rule="flood.dhcp",
        family="flood",
        severity=Severity.HIGH if strong else Severity.MEDIUM,
        score=min(1.0, 0.5 + 0.05 * requests / CLIENTS),
        start=dt.datetime.fromtimestamp(row["first"], dt.UTC),
        end=dt.datetime.fromtimestamp(row["last"] / 1e9, dt.UTC),
        title=Text(
            "The network's addresses are being used up",
            "Les adresses du réseau sont en train d'être épuisées",
        ),
        reason=Text(
            f"{requests} requests for an address from about {clients} machines within ten "
            f"minutes, up to {peak} in one second.",
            f"{requests} demandes d'adresse venant d'environ {clients} machines en dix minutes, "
            f"jusqu'à {peak} en une seconde.",
        ),
        measures=(
            Measure(
                name="peak_per_second",
                label=Text("most in one second", "maximum en une seconde"),
                value=peak,
                unit="per second",
                baseline=RATE,
            ),
            Measure(
                name="sources",
                label=Text("machines that ask", "machines qui demandent"),
                value=clients,
                unit="addresses",
                baseline=CLIENTS,
            ),
            Measure(
                name="volume", label=Text("volume", "volume"), value=int(row["bytes"]), unit="bytes"
            ),
        ),
        explanations=(explained(MORNING, None),),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1498",),
        picture=Picture(
            kind="rate",
            x=tuple(float(second) for second in seconds["second"].head(500)),
            y=tuple(float(amount) for amount in seconds["requests"].head(500)),
            baseline=float(RATE),
            x_label=Text("time", "heure"),
            y_label=Text("requests per second", "demandes par seconde"),
        ),
    )


DETECTOR = Dhcp()
