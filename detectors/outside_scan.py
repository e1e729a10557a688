"""Scans from outside: the Internet tries our doors day and night; what stands out gets a line."""

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
    own,
    sample,
    sketch,
    tries,
    window_of,
)

MANY_PORTS = 200
"""ports or machines an hour; the loudest of 4,700 Internet scanners seen tried 112 ports"""
OPEN = 2
"""open ports it must have found before such a scan is more than weather"""
LOUD = 20
"""ports or machines an hour from which a scanner gets a line of its own"""
LOUDEST = 3
"""scanners an hour that get a line of their own"""
RADIATION = 20
"""outside addresses an hour that try one machine of ours before it is worth a line"""
RADIATION_MOST = 2000
"""above it the sources are forged: that is a flood, and no usual noise"""
SHOWN = 20
"""machines an hour whose noise gets a line"""

BLIND = (
    Text(
        "What our firewall drops before the sensor; scans shared among many addresses.",
        "Ce que notre pare-feu rejette avant la sonde ; les balayages répartis entre de nombreuses "
        "adresses.",
    ),
)
WEATHER = Text(
    "Scanners search the whole Internet day and night; every public address sees this.",
    "Des robots balayent tout Internet jour et nuit ; toute adresse publique en reçoit.",
)
AUTHORISED = Text(
    "A vulnerability scanner that the settings authorise.",
    "Un scanner de vulnérabilités autorisé dans les paramètres.",
)
STEPS = (
    Text(
        "Check that only the services meant for the public answer from outside.",
        "Vérifiez que seuls les services destinés au public répondent depuis l'extérieur.",
    ),
)
SCANNER, VICTIM = "scanner", "victim"


