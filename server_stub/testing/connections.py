"""The SDK's workers of one test: told of, waited for, closed at the end. The only user of the SDK here."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import taskrouter_worker
from taskrouter_worker import (
    HandlerError,
    NotConnectedError,
    SessionState,
    SyncWorker,
    TaskRouterError,
    Worker,
)

if TYPE_CHECKING:
    from taskrouter_worker.options import WorkerOptions

__all__ = ["Connections", "make", "make_sync"]

__tracebackhide__ = True  # pytest shows the test's line instead

CLOSE_SECONDS: Final = 10.0
"""How long a worker that the test left open may take to close. It gives its handlers five."""

_SDK: Final = str(Path(taskrouter_worker.__file__).parent)

_NOTHING_COMES: Final = (SessionState.NEW, SessionState.TOKEN_EXPIRED, SessionState.CLOSED)
"""States in which nothing can be delivered to a worker, however long one waits."""


@dataclass(frozen=True, eq=False)
class _InLoop:
    worker: Worker
    loop: asyncio.AbstractEventLoop | None  # None: it was made before its loop ran


@dataclass(frozen=True, eq=False)
class _InThread:
    worker: SyncWorker
    processes_events: bool  # False: a function of the application has its handlers called


def make(token: str | None, options: WorkerOptions) -> Worker:
    """The SDK's worker; raises TypeError or ValueError for options that are not right."""
    return Worker(token, **options)


def make_sync(token: str | None, options: WorkerOptions) -> SyncWorker:
    """The SDK's worker for plain code; raises TypeError or ValueError for options that are not right."""
    return SyncWorker(token, **options)


