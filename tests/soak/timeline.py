"""When something in the server's log happened by the machine's own clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.soak.evidence import ServerRun

__all__ = ["Span", "Timeline"]

SLACK: Final = 0.05
"""Seconds by which an event may lie outside its process's life, for rounding."""


@dataclass(frozen=True, slots=True)
class Span:
    """A moment that is known to lie between two others, in epoch seconds."""

    earliest: float
    latest: float

    def __str__(self) -> str:
        return f"{self.earliest:.2f}" + (
            f" to {self.latest:.2f}" if self.latest - self.earliest > SLACK else ""
        )


class Timeline:
    """Takes the server's clock off its dates: each process of it may have had another one.

    Args:
        runs: the server's processes in order.
    """

    def __init__(self, runs: Sequence[ServerRun]) -> None:
        self._runs = runs
        self._offsets = [run.offset for run in runs] or [0.0]

    def spans(self, dates: Sequence[float]) -> list[Span]:
        """The true moments of the log's dates, in the log's order.

        A date that fits more than one process gets all that it may mean. What the log's order rules out
        is left out: no event is of a process before that of the event before it.
        """
        lowest, found = 0, list[Span]()
        for date in dates:
            fitting = [
                index
                for index in range(lowest, len(self._runs))
                if self._runs[index].began - SLACK
                <= date - self._runs[index].offset
                <= self._runs[index].ended + SLACK
            ]
            if fitting:
                lowest = fitting[0]
            # One that fits none was dated by a deadline that passed while no server ran.
            offsets = [self._runs[index].offset for index in fitting] or self._offsets
            moments = [date - offset for offset in offsets]
            found.append(Span(min(moments), max(moments)))
        return found

    def jump(self, begin: float, end: float) -> float:
        """Seconds by which the server's clock was set ahead between two true moments: 0 or more."""
        offsets = [run.offset for run in self._runs if run.ended >= begin and run.began <= end]
        return max((later - offsets[0] for later in offsets), default=0.0)
