"""How fast a reading goes, and how far it lies behind the traffic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyberterr.pipeline.sources import Reading


class Pace:
    """What looks at a reading add up to; look several times a second.

    Attributes:
        per_second: packets, or flows where the source is a log, since the last mark.
        lag_s: how old the last packets were when they were metered; 0 on a quiet line.
        worst_lag_s: the largest of these.
    """

    def __init__(self) -> None:
        self.per_second = self.lag_s = self.worst_lag_s = 0.0
        self._began = time.monotonic()
        self._amount = 0
        self._clock_ns = 0

    def look(self, reading: Reading) -> None:
        """Compare *reading* with the look before."""
        amount = reading.packets or reading.flows
        self.per_second = (amount - self._amount) / max(0.001, time.monotonic() - self._began)
        moved = reading.clock_ns > self._clock_ns
        self._clock_ns = max(self._clock_ns, reading.clock_ns)
        # Without new packets the age of the last one grows: that is silence, not lag.
        self.lag_s = max(0.0, (time.time_ns() - reading.clock_ns) / 1e9) if moved else 0.0
        self.worst_lag_s = max(self.worst_lag_s, self.lag_s)

    def mark(self, reading: Reading) -> None:
        """Begin to count the rate and the worst lag anew."""
        self._began, self._amount = time.monotonic(), reading.packets or reading.flows
        self.worst_lag_s = self.lag_s
