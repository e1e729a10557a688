"""Command and control: one long or odd session with a lone machine outside."""

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

LONG_S = 1800
"""seconds of session in total; page views and downloads are over sooner"""
RECONNECTS = 5
"""sessions with the same machine from which on it is a programmed reconnection"""
SHORT_S = 300
"""seconds of session in total that reconnections must add up to"""
QUIET_BYTES_S = 100_000
"""bytes a second both ways; above it the session is a download, a film or a backup"""
MUCH_SENT = 10_000_000
"""bytes sent from which on such a session is also a way for files to leave"""
POPULAR = 2
"""machines here that use the same destination; then it is a service"""

USUAL = (
    *(20, 21, 22, 25, 43, 53, 80, 110, 123, 143, 389, 443, 465, 587, 636, 853, 873, 989, 990),
    *(993, 995, 1194, 1433, 1723, 1883, 1935, 3306, 3389, 3478, 5060, 5061, 5222, 5223, 5228),
    *(5229, 5230, 5432, 5671, 5672, 5900, 5938, 6568, 7070, 8080, 8443, 8801, 8883, 9418, 51820),
)
"""ports of everyday services that keep sessions open: web, mail, push, remote help, VPN"""

BLIND = (
    Text(
        "Sessions on everyday ports (80, 443), and what was said.",
        "Les sessions sur les ports courants (80, 443), et le contenu échangé.",
    ),
)
KNOWN_PROTOCOL = Text("A protocol that is known and allowed.", "Un protocole connu et autorisé.")
SHARED = Text(
    "A service that several machines here use.",
    "Un service que plusieurs machines d'ici utilisent.",
)
GAME = Text(
    "A game, a chat or remote help that the user started.",
    "Un jeu, une messagerie ou une assistance lancée par l'utilisateur.",
)
STEPS = (
    Text(
        "Ask the user what was running then; look up the destination.",
        "Demandez à l'utilisateur ce qui tournait alors ; renseignez-vous sur la destination.",
    ),
    Text(
        "On the machine, find the program that holds the connection.",
        "Sur la machine, cherchez le programme qui tient la connexion.",
    ),
)


