"""Orders to machines: a machine that is not their usual master writes to controllers."""

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
    sample,
    times,
    window_of,
)

MASTER_REQUESTS = 20
"""requests to a device from which on a source counts as its usual master"""
MASTER_TIMES = 5
"""times the orders of the other one; a master asks all the time and orders now and then"""
KNOWN_WINDOWS = 3
"""hours in which the device was seen before; then a first order from somebody is news"""

ORDERS = ("write", "control")

BLIND = (
    Text(
        "Whether the value that was written is dangerous; protocols other than Modbus, DNP3, S7, "
        "BACnet and IEC 104; orders given at the machine itself.",
        "Si la valeur écrite est dangereuse ; les protocoles autres que Modbus, DNP3, S7, BACnet "
        "et IEC 104 ; les ordres donnés sur la machine elle-même.",
    ),
    Text(
        "A stranger who gave orders from the first minutes on, unless a clean period was learned.",
        "Un intrus actif dès les premières minutes, sauf si une période saine a été apprise.",
    ),
)
ENGINEER = Text(
    "Maintenance: an engineer's laptop or a second control desk.",
    "Une maintenance : le portable d'un technicien ou un second poste de conduite.",
)
MASTER = Text(
    "A master of these devices at its regular work.",
    "Un poste de conduite de ces appareils, dans son travail habituel.",
)
STEPS = (
    Text(
        "Ask those who run the plant whether they gave this order.",
        "Demandez aux exploitants s'ils ont donné cet ordre.",
    ),
    Text(
        "Compare the state of the device with its set-point before anything is changed.",
        "Comparez l'état de l'appareil à sa consigne avant toute modification.",
    ),
)


