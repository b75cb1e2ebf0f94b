"""TaskRouter's own vocabulary: statuses, event types, instructions, SID prefixes.

Enumerations and SID checks only. Both packages import this module, so that each word stands
once. The values are the literal texts of the wire and of the REST API.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

__all__ = [
    "RESERVATION_ENDED",
    "RESERVATION_LIVE",
    "TASK_ENDED",
    "EventType",
    "Instruction",
    "QueueOrder",
    "ReservationStatus",
    "Role",
    "SidPrefix",
    "SupervisorMode",
    "TaskStatus",
    "TransferMode",
    "TransferStatus",
    "TransferType",
    "WorkspaceTemplate",
    "is_sid",
]


class SidPrefix(StrEnum):
    """The two letters that begin a SID and tell its kind."""

    ACCOUNT = "AC"
    ACTIVITY = "WA"
    API_KEY = "SK"
    CALL = "CA"
    CONFERENCE = "CF"
    EVENT = "EV"
    RESERVATION = "WR"
    TASK = "WT"
    TASK_CHANNEL = "TC"
    TASK_QUEUE = "WQ"
    TRANSFER = "TT"
    WORKER = "WK"
    WORKER_CHANNEL = "WC"
    WORKFLOW = "WW"
    WORKSPACE = "WS"


_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")


def is_sid(value: object, *prefixes: str) -> bool:
    """Whether `value` is a well-formed SID, of one of `prefixes` if any are given."""
    return (
        isinstance(value, str)
        and _SID.fullmatch(value) is not None
        and (not prefixes or value[:2] in prefixes)
    )


class TaskStatus(StrEnum):
    """`assignment_status` of a task."""

    PENDING = "pending"
    RESERVED = "reserved"
    ASSIGNED = "assigned"
    WRAPPING = "wrapping"
    COMPLETED = "completed"
    CANCELED = "canceled"


TASK_ENDED: Final = frozenset({TaskStatus.COMPLETED, TaskStatus.CANCELED})
"""A task in one of these never changes again."""


class ReservationStatus(StrEnum):
    """`reservation_status` of a reservation."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    CANCELED = "canceled"
    RESCINDED = "rescinded"
    WRAPPING = "wrapping"
    COMPLETED = "completed"


RESERVATION_LIVE: Final = frozenset(
    {ReservationStatus.PENDING, ReservationStatus.ACCEPTED, ReservationStatus.WRAPPING}
)
"""A reservation in one of these takes capacity and is listed as `Active`."""

RESERVATION_ENDED: Final = frozenset(ReservationStatus) - RESERVATION_LIVE
"""A reservation in one of these never changes again."""


class TransferStatus(StrEnum):
    """`transfer_status`, lower case on the wire, and `complete` rather than `completed`."""

    INITIATED = "initiated"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELED = "canceled"


class TransferMode(StrEnum):
    """`transfer_mode`: whether the initiating worker stays on the task."""

    WARM = "WARM"
    COLD = "COLD"


class TransferType(StrEnum):
    """`transfer_type`: what kind of target the transfer has."""

    WORKER = "WORKER"
    QUEUE = "QUEUE"


class QueueOrder(StrEnum):
    """`task_order` of a queue and `prioritize_queue_order` of a workspace."""

    FIFO = "FIFO"
    LIFO = "LIFO"


class WorkspaceTemplate(StrEnum):
    """What a new workspace holds besides its activities and task channels."""

    NONE = "NONE"
    FIFO = "FIFO"


class Role(StrEnum):
    """The role in a token's `task_router` grant."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


class SupervisorMode(StrEnum):
    """How a supervisor takes part in a conference."""

    MONITOR = "monitor"
    WHISPER = "whisper"
    BARGE = "barge"


class Instruction(StrEnum):
    """What a reservation update or an assignment callback's answer may ask for."""

    ACCEPT = "accept"
    REJECT = "reject"
    DEQUEUE = "dequeue"
    CALL = "call"
    REDIRECT = "redirect"
    CONFERENCE = "conference"
    SUPERVISE = "supervise"


