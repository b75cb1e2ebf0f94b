"""Whom a task can be handed to: the workspace's other workers and its queues."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from taskrouter_worker import TaskRouterError, Workspace
from taskrouter_worker.options import WorkerOptions

__all__ = ["Directory", "Found", "Target", "matching"]

MAX_SHOWN = 1_000
REQUEST_SECONDS = 10.0


@dataclass(frozen=True)
class Target:
    """A colleague or a queue.

    Attributes:
        sid: ``WK...`` or ``WQ...``.
        is_queue: which of the two.
        note: the colleague's activity; empty for queues.
        takes_work: whether the colleague is available; True for queues.
    """

    sid: str
    name: str
    is_queue: bool
    note: str = ""
    takes_work: bool = True


@dataclass(frozen=True)
class Found:
    """What a look at the workspace brought: targets, or why not."""

    targets: tuple[Target, ...] = ()
    error: TaskRouterError | None = None


def matching(targets: Sequence[Target], words: str) -> list[Target]:
    """The targets whose name, SID or activity has each of the words."""
    wanted = words.casefold().split()
    return [
        target
        for target in targets
        if all(word in f"{target.name} {target.sid} {target.note}".casefold() for word in wanted)
    ]


class Directory:
    """Fetches targets in a thread of its own: `Workspace` has no blocking form, and a window must not wait.

    Args:
        deliver: has a function called in the window's thread, as `SyncWorker` wants it.
    """

    def __init__(self, deliver: Callable[[Callable[[], object]], object]) -> None:
        self._deliver = deliver
        self._look: _Look | None = None

    def fetch(
        self,
        token: str,
        workspace_sid: str,
        own_sid: str,
        endpoints: WorkerOptions,
        told: Callable[[Found], object],
    ) -> None:
        """Look, and have `told` called in the window's thread. A look that is under way is given up."""
        self.close()

        async def fetch() -> Found:
            try:
                async with Workspace(
                    token,
                    workspace_sid,
                    region=endpoints.get("region"),
                    eb_server=endpoints.get("eb_server"),
                    request_timeout=REQUEST_SECONDS,
                ) as workspace:
                    workers = await workspace.fetch_workers_info(limit=MAX_SHOWN)
                    queues = await workspace.fetch_task_queues(limit=MAX_SHOWN)
            except TaskRouterError as error:
                return Found(error=error)
            colleagues = [
                Target(w.sid, w.name, is_queue=False, note=w.activity_name, takes_work=w.available)
                for w in workers.values()
                if w.sid != own_sid
            ]
            colleagues.sort(key=lambda target: (not target.takes_work, target.name.casefold()))
            lines = [Target(q.sid, q.name, is_queue=True) for q in queues.values()]
            lines.sort(key=lambda target: target.name.casefold())
            return Found((*colleagues, *lines))

        self._look = look = _Look(
            fetch, lambda found: self._deliver(lambda: self._arrived(look, found, told))
        )
        look.start()

    def close(self) -> None:
        """Give up a look that is under way, and leave no thread behind."""
        look, self._look = self._look, None
        if look is not None:
            look.stop()

    def _arrived(self, look: _Look, found: Found, told: Callable[[Found], object]) -> None:
        if look is self._look:
            self.close()
            told(found)


class _Look(threading.Thread):
    """An event loop for one question."""

    def __init__(
        self, ask: Callable[[], Coroutine[Any, Any, Found]], told: Callable[[Found], object]
    ) -> None:
        super().__init__(name="agent desktop directory", daemon=True)
        self._ask = ask
        self._told = told
        self._began = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def run(self) -> None:
        """The thread."""
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._began.set()
        try:
            self._told(await self._ask())
        except asyncio.CancelledError:
            return  # `stop`

    def stop(self) -> None:
        """End it; what it would have told is forgotten."""
        self._began.wait()
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._task.cancel)
        self.join()
