"""Exploring machines: somebody asks a controller for everything it might have."""

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
    sketch,
    window_of,
)

ADDRESSES = 100
"""different addresses asked for in an hour; a master asks for a few again and again"""
FUNCTIONS = 15
"""different function codes; a master uses two to six"""
REFUSED = 0.3
"""share of requests that the device refused; a master asks for what exists"""
MASTER_REQUESTS = 20
"""requests to a device in a day from which on another source counts as its master"""

BLIND = (
    Text(
        "Slow exploration, and one that asks only for what exists; protocols other than Modbus, "
        "DNP3, S7, BACnet and IEC 104.",
        "Une exploration lente, ou limitée à ce qui existe ; les protocoles autres que Modbus, "
        "DNP3, S7, BACnet et IEC 104.",
    ),
)
COMMISSIONING = Text(
    "The device is being installed or tested, and has no master yet.",
    "L'appareil est en cours d'installation ou d'essai, sans poste de conduite.",
)
ENGINEER = Text(
    "Maintenance: an engineer's laptop or an inventory tool.",
    "Une maintenance : le portable d'un technicien ou un outil d'inventaire.",
)
STEPS = (
    Text(
        "Ask those who run the plant who works on this machine.",
        "Demandez aux exploitants qui travaille sur cette machine.",
    ),
    Text(
        "See whether the same source gave orders afterwards.",
        "Voyez si la même source a donné des ordres ensuite.",
    ),
)


class OtRecon:
    """Addresses and functions that each source tried on each device, and what was refused."""

    card = Card(
        id="ot_recon",
        families=("ot_recon",),
        question=Text(
            "Who explores machines, and for what?",
            "Qui explore les machines, et pourquoi ?",
        ),
        proof="many different addresses or functions asked of one device, and many refused",
        blind_spots=BLIND,
        innocent=(COMMISSIONING, ENGINEER),
        attack=("T0846", "T0888"),
        cost="one pass over the OT table",
        tables=("ot",),
        keys={"src": pl.String, "dst": pl.String, "ot_protocol": pl.String},
        columns={
            "requests": Merge.SUM,
            "refused": Merge.SUM,
            "addresses": Merge.DISTINCT,
            "functions": Merge.DISTINCT,
            "port": Merge.MAX,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        window=dt.timedelta(hours=1),
        history=dt.timedelta(hours=24),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Requests of each source to each device, what they asked for, what was refused."""
        del site
        asks = pl.col("request").fill_null(True)
        refused = ~asks & pl.col("function_name").str.contains("exception").fill_null(False)
        return (
            tables.ot.with_columns(
                window_of("time", self.card), src=pl.col("src_ip"), dst=pl.col("dst_ip")
            )
            .group_by("window", *self.card.keys)
            .agg(
                requests=asks.sum().cast(pl.Int64),
                refused=refused.sum().cast(pl.Int64),
                addresses=sketch(pl.col("address").filter(asks)),
                functions=sketch(pl.col("function").filter(asks)),
                port=pl.col("dst_port").cast(pl.Int64).max(),
                first=pl.col("time").cast(pl.Int64).min(),
                last=pl.col("time").cast(pl.Int64).max(),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per source and device that it explores."""
        rows = view.window.with_columns(
            different=distinct("addresses"), codes=distinct("functions")
        ).filter(
            (pl.col("different") >= ADDRESSES) | (pl.col("codes") >= FUNCTIONS),
            pl.col("refused") >= REFUSED * pl.max_horizontal("requests", 1),
        )
        for row in rows.sort(*self.card.keys).iter_rows(named=True):
            yield _recon(row, _master(pl.concat([view.history, view.window]), row), view.site)


def _master(rows: pl.DataFrame, row: dict[str, Any]) -> str | None:
    """Who else asks this device, and most often; None where nobody does."""
    others = (
        rows.filter(pl.col("dst") == row["dst"], pl.col("src") != row["src"])
        .group_by("src")
        .agg(pl.col("requests").sum())
        .filter(pl.col("requests") >= MASTER_REQUESTS)
        .sort("requests", "src", descending=[True, False])
    )
    return str(others["src"][0]) if others.height else None


def _recon(row: dict[str, Any], master: str | None, site: Site) -> Claim:
    src, dst = site.name_of(row["src"]), site.name_of(row["dst"])
    return Claim(
        rule="ot_write.recon",
        family="ot_recon",
        # Alone with the device it may be its commissioning; beside a master it has no business.
        severity=Severity.MEDIUM if master else Severity.LOW,
        score=min(1.0, 0.5 + row["different"] / 10_000 + row["codes"] / 300),
        start=moment(row["first"]),
        end=moment(row["last"]),
        actor=row["src"],
        victim=row["dst"],
        victim_port=row["port"],
        scope=row["ot_protocol"],
        related=(master,) if master else (),
        title=Text(f"{src} explores the machine {dst}", f"{src} explore la machine {dst}"),
        reason=Text(
            f"{src} tried {row['different']:.0f} addresses and {row['codes']:.0f} functions of "
            f"{dst}; the machine refused {row['refused']} of {row['requests']} requests.",
            f"{src} a essayé {row['different']:.0f} adresses et {row['codes']:.0f} fonctions de "
            f"{dst} ; la machine a refusé {row['refused']} demandes sur {row['requests']}.",
        ),
        measures=(
            Measure(
                name="different_addresses",
                label=Text("different addresses asked for", "adresses différentes demandées"),
                value=row["different"],
                baseline=ADDRESSES,
            ),
            Measure(
                name="different_functions",
                label=Text("different functions used", "fonctions différentes utilisées"),
                value=row["codes"],
                baseline=FUNCTIONS,
            ),
            Measure(
                name="refused",
                label=Text("requests refused", "requêtes refusées"),
                value=row["refused"] / max(1, row["requests"]),
                unit="share",
                baseline=REFUSED,
            ),
        ),
        explanations=(
            explained(COMMISSIONING, False if master else None),
            explained(ENGINEER, None),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T0846", "T0888"),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0, 2.0),
            y=(float(row["requests"]), float(row["refused"]), float(row["different"])),
            labels=(
                Text("requests", "requêtes"),
                Text("refused", "refusées"),
                Text("addresses", "adresses"),
            ),
            y_label=Text("requests and addresses", "requêtes et adresses"),
        ),
    )


DETECTOR = OtRecon()
