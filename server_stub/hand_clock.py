"""The machine's time, which can be stopped, moved on by hand, and let go again: the clock of `serve`."""

from __future__ import annotations

from collections.abc import Iterable

from taskrouter_worker.clock import Clock

from .domain.workspace import Workspace
from .runtime import Runtime

__all__ = ["LONGEST_STEP", "HandClock", "advance_all"]

LONGEST_STEP = 7 * 86_400.0
"""How far time is moved on at once, in seconds: each deadline on the way is carried out before the answer."""


class HandClock:
    """A clock that somebody may stop. It never goes back, but for what the machine's clock does itself.

    Args:
        base: what it follows while it runs.
    """

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._ahead = 0.0  # seconds, of the base
        self._stands_at: float | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether it stands still."""
        return self._stands_at is not None

    def now(self) -> float:
        """What it shows, in epoch seconds."""
        return self._base.now() + self._ahead if self._stands_at is None else self._stands_at

    def stop(self) -> None:
        """Stand still from now on."""
        self._stands_at = self.now()

    def go_on(self) -> None:
        """Run again, from what it shows."""
        if self._stands_at is not None:
            self._ahead = self._stands_at - self._base.now()
            self._stands_at = None

    def move_to(self, moment: float) -> None:
        """Show `moment`, and go on from there if it runs.

        Raises:
            ValueError: it lies in the past of this clock.
        """
        if not moment >= self.now():  # not `<`: a NaN is no moment either
            raise ValueError(f"the clock shows {self.now()} and does not go back to {moment}")
        if self._stands_at is None:
            self._ahead = moment - self._base.now()
        else:
            self._stands_at = moment


def advance_all(runtime: Runtime, workspaces: Iterable[Workspace], clock: HandClock, seconds: float) -> None:
    """Move the time of these workspaces on; each deadline on the way comes at exactly its own moment.

    Args:
        runtime: carries out the deadlines.
        workspaces: all whose time is this clock's; others have their own.
        clock: running or not; afterwards it does the same.
        seconds: how far.

    Raises:
        ValueError: `seconds` is negative.
        InternalError: a deadline broke; the clock stands at it.
    """
    ran = not clock.is_stopped
    clock.stop()
    try:
        runtime.advance(workspaces, clock, clock.now() + seconds)
    finally:
        if ran:
            clock.go_on()