class EventType(StrEnum):
    """Every event type of TaskRouter; `is_pushed` tells those that reach a worker's websocket."""

    WORKSPACE_CREATED = "workspace.created"
    WORKSPACE_UPDATED = "workspace.updated"
    WORKSPACE_DELETED = "workspace.deleted"
    ACTIVITY_CREATED = "activity.created"
    ACTIVITY_UPDATED = "activity.updated"
    ACTIVITY_DELETED = "activity.deleted"
    TASK_CHANNEL_CREATED = "task-channel.created"
    TASK_CHANNEL_UPDATED = "task-channel.updated"
    TASK_CHANNEL_DELETED = "task-channel.deleted"
    TASK_QUEUE_CREATED = "task-queue.created"
    TASK_QUEUE_DELETED = "task-queue.deleted"
    TASK_QUEUE_EXPRESSION_UPDATED = "task-queue.expression.updated"
    TASK_QUEUE_ENTERED = "task-queue.entered"
    TASK_QUEUE_TIMEOUT = "task-queue.timeout"
    TASK_QUEUE_MOVED = "task-queue.moved"
    WORKFLOW_CREATED = "workflow.created"
    WORKFLOW_UPDATED = "workflow.updated"
    WORKFLOW_DELETED = "workflow.deleted"
    WORKFLOW_ENTERED = "workflow.entered"
    WORKFLOW_TARGET_MATCHED = "workflow.target-matched"
    WORKFLOW_TIMEOUT = "workflow.timeout"
    WORKFLOW_SKIPPED = "workflow.skipped"
    WORKER_CREATED = "worker.created"
    WORKER_DELETED = "worker.deleted"
    WORKER_ACTIVITY_UPDATE = "worker.activity.update"
    WORKER_ATTRIBUTES_UPDATE = "worker.attributes.update"
    WORKER_CAPACITY_UPDATE = "worker.capacity.update"
    WORKER_CHANNEL_AVAILABILITY_UPDATE = "worker.channel.availability.update"
    RESERVATION_CREATED = "reservation.created"
    RESERVATION_ACCEPTED = "reservation.accepted"
    RESERVATION_REJECTED = "reservation.rejected"
    RESERVATION_TIMEOUT = "reservation.timeout"
    RESERVATION_CANCELED = "reservation.canceled"
    RESERVATION_RESCINDED = "reservation.rescinded"
    RESERVATION_WRAPUP = "reservation.wrapup"
    RESERVATION_COMPLETED = "reservation.completed"
    RESERVATION_FAILED = "reservation.failed"
    TASK_CREATED = "task.created"
    TASK_UPDATED = "task.updated"
    TASK_WRAPUP = "task.wrapup"
    TASK_COMPLETED = "task.completed"
    TASK_CANCELED = "task.canceled"
    TASK_DELETED = "task.deleted"
    TASK_SYSTEM_DELETED = "task.system-deleted"
    TASK_TRANSFER_INITIATED = "task.transfer-initiated"
    TASK_TRANSFER_ATTEMPT_FAILED = "task.transfer-attempt-failed"
    TASK_TRANSFER_COMPLETED = "task.transfer-completed"
    TASK_TRANSFER_FAILED = "task.transfer-failed"
    TASK_TRANSFER_CANCELED = "task.transfer-canceled"

    @property
    def is_pushed(self) -> bool:
        """Whether the event bridge pushes this event to the worker it concerns."""
        return self in _PUSHED


_PUSHED: Final = frozenset(
    event
    for event in EventType
    if event.startswith(("reservation.", "task.transfer-"))
    or event
    in {
        EventType.WORKER_ACTIVITY_UPDATE,
        EventType.WORKER_ATTRIBUTES_UPDATE,
        EventType.WORKER_CAPACITY_UPDATE,
        EventType.WORKER_CHANNEL_AVAILABILITY_UPDATE,
        EventType.TASK_UPDATED,
        EventType.TASK_WRAPUP,
        EventType.TASK_COMPLETED,
        EventType.TASK_CANCELED,
    }
)
