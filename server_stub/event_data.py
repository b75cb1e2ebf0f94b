"""What an event says about its resource, in words and as flat text: REST's `event_data`, webhooks.

Keys, resource types and descriptions are those of the Event resource (TaskRouter REST API, Events); which
keys go with which event is partly our reading: a key too many does no harm. Webhooks carry the same
facts with their names in CamelCase.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

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

__all__ = ["camel_case", "description", "event_data", "resource_of"]

Facts: TypeAlias = Iterator[tuple[str, object]]


def event_data(workspace: Workspace, event: Event) -> dict[str, str]:
    """The facts of an event, all of them text, empty ones left out.

    Call it before the next command of the workspace: resources show their present state.
    """
    facts = {key: value if type(value) is str else _text(value) for key, value in _facts(workspace, event)}
    facts.update(event.data)
    return {key: value for key, value in facts.items() if value}


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

_VERBS: Final = {
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
"""What happened, where it is not the last word of the event's name."""


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
    verb = _VERBS.get(event.type) or event.type.rpartition(".")[2].replace("-", " ")
    return f"{_NAMES[kind]} {sid} {verb}"


def camel_case(key: str) -> str:
    """A key as the name of a webhook's parameter: ``task_queue_sid`` is ``TaskQueueSid``."""
    return "".join(word.capitalize() for word in key.split("_"))


# --- Groups of facts ----------------------------------------------------------------------------


def _facts(workspace: Workspace, event: Event) -> Facts:
    match event.resource:
        case Reservation() as reservation:
            yield "reservation_sid", reservation.sid
            yield "reservation_version", reservation.version
            yield from _task(reservation.task, event.at)
            if reservation.queue is not None:  # its own: the task may have moved on in the same command
                yield from _queue(reservation.queue)
            yield from _worker(reservation.worker)
            if reservation.transfer is not None:
                yield from _transfer(reservation.transfer)
        case Task() as task:
            yield from _task(task, event.at)
            yield from _end_of(task)
        case Transfer() as transfer:
            yield from _task(transfer.task, event.at)
            yield from _transfer(transfer)
        case Worker() as worker:
            yield from _worker(worker)
        case WorkerChannel() as channel:
            yield from _worker(channel.worker)
            yield from _worker_channel(channel)
        case Activity() as activity:
            yield "activity_sid", activity.sid
            yield "activity_name", activity.friendly_name
            yield "activity_available", activity.available
        case TaskChannel() as task_channel:
            yield "task_channel_sid", task_channel.sid
            yield "task_channel_name", task_channel.friendly_name
            yield "task_channel_unique_name", task_channel.unique_name
            yield "task_channel_optimized_routing", task_channel.channel_optimized_routing
        case TaskQueue() as queue:
            yield from _queue(queue)
        case Workflow() as workflow:
            yield from _workflow(workflow)
        case None:
            yield "workspace_name", workspace.friendly_name


def _task(task: Task, at: float) -> Facts:
    yield "task_sid", task.sid
    yield "task_attributes", task.attributes
    yield "task_age", max(0, int(at - task.date_created))
    yield "task_priority", task.priority
    yield "task_assignment_status", task.status
    yield "task_version", task.version
    yield "task_channel_sid", task.task_channel.sid
    yield "task_channel_unique_name", task.task_channel.unique_name
    yield "task_date_created", int(task.date_created)
    if task.queue_entered_at is not None:
        yield "task_queue_entered_date", int(task.queue_entered_at)
        yield "task_age_in_queue", max(0, int(at - task.queue_entered_at))
    yield "task_virtual_start_time", int(task.virtual_start_time)
    yield "task_ignore_capacity", task.ignore_capacity
    yield "task_routing_target", task.routing_target
    if task.queue is not None:
        yield from _queue(task.queue)
    if task.workflow is not None:
        yield from _workflow(task.workflow)
    if task.step is not None and task.step.filter is not None:
        yield "workflow_filter_name", task.step.filter.name
        yield "workflow_filter_expression", task.step.filter.expression_text
        yield "workflow_filter_target_name", task.step.target.name
        yield "workflow_filter_target_expression", task.step.target.expression


def _end_of(task: Task) -> Facts:
    if task.status is TaskStatus.CANCELED:
        yield "task_canceled_reason", task.reason
        yield "reason", task.reason
    elif task.status is TaskStatus.COMPLETED:
        yield "task_completed_reason", task.reason
        yield "reason", task.reason


def _queue(queue: TaskQueue) -> Facts:
    yield "task_queue_sid", queue.sid
    yield "task_queue_name", queue.friendly_name
    yield "task_queue_target_expression", queue.target_workers


def _workflow(workflow: Workflow) -> Facts:
    yield "workflow_sid", workflow.sid
    yield "workflow_name", workflow.friendly_name


def _worker(worker: Worker) -> Facts:
    yield "worker_sid", worker.sid
    yield "worker_name", worker.friendly_name
    yield "worker_attributes", worker.attributes
    yield "worker_activity_sid", worker.activity.sid
    yield "worker_activity_name", worker.activity.friendly_name
    yield "worker_version", worker.version


def _worker_channel(channel: WorkerChannel) -> Facts:
    yield "worker_channel_available", channel.available
    yield "worker_channel_available_capacity", channel.available_capacity_percentage
    yield "worker_channel_task_count", channel.assigned_tasks
    yield "worker_channel_capacity", channel.configured_capacity
    yield "worker_channel_consumed_capacity", channel.active
    yield "task_channel_sid", channel.task_channel.sid
    yield "task_channel_unique_name", channel.task_channel.unique_name


def _transfer(transfer: Transfer) -> Facts:
    yield "task_transfer_sid", transfer.sid
    yield "transfer_mode", transfer.mode
    yield "transfer_type", transfer.type
    yield "transfer_to", transfer.to
    yield "transfer_status", transfer.status
    yield "transfer_started", int(transfer.date_created)
    yield "transfer_failed_reason", transfer.failed_reason
    yield "transfer_initiating_reservation_sid", transfer.initiating_reservation.sid
    yield "transfer_initiating_worker_sid", transfer.initiating_reservation.worker.sid


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
