"""DNS tunnel: data hidden in name look-ups."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
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
    with_history,
)

MIN_NAMES = 40
"""different names under one domain in a day; a site uses a handful of names of its own"""
MIN_LENGTH = 24
"""characters before the domain, on average; www, cdn-eu-west and block lists stay below 20"""
FEW_NAMES = 20
"""different names that suffice where they are very long"""
VERY_LONG = 60
"""characters before the domain; a label holds at most 63, nobody types that"""
MIN_ENTROPY = 3.2
"""bits per character (Shannon) of the names; words give about 3, base32 and hex 3.7 to 5"""
MANY_NAMES = 100
"""different names from which on it is a working channel"""
DATA_SHARE = 0.5
"""share of look-ups for TXT, NULL, CNAME, MX …, the record types that carry the most"""
DATA_TYPES = ("TXT", "NULL", "CNAME", "MX", "KEY", "SRV", "TYPE65399", "ANY")
SECOND_LEVEL = r"^(ac|asso|co|com|edu|go|gouv|gov|ne|net|or|org)\.[a-z]{2}$"
"""public suffixes of two labels as countries make them: co.uk, com.br, gouv.fr"""
REPUTATION = (
    *("mcafee.com", "sophosxl.net", "sophos.com", "e5.sk", "eset.com", "trendmicro.com"),
    *("spamhaus.org", "spamhaus.net", "cymru.com", "surbl.org", "barracudacentral.org"),
    *("senderbase.org", "spamcop.net", "mailspike.net", "kaspersky.com", "bitdefender.net"),
    *("akamai.net", "akamaiedge.net", "cloudfront.net", "amazonaws.com", "fbcdn.net"),
    *("googlevideo.com", "windows.net", "trafficmanager.net", "office.com", "nflxvideo.net"),
)
"""antivirus and block-list look-ups, and content networks with long generated names"""
NO_DOMAIN = "(no domain)"
"""names whose last label is no top-level domain: nobody registered them"""

BLIND = (
    Text(
        "Look-ups that are encrypted (DNS over HTTPS or TLS), and what the names carry.",
        "Les requêtes chiffrées (DNS sur HTTPS ou TLS), et le contenu caché dans les noms.",
    ),
)
ANTIVIRUS = Text(
    "An antivirus, a block list or a content network that puts data in names.",
    "Un antivirus, une liste de blocage ou un réseau de diffusion qui met des données dans les "
    "noms.",
)
RESOLVER = Text(
    "The machine is a name server that asks for many clients.",
    "La machine est un serveur de noms qui interroge pour de nombreux clients.",
)
STEPS = (
    Text(
        "Look up who owns the domain and since when.",
        "Cherchez à qui appartient le domaine et depuis quand.",
    ),
    Text(
        "Find the program on the machine that asks for these names.",
        "Cherchez sur la machine le programme qui demande ces noms.",
    ),
)


class DnsTunnel:
    """Different names that each client asked for under each registered domain."""

    card = Card(
        id="dns_tunnel",
        families=("dns_tunnel",),
        question=Text(
            "Does somebody smuggle data in name look-ups?",
            "Quelqu'un fait-il passer des données dans les requêtes de noms ?",
        ),
        proof="different, long, random names under one domain",
        blind_spots=BLIND,
        innocent=(ANTIVIRUS, RESOLVER),
        attack=("T1071.004", "T1572", "T1048"),
        cost="one pass over the look-ups; one row per client, domain and hour",
        tables=("dns",),
        keys={"client": pl.String, "domain": pl.String},
        columns={
            "queries": Merge.SUM,
            "names": Merge.DISTINCT,
            "characters": Merge.SUM,
            "data_types": Merge.SUM,
            "missing": Merge.SUM,
            "query_bytes": Merge.SUM,
            "answer_bytes": Merge.SUM,
            "examples": Merge.SAMPLE,
            "servers": Merge.SAMPLE,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        apart=("client", "domain"),
        window=dt.timedelta(hours=1),
        history=dt.timedelta(hours=24),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Look-ups of each client under each registered domain."""
        del site
        query = pl.col("query")
        labels = query.str.split(".")
        two, three = labels.list.tail(2).list.join("."), labels.list.tail(3).list.join(".")
        registered = pl.when(two.str.contains(SECOND_LEVEL)).then(three).otherwise(two)
        real = query.str.contains(r"\.([a-z]{2,24}|xn--[a-z0-9-]+)$")
        local = query.str.contains(r"(^|\.)(arpa|local|lan|home|localdomain|wpad)$|^_|\._")
        domain = pl.when(real).then(registered).otherwise(pl.lit(NO_DOMAIN))
        length = (
            pl.when(real)
            .then((query.str.len_chars().cast(pl.Int64) - registered.str.len_chars() - 1).clip(0))
            .otherwise(query.str.len_chars().cast(pl.Int64))
        )
        return (
            tables.dns.drop_nulls("query")
            .filter(pl.col("dst_port") == 53, query.str.contains(".", literal=True), ~local)
            .with_columns(
                window_of("time", self.card),
                client=pl.col("src_ip"),
                domain=domain,
                length=length,
            )
            .group_by("window", *self.card.keys)
            .agg(
                queries=pl.len().cast(pl.Int64),
                names=sketch(query),
                characters=pl.col("length").sum(),
                data_types=pl.col("qtype").is_in(DATA_TYPES).fill_null(False).sum().cast(pl.Int64),
                missing=(pl.col("rcode") == "NXDOMAIN").fill_null(False).sum().cast(pl.Int64),
                query_bytes=pl.col("query_bytes").cast(pl.Int64).sum(),
                answer_bytes=pl.col("answer_bytes").cast(pl.Int64).sum(),
                examples=sample(query),
                servers=sample(pl.col("dst_ip")),
                first=pl.col("time").cast(pl.Int64).min(),
                last=pl.col("time").cast(pl.Int64).max(),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per client and domain of this window, judged with the day before."""
        if not view.window.height:
            return
        pairs = (
            with_history(view.window, view.history, self.card)
            .with_columns(
                different=distinct("names"), length=pl.col("characters") / pl.col("queries")
            )
            .filter(
                (pl.col("different") >= MIN_NAMES) & (pl.col("length") >= MIN_LENGTH)
                | (pl.col("different") >= FEW_NAMES) & (pl.col("length") >= VERY_LONG)
            )
        )
        for row in pairs.iter_rows(named=True):
            if entropy(_hidden(row["examples"], row["domain"])) >= MIN_ENTROPY:
                yield _tunnel(row, view.site)


def entropy(text: str) -> float:
    """Shannon entropy of the characters of *text*, in bits per character."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values()) + 0.0


def _hidden(examples: list[str], domain: str) -> str:
    end = "" if domain == NO_DOMAIN else "." + domain
    return "".join(name.removesuffix(end).replace(".", "") for name in examples)


def _tunnel(row: dict[str, Any], site: Site) -> Claim:
    client, domain = site.name_of(row["client"]), row["domain"]
    count, length = int(row["different"]), row["length"]
    known = any(domain == name for name in REPUTATION)
    carrying = row["data_types"] / row["queries"]
    severity = Severity.LOW if known else Severity.MEDIUM
    if not known and count >= MANY_NAMES and (carrying >= DATA_SHARE or length >= VERY_LONG):
        severity = Severity.HIGH
    bits = entropy(_hidden(row["examples"], domain))
    return Claim(
        rule="dns_tunnel",
        family="dns_tunnel",
        severity=severity,
        score=min(1.0, 0.4 + min(0.3, count / 1000) + min(0.2, length / 500) + 0.1 * carrying),
        start=moment(row["first"]),
        end=moment(row["last"]),
        actor=row["client"],
        victim=row["servers"][0] if len(row["servers"]) == 1 else None,
        victim_port=53,
        scope=domain,
        related=tuple(row["servers"]),
        title=Text(
            f"{client} hides data in look-ups of {domain}",
            f"{client} cache des données dans des requêtes vers {domain}",
        ),
        reason=Text(
            f"{client} asked for {count} different names under {domain}, {length:.0f} random "
            "characters long on average: data travels in the names.",
            f"{client} a demandé {count} noms différents sous {domain}, de {length:.0f} "
            "caractères aléatoires en moyenne : des données voyagent dans les noms.",
        ),
        measures=(
            Measure(
                name="different_names",
                label=Text("different names", "noms différents"),
                value=count,
                unit="names",
                baseline=MIN_NAMES,
            ),
            Measure(
                name="mean_length",
                label=Text("mean length of the names", "longueur moyenne des noms"),
                value=length,
                unit="characters",
                baseline=MIN_LENGTH,
            ),
            Measure(
                name="entropy",
                label=Text("randomness of the names", "caractère aléatoire des noms"),
                value=bits,
                unit="bits/character",
                baseline=MIN_ENTROPY,
            ),
            Measure(
                name="carrying_types",
                label=Text(
                    "look-ups of types that carry data", "requêtes de types porteurs de données"
                ),
                value=carrying,
                unit="share",
                baseline=DATA_SHARE,
            ),
            Measure(
                name="asked_again",
                label=Text("names asked again", "noms redemandés"),
                value=1 - min(1.0, count / row["queries"]),
                unit="share",
            ),
            Measure(
                name="not_existing",
                label=Text("names that do not exist", "noms inexistants"),
                value=row["missing"] / row["queries"],
                unit="share",
            ),
            Measure(
                name="query_bytes",
                label=Text("bytes of the questions", "volume des questions"),
                value=row["query_bytes"],
                unit="bytes",
            ),
            Measure(
                name="answer_bytes",
                label=Text("bytes of the answers", "volume des réponses"),
                value=row["answer_bytes"],
                unit="bytes",
            ),
        ),
        explanations=(
            explained(ANTIVIRUS, known),
            explained(RESOLVER, row["client"] in site.dns_servers or None),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1071.004", "T1572", "T1048"),
        picture=Picture(
            kind="bars",
            x=tuple(float(place) for place in range(len(row["examples"]))),
            y=tuple(float(len(name)) for name in row["examples"]),
            labels=tuple(row["examples"]),
            y_label=Text("characters in the name (examples)", "caractères du nom (exemples)"),
        ),
    )


DETECTOR = DnsTunnel()
