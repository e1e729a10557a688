"""Scans: one machine tries many machines, or many ports of one, and mostly meets silence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

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
    own,
    sample,
    sketch,
    window_of,
)

HOSTS = 15
"""machines an hour on one port without answer: dead servers and old bookmarks are a handful"""
WEB_HOSTS = 40
"""the same for web ports: a browser without Internet tries a dozen or two in an hour"""
PORTS = 20
"""ports of one machine an hour without answer: a program that looks for its server tries few"""
PINGED = 12
"""machines an hour that get a ping or two: people ping a few, a monitor pings for ever"""
MANY = 100
"""ports of one machine, or machines, from which nobody tries that by mistake"""
SLOW_HOSTS = 60
"""machines a day on one TCP port without answer, for scans that stay under HOSTS an hour"""
SLOW_PORTS = 60
"""ports of one machine a day without answer"""
UNANSWERED = 0.6
"""share of the machines tried that did not answer: peer-to-peer programs stay below it"""
SLOW_UNANSWERED = 0.8
PINGS_EACH = 5
"""packets a pinged machine: a sweep sends one or two, a monitor dozens an hour"""
KNOWN_TARGETS = 0.7
"""share of targets already tried in the hours before: a fixed list, as monitors have"""
OUTSIDE_PORTS = 200
"""ports an hour from outside; the loudest of 4,700 Internet scanners seen tried 112"""
OUTSIDE_LOUD = 20
"""ports or machines an hour from which an outside scanner gets a line of its own"""
OUTSIDE_OPEN = 2
"""open ports it must have found before an outside scan is more than weather"""
RADIATION = 20
"""outside addresses an hour that try one machine of ours before it is worth a line"""
RADIATION_MOST = 2000
"""above it the sources are forged: that is a flood, and no usual noise"""
LOUDEST = 3
"""outside scanners an hour that get a line of their own"""

WEB = (80, 443, 8080, 8443)
FAILED = ("S0", "REJ", "RSTOS0", "SH", "RSTRH")
TCP, UDP = 6, 17
ICMP = (1, 58)
ACK_OR_RST = 0x10 | 0x04

BLIND = (
    Text(
        "Scans slower than about 60 targets a day, or shared among many sources.",
        "Les balayages plus lents que 60 cibles par jour environ, ou répartis entre "
        "plusieurs sources.",
    ),
    Text(
        "UDP probes sent from a service port, and probes made of lone ACK packets.",
        "Les sondes UDP émises depuis un port de service et celles faites de simples ACK.",
    ),
)
MISTAKE = Text(
    "A program whose servers are down, or no way out to the Internet.",
    "Un logiciel dont les serveurs sont arrêtés, ou une coupure d'accès à Internet.",
)
MONITOR = Text(
    "A monitoring server or inventory tool that checks a fixed list of machines.",
    "Un serveur de supervision ou d'inventaire qui vérifie une liste fixe de machines.",
)
AUTHORISED = Text(
    "A vulnerability scanner that the settings authorise.",
    "Un scanner de vulnérabilités autorisé dans les paramètres.",
)
PEERS = Text(
    "A peer-to-peer program looking for partners.",
    "Un logiciel pair-à-pair à la recherche de partenaires.",
)
WEATHER = Text(
    "Scanners search the whole Internet day and night; every public address sees this.",
    "Des robots balayent tout Internet jour et nuit ; toute adresse publique en reçoit.",
)
ASK = (
    Text(
        "Ask who uses this machine and what ran on it at that time.",
        "Demandez qui utilise cette machine et ce qui y tournait à ce moment.",
    ),
    Text(
        "If nobody can explain it, take the machine off the network and have it examined.",
        "Si personne ne l'explique, isolez la machine du réseau et faites-la examiner.",
    ),
)
PATCH = (
    Text(
        "Check that only the services meant for the public answer from outside.",
        "Vérifiez que seuls les services destinés au public répondent depuis l'extérieur.",
    ),
)


def _attempts(tables: Tables, site: Site, card: Card) -> pl.DataFrame:
    flows = tables.flows
    port = pl.col("dst_port")
    quiet = pl.col("src_payload").fill_null(0) == 0
    state = pl.col("state")
    flags = pl.col("src_flags")
    # An old connection that ends also starts in the middle, but always with ACK or RST.
    crafted = (state == "OTH") & ((flags & ACK_OR_RST) == 0)
    tcp_failed = (state.is_in(FAILED) | crafted.fill_null(False)) & quiet
    # Answers that come late look like a server that tries the client's ports.
    late_answer = (pl.col("protocol") == UDP) & (pl.col("src_port") < 1024) & (port >= 1024)
    to_many = pl.col("dst_ip").str.contains(r"^(22[4-9]|23\d|255)\.|\.255$|^ff")
    # A flow in which only the other side is seen is an answer to somebody else's lie.
    spoke = pl.col("src_packets") > 0
    known = pl.col("protocol").is_in([TCP, UDP, *ICMP])
    return (
        flows.with_columns(inside=own(flows["src_ip"], site))
        .filter(known, spoke, ~late_answer, ~to_many)
        .select(
            window_of("start", card),
            "src_ip",
            "dst_ip",
            "protocol",
            "dst_port",
            "inside",
            first=pl.col("start").cast(pl.Int64),
            last=pl.col("end").cast(pl.Int64),
            packets=pl.col("src_packets"),
            failed=pl.when(pl.col("protocol") == TCP).then(tcp_failed).otherwise(state == "S0"),
            icmp=pl.col("protocol").is_in(ICMP),
        )
    )


def _rows(
    attempts: pl.DataFrame, kind: str, who: pl.Expr, other: pl.Expr, target: pl.Expr
) -> pl.DataFrame:
    failed, answered = pl.col("failed"), ~pl.col("failed")
    return (
        attempts.with_columns(who=who, other=other, target=target, kind=pl.lit(kind))
        .group_by("window", "kind", "who", "other")
        .agg(
            failed=sketch(pl.col("target").filter(failed)),
            answered=sketch(pl.col("target").filter(answered)),
            machines=sketch(pl.col("dst_ip")),
            attempts=pl.len(),
            packets=pl.col("packets").sum(),
            first=pl.col("first").min(),
            last=pl.col("last").max(),
            examples=sample(pl.col("target")),
        )
    )


class Scan:
    """Own machines that scan are alarms; the Internet's scanning of us is weather."""

    card = Card(
        id="scan",
        families=("scan",),
        question=Text(
            "Which machine looks for open doors on others?",
            "Quelle machine cherche des portes ouvertes chez les autres ?",
        ),
        proof="many distinct targets of one source whose attempts fail or stay unanswered",
        blind_spots=BLIND,
        innocent=(MISTAKE, MONITOR, AUTHORISED, PEERS, WEATHER),
        attack=("T1046", "T1595.001", "T1018"),
        cost="one pass over flows; one row per own source and port, own source and target",
        tables=("flows",),
        keys={"kind": pl.String, "who": pl.String, "other": pl.String},
        columns={
            "failed": Merge.DISTINCT,
            "answered": Merge.DISTINCT,
            "machines": Merge.DISTINCT,
            "attempts": Merge.SUM,
            "packets": Merge.SUM,
            "first": Merge.MIN,
            "last": Merge.MAX,
            "examples": Merge.SAMPLE,
        },
        window=dt.timedelta(hours=1),
        history=dt.timedelta(days=1),
        gap=dt.timedelta(hours=6),
        early=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Targets of each source: per port, per machine, by ping; outside sources as a whole."""
        attempts = _attempts(tables, site, self.card)
        inside = attempts.filter(pl.col("inside") & ~pl.col("icmp"))
        # Only failed attempts make a scan of one machine, so only they make rows for it.
        hard = inside.filter("failed")
        outside = attempts.filter(~pl.col("inside") & ~pl.col("icmp"))
        pings = attempts.filter("inside", "icmp")
        port = pl.concat_str(pl.col("protocol"), pl.col("dst_port"), separator="/")
        src, dst, none = pl.col("src_ip"), pl.col("dst_ip"), pl.lit("")
        return pl.concat(
            [
                _rows(inside, "port", src, port, dst),
                _rows(hard, "machine", src, dst, port),
                _rows(pings, "ping", src, none, dst),
                # Who called us first: telling a closed port to a caller is no ping.
                _rows(attempts.filter(own(attempts["dst_ip"], site)), "called", dst, none, src),
                _rows(outside, "outside", src, none, port),
                _rows(outside, "victim", dst, none, src),
            ]
        )

    def judge(self, view: View) -> Iterator[Claim]:
        """One claim per own scanner and way of scanning, one per loud outsider and target."""
        rows = _counted(view.window)
        past = view.history
        yield from _horizontal(rows, past, view)
        yield from _vertical(rows, past, view)
        yield from _sweep(rows, past, view)
        yield from _outside(rows, view)


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        silent=distinct("failed"),
        # A machine that also answered is not silent, whatever else failed.
        only_silent=pl.min_horizontal(
            distinct("failed"),
            pl.col("failed").list.set_difference(pl.col("answered")).list.len().cast(pl.Float64)
            * distinct("failed")
            / pl.max_horizontal(pl.col("failed").list.len(), 1),
        ),
        open=distinct("answered"),
        reached=distinct("machines"),
    )


_TRANSPORTS = {"6": "TCP", "17": "UDP", "132": "SCTP"}


def _door(port: str) -> str:
    """`6/445` as people write it: TCP 445."""
    protocol, number = port.split("/")
    return f"{_TRANSPORTS.get(protocol, protocol)} {number}"


def _time(nanoseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC)


def _seen_before(past: pl.DataFrame, kind: str, who: str, targets: set[int]) -> float:
    before = past.filter(pl.col("kind") == kind, pl.col("who") == who)
    known = set(
        before.select(pl.col("failed").list.set_union(pl.col("answered")).explode())
        .to_series()
        .to_list()
    )
    return len(targets & known) / len(targets) if targets else 0.0


def _explained(
    who: str, view: View, known: float, *, peers: bool = False
) -> tuple[tuple[Explanation, ...], bool]:
    allowed = view.site.may_scan(who, view.start)
    fixed = known >= KNOWN_TARGETS
    listed = [
        Explanation(text=AUTHORISED, state="holds" if allowed else "excluded"),
        Explanation(
            text=MONITOR,
            state="holds" if fixed else ("excluded" if view.history.height else "not_checked"),
        ),
        Explanation(text=MISTAKE, state="not_checked"),
    ]
    if peers:
        listed.append(Explanation(text=PEERS, state="excluded"))
    return tuple(listed), allowed or fixed


def _slow(rows: pl.DataFrame, past: pl.DataFrame, kind: str) -> pl.DataFrame:
    day = pl.concat([rows.select(past.columns), past]).filter(pl.col("kind") == kind)
    active = rows.filter(pl.col("kind") == kind).select("who", "other")
    merged = (
        day.join(active, on=["who", "other"], how="semi")
        .group_by("kind", "who", "other")
        .agg(
            failed=pl.col("failed").explode().drop_nulls().unique().sort().head(1024),
            answered=pl.col("answered").explode().drop_nulls().unique().sort().head(1024),
            machines=pl.col("machines").explode().drop_nulls().unique().sort().head(1024),
            attempts=pl.col("attempts").sum(),
            packets=pl.col("packets").sum(),
            first=pl.col("first").max(),
            last=pl.col("last").max(),
            examples=pl.col("examples").explode().drop_nulls().unique().sort().head(20),
        )
    )
    return _counted(merged)


def _horizontal(rows: pl.DataFrame, past: pl.DataFrame, view: View) -> Iterator[Claim]:
    number = pl.col("other").str.split("/").list.last().cast(pl.Int64)
    needed = pl.when(number.is_in(WEB)).then(WEB_HOSTS).otherwise(HOSTS)
    share = pl.col("only_silent") / (pl.col("only_silent") + pl.col("open"))
    ports = rows.filter(pl.col("kind") == "port")
    fast = ports.filter(pl.col("only_silent") >= needed, share >= UNANSWERED)
    slow = _slow(rows, past, "port").filter(
        pl.col("other").str.starts_with("6/"),
        ~number.is_in(WEB),
        pl.col("only_silent") >= SLOW_HOSTS,
        share >= SLOW_UNANSWERED,
    )
    for who in sorted({*fast["who"], *slow["who"]}):
        mine = fast.filter(pl.col("who") == who)
        is_slow = mine.is_empty()
        mine = (slow.filter(pl.col("who") == who) if is_slow else mine).sort(
            "only_silent", "other", descending=[True, False]
        )
        top = mine.row(0, named=True)
        targets = {h for hashes in mine["failed"] for h in hashes}
        known = 0.0 if is_slow else _seen_before(past, "port", who, targets)
        explanations, innocent = _explained(who, view, known, peers=True)
        silent = int(top["only_silent"])
        total = silent + int(top["open"])
        names = ", ".join(_door(port) for port in mine["other"].head(5))
        strong = silent >= 2 * HOSTS or mine.height > 1
        name = view.site.name_of(who)
        span = ("in a day", "en un jour") if is_slow else ("within an hour", "en une heure")
        yield Claim(
            rule="scan.horizontal",
            family="scan",
            severity=Severity.LOW
            if innocent
            else Severity.HIGH
            if strong and not is_slow
            else Severity.MEDIUM,
            score=min(1.0, 0.5 + silent / 400 + 0.05 * mine.height),
            start=_time(min(mine["first"])),
            end=_time(max(mine["last"])),
            actor=who,
            victim_port=int(top["other"].split("/")[1]),
            related=tuple(mine["examples"].explode().unique().sort().head(50).to_list()),
            title=Text(
                f"{name} looks for open doors on many machines",
                f"{name} cherche des portes ouvertes sur de nombreuses machines",
            ),
            reason=Text(
                f"{name} tried {_door(top['other'])} on {total} machines {span[0]} and "
                f"{silent} of them gave no useful answer; ports tried this way: {names}.",
                f"{name} a essayé {_door(top['other'])} sur {total} machines {span[1]} et "
                f"{silent} n'ont pas répondu utilement ; ports essayés ainsi : {names}.",
            ),
            measures=(
                Measure(
                    name="unanswered_machines",
                    value=silent,
                    unit="machines",
                    baseline=SLOW_HOSTS if is_slow else HOSTS,
                ),
                Measure(
                    name="unanswered_share",
                    value=round(silent / max(total, 1), 3),
                    baseline=SLOW_UNANSWERED if is_slow else UNANSWERED,
                ),
                Measure(name="ports", value=mine.height, unit="ports"),
                Measure(name="attempts", value=int(mine["attempts"].sum()), unit="connections"),
            ),
            explanations=explanations,
            not_examined=BLIND,
            next_steps=ASK,
            attack=("T1046", "T1018"),
            picture=Picture(
                kind="bars",
                x=tuple(float(i) for i in range(min(mine.height, 20))),
                y=tuple(mine["only_silent"].head(20).to_list()),
                labels=tuple(_door(port) for port in mine["other"].head(20)),
                x_label=Text("port", "port"),
                y_label=Text("silent machines", "machines muettes"),
            ),
        )


def _vertical(rows: pl.DataFrame, past: pl.DataFrame, view: View) -> Iterator[Claim]:
    hosts = rows.filter(pl.col("kind") == "machine")
    fast = hosts.filter(pl.col("silent") >= PORTS)
    slow = _slow(rows, past, "machine").filter(pl.col("silent") >= SLOW_PORTS)
    for who in sorted({*fast["who"], *slow["who"]}):
        mine = fast.filter(pl.col("who") == who)
        is_slow = mine.is_empty()
        mine = (slow.filter(pl.col("who") == who) if is_slow else mine).sort(
            "silent", "other", descending=[True, False]
        )
        top = mine.row(0, named=True)
        targets = {h for hashes in mine["failed"] for h in hashes}
        known = 0.0 if is_slow else _seen_before(past, "machine", who, targets)
        explanations, innocent = _explained(who, view, known)
        silent = int(top["silent"])
        name, target = view.site.name_of(who), view.site.name_of(top["other"])
        others = mine.height - 1
        more = (
            (f" and did the same to {others} others", f" et de même pour {others} autres")
            if others
            else ("", "")
        )
        span = ("in a day", "en un jour") if is_slow else ("within an hour", "en une heure")
        numbers = sorted(float(port.split("/")[1]) for port in top["examples"])
        yield Claim(
            rule="scan.vertical",
            family="scan",
            severity=Severity.LOW
            if innocent
            else Severity.HIGH
            if silent >= MANY or others
            else Severity.MEDIUM,
            score=min(1.0, 0.5 + silent / 1000 + 0.02 * others),
            start=_time(min(mine["first"])),
            end=_time(max(mine["last"])),
            actor=who,
            victim=top["other"] if not others else None,
            related=tuple(mine["other"].head(50).to_list()),
            title=Text(
                f"{name} tries the doors of {target} one after the other",
                f"{name} essaie une à une les portes de {target}",
            ),
            reason=Text(
                f"{name} tried {silent} different ports of {target} {span[0]} without a "
                f"useful answer{more[0]}.",
                f"{name} a essayé {silent} ports différents de {target} {span[1]} sans "
                f"réponse utile{more[1]}.",
            ),
            measures=(
                Measure(
                    name="unanswered_ports",
                    value=silent,
                    unit="ports",
                    baseline=SLOW_PORTS if is_slow else PORTS,
                ),
                Measure(name="machines", value=mine.height, unit="machines"),
                Measure(name="attempts", value=int(mine["attempts"].sum()), unit="connections"),
            ),
            explanations=explanations,
            not_examined=BLIND,
            next_steps=ASK,
            attack=("T1046",),
            picture=Picture(
                kind="fan_out",
                x=tuple(numbers),
                x_label=Text("port (examples)", "port (exemples)"),
            ),
        )


def _sweep(rows: pl.DataFrame, past: pl.DataFrame, view: View) -> Iterator[Claim]:
    called = dict(
        rows.filter(pl.col("kind") == "called")
        .select("who", pl.col("failed").list.set_union(pl.col("answered")))
        .iter_rows()
    )
    for row in rows.filter(pl.col("kind") == "ping").iter_rows(named=True):
        callers = set(called.get(row["who"], ()))
        pinged = (set(row["failed"]) | set(row["answered"])) - callers
        share = len(pinged) / max(len(set(row["failed"]) | set(row["answered"])), 1)
        count = round(row["reached"] * share)
        each = row["packets"] / max(row["reached"], 1)
        if count < PINGED or each > PINGS_EACH:
            continue
        explanations, innocent = _explained(
            row["who"], view, _seen_before(past, "ping", row["who"], pinged)
        )
        name = view.site.name_of(row["who"])
        silent = int(row["only_silent"])
        yield Claim(
            rule="scan.ping_sweep",
            family="scan",
            severity=Severity.LOW
            if innocent
            else Severity.HIGH
            if count >= MANY
            else Severity.MEDIUM,
            score=min(1.0, 0.4 + count / 400),
            start=_time(row["first"]),
            end=_time(row["last"]),
            actor=row["who"],
            related=tuple(row["examples"]),
            title=Text(
                f"{name} calls many machines to see which exist",
                f"{name} appelle de nombreuses machines pour voir lesquelles existent",
            ),
            reason=Text(
                f"{name} sent a ping or two to each of {count} machines within an hour; "
                f"{silent} did not answer.",
                f"{name} a envoyé un ou deux pings à chacune de {count} machines en une heure ; "
                f"{silent} n'ont pas répondu.",
            ),
            measures=(
                Measure(name="pinged_machines", value=count, unit="machines", baseline=PINGED),
                Measure(
                    name="packets_per_machine",
                    value=round(each, 2),
                    unit="packets",
                    baseline=PINGS_EACH,
                ),
                Measure(name="silent_machines", value=silent, unit="machines"),
            ),
            explanations=explanations,
            not_examined=BLIND,
            next_steps=ASK,
            attack=("T1018",),
            picture=Picture(
                kind="bars",
                x=(0.0, 1.0),
                y=(float(count - min(silent, count)), float(silent)),
                labels=("answered", "silent"),
                y_label=Text("machines", "machines"),
            ),
        )


def _outside(rows: pl.DataFrame, view: View) -> Iterator[Claim]:
    weather = (Explanation(text=WEATHER, state="holds"),)
    # Many machines are a scan only where none answers: else it may be a client of ours whose
    # network the settings do not name.
    wide = (pl.col("reached") >= OUTSIDE_LOUD) & (pl.col("open") == 0)
    loud = (
        rows.filter(
            pl.col("kind") == "outside",
            wide | (pl.col("silent") >= OUTSIDE_LOUD),
            pl.col("silent") > pl.col("open"),
        )
        .sort("silent", "who", descending=[True, False])
        .head(LOUDEST)
    )
    for row in loud.iter_rows(named=True):
        ports, machines, found = int(row["silent"]), int(row["reached"]), int(row["open"])
        stands_out = max(ports, machines) >= OUTSIDE_PORTS and found >= OUTSIDE_OPEN
        allowed = view.site.may_scan(row["who"], view.start)
        yield Claim(
            rule="scan.outside",
            family="scan",
            severity=Severity.MEDIUM if stands_out and not allowed else Severity.LOW,
            score=min(1.0, 0.2 + ports / 2000),
            start=_time(row["first"]),
            end=_time(row["last"]),
            actor=row["who"],
            title=Text(
                f"{row['who']} on the Internet tries our doors",
                f"{row['who']}, sur Internet, essaie nos portes",
            ),
            reason=Text(
                f"{row['who']} tried {ports} ports without answer on {machines} address(es) "
                f"within an hour and {found} answered.",
                f"{row['who']} a essayé {ports} ports sans réponse sur {machines} adresse(s) "
                f"en une heure et {found} ont répondu.",
            ),
            measures=(
                Measure(name="silent_ports", value=ports, unit="ports", baseline=OUTSIDE_PORTS),
                Measure(name="open_ports", value=found, unit="ports", baseline=OUTSIDE_OPEN),
                Measure(name="machines", value=machines, unit="machines"),
            ),
            explanations=(
                Explanation(text=WEATHER, state="not_checked" if stands_out else "holds"),
                Explanation(text=AUTHORISED, state="holds" if allowed else "excluded"),
            ),
            not_examined=BLIND,
            next_steps=PATCH,
            attack=("T1595.001",),
            picture=Picture(
                kind="fan_out",
                x=tuple(sorted(float(port.split("/")[1]) for port in row["examples"])),
                x_label=Text("port (examples)", "port (exemples)"),
            ),
        )
    usual = pl.col("silent").is_between(RADIATION, RADIATION_MOST)
    hit = rows.filter(pl.col("kind") == "victim", usual)
    for row in hit.sort("silent", "who", descending=[True, False]).head(20).iter_rows(named=True):
        yield _radiation(row, view, weather)


def _radiation(row: dict[str, Any], view: View, weather: tuple[Explanation, ...]) -> Claim:
    name, sources = view.site.name_of(row["who"]), int(row["silent"])
    return Claim(
        rule="scan.radiation",
        family="scan",
        severity=Severity.LOW,
        score=min(0.3, sources / 10_000),
        start=_time(row["first"]),
        end=_time(row["last"]),
        victim=row["who"],
        related=tuple(row["examples"]),
        title=Text(
            f"The Internet's usual noise at {name}",
            f"Le bruit de fond habituel d'Internet chez {name}",
        ),
        reason=Text(
            f"{sources} outside addresses tried {name} within an hour without an answer, as "
            "happens to every public address.",
            f"{sources} adresses extérieures ont essayé {name} en une heure sans réponse, "
            "comme pour toute adresse publique.",
        ),
        measures=(
            Measure(name="outside_sources", value=sources, unit="addresses", baseline=RADIATION),
            Measure(name="attempts", value=int(row["attempts"]), unit="connections"),
        ),
        explanations=weather,
        not_examined=BLIND,
        next_steps=PATCH,
        attack=("T1595.001",),
        picture=Picture(
            kind="bars",
            x=(0.0, 1.0),
            y=(float(sources), float(row["open"])),
            labels=("silent", "answered"),
            y_label=Text("outside addresses", "adresses extérieures"),
        ),
    )


DETECTOR = Scan()
