"""Whom a task can be handed to: the workspace's other workers and its queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from taskrouter_worker import SyncWorker, TaskQueue, TaskRouterError, WorkerInfo

__all__ = ["Directory", "Found", "Target", "matching"]

MAX_SHOWN = 1_000

_Asked = tuple[Future[dict[str, WorkerInfo]], Future[dict[str, TaskQueue]]]


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
    """Finds targets in the worker's own thread and with its token: a window must not wait for them."""

    def __init__(self) -> None:
        self._asked: _Asked | None = None

    def fetch(self, worker: SyncWorker, told: Callable[[Found], object]) -> None:
        """Look, and have `told` called in the window's thread. A look that is under way is given up."""
        self.close()
        workspace = worker.workspace
        try:
            workers = worker.submit(workspace.fetch_workers_info, limit=MAX_SHOWN)
            queues = worker.submit(workspace.fetch_task_queues, limit=MAX_SHOWN)
        except TaskRouterError as error:  # the session has just ended
            told(Found(error=error))
            return
        asked = self._asked = (workers, queues)

        def answered(_: object) -> None:
            if self._asked is asked and all(future.done() for future in asked):
                self._asked = None
                told(_found(worker.sid, *asked))

        worker.when_done(workers, answered)
        worker.when_done(queues, answered)

    def close(self) -> None:
        """Give up a look that is under way."""
        asked, self._asked = self._asked, None
        for future in asked or ():
            future.cancel()


def _found(
    own_sid: str, workers: Future[dict[str, WorkerInfo]], queues: Future[dict[str, TaskQueue]]
) -> Found:
    try:
        colleagues = [
            Target(w.sid, w.name, is_queue=False, note=w.activity_name, takes_work=w.available)
            for w in workers.result().values()
            if w.sid != own_sid
        ]
        lines = [Target(q.sid, q.name, is_queue=True) for q in queues.result().values()]
    except TaskRouterError as error:
        return Found(error=error)
    colleagues.sort(key=lambda target: (not target.takes_work, target.name.casefold()))
    lines.sort(key=lambda target: target.name.casefold())
    return Found((*colleagues, *lines))
