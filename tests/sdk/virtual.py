"""An event loop whose time is virtual: a minute of the session's life takes a millisecond.

Time stands still while anything is ready to run; when nothing is, it jumps to the next timer. A test
that waits for something that can never come fails at once instead of hanging.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec

__all__ = ["VirtualTimeLoop", "passes", "settle", "virtual_time"]

P = ParamSpec("P")

AN_AGE = 1_000_000.0
"""Virtual seconds after which a test counts as one that never ends."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: it asks the loop to move its clock instead."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self.loop.jump()
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time. It is for code that opens no socket and starts no thread."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self._problems: list[str] = []
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    def jump(self) -> None:
        """Move to the next timer. Only the selector calls this."""
        # The loop has just taken canceled timers from the head of its heap: the first one is the next.
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # asyncio's own
        if not scheduled:
            raise RuntimeError("deadlock: nothing is ready and no timer is set")
        self._virtual_now = max(self._virtual_now, scheduled[0].when())
        if self._virtual_now > AN_AGE:
            raise RuntimeError(f"the test did not end within {AN_AGE:g} virtual seconds")

    def timers(self) -> list[asyncio.TimerHandle]:
        """The timers that have not fired and were not canceled."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # asyncio's own
        return [timer for timer in scheduled if not timer.cancelled()]

    def problems(self) -> list[str]:
        """What nobody caught."""
        return self._problems

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._problems.append(f"{context.get('message')}: {context.get('exception')!r}")


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on a loop of virtual time, and fail it if it leaves a task, a timer or a lost exception."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(_nothing_left(test(*args, **kwargs)))

    return run


async def _nothing_left(test: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    await test
    await settle()
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == [], "tasks were left running"
    assert loop.timers() == [], "timers were left"
    assert loop.problems() == [], "exceptions that nobody caught"


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


async def passes(seconds: float) -> None:
    """Let virtual time pass, and everything run that is due at its end."""
    await asyncio.sleep(seconds)
    await settle()


async def ended(awaitable: Awaitable[object], *, within: float) -> float:
    """Await something and return how many virtual seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(within):
        await awaitable
    return loop.time() - began
