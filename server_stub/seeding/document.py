"""What a seed document holds: the one definition of its fields, their types and their meaning.

The checks, the JSON schema for editors and the table in the documentation are all made from it. Names are
TaskRouter's own (REST API), but where the REST API wants a SID of something, a seed gives its name.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from taskrouter_worker.terms import QueueOrder, WorkspaceTemplate

__all__ = [
    "ActivitySeed",
    "Attributes",
    "ChannelCapacity",
    "Configuration",
    "DefaultFilter",
    "FilterSeed",
    "QueueSeed",
    "RoutingTarget",
    "Seed",
    "TargetSeed",
    "TaskChannelSeed",
    "TaskRouting",
    "TaskSeed",
    "WorkerSeed",
    "WorkflowSeed",
    "WorkspaceSeed",
]

Attributes: TypeAlias = Annotated[
    dict[str, Any] | str,  # Any: customers' own JSON
    Meta(description="An object, or the JSON text of one; at most 4,096 characters as JSON."),
]

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Url: TypeAlias = Annotated[str, Meta(description="An http or https address.")]


def _sid(prefix: str) -> Meta:
    return Meta(
        pattern=f"^{prefix}[0-9a-f]{{32}}$",
        description=f"A fixed SID: {prefix} and 32 hexadecimal digits. Made from the names unless given.",
    )


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a seed document."""


class ActivitySeed(_Part, frozen=True, kw_only=True):
    """An activity. One that the template makes already may be named to give it a SID."""

    friendly_name: Name
    available: Annotated[
        bool | None, Meta(description="Whether workers in it take tasks; false unless given.")
    ] = None
    sid: Annotated[str, _sid("WA")] | None = None


class TaskChannelSeed(_Part, frozen=True, kw_only=True):
    """A task channel. One that every workspace has (`default`, `voice`, …) may be named to change it."""

    unique_name: Name
    friendly_name: Annotated[Name | None, Meta(description="The unique name unless given.")] = None
    channel_optimized_routing: bool | None = None
    sid: Annotated[str, _sid("TC")] | None = None


class QueueSeed(_Part, frozen=True, kw_only=True):
    """A task queue."""

    friendly_name: Name
    target_workers: Annotated[
        str, Meta(description="The expression that its workers match; empty for nobody.")
    ] = "1==1"
    max_reserved_workers: Annotated[int, Meta(ge=1, le=50)] = 1
    task_order: QueueOrder = QueueOrder.FIFO
    reservation_activity: Annotated[str | None, Meta(description="An activity's name.")] = None
    assignment_activity: Annotated[str | None, Meta(description="An activity's name.")] = None
    sid: Annotated[str, _sid("WQ")] | None = None


class TargetSeed(_Part, frozen=True, kw_only=True):
    """A target of a workflow's filter."""

    queue: Annotated[
        str | None, Meta(description="A task queue's name or SID; the previous target's unless given.")
    ] = None
    target_friendly_name: str | None = None
    friendly_name: Annotated[str | None, Meta(description="Another spelling of target_friendly_name.")] = None
    priority: Annotated[int, Meta(ge=0, le=2_147_483_647)] | None = None
    timeout: Annotated[int, Meta(ge=1, le=1_209_600, description="Seconds.")] | None = None
    expression: Annotated[str | None, Meta(description="What workers must match besides.")] = None
    order_by: Annotated[str | None, Meta(description="Such as worker.level DESC.")] = None
    skip_if: str | None = None
    known_worker_sid: Annotated[str | None, Meta(description="Such as task.last_agent_sid.")] = None
    known_worker_friendly_name: Annotated[str | None, Meta(description="Such as task.last_agent.")] = None


class FilterSeed(_Part, frozen=True, kw_only=True):
    """A filter of a workflow."""

    targets: Annotated[list[TargetSeed], Meta(min_length=1)]
    filter_friendly_name: str | None = None
    friendly_name: Annotated[str | None, Meta(description="Another spelling of filter_friendly_name.")] = None
    expression: Annotated[str | None, Meta(description="Which tasks it takes; every task unless given.")] = (
        None
    )


class DefaultFilter(_Part, frozen=True, kw_only=True):
    """Where tasks go that no filter takes."""

    queue: Annotated[str | None, Meta(description="A task queue's name or SID.")] = None
    task_queue_sid: Annotated[str | None, Meta(description="Another spelling of queue.")] = None