class OtWrite:
    """Who orders, beside who usually does; what is learned from a clean period counts most."""

    card = Card(
        id="ot_write",
        families=("ot_write",),
        question=Text(
            "Who gives orders to machines, and may they?",
            "Qui donne des ordres aux machines, et en a-t-il le droit ?",
        ),
        proof="first orders from a source to a device that others were seen to run before",
        blind_spots=BLIND,
        innocent=(ENGINEER, MASTER),
        attack=("T0855", "T0836"),
        cost="one pass over the OT table",
        tables=("ot",),
        keys={"src": pl.String, "dst": pl.String, "ot_protocol": pl.String},
        columns={
            "requests": Merge.SUM,
            "orders": Merge.SUM,
            "written": Merge.SAMPLE,
            "names": Merge.SAMPLE,
            "times": Merge.TIMES,
            "port": Merge.MAX,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        window=dt.timedelta(hours=1),
        history=dt.timedelta(hours=24),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Requests and orders of each source to each device."""
        del site
        asks = pl.col("request").fill_null(True)
        orders = asks & pl.col("kind").is_in(ORDERS).fill_null(False)
        instant = pl.col("time").cast(pl.Int64)
        return (
            tables.ot.with_columns(
                window_of("time", self.card),
                src=pl.col("src_ip"),
                dst=pl.col("dst_ip"),
                order_time=pl.when(orders).then(instant),
            )
            .group_by("window", *self.card.keys)
            .agg(
                requests=asks.sum().cast(pl.Int64),
                orders=orders.sum().cast(pl.Int64),
                written=sample(pl.col("address").filter(orders)),
                names=sample(pl.col("function_name").filter(orders)),
                times=times("order_time"),
                port=pl.col("dst_port").cast(pl.Int64).max(),
                first=instant.min(),
                last=instant.max(),
            )
        )

    def learn(self, summary: pl.DataFrame, site: Site) -> pl.DataFrame:
        """Who asks and who orders which device, and which addresses are written, when clean."""
        del site
        return (
            summary.group_by(*self.card.keys)
            .agg(
                pl.col("requests", "orders").sum(),
                pl.col("written").explode().drop_nulls().unique().sort(),
            )
            .sort(*self.card.keys)
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per source and protocol for orders that are news, one for the usual ones."""
        rows = pl.concat([view.history, view.window])
        devices = set(rows.filter(pl.col("requests") >= MASTER_REQUESTS)["dst"])
        ordering = view.window.filter(pl.col("orders") > 0).sort(*self.card.keys)
        for (source, protocol), mine in ordering.partition_by(
            "src", "ot_protocol", as_dict=True, maintain_order=True
        ).items():
            news: list[dict[str, Any]] = []
            usual: list[dict[str, Any]] = []
            masters: list[str] = []
            for row in mine.iter_rows(named=True):
                learned = _learned(view.normal, row)
                master = _master(rows, row)
                if learned is False or (learned is None and (master or _late(view.history, row))):
                    news.append(row)
                    masters += [master] if master else []
                elif learned is None:
                    usual.append(row)
            if news:
                yield _rogue(news, masters, source in devices, view.site)
            if usual:
                yield _context(source, protocol, usual, view.site)


def _master(rows: pl.DataFrame, row: dict[str, Any]) -> str | None:
    """Who ran this device before the source of *row* first ordered it; None where nobody did."""
    at_device = rows.filter(pl.col("dst") == row["dst"])
    began = row["times"][0]
    earlier = at_device.filter(
        pl.col("src") == row["src"], pl.col("orders") > 0, pl.col("window") < row["window"]
    )
    if earlier.height:
        return None  # it gave orders before: whatever it is, it is not new
    # Of a window only its total is known: what came before *began* is its even share.
    length = pl.max_horizontal(pl.col("last") - pl.col("first"), 1)
    part = ((began - pl.col("first")) / length).clip(0, 1)
    others = (
        at_device.filter(pl.col("src") != row["src"])
        .group_by("src")
        .agg(before=(pl.col("requests") * part).sum())
        .filter(pl.col("before") >= max(MASTER_REQUESTS, MASTER_TIMES * row["orders"]))
        .sort("before", "src", descending=[True, False])
    )
    return str(others["src"][0]) if others.height else None


def _late(history: pl.DataFrame, row: dict[str, Any]) -> bool:
    """Whether the device was seen for hours before this source first gave it an order."""
    at_device = history.filter(pl.col("dst") == row["dst"])
    ordered = at_device.filter(pl.col("src") == row["src"], pl.col("orders") > 0)
    return ordered.is_empty() and at_device["window"].n_unique() >= KNOWN_WINDOWS


def _learned(normal: pl.DataFrame | None, row: dict[str, Any]) -> bool | None:
    """Whether the clean period knows these orders; None where the device was not in it."""
    if normal is None:
        return None
    device = normal.filter(pl.col("dst") == row["dst"])
    if not device.height:
        return None
    writer = device.filter(pl.col("src") == row["src"], pl.col("orders") > 0)
    if not writer.height:
        return False
    written = {address for row_ in writer["written"].to_list() for address in row_}
    return len(written) >= 20 or set(row["written"]) <= written


def _rogue(rows: list[dict[str, Any]], masters: list[str], is_device: bool, site: Site) -> Claim:
    first = rows[0]
    src, dst, others = site.name_of(first["src"]), site.name_of(first["dst"]), len(rows) - 1
    orders = sum(row["orders"] for row in rows)
    order = first["names"][0] if first["names"] else "write"
    more = (f" and {others} others", f" et {others} autres") if others else ("", "")
    by = site.name_of(masters[0]) if masters else ""
    beside = (
        (f", usually run by {by}", f", d'habitude conduite par {by}")
        if by
        else (", which had not taken orders from it", ", qui n'en avait pas reçu d'ordre")
    )
    instants = sorted(instant for row in rows for instant in row["times"])
    return Claim(
        rule="ot_write",
        family="ot_write",
        severity=Severity.HIGH if is_device else Severity.MEDIUM,
        score=0.9 if is_device else 0.7,
        start=moment(instants[0]),
        end=moment(instants[-1]),
        actor=first["src"],
        victim=None if others else first["dst"],
        victim_port=first["port"],
        scope=first["ot_protocol"],
        related=tuple(dict.fromkeys([*masters, *(row["dst"] for row in rows)]))[:100],
        title=Text(
            f"{src} gave an order to the machine {dst}{more[0]}",
            f"{src} a donné un ordre à la machine {dst}{more[1]}",
        ),
        reason=Text(
            f"{src} sent {orders} order(s) ({order}) to the machine {dst}{more[0]}{beside[0]}.",
            f"{src} a envoyé {orders} ordre(s) ({order}) à la machine {dst}{more[1]}{beside[1]}.",
        ),
        measures=(
            Measure(
                name="orders",
                label=Text("orders", "ordres"),
                value=orders,
                unit="orders",
                baseline=0,
            ),
            Measure(
                name="machines",
                label=Text("machines", "machines"),
                value=len(rows),
                unit="machines",
            ),
            Measure(
                name="requests",
                label=Text("requests", "requêtes"),
                value=sum(row["requests"] for row in rows),
                unit="requests",
            ),
            Measure(
                name="writer_is_itself_a_device",
                label=Text("the sender is itself a device", "l'émetteur est lui-même un appareil"),
                value=float(is_device),
                baseline=0,
            ),
        ),
        explanations=(
            explained(MASTER, False),
            explained(ENGINEER, False if is_device else None),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T0855", "T0836"),
        picture=_timeline(instants),
    )


def _context(source: str, protocol: str, rows: list[dict[str, Any]], site: Site) -> Claim:
    name, orders = site.name_of(source), sum(row["orders"] for row in rows)
    instants = sorted(instant for row in rows for instant in row["times"])
    return Claim(
        rule="ot_write.context",
        family="ot_write",
        severity=Severity.LOW,
        score=0.2,
        start=moment(instants[0]),
        end=moment(instants[-1]),
        actor=source,
        scope=protocol,
        related=tuple(row["dst"] for row in rows)[:100],
        title=Text(f"{name} gives orders to machines", f"{name} donne des ordres à des machines"),
        reason=Text(
            f"{name} sent {orders} orders to {len(rows)} machine(s) and looks like a "
            "usual master of theirs; check that it is.",
            f"{name} a envoyé {orders} ordres à {len(rows)} machine(s) et semble être un poste "
            "de conduite habituel ; vérifiez-le.",
        ),
        measures=(
            Measure(
                name="orders",
                label=Text("orders", "ordres"),
                value=orders,
                unit="orders",
                baseline=0,
            ),
            Measure(
                name="machines",
                label=Text("machines", "machines"),
                value=len(rows),
                unit="machines",
            ),
        ),
        explanations=(explained(MASTER, True),),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T0855",),
        picture=_timeline(instants),
    )


def _timeline(instants: list[int]) -> Picture:
    every = max(1, -(-len(instants) // 500))
    shown = tuple(instant / 1e9 for instant in instants[::every])
    return Picture(
        kind="timeline",
        x=shown,
        y=tuple(1.0 for _ in shown),
        x_label=Text("time", "heure"),
        y_label=Text("orders", "ordres"),
    )


DETECTOR = OtWrite()
