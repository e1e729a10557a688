"""Orders to machines: who is not their usual master writes to controllers, or explores them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Literal

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
    distinct,
    sample,
    sketch,
    times,
    window_of,
)

MASTER_TIMES = 5
"""times more requests than the writer: then the other one is the device's usual master"""
MASTER_REQUESTS = 20
"""requests to a device from which on a source counts as its usual master"""
KNOWN_WINDOWS = 3
"""hours in which the device was seen before; then a first write is news"""
RECON_ADDRESSES = 100
"""different addresses asked for in an hour; a master asks for a few again and again"""
RECON_FUNCTIONS = 15
"""different function codes; a master uses two to six"""
REFUSED = 0.3
"""share of requests that the device refused; a master asks for what exists"""

ORDERS = ("write", "control")

BLIND = (
    Text(
        "Whether the value that was written is dangerous; protocols other than Modbus, DNP3, S7, "
        "BACnet and IEC 104; orders given at the machine itself.",
        "Si la valeur écrite est dangereuse ; les protocoles autres que Modbus, DNP3, S7, BACnet "
        "et IEC 104 ; les ordres donnés sur la machine elle-même.",
    ),
)
ENGINEER = Text(
    "Maintenance: an engineer's laptop or a second control desk.",
    "Une maintenance : le portable d'un technicien ou un second poste de conduite.",
)
MASTER = Text(
    "The only master of these devices at its regular work.",
    "L'unique poste de conduite de ces appareils, dans son travail habituel.",
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
    """Who orders, beside who usually asks; what is learned from a clean period counts most."""

    card = Card(
        id="ot_write",
        families=("ot_write", "ot_recon"),
        question=Text(
            "Who gives orders to machines, and may they?",
            "Qui donne des ordres aux machines, et en a-t-il le droit ?",
        ),
        proof="write and control functions per source and device, beside all requests to it",
        blind_spots=BLIND,
        innocent=(ENGINEER, MASTER),
        attack=("T0855", "T0836", "T0846", "T0888"),
        cost="one pass over the OT table",
        tables=("ot",),
        keys={"src": pl.String, "dst": pl.String, "ot_protocol": pl.String},
        columns={
            "requests": Merge.SUM,
            "orders": Merge.SUM,
            "refused": Merge.SUM,
            "addresses": Merge.DISTINCT,
            "functions": Merge.DISTINCT,
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
        """Requests and orders of each source to each device, and what was refused."""
        del site
        asks = pl.col("request").fill_null(True)
        orders = asks & pl.col("kind").is_in(ORDERS)
        refused = ~asks & pl.col("function_name").str.contains("exception").fill_null(False)
        moment = pl.col("time").cast(pl.Int64)
        return (
            tables.ot.with_columns(
                window_of("time", self.card),
                src=pl.col("src_ip"),
                dst=pl.col("dst_ip"),
                order_time=pl.when(orders).then(moment),
            )
            .group_by("window", *self.card.keys)
            .agg(
                requests=asks.sum().cast(pl.Int64),
                orders=orders.fill_null(False).sum().cast(pl.Int64),
                refused=refused.sum().cast(pl.Int64),
                addresses=sketch(pl.col("address").filter(asks).drop_nulls()),
                functions=sketch(pl.col("function").filter(asks).drop_nulls()),
                written=sample(pl.col("address").filter(orders)),
                names=sample(pl.col("function_name").filter(orders)),
                times=times("order_time"),
                port=pl.col("dst_port").cast(pl.Int64).max(),
                first=moment.min(),
                last=moment.max(),
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
        """Orders by others than the usual master first, then exploration, then plain context."""
        if not view.window.height:
            return
        rows = pl.concat([view.history, view.window])
        asked = rows.group_by("src", "dst").agg(pl.col("requests").sum())
        seen = view.history.group_by("dst").agg(hours=pl.col("window").n_unique())
        hours = dict(seen.iter_rows())
        before = set(
            view.history.filter(pl.col("orders") > 0).select("src", "dst").unique().iter_rows()
        )
        context: dict[str, list[dict[str, Any]]] = {}
        window = view.window.with_columns(
            different=distinct("addresses"), codes=distinct("functions")
        )
        devices = set(rows.filter(pl.col("requests") >= MASTER_REQUESTS)["dst"])
        for row in window.sort(*self.card.keys).iter_rows(named=True):
            master = _master(asked, row)
            if row["orders"]:
                new = (row["src"], row["dst"]) not in before
                known = hours.get(row["dst"], 0) >= KNOWN_WINDOWS
                learned = _learned(view.normal, row)
                foreign = learned is False or (learned is None and (master or (new and known)))
                if foreign:
                    yield _rogue(row, master, row["src"] in devices, view.site)
                elif learned is None:
                    context.setdefault(row["src"], []).append(row)
            if _explores(row):
                yield _recon(row, master, view.site)
        for source, written in context.items():
            yield _context(source, written, view.site)


def _master(asked: pl.DataFrame, row: dict[str, Any]) -> str | None:
    """The source that asks this device so much more often that it must be its usual master."""
    at_device = asked.filter(pl.col("dst") == row["dst"])
    mine = at_device.filter(pl.col("src") == row["src"])["requests"].sum()
    others = at_device.filter(
        pl.col("src") != row["src"],
        pl.col("requests") >= max(MASTER_REQUESTS, MASTER_TIMES * row["orders"]),
    ).sort("requests", "src", descending=[True, False])
    # Who explores asks more than the master; what counts is who asks besides.
    if not others.height or (mine > others["requests"][0] and not _explores(row)):
        return None
    return str(others["src"][0])


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


def _explores(row: dict[str, Any]) -> bool:
    wide = row["different"] >= RECON_ADDRESSES or row["codes"] >= RECON_FUNCTIONS
    return bool(wide and row["refused"] >= REFUSED * max(1, row["requests"]))


def _rogue(row: dict[str, Any], master: str | None, is_device: bool, site: Site) -> Claim:
    src, dst = site.name_of(row["src"]), site.name_of(row["dst"])
    order = row["names"][0] if row["names"] else "write"
    by = site.name_of(master) if master else "—"
    beside_en = f", whose usual master is {by}" if master else ", which never took orders from it"
    beside_fr = (
        f", dont le poste de conduite habituel est {by}"
        if master
        else ", qui n'en avait jamais reçu d'ordre"
    )
    return Claim(
        rule="ot_write",
        family="ot_write",
        severity=Severity.HIGH if is_device else Severity.MEDIUM,
        score=0.9 if is_device else 0.7,
        start=_moment(row["times"][0]),
        end=_moment(row["times"][-1]),
        actor=row["src"],
        victim=row["dst"],
        victim_port=row["port"],
        scope=row["ot_protocol"],
        related=(master,) if master else (),
        title=Text(
            f"{src} gave an order to the machine {dst}",
            f"{src} a donné un ordre à la machine {dst}",
        ),
        reason=Text(
            f"{src} sent {row['orders']} order(s) ({order}) to {dst}{beside_en}.",
            f"{src} a envoyé {row['orders']} ordre(s) ({order}) à {dst}{beside_fr}.",
        ),
        measures=(
            Measure(name="orders", value=row["orders"], unit="orders", baseline=0),
            Measure(name="requests", value=row["requests"], unit="requests"),
            Measure(name="writer_is_itself_a_device", value=float(is_device), baseline=0),
        ),
        explanations=(
            Explanation(text=MASTER, state="excluded"),
            Explanation(text=ENGINEER, state="excluded" if is_device else "not_checked"),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T0855", "T0836"),
        picture=_timeline(row["times"]),
    )


def _recon(row: dict[str, Any], master: str | None, site: Site) -> Claim:
    src, dst = site.name_of(row["src"]), site.name_of(row["dst"])
    state: Literal["excluded", "not_checked"] = "excluded" if master else "not_checked"
    return Claim(
        rule="ot_write.recon",
        family="ot_recon",
        # Alone with the device it may be its commissioning; beside a master it has no business.
        severity=Severity.MEDIUM if master else Severity.LOW,
        score=min(1.0, 0.5 + row["different"] / 10_000 + row["codes"] / 300),
        start=_moment(row["first"]),
        end=_moment(row["last"]),
        actor=row["src"],
        victim=row["dst"],
        victim_port=row["port"],
        scope=row["ot_protocol"],
        related=(master,) if master else (),
        title=Text(f"{src} explores the machine {dst}", f"{src} explore la machine {dst}"),
        reason=Text(
            f"{src} tried {row['different']:.0f} addresses and {row['codes']:.0f} functions of "
            f"{dst}; the machine refused {row['refused']} of {row['requests']} requests.",
            f"{src} a essayé {row['different']:.0f} adresses et {row['codes']:.0f} fonctions de "
            f"{dst} ; la machine a refusé {row['refused']} demandes sur {row['requests']}.",
        ),
        measures=(
            Measure(name="different_addresses", value=row["different"], baseline=RECON_ADDRESSES),
            Measure(name="different_functions", value=row["codes"], baseline=RECON_FUNCTIONS),
            Measure(
                name="refused",
                value=row["refused"] / max(1, row["requests"]),
                unit="share",
                baseline=REFUSED,
            ),
        ),
        explanations=(
            Explanation(text=MASTER, state=state),
            Explanation(text=ENGINEER, state="not_checked"),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T0846", "T0888"),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0, 2.0),
            y=(float(row["requests"]), float(row["refused"]), float(row["different"])),
            labels=("requests", "refused", "addresses"),
        ),
    )


def _context(source: str, rows: list[dict[str, Any]], site: Site) -> Claim:
    name, orders = site.name_of(source), sum(row["orders"] for row in rows)
    instants = sorted(instant for row in rows for instant in row["times"])
    return Claim(
        rule="ot_write.context",
        family="ot_write",
        severity=Severity.LOW,
        score=0.2,
        start=_moment(instants[0]),
        end=_moment(instants[-1]),
        actor=source,
        scope="context",
        related=tuple(row["dst"] for row in rows)[:100],
        title=Text(f"{name} gives orders to machines", f"{name} donne des ordres à des machines"),
        reason=Text(
            f"{name} sent {orders} orders to {len(rows)} machine(s) and looks like their usual "
            "master; check that it is.",
            f"{name} a envoyé {orders} ordres à {len(rows)} machine(s) et semble être leur poste "
            "de conduite habituel ; vérifiez-le.",
        ),
        measures=(
            Measure(name="orders", value=orders, unit="orders"),
            Measure(name="machines", value=len(rows), unit="machines"),
        ),
        explanations=(Explanation(text=MASTER, state="holds"),),
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


def _moment(nanoseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC)


DETECTOR = OtWrite()
