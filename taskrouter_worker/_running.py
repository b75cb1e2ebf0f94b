"""Running a worker as a program: until a signal, then no new work, then the end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import anyio

from .activity import Activity
from .errors import NotConnectedError, RequestError
from .reservation import Reservation

if TYPE_CHECKING:
    from .worker import Worker

__all__ = ["DEFAULT_SIGNALS", "drain", "run"]

logger = logging.getLogger(__name__)

DEFAULT_SIGNALS: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)


async def drain(worker: Worker, *, activity_sid: str | None, timeout: float) -> list[Reservation]:
    """See `Worker.drain`."""
    activity = _resting_activity(worker, activity_sid)
    if activity is None:
        logger.warning("the workspace has no activity that takes no work: new reservations may still come")
    else:
        await activity.set_as_current(reject_pending_reservations=True)
    with anyio.move_on_after(timeout):
        while open_ones := list(worker.reservations.values()):
            await open_ones[0].wait_for("ended")
    return list(worker.reservations.values())


async def run(
    worker: Worker,
    *,
    drain_timeout: float,
    drain_activity_sid: str | None,
    signals: Sequence[signal.Signals],
) -> None:
    """See `Worker.run`."""
    asked = anyio.Event()
    asked_again = anyio.Event()

    def stop() -> None:
        (asked_again if asked.is_set() else asked).set()

    with _calling(stop, signals):
        async with worker, anyio.create_task_group() as tasks:

            async def leave_when_asked() -> None:
                await asked.wait()
                logger.info("asked to stop: taking no new work, finishing what was accepted")
                async with anyio.create_task_group() as leaving:
                    leaving.start_soon(finish, leaving.cancel_scope)
                    await asked_again.wait()
                    leaving.cancel_scope.cancel()
                await worker.disconnect()

            async def finish(scope: anyio.CancelScope) -> None:
                try:
                    left = await drain(worker, activity_sid=drain_activity_sid, timeout=drain_timeout)
                    for reservation in left:
                        logger.warning("left unfinished: %s", reservation.sid)
                except (RequestError, NotConnectedError) as error:
                    logger.warning("could not drain: %s", error)
                scope.cancel()

            tasks.start_soon(leave_when_asked)
            await worker.wait_closed()
            tasks.cancel_scope.cancel()


def _resting_activity(worker: Worker, sid: str | None) -> Activity | None:
    """Where a worker gets no work: the one asked for, `Offline`, or any that is not available."""
    if sid is not None:
        activity = worker.activities.get(sid)
        if activity is None:
            raise ValueError(f"activity_sid must be one of the workspace's activities, got {sid!r}")
        if activity.available:
            raise ValueError(f"activity_sid must name an activity that takes no work, {activity.name!r} does")
        return activity
    resting = [activity for activity in worker.activities.values() if not activity.available]
    return next((a for a in resting if a.name.casefold() == "offline"), resting[0] if resting else None)


@contextmanager
def _calling(stop: Callable[[], None], signals: Sequence[signal.Signals]) -> Generator[None]:
    """Call `stop` in the loop at each of the signals; handlers are put back afterwards."""
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, object] = {}

    def relay(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)

    added: list[signal.Signals] = []
    try:
        for number in signals:
            try:
                loop.add_signal_handler(number, stop)
                added.append(number)
            except NotImplementedError:  # Windows: signals reach Python only between two steps of the loop
                before[number] = signal.signal(number, relay)
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as signal() itself returned it
