"""Indicators: something known to be bad, as others published it, shows up in our traffic."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
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
    own,
    sample,
    times,
    window_of,
)
from cyberterr.contracts.indicator import Indicator, Indicators

SURE = 75
"""confidence of the publisher from which a contact that succeeded is high"""
UNSURE = 40
"""confidence below which a match is only noted"""
NEVER = 0
"""contacts there should be with something known to be bad"""

BLIND = (
    Text(
        "What the lists do not name, and names or addresses hidden by encryption (DoH, ECH, VPN).",
        "Ce que les listes ne nomment pas, et les noms ou adresses masqués par le chiffrement "
        "(DoH, ECH, VPN).",
    ),
)
SHARED = Text(
    "An address or name that many customers share, or that changed hands since it was listed.",
    "Une adresse ou un nom partagé par de nombreux clients, ou réattribué depuis son signalement.",
)
RESOLVER = Text(
    "The machine only asks on behalf of others (our DNS server, a proxy).",
    "La machine ne fait que demander pour d'autres (notre serveur DNS, un mandataire).",
)
INBOUND = Text(
    "Only an outside scanner knocked; nobody answered it.",
    "Seul un robot extérieur a frappé à la porte ; personne ne lui a répondu.",
)
STEPS = (
    Text(
        "Read what the publisher says of this indicator and since when.",
        "Lisez ce que l'éditeur dit de cet indicateur et depuis quand.",
    ),
    Text(
        "If the machine really went there, isolate it and have it examined; keep the evidence.",
        "Si la machine s'y est vraiment connectée, isolez-la, faites-la examiner et gardez les "
        "traces.",
    ),
)

_MATCH = {"value": pl.String, "hit": pl.String}


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        yield name
        name = name.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Known:
    """Indicators by kind, ready to be looked up."""

    by_value: dict[tuple[str, str], Indicator] = field(default_factory=dict)
    networks: dict[tuple[int, int], dict[int, str]] = field(default_factory=dict)
    """(IP version, prefix length) → network number → CIDR"""

    def address(self, text: str) -> str | None:
        """The listed address or network that holds *text*."""
        if ("address", text) in self.by_value:
            return f"address {text}"
        if not self.networks:
            return None
        try:
            parsed = ip_address(text)
        except ValueError:
            return None
        for (version, length), numbers in self.networks.items():
            if version == parsed.version:
                cidr = numbers.get(int(parsed) >> (parsed.max_prefixlen - length))
                if cidr:
                    return f"network {cidr}"
        return None

    def domain(self, name: str) -> str | None:
        """The listed domain that is *name* or one of its parents."""
        for parent in _parents(name.lower().rstrip(".")):
            if ("domain", parent) in self.by_value:
                return f"domain {parent}"
        return None

    def url(self, text: str) -> str | None:
        """The listed URL that is *text*."""
        return f"url {text}" if ("url", text.rstrip("/")) in self.by_value else None

    def ja4(self, text: str) -> str | None:
        """The listed fingerprint that is *text*."""
        return f"ja4 {text}" if ("ja4", text) in self.by_value else None


def _known(indicators: Indicators) -> Known:
    networks: dict[tuple[int, int], dict[int, str]] = {}
    for item in indicators.items:
        if item.kind == "network":
            net = ip_network(item.value)
            number = int(net.network_address) >> (net.max_prefixlen - net.prefixlen)
            networks.setdefault((net.version, net.prefixlen), {})[number] = item.value
    return Known({(item.kind, item.value): item for item in indicators.items}, networks)


def _matched(rows: pl.DataFrame, column: str, look_up: Callable[[str], str | None]) -> pl.DataFrame:
    """*rows* whose *column* is listed, with the indicator in `hit`."""
    hits = [(v, look_up(v)) for v in rows[column].drop_nulls().unique()]
    table = pl.DataFrame([h for h in hits if h[1]], schema=_MATCH, orient="row")
    return rows.join(table, left_on=column, right_on="value", how="inner")


class IndicatorDetector:
    """Knows nothing until it is `informed`."""

    card = Card(
        id="indicator",
        families=("indicator",),
        question=Text(
            "Does one of our machines speak to something known to be bad?",
            "Une de nos machines parle-t-elle à une adresse ou un nom connu comme malveillant ?",
        ),
        proof="an address, domain, URL or JA4 fingerprint of the given lists in the traffic",
        blind_spots=BLIND,
        innocent=(SHARED, RESOLVER, INBOUND),
        attack=("T1071", "T1583"),
        cost="one look-up per distinct address and name; nothing without lists",
        tables=("flows", "dns", "tls", "http"),
        keys={"hit": pl.String, "client": pl.String, "other": pl.String, "way": pl.String},
        columns={
            "contacts": Merge.SUM,
            "answered": Merge.SUM,
            "port": Merge.MIN,
            "moments": Merge.TIMES,
            "last": Merge.MAX,
            "names": Merge.SAMPLE,
        },
        window=dt.timedelta(hours=1),
        gap=dt.timedelta(hours=24),
        early=True,
    )

    def __init__(self, indicators: Indicators | None = None) -> None:
        self._known = _known(indicators or Indicators())

    def informed(self, indicators: Indicators) -> IndicatorDetector:
        """The same detector, looking for *indicators*."""
        return IndicatorDetector(indicators)

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Contacts of each machine with each indicator, by the way they showed up."""
        if not self._known.by_value:
            tables = Tables()  # no list: nothing to look up
        rows = pl.concat([*self._flows(tables.flows, site), *self._names(tables)], how="vertical")
        return rows.group_by("window", *self.card.keys).agg(
            contacts=pl.len(),
            answered=pl.col("answered").cast(pl.Int64).sum(),
            port=pl.col("port").min(),
            moments=times("time"),
            last=pl.col("time").cast(pl.Int64).max(),
            names=sample(pl.col("name")),
        )

    def _flows(self, flows: pl.DataFrame, site: Site) -> Iterator[pl.DataFrame]:
        # Our own addresses are never listed, and they are half of all addresses.
        outward = flows.filter(~own(flows["dst_ip"], site))
        inward = flows.filter(~own(flows["src_ip"], site))
        quiet = pl.col("dst_payload").fill_null(pl.col("dst_bytes")) == 0
        for rows, column, way in ((outward, "dst_ip", "to"), (inward, "src_ip", "from")):
            yield _matched(
                rows.with_columns(listed=pl.col(column)), "listed", self._known.address
            ).select(
                window_of("start", self.card),
                "hit",
                client=pl.col("src_ip") if way == "to" else pl.col("dst_ip"),
                other=pl.col(column),
                way=pl.lit(way),
                answered=(pl.col("dst_packets") > 0) & ~quiet,
                port=pl.col("dst_port").cast(pl.Int64),
                time=pl.col("start"),
                name=pl.lit(None, pl.String),
            )

    def _names(self, tables: Tables) -> Iterator[pl.DataFrame]:
        dns = tables.dns.with_columns(name=pl.col("query"))
        resolved = tables.dns.explode("answers").with_columns(name=pl.col("answers"))
        url = pl.concat_str(pl.col("host").str.to_lowercase(), pl.col("uri").str.strip_suffix("/"))
        http = tables.http.with_columns(name=pl.col("host"), url=url)
        tls = tables.tls.with_columns(name=pl.col("server_name"))
        finger = tables.tls.with_columns(name=pl.col("ja4"))
        answered = pl.col("answers").list.len().fill_null(0) > 0
        yes = pl.lit(True)
        for rows, column, look_up, way, success in (
            (dns, "name", self._known.domain, "lookup", answered),
            (resolved, "name", self._known.address, "resolved", yes),
            (tls, "name", self._known.domain, "tls", yes),
            (finger, "name", self._known.ja4, "ja4", yes),
            (http, "name", self._known.domain, "http", yes),
            (http, "url", self._known.url, "url", yes),
        ):
            lookup = way in ("lookup", "resolved")
            yield _matched(rows.with_columns(listed=pl.col(column)), "listed", look_up).select(
                window_of("time", self.card),
                "hit",
                client=pl.col("src_ip"),
                # A DNS server answers for the name; it is not the bad machine.
                other=pl.lit("") if lookup else pl.col("dst_ip"),
                way=pl.lit(way),
                answered=success,
                port=pl.lit(None, pl.Int64) if lookup else pl.col("dst_port").cast(pl.Int64),
                time=pl.col("time"),
                name=pl.col("name"),
            )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per machine of ours and indicator."""
        pairs = view.window.group_by("hit", "client").agg(
            ways=pl.col("way").unique().sort(),
            contacts=pl.col("contacts").sum(),
            answered=pl.col("answered").filter(~pl.col("way").is_in(["lookup", "resolved"])).sum(),
            others=pl.col("other").filter(pl.col("other") != "").unique().sort().head(50),
            port=pl.col("port").min(),
            moments=pl.col("moments").explode().drop_nulls().sort().head(500),
            last=pl.col("last").max(),
            names=pl.col("names").explode().drop_nulls().unique().sort().head(5),
        )
        for row in pairs.sort("hit", "client").iter_rows(named=True):
            kind, _, value = row["hit"].partition(" ")
            yield _claim(row, self._known.by_value[kind, value], view.site)


def _severity(item: Indicator, *, inbound: bool, answered: bool) -> Severity:
    if item.confidence < UNSURE or (inbound and not (answered and item.confidence >= SURE)):
        return Severity.LOW
    if answered and not inbound and item.confidence >= SURE:
        return Severity.HIGH
    return Severity.MEDIUM


def _claim(row: dict[str, Any], item: Indicator, site: Site) -> Claim:
    inbound, answered = row["ways"] == ["from"], row["answered"] > 0
    asks_for_others = row["client"] in site.dns_servers
    client, label = site.name_of(row["client"]), f" ({item.label})" if item.label else ""
    did = (
        ("was contacted by", "a été contactée par")
        if inbound
        else ("was in contact with", "a été en contact avec")
        if answered
        else ("tried to reach", "a cherché à joindre")
    )
    listed = (
        f"which {item.feed or 'a list'} calls bad{label}",
        f"signalé comme malveillant par {item.feed or 'une liste'}{label}",
    )
    outcome = (
        ("an answer was seen", "une réponse a été vue")
        if answered
        else ("no answer was seen", "aucune réponse n'a été vue")
    )
    other = row["others"][0] if row["others"] else None
    return Claim(
        rule=f"indicator.{item.kind}",
        family="indicator",
        severity=_severity(item, inbound=inbound, answered=answered),
        score=round(item.confidence / 100 * (0.3 if inbound else 1.0 if answered else 0.7), 4),
        start=dt.datetime.fromtimestamp(row["moments"][0] / 1e9, dt.UTC),
        end=dt.datetime.fromtimestamp(row["last"] / 1e9, dt.UTC),
        actor=other if inbound else row["client"],
        victim=row["client"] if inbound else other,
        victim_port=row["port"],
        scope=item.value,
        related=tuple(row["others"]),
        title=Text(f"{client} {did[0]} {item.value}", f"{client} {did[1]} {item.value}"),
        reason=Text(
            f"{client} {did[0]} {item.value} {row['contacts']} time(s), {listed[0]}; {outcome[0]}.",
            f"{client} {did[1]} {item.value} {row['contacts']} fois, {listed[1]} ; {outcome[1]}.",
        ),
        measures=(
            Measure(
                name="contacts",
                label=Text("contacts", "contacts"),
                value=row["contacts"],
                unit="contacts",
                baseline=NEVER,
            ),
            Measure(
                name="answered",
                label=Text("contacts that were answered", "contacts qui ont reçu une réponse"),
                value=row["answered"],
                unit="contacts",
                baseline=NEVER,
            ),
            Measure(
                name="confidence",
                label=Text("confidence of the publisher", "confiance de l'éditeur"),
                value=item.confidence,
                unit="of 100",
                baseline=UNSURE,
            ),
        ),
        explanations=(
            explained(SHARED, None),
            explained(RESOLVER, asks_for_others or None),
            explained(INBOUND, inbound and not answered),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1071",),
        picture=Picture(
            kind="timeline",
            x=tuple(moment / 1e9 for moment in row["moments"]),
            x_label=Text("time of each contact", "heure de chaque contact"),
        ),
    )


DETECTOR = IndicatorDetector()
