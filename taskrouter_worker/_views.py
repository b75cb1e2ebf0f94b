"""What is shown of a worker and of a task, wherever it comes from: the properties over the wire's fields."""

from __future__ import annotations

from datetime import datetime

from ._context import Attributes, moment, parse_attributes
from .resources import TaskFields, WorkerFields

__all__ = ["TaskView", "WorkerView"]


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
        """Whether the current activity takes reservations."""
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
        """When the worker was made."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed."""
        return moment(self._fields.date_updated)

    @property
    def date_status_changed(self) -> datetime | None:
        """When its activity last changed."""
        return moment(self._fields.date_status_changed)

    @property
    def date_activity_changed(self) -> datetime | None:
        """The same as `date_status_changed`, as in Worker.js."""
        return self.date_status_changed


class TaskView:
    """What `Task` and `TaskInfo` have in common."""

    __slots__ = ()

    _fields: TaskFields

    @property
    def sid(self) -> str:
        """``WT...``"""
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
        """``WQ...``"""
        return self._fields.queue_sid

    @property
    def queue_name(self) -> str | None:
        """The queue's friendly name."""
        return self._fields.queue_name

    @property
    def workflow_sid(self) -> str | None:
        """``WW...``"""
        return self._fields.workflow_sid

    @property
    def workflow_name(self) -> str | None:
        """The workflow's friendly name."""
        return self._fields.workflow_name

    @property
    def task_channel_sid(self) -> str | None:
        """``TC...``"""
        return self._fields.task_channel_sid

    @property
    def task_channel_unique_name(self) -> str | None:
        """Such as ``default`` or ``voice``."""
        return self._fields.task_channel_unique_name

    @property
    def routing_target(self) -> str | None:
        """The worker, queue or workflow that the task was made for."""
        return self._fields.routing_target

    @property
    def date_created(self) -> datetime | None:
        """When it was made."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed."""
        return moment(self._fields.date_updated)

    @property
    def virtual_start_time(self) -> datetime | None:
        """The moment that decides its place in the queue."""
        return moment(self._fields.virtual_start_time)

    @property
    def version(self) -> str:
        """The version that commands carry when version checks are on."""
        return str(self._fields.version)
