"""A spectrogram of a recording of any length, in one pass and bounded memory."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 16_000
SIZE = 1024
HOP = 512
ROWS = 128
"""from 0 to 8 kHz, linear: what synthesis leaves behind lies high as often as low"""
COLUMNS = 1_500
"""at most; a longer recording has the loudest of several moments in each"""
RANGE_DB = 80.0
WIDTH, HEIGHT, LEFT, BELOW = 960, 260, 52, 34
_COLOURS = ((10, 16, 28), (28, 60, 92), (31, 122, 128), (150, 180, 90), (255, 240, 190))


class Spectrogram(NamedTuple):
    """A picture of a recording."""

    levels: NDArray[np.uint8]
    """(ROWS, columns), lowest frequency first; 255 is the loudest, 0 is RANGE_DB below it"""
    seconds: float


class Builder:
    """Takes the sound of a recording block by block."""

    def __init__(self) -> None:
        import numpy as np

        self._rest = np.empty(0, np.float32)
        self._columns: list[NDArray[np.float32]] = []
        self._each = 1
        """moments in a column"""
        self._waiting: list[NDArray[np.float32]] = []
        self._samples = 0

    def add(self, block: NDArray[np.float32]) -> None:
        """Take in the next samples (n,), mono at RATE."""
        import librosa
        import numpy as np

        self._samples += block.size
        sound = np.concatenate((self._rest, block))
        if sound.size < SIZE:
            self._rest = sound
            return
        spectrum = np.abs(librosa.stft(sound, n_fft=SIZE, hop_length=HOP, center=False)) ** 2
        self._rest = sound[spectrum.shape[1] * HOP :]
        power = spectrum[:-1].reshape(ROWS, -1, spectrum.shape[1]).mean(axis=1)
        for moment in power.T:
            self._waiting.append(moment)
            if len(self._waiting) == self._each:
                self._columns.append(np.max(self._waiting, axis=0))
                self._waiting = []
        if len(self._columns) >= 2 * COLUMNS:
            pairs = zip(self._columns[::2], self._columns[1::2], strict=False)
            self._columns = [np.maximum(*pair) for pair in pairs]
            self._each *= 2

    def picture(self) -> Spectrogram | None:
        """What was drawn so far; None of less than a moment."""
        import librosa
        import numpy as np

        if not self._columns:
            return None
        power = np.stack(self._columns, axis=1)
        if power.shape[1] > COLUMNS:
            power = np.maximum(power[:, ::2][:, : power.shape[1] // 2], power[:, 1::2])
        level = librosa.power_to_db(power, ref=np.max, top_db=RANGE_DB)
        return Spectrogram(
            np.round((level + RANGE_DB) / RANGE_DB * 255).astype(np.uint8), self._samples / RATE
        )


def png(picture: Spectrogram) -> str:
    """*picture* as a `data:` URI, low frequencies at the bottom."""
    import numpy as np
    from PIL import Image

    anchors = np.linspace(0, 255, len(_COLOURS))
    table = np.stack(
        [np.interp(np.arange(256), anchors, channel) for channel in zip(*_COLOURS, strict=True)],
        axis=1,
    ).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(table[picture.levels[::-1]]).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def drawn(
    picture: Spectrogram, marked: Sequence[tuple[float, float]], names: tuple[str, str]
) -> str:
    """*picture* as SVG with its axes; *marked* are seconds from and to, *names* those of the axes.

    All text in it is ours: numbers and *names*.
    """
    scale = (WIDTH - LEFT) / max(picture.seconds, 0.01)
    body = [
        f'<image href="{png(picture)}" x="{LEFT}" y="0" width="{WIDTH - LEFT}" height="{HEIGHT}" '
        'preserveAspectRatio="none"/>'
    ]
    for khz in range(0, 9, 2):
        y = min(max(HEIGHT - khz / 8 * HEIGHT + 4, 24), HEIGHT)
        body.append(f'<text x="{LEFT - 8}" y="{y:.0f}" text-anchor="end">{khz}</text>')
    for number, (start, end) in enumerate(marked, 1):
        x, width = LEFT + start * scale, max((end - start) * scale, 3)
        body.append(
            f'<rect class="marked" x="{x:.1f}" y="1" width="{width:.1f}" height="{HEIGHT - 2}" '
            'fill="none" stroke="#ffd166" stroke-width="2"/>'
            f'<text class="number" x="{x + 4:.1f}" y="16" fill="#ffd166">{number}</text>'
        )
    body.append(f'<text x="{LEFT - 44}" y="12">{names[1]}</text>')
    body.append(time_axis(picture.seconds, HEIGHT, names[0]))
    return (
        f'<svg class="picture" viewBox="0 0 {WIDTH} {HEIGHT + BELOW}" role="img" '
        f'font-size="12.5" aria-label="{names[0]}, {names[1]}">{"".join(body)}</svg>'
    )


def time_axis(seconds: float, top: float, name: str) -> str:
    """Marks of time from 0 to *seconds* below *top*, and the *name* of the axis."""
    scale = (WIDTH - LEFT) / max(seconds, 0.01)
    marks = [
        f'<text x="{LEFT + second * scale:.0f}" y="{top + 16}" '
        f'text-anchor="{"end" if second > 0.97 * seconds else "middle"}">{clock(second)}</text>'
        for second in _ticks(seconds)
    ]
    return f'{"".join(marks)}<text x="{WIDTH}" y="{top + 32}" text-anchor="end">{name}</text>'


def _ticks(seconds: float) -> list[float]:
    steps = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
    step = next((each for each in steps if seconds / each <= 10), steps[-1])
    return [step * place for place in range(int(seconds / step) + 1)]


def clock(seconds: float) -> str:
    """*seconds* as a clock shows them: `12`, `1:04`, `3:20:00`."""
    if seconds < 60:
        return f"{seconds:g}"
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
