"""Running a worker as a program: until a signal, then no new work, then the end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from ._endpoints import check_wait
from .activity import Activity
from .errors import NotConnectedError, RequestError, TaskRouterError
from .reservation import Reservation

if TYPE_CHECKING:
    from .worker import Worker

__all__ = ["DEFAULT_SIGNALS", "Program", "drain", "leave", "leave_block", "run"]

logger = logging.getLogger(__name__)

DEFAULT_SIGNALS: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)


async def drain(worker: Worker, *, activity_sid: str | None, timeout: float) -> list[Reservation]:
    """See `Worker.drain`."""
    check_wait("timeout", timeout)
    if not worker.activities:
        raise NotConnectedError(
            "the worker is not known yet: enter `async with worker` and wait for `ready` first"
        )
    activity = _resting_activity(worker, activity_sid)
    if activity is None:
        logger.warning("the workspace has no activity that takes no work: new reservations may still come")
    else:
        await activity.set_as_current(reject_pending_reservations=True)
    with anyio.move_on_after(timeout):
        while open_ones := list(worker.reservations.values()):
            await open_ones[0].wait_for("ended")
    return list(worker.reservations.values())


class Program(Protocol):
    """What `run` runs: a worker, or a pool of them."""

    async def __aenter__(self) -> object:
        """Begin."""
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End, and leave nothing running."""
        ...

    async def wait_closed(self) -> None:
        """Wait until it has ended; raise why, unless it was asked to."""
        ...

    async def drain(self, *, activity_sid: str | None, timeout: float) -> list[Reservation]:
        """Take no new work, finish what was accepted, return what is left."""
        ...

    async def disconnect(self) -> None:
        """End it."""
        ...


async def leave(program: Program, *, activity_sid: str | None, timeout: float) -> None:
    """Drain, and say in the log what is left; a drain that is not possible is no obstacle."""
    logger.info("asked to stop: taking no new work, finishing what was accepted")
    try:
        for reservation in await program.drain(activity_sid=activity_sid, timeout=timeout):
            logger.warning("left unfinished: %s", reservation.sid)
    except (RequestError, NotConnectedError, ValueError) as error:
        logger.warning("could not drain: %s", error)


async def leave_block(program: Program, owners: Callable[[], Collection[asyncio.Task[None]]]) -> None:
    """Disconnect at the end of an `async with`, and return when nothing of it runs any more.

    Who leaves it because of a cancellation still lets handlers finish. Who is canceled while leaving, be it
    for the first time or again, does not wait for them.

    Args:
        program: what is left.
        owners: the tasks that everything of it runs below.
    """
    # A canceled scope of anyio's cancels each await anew, the one that joins the owner too. asyncio's own
    # cancellation knows no shield.
    with anyio.CancelScope(shield=True):
        try:
            await program.disconnect()
        except asyncio.CancelledError:
            running = [owner for owner in owners() if not owner.done()]
            for owner in running:
                owner.cancel()
            if running:
                await asyncio.wait(running)
            raise


async def run(
    program: Program,
    *,
    drain_timeout: float,
    drain_activity_sid: str | None,
    signals: Sequence[signal.Signals],
) -> None:
    """See `Worker.run`."""
    check_wait("drain_timeout", drain_timeout)
    asked = anyio.Event()
    asked_again = anyio.Event()
    entered = False
    failure: TaskRouterError | RuntimeError | None = None

    def stop() -> None:
        (asked_again if asked.is_set() else asked).set()

    async def leave_when_asked() -> None:
        await asked.wait()
        if entered:
            async with anyio.create_task_group() as leaving:
                leaving.start_soon(finish, leaving.cancel_scope)
                await asked_again.wait()
                leaving.cancel_scope.cancel()
        # Nothing was accepted before it was ready: there is nothing to finish then.
        await program.disconnect()

    async def finish(scope: anyio.CancelScope) -> None:
        await leave(program, activity_sid=drain_activity_sid, timeout=drain_timeout)
        scope.cancel()

    with _calling(stop, signals):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave_when_asked)
            try:
                async with program:
                    entered = True
                    await program.wait_closed()
            except (TaskRouterError, RuntimeError) as error:
                failure = error  # raised below: out of a task group it would come as an exception group
            tasks.cancel_scope.cancel()
    if failure is not None and not (asked.is_set() and isinstance(failure, NotConnectedError)):
        raise failure


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
    before: dict[signal.Signals, Any] = {}  # Any: what getsignal() returns

    def relay(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)

    added: list[signal.Signals] = []
    try:
        for number in signals:
            handler = signal.getsignal(number)
            try:
                loop.add_signal_handler(number, stop)
                added.append(number)
            except NotImplementedError:  # Windows: signals reach Python only between two steps of the loop
                signal.signal(number, relay)
            if not _is_a_loops(handler):
                before[number] = handler
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)  # which puts the default back
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_a_loops(handler: object) -> bool:
    """Whether it only stands for one that an event loop had, or is not Python's: it cannot be put back."""
    return handler is None or (getattr(handler, "__module__", None) or "").startswith(("asyncio.", "uvloop."))
