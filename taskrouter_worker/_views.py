"""What is shown of each kind of object, wherever it comes from: the properties over the wire's fields."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from ._context import Attributes, moment, parse_attributes
from .resources import (
    ActivityFields,
    ReservationFields,
    TaskFields,
    TransferFields,
    WorkerChannelFields,
    WorkerFields,
)

__all__ = [
    "ActivityView",
    "ChannelView",
    "OfWorkspace",
    "ReservationView",
    "TaskView",
    "TransferView",
    "WorkerView",
]


class _WorkspaceFields(Protocol):
    @property
    def account_sid(self) -> str: ...
    @property
    def workspace_sid(self) -> str: ...


class OfWorkspace:
    """What all that belongs to a workspace has in common. Subclasses say where `_fields` comes from."""

    __slots__ = ()

    @property
    def _fields(self) -> _WorkspaceFields:
        raise NotImplementedError

    @property
    def account_sid(self) -> str:
        """The account, ``AC...``."""
        return self._fields.account_sid

    @property
    def workspace_sid(self) -> str:
        """The workspace, ``WS...``."""
        return self._fields.workspace_sid


class WorkerView:
    """What `Worker` and `WorkerInfo` have in common. Subclasses say where `_fields` comes from."""

    __slots__ = ()

    @property
    def _fields(self) -> WorkerFields:
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The friendly name, unique in the workspace."""
        return self._fields.friendly_name

    @property
    def friendly_name(self) -> str:
        """The same as `name`, as in Worker.js."""
        return self.name

    @property
    def attributes(self) -> Attributes:
        """The worker's attributes, a fresh copy at each access: change them with `set_attributes`."""
        return parse_attributes(self._fields.attributes)

    @property
    def available(self) -> bool:
        """Whether the current activity takes reservations. Channels have a switch of their own."""
        return self._fields.available

    @property
    def activity_sid(self) -> str:
        """``WA...`` of the current activity."""
        return self._fields.activity_sid

    @property
    def worker_activity_sid(self) -> str:
        """The same as `activity_sid`, as in Worker.js."""
        return self.activity_sid

    @property
    def activity_name(self) -> str:
        """The current activity's friendly name."""
        return self._fields.activity_name

    @property
    def date_created(self) -> datetime | None:
        """When the worker was made; UTC, whole seconds."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed; UTC, whole seconds."""
        return moment(self._fields.date_updated)

    @property
    def date_status_changed(self) -> datetime | None:
        """When its activity last changed; UTC, whole seconds."""
        return moment(self._fields.date_status_changed)

    @property
    def date_activity_changed(self) -> datetime | None:
        """The same as `date_status_changed`, as in Worker.js."""
        return self.date_status_changed


class TaskView:
    """What `Task` and `TaskInfo` have in common."""

    __slots__ = ()

    @property
    def _fields(self) -> TaskFields:
        raise NotImplementedError

    @property
    def sid(self) -> str:
        """The task's SID, ``WT...``."""
        return self._fields.sid

    @property
    def attributes(self) -> Attributes:
        """The task's attributes, a fresh copy at each access: change them with `set_attributes`."""
        return parse_attributes(self._fields.attributes)

    @property
    def addons(self) -> Attributes:
        """Results of marketplace add-ons, a fresh copy at each access."""
        return parse_attributes(self._fields.addons)

    @property
    def status(self) -> str:
        """``pending``, ``reserved``, ``assigned``, ``wrapping``, ``completed`` or ``canceled``."""
        return self._fields.assignment_status

    @property
    def priority(self) -> int:
        """Higher is served first in FIFO queues."""
        return self._fields.priority

    @property
    def age(self) -> float:
        """Seconds since creation, when the service last showed the task."""
        return self._fields.age

    @property
    def timeout(self) -> float:
        """Seconds that the task lives until someone accepts it."""
        return self._fields.timeout

    @property
    def reason(self) -> str | None:
        """Why it was completed or canceled."""
        return self._fields.reason

    @property
    def queue_sid(self) -> str | None:
        """The queue it waits or waited in, ``WQ...``; None if the service shows none."""
        return self._fields.queue_sid

    @property
    def queue_name(self) -> str | None:
        """That queue's friendly name."""
        return self._fields.queue_name

    @property
    def workflow_sid(self) -> str | None:
        """The workflow that leads it, ``WW...``."""
        return self._fields.workflow_sid

    @property
    def workflow_name(self) -> str | None:
        """That workflow's friendly name."""
        return self._fields.workflow_name

    @property
    def task_channel_sid(self) -> str | None:
        """The kind of work, ``TC...``."""
        return self._fields.task_channel_sid

    @property
    def task_channel_unique_name(self) -> str | None:
        """The kind of work by name, such as ``default`` or ``voice``."""
        return self._fields.task_channel_unique_name

    @property
    def routing_target(self) -> str | None:
        """The worker, queue or workflow that it was made for, by SID; None for most tasks."""
        return self._fields.routing_target

    @property
    def date_created(self) -> datetime | None:
        """When it was made; UTC, whole seconds."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed; UTC, whole seconds."""
        return moment(self._fields.date_updated)

    @property
    def virtual_start_time(self) -> datetime | None:
        """The moment that decides its place in the queue; its creation unless it was moved."""
        return moment(self._fields.virtual_start_time)

    @property
    def version(self) -> str:
        """The version that commands carry when version checks are on."""
        return str(self._fields.version)


