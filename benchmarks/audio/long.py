"""A long recording in any container: the committed speech sample, over and over."""

from __future__ import annotations

import subprocess
import sys
from itertools import repeat
from pathlib import Path

from cyberterr.media.encode import Condition, decode, write

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests" / "data" / "media" / "council_espeak.flac"
PROGRAM = str(Path(sys.executable).with_name("cyberterr"))
FORMATS = {
    "wav": Condition(".wav", "pcm_s16le", 16_000),
    "flac": Condition(".flac", "flac", 16_000),
    "mp3": Condition(".mp3", "libmp3lame", 44_100, 128_000),
    "m4a": Condition(".m4a", "aac", 44_100, 128_000),
    "opus": Condition(".ogg", "libopus", 48_000, 32_000),
}


def recording(folder: Path, name: str, seconds: float) -> Path:
    """Write about *seconds* of speech to *folder* in the format *name*.

    A process of its own does it: ours must stay small, since the kernel counts what a program had
    in memory when it was forked.
    """
    path = folder / f"{name}{FORMATS[name].suffix}"
    subprocess.run([sys.executable, __file__, name, str(path), str(seconds)], check=True)
    return path


def command(path: Path, config: Path | None) -> list[str]:
    """The whole command, as a user starts it."""
    settings = ["--config", str(config)] if config else []
    return [PROGRAM, "verify", str(path), "--no-store", "-q", "--format", "json", *settings]


if __name__ == "__main__":
    name, path, seconds = sys.argv[1:]
    sound, rate = decode(SPEECH)
    whole, rest = divmod(round(float(seconds) * rate), sound.size)
    blocks = [*repeat(sound, whole), sound[:rest]]
    write(blocks, rate, Path(path), FORMATS[name])
