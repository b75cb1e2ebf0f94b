"""What an event says about its resource, in words and as flat text: REST's `event_data`, webhooks.

Keys, resource types and descriptions are those of the Event resource (TaskRouter REST API, Events); which
keys go with which event is partly our reading: a key too many does no harm. Webhooks carry the same
facts with their names in CamelCase.
"""

from __future__ import annotations

from typing import Final

from taskrouter_worker.terms import EventType, TaskStatus

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

__all__ = ["EventData", "camel_case", "description", "event_data", "resource_of"]


def event_data(workspace: Workspace, event: Event) -> dict[str, str]:
    """The facts of an event, all of them text, empty ones left out.

    Call it before the next command of the workspace: resources show their present state.
    """
    return EventData(workspace).of(event)


class EventData:
    """The facts of the events of one command. What several of them say of a task is put together once.

    Args:
        workspace: where it happened.
    """

    __slots__ = ("_at", "_task", "_told", "_workspace")

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._task: Task | None = None
        self._at = 0.0
        self._told: dict[str, str] = {}  # of that task at that time

    def of(self, event: Event) -> dict[str, str]:
        """See `event_data`."""
        facts = self._facts(event)
        facts.update(event.data)
        return {key: value for key, value in facts.items() if value}

    def _of_task(self, task: Task, at: float) -> dict[str, str]:
        if task is not self._task or at != self._at:
            self._task, self._at, self._told = task, at, _task(task, at)
        return self._told.copy()

    def _facts(self, event: Event) -> dict[str, str]:
        match event.resource:
            case Reservation() as reservation:
                facts = {
                    "reservation_sid": reservation.sid,
                    "reservation_version": str(reservation.version),
                    **self._of_task(reservation.task, event.at),
                }
                if reservation.queue is not None:  # its own: the task may have moved on in the same command
                    facts.update(_queue(reservation.queue))
                facts.update(_worker(reservation.worker))
                if reservation.transfer is not None:
                    facts.update(_transfer(reservation.transfer))
                return facts
            case Task() as task:
                return {**self._of_task(task, event.at), **_end_of(task)}
            case Transfer() as transfer:
                return {**self._of_task(transfer.task, event.at), **_transfer(transfer)}
            case Worker() as worker:
                return _worker(worker)
            case WorkerChannel() as channel:
                return {**_worker(channel.worker), **_worker_channel(channel)}
            case Activity() as activity:
                return {
                    "activity_sid": activity.sid,
                    "activity_name": activity.friendly_name,
                    "activity_available": _flag(activity.available),
                }
            case TaskChannel() as task_channel:
                return {
                    "task_channel_sid": task_channel.sid,
                    "task_channel_name": task_channel.friendly_name,
                    "task_channel_unique_name": task_channel.unique_name,
                    "task_channel_optimized_routing": _flag(task_channel.channel_optimized_routing),
                }
            case TaskQueue() as queue:
                return _queue(queue)
            case Workflow() as workflow:
                return _workflow(workflow)
            case None:
                return {"workspace_name": self._workspace.friendly_name}


def resource_of(workspace: Workspace, event: Event) -> tuple[str, str]:
    """Type and SID of what the event is about.

    Events of a worker's channel are about the worker, those of a transfer about its task.
    """
    match event.resource:
        case Reservation() as reservation:
            return "reservation", reservation.sid
        case Task() as task:
            return "task", task.sid
        case Transfer() as transfer:
            return "task", transfer.task.sid
        case Worker() as worker:
            return "worker", worker.sid
        case WorkerChannel() as channel:
            return "worker", channel.worker.sid
        case Activity() as activity:
            return "activity", activity.sid
        case TaskChannel() as task_channel:
            return "taskchannel", task_channel.sid
        case TaskQueue() as queue:
            return "taskqueue", queue.sid
        case Workflow() as workflow:
            return "workflow", workflow.sid
        case None:
            return "workspace", workspace.sid


_NAMES: Final = {
    "reservation": "Reservation",
    "task": "Task",
    "worker": "Worker",
    "activity": "Activity",
    "taskchannel": "TaskChannel",
    "taskqueue": "TaskQueue",
    "workflow": "Workflow",
    "workspace": "Workspace",
}

_VERBS: Final = {event: event.rpartition(".")[2].replace("-", " ") for event in EventType} | {
    EventType.TASK_QUEUE_ENTERED: "entered TaskQueue",
    EventType.TASK_QUEUE_TIMEOUT: "timed out in TaskQueue",
    EventType.TASK_QUEUE_MOVED: "moved to another TaskQueue",
    EventType.WORKFLOW_ENTERED: "entered Workflow",
    EventType.WORKFLOW_TARGET_MATCHED: "matched a Workflow target",
    EventType.WORKFLOW_TIMEOUT: "timed out of its Workflow",
    EventType.WORKFLOW_SKIPPED: "was skipped out of its Workflow",
    EventType.WORKER_ATTRIBUTES_UPDATE: "attributes updated",
    EventType.WORKER_CAPACITY_UPDATE: "channel capacity updated",
    EventType.WORKER_CHANNEL_AVAILABILITY_UPDATE: "channel availability updated",
    EventType.RESERVATION_TIMEOUT: "timed out",
    EventType.RESERVATION_WRAPUP: "wrapping up",
    EventType.TASK_WRAPUP: "wrapping up",
    EventType.TASK_SYSTEM_DELETED: "deleted by the system",
}
"""What happened: the last word of the event's name, or something better."""


