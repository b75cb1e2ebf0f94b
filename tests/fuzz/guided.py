"""One long run of a target, guided by coverage: atheris (libFuzzer) in a process of its own.

Counted as coverage: the branches of the target's packages and of the targets themselves, and each kind
of outcome, since parts of the parsers are not Python and have no branches that could be seen.

    python -m tests.fuzz.guided TARGET FINDINGS PACKAGES [libFuzzer's options] CORPUS
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import sys
import traceback
import warnings
import zlib
from pathlib import Path
from typing import Final

from .mutation import mutated_text
from .target import SECONDS, judge

KIND: Final = "a new kind of outcome"
"""Printed for each, so that kinds and branches can be told apart in what libFuzzer prints."""

KINDS: Final = 4_096
SLOWDOWN: Final = 5
"""How much more an input may cost here, where every branch is counted. Findings are judged again without."""


def main() -> None:
    """Run until libFuzzer ends the process."""
    import atheris  # noqa: PLC0415 - is installed for fuzzing only

    name, findings = sys.argv[1], Path(sys.argv[2])
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with atheris.instrument_imports(include=sys.argv[3].split(",")):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - its packages are counted
    target = TARGETS[name]
    seeds = target.seeds()
    for _ in range(KINDS):
        atheris._reserve_counter()  # there is no public way to tell libFuzzer of an outcome
    seen: set[str] = set()
    kinds: set[str] = set()

    def one(data: bytes) -> None:
        try:
            outcome = judge(target, data, seconds=SECONDS * SLOWDOWN)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            where = traceback.extract_tb(error.__traceback__)[-1]
            outcome = f"{type(error).__name__} {where.filename}:{where.lineno}"
            if outcome not in seen:
                seen.add(outcome)
                number = hashlib.sha256(data).hexdigest()[:12]
                (findings / f"{name}-{number}").write_bytes(data)
        if outcome not in kinds:
            kinds.add(outcome)
            print(KIND, flush=True)
        atheris._trace_branch(zlib.crc32(outcome.encode(errors="replace")) % KINDS)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        dice = random.Random(seed)
        if dice.random() < (0.3 if target.change is mutated_text else 0.7):
            return target.change(data, dice, target.words, seeds)[:max_size]
        return bytes(atheris.Mutate(data, max_size))

    atheris.Setup([name, *sys.argv[4:]], one, custom_mutator=mutate)
    atheris.Fuzz()


def words_file(words: tuple[str, ...]) -> str:
    """A dictionary as libFuzzer reads it."""
    return "".join(
        f"{json.dumps(word)}\n" for word in words if word and word.isascii() and word.isprintable()
    )


if __name__ == "__main__":
    main()
