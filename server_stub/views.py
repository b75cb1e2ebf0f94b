"""What clients see of the domain, in both spellings. The only place that knows them.

* The event bridge's: the structures of `taskrouter_worker.resources`, dates as epoch seconds.
* The public REST API's (TaskRouter REST API, resource pages): ISO 8601 dates in whole seconds,
  `url` and `links` with the scheme and host that the client used.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Final

import msgspec

from taskrouter_worker.resources import (
    UNSET,
    ActivityFields,
    InitFields,
    ReservationFields,
    ShortReservationFields,
    TaskFields,
    TaskQueueFields,
    TransferFields,
    WorkerChannelFields,
    WorkerFields,
)
from taskrouter_worker.terms import EventType, QueueOrder

from .domain.events import Event
from .domain.model import (
    Activity,
    Reservation,
    Task,
    TaskChannel,
    TaskQueue,
    Transfer,
    Worker,
    WorkerChannel,
    Workflow,
)
from .domain.workspace import Workspace

__all__ = ["HEARTBEAT", "Frame", "RestView", "SnapshotPart", "event_frame", "init_frame"]

_encode = msgspec.json.Encoder().encode


class SnapshotPart(Enum):
    """The four answers that make up what a client knows when it becomes ready."""

    WORKER = "worker"
    ACTIVITIES = "activities"
    CHANNELS = "channels"
    RESERVATIONS = "reservations"


# --- The event bridge ---------------------------------------------------------------------------


def worker_fields(workspace: Workspace, worker: Worker) -> WorkerFields:
    """A worker."""
    return WorkerFields(
        sid=worker.sid,
        account_sid=workspace.account_sid,
        workspace_sid=workspace.sid,
        friendly_name=worker.friendly_name,
        attributes=worker.attributes,
        available=worker.activity.available,
        activity_sid=worker.activity.sid,
        activity_name=worker.activity.friendly_name,
        date_created=int(worker.date_created),
        date_updated=int(worker.date_updated),
        date_status_changed=int(worker.date_status_changed),
        version=worker.version,
    )


def activity_fields(workspace: Workspace, activity: Activity) -> ActivityFields:
    """An activity."""
    return ActivityFields(
        sid=activity.sid,
        account_sid=workspace.account_sid,
        workspace_sid=workspace.sid,
        friendly_name=activity.friendly_name,
        available=activity.available,
        date_created=int(activity.date_created),
        date_updated=int(activity.date_updated),
    )


def channel_fields(
    workspace: Workspace, channel: WorkerChannel, *, in_event: bool = False
) -> WorkerChannelFields:
    """A worker channel. Only events carry its version."""
    reserved_at = channel.last_reserved_at
    return WorkerChannelFields(
        sid=channel.sid,
        account_sid=workspace.account_sid,
        workspace_sid=workspace.sid,
        worker_sid=channel.worker.sid,
        task_channel_sid=channel.task_channel.sid,
        task_channel_unique_name=channel.task_channel.unique_name,
        configured_capacity=channel.configured_capacity,
        assigned_tasks=channel.assigned_tasks,
        available=1 if channel.available else 0,
        available_capacity_percentage=channel.available_capacity_percentage,
        date_created=int(channel.date_created),
        date_updated=int(channel.date_updated),
        # A number, also for "never": the JavaScript SDK makes a date of it.
        last_reserved_time=0 if reserved_at is None else int(reserved_at * 1000),
        version=channel.version if in_event else UNSET,
    )


def task_fields(workspace: Workspace, task: Task, now: float) -> TaskFields:
    """A task, alone or nested in a reservation. `now` makes its age."""
    return TaskFields(
        sid=task.sid,
        account_sid=workspace.account_sid,
        workspace_sid=workspace.sid,
        workflow_sid=None if task.workflow is None else task.workflow.sid,
        workflow_name=None if task.workflow is None else task.workflow.friendly_name,
        queue_sid=None if task.queue is None else task.queue.sid,
        queue_name=None if task.queue is None else task.queue.friendly_name,
        task_channel_sid=task.task_channel.sid,
        task_channel_unique_name=task.task_channel.unique_name,
        attributes=task.attributes,
        addons="{}",
        assignment_status=task.status,
        priority=task.priority,
        age=_age(task, now),
        timeout=task.timeout,
        reason=task.reason,
        routing_target=task.routing_target,
        date_created=int(task.date_created),
        date_updated=int(task.date_updated),
        virtual_start_time=int(task.virtual_start_time),
        version=task.version,
        counter=task.counter,
    )


def short_reservation_fields(workspace: Workspace, reservation: Reservation) -> ShortReservationFields:
    """A reservation as the answers to its updates show it."""
    return ShortReservationFields(
        sid=reservation.sid,
        account_sid=workspace.account_sid,
        workspace_sid=workspace.sid,
        worker_sid=reservation.worker.sid,
        worker_name=reservation.worker.friendly_name,
        worker_previous_activity_sid=reservation.worker_previous_activity.sid,
        task_sid=reservation.task.sid,
        task_channel_sid=reservation.task.task_channel.sid,
        reservation_status=reservation.status,
        reservation_timeout=reservation.timeout,
        date_created=int(reservation.date_created),
        date_updated=int(reservation.date_updated),
        version=reservation.version,
    )


def reservation_fields(workspace: Workspace, reservation: Reservation, now: float) -> ReservationFields:
    """A complete reservation. Transfer keys are absent, not null, where there is nothing to say."""
    code, came_from, outgoing = (
        reservation.canceled_reason_code,
        reservation.transfer,
        reservation.outgoing_transfer,
    )
    return ReservationFields(
        sid=reservation.sid,
        account_sid=workspace.account_sid,
        workspace_sid=workspace.sid,
        worker_sid=reservation.worker.sid,
        worker_name=reservation.worker.friendly_name,
        worker_previous_activity_sid=reservation.worker_previous_activity.sid,
        reservation_status=reservation.status,
        reservation_timeout=reservation.timeout,
        date_created=int(reservation.date_created),
        date_updated=int(reservation.date_updated),
        version=reservation.version,
        task=task_fields(workspace, reservation.task, now),
        canceled_reason_code=UNSET if code is None else code,
        task_transfer=UNSET if came_from is None else _transfer(workspace, came_from, with_task=False),
        active_outgoing_task_transfer=UNSET if outgoing is None else transfer_fields(workspace, outgoing),
    )


def transfer_fields(workspace: Workspace, transfer: Transfer) -> TransferFields:
    """A transfer by itself, in its events and as the active outgoing one of a reservation."""
    return _transfer(workspace, transfer, with_task=True)


def _transfer(workspace: Workspace, transfer: Transfer, *, with_task: bool) -> TransferFields:
    reservation, workflow = transfer.initiating_reservation, transfer.task.workflow
    reason = transfer.failed_reason
    return TransferFields(
        sid=transfer.sid,
        account_sid=workspace.account_sid,
        workspace_sid=workspace.sid,
        transfer_type=transfer.type,
        transfer_mode=transfer.mode,
        transfer_to=transfer.to,
        transfer_status=transfer.status,
        initiating_reservation_sid=reservation.sid,
        initiating_worker_sid=reservation.worker.sid,
        initiating_queue_sid=None if transfer.initiating_queue is None else transfer.initiating_queue.sid,
        initiating_workflow_sid=None if workflow is None else workflow.sid,
        date_created=int(transfer.date_created),
        date_updated=int(transfer.date_updated),
        transfer_failed_reason=UNSET if reason is None else reason,
        task_sid=transfer.task.sid if with_task else UNSET,
    )


def task_queue_fields(workspace: Workspace, queue: TaskQueue) -> TaskQueueFields:
    """A task queue."""
    assignment, reservation = queue.assignment_activity, queue.reservation_activity
    return TaskQueueFields(
        sid=queue.sid,
        account_sid=workspace.account_sid,
        workspace_sid=workspace.sid,
        friendly_name=queue.friendly_name,
        assignment_activity_name=None if assignment is None else assignment.friendly_name,
        assignment_activity_sid=None if assignment is None else assignment.sid,
        reservation_activity_name=None if reservation is None else reservation.friendly_name,
        reservation_activity_sid=None if reservation is None else reservation.sid,
        target_workers=queue.target_workers,
        max_reserved_workers=queue.max_reserved_workers,
        task_order=queue.task_order,
        lifo_queue=queue.task_order is QueueOrder.LIFO,
        date_created=int(queue.date_created),
        date_updated=int(queue.date_updated),
        version=queue.version,
    )


class Frame:
    """One websocket text frame, encoded once for all sessions that get it.

    Attributes:
        seq: the event sequence that it belongs to; 0 for frames that are no events.
        part: the snapshot answer that shows its effect, None if no answer does.
        names: the answer that must have shown what it refers to, None if it refers to nothing.
        since: the event sequence at which that came into being.
    """

    __slots__ = ("_wire", "data", "event_type", "names", "part", "seq", "since")

    opcode = 0x1  # a text

    def __init__(
        self,
        data: bytes,
        *,
        event_type: str = "",
        seq: int = 0,
        part: SnapshotPart | None = None,
        names: SnapshotPart | None = None,
        since: int = 0,
    ) -> None:
        self.data = data
        self._wire: bytes | None = None
        self.event_type = event_type
        self.seq = seq
        self.part = part
        self.names = names
        self.since = since

    @property
    def wire(self) -> bytes:
        """As it goes over the wire: final, unmasked, not compressed (RFC 6455, section 5.2). Made once."""
        if self._wire is None:
            self._wire = _header(self.opcode, len(self.data)) + self.data
        return self._wire


def _header(opcode: int, length: int) -> bytes:
    first = 0x80 | opcode
    if length < 126:
        return bytes((first, length))
    if length < 65_536:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")


HEARTBEAT: Final = Frame(b" ")
"""A blank text frame: the client takes any text frame as a sign of life."""


def init_frame(workspace: Workspace, worker_sid: str, token_lifetime: int) -> Frame:
    """The first frame of a session. `token_lifetime` is in milliseconds."""
    payload = InitFields(
        channel_id=worker_sid,
        account_sid=workspace.account_sid,
        workspace_sid=workspace.sid,
        token_lifetime=token_lifetime,
    )
    return Frame(_encode({"event_type": "init", "payload": payload}), event_type="init")


def event_frame(workspace: Workspace, event: Event, now: float) -> Frame:
    """The frame of an event that `EventType.is_pushed`.

    Raises:
        TypeError: the event is about something that no frame shows.
    """
    names: SnapshotPart | None = None
    part: SnapshotPart | None = SnapshotPart.RESERVATIONS
    since = 0
    payload: msgspec.Struct
    match event.resource:
        case Worker() as worker:
            payload = worker_fields(workspace, worker)
            part, names, since = SnapshotPart.WORKER, SnapshotPart.ACTIVITIES, worker.activity.created_seq
        case WorkerChannel() as channel:
            payload = channel_fields(workspace, channel, in_event=True)
            part, names, since = SnapshotPart.CHANNELS, SnapshotPart.CHANNELS, channel.created_seq
        case Reservation() as reservation:
            payload = reservation_fields(workspace, reservation, now)
        case Task() as task:
            payload = task_fields(workspace, task, now)
        case Transfer() as transfer:
            payload = transfer_fields(workspace, transfer)
        case other:
            raise TypeError(f"no frame shows a {type(other).__name__} ({event.type})")
    if event.type is EventType.RESERVATION_FAILED:
        part = None  # the notice of a task that never was reserved: no list shows it
    return Frame(
        _encode({"event_type": event.type, "payload": payload}),
        event_type=event.type,
        seq=event.seq,
        part=part,
        names=names,
        since=since,
    )


def _age(task: Task, now: float) -> int:
    return max(0, int(now - task.date_created))


# --- The public REST API ------------------------------------------------------------------------

Json = dict[str, object]


def _date(moment: float) -> str:
    # No fractions: the Python library hands a date with fractions through as plain text.
    return _second(int(moment))


@lru_cache(maxsize=1_024)
def _second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class RestView:
    """REST JSON for one client: `base` is the scheme and host that it used, with ``/v1/Workspaces``."""

    __slots__ = ("_base", "_now")

    def __init__(self, base: str, now: float) -> None:
        self._base = base
        self._now = now

    def _url(self, workspace: Workspace, *path: str) -> str:
        return "/".join((self._base, workspace.sid, *path))

    def workspace(self, workspace: Workspace) -> Json:
        """A workspace."""
        url = self._url(workspace)
        default, timeout = workspace.default_activity, workspace.timeout_activity
        return {
            "account_sid": workspace.account_sid,
            "date_created": _date(workspace.date_created),
            "date_updated": _date(workspace.date_updated),
            "default_activity_name": default.friendly_name,
            "default_activity_sid": default.sid,
            "event_callback_url": workspace.event_callback_url,
            "events_filter": workspace.events_filter,
            "friendly_name": workspace.friendly_name,
            "multi_task_enabled": workspace.multi_task_enabled,
            "prioritize_queue_order": workspace.prioritize_queue_order,
            "sid": workspace.sid,
            "timeout_activity_name": timeout.friendly_name,
            "timeout_activity_sid": timeout.sid,
            "url": url,
            "links": {
                "activities": f"{url}/Activities",
                "statistics": f"{url}/Statistics",
                "real_time_statistics": f"{url}/RealTimeStatistics",
                "cumulative_statistics": f"{url}/CumulativeStatistics",
                "task_queues": f"{url}/TaskQueues",
                "tasks": f"{url}/Tasks",
                "workers": f"{url}/Workers",
                "workflows": f"{url}/Workflows",
                "task_channels": f"{url}/TaskChannels",
                "events": f"{url}/Events",
            },
        }

    def activity(self, workspace: Workspace, activity: Activity) -> Json:
        """An activity."""
        return {
            "account_sid": workspace.account_sid,
            "available": activity.available,
            "date_created": _date(activity.date_created),
            "date_updated": _date(activity.date_updated),
            "friendly_name": activity.friendly_name,
            "sid": activity.sid,
            "workspace_sid": workspace.sid,
            "url": self._url(workspace, "Activities", activity.sid),
            "links": {"workspace": self._url(workspace)},
        }

    def worker(self, workspace: Workspace, worker: Worker) -> Json:
        """A worker. Its plain statistics links lead to those of all workers, as TaskRouter's do."""
        workers = self._url(workspace, "Workers")
        url = f"{workers}/{worker.sid}"
        return {
            "account_sid": workspace.account_sid,
            "activity_name": worker.activity.friendly_name,
            "activity_sid": worker.activity.sid,
            "attributes": worker.attributes,
            "available": worker.activity.available,
            "date_created": _date(worker.date_created),
            "date_status_changed": _date(worker.date_status_changed),
            "date_updated": _date(worker.date_updated),
            "friendly_name": worker.friendly_name,
            "sid": worker.sid,
            "workspace_sid": workspace.sid,
            "url": url,
            "links": {
                "activity": self._url(workspace, "Activities", worker.activity.sid),
                "channels": f"{url}/Channels",
                "worker_channels": f"{url}/Channels",
                "reservations": f"{url}/Reservations",
                "worker_statistics": f"{url}/Statistics",
                "statistics": f"{workers}/Statistics",
                "real_time_statistics": f"{workers}/RealTimeStatistics",
                "cumulative_statistics": f"{workers}/CumulativeStatistics",
                "workspace": self._url(workspace),
            },
        }

    def worker_channel(self, workspace: Workspace, channel: WorkerChannel) -> Json:
        """A worker channel."""
        return {
            "account_sid": workspace.account_sid,
            "assigned_tasks": channel.assigned_tasks,
            "available": channel.available,
            "available_capacity_percentage": channel.available_capacity_percentage,
            "configured_capacity": channel.configured_capacity,
            "date_created": _date(channel.date_created),
            "date_updated": _date(channel.date_updated),
            "sid": channel.sid,
            "task_channel_sid": channel.task_channel.sid,
            "task_channel_unique_name": channel.task_channel.unique_name,
            "worker_sid": channel.worker.sid,
            "workspace_sid": workspace.sid,
            "url": self._url(workspace, "Workers", channel.worker.sid, "Channels", channel.sid),
        }

    def task_channel(self, workspace: Workspace, channel: TaskChannel) -> Json:
        """A task channel."""
        return {
            "account_sid": workspace.account_sid,
            "channel_optimized_routing": channel.channel_optimized_routing,
            "date_created": _date(channel.date_created),
            "date_updated": _date(channel.date_updated),
            "friendly_name": channel.friendly_name,
            "sid": channel.sid,
            "unique_name": channel.unique_name,
            "workspace_sid": workspace.sid,
            "url": self._url(workspace, "TaskChannels", channel.sid),
            "links": {"workspace": self._url(workspace)},
        }

    def task_queue(self, workspace: Workspace, queue: TaskQueue) -> Json:
        """A task queue. Its links to activities are null where it has none."""
        queues = self._url(workspace, "TaskQueues")
        url = f"{queues}/{queue.sid}"
        assignment, reservation = queue.assignment_activity, queue.reservation_activity

        def activity_url(activity: Activity | None) -> str | None:
            return None if activity is None else self._url(workspace, "Activities", activity.sid)

        return {
            "account_sid": workspace.account_sid,
            "assignment_activity_name": None if assignment is None else assignment.friendly_name,
            "assignment_activity_sid": None if assignment is None else assignment.sid,
            "date_created": _date(queue.date_created),
            "date_updated": _date(queue.date_updated),
            "friendly_name": queue.friendly_name,
            "max_reserved_workers": queue.max_reserved_workers,
            "reservation_activity_name": None if reservation is None else reservation.friendly_name,
            "reservation_activity_sid": None if reservation is None else reservation.sid,
            "sid": queue.sid,
            "target_workers": queue.target_workers,
            "task_order": queue.task_order,
            "workspace_sid": workspace.sid,
            "url": url,
            "links": {
                "assignment_activity": activity_url(assignment),
                "reservation_activity": activity_url(reservation),
                "workspace": self._url(workspace),
                "statistics": f"{url}/Statistics",
                "real_time_statistics": f"{url}/RealTimeStatistics",
                "cumulative_statistics": f"{url}/CumulativeStatistics",
                "list_statistics": f"{queues}/Statistics",
                "bulk_real_time_statistics": f"{queues}/RealTimeStatistics",
            },
        }

    def workflow(self, workspace: Workspace, workflow: Workflow) -> Json:
        """A workflow, with its configuration as it was given."""
        url = self._url(workspace, "Workflows", workflow.sid)
        return {
            "account_sid": workspace.account_sid,
            "assignment_callback_url": workflow.assignment_callback_url or None,
            "configuration": workflow.configuration,
            "date_created": _date(workflow.date_created),
            "date_updated": _date(workflow.date_updated),
            "document_content_type": "application/json",
            "fallback_assignment_callback_url": workflow.fallback_assignment_callback_url or None,
            "friendly_name": workflow.friendly_name,
            "sid": workflow.sid,
            "task_reservation_timeout": workflow.task_reservation_timeout,
            "workspace_sid": workspace.sid,
            "url": url,
            "links": {
                "statistics": f"{url}/Statistics",
                "real_time_statistics": f"{url}/RealTimeStatistics",
                "cumulative_statistics": f"{url}/CumulativeStatistics",
            },
        }

    def task(self, workspace: Workspace, task: Task) -> Json:
        """A task."""
        url = self._url(workspace, "Tasks", task.sid)
        queue, workflow, entered = task.queue, task.workflow, task.queue_entered_at
        return {
            "account_sid": workspace.account_sid,
            "addons": "{}",
            "age": _age(task, self._now),
            "assignment_status": task.status,
            "attributes": task.attributes,
            "date_created": _date(task.date_created),
            "date_updated": _date(task.date_updated),
            "ignore_capacity": task.ignore_capacity,
            "priority": task.priority,
            "reason": task.reason,
            "routing_target": task.routing_target,
            "sid": task.sid,
            "task_channel_sid": task.task_channel.sid,
            "task_channel_unique_name": task.task_channel.unique_name,
            "task_queue_entered_date": None if entered is None else _date(entered),
            "task_queue_friendly_name": None if queue is None else queue.friendly_name,
            "task_queue_sid": None if queue is None else queue.sid,
            "timeout": task.timeout,
            "virtual_start_time": _date(task.virtual_start_time),
            "workflow_friendly_name": None if workflow is None else workflow.friendly_name,
            "workflow_sid": None if workflow is None else workflow.sid,
            "workspace_sid": workspace.sid,
            "url": url,
            "links": {
                "reservations": f"{url}/Reservations",
                "task_queue": None if queue is None else self._url(workspace, "TaskQueues", queue.sid),
                "workflow": None if workflow is None else self._url(workspace, "Workflows", workflow.sid),
                "workspace": self._url(workspace),
            },
        }

    def task_reservation(self, workspace: Workspace, reservation: Reservation) -> Json:
        """A reservation, read below its task."""
        return self._reservation(workspace, reservation, "Tasks", reservation.task.sid)

    def worker_reservation(self, workspace: Workspace, reservation: Reservation) -> Json:
        """The same reservation, read below its worker: only `url` differs."""
        return self._reservation(workspace, reservation, "Workers", reservation.worker.sid)

    def _reservation(self, workspace: Workspace, reservation: Reservation, *parent: str) -> Json:
        task, worker = reservation.task, reservation.worker
        return {
            "account_sid": workspace.account_sid,
            "date_created": _date(reservation.date_created),
            "date_updated": _date(reservation.date_updated),
            "reservation_status": reservation.status,
            "sid": reservation.sid,
            "task_sid": task.sid,
            "worker_name": worker.friendly_name,
            "worker_sid": worker.sid,
            "workspace_sid": workspace.sid,
            "url": self._url(workspace, *parent, "Reservations", reservation.sid),
            "links": {
                "task": self._url(workspace, "Tasks", task.sid),
                "worker": self._url(workspace, "Workers", worker.sid),
                "workspace": self._url(workspace),
            },
        }
