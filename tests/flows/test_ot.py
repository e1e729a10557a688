import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.contracts.ot import DNP3, MODBUS
from cyberterr.flows import bacnet, dnp3, iec104, modbus, s7
from cyberterr.flows.layer7 import Layer7
from cyberterr.flows.stream import NotThisProtocol

KINDS = {"read", "write", "control", "diagnostic", "other"}


def modbus_unit(function: int, address: int, unit: int = 1, number: int = 7) -> bytes:
    return struct.pack(">HHHBBHH", number, 0, 6, unit, function, address, 1)


def counts(table, *columns):
    return dict(sorted((row[:-1], row[-1]) for row in table.group_by(*columns).len().iter_rows()))


@given(st.integers(1, 6), st.integers(0, 65535), st.integers(0, 255))
def test_a_modbus_order_comes_back_as_it_was_sent(function, address, unit):
    (pdu,), used = modbus.read(modbus_unit(function, address, unit), True)
    assert (pdu.function, pdu.address, pdu.unit, used) == (function, address, unit, 12)
    assert pdu.kind == ("write" if function >= 5 else "read")


def test_several_modbus_units_in_one_segment_are_several_rows(say):
    layer7 = Layer7("test")
    both = modbus_unit(3, 10) + modbus_unit(5, 20)
    layer7.feed([say(both[:15], port=502), say(both[15:], port=502)])
    table = layer7.drain().ot
    assert table.select("function_name", "kind", "address").rows() == [
        ("Read Holding Registers", "read", 10), ("Write Single Coil", "write", 20),
    ]  # fmt: skip


def test_a_modbus_exception_says_so():
    (pdu,), _ = modbus.read(bytes.fromhex("000700000003018302"), False)
    assert (pdu.function, pdu.name, pdu.address) == (3, "Read Holding Registers, exception", None)


def test_after_lost_packets_modbus_goes_on_at_the_next_segment(say):
    layer7 = Layer7("test")
    order = modbus_unit(5, 20)
    layer7.feed([say(order, port=502, seq=1), say(order, port=502, seq=5000)])
    assert layer7.drain(final=True).ot.height == 2


def test_the_golden_modbus_capture_agrees_with_tshark(golden_tables):
    table = golden_tables("modbusBig.pcap").ot
    table = table.filter(table["ot_protocol"] == "modbus")
    # tshark -e modbus.func_code: 2774 of each; it leaves out an answer whose question it never saw.
    assert counts(table, "function", "kind") == {(1, "read"): 2775, (5, "write"): 2774}
    assert table["request"].sum() == 2774


def test_the_golden_dnp3_capture_agrees_with_tshark(golden_tables):
    table = golden_tables("dnp3.pcap").ot
    assert table.height == 115  # tshark -e dnp3.al.func
    asked = table.filter(table["request"])
    assert set(asked["dst_port"]) == {20000}
    assert set(asked["function_name"]) >= {"Read", "Select", "Cold Restart"}
    assert set(asked.filter(asked["function"] == 3)["kind"]) == {"control"}


def test_a_dnp3_answer_names_the_station_that_answers():
    (pdu,), _ = dnp3.read(bytes.fromhex("05640a4403000a00aaaa" + "c0c0810000bbbb"), False)
    assert (pdu.name, pdu.unit, pdu.request) == ("Response", 10, False)


def test_an_s7_stop_is_control_and_a_write_names_its_byte():
    head = "0300{:04x}02f08032010000000100{:02x}0000"
    stop = "29000000000009505f50524f4752414d"
    (pdu,), _ = s7.read(
        bytes.fromhex(head.format(17 + len(stop) // 2, len(stop) // 2) + stop), True
    )
    assert (pdu.name, pdu.kind, pdu.request) == ("PLC Stop", "control", True)
    write = "0501120a10020001000184000050"
    (pdu,), _ = s7.read(
        bytes.fromhex(head.format(17 + len(write) // 2, len(write) // 2) + write), True
    )
    assert (pdu.name, pdu.kind, pdu.address) == ("Write Var", "write", 10)


def test_a_bacnet_write_names_its_object_and_who_is_is_a_question():
    write = bytes.fromhex("810a001501040005010f0c008000011955")
    pdu = bacnet.read(write[:3] + bytes([len(write)]) + write[4:])
    assert (pdu.name, pdu.kind, pdu.address, pdu.request) == (
        "WriteProperty",
        "write",
        0x800001,
        True,
    )
    pdu = bacnet.read(bytes.fromhex("810b000c0120ffff00ff1008"))
    assert (pdu.name, pdu.kind, pdu.request) == ("Who-Is", "diagnostic", True)


def test_an_iec104_command_names_station_and_object():
    command = bytes.fromhex("680e0000000064010600030000000014")
    (pdu,), used = iec104.read(command, True)
    assert (pdu.name, pdu.kind, pdu.unit, pdu.address, used) == ("C_IC_NA_1", "read", 3, 0, 16)
    assert iec104.read(bytes.fromhex("680407000000"), True) == ([], 6)  # STARTDT carries no order


def test_every_table_speaks_of_known_kinds():
    tables = (MODBUS, DNP3, s7.FUNCTIONS, s7.USERDATA, bacnet.CONFIRMED,
              bacnet.UNCONFIRMED, iec104.FUNCTIONS)  # fmt: skip
    assert {kind for table in tables for _, kind in table.values()} == KINDS


@pytest.mark.parametrize("read", [modbus.read, dnp3.read, s7.read, iec104.read])
@pytest.mark.parametrize("start", ["", "000100000006", "0564", "03000020", "6810"])
@settings(deadline=None)
@given(noise=st.binary(max_size=200))
def test_any_bytes_are_units_or_another_protocol(read, start, noise):
    data = bytes.fromhex(start) + noise
    try:
        found, used = read(data, True)
    except NotThisProtocol:
        return
    assert used <= len(data)
    assert all(0 <= pdu.function < 65536 for pdu in found)


@given(st.binary(max_size=200))
def test_any_datagram_is_bacnet_or_not(noise):
    data = b"\x81\x0a" + struct.pack(">H", len(noise) + 4) + noise
    for tried in (noise, data, data[:4] + b"\1\0" + noise):
        try:
            bacnet.read(tried)
        except NotThisProtocol:
            continue