class Connections:
    """The workers that a test connected.

    Attributes:
        errors: their `error` events that nobody took.
    """

    def __init__(self) -> None:
        self.errors: list[TaskRouterError] = []
        self._in_loop: list[_InLoop] = []
        self._in_thread: list[_InThread] = []
        self._known: set[int] = set()  # by identity; both lists keep them alive
        self._leaving: list[asyncio.Task[None]] = []  # keeps them alive

    def add(self, worker: Worker | SyncWorker, *, processes_events: bool = True) -> None:
        """Look after a worker from now on. Again for the same one does nothing."""
        if id(worker) in self._known:
            return
        self._known.add(id(worker))
        if isinstance(worker, Worker):
            worker.on("error", self.errors.append)
            self._in_loop.append(_InLoop(worker, _running_loop()))
        else:
            # The live worker's, in its own thread: the test may never process its events.
            worker._live.on("error", self.errors.append)  # noqa: SLF001 - see above
            self._in_thread.append(_InThread(worker, processes_events))

    @property
    def has_plain_code(self) -> bool:
        """Whether handlers of a connected `SyncWorker` may be told something."""
        return any(entry.worker.state not in _NOTHING_COMES for entry in self._in_thread)

    def standing_loops(self) -> list[str]:
        """The names of connected workers whose event loop does not run, so that they can read nothing."""
        here = _running_loop()
        return [
            entry.worker.name
            for entry in self._in_loop
            if entry.worker.state is SessionState.READY
            and ((loop := entry.loop or here) is None or not loop.is_running())
        ]

    @asynccontextmanager
    async def entered(self, worker: Worker) -> AsyncGenerator[Worker]:
        """Enter it, and disconnect at the end."""
        self.add(worker)
        async with worker:
            yield worker

    @contextmanager
    def entered_sync(self, worker: SyncWorker) -> Generator[SyncWorker]:
        """Enter it, and disconnect at the end."""
        self.add(worker)
        with worker:
            yield worker

    async def caught_up(self, timeout: float) -> None:
        """Wait until each worker was told everything that was sent to it, and its handlers have begun.

        Raises:
            TimeoutError: a worker did not come that far within `timeout` seconds.
        """
        here = asyncio.get_running_loop()
        for entry in list(self._in_loop):
            if entry.worker.state in _NOTHING_COMES:
                continue
            try:
                if entry.loop in (here, None):
                    await entry.worker.caught_up(timeout=timeout)
                elif (elsewhere := _begin(entry, timeout)) is not None:
                    await asyncio.wrap_future(elsewhere)
            except NotConnectedError:
                continue  # it ended meanwhile
        for threaded in list(self._in_thread):
            await asyncio.to_thread(_wait, threaded.worker, timeout)
            if _process(threaded):
                await asyncio.to_thread(_wait, threaded.worker, timeout)

    def caught_up_sync(self, timeout: float) -> None:
        """As `caught_up`; it blocks. Handlers that wait for `process_events` are called here."""
        for entry in list(self._in_loop):
            if entry.worker.state in _NOTHING_COMES:
                continue
            try:
                if (elsewhere := _begin(entry, timeout)) is not None:
                    elsewhere.result()
            except NotConnectedError:
                continue
        for threaded in list(self._in_thread):
            _wait(threaded.worker, timeout)
            if _process(threaded):
                _wait(threaded.worker, timeout)

    def close(self) -> None:
        """Disconnect whoever is still connected, all of them even if one cannot be."""
        with ExitStack() as stack:
            for entry in reversed(self._in_loop):
                stack.callback(self._disconnect, entry)
            for threaded in reversed(self._in_thread):
                stack.callback(threaded.worker.disconnect, CLOSE_SECONDS)

    def _disconnect(self, entry: _InLoop) -> None:
        worker, loop = entry.worker, entry.loop
        if worker.state in (SessionState.NEW, SessionState.CLOSED) or loop is None or loop.is_closed():
            return  # with its loop, everything of the worker was canceled
        if not loop.is_running():
            loop.run_until_complete(worker.disconnect())
        elif loop is _running_loop():
            # It cannot be waited for here: that would block the very loop that has to do it.
            self._leaving.append(loop.create_task(worker.disconnect()))
        else:
            asyncio.run_coroutine_threadsafe(worker.disconnect(), loop).result(CLOSE_SECONDS)

    def take_errors(self) -> list[TaskRouterError]:
        """The `error` events so far, which count no longer."""
        taken = self.errors[:]
        del self.errors[: len(taken)]
        return taken

    def describe_errors(self) -> str:
        """The untaken `error` events as text, empty if there are none."""
        told: list[str] = []
        for error in self.errors:
            told.append(f"{type(error).__name__}: {error}")
            if isinstance(error, HandlerError) and error.__cause__ is not None:
                told.append(_traceback(error.__cause__))
        return "\n".join(told)


def _traceback(error: BaseException) -> str:
    """The way to an error of a handler, in the application's code alone as far as it got there."""
    # The SDK's errors say in their text what brought them about.
    told = traceback.TracebackException.from_exception(error)
    if isinstance(error, TaskRouterError):
        told.__cause__ = told.__context__ = None
    own = [frame for frame in told.stack if not frame.filename.startswith(_SDK)]
    told.stack = traceback.StackSummary.from_list(own or told.stack)
    return "".join(told.format()).rstrip()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _begin(entry: _InLoop, timeout: float) -> Future[None] | None:
    """Wait in the worker's own loop; None if that does not run, so that nothing can happen there."""
    if entry.loop is None or not entry.loop.is_running():
        return None
    return asyncio.run_coroutine_threadsafe(entry.worker.caught_up(timeout=timeout), entry.loop)


def _wait(worker: SyncWorker, timeout: float) -> None:
    if worker.state in _NOTHING_COMES:
        return
    try:
        worker.caught_up(timeout=timeout)
    except NotConnectedError:
        return  # it ended meanwhile


def _process(entry: _InThread) -> bool:
    """Have its handlers called; whether there were any. What they raise becomes errors in its own thread."""
    return entry.processes_events and entry.worker.process_events() > 0
