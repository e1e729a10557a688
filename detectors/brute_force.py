"""Brute force: one machine tries passwords at one service, over and over."""

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
    times,
    window_of,
)

FAILURES = 10
"""refused logins an hour: people who forgot a password give up or call after a few"""
SESSIONS = 30
"""short sessions an hour at one service, where the refusals cannot be seen"""
RATE = 5.0
"""sessions a minute while it lasts: a monitoring check comes once a minute"""
UNIFORM = 0.4
"""share of sessions of nearly equal size: work differs each time, refused logins do not"""
SHORT_BYTES = 12_000
"""bytes both ways in a session: key exchange and a few refused passwords fit, work does not"""
SHORT_SECONDS = 60
STORED_RATE = 2.0
"""refused logins a minute of one account: below it a program retries a stored old password"""
HABIT = 2
"""earlier hours with the same pattern from which it is a habit of this site"""
MANY = 100
"""tries from which no person types them"""

LOGIN_PORTS = {
    21: "ftp",
    22: "ssh",
    2222: "ssh",
    23: "telnet",
    2323: "telnet",
    110: "pop3",
    143: "imap",
    993: "imap",
    995: "pop3",
    445: "smb",
    3389: "rdp",
    5900: "vnc",
    5985: "winrm",
}
"""services that ask for a password in every session, by port where content does not tell"""
LOGIN_SERVICES = ("ftp", "ssh", "telnet", "pop3", "imap", "rdp", "vnc", "winrm", "smb")
FACTOR = {"smb": 10, "imap": 4, "pop3": 4}
"""how many times more sessions it takes: their clients open many in normal work"""
TCP = 6

BLIND = (
    Text(
        "A few tries on each of many machines or accounts, and tries spread over many sources.",
        "Quelques essais sur chacune de nombreuses machines ou comptes, et les essais répartis "
        "entre plusieurs sources.",
    ),
    Text(
        "Inside encrypted sessions a refused password is not seen, only many short sessions.",
        "Dans une session chiffrée, le refus du mot de passe n'est pas visible, seulement de "
        "nombreuses sessions courtes.",
    ),
    Text(
        "Databases and web forms, unless the login itself is readable.",
        "Les bases de données et formulaires web, sauf si la connexion est lisible.",
    ),
)
STORED = Text(
    "A program that keeps using an old stored password.",
    "Un logiciel qui réutilise un ancien mot de passe enregistré.",
)
HABITUAL = Text(
    "A monitoring check or scheduled job that does this every hour.",
    "Une vérification de supervision ou une tâche planifiée qui le fait chaque heure.",
)
AUTHORISED = Text(
    "A scanner that the settings authorise.", "Un scanner autorisé dans les paramètres."
)
STEPS = (
    Text(
        "Look in the server's own log for logins from this address, above all one that succeeded.",
        "Cherchez dans le journal du serveur les connexions de cette adresse, surtout une réussie.",
    ),
    Text(
        "If one succeeded, change that password and examine what was done afterwards.",
        "Si une connexion a réussi, changez ce mot de passe et examinez ce qui a suivi.",
    ),
)


def _sessions(flows: pl.DataFrame, card: Card) -> pl.DataFrame:
    port = pl.col("dst_port").cast(pl.Int64)
    by_port = port.replace_strict(LOGIN_PORTS, default=None, return_dtype=pl.String)
    service = pl.coalesce("service", by_port)
    size = (pl.col("src_bytes") + pl.col("dst_bytes")).cast(pl.Int64)
    seconds = (pl.col("end") - pl.col("start")).dt.total_seconds()
    talked = (pl.col("src_packets") >= 3) & (pl.col("dst_packets") >= 2)
    return (
        flows.filter(pl.col("protocol") == TCP, talked)
        .with_columns(service=service, size=size, seconds=seconds)
        .filter(pl.col("service").is_in(LOGIN_SERVICES))
        .select(
            window_of("start", card),
            "src_ip",
            "dst_ip",
            "dst_port",
            "service",
            # Half a power of two: sessions with refused logins fall into one or two of these.
            bucket=(pl.col("size").clip(1).log(2) * 2).floor().cast(pl.Int64),
            short=((pl.col("size") <= SHORT_BYTES) & (pl.col("seconds") <= SHORT_SECONDS)).cast(
                pl.Int64
            ),
            tried=pl.lit(0, pl.Int64),
            refused=pl.lit(0, pl.Int64),
            accepted=pl.lit(0, pl.Int64),
            account=pl.lit(None, pl.String),
            moment=pl.col("start"),
            last=pl.col("end"),
        )
    )


