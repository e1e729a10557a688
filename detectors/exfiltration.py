"""Exfiltration: far more is sent to one outside host than comes back."""

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
    own,
    sample,
    window_of,
    with_history,
)

RATIO = 10
"""bytes sent per byte received; even an upload to the cloud answers one in thirty"""
ODD_BYTES = 10_000_000
"""bytes sent in a day on a port of no everyday service"""
WEB_BYTES = 100_000_000
"""bytes sent in a day on an everyday port: above a large mail or a form with films"""
USUAL_TIMES = 3
"""times what it sent to all others that day, or there on a clean day; below, it is its habit"""
EVERYDAY = (21, 22, 25, 80, 143, 443, 465, 587, 873, 990, 993, 995, 8080, 8443)
BACKUP = (
    *("dropbox.com", "dropboxapi.com", "onedrive.com", "1drv.com", "sharepoint.com", "live.com"),
    *("googleapis.com", "google.com", "icloud.com", "amazonaws.com", "backblazeb2.com"),
    *("windows.net", "office.com", "microsoft.com", "ovh.net", "ovhcloud.com", "twitter.com"),
    *("zoom.us", "jitsi.net", "gouv.fr", "swisstransfer.com", "wetransfer.com", "youtube.com"),
)
"""stores, clouds and meetings that people send large files to"""

BLIND = (
    Text(
        "What was sent; slow theft below these amounts; theft through mail or a known cloud.",
        "Ce qui a été envoyé ; un vol lent sous ces volumes ; un vol par courriel ou un nuage "
        "connu.",
    ),
)
CLOUD = Text(
    "A backup or an upload to a known cloud.", "Une sauvegarde ou un dépôt vers un nuage connu."
)
HABIT = Text(
    "A machine whose task it is to send (server, camera, backup).",
    "Une machine dont c'est le rôle d'envoyer (serveur, caméra, sauvegarde).",
)
STEPS = (
    Text(
        "Ask the user whether they sent files then, and where to.",
        "Demandez à l'utilisateur s'il a envoyé des fichiers à ce moment, et vers où.",
    ),
    Text(
        "Look up who owns the destination; keep the machine as it is for an examination.",
        "Cherchez à qui appartient la destination ; laissez la machine en l'état pour examen.",
    ),
)


