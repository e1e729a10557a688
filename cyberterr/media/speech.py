"""Where somebody speaks: WebRTC's voice activity detector over a stream of blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cyberterr.contracts.examiner import RATE

FRAME_S = 0.03
FRAME = int(FRAME_S * RATE)
"""samples of one frame: the longest that the detector takes"""
STRICTNESS = 2
"""0 takes most sound for speech, 3 least; 2 passes over breath and room noise"""


class Speech:
    """Tells speech from the rest, frame by frame, as blocks of mono sound at RATE come."""

    def __init__(self) -> None:
        import webrtcvad

        self._detector = webrtcvad.Vad(STRICTNESS)
        self._rest = np.empty(0, np.float32)

    def add(self, block: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Take in the next samples (n,).

        Returns:
            The whole frames that are now known, (k, FRAME), and whether each is speech, (k,).
        """
        sound = np.concatenate((self._rest, block))
        count = sound.size // FRAME
        frames = sound[: count * FRAME].reshape(count, FRAME)
        self._rest = sound[count * FRAME :]
        pcm = np.clip(frames * 32767, -32768, 32767).astype("<i2")
        told = [self._detector.is_speech(frame.tobytes(), RATE) for frame in pcm]
        return frames, np.array(told, bool)