class TaskRouting(_Part, frozen=True, kw_only=True):
    """The rules of a workflow."""

    filters: list[FilterSeed] = []
    default_filter: DefaultFilter | None = None


class Configuration(_Part, frozen=True, kw_only=True):
    """A workflow's configuration, as the REST API takes it, with names of queues for their SIDs."""

    task_routing: TaskRouting


class WorkflowSeed(_Part, frozen=True, kw_only=True):
    """A workflow."""

    friendly_name: Name
    configuration: Annotated[
        Configuration | str,
        Meta(description="The rules, or their JSON text; queues are named or given by SID in both."),
    ]
    assignment_callback_url: Url | None = None
    fallback_assignment_callback_url: Url | None = None
    task_reservation_timeout: Annotated[int, Meta(ge=1, le=86_400, description="Seconds.")] = 120
    sid: Annotated[str, _sid("WW")] | None = None


class ChannelCapacity(_Part, frozen=True, kw_only=True):
    """How much a worker takes on a task channel."""

    capacity: Annotated[int, Meta(ge=0)] | None = None
    available: bool | None = None


class WorkerSeed(_Part, frozen=True, kw_only=True):
    """A worker."""

    friendly_name: Name
    attributes: Attributes = "{}"
    activity: Annotated[
        str | None, Meta(description="An activity's name; the workspace's default unless given.")
    ] = None
    channels: Annotated[
        dict[str, Annotated[int, Meta(ge=0)] | ChannelCapacity],
        Meta(description="By unique name of the task channel: a capacity, or capacity and availability."),
    ] = {}
    sid: Annotated[str, _sid("WK")] | None = None


class RoutingTarget(_Part, frozen=True, kw_only=True):
    """Whom a task goes to, past all filters: exactly one of the three, by name."""

    worker: str | None = None
    queue: str | None = None
    workflow: str | None = None


class TaskSeed(_Part, frozen=True, kw_only=True):
    """A task. It is routed as soon as the workspace is there."""

    attributes: Attributes = "{}"
    workflow: Annotated[
        str | None, Meta(description="A workflow's name; may be left out where there is just one.")
    ] = None
    priority: Annotated[int, Meta(ge=0, le=2_147_483_647)] = 0
    timeout: Annotated[int, Meta(ge=1, le=1_209_600, description="Seconds to live.")] = 86_400
    task_channel: Annotated[str, Meta(description="A task channel's unique name.")] = "default"
    virtual_start_time: Annotated[
        str | None, Meta(description="An ISO 8601 date by which it is ordered; UTC unless it says otherwise.")
    ] = None
    routing_target: RoutingTarget | None = None
    ignore_capacity: bool | None = None
    task_queue: Annotated[
        str | None, Meta(description="The name of the queue that a task routed to a worker counts for.")
    ] = None
    sid: Annotated[str, _sid("WT")] | None = None


class WorkspaceSeed(_Part, frozen=True, kw_only=True):
    """A workspace and all that is in it. Names are unique among things of one kind."""

    friendly_name: Name
    template: Annotated[
        WorkspaceTemplate,
        Meta(description="FIFO adds the queue Sample Queue and a workflow that leads every task to it."),
    ] = WorkspaceTemplate.NONE
    multi_task_enabled: bool = True
    event_callback_url: Url | None = None
    events_filter: Annotated[
        list[str] | None, Meta(description="The event types that are sent to it; all unless given.")
    ] = None
    prioritize_queue_order: QueueOrder = QueueOrder.FIFO
    default_activity: Annotated[str | None, Meta(description="An activity's name.")] = None
    timeout_activity: Annotated[str | None, Meta(description="An activity's name.")] = None
    activities: Annotated[
        list[ActivitySeed], Meta(description="Beside Offline, Available and Unavailable.")
    ] = []
    task_channels: Annotated[
        list[TaskChannelSeed], Meta(description="Beside default, voice, sms, chat and video.")
    ] = []
    queues: list[QueueSeed] = []
    workflows: list[WorkflowSeed] = []
    workers: list[WorkerSeed] = []
    tasks: list[TaskSeed] = []
    sid: Annotated[str, _sid("WS")] | None = None


class Seed(_Part, frozen=True, kw_only=True):
    """What a local TaskRouter begins with, and goes back to when it is reset."""

    workspaces: Annotated[
        list[WorkspaceSeed], Meta(min_length=1, description="The first one is the default workspace.")
    ]
    schema: Annotated[str | None, Meta(description="Where editors find this schema.")] = msgspec.field(
        name="$schema", default=None
    )
