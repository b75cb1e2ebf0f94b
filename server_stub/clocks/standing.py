"""A time that stands still until it is told to go on: the clock of a workspace under test."""

from __future__ import annotations

from typing import Protocol

__all__ = ["HeldClock", "StandingClock"]


class HeldClock(Protocol):
    """A clock that stands still until it is told to go on."""

    def now(self) -> float:
        """What it shows, in epoch seconds."""
        ...

    def move_to(self, moment: float) -> None:
        """Show `moment` from now on.

        Raises:
            ValueError: it lies in the past of this clock.
        """
        ...


class StandingClock:
    """A clock that is moved by hand, forwards only.

    Args:
        start: what it shows at first, in epoch seconds.
    """

    def __init__(self, start: float) -> None:
        self._now = float(start)

    def now(self) -> float:
        """What it shows, in epoch seconds."""
        return self._now

    def move_to(self, moment: float) -> None:
        """Show `moment` from now on.

        Raises:
            ValueError: it lies in the past of this clock.
        """
        if not moment >= self._now:  # not `<`: a NaN is no moment either
            raise ValueError(f"the clock shows {self._now} and does not go back to {moment}")
        self._now = moment

    def turn_back(self, moment: float) -> None:
        """Show `moment` although it has passed: the workspace is set back to how it was then."""
        self._now = moment
