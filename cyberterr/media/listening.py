"""A recording in one pass and bounded memory: blocks become windows of speech to be judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cyberterr.contracts.examiner import RATE
from cyberterr.media.gate import Gate
from cyberterr.media.speech import FRAME

SPOKEN = 0.4
"""share of a window that must be speech for the window to be judged"""
LEFT_S = 1.0
"""seconds behind the last window that are worth another one"""


class Windows(NamedTuple):
    """Some windows of one length."""

    starts: NDArray[np.float64]
    """(n,) seconds"""
    samples: NDArray[np.float32]
    """(n, samples)"""
    spoken: NDArray[np.float64]
    """(n,) share of each that is speech"""


def windows(
    blocks: Iterable[NDArray[np.float32]],
    gate: Gate,
    *,
    window_s: float,
    hop_s: float,
    least_s: float,
) -> Iterator[Windows]:
    """Windows of *window_s* every *hop_s* with enough speech in them, as blocks come.

    Each block is given to *gate* too. A recording shorter than *window_s* is one window, if it has
    *least_s*. Where more than LEFT_S of a longer one is left, a last window ends with it. Where no
    window has enough speech, the one with the most is given: it has a score, if no answer.
    """
    best = Windows(np.empty(0), np.empty((0, 0), np.float32), np.empty(0))
    given = False
    for part in _cut(blocks, gate, round(window_s * RATE), round(hop_s * RATE), least_s):
        spoken = part.spoken >= SPOKEN
        if spoken.any():
            given = True
            yield Windows(part.starts[spoken], part.samples[spoken], part.spoken[spoken])
        elif not given:
            most = [int(part.spoken.argmax())]
            if not best.starts.size or part.spoken[most[0]] > best.spoken[0]:
                best = Windows(part.starts[most], part.samples[most].copy(), part.spoken[most])
    if not given and best.starts.size:
        yield best


def _cut(
    blocks: Iterable[NDArray[np.float32]], gate: Gate, length: int, hop: int, least_s: float
) -> Iterator[Windows]:
    """All windows of *length* samples every *hop*, once it is known what in them is speech."""
    sound = np.empty(0, np.float32)
    speech = np.empty(0, bool)
    first = 0  # place of sound[0] in the recording, in samples
    following = 0  # place in sound of the next window
    for block in blocks:
        sound = np.concatenate((sound, block))
        speech = np.concatenate((speech, gate.add(block)))
        known = len(speech) * FRAME - first % FRAME
        places = np.arange(following, min(sound.size, known) - length + 1, hop)
        if places.size:
            yield _at(places, sound, speech, first, length)
            done = int(places[-1])
            sound, following = sound[done:], hop
            speech = speech[(first % FRAME + done) // FRAME :]
            first += done
    left = sound.size - length
    if not following and sound.size >= round(least_s * RATE):
        yield _at(np.zeros(1, int), sound, speech, first, min(length, sound.size))
    elif following and left > LEFT_S * RATE:
        yield _at(np.array([left]), sound, speech, first, length)


def _at(
    places: NDArray[np.int_],
    sound: NDArray[np.float32],
    speech: NDArray[np.bool_],
    first: int,
    length: int,
) -> Windows:
    """The windows of *sound* at *places*, which lies at *first* in the recording."""
    ahead = np.concatenate(([0], np.cumsum(speech)))
    low = (places + first % FRAME) // FRAME
    high = np.minimum((places + first % FRAME + length) // FRAME, len(speech))
    share = (ahead[high] - ahead[low]) / np.maximum(high - low, 1)
    samples = np.stack([sound[place : place + length] for place in places])
    return Windows((first + places) / RATE, samples, share)
