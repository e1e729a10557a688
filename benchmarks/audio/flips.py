"""Verdicts that change under what a person cannot hear: mp3 and AAC at 128k, wav, flac, gain.

    python benchmarks/audio/flips.py ../shared/data/audio [--config FILE] [--every 1]

A flip is *signs* become *no sign* or the other way round; each is named. The exit status is 1 when
there is one. Moves to and from *cannot say* are counted beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cyberterr import config
from cyberterr.config import Settings
from cyberterr.contracts.media import Media
from cyberterr.media.encode import CONDITIONS, copies
from cyberterr.pipeline.labelled import manifest
from cyberterr.pipeline.verify import Progress, Verified, verify

AT_ONCE = 200


def main() -> int:
    """Print one row per change, then the flips by name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, help="settings, such as a folder of models")
    parser.add_argument("--every", type=int, default=1, help="take only each N-th file")
    arguments = parser.parse_args()
    settings = config.load(arguments.config)
    files = [row.file for row in manifest(arguments.folder)][:: arguments.every]
    paths = {str(arguments.folder / file): file for file in files}
    before = dict(judged(paths, settings))
    flips = []
    print("| change | files | flips | to or from *cannot say* | score moves, median and 99 % |")
    print("|---|---|---|---|---|")
    for name in (name for name, each in CONDITIONS.items() if each.inaudible):
        after: dict[str, Media] = {}
        for first in range(0, len(files), AT_ONCE):
            some = files[first : first + AT_ONCE]
            with tempfile.TemporaryDirectory() as folder:
                sources = [arguments.folder / file for file in some]
                after.update(judged(copies(sources, some, name, Path(folder)), settings))
        both = [(file, before[file], after[file]) for file in files
                if file in before and file in after]  # fmt: skip
        moved = [each for each in both if each[1].answer != each[2].answer]
        found = [each for each in moved if "cannot_say" not in (each[1].answer, each[2].answer)]
        flips += [(name, *each) for each in found]
        shifts = [abs(one.score - other.score) for _, one, other in both
                  if one.score is not None and other.score is not None]  # fmt: skip
        middle, tail = np.percentile(shifts, (50, 99)) if shifts else (np.nan, np.nan)
        print(
            f"| {name} | {len(both)} | {len(found)} | {len(moved) - len(found)} "
            f"| {middle:.3f}, {tail:.3f} |",
            flush=True,
        )
    for name, file, one, other in flips:
        print(f"- {name}: {file}: {one.answer} {one.score:.2f}, then {other.answer} "
              f"{other.score:.2f}")  # fmt: skip
    return int(bool(flips))


def judged(paths: dict[str, str], settings: Settings) -> Iterator[tuple[str, Media]]:
    """Name and verdict of each of *paths* that can be read."""
    for each in verify(list(paths), settings, None, Progress()):
        if isinstance(each, Verified) and each.finding.media:
            yield paths[each.name], each.finding.media


if __name__ == "__main__":
    sys.exit(main())
