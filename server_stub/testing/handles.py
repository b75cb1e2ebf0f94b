"""What the factories return: light objects that know their SID and look everything else up when asked.

Two handles are equal if they stand for the same thing. What a handle shows is how it is now, not how it
was when the handle was made.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from server_stub.domain.errors import NotFound
from server_stub.domain.history import PastEvent
from server_stub.domain.model import Reservation, Task, TaskQueue, Worker, Workflow
from server_stub.domain.workspace import Workspace
from taskrouter_worker.terms import EventType, ReservationStatus, TaskStatus

from .desk import Desk, as_json, find

__all__ = [
    "ActivityHandle",
    "Handle",
    "QueueHandle",
    "ReservationHandle",
    "TaskHandle",
    "WorkerHandle",
    "WorkflowHandle",
]

__tracebackhide__ = True  # pytest shows the test's line instead

T = TypeVar("T")

_ENDS = {
    EventType.TASK_COMPLETED: TaskStatus.COMPLETED,
    EventType.TASK_CANCELED: TaskStatus.CANCELED,
}


class Handle:
    """Something in a workspace. Once it is not there any more, questions raise `LookupError`."""

    __slots__ = ("_desk", "sid")

    _kind: ClassVar[str]
    _why_gone: ClassVar[str] = "it was deleted"

    def __init__(self, desk: Desk, sid: str) -> None:
        self._desk = desk
        self.sid = sid

    @property
    def workspace_sid(self) -> str:
        """The SID of its workspace."""
        return self._desk.sid

    def _look(self, question: Callable[[Workspace], T]) -> T:
        try:
            return self._desk.ask(question)
        except NotFound:
            raise LookupError(f"{self._kind} {self.sid} is not there any more: {self._why_gone}") from None

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.sid == self.sid if isinstance(other, Handle) else False

    def __hash__(self) -> int:
        return hash(self.sid)

    def __str__(self) -> str:
        return self.sid


class ActivityHandle(Handle):
    """An activity."""

    __slots__ = ()
    _kind = "activity"

    @property
    def name(self) -> str:
        """Its friendly name."""
        return self._look(lambda ws: ws.activity(self.sid).friendly_name)

    @property
    def available(self) -> bool:
        """Whether workers in it get work."""
        return self._look(lambda ws: ws.activity(self.sid).available)

    def __repr__(self) -> str:
        return f"<ActivityHandle {self.sid}>"


class QueueHandle(Handle):
    """A task queue."""

    __slots__ = ()
    _kind = "task queue"

    def _ask(self, question: Callable[[TaskQueue], T]) -> T:
        return self._look(lambda ws: question(ws.task_queue(self.sid)))

    @property
    def name(self) -> str:
        """Its friendly name."""
        return self._ask(lambda queue: queue.friendly_name)

    @property
    def target_workers(self) -> str:
        """The expression that its workers match."""
        return self._ask(lambda queue: queue.target_workers)

    @property
    def tasks(self) -> list[TaskHandle]:
        """The tasks that are in it and have not ended, oldest first."""
        return [
            TaskHandle(self._desk, sid)
            for sid in self._look(
                lambda ws: [
                    task.sid
                    for task in ws.tasks.values()
                    if task.queue is ws.task_queue(self.sid) and task.status not in _ENDS.values()
                ]
            )
        ]

    @property
    def workers(self) -> list[WorkerHandle]:
        """The workers that match its expression, in any activity, oldest first."""
        sids = self._look(lambda ws: [worker.sid for worker in ws.workers_in(self.sid)])
        return [WorkerHandle(self._desk, sid) for sid in sids]

    def __repr__(self) -> str:
        return f"<QueueHandle {self.sid}>"


class WorkflowHandle(Handle):
    """A workflow."""

    __slots__ = ()
    _kind = "workflow"

    def _ask(self, question: Callable[[Workflow], T]) -> T:
        return self._look(lambda ws: question(ws.workflow(self.sid)))

    @property
    def name(self) -> str:
        """Its friendly name."""
        return self._ask(lambda workflow: workflow.friendly_name)

    @property
    def configuration(self) -> dict[str, Any]:  # Any: JSON
        """Its configuration, parsed."""
        parsed: dict[str, Any] = json.loads(self._ask(lambda workflow: workflow.configuration))
        return parsed

    def set_reservation_timeout(self, seconds: int) -> None:
        """How long the reservations made from now on wait for an answer; raises DomainError."""
        self._desk.do(lambda ws: ws.update_workflow(self.sid, task_reservation_timeout=seconds))

    def __repr__(self) -> str:
        return f"<WorkflowHandle {self.sid}>"


class WorkerHandle(Handle):
    """A worker of the workspace: not the SDK's object, but the person or bot that it acts for."""

    __slots__ = ()
    _kind = "worker"

    def _ask(self, question: Callable[[Worker], T]) -> T:
        return self._look(lambda ws: question(ws.worker(self.sid)))

    @property
    def name(self) -> str:
        """Its friendly name."""
        return self._ask(lambda worker: worker.friendly_name)

    @property
    def attributes(self) -> dict[str, Any]:  # Any: JSON
        """Its attributes, a copy."""
        return self._ask(lambda worker: copy.deepcopy(worker.parsed_attributes))

    @property
    def activity(self) -> str:
        """The name of its activity."""
        return self._ask(lambda worker: worker.activity.friendly_name)

    @property
    def available(self) -> bool:
        """Whether its activity lets it get work."""
        return self._ask(lambda worker: worker.activity.available)

    @property
    def capacities(self) -> dict[str, int]:
        """How much it takes at once on each channel, by the channel's unique name."""
        return self._ask(
            lambda worker: {
                channel.task_channel.unique_name: channel.configured_capacity
                for channel in worker.channels.values()
            }
        )

    @property
    def reservations(self) -> list[ReservationHandle]:
        """Its reservations, also those that ended, as long as their tasks are kept; oldest first."""
        sids = self._ask(lambda worker: list(worker.reservations))
        return [ReservationHandle(self._desk, sid) for sid in sids]

    def set_activity(self, activity: str | ActivityHandle, *, reject_pending: bool = False) -> None:
        """Move it to an activity, as a supervisor does.

        Args:
            activity: its name, SID or handle.
            reject_pending: reject the reservations that wait for an answer; only with an activity that is
                not available.

        Raises:
            LookupError: there is no such activity.
            DomainError: it was refused.
        """

        def move(ws: Workspace) -> None:
            found = find(ws.activities, activity, "activity", lambda one: one.friendly_name)
            ws.update_worker(self.sid, activity_sid=found.sid, reject_pending_reservations=reject_pending)

        self._desk.do(move)

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Replace its attributes; raises TypeError for what JSON cannot show, DomainError if refused."""
        text = as_json(attributes)
        self._desk.do(lambda ws: ws.update_worker(self.sid, attributes=text))

    def set_capacity(self, channel: str, capacity: int) -> None:
        """How much it takes at once on a channel, given by its unique name; raises DomainError."""
        self._desk.do(lambda ws: ws.update_worker_channel(self.sid, channel, capacity=capacity))

    def __repr__(self) -> str:
        return f"<WorkerHandle {self.sid}>"


class TaskHandle(Handle):
    """A task.

    TaskRouter deletes tasks five minutes after their end. Then all but `status` and `reason` raise
    `LookupError`, and commands `DomainError`.
    """

    __slots__ = ()
    _kind = "task"
    _why_gone = "it was deleted, or it ended more than five minutes ago by the workspace's clock"

    def _ask(self, question: Callable[[Task], T]) -> T:
        return self._look(lambda ws: question(ws.task(self.sid)))

    def _end(self) -> PastEvent | None:
        ends = (e for e in reversed(self._desk.history()) if e.resource_sid == self.sid and e.type in _ENDS)
        return next(ends, None)

    @property
    def status(self) -> str:
        """``pending``, ``reserved``, ``assigned``, ``wrapping``, ``completed`` or ``canceled``.

        Of a task that is not there any more, how it ended.

        Raises:
            LookupError: it was deleted before its end.
        """
        try:
            return self._ask(lambda task: task.status).value
        except LookupError:
            end = self._end()
            if end is None:
                raise
            return _ENDS[end.type].value

    @property
    def attributes(self) -> dict[str, Any]:  # Any: JSON
        """Its attributes, a copy."""
        return self._ask(lambda task: copy.deepcopy(task.parsed_attributes))

    @property
    def priority(self) -> int:
        """Higher ones are served first."""
        return self._ask(lambda task: task.priority)

    @property
    def reason(self) -> str | None:
        """Why it was completed or canceled, as far as somebody said; known as long as `status` is."""
        try:
            return self._ask(lambda task: task.reason)
        except LookupError:
            end = self._end()
            if end is None:
                raise
            return end.data.get("reason")

    @property
    def queue(self) -> QueueHandle | None:
        """The queue that it is in."""
        sid = self._ask(lambda task: None if task.queue is None else task.queue.sid)
        return None if sid is None else QueueHandle(self._desk, sid)

    @property
    def reservations(self) -> list[ReservationHandle]:
        """All of its reservations, oldest first."""
        return [ReservationHandle(self._desk, sid) for sid in self._ask(lambda task: list(task.reservations))]

    @property
    def worker(self) -> WorkerHandle | None:
        """The worker that accepted it and has it now."""
        held = (ReservationStatus.ACCEPTED, ReservationStatus.WRAPPING)
        sids = self._ask(lambda task: [r.worker.sid for r in task.live_reservations if r.status in held])
        return WorkerHandle(self._desk, sids[-1]) if sids else None

    def cancel(self, reason: str | None = None) -> None:
        """Cancel it, as over REST; raises DomainError."""
        self._desk.do(lambda ws: ws.update_task(self.sid, assignment_status="canceled", reason=reason))

    def complete(self, reason: str | None = None) -> None:
        """Complete it, as over REST; raises DomainError."""
        self._desk.do(lambda ws: ws.update_task(self.sid, assignment_status="completed", reason=reason))

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Replace its attributes; raises TypeError for what JSON cannot show, DomainError if refused."""
        text = as_json(attributes)
        self._desk.do(lambda ws: ws.update_task(self.sid, attributes=text))

    def set_priority(self, priority: int) -> None:
        """Change its priority; raises DomainError."""
        self._desk.do(lambda ws: ws.update_task(self.sid, priority=priority))

    def __repr__(self) -> str:
        return f"<TaskHandle {self.sid}>"


