"""What a fuzz target is, and how one input is judged."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from .mutation import mutated

__all__ = ["SECONDS", "Broken", "Change", "Target", "judge", "kind_of"]

Change: TypeAlias = Callable[[bytes, random.Random, Sequence[str], Sequence[bytes]], bytes]
"""Makes another input of one, with words that may be put in and inputs to take parts from."""

SECONDS: Final = 0.05
"""How much CPU one input may cost."""

_FOREIGN: Final = (msgspec.MsgspecError, UnicodeError)
_VALUE: Final = re.compile(r"['\"`]")
_DIGITS: Final = re.compile(r"\d+")


class Broken(Exception):
    """A parser did not keep what it promises."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A parser, as it is fuzzed.

    Attributes:
        name: of the target.
        parse: feeds the parser, checks what it made of the input, and says in a word what that was.
        refusals: the exceptions by which the parser refuses, as its documentation says. Any other
            exception is a finding.
        seeds: inputs to begin with.
        words: that mutations put in.
        packages: whose branches count as coverage, beside those of the tests. Whole ones: atheris knows
            no smaller parts, and a parser's rules are where its values end up, too.
        change: how inputs are mutated, beside libFuzzer's own ways.
        max_length: longest generated input, in bytes.
    """

    name: str
    parse: Callable[[bytes], str]
    refusals: tuple[type[Exception], ...]
    seeds: Callable[[], list[bytes]]
    packages: tuple[str, ...]
    words: tuple[str, ...] = ()
    change: Change = mutated
    max_length: int = 4_096


def kind_of(error: Exception) -> str:
    """A refusal by the place it came from: inputs that are refused alike have the same.

    Of msgspec, which is no Python, the text tells the place; values in it are left out.
    """
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
        trace = trace.tb_next
    decoder = next((e for e in (error, error.__cause__, error.__context__) if isinstance(e, _FOREIGN)), None)
    text = ""
    if decoder is not None:
        what, _, path = str(decoder).partition(" - at `")
        # Behind a bracket the path is as deep as whoever sent it likes.
        text = f" {_DIGITS.sub('', _VALUE.split(what)[0])} {path.partition('[')[0]}"
    return f"{type(error).__name__} {place}{text}"


def judge(target: Target, data: bytes, *, seconds: float = SECONDS) -> str:
    """What the parser makes of an input: the target's word for it, or the kind of the refusal.

    Raises:
        Broken: it took too long, or an oracle of the target says so.
        Exception: any but the documented refusals.
    """
    outcome, took = _timed(target, data)
    if took > seconds:
        # Whatever happens to run beside it, such as the garbage collector, is not the parser's doing.
        took = min(took, *(_timed(target, data)[1] for _ in range(3)))
        if took > seconds:
            raise Broken(f"{len(data)} bytes took {took * 1000:.0f} ms of CPU, at most {seconds * 1000:.0f}")
    return outcome


def _timed(target: Target, data: bytes) -> tuple[str, float]:
    started = time.thread_time()
    try:
        outcome = target.parse(data)
    except target.refusals as error:
        outcome = kind_of(error)
        _check_context(error)
    return outcome, time.thread_time() - started


def _check_context(error: Exception) -> None:
    if len(str(error)) > 100_000:
        raise Broken(f"the text of a refusal has {len(str(error))} characters")
