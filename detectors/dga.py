"""Generated names: malware looks for its master under names that a program makes up."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

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
)

NAMES = 25
"""random-looking domains that do not exist, in an hour; a person mistypes a few"""
SHARE = 0.2
"""share of all domains asked for; a crawler meets dead domains too, but few"""
DEAD = 0.5
"""share of the look-ups of a domain that say it does not exist"""

SECOND_LEVEL = r"^(ac|asso|co|com|edu|go|gouv|gov|ne|net|or|org)\.[a-z]{2}$"
"""public suffixes of two labels as countries make them: co.uk, com.br, gouv.fr"""

BLIND = (
    Text(
        "Names made of dictionary words, names that do exist, and encrypted look-ups (DNS over "
        "HTTPS or TLS).",
        "Les noms faits de mots du dictionnaire, les noms qui existent, et les requêtes chiffrées "
        "(DNS sur HTTPS ou TLS).",
    ),
)
RESOLVER = Text(
    "The machine is a name server that asks for many clients.",
    "La machine est un serveur de noms qui interroge pour de nombreux clients.",
)
TYPING = Text(
    "A list of old addresses, or a browser that tests its network with random names.",
    "Une liste d'adresses périmées, ou un navigateur qui teste le réseau avec des noms au hasard.",
)
STEPS = (
    Text(
        "Find the program on the machine that asks for these names.",
        "Cherchez sur la machine le programme qui demande ces noms.",
    ),
    Text(
        "See which of the names did exist, and who answered there.",
        "Voyez lesquels de ces noms existaient, et qui y a répondu.",
    ),
)


class GeneratedNames:
    """Registered-looking names of each client, and how many of them do not exist."""

    card = Card(
        id="dga",
        families=("dga",),
        question=Text(
            "Which machine asks for names that a program made up?",
            "Quelle machine demande des noms inventés par un programme ?",
        ),
        proof="many random-looking domains in an hour that do not exist",
        blind_spots=BLIND,
        innocent=(RESOLVER, TYPING),
        attack=("T1568.002",),
        cost="one pass over the look-ups; one row per client, domain and hour",
        tables=("dns",),
        keys={"client": pl.String, "domain": pl.String},
        columns={
            "queries": Merge.SUM,
            "missing": Merge.SUM,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        apart=("client",),
        window=dt.timedelta(hours=1),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Look-ups of each client under each registered domain, and how many met nothing."""
        del site
        query = pl.col("query")
        labels = query.str.split(".")
        two, three = labels.list.tail(2).list.join("."), labels.list.tail(3).list.join(".")
        real = query.str.contains(r"\.([a-z]{2,24}|xn--[a-z0-9-]+)$")
        local = query.str.contains(r"(^|\.)(arpa|local|lan|home|localdomain|wpad)$|^_|\._")
        return (
            tables.dns.drop_nulls("query")
            .filter(pl.col("dst_port") == 53, real, ~local)
            .with_columns(
                window_of("time", self.card),
                client=pl.col("src_ip"),
                domain=pl.when(two.str.contains(SECOND_LEVEL)).then(three).otherwise(two),
            )
            .group_by("window", *self.card.keys)
            .agg(
                queries=pl.len(),
                missing=(pl.col("rcode") == "NXDOMAIN").fill_null(False).sum().cast(pl.Int64),
                first=pl.col("time").cast(pl.Int64).min(),
                last=pl.col("time").cast(pl.Int64).max(),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per client that asks for many such names."""
        clients = view.window.sort(*self.card.keys).partition_by("client", as_dict=True)
        for (client,), asked in clients.items():
            dead = asked.filter(pl.col("missing") >= DEAD * pl.col("queries"))
            random = [name for name in dead["domain"] if looks_random(name)]
            if len(random) >= max(NAMES, SHARE * asked.height):
                yield _generated(str(client), asked.height, dead, random, view.site)


def looks_random(domain: str) -> bool:
    """Whether the first label of *domain* looks made by a program, not by a person."""
    label = domain.split(".", maxsplit=1)[0]
    letters = re.sub("[^a-z]", "", label)
    if len(label) < 7 or label.startswith("xn--") or not letters:
        return False
    vowels = len(re.findall("[aeiouy]", letters)) / len(letters)
    mixed = len(re.findall(r"[a-z]\d|\d[a-z]", label)) >= 3
    return mixed or vowels < 0.2 or re.search("[bcdfghjklmnpqrstvwxz]{5}", letters) is not None


def _generated(client: str, asked: int, dead: pl.DataFrame, random: list[str], site: Site) -> Claim:
    name, count = site.name_of(client), len(random)
    first, last = dead["first"].to_list(), dead["last"].to_list()
    return Claim(
        rule="dns_tunnel.dga",
        family="dga",
        severity=Severity.MEDIUM,
        score=min(1.0, 0.4 + count / 200),
        start=moment(min(first)),
        end=moment(max(last)),
        actor=client,
        scope="dga",
        title=Text(
            f"{name} asks for names made by a program",
            f"{name} demande des noms fabriqués par un programme",
        ),
        reason=Text(
            f"{name} asked for {count} random-looking domains that do not exist, such as "
            f"{random[0]}: malware looks for its master this way.",
            f"{name} a demandé {count} domaines d'allure aléatoire qui n'existent pas, comme "
            f"{random[0]} : un logiciel malveillant cherche ainsi son maître.",
        ),
        measures=(
            Measure(
                name="random_dead_domains",
                label=Text(
                    "random-looking domains that do not exist",
                    "domaines d'allure aléatoire inexistants",
                ),
                value=count,
                unit="domains",
                baseline=NAMES,
            ),
            Measure(
                name="dead_domains",
                label=Text("domains that do not exist", "domaines inexistants"),
                value=dead.height,
                unit="domains",
            ),
            Measure(
                name="domains",
                label=Text("domains asked for", "domaines demandés"),
                value=asked,
                unit="domains",
            ),
        ),
        explanations=(explained(RESOLVER, client in site.dns_servers or None),),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1568.002",),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0, 2.0),
            y=(float(count), float(dead.height), float(asked)),
            labels=(
                Text("random", "aléatoires"),
                Text("do not exist", "inexistants"),
                Text("all", "tous"),
            ),
            y_label=Text("domains", "domaines"),
        ),
    )


DETECTOR = GeneratedNames()