def _logins(login: pl.DataFrame, card: Card) -> pl.DataFrame:
    # An SNMP community is no login, and nobody answers to it.
    return login.filter(pl.col("service") != "snmp").select(
        window_of("time", card),
        "src_ip",
        "dst_ip",
        "dst_port",
        "service",
        bucket=pl.lit(-1, pl.Int64),
        short=pl.lit(0, pl.Int64),
        tried=pl.lit(1, pl.Int64),
        refused=pl.col("success").eq(False).fill_null(False).cast(pl.Int64),
        accepted=pl.col("success").fill_null(False).cast(pl.Int64),
        account=pl.col("account"),
        moment=pl.col("time"),
        last=pl.col("time"),
    )


def _ssh(ssh: pl.DataFrame, card: Card) -> pl.DataFrame:
    known = pl.col("success")
    return ssh.filter(known.is_not_null()).select(
        window_of("time", card),
        "src_ip",
        "dst_ip",
        "dst_port",
        service=pl.lit("ssh"),
        bucket=pl.lit(-1, pl.Int64),
        short=pl.lit(0, pl.Int64),
        tried=pl.lit(1, pl.Int64),
        refused=(~known).cast(pl.Int64) * pl.col("attempts").fill_null(1).cast(pl.Int64),
        accepted=known.cast(pl.Int64),
        account=pl.lit(None, pl.String),
        moment=pl.col("time"),
        last=pl.col("time"),
    )


