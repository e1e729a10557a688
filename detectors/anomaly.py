"""Anomaly: an hour of a machine, or of a pair, unlike every hour of a learned clean period."""

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
    distinct,
    explained,
    moment,
    own,
    sketch,
    window_of,
)

TREES = 100
"""trees of the forest; more change the score by less than its spread (Liu et al. 2008)"""
SAMPLE = 256
"""hours a tree is grown from, as in Liu et al. 2008"""
MIN_ROWS = 24
"""clean hours of each kind from which on a forest is fitted"""
ALARM_Z = 8.0
"""robust z of the furthest feature; forest and baseline must agree before it is an alarm"""
HINT_Z = 5.0
"""robust z for a hint"""
MIN_SCALE = 0.25
"""least spread of a feature, in log units (about ±28 %): what never varied must not alarm at one"""
MAX_CLAIMS = 20
"""claims a window gives at most, worst first: an odd hour of the whole site is one story"""

FEATURES = ("connections", "sent", "received", "partners", "ports", "failed", "seconds")
LABELS = {
    "connections": Text("connections", "connexions"),
    "sent": Text("bytes sent", "octets envoyés"),
    "received": Text("bytes received", "octets reçus"),
    "partners": Text("partners", "correspondants"),
    "ports": Text("different ports", "ports différents"),
    "failed": Text("failed connections", "connexions échouées"),
    "seconds": Text("seconds connected", "secondes de connexion"),
}
HOST, PAIR = "host", "pair"

BLIND = (
    Text(
        "What already happened in the clean period; what stays within the usual amounts.",
        "Ce qui se passait déjà pendant la période saine ; ce qui reste dans les volumes usuels.",
    ),
)
CHANGE = Text(
    "A new program, a new task, a migration or an update day.",
    "Un nouveau logiciel, une nouvelle tâche, une migration ou un jour de mise à jour.",
)
STEPS = (
    Text(
        "Look at the other findings of this machine in the same hour.",
        "Regardez les autres constats de cette machine à la même heure.",
    ),
    Text(
        "If it is the new normal, learn again: cyberterr learn network.",
        "Si c'est la nouvelle normale, réapprenez : cyberterr learn network.",
    ),
)

Matrix = NDArray[np.float64]


class Anomaly:
    """An isolation forest beside robust z-scores, both fitted on a clean period only."""

    card = Card(
        id="anomaly",
        families=("anomaly",),
        question=Text(
            "Which machine behaves unlike itself?",
            "Quelle machine ne se comporte pas comme d'habitude ?",
        ),
        proof="hours that no clean hour matches: share of clean hours that score higher",
        blind_spots=BLIND,
        innocent=(CHANGE,),
        attack=(),
        cost="one pass over the flows; scoring takes microseconds per hour and machine",
        tables=("flows",),
        keys={"kind": pl.String, "src": pl.String, "dst": pl.String},
        columns={
            "connections": Merge.SUM,
            "sent": Merge.SUM,
            "received": Merge.SUM,
            "failed": Merge.SUM,
            "seconds": Merge.SUM,
            "partners": Merge.DISTINCT,
            "ports": Merge.DISTINCT,
            "first": Merge.MIN,
            "last": Merge.MAX,
        },
        window=dt.timedelta(hours=1),
        needs_normal=True,
    )

    def summarise(self, tables: Tables, site: Site) -> pl.DataFrame:
        """Amounts of each own machine, and of each pair it opens."""
        flows = tables.flows.filter(own(tables.flows["src_ip"], site))
        failed = pl.col("state").is_in(["S0", "REJ", "RSTOS0", "RSTRH"])
        both = pl.concat(
            [
                flows.with_columns(kind=pl.lit(HOST), src=pl.col("src_ip"), dst=pl.lit("")),
                flows.with_columns(kind=pl.lit(PAIR), src=pl.col("src_ip"), dst=pl.col("dst_ip")),
            ]
        )
        return (
            both.with_columns(window_of("start", self.card))
            .group_by("window", *self.card.keys)
            .agg(
                connections=pl.len().cast(pl.Int64),
                sent=pl.col("src_bytes").cast(pl.Int64).sum(),
                received=pl.col("dst_bytes").cast(pl.Int64).sum(),
                failed=failed.fill_null(False).sum().cast(pl.Int64),
                seconds=(pl.col("end") - pl.col("start")).dt.total_seconds().sum(),
                partners=sketch(pl.col("dst_ip")),
                ports=sketch(pl.col("dst_port")),
                first=pl.col("start").cast(pl.Int64).min(),
                last=pl.col("end").cast(pl.Int64).max(),
            )
        )

    def learn(self, summary: pl.DataFrame, site: Site) -> pl.DataFrame:
        """Fit on two thirds of the clean hours, calibrate on the rest (split conformal).

        Returns:
            Plain arrays, one row per node, calibration score or feature: `part` (tree,
            calibration, centre), `kind`, `tree`, `node`, `feature`, `value` (threshold, score or
            median), `left`, `right`, `extra` (path length at a leaf, or scale of a feature).
        """
        del site
        parts = [_NORMAL.clear()]
        for kind in (HOST, PAIR):
            rows = summary.filter(pl.col("kind") == kind).sort("window", "src", "dst")
            if rows.height >= MIN_ROWS:
                parts += fit(features(rows), kind)
        return pl.concat(parts)

    def judge(self, view: View) -> Iterator[Claim]:
        """Hours that score above every clean hour and lie far out in a feature."""
        if view.normal is None:
            return
        found: list[tuple[float, Claim]] = []
        for kind in (HOST, PAIR):
            rows = view.window.filter(pl.col("kind") == kind).sort("src", "dst")
            normal = view.normal.filter(pl.col("kind") == kind)
            if not rows.height or not normal.height:
                continue
            matrix = features(rows)
            share, z = p_values(matrix, normal), robust_z(matrix, normal)
            smallest = 1.0 / (normal.filter(pl.col("part") == "calibration").height + 1)
            for index, row in enumerate(rows.iter_rows(named=True)):
                far = float(z[index].max())
                if share[index] <= smallest and far >= HINT_Z:
                    claim = _claim(row, matrix[index], z[index], float(share[index]), normal, view)
                    found.append((far, claim))
        found.sort(key=lambda item: (-item[0], item[1].actor or "", item[1].scope))
        yield from (claim for _, claim in found[:MAX_CLAIMS])


