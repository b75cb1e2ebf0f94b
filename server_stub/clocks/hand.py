"""The machine's time, which can be stopped, moved on by hand, and let go again: the clock of `serve`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from taskrouter_worker.clock import Clock

__all__ = ["HandClock"]


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

    @contextlib.contextmanager
    def held(self) -> Generator[None]:
        """Stand still within the block; afterwards run again, if it ran."""
        ran = not self.is_stopped
        self.stop()
        try:
            yield
        finally:
            if ran:
                self.go_on()

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