def description(workspace: Workspace, event: Event) -> str:
    """One sentence (REST API, Events: two patterns are published; the rest is our choice)."""
    kind, sid = resource_of(workspace, event)
    resource = event.resource
    match event.type:
        case EventType.WORKER_ACTIVITY_UPDATE if isinstance(resource, Worker):
            return f"Worker {resource.friendly_name} updated to {resource.activity.friendly_name} Activity"
        case EventType.TASK_QUEUE_EXPRESSION_UPDATED if isinstance(resource, TaskQueue):
            return f"TaskQueue {sid} expression updated to '{resource.target_workers}'"
        case EventType.TASK_CANCELED if isinstance(resource, Task) and resource.reason == "Task TTL Exceeded":
            return resource.reason
        case EventType.RESERVATION_FAILED:
            return f"Task {sid}: the routing target's limit for creating a reservation was not met"
        case _:
            pass
    return f"{_NAMES[kind]} {sid} {_VERBS[event.type]}"


def camel_case(key: str) -> str:
    """A key as the name of a webhook's parameter: ``task_queue_sid`` is ``TaskQueueSid``."""
    return "".join(word.capitalize() for word in key.split("_"))


# --- Groups of facts ----------------------------------------------------------------------------


def _task(task: Task, at: float) -> dict[str, str]:
    facts = {
        "task_sid": task.sid,
        "task_attributes": task.attributes,
        "task_age": str(max(0, int(at - task.date_created))),
        "task_priority": str(task.priority),
        "task_assignment_status": task.status.value,
        "task_version": str(task.version),
        "task_channel_sid": task.task_channel.sid,
        "task_channel_unique_name": task.task_channel.unique_name,
        "task_date_created": str(int(task.date_created)),
    }
    if task.queue_entered_at is not None:
        facts["task_queue_entered_date"] = str(int(task.queue_entered_at))
        facts["task_age_in_queue"] = str(max(0, int(at - task.queue_entered_at)))
    facts["task_virtual_start_time"] = str(int(task.virtual_start_time))
    facts["task_ignore_capacity"] = _flag(task.ignore_capacity)
    facts["task_routing_target"] = task.routing_target or ""
    if task.queue is not None:
        facts.update(_queue(task.queue))
    if task.workflow is not None:
        facts.update(_workflow(task.workflow))
    if task.step is not None and task.step.filter is not None:
        facts["workflow_filter_name"] = task.step.filter.name or ""
        facts["workflow_filter_expression"] = task.step.filter.expression_text
        facts["workflow_filter_target_name"] = task.step.target.name or ""
        wanted = task.step.target.expression
        facts["workflow_filter_target_expression"] = "" if wanted is None else str(wanted)
    return facts


def _end_of(task: Task) -> dict[str, str]:
    reason = task.reason or ""
    if task.status is TaskStatus.CANCELED:
        return {"task_canceled_reason": reason, "reason": reason}
    if task.status is TaskStatus.COMPLETED:
        return {"task_completed_reason": reason, "reason": reason}
    return {}


def _queue(queue: TaskQueue) -> dict[str, str]:
    return {
        "task_queue_sid": queue.sid,
        "task_queue_name": queue.friendly_name,
        "task_queue_target_expression": queue.target_workers,
    }


def _workflow(workflow: Workflow) -> dict[str, str]:
    return {"workflow_sid": workflow.sid, "workflow_name": workflow.friendly_name}


def _worker(worker: Worker) -> dict[str, str]:
    return {
        "worker_sid": worker.sid,
        "worker_name": worker.friendly_name,
        "worker_attributes": worker.attributes,
        "worker_activity_sid": worker.activity.sid,
        "worker_activity_name": worker.activity.friendly_name,
        "worker_version": str(worker.version),
    }


def _worker_channel(channel: WorkerChannel) -> dict[str, str]:
    return {
        "worker_channel_available": _flag(channel.available),
        "worker_channel_available_capacity": str(channel.available_capacity_percentage),
        "worker_channel_task_count": str(channel.assigned_tasks),
        "worker_channel_capacity": str(channel.configured_capacity),
        "worker_channel_consumed_capacity": str(channel.active),
        "task_channel_sid": channel.task_channel.sid,
        "task_channel_unique_name": channel.task_channel.unique_name,
    }


def _transfer(transfer: Transfer) -> dict[str, str]:
    return {
        "task_transfer_sid": transfer.sid,
        "transfer_mode": transfer.mode.value,
        "transfer_type": transfer.type.value,
        "transfer_to": transfer.to,
        "transfer_status": transfer.status.value,
        "transfer_started": str(int(transfer.date_created)),
        "transfer_failed_reason": transfer.failed_reason or "",
        "transfer_initiating_reservation_sid": transfer.initiating_reservation.sid,
        "transfer_initiating_worker_sid": transfer.initiating_reservation.worker.sid,
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"