class Exfiltration:
    """Bytes of a day per pair, against the other direction and the machine's own habit."""

    card = Card(
        id="exfiltration",
        families=("exfiltration",),
        question=Text(
            "Which machine sends an unusual amount outside?",
            "Quelle machine envoie un volume inhabituel vers l'extérieur ?",
        ),
        proof="bytes sent and received per pair and day",
        blind_spots=BLIND,
        innocent=(CLOUD, HABIT),
        attack=("T1041", "T1048"),
        cost="one pass over the flows",
        tables=("flows", "tls"),
        keys={"src": pl.String, "dst": pl.String, "port": pl.Int64, "protocol": pl.Int64},
        columns={
            "sent": Merge.SUM,
            "received": Merge.SUM,
            "names": Merge.SAMPLE,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        apart=("src",),
        window=dt.timedelta(hours=1),
        history=dt.timedelta(hours=24),
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Bytes each way by pair; names of servers beside them."""
        del site
        pair = (
            pl.col("src_ip").alias("src"),
            pl.col("dst_ip").alias("dst"),
            pl.col("protocol").cast(pl.Int64),
            pl.col("dst_port").cast(pl.Int64).alias("port"),
        )
        flows = tables.flows.filter(pl.col("protocol").is_in([6, 17])).select(
            window_of("start", self.card),
            *pair,
            sent=pl.col("src_bytes").cast(pl.Int64),
            received=pl.col("dst_bytes").cast(pl.Int64),
            first=pl.col("start").cast(pl.Int64),
            last=pl.col("end").cast(pl.Int64),
        )
        instant = pl.col("time").cast(pl.Int64)
        named = tables.tls.drop_nulls("server_name").select(
            window_of("time", self.card), *pair, name="server_name", first=instant, last=instant
        )
        return (
            pl.concat([flows, named], how="diagonal")
            .group_by("window", *self.card.keys)
            .agg(
                pl.col("sent", "received").sum(),
                names=sample(pl.col("name")),
                first=pl.col("first").min(),
                last=pl.col("last").max(),
            )
        )

    def learn(self, summary: pl.DataFrame, site: Site) -> pl.DataFrame:
        """The most that each machine sent to each destination in a day when all was clean."""
        del site
        day = pl.col("window").dt.truncate("1d")
        return (
            summary.group_by("src", "dst", "port", day)
            .agg(pl.col("sent").sum(), pl.col("names").explode().drop_nulls().unique().sort())
            .group_by("src", "dst", "port")
            .agg(pl.col("sent").max(), pl.col("names").explode().drop_nulls().unique().sort())
            # Less than this cannot make a habit of an amount that would alarm.
            .filter(pl.col("sent") * USUAL_TIMES > ODD_BYTES)
            .sort("src", "dst", "port")
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """Pairs of this window, with what they moved in the day before."""
        if not view.window.height:
            return
        rows = pl.concat([view.history, view.window])
        totals = rows.group_by("src").agg(all_sent=pl.col("sent").sum())
        # A server sends more than it is asked for, and what started outside is its visitor's.
        pairs = (
            with_history(view.window, view.history, self.card)
            .join(totals, on="src")
            .sort(*self.card.keys)
        )
        outside = ~own(pairs["dst"], view.site)
        everyday = pl.col("port").is_in(EVERYDAY)
        one_to_many = pl.col("dst").str.contains(r"^(22[4-9]\.|23\d\.|255\.|ff)")
        large = (
            (pl.col("sent") >= pl.when(everyday).then(WEB_BYTES).otherwise(ODD_BYTES))
            & (pl.col("sent") >= RATIO * pl.col("received"))
            & ~one_to_many
        )
        for row in pairs.filter(outside & pairs.select(large).to_series()).iter_rows(named=True):
            yield _upload(row, _usual(row, view.normal), view.site)


def _usual(row: dict[str, Any], normal: pl.DataFrame | None) -> int | None:
    """Bytes that the machine sent there on the busiest clean day; None before `learn`."""
    if normal is None:
        return None
    same_name = pl.col("names").list.set_intersection(row["names"]).list.len() > 0
    same = (pl.col("dst") == row["dst"]) & (pl.col("port") == row["port"])
    mine = normal.filter(pl.col("src") == row["src"], same | same_name)
    return max(mine["sent"], default=0)


def _upload(row: dict[str, Any], usual: int | None, site: Site) -> Claim:
    src = site.name_of(row["src"])
    name = f"{row['names'][0]} ({row['dst']})" if row["names"] else row["dst"]
    others = row["all_sent"] - row["sent"]
    cloud = bool(row["names"]) and all(
        any(n == good or n.endswith("." + good) for good in BACKUP) for n in row["names"]
    )
    habit = row["sent"] < USUAL_TIMES * max(others, usual or 0)
    severity = Severity.LOW if cloud or habit else Severity.MEDIUM
    if severity is Severity.MEDIUM and row["port"] not in EVERYDAY and row["sent"] >= WEB_BYTES:
        severity = Severity.HIGH
    megabytes, back = row["sent"] / 1e6, f"{row['received'] / 1e6:.1f}"
    return Claim(
        rule="exfiltration",
        family="exfiltration",
        severity=severity,
        score=min(1.0, 0.5 + megabytes / 1000),
        start=moment(row["first"]),
        end=moment(row["last"]),
        actor=row["src"],
        victim=row["dst"],
        victim_port=row["port"],
        scope=f"{row['protocol']}/{row['port']}",
        title=Text(
            f"{src} sent {megabytes:.0f} MB to {name}",
            f"{src} a envoyé {megabytes:.0f} Mo à {name}",
        ),
        reason=Text(
            f"{src} sent {megabytes:.0f} MB to {name} and got {back} MB back: files may have left.",
            f"{src} a envoyé {megabytes:.0f} Mo à {name} et en a reçu "
            f"{back.replace('.', ',')} Mo : des fichiers ont pu sortir.",
        ),
        measures=(
            Measure(
                name="sent",
                label=Text("sent", "envoyé"),
                value=row["sent"],
                unit="bytes",
                baseline=WEB_BYTES if row["port"] in EVERYDAY else ODD_BYTES,
            ),
            Measure(
                name="received", label=Text("received", "reçu"), value=row["received"], unit="bytes"
            ),
            Measure(
                name="ratio",
                label=Text("sent for each byte received", "envoyé pour un octet reçu"),
                value=row["sent"] / max(1, row["received"]),
                baseline=RATIO,
            ),
            Measure(
                name="sent_to_all_others",
                label=Text("sent to all others", "envoyé à tous les autres"),
                value=others,
                unit="bytes",
            ),
        ),
        explanations=(
            explained(CLOUD, cloud if row["names"] else None),
            explained(HABIT, habit or (None if usual is None else False)),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1041",),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0),
            y=(float(row["sent"]), float(row["received"])),
            labels=(Text("sent", "envoyé"), Text("received", "reçu")),
            y_label=Text("bytes", "octets"),
        ),
    )


DETECTOR = Exfiltration()
