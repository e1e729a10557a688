"""Beacon: a machine calls one destination at a steady rhythm, as remote-controlled programs do."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
    own,
    sample,
    times,
    wilson,
    window_of,
)

MIN_CALLS = 8
"""calls; with fewer, seven gaps cannot be told from chance"""
MIN_SPAN_S = 45.0
"""seconds from first to last call; a page that loads is over sooner"""
MIN_GAP_S = 0.2
"""seconds; what calls more often is one task that works, or a flood, not a machine that waits"""
SURE_CALLS = 15
"""calls before an alarm where the port is an everyday one"""
STEADY_BAND = 0.5
"""a gap is steady within ±50 % of the usual one: the largest jitter that implants offer as habit"""
MIN_STEADY = 0.6
"""lower end of the 95 % interval of the share of steady gaps; chance calls reach 0.35"""
MAX_SPREAD = 0.3
"""median deviation ÷ usual gap; ±50 % even jitter gives 0.25, chance calls 0.69"""
FAST_S = 65.0
"""seconds; ordinary programs keep one connection rather than open a new one every minute"""
MANY_CALLS = 30
"""calls on an odd port from which on we are sure enough for a high severity"""
POPULAR = 3
"""machines that call the same destination; then it is a service, not one infected machine"""
BURST = 0.1
"""gaps under a tenth of the upper quartile are one call made over several connections"""
MAX_PER_CALL = 1.5
"""connections of one call; an implant opens one, pages and players open several at once"""
SIZE_CAP = 1_000_000
"""bytes of one call that count towards the spread of sizes, so that sums stay whole numbers"""

WEB = (80, 443, 8080, 8443)
KEEP_ALIVE = (
    *(25, 110, 143, 465, 587, 993, 995, 853, 1883, 8883, 5222, 5223, 5228, 3478),
    *(500, 4500, 1194, 51820, 161, 162, 514, 5060, 5061),
)
"""mail, push, message queues, VPN, telephony: programs that call regularly by design"""
ELSEWHERE = (53, 123, 67, 68, 5353, 5355, 1900, 137, 138, 21, 22, 23, 445, 3389, 5900)
"""clock, names, discovery, and logins, which the brute-force detector judges"""
KNOWN = (
    *("microsoft.com", "windows.com", "windowsupdate.com", "office.com", "office365.com"),
    *("live.com", "msftconnecttest.com", "skype.com", "google.com", "googleapis.com"),
    *("gstatic.com", "apple.com", "icloud.com", "mozilla.com", "mozilla.org", "firefox.com"),
    *("ubuntu.com", "debian.org", "dropbox.com", "eset.com", "mcafee.com", "sophos.com"),
    *("kaspersky.com", "bitdefender.net", "amazon.com", "slack.com", "zoom.us", "gouv.fr"),
    *("pusher.com", "pubnub.com", "ably.io", "firebaseio.com", "intercom.io", "sentry.io"),
    *("whatsapp.net", "facebook.com", "twitter.com", "spotify.com", "netflix.com", "jitsi.net"),
    *("adobe.com", "teamviewer.com", "anydesk.com", "tplinkcloud.com", "xbcs.net"),
)
"""services that office machines and devices call by the clock"""

BLIND = (
    Text(
        "Calls inside one long connection, and programs that change destination at every call.",
        "Les appels à l'intérieur d'une seule longue connexion, et les programmes qui changent de "
        "destination à chaque appel.",
    ),
    Text("What was said, where it is encrypted.", "Le contenu échangé, s'il est chiffré."),
)
UPDATES = Text(
    "A well-known service that checks for updates or messages.",
    "Un service connu qui vérifie des mises à jour ou des messages.",
)
INSIDE = Text(
    "Monitoring or polling inside the own network.",
    "Une supervision ou une interrogation à l'intérieur du réseau.",
)
SHARED = Text(
    "A service that several machines here use.",
    "Un service que plusieurs machines d'ici utilisent.",
)
HABIT = Text(
    "Machines here already called it in the clean period.",
    "Des machines d'ici l'appelaient déjà pendant la période saine.",
)
BROKEN = Text(
    "A program that looks for a server that no longer exists.",
    "Un logiciel qui cherche un serveur disparu.",
)
STEPS = (
    Text(
        "Find the program that makes the calls on the machine, and who installed it.",
        "Cherchez sur la machine le programme qui appelle, et qui l'a installé.",
    ),
    Text(
        "Look the destination up; ask the owner of the machine whether it is known.",
        "Renseignez-vous sur la destination ; demandez à l'utilisateur si elle lui est connue.",
    ),
)


class Beacon:
    """Pairs whose calls keep time; how rare and how odd the destination is sets the severity."""

    card = Card(
        id="beacon",
        families=("beacon",),
        question=Text(
            "Which machine calls one address by the clock?",
            "Quelle machine appelle une adresse à intervalles réguliers ?",
        ),
        proof="starts of connections at steady gaps (spread and share of gaps, as RITA v5 scores)",
        blind_spots=BLIND,
        innocent=(UPDATES, INSIDE, SHARED, HABIT, BROKEN),
        attack=("T1071", "T1571"),
        cost="one pass over the flows; at most 1,024 instants per pair and hour",
        tables=("flows", "tls", "http"),
        keys={"src": pl.String, "dst": pl.String, "port": pl.Int64, "protocol": pl.Int64},
        columns={
            "calls": Merge.SUM,
            "starts": Merge.TIMES,
            "unanswered": Merge.SUM,
            "sent": Merge.SUM,
            "squares": Merge.SUM,
            "names": Merge.SAMPLE,
        },
        apart=("dst", "port"),
        window=dt.timedelta(hours=1),
        history=dt.timedelta(hours=24),
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Starts, sizes and names of each pair's connections; TCP only from its beginning."""
        del site
        one_to_many = r"^(22[4-9]\.|23\d\.|255\.|ff)"
        flows = tables.flows.filter(
            pl.col("protocol").is_in([6, 17]),
            ~pl.col("dst_port").is_in(ELSEWHERE),
            (pl.col("protocol") != 6) | (pl.col("state") != "OTH"),
            ~pl.col("dst_ip").str.contains(one_to_many),
        )
        silent = (pl.col("dst_bytes") == 0) | (pl.col("state") == "REJ")
        size = pl.col("src_bytes").cast(pl.Int64).clip(0, SIZE_CAP)
        calls = flows.select(
            window_of("start", self.card), *_pair(), start="start", silent=silent, size=size
        )
        names = [
            table.select(window_of("time", self.card), *_pair(), name=pl.col(column))
            for table, column in ((tables.tls, "server_name"), (tables.http, "host"))
        ]
        return (
            pl.concat([calls, *names], how="diagonal")
            .group_by("window", *self.card.keys)
            .agg(
                calls=pl.col("start").count(),
                starts=times("start"),
                unanswered=pl.col("silent").cast(pl.Int64).sum(),
                sent=pl.col("size").sum(),
                squares=pl.col("size").pow(2).sum(),
                names=sample(pl.col("name")),
            )
        )

    def learn(self, summary: pl.DataFrame, site: Site) -> pl.DataFrame:
        """Destinations that machines here called when all was clean, with the names they had."""
        del site
        names = pl.col("names").explode().drop_nulls().unique().sort()
        return summary.group_by("dst", "port").agg(names).sort("dst", "port")

    def judge(self, view: View) -> Iterator[Claim]:
        """Pairs that called in this window and kept time over it and the day before."""
        keys = list(self.card.keys)
        now = view.window.select(*keys, "calls").filter(pl.col("calls") > 0)
        if not now.height:
            return
        rows = pl.concat([view.history, view.window])
        callers = (
            rows.filter(pl.col("calls") > 0)
            .group_by("dst", "port")
            .agg(callers=pl.col("src").n_unique())
        )
        # Counted first: most pairs of a flood call once, and their lists weigh most.
        often = (
            rows.select(*keys, "calls")
            .join(now.select(keys), on=keys, how="semi")
            .group_by(keys)
            .agg(pl.col("calls").sum())
            .filter(pl.col("calls") >= MIN_CALLS)
        )
        pairs = (
            rows.join(often.select(keys), on=keys, how="semi")
            .group_by(keys)
            .agg(
                pl.col("calls", "unanswered", "sent", "squares").sum(),
                pl.col("starts").explode().drop_nulls().sort(),
                pl.col("names").explode().drop_nulls().unique().sort(),
            )
            .join(callers, on=["dst", "port"])
            .sort(keys)
        )
        pairs = pairs.with_columns(
            own_src=own(pairs["src"], view.site), own_dst=own(pairs["dst"], view.site)
        )
        # Calls that come in from outside are scans or visitors, not beacons of ours.
        for row in pairs.filter(pl.col("own_src") | ~pl.col("own_dst")).iter_rows(named=True):
            rhythm = _rhythm(np.array(row["starts"], dtype=np.int64) / 1e9)
            if rhythm:
                yield _claim(row, rhythm, view)