_NORMAL = pl.DataFrame(
    schema={
        "part": pl.String,
        "kind": pl.String,
        "tree": pl.Int64,
        "node": pl.Int64,
        "feature": pl.Int64,
        "value": pl.Float64,
        "left": pl.Int64,
        "right": pl.Int64,
        "extra": pl.Float64,
    }
)


def features(rows: pl.DataFrame) -> Matrix:
    """Features of summary rows, float64, shape (rows, len(FEATURES)), as log(1 + amount)."""
    counted = rows.with_columns(partners=distinct("partners"), ports=distinct("ports"))
    amounts: Matrix = counted.select(pl.col(*FEATURES).cast(pl.Float64)).to_numpy()
    return np.asarray(np.log1p(amounts), dtype=np.float64)


def _usual_path(count: float) -> float:
    """Mean path of a search tree of *count* points (Liu et al. 2008, equation 1)."""
    if count <= 2:
        return 0.0 if count <= 1 else 1.0
    return 2.0 * (math.log(count - 1.0) + np.euler_gamma) - 2.0 * (count - 1.0) / count


def fit(matrix: Matrix, kind: str) -> list[pl.DataFrame]:
    """Grow the forest, score the held-out hours, note medians and scales.

    Args:
        matrix: clean hours, shape (hours, features); every third one is held out.
        kind: `host` or `pair`.
    """
    from sklearn.ensemble import IsolationForest

    held_out = np.arange(len(matrix)) % 3 == 2
    grown = matrix[~held_out]
    forest = IsolationForest(
        n_estimators=TREES, max_samples=min(SAMPLE, len(grown)), random_state=0
    ).fit(grown)
    parts = []
    for number, estimator in enumerate(forest.estimators_):
        tree = estimator.tree_
        depths = _depths(tree.children_left, tree.children_right)
        leaf = tree.children_left < 0
        tails = np.array([_usual_path(float(n)) for n in tree.n_node_samples])
        parts.append(
            _part(
                "tree",
                kind,
                tree=np.full(tree.node_count, number),
                node=np.arange(tree.node_count),
                feature=np.maximum(tree.feature, 0),
                value=tree.threshold,
                left=tree.children_left,
                right=tree.children_right,
                extra=np.where(leaf, depths + tails, 0.0),
            )
        )
    whole = _usual_path(float(forest.max_samples_))
    parts.append(_part("sample", kind, value=np.array([whole])))
    median = np.median(grown, axis=0)
    # 1.4826 MAD estimates a standard deviation.
    scale = np.maximum(1.4826 * np.median(np.abs(grown - median), axis=0), MIN_SCALE)
    parts.append(_part("centre", kind, feature=np.arange(len(median)), value=median, extra=scale))
    scores = score(matrix[held_out], pl.concat(parts))
    parts.append(_part("calibration", kind, value=np.sort(scores)))
    return parts


def _part(part: str, kind: str, **columns: NDArray[Any]) -> pl.DataFrame:
    count = len(columns["value"])
    frame = pl.DataFrame({name: pl.Series(values) for name, values in columns.items()})
    return frame.select(
        pl.lit(part).alias("part"),
        pl.lit(kind).alias("kind"),
        *(
            (pl.col(name) if name in columns else pl.lit(0)).cast(dtype).alias(name)
            for name, dtype in list(_NORMAL.schema.items())[2:]
        ),
    ).head(count)


