"""Many workers in one process: bots by the hundred, with one place for what they tell."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Literal, Self, TypeVar, Unpack, cast, overload

import anyio
import anyio.abc

from . import _running
from ._disconnect import Disconnect
from ._emitter import Dispatcher, Handler, Listenable
from ._endpoints import check_int, check_wait
from ._handler_tasks import HandlerTasks, ending_the_program
from ._session import SessionState
from ._transport import SharedSession
from .errors import HandlerError, NotConnectedError, RequestError, TaskRouterError
from .options import WorkerOptions
from .reservation import Reservation
from .worker import Worker, WorkerEvent

__all__ = ["PoolEvent", "WorkerPool"]

logger = logging.getLogger(__name__)

START_SECONDS: Final = 10.0
"""A worker whose first attempt takes longer no longer keeps others from starting."""

_ATTEMPT_OVER: Final = (
    SessionState.READY,
    SessionState.WAITING,
    SessionState.TOKEN_EXPIRED,
    SessionState.CLOSED,
)

GRACE_SECONDS: Final = 5.0

PoolEvent = WorkerEvent | Literal["workerEnded"]

_Bare = Literal["ready", "activityUpdated", "attributesUpdated", "tokenExpired", "tokenUpdated"]
_ABOUT_ITSELF: Final = ("ready", "activityUpdated", "attributesUpdated")
"""Events whose argument is the worker, which a pool's handlers get anyhow."""

T = TypeVar("T")
H = TypeVar("H", bound=Handler)


class _Ends(Listenable[Literal["workerEnded"]]):
    """What the pool itself tells."""

    EVENTS = frozenset({"workerEnded"})