def _pair() -> tuple[pl.Expr, ...]:
    return (
        pl.col("src_ip").alias("src"),
        pl.col("dst_ip").alias("dst"),
        pl.col("dst_port").cast(pl.Int64).alias("port"),
        pl.col("protocol").cast(pl.Int64),
    )


def _rhythm(starts: NDArray[np.float64]) -> dict[str, float] | None:
    """Usual gap (seconds), its relative spread and the share of steady gaps; None if irregular."""
    if len(starts) < MIN_CALLS or starts[-1] - starts[0] < MIN_SPAN_S:
        return None
    gaps = np.diff(starts)
    upper = float(np.quantile(gaps, 0.75))
    calls = np.concatenate([starts[:1], starts[1:][gaps >= upper * BURST]])
    gaps = np.diff(calls)
    if len(calls) < MIN_CALLS or len(starts) > MAX_PER_CALL * len(calls):
        return None
    usual = float(np.median(gaps))
    spread = float(np.median(np.abs(gaps - usual))) / usual if usual else math.inf
    steady = int(np.sum(np.abs(gaps - usual) <= STEADY_BAND * usual))
    if usual < MIN_GAP_S or spread > MAX_SPREAD or wilson(steady, len(gaps))[0] < MIN_STEADY:
        return None
    low, middle, high = np.quantile(gaps, (0.25, 0.5, 0.75))
    skew = abs(low + high - 2 * middle) / (high - low) if high > low else 0.0
    return {
        "usual": usual,
        "spread": spread,
        "steady": steady / len(gaps),
        "skew": float(skew),
        "calls": float(len(calls)),
    }


