"""Tunnel in pings: two machines exchange large pings of changing size, as hidden data would."""

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
    explained,
    moment,
    window_of,
    with_history,
)

PACKETS = 50
"""echo packets in a day; fewer is a person who tests a line"""
MEAN = 128
"""bytes of the mean echo packet; ping sends 84 on Linux, 60 on Windows"""
SPREAD = 16
"""bytes between smallest and largest echo packet of a flow; ping sends all alike"""

BLIND = (
    Text(
        "Data in pings of ordinary size, and other ICMP messages.",
        "Des données dans des pings de taille ordinaire, et les autres messages ICMP.",
    ),
)
TESTS = Text(
    "A line test with pings of unusual size.",
    "Un test de ligne avec des pings de taille inhabituelle.",
)
STEPS = (
    Text(
        "Ask whether somebody tested a line then.",
        "Demandez si quelqu'un testait une ligne à ce moment.",
    ),
    Text(
        "Find the program on the machine that sends the pings; keep a capture of them.",
        "Cherchez sur la machine le programme qui envoie ces pings ; gardez-en une capture.",
    ),
)


class PingTunnel:
    """Number and sizes of echo packets of each pair."""

    card = Card(
        id="ping_tunnel",
        families=("exfiltration",),
        question=Text(
            "Do two machines hide a conversation in pings?",
            "Deux machines cachent-elles une conversation dans des pings ?",
        ),
        proof="many echo packets, larger than ping sends and of changing size",
        blind_spots=BLIND,
        innocent=(TESTS,),
        attack=("T1048", "T1095"),
        cost="one pass over the flows",
        tables=("flows",),
        keys={"src": pl.String, "dst": pl.String},
        columns={
            "packets": Merge.SUM,
            "sent": Merge.SUM,
            "received": Merge.SUM,
            "uneven": Merge.SUM,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        apart=("src", "dst"),
        window=dt.timedelta(hours=1),
        history=dt.timedelta(hours=24),
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Echo packets and bytes each way by pair, and flows whose packets differ in size."""
        del site
        # ICMP errors carry no talk of their own.
        echo = pl.col("protocol").is_in([1, 58]) & (
            pl.col("icmp_type").is_in([0, 8, 128, 129]) | pl.col("icmp_type").is_null()
        )
        uneven = (pl.col("src_len_max") - pl.col("src_len_min")) > SPREAD
        return (
            tables.flows.filter(echo)
            .with_columns(window_of("start", self.card), src=pl.col("src_ip"), dst=pl.col("dst_ip"))
            .group_by("window", *self.card.keys)
            .agg(
                packets=(pl.col("src_packets") + pl.col("dst_packets")).cast(pl.Int64).sum(),
                sent=pl.col("src_bytes").cast(pl.Int64).sum(),
                received=pl.col("dst_bytes").cast(pl.Int64).sum(),
                uneven=uneven.fill_null(False).sum().cast(pl.Int64),
                first=pl.col("start").cast(pl.Int64).min(),
                last=pl.col("end").cast(pl.Int64).max(),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per pair of this window, judged with the day before."""
        mean = (pl.col("sent") + pl.col("received")) / pl.col("packets")
        pairs = with_history(view.window, view.history, self.card)
        for row in pairs.filter(pl.col("packets") >= PACKETS, mean >= MEAN).iter_rows(named=True):
            yield _in_pings(row, view.site)


def _in_pings(row: dict[str, Any], site: Site) -> Claim:
    src, dst = site.name_of(row["src"]), site.name_of(row["dst"])
    total = row["sent"] + row["received"]
    # Logs do not tell the sizes of single packets: without them it is a hint only.
    severity = Severity.MEDIUM if row["uneven"] else Severity.LOW
    return Claim(
        rule="exfiltration.icmp",
        family="exfiltration",
        severity=severity,
        score=min(1.0, 0.5 + total / 1e6),
        start=moment(row["first"]),
        end=moment(row["last"]),
        actor=row["src"],
        victim=row["dst"],
        scope="icmp",
        title=Text(
            f"{src} and {dst} talk through pings", f"{src} et {dst} communiquent par des pings"
        ),
        reason=Text(
            f"{src} and {dst} exchanged {row['packets']} pings of changing, large size "
            f"({total // 1000} kB): they may carry hidden data.",
            f"{src} et {dst} ont échangé {row['packets']} pings de grande taille variable "
            f"({total // 1000} ko) : ils peuvent cacher des données.",
        ),
        measures=(
            Measure(
                name="pings",
                label=Text("pings", "pings"),
                value=row["packets"],
                unit="packets",
                baseline=PACKETS,
            ),
            Measure(
                name="mean_size",
                label=Text("mean size of a ping", "taille moyenne d'un ping"),
                value=total / row["packets"],
                unit="bytes",
                baseline=MEAN,
            ),
            Measure(
                name="flows_of_uneven_size",
                label=Text("exchanges of uneven size", "échanges de tailles inégales"),
                value=row["uneven"],
                unit="flows",
                baseline=0,
            ),
        ),
        explanations=(explained(TESTS, False if row["uneven"] else None),),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1048", "T1095"),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0),
            y=(float(row["sent"]), float(row["received"])),
            labels=(Text("sent", "envoyé"), Text("received", "reçu")),
            y_label=Text("bytes", "octets"),
        ),
    )


DETECTOR = PingTunnel()
