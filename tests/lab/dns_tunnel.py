"""Data in the labels of DNS queries, orders in the TXT answers; random bytes stand for both.

python dns_tunnel.py serve ADDRESS                  the far end: an authoritative server
python dns_tunnel.py send RESOLVER DOMAIN BYTES     the near end, through the town's resolver
"""

from __future__ import annotations

import base64
import os
import random
import socket
import struct
import sys
import time

HEADER = struct.Struct(">6H")  # id, flags, questions, answers, authorities, additional (RFC 1035)
TXT, IN = 16, 1
CHUNK = 93  # bytes a query: 149 characters of base32, three labels


def _serve(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind((address, 53))
        while True:
            query, client = line.recvfrom(4096)
            number = HEADER.unpack_from(query)[0]
            question = query[HEADER.size : query.index(b"\0", HEADER.size) + 5]
            text = base64.b64encode(os.urandom(random.randint(30, 120)))
            answer = struct.pack(">HHHIH", 0xC00C, TXT, IN, 1, len(text) + 1)
            answer += bytes((len(text),)) + text
            line.sendto(HEADER.pack(number, 0x8400, 1, 1, 0, 0) + question + answer, client)


def _send(resolver: str, domain: str, size: int) -> None:
    session = os.urandom(2).hex()
    queries = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(3)
        line.connect((resolver, 53))
        for queries, start in enumerate(range(0, size, CHUNK), 1):
            chunk = base64.b32encode(os.urandom(min(CHUNK, size - start)))
            data = chunk.decode().lower().strip("=")
            labels = [data[i : i + 50] for i in range(0, len(data), 50)]
            name = ".".join((*labels, f"{queries:x}{session}", domain))
            wire = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
            number = random.getrandbits(16)
            header = HEADER.pack(number, 0x0100, 1, 0, 0, 0)
            line.send(header + wire + struct.pack(">BHH", 0, TXT, IN))
            line.recv(4096)
            time.sleep(random.uniform(0.05, 0.35))
    sys.stdout.write(f"{size} bytes in {queries} queries\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case "serve", address:
            _serve(address)
        case "send", resolver, domain, size:
            _send(resolver, domain, int(size))
        case _:
            sys.exit(__doc__)
