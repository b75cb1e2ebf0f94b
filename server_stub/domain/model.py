"""The parts of a workspace. Data with the arithmetic that belongs to it; rules live elsewhere.

Dates are epoch seconds with fractions; what a client sees is rounded by `server_stub.views`.
Entities refer to each other directly. Only `domain.workspace` changes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from taskrouter_worker.terms import (
    RESERVATION_LIVE,
    QueueOrder,
    ReservationStatus,
    TaskStatus,
    TransferMode,
    TransferStatus,
    TransferType,
)

from .entities import Entity
from .expression import Expression
from .workflow import Step, WorkflowConfiguration

__all__ = [
    "Activity",
    "JsonObject",
    "Limits",
    "Reservation",
    "Task",
    "TaskChannel",
    "TaskQueue",
    "Transfer",
    "Worker",
    "WorkerChannel",
    "Workflow",
]

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """TaskRouter's limits and timers, in seconds where they are times.

    `max_rejections` is 10 as on the worker reservation page; a later note of the vendor says 1,000.
    `routing_target_seconds` is our choice: the vendor does not publish it.
    """

    max_rejections: int = 10
    max_assignments: int = 1_000
    max_assigned_seconds: float = 86_400
    retention_seconds: float = 300
    routing_target_seconds: float = 5
    default_channel_capacity: int = 1
    max_channel_capacity: int = 50
    max_attributes_length: int = 4_096
    max_friendly_name_length: int = 64
    max_activities: int = 100
    max_task_queues: int = 5_000
    max_workers: int = 15_000
    event_retention_seconds: float = 2_592_000  # 30 days: events, and what statistics count
    max_events: int = 50_000  # of one workspace; the oldest go first
    max_counted_events: int = 250_000  # of one workspace: those that cumulative statistics count
    max_workers_in_statistics: int = 100  # of those that a filter of the workers' statistics finds
    allow_single_tasking: bool = False  # whether multi_task_enabled may be switched off later
    require_call_sid: bool = False  # whether a dequeue needs a task with the attribute call_sid


@dataclass(slots=True, eq=False, kw_only=True)
class Activity(Entity):
    """What a worker is doing. `available` is fixed at creation."""

    sid: str
    friendly_name: str
    available: bool
    date_created: float
    date_updated: float
    created_seq: int  # the event sequence at creation: sessions with an older snapshot do not know it


@dataclass(slots=True, eq=False, kw_only=True)
class TaskChannel(Entity):
    """A kind of work, such as voice or chat."""

    sid: str
    unique_name: str
    friendly_name: str
    channel_optimized_routing: bool
    date_created: float
    date_updated: float


@dataclass(slots=True, eq=False, kw_only=True)
class WorkerChannel(Entity):
    """How much work of one task channel a worker takes at once."""

    derived: ClassVar[frozenset[str]] = frozenset({"active", "assigned_tasks"})  # from the reservations

    sid: str
    worker: Worker = field(repr=False)
    task_channel: TaskChannel
    configured_capacity: int
    available: bool
    date_created: float
    date_updated: float
    created_seq: int
    version: int = 0
    active: int = 0  # reservations pending, accepted or wrapping
    assigned_tasks: int = 0  # reservations accepted
    last_reserved_at: float | None = None
    last_reserved_number: int = 0  # `number` of the last reservation, 0 for never: orders within one second

    @property
    def available_capacity_percentage(self) -> int:
        """floor((1 - active/configured) * 100), never below 0; 0 when nothing is configured."""
        if self.configured_capacity <= 0:
            return 0
        return max(0, (self.configured_capacity - self.active) * 100 // self.configured_capacity)

    def count(self, status: ReservationStatus) -> None:
        """Count a live reservation that it was not known to hold."""
        self.active += 1
        self.assigned_tasks += status is ReservationStatus.ACCEPTED


@dataclass(slots=True, eq=False, kw_only=True)
class Worker(Entity):
    """Someone, or something, that handles tasks."""

    sid: str
    friendly_name: str
    attributes: str  # JSON text, as given
    parsed_attributes: JsonObject = field(repr=False)
    activity: Activity
    date_created: float
    date_updated: float
    date_status_changed: float
    number: int  # order of creation within the workspace
    version: int = 0
    last_reserved_at: float | None = None
    last_reserved_number: int = 0  # `number` of the last reservation, 0 for never: orders within one second
    channels: dict[str, WorkerChannel] = field(
        default_factory=dict[str, WorkerChannel], repr=False
    )  # by task channel SID
    reservations: dict[str, Reservation] = field(
        default_factory=dict[str, "Reservation"], repr=False
    )  # all kept ones

    @property
    def live_reservations(self) -> list[Reservation]:
        """The reservations that take capacity, oldest first."""
        return [r for r in self.reservations.values() if r.is_live]


@dataclass(slots=True, eq=False, kw_only=True)
class TaskQueue(Entity):
    """Where tasks wait for a worker that matches `target_workers`."""

    sid: str
    friendly_name: str
    target_workers: str  # expression text as given; empty matches nobody
    expression: Expression | None = field(repr=False)  # None matches nobody
    max_reserved_workers: int
    task_order: QueueOrder
    reservation_activity: Activity | None
    assignment_activity: Activity | None
    date_created: float
    date_updated: float
    version: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class Workflow(Entity):
    """The rules that lead tasks to queues."""

    sid: str
    friendly_name: str
    configuration: str  # JSON text as given
    parsed_configuration: WorkflowConfiguration = field(repr=False)
    task_reservation_timeout: int  # seconds
    assignment_callback_url: str | None
    fallback_assignment_callback_url: str | None
    date_created: float
    date_updated: float


@dataclass(slots=True, eq=False, kw_only=True)
class Task(Entity):
    """A piece of work on its way to a worker."""

    sid: str
    attributes: str  # JSON text, as given
    parsed_attributes: JsonObject = field(repr=False)
    task_channel: TaskChannel
    workflow: Workflow | None
    queue: TaskQueue | None
    priority: int
    timeout: int  # seconds to live until the first acceptance
    routing_target: str | None
    ignore_capacity: bool
    virtual_start_time: float
    date_created: float
    date_updated: float
    number: int  # order of creation within the workspace
    status: TaskStatus = TaskStatus.PENDING
    reason: str | None = None
    version: int = 0
    queue_entered_at: float | None = None
    assigned_at: float | None = None
    ended_at: float | None = None
    counter: int = 0  # how often it went from pending to reserved
    rejections: int = 0
    step: Step | None = field(default=None, repr=False)  # where it stands in its workflow
    filter_entered_at: float | None = None  # when its filter took it: the steps' deadlines count from here
    step_deadline: float | None = None  # epoch seconds; None: the step does not end by time
    filter_timed_out: bool = False  # it has left a filter by timeout: the default filter is no longer for it
    is_unrouted: bool = False  # no filter took it: the next round cancels it
    reservations: dict[str, Reservation] = field(
        default_factory=dict[str, "Reservation"], repr=False
    )  # all of its life
    transfer: Transfer | None = None  # the one in `initiated`, if any
    transfers: dict[str, Transfer] = field(
        default_factory=dict[str, "Transfer"], repr=False
    )  # all of its life

    @property
    def live_reservations(self) -> list[Reservation]:
        """The reservations in pending, accepted or wrapping, oldest first."""
        return [r for r in self.reservations.values() if r.is_live]

    @property
    def pending_reservations(self) -> list[Reservation]:
        """The reservations that wait for an answer, oldest first."""
        return [r for r in self.reservations.values() if r.status is ReservationStatus.PENDING]


@dataclass(slots=True, eq=False, kw_only=True)
class Reservation(Entity):
    """The offer of one task to one worker, and what became of it."""

    sid: str
    task: Task = field(repr=False)
    worker: Worker = field(repr=False)
    timeout: int  # seconds a pending reservation waits
    deadline: float  # epoch seconds at which a pending reservation times out
    worker_previous_activity: Activity
    date_created: float
    date_updated: float
    number: int  # order of creation within the workspace
    status: ReservationStatus = ReservationStatus.PENDING
    version: int = 0
    canceled_reason_code: int | None = None
    transfer: Transfer | None = None  # the transfer that made it
    outgoing_transfer: Transfer | None = None  # the transfer started from it that is still initiated
    held_channel: WorkerChannel | None = field(
        default=None, repr=False
    )  # None: the one of its task's channel
    given_activity: Activity | None = None  # single-tasking: the activity that it put the worker in
    queue: TaskQueue | None = field(
        default=None, repr=False
    )  # the one it was made in: it counts for that queue, wherever its task goes

    @property
    def is_live(self) -> bool:
        """Whether it takes capacity: pending, accepted or wrapping."""
        return self.status in RESERVATION_LIVE

    @property
    def worker_channel(self) -> WorkerChannel:
        """The channel whose capacity it takes.

        It keeps the one it was made on when its task changes channel (our choice: undocumented), so
        that a change of channel never puts a worker above its capacity.
        """
        return self.held_channel or self.worker.channels[self.task.task_channel.sid]


@dataclass(slots=True, eq=False, kw_only=True)
class Transfer(Entity):
    """A task on its way from one worker to another worker or queue."""

    sid: str
    task: Task = field(repr=False)
    initiating_reservation: Reservation = field(repr=False)
    initiating_queue: TaskQueue | None
    mode: TransferMode
    type: TransferType
    to: str  # worker or queue SID
    deadline: float  # epoch seconds at which it fails: a worker must be reserved, a queue must accept by then
    date_created: float
    date_updated: float
    status: TransferStatus = TransferStatus.INITIATED
    failed_reason: str | None = None  # why it, or its latest attempt, failed
    rejections: int = 0

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended."""
        return self.status is TransferStatus.INITIATED