class ReservationHandle(Handle):
    """The offer of a task to a worker. Its commands act for the worker, where no SDK takes part.

    It is forgotten with its task: see `TaskHandle`.
    """

    __slots__ = ()
    _kind = "reservation"
    _why_gone = "its task was deleted, or ended more than five minutes ago by the workspace's clock"

    def _ask(self, question: Callable[[Reservation], T]) -> T:
        return self._look(lambda ws: question(ws.reservation(self.sid)))

    @property
    def status(self) -> str:
        """``pending``, ``accepted``, ``rejected``, ``timeout``, ``wrapping``, ``completed`` and so on."""
        return self._ask(lambda reservation: reservation.status).value

    @property
    def task(self) -> TaskHandle:
        """The task."""
        return TaskHandle(self._desk, self._ask(lambda reservation: reservation.task.sid))

    @property
    def worker(self) -> WorkerHandle:
        """The worker."""
        return WorkerHandle(self._desk, self._ask(lambda reservation: reservation.worker.sid))

    @property
    def created_at(self) -> datetime:
        """When it was made, by the workspace's clock."""
        return datetime.fromtimestamp(self._ask(lambda reservation: reservation.date_created), UTC)

    @property
    def updated_at(self) -> datetime:
        """When its status last changed, by the workspace's clock."""
        return datetime.fromtimestamp(self._ask(lambda reservation: reservation.date_updated), UTC)

    def accept(self) -> None:
        """Accept it; raises DomainError."""
        self._become(ReservationStatus.ACCEPTED)

    def reject(self) -> None:
        """Reject it; raises DomainError."""
        self._become(ReservationStatus.REJECTED)

    def wrap(self) -> None:
        """Begin its wrap-up; raises DomainError."""
        self._become(ReservationStatus.WRAPPING)

    def complete(self) -> None:
        """Complete it; raises DomainError."""
        self._become(ReservationStatus.COMPLETED)

    def _become(self, status: ReservationStatus) -> None:
        self._desk.do(lambda ws: ws.update_reservation(self.sid, status=status))

    def __repr__(self) -> str:
        return f"<ReservationHandle {self.sid}>"
