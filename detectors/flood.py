"""Floods: so many packets or connections reach one machine that its service suffers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, NamedTuple

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
    sample,
    sketch,
    window_of,
)

SYN_RATE = 50.0
"""half-open connections a second in the peak second; a busy town site opens a few, answered"""
SYN_TOTAL = 1000
"""half-open connections in ten minutes: a burst of retries stays far below"""
HALF_OPEN = 0.8
"""share of connections that never complete: a rush of real visitors completes most"""
REFLECTED = 100
"""unasked answers of a public service in ten minutes: late answers are a few"""
REFLECTORS = 10
"""servers they come from: one server that answers late is no attack"""
ICMP_RATE = 200.0
"""ICMP packets a second to one machine: a monitor sends one or two"""
ICMP_TOTAL = 5000
PACKET_RATE = 200.0
"""packets a second that belong to nothing: what a busy site drops is less"""
PACKET_TOTAL = 5000
FEW_PORTS = 10
"""ports of one machine; a scan tries more"""
LARGE = 100
"""bytes a packet; a scan sends smaller ones"""
CONNECTIONS_RATE = 300.0
"""complete connections a second to one service, in the peak second"""
CONNECTIONS_TOTAL = 20_000
STRONG = 10
"""times the threshold from which service suffers for certain"""

REFLECTING = (
    17,
    19,
    53,
    69,
    111,
    123,
    137,
    161,
    389,
    520,
    1434,
    1900,
    3283,
    3702,
    5353,
    10001,
    11211,
)
"""UDP services used to amplify (CISA TA14-017A): chargen, DNS, NTP, SNMP, LDAP, SSDP …"""
TCP, UDP = 6, 17
ICMP = (1, 58)
UNFINISHED = ("S0", "SH", "RSTOS0", "REJ")
TO_MANY = pl.col("dst_ip").str.contains(r"^(22[4-9]|23\d)\.|^ff")

BLIND = (
    Text(
        "Slow attacks that hold a few connections open, and floods the provider already drops.",
        "Les attaques lentes qui gardent quelques connexions ouvertes, et les flots que "
        "l'opérateur filtre déjà.",
    ),
    Text(
        "A flood in one single UDP stream: it looks like a film or a call.",
        "Un flot dans un seul échange UDP : il ressemble à un film ou à un appel.",
    ),
    Text(
        "Who is behind it: the addresses seen are usually forged or abused.",
        "L'auteur : les adresses vues sont en général falsifiées ou détournées.",
    ),
)
RUSH = Text(
    "A rush of real visitors, for instance when a registration opens.",
    "Une affluence réelle, par exemple à l'ouverture d'une inscription.",
)
TEST = Text(
    "A load test or a backup that was announced.", "Un test de charge ou une sauvegarde annoncés."
)
ONE_WAY = Text(
    "The sensor sees only one direction of the traffic.",
    "La sonde ne voit qu'un sens du trafic.",
)
STEPS = (
    Text(
        "Check whether the service still answers; tell your provider or hosting company the "
        "address and the time.",
        "Vérifiez que le service répond ; donnez à votre opérateur ou hébergeur l'adresse et "
        "l'heure.",
    ),
    Text(
        "Do not block the source addresses one by one: they are mostly forged.",
        "Ne bloquez pas les adresses sources une à une : la plupart sont falsifiées.",
    ),
)


class Kind(NamedTuple):
    """One way of flooding, and from what amount on it is one."""

    rate: float
    """a second, in the peak second"""
    total: int
    """in ten minutes"""
    sources: int
    what: Text
    title: Text
    attack: str


KINDS = {
    "syn": Kind(
        SYN_RATE,
        SYN_TOTAL,
        1,
        Text("half-open connections", "connexions laissées à moitié ouvertes"),
        Text("is flooded with connection requests", "est submergée de demandes de connexion"),
        "T1498.001",
    ),
    "reflection": Kind(
        0.0,
        REFLECTED,
        REFLECTORS,
        Text("answers nobody asked for", "réponses que personne n'a demandées"),
        Text(
            "is flooded with answers from abused servers",
            "est submergée par les réponses de serveurs détournés",
        ),
        "T1498.002",
    ),
    "icmp": Kind(
        ICMP_RATE,
        ICMP_TOTAL,
        1,
        Text("ICMP packets", "paquets ICMP"),
        Text("is flooded with pings", "est submergée de pings"),
        "T1498.001",
    ),
    "udp": Kind(
        PACKET_RATE,
        PACKET_TOTAL,
        1,
        Text("UDP messages without answer", "messages UDP restés sans réponse"),
        Text("is flooded with UDP packets", "est submergée de paquets UDP"),
        "T1498.001",
    ),
    "stray": Kind(
        PACKET_RATE,
        PACKET_TOTAL,
        1,
        Text("TCP packets outside any connection", "paquets TCP hors de toute connexion"),
        Text("is flooded with stray packets", "est submergée de paquets égarés"),
        "T1498.001",
    ),
    "connections": Kind(
        CONNECTIONS_RATE,
        CONNECTIONS_TOTAL,
        1,
        Text("connections", "connexions"),
        Text("is flooded with connections", "est submergée de connexions"),
        "T1499.002",
    ),
}


def _tagged(flows: pl.DataFrame) -> pl.DataFrame:
    protocol, state = pl.col("protocol"), pl.col("state")
    source_port, port = pl.col("src_port"), pl.col("dst_port")
    quiet = pl.col("src_payload").fill_null(0) == 0
    unasked = (protocol == UDP) & (pl.col("dst_packets") == 0)
    kind = (
        pl.when(unasked & source_port.is_in(REFLECTING) & ~port.is_in(REFLECTING))
        .then(pl.lit("reflection"))
        .when(unasked)
        .then(pl.lit("udp"))
        .when(protocol.is_in(ICMP))
        .then(pl.lit("icmp"))
        .when((protocol == TCP) & state.is_in(UNFINISHED) & quiet)
        .then(pl.lit("syn"))
        .when((protocol == TCP) & (state == "OTH") & quiet & (pl.col("src_packets") <= 2))
        .then(pl.lit("stray"))
        .when(protocol == TCP)
        .then(pl.lit("connections"))
    )
    asked = flows.filter(protocol == UDP, port.is_in(REFLECTING))
    counted = pl.col("kind").is_in(["icmp", "reflection"])
    seconds = (pl.col("end") - pl.col("start")).dt.total_seconds() + 1
    return (
        pl.concat(
            [
                flows.filter(~TO_MANY).with_columns(kind=kind, victim="dst_ip"),
                asked.with_columns(kind=pl.lit("asked"), victim="src_ip"),
            ]
        )
        .filter(pl.col("kind").is_not_null())
        .with_columns(amount=pl.when(counted).then("src_packets").otherwise(1).cast(pl.Int64))
        .with_columns(rate=pl.col("amount") // seconds)
    )


class Flood:
    """Counts per victim, minute by minute; the sources of a flood are never blamed."""

    card = Card(
        id="flood",
        families=("flood",),
        question=Text(
            "Is somebody trying to put a service out of action?",
            "Quelqu'un cherche-t-il à mettre un service hors d'état ?",
        ),
        proof="half-open connections, unasked answers, stray packets or pings a second",
        blind_spots=BLIND,
        innocent=(RUSH, TEST, ONE_WAY),
        attack=("T1498", "T1498.001", "T1498.002", "T1499.002"),
        cost="one pass over flows; one row per victim and second in which something began",
        tables=("flows",),
        keys={"kind": pl.String, "victim": pl.String, "second": pl.Int64},
        columns={
            "amount": Merge.SUM,
            "rate": Merge.SUM,
            "bytes": Merge.SUM,
            "ports": Merge.SAMPLE,
            "port": Merge.MIN,
            "sources": Merge.DISTINCT,
            "examples": Merge.SAMPLE,
            "last": Merge.MAX,
        },
        apart=("victim",),
        window=dt.timedelta(minutes=10),
        gap=dt.timedelta(minutes=30),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """What began at each victim, second by second."""
        del site
        return (
            _tagged(tables.flows)
            .with_columns(
                window_of("start", self.card),
                second=pl.col("start").dt.epoch("s"),
                service=pl.when(pl.col("kind") == "reflection")
                .then(pl.col("src_port"))
                .otherwise(pl.col("dst_port")),
            )
            .group_by("window", "kind", "victim", "second")
            .agg(
                amount=pl.col("amount").sum(),
                rate=pl.col("rate").sum(),
                bytes=pl.col("src_bytes").cast(pl.Int64).sum(),
                ports=sample(pl.col("service")),
                port=pl.col("service").min(),
                sources=sketch(pl.col("src_ip")),
                examples=sample(pl.col("src_ip")),
                last=pl.col("end").cast(pl.Int64).max(),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per victim and way of flooding."""
        whole = (
            view.window.sort("second")
            .group_by("kind", "victim")
            .agg(
                total=pl.col("amount").sum(),
                peak=pl.col("rate").max(),
                bytes=pl.col("bytes").sum(),
                sources=pl.col("sources").explode().drop_nulls().unique().sort().head(1024),
                examples=pl.col("examples").explode().drop_nulls().unique().sort().head(50),
                ports=pl.col("ports").explode().drop_nulls().unique().sort().head(20),
                port=pl.col("port").min(),
                first=pl.col("second").min(),
                last=pl.col("last").max(),
            )
            .with_columns(count=pl.min_horizontal(distinct("sources"), pl.col("total")))
            .sort("kind", "victim")
        )
        totals = {(row["kind"], row["victim"]): row["total"] for row in whole.iter_rows(named=True)}
        for row in whole.filter(pl.col("kind") != "asked").iter_rows(named=True):
            kind = KINDS[row["kind"]]
            if row["total"] < kind.total or row["peak"] < kind.rate or row["count"] < kind.sources:
                continue
            complete = totals.get(("connections", row["victim"]), 0)
            open_share = row["total"] / (row["total"] + complete)
            if row["kind"] == "syn" and open_share < HALF_OPEN:
                continue  # a rush of visitors
            small = row["kind"] != "udp" or row["bytes"] < LARGE * row["total"]
            if row["kind"] in ("syn", "stray", "udp") and len(row["ports"]) > FEW_PORTS and small:
                continue  # a port scan
            if row["kind"] == "reflection" and row["total"] < totals.get(
                ("asked", row["victim"]), 0
            ):
                continue  # a resolver whose answers come late
            yield _claim(row, kind, open_share, view)