def _depths(left: NDArray[Any], right: NDArray[Any]) -> Matrix:
    depths = np.zeros(len(left))
    for node in range(len(left)):  # parents come before their children
        if left[node] >= 0:
            depths[left[node]] = depths[right[node]] = depths[node] + 1
    return depths


def score(matrix: Matrix, normal: pl.DataFrame) -> Matrix:
    """Anomaly score in 0..1 of each row, higher is worse; equals scikit-learn's, negated.

    Args:
        matrix: shape (hours, features), float64.
        normal: `learn`'s rows of one kind.
    """
    single = matrix.astype(np.float32)  # as scikit-learn compares
    paths = np.zeros(len(matrix))
    rows = np.arange(len(matrix))
    trees = normal.filter(pl.col("part") == "tree").partition_by("tree", maintain_order=True)
    for tree in trees:
        feature, value = tree["feature"].to_numpy(), tree["value"].to_numpy()
        left, right, extra = (tree[name].to_numpy() for name in ("left", "right", "extra"))
        at = np.zeros(len(matrix), dtype=np.int64)
        while (inner := left[at] >= 0).any():
            goes_left = single[rows, feature[at]] <= value[at]
            at = np.where(inner, np.where(goes_left, left[at], right[at]), at)
        paths += extra[at]
    usual = normal.filter(pl.col("part") == "sample")["value"][0]
    return np.asarray(np.power(2.0, -paths / (len(trees) * usual)), dtype=np.float64)


def p_values(matrix: Matrix, normal: pl.DataFrame) -> Matrix:
    """Share of held-out clean hours that score at least as high (conformal p-value, 0..1]."""
    clean = normal.filter(pl.col("part") == "calibration")["value"].to_numpy()
    higher = len(clean) - np.searchsorted(clean, score(matrix, normal), side="left")
    return np.asarray((higher + 1) / (len(clean) + 1), dtype=np.float64)


def robust_z(matrix: Matrix, normal: pl.DataFrame) -> Matrix:
    """How far above the clean median each feature lies, in robust standard deviations."""
    centre = normal.filter(pl.col("part") == "centre").sort("feature")
    far = (matrix - centre["value"].to_numpy()) / centre["extra"].to_numpy()
    return np.asarray(far, dtype=np.float64)


def _claim(
    row: dict[str, Any],
    values: Matrix,
    z: Matrix,
    share: float,
    normal: pl.DataFrame,
    view: View,
) -> Claim:
    centre = normal.filter(pl.col("part") == "centre").sort("feature")["value"].to_list()
    order = [int(place) for place in np.argsort(-z)[:3]]
    top = FEATURES[order[0]]
    now, usual = (f"{math.expm1(amounts[order[0]]):,.0f}" for amounts in (values, centre))
    src = view.site.name_of(row["src"])
    towards_en = f" towards {row['dst']}" if row["dst"] else ""
    towards_fr = f" vers {row['dst']}" if row["dst"] else ""
    alarm = z[order[0]] >= ALARM_Z and row["kind"] == HOST
    return Claim(
        rule="anomaly",
        family="anomaly",
        severity=Severity.MEDIUM if alarm else Severity.LOW,
        score=min(1.0, max(0.0, 1.0 - share)),
        start=moment(row["first"]),
        end=moment(row["last"]),
        actor=row["src"],
        victim=row["dst"] or None,
        scope=row["kind"],
        title=Text(
            f"{src} behaves unlike the clean period{towards_en}",
            f"{src} ne se comporte pas comme en période saine{towards_fr}",
        ),
        reason=Text(
            f"{src} had {now} {LABELS[top].en} in an hour{towards_en}; the usual is "
            f"{usual}. No clean hour looked like this one.",
            f"{src} : {now.replace(',', ' ')} {LABELS[top].fr} en une heure{towards_fr} ; "
            f"d'habitude {usual.replace(',', ' ')}. Aucune heure saine ne ressemblait à celle-ci.",
        ),
        measures=(
            Measure(
                name="share_of_clean_hours_above",
                label=Text(
                    "share of clean hours that look odder", "part des heures saines plus étranges"
                ),
                value=share,
                unit="share",
            ),
            *(
                Measure(
                    name=FEATURES[place],
                    label=LABELS[FEATURES[place]],
                    value=math.expm1(values[place]),
                    baseline=math.expm1(centre[place]),
                )
                for place in order
            ),
            Measure(
                name="furthest_robust_z",
                label=Text(
                    "distance of the furthest amount from usual",
                    "écart du chiffre le plus éloigné de l'habitude",
                ),
                value=float(z[order[0]]),
                baseline=ALARM_Z,
            ),
        ),
        explanations=(explained(CHANGE, None),),
        not_examined=BLIND,
        next_steps=STEPS,
        picture=Picture(
            kind="bars",
            x=tuple(float(place) for place in range(len(FEATURES))),
            y=tuple(round(float(value), 3) for value in z),
            labels=tuple(LABELS.values()),
            y_label=Text("distance from usual", "écart à l'habitude"),
        ),
    )


DETECTOR = Anomaly()
