"""Exfiltration: far more is sent to one outside host than comes back, or hidden in pings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import polars as pl

from cyberterr.contracts import (
    Card,
    Claim,
    Explanation,
    Measure,
    Merge,
    Picture,
    Severity,
    Site,
    Tables,
    Text,
    View,
    own,
    sample,
    window_of,
)

RATIO = 10
"""bytes sent per byte received; even an upload to the cloud answers one in thirty"""
ODD_BYTES = 10_000_000
"""bytes sent in a day on a port of no everyday service"""
WEB_BYTES = 100_000_000
"""bytes sent in a day on an everyday port: above a large mail or a form with films"""
USUAL_TIMES = 3
"""times what the machine sent to all others in the same day; below it, sending is its habit"""
PING_PACKETS = 50
"""echo packets in a day; fewer is a person who tests a line"""
PING_MEAN = 128
"""bytes of the mean echo packet; ping sends 84 on Linux, 60 on Windows"""
PING_SPREAD = 16
"""bytes between smallest and largest echo packet of a flow; ping sends all alike"""

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
TESTS = Text(
    "A line test with pings of unusual size.",
    "Un test de ligne avec des pings de taille inhabituelle.",
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
        proof="bytes sent and received per pair and day; sizes of echo packets",
        blind_spots=BLIND,
        innocent=(CLOUD, HABIT, TESTS),
        attack=("T1041", "T1048"),
        cost="one pass over the flows",
        tables=("flows", "tls"),
        keys={"src": pl.String, "dst": pl.String, "port": pl.Int64, "protocol": pl.Int64},
        columns={
            "flows": Merge.SUM,
            "packets": Merge.SUM,
            "sent": Merge.SUM,
            "received": Merge.SUM,
            "uneven": Merge.SUM,
            "names": Merge.SAMPLE,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        window=dt.timedelta(hours=1),
        history=dt.timedelta(hours=24),
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Bytes each way by pair; names of servers beside them."""
        del site
        keys = ["window", *self.card.keys]
        is_ping = pl.col("protocol").is_in([1, 58])
        port = pl.when(is_ping).then(0).otherwise(pl.col("dst_port").cast(pl.Int64)).alias("port")
        who = (
            pl.col("src_ip").alias("src"),
            pl.col("dst_ip").alias("dst"),
            pl.col("protocol").cast(pl.Int64),
            port,
        )
        # ICMP errors (Zeek: type 3, 11) carry no talk of their own.
        talk = ~is_ping | pl.col("src_port").is_in([0, 8, 128])
        spread = pl.col("src_len_max") - pl.col("src_len_min")
        bytes_ = (
            tables.flows.filter(pl.col("protocol").is_in([1, 6, 17, 58]), talk)
            .with_columns(window_of("start", self.card), *who)
            .group_by(keys)
            .agg(
                flows=pl.len().cast(pl.Int64),
                packets=(pl.col("src_packets") + pl.col("dst_packets")).cast(pl.Int64).sum(),
                sent=pl.col("src_bytes").cast(pl.Int64).sum(),
                received=pl.col("dst_bytes").cast(pl.Int64).sum(),
                uneven=(spread > PING_SPREAD).fill_null(False).sum().cast(pl.Int64),
                names=pl.lit([], pl.List(pl.String)).first(),
                first=pl.col("start").cast(pl.Int64).min(),
                last=pl.col("end").cast(pl.Int64).max(),
            )
        )
        named = (
            tables.tls.drop_nulls("server_name")
            .with_columns(window_of("time", self.card), *who)
            .group_by(keys)
            .agg(
                *(pl.lit(0, pl.Int64).alias(name) for name in _SUMS),
                names=sample(pl.col("server_name")),
                first=pl.col("time").cast(pl.Int64).min(),
                last=pl.col("time").cast(pl.Int64).max(),
            )
        )
        return (
            pl.concat([bytes_, named])
            .group_by(keys)
            .agg(
                pl.col(*_SUMS).sum(),
                sample(pl.col("names").explode()),
                pl.col("first").min(),
                pl.col("last").max(),
            )
            .select(*keys, *self.card.columns)
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """Pairs of this window, with what they moved in the day before."""
        if not view.window.height:
            return
        keys = list(self.card.keys)
        rows = pl.concat([view.history, view.window])
        pairs = (
            rows.join(view.window.select(keys), on=keys, how="semi")
            .group_by(keys)
            .agg(
                pl.col(*_SUMS).sum(),
                pl.col("names").explode().drop_nulls().unique().sort(),
                pl.col("first").min(),
                pl.col("last").max(),
            )
        )
        totals = rows.group_by("src").agg(all_sent=pl.col("sent").sum())
        # A server sends more than it is asked for, and what started outside is its visitor's.
        pairs = pairs.join(totals, on="src").sort(keys)
        outside = ~own(pairs["dst"], view.site)
        everyday = pl.col("port").is_in(EVERYDAY)
        one_to_many = pl.col("dst").str.contains(r"^(22[4-9]\.|23\d\.|255\.|ff)")
        large = (
            pl.col("protocol").is_in([6, 17])
            & (pl.col("sent") >= pl.when(everyday).then(WEB_BYTES).otherwise(ODD_BYTES))
            & (pl.col("sent") >= RATIO * pl.col("received"))
            & ~one_to_many
        )
        for row in pairs.filter(outside & pairs.select(large).to_series()).iter_rows(named=True):
            yield _upload(row, view.site)
        pings = pl.col("protocol").is_in([1, 58]) & (pl.col("packets") >= PING_PACKETS)
        mean = (pl.col("sent") + pl.col("received")) / pl.col("packets")
        for row in pairs.filter(pings, mean >= PING_MEAN).iter_rows(named=True):
            yield _in_pings(row, view.site)


_SUMS = ("flows", "packets", "sent", "received", "uneven")


def _upload(row: dict[str, Any], site: Site) -> Claim:
    src = site.name_of(row["src"])
    name = f"{row['names'][0]} ({row['dst']})" if row["names"] else row["dst"]
    others = row["all_sent"] - row["sent"]
    cloud = bool(row["names"]) and all(
        any(n == good or n.endswith("." + good) for good in BACKUP) for n in row["names"]
    )
    habit = row["sent"] < USUAL_TIMES * others
    severity = Severity.LOW if cloud or habit else Severity.MEDIUM
    if severity is Severity.MEDIUM and row["port"] not in EVERYDAY and row["sent"] >= WEB_BYTES:
        severity = Severity.HIGH
    megabytes = row["sent"] / 1e6
    return Claim(
        rule="exfiltration",
        family="exfiltration",
        severity=severity,
        score=min(1.0, 0.5 + megabytes / 1000),
        start=_moment(row["first"]),
        end=_moment(row["last"]),
        actor=row["src"],
        victim=row["dst"],
        victim_port=row["port"],
        scope=f"{row['protocol']}/{row['port']}",
        title=Text(
            f"{src} sent {megabytes:.0f} MB to {name}",
            f"{src} a envoyé {megabytes:.0f} Mo à {name}",
        ),
        reason=Text(
            f"{src} sent {megabytes:.0f} MB to {name} and got "
            f"{row['received'] / 1e6:.1f} MB back: files may have left.",
            f"{src} a envoyé {megabytes:.0f} Mo à {name} et en a reçu "
            f"{row['received'] / 1e6:.1f} Mo : des fichiers ont pu sortir.",
        ),
        measures=(
            Measure(
                name="sent",
                value=row["sent"],
                unit="bytes",
                baseline=WEB_BYTES if row["port"] in EVERYDAY else ODD_BYTES,
            ),
            Measure(name="received", value=row["received"], unit="bytes"),
            Measure(name="ratio", value=row["sent"] / max(1, row["received"]), baseline=RATIO),
            Measure(name="sent_to_all_others", value=others, unit="bytes"),
        ),
        explanations=(
            Explanation(
                text=CLOUD,
                state="holds" if cloud else "excluded" if row["names"] else "not_checked",
            ),
            Explanation(text=HABIT, state="holds" if habit else "not_checked"),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1041",),
        picture=_picture(row),
    )


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
        start=_moment(row["first"]),
        end=_moment(row["last"]),
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
            Measure(name="pings", value=row["packets"], unit="packets", baseline=PING_PACKETS),
            Measure(
                name="mean_size", value=total / row["packets"], unit="bytes", baseline=PING_MEAN
            ),
            Measure(name="flows_of_uneven_size", value=row["uneven"], unit="flows", baseline=0),
        ),
        explanations=(
            Explanation(text=TESTS, state="excluded" if row["uneven"] else "not_checked"),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1048", "T1095"),
        picture=_picture(row),
    )


def _picture(row: dict[str, Any]) -> Picture:
    return Picture(
        kind="bars",
        x=(0.0, 1.0),
        y=(float(row["sent"]), float(row["received"])),
        labels=("sent", "received"),
        y_label=Text("bytes", "octets"),
    )


def _moment(nanoseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC)


DETECTOR = Exfiltration()
