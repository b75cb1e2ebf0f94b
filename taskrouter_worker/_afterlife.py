"""Which tasks an event about a task reaches. Pure.

There may be several: each reservation shows a task of its own. Events still come for a task whose
reservation has ended, and reach it for five seconds, as in the JavaScript SDK. The JavaScript SDK keeps
every ended reservation alive for that. Here only one that somebody could see is kept: it is the
application that holds it, unless it left nothing behind but a handler.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .task import Task

__all__ = ["AFTERLIFE_SECONDS", "Tasks"]

AFTERLIFE_SECONDS: Final = 5.0
"""How long task events still reach the task of an ended reservation."""


@dataclass(slots=True)
class _Afterlife:
    until: float
    task_sid: str
    task: weakref.ref[Task]
    kept: Task | None  # while nobody but its handlers may hold it


class Tasks:
    """The tasks of one worker's reservations, the live ones and those that ended lately.

    Live ones are held by their reservations, wherever those are held.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._by_sid: dict[str, list[weakref.ref[Task]]] = {}
        self._ended: OrderedDict[str, _Afterlife] = OrderedDict()  # by their reservation's SID

    def __len__(self) -> int:
        """How many are kept account of."""
        return sum(len(references) for references in self._by_sid.values())

    def add(self, task: Task) -> None:
        """A reservation shows this task."""
        self._by_sid.setdefault(task.sid, []).append(weakref.ref(task))

    def end(self, task: Task) -> None:
        """Its reservation has ended: its afterlife begins."""
        now = self._now()
        if self._ended:
            self._bury(now)
        kept = task if task._listened() else None
        self._ended[task.reservation_sid] = _Afterlife(
            now + AFTERLIFE_SECONDS, task.sid, weakref.ref(task), kept
        )

    def keep(self, task: Task) -> None:
        """Hold it through its afterlife: somebody listens to it, who may hold nothing but that."""
        afterlife = self._ended.get(task.reservation_sid)
        if afterlife is not None and afterlife.task() is task:
            afterlife.kept = task

    def forget(self, reservation_sid: str) -> None:
        """End the afterlife of this reservation's task, if it has one."""
        afterlife = self._ended.pop(reservation_sid, None)
        if afterlife is not None:
            self._remove(afterlife)

    def of(self, sid: str) -> Iterator[Task]:
        """The tasks that an event of the task with this SID reaches, in the order of their reservations."""
        if self._ended:
            self._bury(self._now())
        for reference in tuple(self._by_sid.get(sid, ())):
            task = reference()
            if task is not None:
                yield task

    def ended(self, reservation_sid: str) -> Task | None:
        """The task of this reservation, which has ended, while events reach it."""
        if self._ended:
            self._bury(self._now())
        afterlife = self._ended.get(reservation_sid)
        return None if afterlife is None else afterlife.task()

    def _bury(self, now: float) -> None:
        """Forget those whose time is over, and those that nobody holds.

        It stops at the first that it has to leave: those behind one that is held wait for it, a few
        hundred bytes each, for five seconds at most.
        """
        while self._ended:
            afterlife = next(iter(self._ended.values()))
            if afterlife.task() is not None and afterlife.until > now:
                break
            self._ended.popitem(last=False)
            self._remove(afterlife)

    def _remove(self, afterlife: _Afterlife) -> None:
        references = self._by_sid[afterlife.task_sid]
        if len(references) == 1:
            del self._by_sid[afterlife.task_sid]
        else:
            references.remove(afterlife.task)
