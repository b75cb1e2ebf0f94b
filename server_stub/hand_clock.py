"""The machine's time, which can be stopped, moved on by hand, and let go again: the clock of `serve`."""

from __future__ import annotations

from taskrouter_worker.clock import Clock

from .runtime import InternalError, Runtime

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


def advance_all(runtime: Runtime, clock: HandClock, seconds: float) -> None:
    """Move the time of every workspace on; each deadline on the way comes at exactly its own moment.

    Raises:
        ValueError: `seconds` is negative.
        InternalError: a deadline broke; the clock stands at it.
    """
    ran = not clock.is_stopped
    clock.stop()
    try:
        until = clock.now() + seconds
        if not until >= clock.now():
            clock.move_to(until)  # refuses
        while True:
            runtime.tick()
            due = min(
                (d for ws in runtime.account.workspaces.values() if (d := ws.next_deadline()) is not None),
                default=None,
            )
            if due is None or due > until:
                break
            if due <= clock.now():  # it was carried out a moment ago, and still is there
                raise InternalError("The server failed to carry out a deadline; its log says where")
            clock.move_to(due)
        clock.move_to(until)
    finally:
        if ran:
            clock.go_on()
