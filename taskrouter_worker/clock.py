"""Where the time comes from. Waiting itself follows the running event loop's own clock."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """A source of wall-clock time."""

    def now(self) -> float:
        """The present moment in epoch seconds."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> float:
        """The present moment in epoch seconds."""
        return time.time()


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, start: float = 1_760_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """The moment it was last set or advanced to, in epoch seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward.

        Raises:
            ValueError: `seconds` is negative; time does not run backwards.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance a clock by {seconds!r} seconds: expected 0 or more")
        self._now += seconds

    def set(self, moment: float) -> None:
        """Move forward to `moment` (epoch seconds); an earlier one is refused with ValueError."""
        self.advance(moment - self._now)
