"""The time of a workspace under test: it stands still until the test moves it."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from server_stub.clocks import StandingClock

from .connections import Connections
from .desk import Desk
from .loops import is_awaited_by_a_loop
from .options import LATEST, as_timestamp

__all__ = ["WorkspaceClock"]

__tracebackhide__ = True  # pytest shows the test's line instead

PATIENCE: Final = 10.0
"""Seconds by the clock on the wall that delivering may take, unless asked otherwise."""


class WorkspaceClock:
    """When it is in a workspace: `taskrouter.clock`.

    It drives reservation and task timeouts, workflow steps, transfers, dates and retention. Tokens and
    heartbeats follow the clock on the wall: see `TaskRouter.expire_token`.

    Moving it carries out every deadline on the way, in order, each at exactly its own moment. Then it waits
    until all of that was delivered: every websocket's client has read the frames (it answered a ping
    that followed them), and the SDK's workers that `TaskRouter` connected have applied them and begun the
    handlers. What those handlers do afterwards, such as accepting, is not waited for:
    ``await taskrouter.wait_until_accepted(task)`` does that.
    """

    def __init__(self, desk: Desk, clock: StandingClock | None, connections: Connections) -> None:
        self._desk = desk
        self._clock = clock
        self._connections = connections
        # Steps are added up as the decimals that they were written as: three tenths and 119.7 are 120.
        self._begun = self._shown = 0.0  # what the clock showed before those steps, and after them
        self._passed = Decimal(0)  # seconds

    def now(self) -> datetime:
        """The present moment in the workspace."""
        return datetime.fromtimestamp(self._desk.ask(lambda ws: ws.now()), UTC)

    @property
    def elapsed(self) -> float:
        """Seconds since the workspace was made."""
        return self._desk.ask(lambda ws: ws.now()) - self._desk.start

    def next_deadline(self) -> datetime | None:
        """When something happens by the passing of time alone; None for never."""
        due = self._desk.ask(lambda ws: ws.next_deadline())
        return None if due is None else datetime.fromtimestamp(due, UTC)

    async def advance(self, seconds: float | timedelta, *, timeout: float = PATIENCE) -> None:
        """Let so much time pass, and wait until everything that it brought was delivered.

        Args:
            seconds: how much, 0 or more; 0 only waits for what was sent before.
            timeout: seconds by the clock on the wall that delivering may take; ten unless given.

        Raises:
            TypeError: it is neither a number nor a timedelta.
            ValueError: it is less than 0 or not a number (NaN), or leads beyond the year 5138.
            RuntimeError: the workspace follows the real clock.
            TimeoutError: a client did not read what was sent to it; time has passed all the same.
        """
        await self._heard_first(self._moment_after(seconds)[0], timeout)
        self._move_on(*self._moment_after(seconds))  # anew: another task may have moved it
        await self._delivered(timeout)

    def advance_sync(self, seconds: float | timedelta, *, timeout: float = PATIENCE) -> None:
        """As `advance`, for plain tests: it blocks.

        It calls the handlers of `SyncWorker`s that wait for `process_events`, in this thread: of what was
        sent before, then, once time has passed, of what that brought.

        Raises:
            RuntimeError: also where an event loop runs, whose clients could read nothing meanwhile.
        """
        _refuse_loop("advance")
        moment, passed = self._moment_after(seconds)
        self._heard_first_sync(moment, timeout)
        self._move_on(moment, passed)
        self._delivered_sync(timeout)

    async def set(self, moment: datetime | float, *, timeout: float = PATIENCE) -> None:
        """Let the time pass until `moment`, a datetime with its zone or epoch seconds; else as `advance`.

        Raises:
            ValueError: the moment has passed, or the datetime has no zone.
        """
        until = as_timestamp(moment, "moment")
        self._refuse_past(until)
        await self._heard_first(until, timeout)
        self._move_to(until)
        await self._delivered(timeout)

    def set_sync(self, moment: datetime | float, *, timeout: float = PATIENCE) -> None:
        """As `set`, for plain tests: it blocks."""
        _refuse_loop("set")
        until = as_timestamp(moment, "moment")
        self._refuse_past(until)
        self._heard_first_sync(until, timeout)
        self._move_to(until)
        self._delivered_sync(timeout)

    def _standing(self) -> StandingClock:
        if self._clock is None:
            raise RuntimeError(
                "this workspace follows the real clock: leave out clock='real' to move it by hand"
            )
        return self._clock

    def _moment_after(self, seconds: float | timedelta) -> tuple[float, Decimal]:
        """What the clock will show then, and the sum of all steps."""
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"seconds must be a number or a timedelta, got {seconds!r}")
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"time passes forwards: seconds must be 0 or more, got {seconds!r}")
        shown = self._standing().now()
        if shown != self._shown:  # it was set since, or set back
            self._begun, self._passed = shown, Decimal(0)
        passed = self._passed + Decimal(repr(float(seconds)))
        moment = float(Decimal(self._begun) + passed)
        if moment >= LATEST:
            raise ValueError(f"the clock does not go beyond the year 5138: {seconds!r} seconds are too many")
        return moment, passed

    def _move_on(self, moment: float, passed: Decimal) -> None:
        self._move_to(moment)
        self._shown, self._passed = moment, passed

    def _move_to(self, moment: float) -> None:
        self._refuse_past(moment)
        clock = self._standing()
        self._desk.reach(lambda server: server.advance(self._desk.sid, clock, moment))

    async def _heard_first(self, moment: float, timeout: float) -> None:
        """As `_heard_first_sync`."""
        if self._is_heard_first(moment):
            with suppress(TimeoutError):
                await self._delivered(timeout)

    def _heard_first_sync(self, moment: float, timeout: float) -> None:
        """Have the handlers of plain code called before time passes, as if it passed by itself."""
        if self._is_heard_first(moment):
            with suppress(TimeoutError):  # told by the second one
                self._delivered_sync(timeout)

    def _is_heard_first(self, moment: float) -> bool:
        return moment > self._standing().now() and self._connections.has_plain_code

    def _refuse_past(self, moment: float) -> None:
        clock = self._standing()
        if moment < clock.now():
            raise ValueError(
                f"time passes forwards: the clock shows {datetime.fromtimestamp(clock.now(), UTC)}, "
                f"which is after {datetime.fromtimestamp(moment, UTC)}"
            )

    async def _delivered(self, timeout: float) -> None:
        sid = self._desk.sid
        try:
            await asyncio.wrap_future(
                self._desk.server.submit(lambda server: server.delivered(sid, timeout=timeout))
            )
        except TimeoutError as error:
            raise self._late(error) from None
        await self._connections.caught_up(timeout)

    def _delivered_sync(self, timeout: float) -> None:
        sid = self._desk.sid
        try:
            self._desk.server.submit(lambda server: server.delivered(sid, timeout=timeout)).result()
        except TimeoutError as error:
            raise self._late(error) from None
        self._connections.caught_up_sync(timeout)

    def _late(self, error: TimeoutError) -> TimeoutError:
        names = self._connections.standing_loops()
        return TimeoutError(
            "; ".join(
                [str(error), *(f"the event loop of {name}'s worker does not run now" for name in names)]
            )
        )


def _refuse_loop(name: str) -> None:
    if is_awaited_by_a_loop():
        raise RuntimeError(
            f"an event loop runs here, which {name}_sync would block: use `await clock.{name}(...)`"
        )
