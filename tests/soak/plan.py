"""What is done to whom and when: drawn from a seed, the same for the same seed and arguments."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["EVERY", "KINDS", "LONG", "Act", "draw_plan", "steady_from"]

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cut": "reset a part of the connections",
        "half-open": "let connections swallow everything, both ways",
        "stall": "hold back all bytes for some seconds",
        "refuse": "listen no more for some seconds",
        "kill-server": "SIGKILL the server, start it again",
        "stop-server": "SIGTERM the server, start it again",
        "fill-disk": "let no file grow any more; start the server again once it has stopped",
        "skew-server": "SIGKILL the server, start it again with its clock set otherwise",
        "kill-workers": "SIGKILL a process of workers, start it again",
        "pause-server": "SIGSTOP, SIGCONT",
        "pause-workers": "the same to a process of workers",
        "skew-workers": "set the clock of a process of workers, ahead or back",
        "expire-tokens": "all tokens of the connected workers expire at once",
        "fault-frames": "doubled, reordered and cut frames for some seconds",
        "fault-requests": "requests cut before or after they are carried out, or refused with 503",
    }
)

ENDS_SERVER: Final = frozenset({"kill-server", "stop-server", "fill-disk", "skew-server"})

QUIET_START: Final = 4.0
"""Seconds before the first act: somebody should be at work."""

CHAOS: Final = 0.9
"""The part of the time in which acts begin."""

LONG: Final = 300.0
"""Seconds from which on a run has a last part in which the server is not ended, to watch its memory."""

STEADY_SHARE: Final = 0.4
MAX_SKEW: Final = 5.0
"""Seconds that the server's clock is off at most: a jump of twice as many must leave time to read events."""

EVERY: Final = 3.0
"""Mean seconds between two acts, unless something else is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that is done.

    Attributes:
        at: seconds after the chaos has begun.
        kind: one of `KINDS`.
        target: which process of workers, from 0, where it is one.
        seconds: how long it lasts, or how long what was killed stays away.
        amount: what the kind makes of it: a share, an offset in seconds.
        choice: which of several sorts.
    """

    at: float
    kind: str
    target: int = 0
    seconds: float = 0.0
    amount: float = 0.0
    choice: str = ""


def steady_from(seconds: float) -> float:
    """From when on the server is not ended any more, in seconds after the start."""
    return seconds * (1 - STEADY_SHARE) if seconds >= LONG else seconds


def draw_plan(
    seed: int, seconds: float, *, processes: int, every: float = EVERY, without: Collection[str] = ()
) -> list[Act]:
    """The acts of a run, in order.

    Each kind comes once before any comes again, as far as the time allows.

    Args:
        seed: of the dice.
        seconds: how long the run lasts.
        processes: of workers.
        every: mean seconds between two acts.
        without: kinds that are left out.

    Raises:
        ValueError: there is no such kind.
    """
    unknown = set(without) - set(KINDS)
    if unknown:
        raise ValueError(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    dice = random.Random(f"plan {seed}")
    kinds = [kind for kind in KINDS if kind not in without]
    acts: list[Act] = []
    waiting: list[str] = []
    first, last, steady = QUIET_START, seconds * CHAOS, steady_from(seconds)
    count = max(1, int((last - first) / every))
    for at in sorted(dice.uniform(first, last) for _ in range(count if kinds else 0)):
        allowed = [kind for kind in waiting if at < steady or kind not in ENDS_SERVER]
        if not allowed:
            waiting += dice.sample(kinds, len(kinds))
            allowed = [kind for kind in waiting if at < steady or kind not in ENDS_SERVER]
        if not allowed:
            continue  # only such kinds are left as end the server
        kind = allowed[0]
        waiting.remove(kind)
        acts.append(_act(dice, at, kind, processes))
    return acts


def _act(dice: random.Random, at: float, kind: str, processes: int) -> Act:
    seconds, amount, choice = dice.uniform(0.0, 1.5), 0.0, ""
    match kind:
        case "cut":
            amount = dice.choice([0.05, 0.3, 1.0])
        case "half-open":
            amount = dice.choice([0.02, 0.1])
        case "stall" | "refuse":
            seconds = dice.uniform(0.5, 4.0)
        case "pause-server":
            seconds = dice.uniform(0.5, 5.0)
        case "pause-workers":
            seconds = dice.uniform(1.0, 15.0)
        case "skew-server":
            amount = dice.uniform(-MAX_SKEW, MAX_SKEW)
        case "skew-workers":
            amount = dice.choice([-1, 1]) * dice.choice([3.0, 60.0, 3_600.0])
        case "fault-frames":
            seconds, amount = dice.uniform(1.0, 4.0), dice.uniform(0.1, 0.4)
            choice = dice.choice(["duplicate", "reorder", "cut_before", "cut_after"])
        case "fault-requests":
            seconds, amount = dice.uniform(1.0, 4.0), dice.uniform(0.1, 0.4)
            choice = dice.choice(["cut_request_before", "cut_request_after", "refuse_request"])
        case _:
            pass
    return Act(
        at=at, kind=kind, target=dice.randrange(processes), seconds=seconds, amount=amount, choice=choice
    )
