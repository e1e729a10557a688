"""Which service each flow speaks, until the flow has finished and gets its name."""

from __future__ import annotations

import polars as pl

_MAX_CUT = 65_536
_Ends = tuple[frozenset[tuple[str, int]], int]


class Services:
    """Services by flow id, and those of flows that go on under another id."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._cut: dict[_Ends, str] = {}

    def note(self, flow_id: int, service: str) -> None:
        """Remember what the flow speaks."""
        self._known[flow_id] = service

    def forget(self, flow_id: int) -> None:
        """It turned out to speak something else."""
        self._known.pop(flow_id, None)

    def named(self, flows: pl.DataFrame) -> pl.DataFrame:
        """*flows*, finished ones in the order of their first packet, with their service.

        One that the active time-out cut goes on as another flow, often in the middle of what is
        encrypted: that one keeps the service.
        """
        names = [self._known.pop(flow_id, None) for flow_id in flows["flow_id"]]
        if self._cut or (flows["end_reason"] == "active").any():
            self._carry(flows, names)
        return flows.with_columns(pl.Series("service", names, dtype=pl.String))

    def _carry(self, flows: pl.DataFrame, names: list[str | None]) -> None:
        """Fill *names* in from flows cut before, and remember those cut now."""
        columns = ("src_ip", "src_port", "dst_ip", "dst_port", "protocol", "end_reason")
        rows = zip(*(flows[column].to_list() for column in columns), strict=True)
        for at, (src_ip, src_port, dst_ip, dst_port, protocol, reason) in enumerate(rows):
            if names[at] is not None and reason != "active":
                continue
            ends = frozenset(((src_ip, src_port), (dst_ip, dst_port))), protocol
            name = names[at] = names[at] or self._cut.pop(ends, None)
            if name is not None and reason == "active":
                self._cut[ends] = name
                if len(self._cut) > _MAX_CUT:
                    del self._cut[next(iter(self._cut))]
