"""Whoever asks a controller for everything explores it; a master asks for what exists."""

from __future__ import annotations

from cyberterr.contracts import Tables
from tests.content.scenes import alarms, event, findings, recorded, tables

DEVICE = "192.168.1.104"


def asked(src: str, addresses: range, *, refused: bool) -> Tables:
    """A read of each address, and the answer: its value, or that there is no such address."""
    usual = {"ot_protocol": "modbus", "function": 3, "unit": 1, "kind": "read"}
    rows = []
    for number, address in enumerate(addresses):
        ask = usual | {"function_name": "Read Holding Registers", "request": True}
        rows.append(event(src, DEVICE, 502, after=number, address=address, **ask))
        answer = "exception: illegal data address" if refused else "Read Holding Registers"
        said = usual | {"function_name": answer, "request": False}
        rows.append(event(src, DEVICE, 502, after=number + 0.1, **said))
    return tables(ot=rows)


def test_asking_for_everything_beside_a_master_is_an_alarm() -> None:
    polling = [asked("192.168.1.100", range(30), refused=False)]
    (finding,) = findings("ot_recon", [*polling, asked("192.168.1.101", range(400), refused=True)])
    assert (finding.rule, finding.severity) == ("ot_write.recon", 47)
    assert (finding.actor, finding.victim) == ("192.168.1.101", DEVICE)


def test_alone_with_the_device_it_may_be_its_commissioning() -> None:
    (finding,) = findings("ot_recon", asked("192.168.1.101", range(400), refused=True))
    assert finding.severity == 21


def test_reading_many_values_that_exist_is_a_masters_work() -> None:
    assert findings("ot_recon", asked("192.168.1.100", range(400), refused=False)) == []


def test_the_recorded_exploration_is_found() -> None:
    file = "ot-lemay/characterization_modbus_6RTU_with_operate.pcap.gz"
    assert {f.actor for f in alarms(recorded("ot_recon", file))} == {"192.168.1.101"}