class BruteForce:
    """Refused logins where they are readable, many short equal sessions where they are not."""

    card = Card(
        id="brute_force",
        families=("brute_force",),
        question=Text(
            "Who tries one password after the other?",
            "Qui essaie un mot de passe après l'autre ?",
        ),
        proof="refused logins, or many short sessions of equal size in quick succession",
        blind_spots=BLIND,
        innocent=(STORED, HABITUAL, AUTHORISED),
        attack=("T1110", "T1110.001"),
        cost="one pass over flows, login and ssh; one row per pair, service and session size",
        tables=("flows", "login", "ssh"),
        keys={
            "src_ip": pl.String,
            "dst_ip": pl.String,
            "dst_port": pl.Int64,
            "service": pl.String,
            "bucket": pl.Int64,
        },
        columns={
            "sessions": Merge.SUM,
            "short": Merge.SUM,
            "tried": Merge.SUM,
            "refused": Merge.SUM,
            "accepted": Merge.SUM,
            "accounts": Merge.DISTINCT,
            "moments": Merge.TIMES,
            "last": Merge.MAX,
        },
        apart=("src_ip", "dst_ip"),
        window=dt.timedelta(hours=1),
        history=dt.timedelta(days=1),
        gap=dt.timedelta(hours=6),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Sessions and logins of each client at each service, by session size."""
        del site
        rows = pl.concat(
            [
                _sessions(tables.flows, self.card),
                _logins(tables.login, self.card),
                _ssh(tables.ssh, self.card),
            ],
            how="diagonal_relaxed",
        )
        return rows.group_by("window", *self.card.keys).agg(
            sessions=(pl.col("bucket") >= 0).sum().cast(pl.Int64),
            short=pl.col("short").sum(),
            tried=pl.col("tried").sum(),
            refused=pl.col("refused").sum(),
            accepted=pl.col("accepted").sum(),
            accounts=sketch(pl.col("account")),
            moments=times("moment"),
            last=pl.col("last").cast(pl.Int64).max(),
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per client and service."""
        found = _suspicious(view.window)
        if found.is_empty():
            return
        hours = view.history.partition_by("window") if view.history.height else []
        before = pl.concat([found.clear(), *map(_suspicious, hours)])
        for row in found.iter_rows(named=True):
            habit = before.filter(
                pl.col("src_ip") == row["src_ip"],
                pl.col("dst_ip") == row["dst_ip"],
                pl.col("service") == row["service"],
                pl.col("refused") == 0,
            ).height
            yield _claim(row, habit, view)


def _suspicious(rows: pl.DataFrame) -> pl.DataFrame:
    pairs = rows.group_by("src_ip", "dst_ip", "dst_port", "service").agg(
        sessions=pl.col("sessions").sum(),
        short=pl.col("short").sum(),
        largest=pl.col("short").max(),
        tried=pl.col("tried").sum(),
        refused=pl.col("refused").sum(),
        accepted=pl.col("accepted").sum(),
        accounts=pl.col("accounts").explode().drop_nulls().unique().sort().head(1024),
        moments=pl.col("moments").explode().drop_nulls().sort().head(1024),
        last=pl.col("last").max(),
    )
    factor = pl.col("service").replace_strict(FACTOR, default=1, return_dtype=pl.Int64)
    # The list of moments ends at 1,024: its own span gives the rate, whatever came later.
    minutes = (pl.col("moments").list.max() - pl.col("moments").list.min()) / 60e9
    counted = pl.max_horizontal(pl.col("short"), pl.col("refused"))
    listed = pl.min_horizontal(counted, pl.col("moments").list.len())
    pairs = pairs.with_columns(
        rate=listed / pl.max_horizontal(minutes, 1.0),
        uniform=pl.col("largest") / pl.max_horizontal(pl.col("sessions"), 1),
        names=distinct("accounts"),
    )
    blind = (
        (pl.col("short") >= SESSIONS * factor)
        & (pl.col("rate") >= RATE)
        & (pl.col("uniform") >= UNIFORM)
        & (pl.col("accepted") < pl.max_horizontal(pl.col("tried") / 2, 1))
    )
    return pairs.filter((pl.col("refused") >= FAILURES) | blind).sort(
        "src_ip", "dst_ip", "dst_port", "service"
    )


def _claim(row: dict[str, Any], habit: int, view: View) -> Claim:
    refused, short, accepted = int(row["refused"]), int(row["short"]), int(row["accepted"])
    seen = refused >= FAILURES
    tries = refused if seen else short
    stored = seen and row["names"] <= 1 and row["rate"] < STORED_RATE
    habitual = not seen and habit >= HABIT
    allowed = view.site.may_scan(row["src_ip"], view.start)
    inside = view.site.is_own(row["src_ip"])
    service = row["service"].upper()
    actor, victim = view.site.name_of(row["src_ip"]), view.site.name_of(row["dst_ip"])
    broke_in = seen and accepted > 0
    severity = Severity.MEDIUM
    if stored or habitual or allowed:
        severity = Severity.LOW
    elif broke_in or (inside and tries >= SESSIONS) or tries >= 5 * MANY:
        severity = Severity.HIGH
    proof = (
        (
            f"{refused} logins were refused"
            + (f" and {accepted} accepted" if accepted else "; none was seen to succeed"),
            f"{refused} connexions ont été refusées"
            + (f" et {accepted} acceptées" if accepted else " ; aucune réussite n'a été vue"),
        )
        if seen
        else (
            f"{short} short sessions of nearly the same size followed each other",
            f"{short} sessions courtes de taille presque égale se sont succédé",
        )
    )
    first = row["moments"][0]
    marks = tuple(moment / 1e9 for moment in row["moments"][:500])
    return Claim(
        rule="brute_force",
        family="brute_force",
        severity=severity,
        score=min(1.0, 0.4 + tries / 500 + (0.3 if broke_in else 0.0)),
        start=dt.datetime.fromtimestamp(first / 1e9, dt.UTC),
        end=dt.datetime.fromtimestamp(row["last"] / 1e9, dt.UTC),
        actor=row["src_ip"],
        victim=row["dst_ip"],
        victim_port=row["dst_port"],
        scope=f"{row['service']}/{row['dst_port']}",
        title=Text(
            f"{actor} tries passwords on {victim} ({service})",
            f"{actor} essaie des mots de passe sur {victim} ({service})",
        ),
        reason=Text(
            f"{actor} tried to log in to {victim} by {service} about {row['rate']:.0f} times a "
            f"minute: {proof[0]}.",
            f"{actor} a tenté de se connecter à {victim} par {service} environ "
            f"{row['rate']:.0f} fois par minute : {proof[1]}.",
        ),
        measures=(
            Measure(
                name="refused_logins",
                label=Text("logins refused", "connexions refusées"),
                value=refused,
                unit="logins",
                baseline=FAILURES,
            ),
            Measure(
                name="short_sessions",
                label=Text("short sessions", "sessions courtes"),
                value=short,
                unit="sessions",
                baseline=SESSIONS,
            ),
            Measure(
                name="rate",
                label=Text("tries while it lasted", "essais pendant l'attaque"),
                value=round(row["rate"], 2),
                unit="per minute",
                baseline=RATE,
            ),
            Measure(
                name="equal_size_share",
                label=Text("share of sessions of equal size", "part des sessions de même taille"),
                value=round(row["uniform"], 3),
                baseline=UNIFORM,
            ),
            Measure(
                name="accepted_logins",
                label=Text("logins accepted", "connexions acceptées"),
                value=accepted,
                unit="logins",
            ),
            Measure(
                name="accounts",
                label=Text("accounts tried", "comptes essayés"),
                value=float(row["names"]),
                unit="accounts",
            ),
        ),
        explanations=(
            explained(STORED, stored if seen else None),
            explained(HABITUAL, habitual if seen or view.past else None),
            explained(AUTHORISED, allowed),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1110.001",),
        picture=Picture(
            kind="timeline",
            x=marks,
            x_label=Text("time of each try", "heure de chaque essai"),
        ),
    )


DETECTOR = BruteForce()
