"""What a decoder hands over: values for one row of a table, without who spoke."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One row of *table*.

    Attributes:
        table: dns, tls, http, ssh, ot or login.
        time_ns: since the epoch.
        values: of the columns behind `sensor`, in the order of the contract.
        turned: the server of the flow is the one who asks.
    """

    table: str
    time_ns: int
    values: tuple[object, ...]
    turned: bool = False
