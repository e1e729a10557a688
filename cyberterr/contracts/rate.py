"""Rates are never told without their interval."""

from __future__ import annotations

import math


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927); (0, 1) without trials."""
    if not trials:
        return (0.0, 1.0)
    z, share = 1.959964, hits / trials
    middle = share + z * z / (2 * trials)
    margin = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return (max(0.0, (middle - margin) / scale), min(1.0, (middle + margin) / scale))
