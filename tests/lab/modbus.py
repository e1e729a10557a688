"""A small Modbus/TCP controller, its supervision, and one write that nobody ordered.

Source: Modbus Messaging on TCP/IP Implementation Guide V1.0b, Application Protocol V1.1b3.

    python modbus.py serve ADDRESS          coils and holding registers of a water tower
    python modbus.py poll ADDRESS           reads both every second, over one connection
    python modbus.py write ADDRESS COIL     sets one coil, once
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
import time

PORT = 502
HEADER = struct.Struct(">HHHB")  # transaction, protocol, length, unit
READ_COILS, READ_HOLDING, WRITE_COIL = 1, 3, 5


def _answer(request: bytes, coils: list[bool], registers: list[int]) -> bytes:
    """One PDU for one PDU; an exception PDU for what the controller does not know."""
    function = request[0]
    if function not in (READ_COILS, READ_HOLDING, WRITE_COIL) or len(request) != 5:
        return bytes((function | 0x80, 1))  # illegal function
    start, value = struct.unpack(">HH", request[1:])
    if function == READ_COILS and start + value <= len(coils):
        bits = sum(on << i for i, on in enumerate(coils[start : start + value]))
        packed = bits.to_bytes((value + 7) // 8, "little")
        return bytes((function, len(packed))) + packed
    if function == READ_HOLDING and start + value <= len(registers):
        packed = struct.pack(f">{value}H", *registers[start : start + value])
        return bytes((function, len(packed))) + packed
    if function == WRITE_COIL and start < len(coils) and value in (0, 0xFF00):
        coils[start] = value == 0xFF00
        return request
    return bytes((function | 0x80, 2))  # illegal data address


async def _serve(address: str) -> None:
    coils = [False] * 16
    registers = [420, 385, 71, 0, 1, 230, 231, 229, 50, 12]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, _, length, unit = HEADER.unpack(await reader.readexactly(HEADER.size))
                request = await reader.readexactly(length - 1)
                registers[0] += random.choice((-1, 0, 1))  # the water level moves
                answer = _answer(request, coils, registers)
                writer.write(HEADER.pack(transaction, 0, len(answer) + 1, unit) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, address, PORT)
    await server.serve_forever()


def _ask(line: socket.socket, transaction: int, *pdu: int) -> bytes:
    request = struct.pack(">BHH", *pdu)
    line.sendall(HEADER.pack(transaction & 0xFFFF, 0, len(request) + 1, 1) + request)
    return line.recv(260)


def _poll(address: str) -> None:
    with socket.create_connection((address, PORT), timeout=5) as line:
        began = time.monotonic()
        for second in range(1, 1 << 30):
            _ask(line, 2 * second, READ_HOLDING, 0, 10)
            if second % 5 == 0:
                _ask(line, 2 * second + 1, READ_COILS, 0, 16)
            time.sleep(max(0.0, began + second - time.monotonic()))


def _write(address: str, coil: int) -> None:
    with socket.create_connection((address, PORT), timeout=5) as line:
        answer = _ask(line, 1, WRITE_COIL, coil, 0xFF00)
    sys.stdout.write(f"coil {coil} set to ON, answer {answer.hex()}\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case "serve", address:
            asyncio.run(_serve(address))
        case "poll", address:
            _poll(address)
        case "write", address, coil:
            _write(address, int(coil))
        case _:
            sys.exit(__doc__)
