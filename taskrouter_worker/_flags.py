"""Events of asyncio's of which the first can be awaited, without a task for each."""

from __future__ import annotations

import asyncio

__all__ = ["Flag", "asked_to_end", "first"]


class Flag(asyncio.Event):
    """An event that `first` can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._watchers: tuple[asyncio.Future[None], ...] = ()  # one, as a rule, and seldom changed

    def set(self) -> None:
        """Wake all who wait, here or in `first`."""
        super().set()
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    def watch(self, watcher: asyncio.Future[None]) -> None:
        """Finish `watcher` when the flag is set."""
        self._watchers = (*self._watchers, watcher)

    def leave(self, watcher: asyncio.Future[None]) -> None:
        """Forget `watcher`."""
        self._watchers = tuple(other for other in self._watchers if other is not watcher)


def asked_to_end() -> bool:
    """Whether the running task itself was canceled.

    Else a `CancelledError` comes from something that it waited for, such as somebody else's future.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def first(*flags: Flag) -> None:
    """Wait until one of `flags` is set."""
    if any(flag.is_set() for flag in flags):
        return
    watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for flag in flags:
        flag.watch(watcher)
    try:
        await watcher
    finally:
        for flag in flags:
            flag.leave(watcher)