class _Member:
    """A worker of the pool."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.leaving = False  # its end was asked for here
        self.settled = asyncio.Event()  # it was ready once, or has ended
        self.gone = asyncio.Event()
        self.bound: dict[tuple[str, Handler], list[Handler]] = {}

    @functools.cached_property
    def scope(self) -> anyio.CancelScope:
        """What its whole life runs in; made where there is an event loop, and workers may be added before."""
        return anyio.CancelScope()


class WorkerPool:
    """Runs workers beside each other, with shared HTTP connections and staggered starts::

        pool = WorkerPool(eb_server=..., ws_server=...)

        @pool.on("reservationCreated")
        async def accept(worker, reservation):
            await reservation.accept()

        @pool.on("workerEnded")
        def ended(worker, error):
            print(worker.sid, "is gone:", error)

        for token in tokens:
            pool.add(token)
        asyncio.run(pool.run())

    Events are those of `Worker`, for all workers of the pool, now and later. Each handler gets the worker
    first, then the event's argument unless that is the worker itself. And one more:

    * `workerEnded` (worker, `TaskRouterError` or None): its session ended for good, and not by `remove` or
      the end of the pool. The others go on.

    Args:
        max_connections: HTTP connections of all workers together; requests beyond wait for one.
        starts_at_once: workers that make their first attempt to connect at the same time.
        start_jitter: each start waits a random part of so many seconds first.
        **options: for every worker, see `Worker`; all but `record`, which `add` takes.

    Raises:
        TypeError, ValueError: a wrong argument.
    """

    EVENTS = frozenset({*Worker.EVENTS, "workerEnded"})

    def __init__(
        self,
        *,
        max_connections: int = 100,
        starts_at_once: int = 10,
        start_jitter: float = 0.5,
        **options: Unpack[WorkerOptions],
    ) -> None:
        check_int("max_connections", max_connections, 1)
        check_int("starts_at_once", starts_at_once, 1)
        check_wait("start_jitter", start_jitter)
        if "record" in options:
            raise TypeError("a recording is of one worker: give `record` to add(), not to the pool")
        self._shared: SharedSession | None = None
        if options.get("http_session") is None:
            self._shared = SharedSession(max_connections=max_connections)
            options["http_session"] = self._shared
        self._options = options
        self._start_jitter = start_jitter
        self._handlers: list[tuple[WorkerEvent, Handler]] = []
        self._members: dict[int, _Member] = {}  # by the worker's identity
        self._dispatcher = Dispatcher(_report)
        self._ends = _Ends(self._dispatcher)
        self._owner: asyncio.Task[None] | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._gate = asyncio.Semaphore(starts_at_once)
        self._closing = asyncio.Event()
        self._opened = asyncio.Event()
        self._emptied = asyncio.Event()
        self._last_failure: TaskRouterError | None = None

    # Members

    @property
    def workers(self) -> list[Worker]:
        """The workers that have not ended, in the order in which they were added."""
        return [member.worker for member in self._members.values()]

    def add(self, token: str | None = None, **options: Unpack[WorkerOptions]) -> Worker:
        """Make a worker and return it. It starts with the pool, or soon if the pool runs.

        Args:
            token: see `Worker`.
            **options: for this worker; they win over the pool's.

        Raises:
            TypeError, ValueError: see `Worker`.
            NotConnectedError: the pool is being closed, or was.
        """
        if self._closing.is_set():
            raise NotConnectedError("the pool was closed: make a new one")
        merged: WorkerOptions = {**self._options, **options}
        worker = Worker(token, **merged)
        member = self._members[id(worker)] = _Member(worker)
        for event, handler in self._handlers:
            _attach(member, event, handler)
        self._emptied.clear()
        if self._tasks is not None:
            self._tasks.start_soon(self._keep, member, self._tasks, name="worker of a pool")
        return worker

    async def remove(self, worker: Worker) -> None:
        """Disconnect a worker and forget it. One that is not there any more is left alone.

        Its running handlers get five seconds to finish. From one of its own handlers this only begins it.
        """
        member = self._members.get(id(worker))
        if member is None:
            return
        member.leaving = True
        if self._tasks is None:
            del self._members[id(worker)]
            await worker.disconnect()
            return
        member.scope.cancel()
        if not worker._dispatcher.called_from_handler():
            await member.gone.wait()

    async def wait_ready(self) -> None:
        """Wait until every worker was ready once, or has ended."""
        for member in list(self._members.values()):
            await member.settled.wait()

    # Events

    @overload
    def on(self, event: _Bare) -> Callable[[Callable[[Worker], T]], Callable[[Worker], T]]: ...
    @overload
    def on(self, event: _Bare, handler: Callable[[Worker], T]) -> Callable[[Worker], T]: ...
    @overload
    def on(
        self, event: Literal["reservationCreated", "reservationMissed"]
    ) -> Callable[[Callable[[Worker, Reservation], T]], Callable[[Worker, Reservation], T]]: ...
    @overload
    def on(
        self,
        event: Literal["reservationCreated", "reservationMissed"],
        handler: Callable[[Worker, Reservation], T],
    ) -> Callable[[Worker, Reservation], T]: ...
    @overload
    def on(
        self, event: Literal["reservationFailed"]
    ) -> Callable[[Callable[[Worker, dict[str, object]], T]], Callable[[Worker, dict[str, object]], T]]: ...
    @overload
    def on(
        self, event: Literal["reservationFailed"], handler: Callable[[Worker, dict[str, object]], T]
    ) -> Callable[[Worker, dict[str, object]], T]: ...
    @overload
    def on(
        self, event: Literal["disconnected"]
    ) -> Callable[[Callable[[Worker, Disconnect], T]], Callable[[Worker, Disconnect], T]]: ...
    @overload
    def on(
        self, event: Literal["disconnected"], handler: Callable[[Worker, Disconnect], T]
    ) -> Callable[[Worker, Disconnect], T]: ...
    @overload
    def on(
        self, event: Literal["error"]
    ) -> Callable[[Callable[[Worker, TaskRouterError], T]], Callable[[Worker, TaskRouterError], T]]: ...
    @overload
    def on(
        self, event: Literal["error"], handler: Callable[[Worker, TaskRouterError], T]
    ) -> Callable[[Worker, TaskRouterError], T]: ...
    @overload
    def on(
        self, event: Literal["workerEnded"]
    ) -> Callable[
        [Callable[[Worker, TaskRouterError | None], T]], Callable[[Worker, TaskRouterError | None], T]
    ]: ...
    @overload
    def on(
        self, event: Literal["workerEnded"], handler: Callable[[Worker, TaskRouterError | None], T]
    ) -> Callable[[Worker, TaskRouterError | None], T]: ...
    def on(self, event: str, handler: Handler | None = None) -> Handler:
        """Call `handler` at each `event` of each worker; as a decorator when `handler` is left out.

        What it raises becomes an `error` event of the worker concerned; of `workerEnded`, a log line.

        Raises:
            ValueError: there is no such event.
            TypeError: the handler cannot be called.
        """
        if event not in self.EVENTS:
            known = ", ".join(sorted(self.EVENTS))
            raise ValueError(f"WorkerPool has no event {event!r}; its events are: {known}")
        if handler is None:
            return functools.partial(self._add_handler, event)
        return self._add_handler(event, handler)

    def remove_listener(self, event: PoolEvent, handler: Handler) -> None:
        """Take back one registration of `handler`; one that is not there is left alone."""
        if event == "workerEnded":
            self._ends.remove_listener(event, handler)
        elif (event, handler) in self._handlers:
            self._handlers.remove((event, handler))
            for member in self._members.values():
                _detach(member, event, handler)

    def _add_handler(self, event: str, handler: H) -> H:
        if not callable(handler):
            raise TypeError(f"the handler of {event!r} must be callable, got {type(handler).__name__}")
        if event == "workerEnded":
            return self._ends._add("workerEnded", handler, once=False)
        name = cast("WorkerEvent", event)  # `on` has looked it up
        self._handlers.append((name, handler))
        for member in self._members.values():
            _attach(member, name, handler)
        return handler

    # Life

    async def __aenter__(self) -> Self:
        """Start the workers, without waiting for them: see `wait_ready`.

        Raises:
            RuntimeError: this pool was entered before; make a new one.
        """
        if self._owner is not None or self._closing.is_set():
            raise RuntimeError("this WorkerPool was already started; make a new one")
        self._owner = asyncio.create_task(self._own(), name="worker pool")
        try:
            await self._opened.wait()
        except BaseException:
            await _running.leave_block(self, self._owners)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect all workers, and leave nothing running. Canceled meanwhile, wait for no handler."""
        await _running.leave_block(self, self._owners)

    def _owners(self) -> list[asyncio.Task[None]]:
        own = [] if self._owner is None else [self._owner]
        return own + [owner for worker in self.workers for owner in worker._owners()]

    async def disconnect(self) -> None:
        """Disconnect all workers for good. Running handlers get five seconds to finish.

        Safe to call twice, from any task, and from a handler: there it only begins the end.
        """
        self._closing.set()
        if self._owner is None:
            for worker in self.workers:
                await self.remove(worker)
        elif not self._called_from_handler():
            await asyncio.wait({self._owner})

    async def wait_closed(self) -> None:
        """Wait until the pool was closed.

        Raises:
            NotConnectedError: it was never started.
        """
        if self._owner is None:
            raise NotConnectedError("the pool was not started: enter `async with pool` first")
        await asyncio.wait({self._owner})
        if not self._owner.cancelled():
            self._owner.result()

    async def drain(self, *, activity_sid: str | None = None, timeout: float = 300.0) -> list[Reservation]:
        """Let all workers take no new work and finish what they accepted; return what is not finished.

        Workers that have not connected yet are not started any more. One that cannot drain is logged and does
        not keep the others from it.

        Args:
            activity_sid: see `Worker.drain`.
            timeout: seconds to wait, 0 or more.

        Raises:
            TypeError, ValueError: `timeout` is no such number.
        """
        check_wait("timeout", timeout)
        left: list[Reservation] = []

        async def one(worker: Worker) -> None:
            try:
                left.extend(await worker.drain(activity_sid=activity_sid, timeout=timeout))
            except (RequestError, NotConnectedError, ValueError) as error:
                logger.warning("%s could not drain: %s", worker.sid, error)
                left.extend(worker.reservations.values())

        async with anyio.create_task_group() as tasks:
            for member in list(self._members.values()):
                if member.settled.is_set():
                    tasks.start_soon(one, member.worker)
                else:
                    member.leaving = True
                    member.scope.cancel()
        return left

    async def run(
        self,
        *,
        drain_timeout: float = 300.0,
        drain_activity_sid: str | None = None,
        signals: Sequence[signal.Signals] = _running.DEFAULT_SIGNALS,
    ) -> None:
        """Run as a program: start all workers, work until a signal, drain them, disconnect. As `Worker.run`.

        It also ends when the last worker has ended for good.

        Args:
            drain_timeout: seconds to finish what was accepted.
            drain_activity_sid: see `Worker.drain`.
            signals: which signals; SIGINT and SIGTERM unless given.

        Raises:
            TaskRouterError: why the last worker ended.
            TypeError, ValueError: `drain_timeout` is no number of seconds, 0 or more.
        """
        await _running.run(
            _Program(self),
            drain_timeout=drain_timeout,
            drain_activity_sid=drain_activity_sid,
            signals=signals,
        )

    async def _own(self) -> None:
        with ending_the_program():
            await self._run()

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks, HandlerTasks() as handlers:
                self._dispatcher.open(handlers)
                self._tasks = tasks
                for member in self._members.values():
                    tasks.start_soon(self._keep, member, tasks, name="worker of a pool")
                self._opened.set()
                await self._closing.wait()
                members = list(self._members.values())
                for member in members:
                    member.leaving = True
                    member.scope.cancel()
                for member in members:
                    await member.gone.wait()
                with anyio.move_on_after(GRACE_SECONDS):
                    await self._dispatcher.idle()
                tasks.cancel_scope.cancel()
        finally:
            self._closing.set()
            self._dispatcher.close()
            if self._shared is not None:
                with anyio.CancelScope(shield=True):
                    await self._shared.close()

    async def _keep(self, member: _Member, tasks: anyio.abc.TaskGroup) -> None:
        """One worker's whole life."""
        failure: TaskRouterError | None = None
        try:
            with member.scope:
                async with AsyncExitStack() as stack:
                    await self._start(member.worker, stack, tasks)
                    member.settled.set()
                    await member.worker.wait_closed()
        except TaskRouterError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - it is told, and the others go on
            failure = TaskRouterError(f"a defect ended the session: {type(error).__name__}, see `__cause__`")
            failure.__cause__ = error
        finally:
            with anyio.CancelScope(shield=True):
                await member.worker.disconnect()
            del self._members[id(member.worker)]
            member.settled.set()
            member.gone.set()
        if not member.leaving:
            logger.info("%s ended: %s", member.worker, failure or "it was disconnected")
            self._ends._emit("workerEnded", member.worker, failure)
            if not self._members:
                self._last_failure = failure
                self._emptied.set()

    async def _start(self, worker: Worker, stack: AsyncExitStack, tasks: anyio.abc.TaskGroup) -> None:
        # Spread, so that hundreds of programs that start at once do not all come at once.
        if self._start_jitter:
            await anyio.sleep(random.uniform(0, self._start_jitter))  # noqa: S311 - spreads load
        let_in = asyncio.Event()
        tasks.start_soon(self._hold_gate, worker, let_in, name="gate of a pool")
        await let_in.wait()
        await stack.enter_async_context(worker)

    async def _hold_gate(self, worker: Worker, let_in: asyncio.Event) -> None:
        """Let one in, the next one when its first attempt is over; later ones are spread by the backoff."""
        async with self._gate:
            let_in.set()
            with anyio.move_on_after(START_SECONDS):
                await worker.wait_for_state(*_ATTEMPT_OVER)

    def _called_from_handler(self) -> bool:
        return self._dispatcher.called_from_handler() or any(
            worker._dispatcher.called_from_handler() for worker in self.workers
        )

    def __repr__(self) -> str:
        return f"<WorkerPool of {len(self._members)}>"


class _Program:
    """A pool as a program, which ends when nobody is left to work."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self.drain = pool.drain
        self.disconnect = pool.disconnect

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._pool.__aexit__(exc_type, exc, traceback)

    async def wait_closed(self) -> None:
        """Wait until the pool is closed, or empty because the last worker ended."""
        closing = asyncio.ensure_future(self._pool._closing.wait())
        emptied = asyncio.ensure_future(self._pool._emptied.wait())
        try:
            await asyncio.wait({closing, emptied}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
            emptied.cancel()
        if self._pool._last_failure is not None and not self._pool.workers:
            raise self._pool._last_failure


def _attach(member: _Member, event: WorkerEvent, handler: Handler) -> None:
    bound = handler if event in _ABOUT_ITSELF else functools.partial(handler, member.worker)
    member.bound.setdefault((event, handler), []).append(bound)
    member.worker._add(event, bound, once=False)


def _detach(member: _Member, event: WorkerEvent, handler: Handler) -> None:
    bound = member.bound.get((event, handler))
    if bound:
        member.worker.remove_listener(event, bound.pop())
        if not bound:
            del member.bound[event, handler]  # and with it what the handler holds


def _report(error: HandlerError) -> None:
    logger.error("%s", error, exc_info=error.__cause__)
