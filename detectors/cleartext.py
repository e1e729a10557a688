"""Clear-text credentials: a password crosses the network where anybody on the way can read it."""

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
    sample,
    sketch,
    window_of,
)

NEVER = 0
"""readable passwords there should be; one is enough to be read"""
ANONYMOUS = "anonymous"
"""scheme of a login that holds no secret"""

BLIND = (
    Text(
        "Whether somebody read the password on its way, and passwords in web forms.",
        "Si quelqu'un a lu le mot de passe en chemin, et les mots de passe des formulaires web.",
    ),
)
LEGACY = Text(
    "An old device that knows no encryption, used on purpose inside the building.",
    "Un ancien appareil sans chiffrement, utilisé à dessein dans les locaux.",
)
TUNNEL = Text(
    "The way to the other site is encrypted as a whole (VPN) behind the sensor.",
    "Le trajet vers l'autre site est chiffré dans son ensemble (VPN) après la sonde.",
)
STEPS = (
    Text(
        "Switch to the encrypted form: SFTP or FTPS, SSH, IMAPS, SMTP with STARTTLS, HTTPS, "
        "SNMPv3.",
        "Passez à la forme chiffrée : SFTP ou FTPS, SSH, IMAPS, SMTP avec STARTTLS, HTTPS, SNMPv3.",
    ),
    Text(
        "Then change the passwords that were used this way.",
        "Changez ensuite les mots de passe utilisés ainsi.",
    ),
)


class Cleartext:
    """One finding per client, server and service inside; one a day for all that crosses."""

    card = Card(
        id="cleartext",
        families=("cleartext_credentials",),
        question=Text(
            "Which passwords can be read on the network?",
            "Quels mots de passe sont lisibles sur le réseau ?",
        ),
        proof="a login or community string seen in clear text",
        blind_spots=BLIND,
        innocent=(LEGACY, TUNNEL),
        attack=("T1040", "T1552"),
        cost="one pass over the login table",
        tables=("login",),
        keys={
            "client": pl.String,
            "server": pl.String,
            "port": pl.Int64,
            "service": pl.String,
        },
        columns={
            "logins": Merge.SUM,
            "refused": Merge.SUM,
            "accepted": Merge.SUM,
            "accounts": Merge.DISTINCT,
            "schemes": Merge.SAMPLE,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        window=dt.timedelta(days=1),
        gap=dt.timedelta(days=2),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Readable logins of each client at each service."""
        del site
        scheme = pl.col("scheme").str.to_lowercase()
        return (
            tables.login.filter(scheme.ne(ANONYMOUS).fill_null(True))
            .with_columns(
                window_of("time", self.card),
                client=pl.col("src_ip"),
                server=pl.col("dst_ip"),
                port=pl.col("dst_port").cast(pl.Int64),
            )
            .group_by("window", *self.card.keys)
            .agg(
                logins=pl.len(),
                refused=pl.col("success").eq(False).fill_null(False).sum().cast(pl.Int64),
                accepted=pl.col("success").eq(True).fill_null(False).sum().cast(pl.Int64),
                accounts=sketch(pl.col("account")),
                schemes=sample(pl.col("scheme")),
                first=pl.col("time").cast(pl.Int64).min(),
                last=pl.col("time").cast(pl.Int64).max(),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """Inside: a list to work through. Across our border: one alarm a day for all."""
        leaving: list[dict[str, Any]] = []
        for row in view.window.with_columns(names=distinct("accounts")).iter_rows(named=True):
            if row["service"] == "snmp" and not view.site.is_own(row["client"]):
                continue  # an outsider guesses a community; no secret of ours travels
            ours = view.site.is_own(row["client"])
            inside = ours and view.site.is_own(row["server"])
            # A stranger's guess is no secret of ours before it is accepted.
            harmless = row["refused"] == row["logins"] or not (ours or row["accepted"])
            if inside or harmless:
                yield _inside(row, view.site)
            else:
                leaving.append(row)
        if leaving:
            yield _leaving(leaving, view.site)


def _measures(rows: list[dict[str, Any]]) -> tuple[Measure, ...]:
    return (
        Measure(
            name="readable_logins",
            label=Text("readable logins", "connexions lisibles"),
            value=sum(row["logins"] for row in rows),
            unit="logins",
            baseline=NEVER,
        ),
        Measure(
            name="accounts",
            label=Text("accounts", "comptes"),
            value=sum(row["names"] for row in rows),
            unit="accounts",
        ),
        Measure(
            name="servers",
            label=Text("servers", "serveurs"),
            value=len({row["server"] for row in rows}),
            unit="servers",
        ),
    )


def _picture(rows: list[dict[str, Any]]) -> Picture:
    top = sorted(rows, key=lambda row: (-row["logins"], row["server"]))[:20]
    return Picture(
        kind="bars",
        x=tuple(float(place) for place in range(len(top))),
        y=tuple(float(row["logins"]) for row in top),
        labels=tuple(f"{row['service']} {row['server']}" for row in top),
        y_label=Text("logins", "connexions"),
    )


def _inside(row: dict[str, Any], site: Site) -> Claim:
    client, server = site.name_of(row["client"]), site.name_of(row["server"])
    service = row["service"].upper()
    return Claim(
        rule="cleartext.inside",
        family="cleartext_credentials",
        severity=Severity.LOW,
        score=0.3,
        start=moment(row["first"]),
        end=moment(row["last"]),
        actor=row["client"],
        victim=row["server"],
        victim_port=row["port"],
        scope=f"{row['service']}/{row['port']}",
        title=Text(
            f"A readable {service} password between {client} and {server}",
            f"Un mot de passe {service} lisible entre {client} et {server}",
        ),
        reason=Text(
            f"{client} sent its {service} password to {server} unencrypted "
            f"{row['logins']} time(s); anybody on the way can read it.",
            f"{client} a envoyé {row['logins']} fois son mot de passe {service} à {server} sans "
            "chiffrement ; quiconque sur le trajet peut le lire.",
        ),
        measures=_measures([row]),
        explanations=(explained(LEGACY, None),),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1040",),
        picture=_picture([row]),
    )


def _leaving(rows: list[dict[str, Any]], site: Site) -> Claim:
    worst = min(rows, key=lambda row: (-row["logins"], row["client"], row["server"]))
    client, server = site.name_of(worst["client"]), site.name_of(worst["server"])
    service = worst["service"].upper()
    addresses = dict.fromkeys(a for row in rows for a in (row["client"], row["server"]))
    count = len(rows)
    return Claim(
        rule="cleartext.leaving",
        family="cleartext_credentials",
        # A community opens statistics as a rule, a password opens an account.
        severity=Severity.LOW if all(row["service"] == "snmp" for row in rows) else Severity.MEDIUM,
        score=min(1.0, 0.5 + 0.02 * count),
        start=moment(min(row["first"] for row in rows)),
        end=moment(max(row["last"] for row in rows)),
        scope="outside",
        related=tuple(addresses)[:100],
        title=Text(
            "Readable passwords cross the Internet",
            "Des mots de passe lisibles traversent Internet",
        ),
        reason=Text(
            f"{client} sent a {service} password unencrypted to {server} across the Internet; "
            f"{count} connection(s) of this kind were seen that day.",
            f"{client} a envoyé un mot de passe {service} sans chiffrement à {server} à travers "
            f"Internet ; {count} liaison(s) de ce type ce jour-là.",
        ),
        measures=_measures(rows),
        explanations=(
            explained(TUNNEL, None),
            explained(LEGACY, False),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1040", "T1552"),
        picture=_picture(rows),
    )


DETECTOR = Cleartext()
