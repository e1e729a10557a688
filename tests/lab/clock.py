"""The time of day over UDP port 123: a server and a client that asks at even intervals (RFC 5905).

python clock.py serve
python clock.py poll ADDRESS SECONDS
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

PORT = 123
SINCE_1900 = 2_208_988_800  # seconds from NTP's epoch to ours
PACKET = struct.Struct(">BBbb11I")  # flags, stratum, poll, precision, then eleven words


def _now() -> tuple[int, int]:
    seconds, fraction = divmod(time.time_ns(), 1_000_000_000)
    return seconds + SINCE_1900, (fraction << 32) // 1_000_000_000


def _serve() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("", PORT))
        while True:
            request, client = line.recvfrom(512)
            received = _now()
            if len(request) >= PACKET.size and request[0] & 7 == 3:  # mode 3: a client
                asked = struct.unpack(">2I", request[40:48])
                words = (0, 0, 0x4C4F434C, *received, *asked, *received, *_now())  # "LOCL"
                line.sendto(PACKET.pack(0x24, 2, 6, -20, *words), client)


def _poll(address: str, every: float) -> None:
    began = time.monotonic()
    for turn in range(1, 1 << 30):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.settimeout(2)
            line.sendto(PACKET.pack(0x23, 0, 6, -20, *(0,) * 9, *_now()), (address, PORT))
            with contextlib.suppress(TimeoutError, ConnectionError):
                line.recv(512)
        time.sleep(max(0.0, began + turn * every - time.monotonic()))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ("serve",):
            _serve()
        case "poll", address, seconds:
            _poll(address, float(seconds))
        case _:
            sys.exit(__doc__)
