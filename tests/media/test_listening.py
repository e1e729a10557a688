"""Windows do not depend on how a recording came in blocks, and silence is passed over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyberterr.media import listening
from cyberterr.media.gate import Gate
from cyberterr.media.recording import Container
from tests.media import sounds

WAV = Container(
    mime="audio/wav", format="wav", codec="pcm_s16le", bit_rate=None, rate=16_000, channels=1,
    seconds=None, film=False, tracks=1,
)  # fmt: skip
SPEECH = sounds.samples()


def heard(sound: np.ndarray, cuts: list[int]) -> list[tuple[float, bytes]]:
    blocks = np.split(sound, sorted({cut % sound.size for cut in cuts}))
    parts = listening.windows(
        [block for block in blocks if block.size], Gate(WAV), window_s=4.0, hop_s=2.0, least_s=1.0
    )
    return [
        (float(start), wave.tobytes())
        for part in parts
        for start, wave in zip(part.starts, part.samples, strict=True)
    ]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 10**6), max_size=12))
def test_blocks_of_any_size_give_the_same_windows(cuts: list[int]) -> None:
    sound = np.concatenate((SPEECH, np.zeros(5 * 16_000, "f4"), SPEECH))
    assert heard(sound, cuts) == heard(sound, [])


def test_every_window_is_the_sound_at_its_place() -> None:
    for start, wave in heard(SPEECH, [70_000]):
        place = round(start * 16_000)
        assert wave == SPEECH[place : place + len(wave) // 4].tobytes()


def test_silence_between_speech_is_not_judged() -> None:
    sound = np.concatenate((SPEECH, np.zeros(60 * 16_000, "f4"), SPEECH))
    starts = [start for start, _ in heard(sound, [])]
    assert not [start for start in starts if 9 < start < 64]
    assert [start for start in starts if start > 65]


@pytest.mark.parametrize(("seconds", "count"), [(0.9, 0), (1.0, 1), (3.9, 1), (5.5, 2), (8.0, 3)])
def test_short_recordings_are_heard_whole_and_long_ones_to_their_end(
    seconds: float, count: int
) -> None:
    assert len(heard(SPEECH[: round(seconds * 16_000)], [])) == count
