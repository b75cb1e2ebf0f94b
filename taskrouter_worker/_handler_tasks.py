"""The tasks of coroutine handlers.

A task group of anyio would do, and does the same; but it makes three objects and a closure for each task
that nobody needs here, and a handler is started for each reservation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

import anyio

__all__ = ["HandlerTasks", "ending_the_program"]

ENDS_PROGRAM: Final = (KeyboardInterrupt, SystemExit)


class HandlerTasks:
    """Starts tasks, and leaves none behind: an asynchronous context manager.

    At its end those that still run are canceled as anyio does it: again and again, wherever they wait,
    except where they are shielded. What a task raises cancels the body and is raised from it, in a group;
    a handler's exceptions do not come so far. `SystemExit` and `KeyboardInterrupt` are not raised again: out
    of a task they end the event loop itself, and a second time they would end its shutdown.
    """

    def __init__(self) -> None:
        self._body = anyio.CancelScope()
        self._failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()  # asyncio itself holds them weakly
        self._scopes: set[anyio.CancelScope] = set()
        self._over = False

    async def __aenter__(self) -> Self:
        """Tasks may be started."""
        self._body.__enter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Cancel what runs, and wait for it.

        Raises:
            BaseExceptionGroup: what tasks have raised.
        """
        self._over = True
        canceled: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):
            while running := [task for task in self._tasks if not task.done()]:
                for scope in tuple(self._scopes):
                    scope.cancel()
                try:
                    await asyncio.wait(running)
                except asyncio.CancelledError as error:
                    canceled = error  # asyncio's own, which knows no shield; first they end
        self._tasks.clear()
        is_ours = self._body.__exit__(exc_type, exc, traceback)
        if canceled is not None:
            raise canceled
        if self._failures:
            raise BaseExceptionGroup("handlers failed", self._failures)
        return is_ours

    def start(self, begin: Callable[[], Awaitable[object]], name: str) -> None:
        """Await what `begin` returns, in a task.

        Args:
            begin: called in the task.
            name: the task's.
        """
        task = asyncio.get_running_loop().create_task(self._run(begin), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _run(self, begin: Callable[[], Awaitable[object]]) -> None:
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._over:
                scope.cancel()
            try:
                await begin()
            finally:
                self._scopes.discard(scope)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, ENDS_PROGRAM):
                self._failures.append(error)
            self._body.cancel()


@contextmanager
def ending_the_program() -> Generator[None]:
    """Around all that an owner task runs: what ends the program leaves it as it is.

    Task groups would pass it on in a group, which asyncio takes for any task's failure: nobody would see it,
    and the program would go on with a session that has ended.

    Raises:
        KeyboardInterrupt, SystemExit: a plain handler raised it, or Ctrl-C came where no loop handles it.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException | None = group.subgroup(ENDS_PROGRAM)
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if error is None:
            raise
        raise error from None