class ReservationView(OfWorkspace):
    """What `Reservation` and its synchronous counterpart have in common."""

    __slots__ = ()

    @property
    def _fields(self) -> ReservationFields:
        raise NotImplementedError

    @property
    def sid(self) -> str:
        """The reservation's SID, ``WR...``."""
        return self._fields.sid

    @property
    def worker_sid(self) -> str:
        """The worker that it is offered to, ``WK...``."""
        return self._fields.worker_sid

    @property
    def status(self) -> str:
        """A `ReservationStatus`: ``pending``, ``accepted``, ``wrapping``, or one of the ends."""
        return self._fields.reservation_status

    @property
    def timeout(self) -> float | None:
        """Seconds that it waits for an answer, counted from `date_created`."""
        timeout = self._fields.reservation_timeout
        return timeout if isinstance(timeout, int | float) else None

    @property
    def canceled_reason_code(self) -> int | None:
        """Why it was canceled, if the service says so."""
        code = self._fields.canceled_reason_code
        return code if isinstance(code, int) else None

    @property
    def date_created(self) -> datetime | None:
        """When it was made; UTC, whole seconds. `timeout` counts from here."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed; UTC, whole seconds."""
        return moment(self._fields.date_updated)

    @property
    def version(self) -> str:
        """The version that commands carry when version checks are on."""
        return str(self._fields.version)


class ChannelView(OfWorkspace):
    """What `Channel` and its synchronous counterpart have in common."""

    __slots__ = ()

    @property
    def _fields(self) -> WorkerChannelFields:
        raise NotImplementedError

    @property
    def sid(self) -> str:
        """The worker channel's SID, ``WC...``."""
        return self._fields.sid

    @property
    def worker_sid(self) -> str:
        """The worker, ``WK...``."""
        return self._fields.worker_sid

    @property
    def task_channel_sid(self) -> str:
        """The kind of work, ``TC...``."""
        return self._fields.task_channel_sid

    @property
    def task_channel_unique_name(self) -> str:
        """The kind of work by name, such as ``default`` or ``voice``."""
        return self._fields.task_channel_unique_name

    @property
    def capacity(self) -> int:
        """How many reservations the worker may hold on this channel; 0 means none."""
        return self._fields.configured_capacity

    @property
    def available(self) -> bool:
        """The switch: False stops new reservations on this channel."""
        return bool(self._fields.available)

    @property
    def assigned_tasks(self) -> int:
        """Accepted reservations, as of the latest snapshot or channel event: no other event tells it."""
        return self._fields.assigned_tasks

    @property
    def available_capacity_percentage(self) -> float:
        """Free share of the capacity, 0 to 100, as of the latest snapshot or channel event."""
        return self._fields.available_capacity_percentage

    @property
    def last_reserved_time(self) -> datetime | None:
        """When a task was last reserved, as of the latest snapshot or channel event; None for never."""
        milliseconds = self._fields.last_reserved_time
        return None if not milliseconds else moment(milliseconds / 1000)

    @property
    def date_created(self) -> datetime | None:
        """When it was made."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed."""
        return moment(self._fields.date_updated)


class ActivityView(OfWorkspace):
    """What `Activity` and its synchronous counterpart have in common."""

    __slots__ = ()

    @property
    def _fields(self) -> ActivityFields:
        raise NotImplementedError

    @property
    def sid(self) -> str:
        """The activity's SID, ``WA...``."""
        return self._fields.sid

    @property
    def name(self) -> str:
        """The friendly name, unique in the workspace."""
        return self._fields.friendly_name

    @property
    def available(self) -> bool:
        """Whether a worker in this activity gets reservations. It never changes."""
        return self._fields.available

    @property
    def date_created(self) -> datetime | None:
        """When it was made; None for one that appeared after the latest snapshot."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed; None for one that appeared after the latest snapshot."""
        return moment(self._fields.date_updated)


class TransferView:
    """What transfers of both kinds show."""

    __slots__ = ()

    @property
    def _fields(self) -> TransferFields:
        raise NotImplementedError

    @property
    def sid(self) -> str:
        """The transfer's SID, ``TT...``."""
        return self._fields.sid

    @property
    def mode(self) -> str:
        """``WARM``: who started it stays on the task. ``COLD``: wrapping up is left once it was accepted."""
        return self._fields.transfer_mode

    @property
    def type(self) -> str:
        """What kind of target it has: ``WORKER`` or ``QUEUE``."""
        return self._fields.transfer_type

    @property
    def to(self) -> str:
        """The target: ``WK...`` or ``WQ...``."""
        return self._fields.transfer_to

    @property
    def status(self) -> str:
        """``initiated``, ``complete``, ``failed`` or ``canceled``; see `OutgoingTransfer` for ``unknown``."""
        return self._fields.transfer_status

    @property
    def transfer_failed_reason(self) -> str | None:
        """Why it, or its latest attempt, failed."""
        reason = self._fields.transfer_failed_reason
        return reason if isinstance(reason, str) else None

    @property
    def reservation_sid(self) -> str:
        """The reservation that it was started from, ``WR...``."""
        return self._fields.initiating_reservation_sid

    @property
    def worker_sid(self) -> str:
        """The worker that started it, ``WK...``."""
        return self._fields.initiating_worker_sid

    @property
    def queue_sid(self) -> str | None:
        """The task's queue when it was started, ``WQ...``."""
        return self._fields.initiating_queue_sid

    @property
    def workflow_sid(self) -> str | None:
        """The task's workflow, ``WW...``."""
        return self._fields.initiating_workflow_sid

    @property
    def date_created(self) -> datetime | None:
        """When it was started."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed."""
        return moment(self._fields.date_updated)

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self.sid} {self.status} to {self.to}>"
