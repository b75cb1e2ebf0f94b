"""What happened and what is open, counted as it happens.

`Statistics` is told of every command's events. Of the open tasks it keeps numbers per scope, so that a
real-time request looks at none of them; of what happened it keeps small facts per scope, so that a
cumulative request looks only at those of its window. A *scope* is the SID of a workspace, a workflow, a
task queue or a worker. A task counts for the workspace, its workflow and its present queue; a
reservation counts for the queue it was made in, wherever its task goes.

Durations are whole milliseconds: they add up to the same in whatever order they come.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from taskrouter_worker.terms import TASK_ENDED, EventType, TaskStatus

from .events import Event
from .history import Window
from .model import Reservation, Task, Transfer, Worker
from .workspace import Workspace

__all__ = ["Durations", "Fact", "OpenTasks", "Split", "Statistics", "Totals", "Waiting", "milliseconds"]

_OF_TASKS: Final = frozenset(
    {
        EventType.TASK_CREATED,
        EventType.TASK_COMPLETED,
        EventType.TASK_CANCELED,
        EventType.TASK_DELETED,
        EventType.TASK_SYSTEM_DELETED,
        EventType.TASK_QUEUE_ENTERED,
        EventType.TASK_QUEUE_MOVED,
        EventType.WORKFLOW_ENTERED,
        EventType.WORKFLOW_TIMEOUT,
    }
)
_OF_RESERVATIONS: Final = frozenset(
    {
        EventType.RESERVATION_CREATED,
        EventType.RESERVATION_ACCEPTED,
        EventType.RESERVATION_REJECTED,
        EventType.RESERVATION_TIMEOUT,
        EventType.RESERVATION_CANCELED,
        EventType.RESERVATION_RESCINDED,
    }
)
_WAITS: Final = frozenset({TaskStatus.PENDING, TaskStatus.RESERVED})


def milliseconds(moment: float) -> int:
    """A moment or duration in seconds, as whole milliseconds."""
    return round(moment * 1000)


# --- What is open -------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """A task that waits, and since when, in epoch seconds. Compares by age."""

    since: float
    number: int
    sid: str


@dataclass(slots=True)
class _Oldest:
    """Who has waited longest. Its heap is lazy: entries that are not true any more go when met."""

    members: dict[str, Waiting] = field(default_factory=dict[str, Waiting])
    heap: list[Waiting] = field(default_factory=list[Waiting])

    def add(self, waiting: Waiting) -> None:
        self.members[waiting.sid] = waiting
        heapq.heappush(self.heap, waiting)
        if len(self.heap) > 2 * len(self.members) + 64:
            self.heap = list(self.members.values())
            heapq.heapify(self.heap)

    def first(self) -> Waiting | None:
        while self.heap and self.members.get(self.heap[0].sid) != self.heap[0]:
            heapq.heappop(self.heap)
        return self.heap[0] if self.heap else None


@dataclass(frozen=True, slots=True)
class OpenTasks:
    """The open tasks of one scope, of all channels or of one, in numbers.

    Attributes:
        longest_waiting: the pending or reserved task that was created first.
        longest_in_queue: the pending or reserved task that entered its present queue first.
    """

    by_status: Mapping[TaskStatus, int]
    by_priority: Mapping[int, int]
    longest_waiting: Waiting | None
    longest_in_queue: Waiting | None

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.by_status.values())


@dataclass(slots=True)
class _Tally:
    """The open tasks of one scope and channel."""

    total: int = 0
    by_status: Counter[TaskStatus] = field(default_factory=Counter[TaskStatus])
    by_priority: Counter[int] = field(default_factory=Counter[int])
    by_age: _Oldest = field(default_factory=_Oldest)
    by_time_in_queue: _Oldest = field(default_factory=_Oldest)

    def add(self, task: _OpenTask) -> None:
        self.total += 1
        self.by_status[task.status] += 1
        self.by_priority[task.priority] += 1
        if task.status in _WAITS:
            self._waits(task)

    def remove(self, task: _OpenTask) -> None:
        self.total -= 1
        self.by_status[task.status] -= 1
        self._count_less(task.priority)
        self._waits_no_more(task)

    def change(self, before: _OpenTask, now: _OpenTask) -> None:
        """As if it was removed and added; most often its status alone is another one."""
        self.by_status[before.status] -= 1
        self.by_status[now.status] += 1
        if before.priority != now.priority:
            self._count_less(before.priority)
            self.by_priority[now.priority] += 1
        if now.status not in _WAITS:
            self._waits_no_more(now)
        elif before.status not in _WAITS or before.since != now.since:
            self._waits_no_more(before)
            self._waits(now)

    def _count_less(self, priority: int) -> None:
        self.by_priority[priority] -= 1
        if not self.by_priority[priority]:  # there may be any number of priorities
            del self.by_priority[priority]

    def _waits(self, task: _OpenTask) -> None:
        created_at, entered_at = task.since
        self.by_age.add(Waiting(created_at, task.number, task.sid))
        if entered_at is not None:
            self.by_time_in_queue.add(Waiting(entered_at, task.number, task.sid))

    def _waits_no_more(self, task: _OpenTask) -> None:
        self.by_age.members.pop(task.sid, None)
        self.by_time_in_queue.members.pop(task.sid, None)


class _OpenTask(NamedTuple):
    """What an open task counts as.

    `places` are its task channel, queue and workflow; `since` when it was created and when it entered its
    queue.
    """

    sid: str
    number: int
    status: TaskStatus
    priority: int
    places: tuple[str, str, str]
    since: tuple[float, float | None]

    @classmethod
    def of(cls, task: Task) -> _OpenTask:
        return cls(
            task.sid,
            task.number,
            task.status,
            task.priority,
            (
                task.task_channel.sid,
                task.queue.sid if task.queue else "",
                task.workflow.sid if task.workflow else "",
            ),
            (task.date_created, task.queue_entered_at),
        )

    @property
    def channel_sid(self) -> str:
        """Its task channel."""
        return self.places[0]

    def scopes(self, workspace_sid: str) -> list[str]:
        """What it counts for."""
        return [sid for sid in (workspace_sid, *self.places[1:]) if sid]


# --- What happened ------------------------------------------------------------------------------


class Fact(NamedTuple):
    """One event that counts; of `worker.activity.update` the stay in the activity that it ended."""

    number: int
    latest: int  # the latest time up to it, in milliseconds: clocks may be set back
    at: int  # milliseconds
    type: EventType
    channel_sid: str
    queue_sid: str
    workflow_sid: str
    worker_sid: str
    activity_sid: str
    waited: int  # milliseconds since the task was created, or of the stay
    waited_in_queue: int  # milliseconds since the task entered its queue


class _Facts:
    """Facts in the order in which they came."""

    __slots__ = ("_facts", "_forgotten")

    def __init__(self) -> None:
        self._facts: list[Fact] = []
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._facts) - self._forgotten

    def add(self, fact: Fact) -> None:
        self._facts.append(fact)

    def oldest(self) -> Fact:
        return self._facts[self._forgotten]

    def forget_oldest(self) -> None:
        self._forgotten += 1
        if self._forgotten > 64 + len(self):
            del self._facts[: self._forgotten]
            self._forgotten = 0

    def since(self, at: int) -> Iterator[Fact]:
        """All of `at` or later, and perhaps some before it."""
        first = bisect_left(self._facts, at, lo=self._forgotten, key=lambda fact: fact.latest)
        return (self._facts[i] for i in range(first, len(self._facts)))


@dataclass(slots=True)
class Durations:
    """Some durations, in milliseconds."""

    count: int = 0
    total: int = 0
    min: int = 0
    max: int = 0

    def add(self, duration: int) -> None:
        """Take in one more."""
        self.min = duration if self.count == 0 else min(self.min, duration)
        self.max = max(self.max, duration)
        self.count += 1
        self.total += duration

    @property
    def avg(self) -> float:
        """Their mean in milliseconds; 0 where there are none."""
        return self.total / self.count if self.count else 0.0


@dataclass(slots=True)
class Split:
    """What ended after at most a threshold, and what after more than it."""

    accepted_below: int = 0
    accepted_above: int = 0
    canceled_below: int = 0
    canceled_above: int = 0


@dataclass(slots=True)
class Totals:
    """What happened in a window.

    Attributes:
        events: how many events of each type that counts.
        until_accepted: from a task's creation to each acceptance, also after a transfer.
        until_canceled: from a task's creation to its cancelation.
        in_queue_until_accepted: from a task's entry into its queue to each acceptance.
        splits: by the threshold in milliseconds.
    """

    events: Counter[EventType] = field(default_factory=Counter[EventType])
    until_accepted: Durations = field(default_factory=Durations)
    until_canceled: Durations = field(default_factory=Durations)
    in_queue_until_accepted: Durations = field(default_factory=Durations)
    splits: dict[int, Split] = field(default_factory=dict[int, Split])


class _Place(NamedTuple):
    """Where a worker is, and since when, in milliseconds."""

    activity_sid: str
    since: int


class Statistics:
    """The numbers of one workspace. Tell it of the events of each command before the next one.

    Args:
        seconds: how long what happened counts.
        at_most: how many events count; the oldest are left out first.
    """

    def __init__(self, *, seconds: float, at_most: int) -> None:
        self._kept_for = milliseconds(seconds)
        self._at_most = at_most
        self._open: dict[str, _OpenTask] = {}
        self._tallies: dict[str, dict[str, _Tally]] = {}  # by scope, then by task channel
        self._facts = _Facts()
        self._facts_of: dict[str, _Facts] = {}  # by scope, all but the workspace
        self._places: dict[str, _Place] = {}  # by worker
        self._latest = 0
        self._number = 0
        self._new: list[Fact] | None = None  # what is to be stored

    # -------------------------------------------------------- what happens

    def observe(self, workspace: Workspace, events: Sequence[Event]) -> None:
        """Count the events of one command."""
        changed: dict[str, Task] = {}
        for event in events:
            match event.resource:
                case Task() as task:
                    changed[task.sid] = task
                    if event.logged and event.type in _OF_TASKS:
                        self._count_task(event, task)
                case Reservation() as reservation:
                    changed[reservation.task.sid] = reservation.task
                    if event.type in _OF_RESERVATIONS:
                        self._count_reservation(event, reservation)
                case Transfer() as transfer:
                    changed[transfer.task.sid] = transfer.task
                case Worker() as worker:
                    self._follow(event, worker)
                case _:
                    pass
            if event.type in (EventType.TASK_QUEUE_DELETED, EventType.WORKFLOW_DELETED):
                self._drop_scope(getattr(event.resource, "sid", ""))
        for task in changed.values():
            self._recount(workspace.sid, task)
        if events:
            self._forget(milliseconds(events[-1].at))

    def _recount(self, workspace_sid: str, task: Task) -> None:
        before = self._open.get(task.sid)
        now = None if task.status in TASK_ENDED else _OpenTask.of(task)
        if before == now:
            return
        if before is not None and now is not None and before.places == now.places:
            self._open[task.sid] = now
            for scope_sid in now.scopes(workspace_sid):
                self._tallies[scope_sid][now.channel_sid].change(before, now)
            return
        if before is not None:
            del self._open[task.sid]
            for scope_sid in before.scopes(workspace_sid):
                channels = self._tallies[scope_sid]
                tally = channels[before.channel_sid]
                tally.remove(before)
                if not tally.total:
                    del channels[before.channel_sid]
                    if not channels:
                        del self._tallies[scope_sid]
        if now is not None:
            self._open[task.sid] = now
            for scope_sid in now.scopes(workspace_sid):
                channels = self._tallies.setdefault(scope_sid, {})
                present = channels.get(now.channel_sid)
                if present is None:
                    present = channels[now.channel_sid] = _Tally()
                present.add(now)

    def _count_task(self, event: Event, task: Task) -> None:
        queue_sid = task.queue.sid if task.queue else ""
        if event.type is EventType.TASK_QUEUE_MOVED:  # out of the one it left: the other counts an entry
            queue_sid = event.data["previous_task_queue_sid"]
        self._count(event, task, queue_sid, "")

    def _count_reservation(self, event: Event, reservation: Reservation) -> None:
        queue_sid = reservation.queue.sid if reservation.queue else ""
        self._count(event, reservation.task, queue_sid, reservation.worker.sid)

    def _count(self, event: Event, task: Task, queue_sid: str, worker_sid: str) -> None:
        at = milliseconds(event.at)
        entered = task.queue_entered_at
        self._add(
            at,
            event.type,
            channel_sid=task.task_channel.sid,
            queue_sid=queue_sid,
            workflow_sid=task.workflow.sid if task.workflow else "",
            worker_sid=worker_sid,
            waited=max(0, at - milliseconds(task.date_created)),
            waited_in_queue=0 if entered is None else max(0, at - milliseconds(entered)),
        )

    def _follow(self, event: Event, worker: Worker) -> None:
        """Note where the worker is, and how long it was where it was."""
        at = milliseconds(event.at)
        if event.type is EventType.WORKER_CREATED:
            self._places[worker.sid] = _Place(worker.activity.sid, at)
        elif event.type in (EventType.WORKER_ACTIVITY_UPDATE, EventType.WORKER_DELETED):
            left = self._places.pop(worker.sid, None)
            if left is not None:
                self._add(
                    at,
                    EventType.WORKER_ACTIVITY_UPDATE,
                    worker_sid=worker.sid,
                    activity_sid=left.activity_sid,
                    waited=max(0, at - left.since),
                )
            if event.type is EventType.WORKER_DELETED:
                self._drop_scope(worker.sid)
            else:
                self._places[worker.sid] = _Place(worker.activity.sid, at)

    def _add(
        self,
        at: int,
        event: EventType,
        *,
        channel_sid: str = "",
        queue_sid: str = "",
        workflow_sid: str = "",
        worker_sid: str = "",
        activity_sid: str = "",
        waited: int = 0,
        waited_in_queue: int = 0,
    ) -> None:
        self._number += 1
        self._latest = max(self._latest, at)
        fact = Fact(
            self._number,
            self._latest,
            at,
            event,
            channel_sid,
            queue_sid,
            workflow_sid,
            worker_sid,
            activity_sid,
            waited,
            waited_in_queue,
        )
        if self._new is not None:
            self._new.append(fact)
        self._file(fact, _scopes(fact))

    def _file(self, fact: Fact, scopes: Iterable[str]) -> None:
        self._facts.add(fact)
        for scope_sid in scopes:
            facts = self._facts_of.get(scope_sid)
            if facts is None:
                facts = self._facts_of[scope_sid] = _Facts()
            facts.add(fact)

    # -------------------------------------------------------- to be stored and taken up again

    def take_new(self) -> list[Fact]:
        """The facts since the last call, for a store; the first call only begins."""
        new, self._new = self._new or [], []
        return new

    @property
    def kept_from(self) -> int:
        """The number of the oldest fact that still counts."""
        return self._facts.oldest().number if len(self._facts) else self._number + 1

    def resume(self, workspace: Workspace, facts: Iterable[Fact]) -> None:
        """Take up what was stored: these facts, oldest first, and what the workspace holds now."""
        scopes = {*workspace.task_queues, *workspace.workflows, *workspace.workers}
        for fact in facts:
            self._file(fact, scopes.intersection(_scopes(fact)))
            self._number, self._latest = fact.number, fact.latest
        for task in workspace.tasks.values():
            self._recount(workspace.sid, task)
        for worker in workspace.workers.values():
            self._places[worker.sid] = _Place(worker.activity.sid, milliseconds(worker.date_status_changed))

    def forget(self, now: float) -> None:
        """Count no longer what is too old at `now`, in epoch seconds."""
        self._forget(milliseconds(now))

    def _forget(self, now: int) -> None:
        while count := len(self._facts):
            oldest = self._facts.oldest()
            if count <= self._at_most and oldest.latest >= now - self._kept_for:
                return
            self._facts.forget_oldest()
            for scope_sid in _scopes(oldest):
                facts = self._facts_of.get(scope_sid)
                # A scope that was deleted may have been entered again by a late event: compare.
                if facts is not None and len(facts) and facts.oldest() is oldest:
                    facts.forget_oldest()
                    if not len(facts):
                        del self._facts_of[scope_sid]

    def _drop_scope(self, sid: str) -> None:
        """Nobody can ask for its numbers any more. What happened in it still counts for the others."""
        self._facts_of.pop(sid, None)

    # -------------------------------------------------------- what there is to know

    def open_tasks(self, scope_sid: str, *, channel_sid: str | None = None) -> OpenTasks:
        """The open tasks of a workspace, workflow or queue."""
        channels = self._tallies.get(scope_sid, {})
        tallies = [tally for sid, tally in channels.items() if channel_sid in (None, sid)]
        by_status, by_priority = Counter[TaskStatus](), Counter[int]()
        for tally in tallies:
            by_status.update(tally.by_status)
            by_priority.update(tally.by_priority)
        return OpenTasks(
            +by_status,
            +by_priority,
            _earliest(tally.by_age for tally in tallies),
            _earliest(tally.by_time_in_queue for tally in tallies),
        )

    def totals(
        self,
        window: Window,
        *,
        scope_sid: str | None = None,
        worker_sids: Collection[str] | None = None,
        channel_sid: str | None = None,
        thresholds: Collection[int] = (),
    ) -> Totals:
        """What happened in a window.

        Args:
            window: the stretch of time.
            scope_sid: a workflow, queue or worker; None is the whole workspace.
            worker_sids: only these workers' reservations.
            channel_sid: only tasks of this task channel.
            thresholds: milliseconds by which to split what ended.
        """
        totals = Totals(splits={threshold: Split() for threshold in thresholds})
        accepted: list[int] = []  # how long each had waited, in milliseconds
        canceled: list[int] = []
        start, end = milliseconds(window.start), milliseconds(window.end)
        for fact in self._of(scope_sid, start):
            if not start <= fact.at <= end or fact.activity_sid:
                continue
            if channel_sid is not None and fact.channel_sid != channel_sid:
                continue
            if worker_sids is not None and fact.worker_sid not in worker_sids:
                continue
            totals.events[fact.type] += 1
            if fact.type is EventType.RESERVATION_ACCEPTED:
                totals.until_accepted.add(fact.waited)
                totals.in_queue_until_accepted.add(fact.waited_in_queue)
                accepted.append(fact.waited)
            elif fact.type is EventType.TASK_CANCELED:
                totals.until_canceled.add(fact.waited)
                canceled.append(fact.waited)
        if thresholds:
            accepted.sort()
            canceled.sort()
        for threshold, split in totals.splits.items():
            split.accepted_below = bisect_right(accepted, threshold)
            split.accepted_above = len(accepted) - split.accepted_below
            split.canceled_below = bisect_right(canceled, threshold)
            split.canceled_above = len(canceled) - split.canceled_below
        return totals

    def activity_durations(
        self, window: Window, now: float, *, worker_sids: Collection[str] | None = None
    ) -> Mapping[str, Durations]:
        """How long workers stayed in each activity, by activity SID.

        Each stay counts by itself, with that part of it that lies in the window and not after `now`;
        one that does not reach into the window does not count (our choice: undocumented).

        Args:
            window: the stretch of time.
            now: epoch seconds up to which the present stays have come.
            worker_sids: only these workers.
        """
        durations: dict[str, Durations] = {}
        start, end = milliseconds(window.start), milliseconds(window.end)

        def add(activity_sid: str, since: int, until: int) -> None:
            spent = min(until, end) - max(since, start)
            if spent > 0:
                durations.setdefault(activity_sid, Durations()).add(spent)

        alone = next(iter(worker_sids)) if worker_sids is not None and len(worker_sids) == 1 else None
        for fact in self._of(alone, start):
            if fact.activity_sid and (worker_sids is None or fact.worker_sid in worker_sids):
                add(fact.activity_sid, fact.at - fact.waited, fact.at)
        present = self._places if worker_sids is None else worker_sids
        for worker_sid in present:
            place = self._places.get(worker_sid)
            if place is not None:
                add(place.activity_sid, place.since, milliseconds(now))
        return durations

    def _of(self, scope_sid: str | None, start: int) -> Iterator[Fact]:
        facts = self._facts if scope_sid is None else self._facts_of.get(scope_sid, _Facts())
        return facts.since(start)


def _scopes(fact: Fact) -> list[str]:
    return [sid for sid in (fact.queue_sid, fact.workflow_sid, fact.worker_sid) if sid]


def _earliest(several: Iterable[_Oldest]) -> Waiting | None:
    return min((first for oldest in several if (first := oldest.first()) is not None), default=None)