def _claim(row: dict[str, Any], kind: Kind, open_share: float, view: View) -> Claim:
    sources, peak, total = int(row["count"]), int(row["peak"]), int(row["total"])
    one = sources == 1
    name = view.site.name_of(row["victim"])
    strong = total >= STRONG * kind.total or peak >= STRONG * max(kind.rate, 1.0)
    seconds = view.window.filter(
        pl.col("kind") == row["kind"], pl.col("victim") == row["victim"]
    ).sort("second")
    measures = [
        Measure(
            name="peak_per_second",
            label=Text("most in one second", "maximum en une seconde"),
            value=peak,
            unit="per second",
            baseline=kind.rate or None,
        ),
        Measure(
            name="total",
            label=Text("in all", "au total"),
            value=total,
            unit="in ten minutes",
            baseline=kind.total,
        ),
        Measure(
            name="sources",
            label=Text("sources", "sources"),
            value=sources,
            unit="addresses",
            baseline=kind.sources,
        ),
        Measure(
            name="volume", label=Text("volume", "volume"), value=int(row["bytes"]), unit="bytes"
        ),
    ]
    if row["kind"] == "syn":
        measures.append(
            Measure(
                name="half_open_share",
                label=Text("share left half open", "part laissée à moitié ouverte"),
                value=round(open_share, 3),
                baseline=HALF_OPEN,
            )
        )
    return Claim(
        rule=f"flood.{row['kind']}",
        family="flood",
        severity=Severity.HIGH if strong else Severity.MEDIUM,
        score=min(1.0, 0.5 + 0.05 * total / kind.total),
        start=dt.datetime.fromtimestamp(row["first"], dt.UTC),
        end=dt.datetime.fromtimestamp(row["last"] / 1e9, dt.UTC),
        actor=row["examples"][0] if one else None,
        victim=row["victim"],
        victim_port=int(row["port"]) if row["kind"] in ("syn", "connections") else None,
        related=tuple(row["examples"]),
        title=Text(f"{name} {kind.title.en}", f"{name} {kind.title.fr}"),
        reason=Text(
            f"{total} {kind.what.en} from about {sources} addresses within ten minutes, up to "
            f"{peak} in one second, all to {name}.",
            f"{total} {kind.what.fr} venant d'environ {sources} adresses en dix minutes, jusqu'à "
            f"{peak} en une seconde, toutes vers {name}.",
        ),
        measures=tuple(measures),
        explanations=(
            explained(RUSH, None if row["kind"] in ("icmp", "udp", "connections") else False),
            explained(TEST, None),
            explained(ONE_WAY, None),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=(kind.attack,),
        picture=Picture(
            kind="rate",
            x=tuple(float(second) for second in seconds["second"].head(500)),
            y=tuple(float(rate) for rate in seconds["rate"].head(500)),
            baseline=kind.rate or kind.total / 600,
            x_label=Text("time", "heure"),
            y_label=Text(f"{kind.what.en} per second", f"{kind.what.fr} par seconde"),
        ),
    )


DETECTOR = Flood()