class CommandAndControl:
    """TCP sessions to one outside address on an odd port that last, or come back and back."""

    card = Card(
        id="c2",
        families=("c2",),
        question=Text(
            "Which machine keeps an odd session with the outside?",
            "Quelle machine entretient une session inhabituelle avec l'extérieur ?",
        ),
        proof="time, count and bytes of TCP sessions on a port of no everyday service",
        blind_spots=BLIND,
        innocent=(KNOWN_PROTOCOL, SHARED, GAME),
        attack=("T1571", "T1219"),
        cost="one pass over the flows",
        tables=("flows",),
        keys={"src": pl.String, "dst": pl.String, "port": pl.Int64},
        columns={
            "sessions": Merge.SUM,
            "milliseconds": Merge.SUM,
            "sent": Merge.SUM,
            "received": Merge.SUM,
            "services": Merge.SAMPLE,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        window=dt.timedelta(hours=1),
        history=dt.timedelta(hours=24),
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Answered TCP sessions on ports of no everyday service, by pair and port."""
        del site
        talked = (pl.col("dst_bytes") > 0) & (pl.col("src_packets") > 2)
        odd = ~pl.col("dst_port").is_in(USUAL) & (pl.col("dst_port") > 0)
        # Below 1,024 on the other side: we see the answers of a server, seen from the middle.
        asked = pl.col("src_port") >= 1024
        return (
            tables.flows.filter(pl.col("protocol") == 6, talked, odd, asked)
            .with_columns(
                window_of("start", self.card),
                src=pl.col("src_ip"),
                dst=pl.col("dst_ip"),
                port=pl.col("dst_port").cast(pl.Int64),
            )
            .group_by("window", *self.card.keys)
            .agg(
                sessions=pl.len().cast(pl.Int64),
                milliseconds=(pl.col("end") - pl.col("start")).dt.total_milliseconds().sum(),
                sent=pl.col("src_bytes").cast(pl.Int64).sum(),
                received=pl.col("dst_bytes").cast(pl.Int64).sum(),
                services=sample(pl.col("service")),
                first=pl.col("start").cast(pl.Int64).min(),
                last=pl.col("end").cast(pl.Int64).max(),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """Pairs of this window whose sessions of a day are long or come back."""
        keys = list(self.card.keys)
        rows = pl.concat([view.history, view.window])
        if not view.window.height:
            return
        users = rows.group_by("dst", "port").agg(users=pl.col("src").n_unique())
        pairs = (
            rows.join(view.window.select(keys), on=keys, how="semi")
            .group_by(keys)
            .agg(
                pl.col("sessions", "milliseconds", "sent", "received").sum(),
                pl.col("services").explode().drop_nulls().unique().sort(),
                pl.col("first").min(),
                pl.col("last").max(),
            )
            .with_columns(seconds=pl.col("milliseconds") / 1000)
            .filter(
                (pl.col("seconds") >= LONG_S)
                | (pl.col("sessions") >= RECONNECTS) & (pl.col("seconds") >= SHORT_S),
                (pl.col("sent") + pl.col("received")) <= QUIET_BYTES_S * pl.col("seconds"),
            )
            .join(users, on=["dst", "port"])
            .sort(keys)
        )
        outside = ~own(pairs["dst"], view.site)
        # Sessions that come in from outside, or stay inside, are other detectors' subject.
        for row in pairs.filter(outside).iter_rows(named=True):
            yield _claim(row, view.site)


def _claim(row: dict[str, Any], site: Site) -> Claim:
    src, dst, port = site.name_of(row["src"]), row["dst"], row["port"]
    long, many = row["seconds"] >= LONG_S, row["sessions"] >= RECONNECTS
    popular, known = row["users"] >= POPULAR, bool(row["services"])
    severity = Severity.LOW if popular or known else Severity.MEDIUM
    if severity is Severity.MEDIUM and long and many and row["sent"] >= MUCH_SENT:
        severity = Severity.HIGH
    minutes = row["seconds"] / 60
    return Claim(
        rule="c2",
        family="c2",
        severity=severity,
        score=min(1.0, 0.3 + 0.3 * long + 0.2 * many + 0.1 * (row["sent"] > row["received"])),
        start=_moment(row["first"]),
        end=_moment(row["last"]),
        actor=row["src"],
        victim=dst,
        victim_port=port,
        scope=str(port),
        title=Text(
            f"{src} keeps an odd session with {dst}",
            f"{src} entretient une session inhabituelle avec {dst}",
        ),
        reason=Text(
            f"{src} was connected to {dst} on port {port}, which no everyday service uses, for "
            f"{minutes:.0f} minutes in {row['sessions']} session(s).",
            f"{src} a été connectée à {dst} sur le port {port}, qu'aucun service courant "
            f"n'utilise, {minutes:.0f} minutes en {row['sessions']} session(s).",
        ),
        measures=(
            Measure(name="session_time", value=row["seconds"], unit="seconds", baseline=LONG_S),
            Measure(name="sessions", value=row["sessions"], unit="sessions", baseline=RECONNECTS),
            Measure(name="sent", value=row["sent"], unit="bytes"),
            Measure(name="received", value=row["received"], unit="bytes"),
            Measure(name="machines_that_use_it", value=row["users"], baseline=POPULAR),
        ),
        explanations=(
            Explanation(text=KNOWN_PROTOCOL, state="holds" if known else "not_checked"),
            Explanation(text=SHARED, state="holds" if popular else "excluded"),
            Explanation(text=GAME, state="not_checked"),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1571", "T1219"),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0),
            y=(float(row["sent"]), float(row["received"])),
            labels=("sent", "received"),
            y_label=Text("bytes", "octets"),
        ),
    )


def _moment(nanoseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC)


DETECTOR = CommandAndControl()
