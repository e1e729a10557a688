"""A warm process that forks one decoding child for each file: started once, without a file open.

Started by `decode`, as a program of its own: it has loaded FFmpeg and numpy and nothing else, so
that a child starts in a millisecond and inherits nothing of the parent's memory.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import msgspec

from cyberterr.media import child, sandbox
from cyberterr.media.sandbox import Bounds

LONGEST_ORDER = 1_000


class Order(msgspec.Struct, frozen=True):
    """What to decode.

    Three descriptors go with it: the file, the pipe to write to, and the PEM of the authorities
    whose signatures are trusted.
    """

    size: int
    bounds: Bounds


def main(descriptor: int) -> None:
    """Fork a child for every order that comes over the socket *descriptor*, until it closes."""
    sandbox.die_with_parent()
    child.warm()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended children need no wait
    with socket.socket(fileno=descriptor) as orders:
        while True:
            message, descriptors, _, _ = socket.recv_fds(orders, LONGEST_ORDER, 3)
            if len(descriptors) < 3:
                return
            if os.fork() == 0:
                orders.close()
                _decode(msgspec.json.decode(message, type=Order), *descriptors)
            for each in descriptors:
                os.close(each)


def _decode(order: Order, file: int, pipe: int, trusted: int) -> None:
    try:
        sandbox.die_with_parent()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody listens: end
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):  # FFmpeg talks about hostile content
            os.dup2(nowhere, standard)
        with os.fdopen(trusted, encoding="utf-8") as pem:
            pem.seek(0)
            trust = pem.read()
        child.run(os.fdopen(file, "rb", buffering=0), order.size, pipe, order.bounds, trust)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