class OutsideScan:
    """Outside sources as a whole, and each machine of ours that they try."""

    card = Card(
        id="outside_scan",
        families=("scan",),
        question=Text(
            "Who on the Internet tries our doors, and how loud is it?",
            "Qui, sur Internet, essaie nos portes, et avec quelle insistance ?",
        ),
        proof="tries from outside that refuse or stay silent, by source and by machine of ours",
        blind_spots=BLIND,
        innocent=(WEATHER, AUTHORISED),
        attack=("T1595.001",),
        cost="one pass over flows; one row per outside source, one per machine tried",
        tables=("flows",),
        keys={"kind": pl.String, "who": pl.String},
        columns={
            "failed": Merge.DISTINCT,
            "answered": Merge.DISTINCT,
            "machines": Merge.DISTINCT,
            "tries": Merge.SUM,
            "first": Merge.MIN,
            "last": Merge.MAX,
            "examples": Merge.SAMPLE,
        },
        window=dt.timedelta(hours=1),
        gap=dt.timedelta(hours=6),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Ports that each outside source tried, and sources that tried each machine."""
        flows = tries(tables.flows.filter(~own(tables.flows["src_ip"], site)))
        port = pl.concat_str("protocol", "dst_port", separator="/")
        both = pl.concat(
            [
                flows.with_columns(kind=pl.lit(SCANNER), who="src_ip", target=port),
                flows.with_columns(kind=pl.lit(VICTIM), who="dst_ip", target="src_ip"),
            ]
        )
        target = pl.col("target")
        return (
            both.with_columns(window_of("start", self.card))
            .group_by("window", *self.card.keys)
            .agg(
                failed=sketch(target.filter("failed")),
                answered=sketch(target.filter(~pl.col("failed"))),
                machines=sketch(pl.col("dst_ip")),
                tries=pl.len(),
                first=pl.col("start").cast(pl.Int64).min(),
                last=pl.col("end").cast(pl.Int64).max(),
                examples=sample(target),
            )
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per loud scanner, one per machine of ours in the usual noise."""
        rows = view.window.with_columns(
            silent=distinct("failed"), open=distinct("answered"), reached=distinct("machines")
        )
        order = ("silent", "who")
        # Many machines are a scan only where none answers: else it may be a client of ours whose
        # network the settings do not name.
        wide = (pl.col("reached") >= LOUD) & (pl.col("open") == 0)
        loud = rows.filter(
            pl.col("kind") == SCANNER,
            wide | (pl.col("silent") >= LOUD),
            pl.col("silent") > pl.col("open"),
        )
        for row in loud.sort(*order, descending=[True, False]).head(LOUDEST).iter_rows(named=True):
            yield _scanner(row, view)
        usual = pl.col("silent").is_between(RADIATION, RADIATION_MOST)
        noisy = rows.filter(pl.col("kind") == VICTIM, usual)
        for row in noisy.sort(*order, descending=[True, False]).head(SHOWN).iter_rows(named=True):
            yield _radiation(row, view.site)


def _scanner(row: dict[str, Any], view: View) -> Claim:
    who, ports = row["who"], round(row["silent"])
    machines, found = round(row["reached"]), round(row["open"])
    stands_out = max(ports, machines) >= MANY_PORTS and found >= OPEN
    allowed = view.site.may_scan(who, view.start)
    return Claim(
        rule="scan.outside",
        family="scan",
        severity=Severity.MEDIUM if stands_out and not allowed else Severity.LOW,
        score=min(1.0, 0.2 + ports / 2000),
        start=moment(row["first"]),
        end=moment(row["last"]),
        actor=who,
        title=Text(
            f"{who} on the Internet tries our doors",
            f"{who}, sur Internet, essaie nos portes",
        ),
        reason=Text(
            f"{who} tried {ports} ports without answer on {machines} address(es) within an hour "
            f"and {found} answered.",
            f"{who} a essayé {ports} ports sans réponse sur {machines} adresse(s) en une heure et "
            f"{found} ont répondu.",
        ),
        measures=(
            Measure(
                name="silent_ports",
                label=Text("ports without answer", "ports sans réponse"),
                value=ports,
                unit="ports",
                baseline=MANY_PORTS,
            ),
            Measure(
                name="open_ports",
                label=Text("ports that answered", "ports qui ont répondu"),
                value=found,
                unit="ports",
                baseline=OPEN,
            ),
            Measure(
                name="machines",
                label=Text("our machines that were tried", "nos machines essayées"),
                value=machines,
                unit="machines",
            ),
        ),
        explanations=(
            explained(WEATHER, None if stands_out else True),
            explained(AUTHORISED, allowed),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1595.001",),
        picture=Picture(
            kind="fan_out",
            x=tuple(sorted(float(port.split("/")[1]) for port in row["examples"])),
            x_label=Text("port (examples)", "port (exemples)"),
        ),
    )


def _radiation(row: dict[str, Any], site: Site) -> Claim:
    name, sources = site.name_of(row["who"]), round(row["silent"])
    return Claim(
        rule="scan.radiation",
        family="scan",
        severity=Severity.LOW,
        score=min(0.3, sources / 10_000),
        start=moment(row["first"]),
        end=moment(row["last"]),
        victim=row["who"],
        related=tuple(row["examples"]),
        title=Text(
            f"The Internet's usual noise at {name}",
            f"Le bruit de fond habituel d'Internet chez {name}",
        ),
        reason=Text(
            f"{sources} outside addresses tried {name} within an hour without an answer, as "
            "happens to every public address.",
            f"{sources} adresses extérieures ont essayé {name} en une heure sans réponse, comme "
            "pour toute adresse publique.",
        ),
        measures=(
            Measure(
                name="outside_sources",
                label=Text("outside addresses", "adresses extérieures"),
                value=sources,
                unit="addresses",
                baseline=RADIATION,
            ),
            Measure(
                name="attempts",
                label=Text("tries", "essais"),
                value=row["tries"],
                unit="connections",
            ),
        ),
        explanations=(explained(WEATHER, True),),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1595.001",),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0),
            y=(float(sources), row["open"]),
            labels=(Text("silent", "sans réponse"), Text("answered", "ont répondu")),
            y_label=Text("outside addresses", "adresses extérieures"),
        ),
    )


DETECTOR = OutsideScan()
