"""How near the edge are the thresholds? Judge a labelled folder with all of them moved at once.

    python benchmarks/detection/margins.py ../shared/data/network

The thresholds were set while looking at this data, so its own rates flatter us. What other
networks will do cannot be measured here; how much is lost or gained when every amount is halved
or doubled can, and it bounds how much a rate owes to a number that just fits.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from cyberterr import content
from cyberterr.config import Settings
from cyberterr.pipeline.evaluate import Scores, evaluate

FACTORS = (0.5, 0.67, 1.0, 1.5, 2.0)
"""what each amount is multiplied by; above 1 is stricter"""
AMOUNTS = {
    "beacon": ("MIN_CALLS", "SURE_CALLS", "MANY_CALLS", "MIN_SPAN_S"),
    "brute_force": ("FAILURES", "SESSIONS", "RATE"),
    "c2": ("LONG_S", "RECONNECTS", "SHORT_S"),
    "dga": ("NAMES",),
    "dns_tunnel": ("MIN_NAMES", "FEW_NAMES", "MANY_NAMES", "MIN_LENGTH", "VERY_LONG"),
    "exfiltration": ("ODD_BYTES", "WEB_BYTES", "RATIO"),
    "ot_recon": ("ADDRESSES", "FUNCTIONS"),
    "ot_write": ("MASTER_REQUESTS", "KNOWN_WINDOWS"),
    "outside_scan": ("MANY_PORTS",),
    "ping_sweep": ("PINGED",),
    "ping_tunnel": ("PACKETS", "MEAN"),
    "port_scan": ("PORTS", "SLOW_PORTS"),
    "scan": ("HOSTS", "WEB_HOSTS", "SLOW_HOSTS"),
}
"""thresholds on amounts, where more is stricter; shares and habits stay as they are"""


def moved(factor: float, folder: Path) -> Scores:
    """Rates of *folder* with every amount times *factor*; the thresholds are put back."""
    kept: list[tuple[ModuleType, str, object]] = []
    content.detectors()
    for name, constants in AMOUNTS.items():
        module = sys.modules[f"cyberterr_detectors.{name}"]
        for constant in constants:
            value = getattr(module, constant)
            kept.append((module, constant, value))
            setattr(module, constant, value * factor)
    floods: Any = sys.modules["cyberterr_detectors.flood"]
    kept.append((floods, "KINDS", floods.KINDS))
    floods.KINDS = {
        name: kind._replace(rate=kind.rate * factor, total=math.ceil(kind.total * factor))
        for name, kind in floods.KINDS.items()
    }
    try:
        return evaluate(folder, Settings(), lambda _: None)
    finally:
        for module, constant, value in kept:
            setattr(module, constant, value)


def main() -> None:
    """Print one line per factor, with what is lost against the thresholds as they are."""
    folder = Path(sys.argv[1])
    usual = {i.file for i in moved(1.0, folder).incidents if i.found}
    print("| amounts times | found | alarms on benign data, at 73 | most a site-day | lost, won |")
    print("|---|---|---|---|---|")
    for factor in FACTORS:
        scores = moved(factor, folder)
        found = {i.file for i in scores.incidents if i.found}
        hits, total, low, high = scores.rate()
        alarms = sum(q.medium + q.high for q in scores.quiet)
        severe = sum(q.high for q in scores.quiet)
        worst = max(q.worst_day for q in scores.quiet)
        changed = [f"-{f}" for f in sorted(usual - found)] + [
            f"+{f}" for f in sorted(found - usual)
        ]
        print(
            f"| {factor:g} | {hits} of {total} ({low:.0%}-{high:.0%}) | {alarms}, {severe} "
            f"| {worst} | {' '.join(changed) or 'none'} |"
        )


if __name__ == "__main__":
    main()
