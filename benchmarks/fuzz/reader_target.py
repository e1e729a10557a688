"""atheris target for one reader: `python reader_target.py FORMAT [libFuzzer options] CORPUS`.

Every second mutation is one of tests/fuzz/mutants.py, which knows fields and absurd numbers.
"""

from __future__ import annotations

import random
import shlex
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["cyberterr"], enable_loader_override=False):
    from tests.fuzz.formats import FORMATS
from tests.fuzz.mutants import mutant


def main() -> None:
    """Fuzz until libFuzzer's time is over or a contract is broken."""
    program, name, *options = sys.argv
    target = FORMATS[name]

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        dice = random.Random(seed)
        if dice.random() < 0.5:
            return bytes(atheris.Mutate(data, size))
        return mutant(data, dice, is_text=target.is_text)[:size]

    def run(data: bytes) -> None:
        target.read(data)

    # libFuzzer starts itself again to merge, with the shell and by its first argument.
    itself = shlex.join((sys.executable, program, name))
    atheris.Setup([itself, *options], run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
