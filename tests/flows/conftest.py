"""The messages of a golden capture, and the tables that layer 7 makes of them."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from cyberterr.config import Settings
from cyberterr.contracts import Tables
from cyberterr.flows.layer7 import Layer7, Message
from cyberterr.flows.meter import Meter
from cyberterr.flows.tapped import messages

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


@pytest.fixture(scope="session")
def golden_messages() -> Callable[[str], list[Message]]:
    def read(name: str) -> list[Message]:
        data = io.BytesIO((GOLDEN / name).read_bytes())
        with Meter(Settings().meter, sensor="test", tap=True) as meter:
            batches = list(meter.read(lambda room: data.readinto(room) or None))
            batches += meter.finish()
        return [message for batch in batches for message in messages(batch.tapped)]

    return read


@pytest.fixture(scope="session")
def golden_tables(golden_messages) -> Callable[[str], Tables]:
    def read(name: str) -> Tables:
        layer7 = Layer7("test")
        layer7.feed(golden_messages(name))
        return layer7.drain(final=True)

    return read


@pytest.fixture
def say() -> Callable[..., Message]:
    """Make a message; TCP sequence numbers go on by themselves."""
    sent: dict[tuple[int, bool], int] = {}

    def message(
        payload: bytes,
        *,
        client: bool = True,
        port: int = 80,
        flow: int = 1,
        time_ns: int = 0,
        protocol: int = 6,
        seq: int | None = None,
    ) -> Message:
        number = sent.get((flow, client), 1000) if seq is None else seq
        sent[flow, client] = number + len(payload)
        return Message(time_ns, flow, client, "10.0.0.1", "10.0.0.2", 40000, port, protocol,
                       number if protocol == 6 else 0, payload)  # fmt: skip

    return message
