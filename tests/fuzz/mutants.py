"""Inputs that are almost right: a seed with a few things broken, the same for the same dice."""

from __future__ import annotations

import random
import re

BYTES = (0, 1, 0x0A, 0x20, 0x45, 0x60, 0x7F, 0x80, 0xC0, 0xFF)
WORDS = (
    "nan", "inf", "-inf", "1e308", "-1e308", "1e-320", "-1", "-0.0", "0", "65535", "65536",
    "2147483648", "4294967296", "9000000000", "9223372036854775807", "9223372036854775808",
    "18446744073709551615", "18446744073709551616", "1" * 5000, "0x", "0x" + "f" * 100,
    "9999-12-31T23:59:59.999999Z", "9999-12-31 23:59:59", "0001-01-01T00:00:00+14:00",
    "2262-04-11T23:47:17Z", "1969-12-31T23:59:59Z", "2026-02-30T25:61:61Z", "", "-", "(empty)",
    "null", "true", "[]", "{}", '""', "\\ud800", "\\x00", "\0", "\x1b[2J", "é", "٣", "\u2028",
    "256.1.1.1", "::", "::ffff:192.0.2.1", "fe80::1%eth0", "0.0.0.0/0", "icmp", "udp", "tcp",
    "a" * 300, "#fields", "=", ",", ";", "\t", '"', "'", "[", "{",
)  # fmt: skip
_FIELD = re.compile(rb"[^\t,;:|\s\"'{}\[\]=]+")


def mutant(seed: bytes, dice: random.Random, *, is_text: bool) -> bytes:
    """*seed* with one to ten faults, each of a kind that *dice* choose."""
    data = bytearray(seed)
    faults = (_bytes, _cut, _copy, _number) + ((_word, _word, _word, _word) if is_text else ())
    for _ in range(dice.randint(1, 10)):
        dice.choice(faults)(data, dice)
    return bytes(data)


def _bytes(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 4)):
        if data:
            data[dice.randrange(len(data))] = dice.choice((*BYTES, dice.randrange(256)))


def _cut(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data) + 1)
    del data[at : len(data) if dice.random() < 0.1 else at + dice.randint(1, 64)]


def _copy(data: bytearray, dice: random.Random) -> None:
    start, at = dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)
    data[at:at] = data[start : start + dice.randint(1, 200)]


def _number(data: bytearray, dice: random.Random) -> None:
    width = dice.choice((1, 2, 4, 8))
    value = dice.choice(
        (0, 1, 2 ** (8 * width - 1) - 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1)
    )
    at = dice.randrange(len(data) + 1)
    data[at : at + width] = value.to_bytes(width, dice.choice(("little", "big")))


def _word(data: bytearray, dice: random.Random) -> None:
    """Replace one field: what a log or a settings file may hold that nobody expects."""
    found = [field.span() for field in _FIELD.finditer(data)]
    if found:
        start, end = dice.choice(found)
        data[start:end] = dice.choice(WORDS).encode("utf-8")
