"""Command and control: one long or odd session with a lone machine outside."""

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
HABIT = Text(
    "Machines here already used it in the clean period.",
    "Des machines d'ici l'utilisaient déjà pendant la période saine.",
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
        innocent=(KNOWN_PROTOCOL, SHARED, HABIT, GAME),
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
        apart=("dst", "port"),
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

    def learn(self, summary: pl.DataFrame, site: Site) -> pl.DataFrame:
        """Destinations and ports that machines here kept sessions with when all was clean."""
        del site
        return summary.select("dst", "port").unique().sort("dst", "port")

    def judge(self, view: View) -> Iterator[Claim]:
        """Pairs of this window whose sessions of a day are long or come back."""
        if not view.window.height:
            return
        rows = pl.concat([view.history, view.window])
        users = rows.group_by("dst", "port").agg(users=pl.col("src").n_unique())
        pairs = (
            with_history(view.window, view.history, self.card)
            .with_columns(seconds=pl.col("milliseconds") / 1000)
            .filter(
                (pl.col("seconds") >= LONG_S)
                | (pl.col("sessions") >= RECONNECTS) & (pl.col("seconds") >= SHORT_S),
                (pl.col("sent") + pl.col("received")) <= QUIET_BYTES_S * pl.col("seconds"),
            )
            .join(users, on=["dst", "port"])
            .sort("src", "dst", "port")
        )
        usual = set() if view.normal is None else set(view.normal.iter_rows())
        outside = ~own(pairs["dst"], view.site)
        # Sessions that come in from outside, or stay inside, are other detectors' subject.
        for row in pairs.filter(outside).iter_rows(named=True):
            habit = None if view.normal is None else (row["dst"], row["port"]) in usual
            yield _claim(row, habit, view.site)


def _claim(row: dict[str, Any], habit: bool | None, site: Site) -> Claim:
    src, dst, port = site.name_of(row["src"]), row["dst"], row["port"]
    long, many = row["seconds"] >= LONG_S, row["sessions"] >= RECONNECTS
    popular, known = row["users"] >= POPULAR, bool(row["services"])
    severity = Severity.LOW if popular or known or habit else Severity.MEDIUM
    if severity is Severity.MEDIUM and long and many and row["sent"] >= MUCH_SENT:
        severity = Severity.HIGH
    minutes = row["seconds"] / 60
    return Claim(
        rule="c2",
        family="c2",
        severity=severity,
        score=min(1.0, 0.3 + 0.3 * long + 0.2 * many + 0.1 * (row["sent"] > row["received"])),
        start=moment(row["first"]),
        end=moment(row["last"]),
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
            Measure(
                name="session_time",
                label=Text("time connected", "durée de connexion"),
                value=row["seconds"],
                unit="seconds",
                baseline=LONG_S,
            ),
            Measure(
                name="sessions",
                label=Text("sessions", "sessions"),
                value=row["sessions"],
                unit="sessions",
                baseline=RECONNECTS,
            ),
            Measure(name="sent", label=Text("sent", "envoyé"), value=row["sent"], unit="bytes"),
            Measure(
                name="received", label=Text("received", "reçu"), value=row["received"], unit="bytes"
            ),
            Measure(
                name="machines_that_use_it",
                label=Text("machines here that use it", "machines d'ici qui l'utilisent"),
                value=row["users"],
                baseline=POPULAR,
            ),
        ),
        explanations=(
            explained(KNOWN_PROTOCOL, known or None),
            explained(SHARED, popular),
            explained(HABIT, habit),
            explained(GAME, None),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1571", "T1219"),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0),
            y=(float(row["sent"]), float(row["received"])),
            labels=(Text("sent", "envoyé"), Text("received", "reçu")),
            y_label=Text("bytes", "octets"),
        ),
    )


DETECTOR = CommandAndControl()