def _new(row: dict[str, Any], normal: pl.DataFrame | None) -> bool | None:
    """Whether nobody here called this destination, or its name, when all was clean."""
    if normal is None:
        return None
    by_address = (pl.col("dst") == row["dst"]) & (pl.col("port") == row["port"])
    by_name = pl.col("names").list.set_intersection(row["names"]).list.len() > 0
    return normal.filter(by_address | by_name).is_empty()


def _known(names: list[str]) -> bool:
    return bool(names) and all(
        any(name == good or name.endswith("." + good) for good in KNOWN) for name in names
    )


def _severity(row: dict[str, Any], rhythm: dict[str, float], new: bool | None) -> Severity:
    if row["own_dst"] or row["callers"] >= POPULAR or _known(row["names"]) or new is False:
        return Severity.LOW
    fast = rhythm["usual"] <= FAST_S
    if row["port"] in WEB:
        sure = (fast or new) and rhythm["calls"] >= SURE_CALLS
        return Severity.MEDIUM if sure else Severity.LOW
    if row["port"] in KEEP_ALIVE:
        return Severity.LOW
    sure = fast and rhythm["calls"] >= MANY_CALLS and rhythm["steady"] >= 0.9
    return Severity.HIGH if sure else Severity.MEDIUM


def _claim(row: dict[str, Any], rhythm: dict[str, float], view: View) -> Claim:
    src = view.site.name_of(row["src"])
    called = [name for name in row["names"] if name != row["dst"]]
    name = f"{called[0]} ({row['dst']})" if called else view.site.name_of(row["dst"])
    calls, usual, new = row["calls"], rhythm["usual"], _new(row, view.normal)
    mean = row["sent"] / calls
    uneven = math.sqrt(max(0.0, row["squares"] / calls - mean * mean)) / mean if mean else 0.0
    parts = (
        1 - rhythm["spread"] / MAX_SPREAD,
        rhythm["steady"],
        1 - rhythm["skew"],
        max(0.0, 1 - uneven),
    )
    silent = row["unanswered"] / calls
    starts = row["starts"]
    every = max(1, -(-len(starts) // 500))
    shown = [start / 1e9 for start in starts][::every]
    clock = f"{usual:.1f} s" if usual < 120 else f"{usual / 60:.0f} min"
    horloge = clock.replace(".", ",")
    quiet_en = " Nobody answered most of them." if silent > 0.5 else ""
    quiet_fr = " La plupart sont restés sans réponse." if silent > 0.5 else ""
    return Claim(
        rule="beacon",
        family="beacon",
        severity=_severity(row, rhythm, new),
        score=min(1.0, max(0.0, sum(parts) / len(parts))),
        start=moment(starts[0]),
        end=moment(starts[-1]),
        actor=row["src"],
        victim=row["dst"],
        victim_port=row["port"],
        scope=f"{row['protocol']}/{row['port']}",
        title=Text(
            f"{src} calls {name} every {clock}", f"{src} appelle {name} toutes les {horloge}"
        ),
        reason=Text(
            f"{src} called {name}, port {row['port']}, {calls} times at a steady {clock}, as a "
            f"remote-controlled program would.{quiet_en}",
            f"{src} a appelé {name}, port {row['port']}, {calls} fois, toutes les {horloge}, comme "
            f"le ferait un programme piloté à distance.{quiet_fr}",
        ),
        measures=(
            Measure(
                name="calls",
                label=Text("calls", "appels"),
                value=calls,
                unit="connections",
                baseline=MIN_CALLS,
            ),
            Measure(
                name="usual_gap",
                label=Text("usual time between calls", "intervalle habituel entre appels"),
                value=round(usual, 3),
                unit="seconds",
            ),
            Measure(
                name="spread_of_gaps",
                label=Text("spread of the intervals", "dispersion des intervalles"),
                value=round(rhythm["spread"], 3),
                baseline=MAX_SPREAD,
            ),
            Measure(
                name="steady_gaps",
                label=Text("share of steady intervals", "part des intervalles réguliers"),
                value=round(rhythm["steady"], 3),
                baseline=0.35,
            ),
            Measure(
                name="spread_of_sizes",
                label=Text("spread of the sizes", "dispersion des tailles"),
                value=round(uneven, 3),
            ),
            Measure(
                name="unanswered",
                label=Text("calls without answer", "appels sans réponse"),
                value=round(silent, 3),
                unit="share",
            ),
            Measure(
                name="machines_that_call_it",
                label=Text("machines here that call it", "machines d'ici qui l'appellent"),
                value=row["callers"],
                baseline=POPULAR,
            ),
        ),
        explanations=(
            explained(INSIDE, bool(row["own_dst"])),
            explained(SHARED, row["callers"] >= POPULAR),
            explained(HABIT, None if new is None else not new),
            explained(UPDATES, _known(row["names"]) if row["names"] else None),
            explained(BROKEN, None if silent > 0.5 else False),
        ),
        not_examined=BLIND,
        next_steps=STEPS,
        attack=("T1071",) if row["port"] in WEB else ("T1071", "T1571"),
        picture=Picture(
            kind="timeline",
            x=tuple(shown),
            y=tuple(1.0 for _ in shown),
            x_label=Text("time", "heure"),
            y_label=Text("calls", "appels"),
        ),
    )


DETECTOR = Beacon()
