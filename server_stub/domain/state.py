"""What a workspace holds, where to find it, and the record of the command under way.

A command changes entities and records events. `take_events` closes it: only then are the receivers
of task events known, because they depend on all that the command did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from taskrouter_worker.terms import EventType, QueueOrder

from .entities import Registry
from .errors import InvalidArgument, NotFound
from .events import Event, Resource
from .model import (
    Activity,
    Limits,
    Reservation,
    Task,
    TaskChannel,
    TaskQueue,
    Transfer,
    Worker,
    WorkerChannel,
    Workflow,
)
from .telephony import Telephony

__all__ = ["WorkspaceState"]

_Versioned: TypeAlias = Reservation | Task | TaskQueue | Worker | WorkerChannel
_Named: TypeAlias = Activity | Reservation | Task | TaskQueue | Transfer | Worker | WorkerChannel | Workflow

T = TypeVar("T")

_TO_HOLDERS: Final = frozenset(
    {EventType.TASK_UPDATED, EventType.TASK_WRAPUP, EventType.TASK_COMPLETED, EventType.TASK_CANCELED}
)
"""Task events that go to each worker with a live reservation before or after the command."""


class WorkspaceState:
    """The entities of a workspace, its settings, and what the command under way has recorded.

    All maps are by SID and in the order of creation.
    """

    default_activity: Activity
    timeout_activity: Activity

    def __init__(
        self,
        *,
        sid: str,
        account_sid: str,
        friendly_name: str,
        now: Callable[[], float],
        sids: Callable[[str], str],
        limits: Limits,
        multi_task_enabled: bool,
        event_callback_url: str,
        events_filter: str | None,
        prioritize_queue_order: QueueOrder,
    ) -> None:
        self.sid = sid
        self.account_sid = account_sid
        self.friendly_name = friendly_name
        self.multi_task_enabled = multi_task_enabled
        self.event_callback_url = event_callback_url
        self.events_filter = events_filter
        self.prioritize_queue_order = prioritize_queue_order
        self.limits = limits
        self.date_created = self.date_updated = now()
        self.activities = Registry[Activity]()
        self.task_channels = Registry[TaskChannel]()
        self.task_queues = Registry[TaskQueue]()
        self.workflows = Registry[Workflow]()
        self.workers = Registry[Worker]()
        self.worker_channels = Registry[WorkerChannel]()
        self.tasks = Registry[Task]()
        self.reservations = Registry[Reservation]()
        self.transfers = Registry[Transfer]()
        self.seq = 0  # the last recorded event's
        self.new_sid = sids
        self.now = now
        self._moment = self.date_created
        self._numbers = 0
        self._drafts: list[Event] = []  # the receivers of task events are not settled yet
        self._touched: dict[str, _Named] = {}
        self._ended: dict[str, set[str]] = {}  # by task: workers whose reservation ended in this command
        self._entering: list[tuple[Task, float]] = []
        self.telephony = Telephony(
            account_sid=account_sid, workspace_sid=sid, sids=sids, moment=lambda: self.moment
        )

    @property
    def registries(self) -> tuple[Registry[Any], ...]:
        """All entities of the workspace."""
        return (
            self.activities,
            self.task_channels,
            self.task_queues,
            self.workflows,
            self.workers,
            self.worker_channels,
            self.tasks,
            self.reservations,
            self.transfers,
            self.telephony.calls,
            self.telephony.conferences,
        )

    @property
    def is_settled(self) -> bool:
        """Whether no command is under way: the events of the last one were taken."""
        return not self._drafts and not self._touched

    @property
    def numbers(self) -> int:
        """The last number that `next_number` gave."""
        return self._numbers

    # -------------------------------------------------------- lookups

    def activity(self, sid: str) -> Activity:
        """The activity; raises NotFound."""
        return _found(self.activities, sid, "Activities")

    def task_channel(self, sid_or_unique_name: str) -> TaskChannel:
        """The task channel, by SID or unique name; raises NotFound."""
        channel = self.task_channels.get(sid_or_unique_name)
        if channel is None:
            channel = next(
                (found for found in self.task_channels.values() if found.unique_name == sid_or_unique_name),
                None,
            )
        if channel is None:
            raise NotFound("TaskChannels", sid_or_unique_name)
        return channel

    def task_queue(self, sid: str) -> TaskQueue:
        """The task queue; raises NotFound."""
        return _found(self.task_queues, sid, "TaskQueues")

    def workflow(self, sid: str) -> Workflow:
        """The workflow; raises NotFound."""
        return _found(self.workflows, sid, "Workflows")

    def worker(self, sid: str) -> Worker:
        """The worker; raises NotFound."""
        return _found(self.workers, sid, "Workers")

    def task(self, sid: str) -> Task:
        """The task; raises NotFound, also once it has been purged."""
        return _found(self.tasks, sid, "Tasks")

    def transfer(self, sid: str) -> Transfer:
        """The transfer; raises NotFound."""
        return _found(self.transfers, sid, "Transfers")

    def reservation(
        self, sid: str, *, worker_sid: str | None = None, task_sid: str | None = None
    ) -> Reservation:
        """The reservation, seen from a worker or a task.

        Raises:
            NotFound: there is none, or it belongs to another worker or task than the one given.
        """
        reservation = _found(self.reservations, sid, "Reservations")
        if worker_sid not in (None, reservation.worker.sid) or task_sid not in (None, reservation.task.sid):
            raise NotFound("Reservations", sid)
        return reservation

    def worker_channel(self, worker_sid: str, key: str) -> WorkerChannel:
        """A worker's channel, by its own SID, its task channel's SID or unique name; raises NotFound."""
        for channel in self.worker(worker_sid).channels.values():
            if key in (channel.sid, channel.task_channel.sid, channel.task_channel.unique_name):
                return channel
        raise NotFound("Channels", key)

    # -------------------------------------------------------- the command under way

    @property
    def moment(self) -> float:
        """The time of the command under way, in epoch seconds: the same from its first change on."""
        if not self._drafts and not self._touched:
            self._moment = self.now()
        return self._moment

    def next_number(self) -> int:
        """A number above all earlier ones: the order of creation."""
        self._numbers += 1
        return self._numbers

    def record(
        self, event: EventType, resource: Resource, *, to: tuple[str, ...] = (), **data: object
    ) -> None:
        """Record a fact. Empty data are left out; of task events the receivers are found later."""
        at = self.moment
        self.seq += 1
        facts = {key: str(value) for key, value in data.items() if value is not None and value != ""}
        self._drafts.append(Event(self.seq, event, at, resource, to, data=facts))

    def count_on(self, seq: int) -> None:
        """Number events from behind `seq` on, also those that were recorded and not taken yet."""
        behind = seq - (self.seq - len(self._drafts))
        if behind > 0:
            self.seq += behind
            self._drafts[:] = [draft._replace(seq=draft.seq + behind) for draft in self._drafts]

    def touch(self, entity: _Versioned) -> None:
        """The entity changes in this command: its version rises, once."""
        if entity.sid not in self._touched:
            entity.date_updated = self.moment
            self._touched[entity.sid] = entity
            entity.version += 1

    def touch_times(self, worker: Worker, times: int) -> None:
        """The worker changes by `times` events that do not show it.

        Its version rises by as many: the JavaScript SDK counts those events.
        """
        worker.date_updated = self.moment
        self._touched[worker.sid] = worker
        worker.version += times

    def created(self, entity: _Named) -> None:
        """The entity is new: its version stays what it is for the rest of the command."""
        _ = self.moment  # the command's time is settled before anything counts as changed
        self._touched[entity.sid] = entity

    def ended(self, reservation: Reservation) -> None:
        """A live reservation has just ended: its worker still hears of the task in this command."""
        self._ended.setdefault(reservation.task.sid, set()).add(reservation.worker.sid)

    def enters_queue(self, task: Task, *, is_new: bool) -> None:
        """Note the time at which the task enters its queue.

        For a new task it shows only when the creating command is closed, as the answer to a create
        call has a null `task_queue_entered_date` (REST API, Task).
        """
        if is_new:
            self._entering.append((task, self.moment))
        else:
            task.queue_entered_at = self.moment

    def take_events(self) -> list[Event]:
        """What the command recorded, in order, and its end.

        A task whose version rose is also pushed, as `task.updated` outside the history, to workers
        with a live reservation of it whom no other event tells (our choice: undocumented).
        """
        for task, at in self._entering:
            task.queue_entered_at = at
        events: list[Event] = []
        told: dict[str, set[str]] = {}
        for draft in self._drafts:
            event, resource = draft, draft.resource
            if isinstance(resource, Task) and draft.type in _TO_HOLDERS:
                receivers = self._holders(resource)
                told.setdefault(resource.sid, set()).update(receivers)
                event = draft._replace(worker_sids=receivers)
            elif isinstance(resource, Reservation):
                told.setdefault(resource.task.sid, set()).add(resource.worker.sid)
            events.append(event)
        for task in [entity for entity in self._touched.values() if isinstance(entity, Task)]:
            untold = tuple(
                r.worker.sid for r in task.live_reservations if r.worker.sid not in told.get(task.sid, ())
            )
            if untold:
                self.seq += 1
                events.append(
                    Event(
                        seq=self.seq,
                        type=EventType.TASK_UPDATED,
                        at=self._moment,
                        resource=task,
                        worker_sids=untold,
                        logged=False,
                    )
                )
        self._drafts.clear()
        self._touched.clear()
        self._ended.clear()
        self._entering.clear()
        return events

    def _holders(self, task: Task) -> tuple[str, ...]:
        ended = self._ended.get(task.sid, set[str]())
        sids = [r.worker.sid for r in task.reservations.values() if r.is_live or r.worker.sid in ended]
        return tuple(dict.fromkeys(sids))

    # -------------------------------------------------------- references in arguments

    def named(self, parameter: str, entities: Mapping[str, T], sid: str) -> T:
        """The entity that a parameter names; raises InvalidArgument, as it is not in the path."""
        entity = entities.get(sid)
        if entity is None:
            raise InvalidArgument(f"{parameter} {sid!r} was not found in workspace {self.sid}")
        return entity


def _found(entities: Mapping[str, T], sid: str, kind: str) -> T:
    entity = entities.get(sid)
    if entity is None:
        raise NotFound(kind, sid)
    return entity
