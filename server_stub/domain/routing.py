"""Pure choices: what a task asks of a worker, why a worker will not do, who and what comes first.

`obstacle` is the one judgement of a worker for a task. The router uses it to choose, and whoever
wants to know why a worker was not chosen asks the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, cast

from taskrouter_worker.terms import QueueOrder, SidPrefix, is_sid

from .expression import Array, Constant, Expression, Literal, Path, Resolve, follow, keys_of
from .model import Activity, JsonObject, Task, TaskChannel, TaskQueue, Worker
from .workflow import KnownBy, OrderKey, Target

__all__ = [
    "Demand",
    "KnownKey",
    "Mark",
    "Obstacle",
    "ServingKey",
    "WorkerKey",
    "attributes_match",
    "demand_of",
    "is_free",
    "known_keys",
    "marks_of",
    "meets_target",
    "obstacle",
    "serving_key",
    "skip_resolver",
    "skips",
    "target_resolver",
    "task_matches",
    "task_resolver",
    "worker_key",
    "worker_matches",
    "worker_resolver",
]

ServingKey: TypeAlias = tuple[float, float, int]
"""Tasks with a smaller key are served first, within queues of one task order."""

WorkerKey: TypeAlias = tuple[tuple[tuple[int, int], ...], int, int]
"""Workers with a smaller key are chosen first."""

KnownKey: TypeAlias = tuple[KnownBy, str | None]
"""The known worker a task asks for: by SID or case-folded name; None names nobody."""


Mark: TypeAlias = tuple[Path, bool, Constant]
"""A worker's value that a task asks for: where it is, whether it is one of an array's, and the value."""


class Obstacle(StrEnum):
    """Why a worker cannot be reserved for a task."""

    NOT_THE_ROUTING_TARGET = "the task is routed to another worker"
    NOT_IN_QUEUE = "the worker does not match the task queue's expression"
    NOT_THE_KNOWN_WORKER = "the workflow target asks for another worker"
    EXPRESSION = "the workflow target's expression is false for the worker"
    ACTIVITY = "the worker's activity is not available"
    CHANNEL = "the worker's channel is switched off"
    CAPACITY = "the worker's channel is at its capacity"
    SINGLE_TASKING = "the worker holds a reservation in a single-tasking workspace"
    ALREADY_RESERVED = "the worker holds a reservation of this task"


# ---------------------------------------------------------------- values


_WORKER_FIELDS = frozenset({"sid", "friendly_name", "activity_sid", "activity_name"})
_CHANNEL_FIELDS = frozenset({"configured_capacity", "assigned_tasks", "available_capacity_percentage"})


def _worker_field(worker: Worker, name: str | int) -> str:
    match name:
        case "sid":
            return worker.sid
        case "friendly_name":
            return worker.friendly_name
        case "activity_sid":
            return worker.activity.sid
        case _:
            return worker.activity.friendly_name


def _bare_worker_value(worker: Worker, path: Path) -> object:
    """A field, else an attribute: the field wins (our choice: undocumented)."""
    if path[0] in _WORKER_FIELDS:
        return follow(_worker_field(worker, path[0]), path[1:])
    return follow(worker.parsed_attributes, path)


def _worker_value(worker: Worker, path: Path) -> object:
    """What stands behind ``worker.``: fields, ``channel.<unique name>.<load field>``, attributes."""
    if path[0] != "channel":
        return _bare_worker_value(worker, path)
    if len(path) != 3 or path[2] not in _CHANNEL_FIELDS:
        return None
    for channel in worker.channels.values():
        if channel.task_channel.unique_name == path[1]:
            match path[2]:
                case "configured_capacity":
                    return channel.configured_capacity
                case "assigned_tasks":
                    return channel.assigned_tasks
                case _:
                    return channel.available_capacity_percentage
    return None


def worker_matches(expression: Expression | None, worker: Worker) -> bool:
    """Whether a queue's expression, or a list filter, holds for a worker. None matches nobody.

    Bare names are the worker's attributes and four of its fields; the prefix ``worker.`` is accepted
    too, unless the worker has an attribute of that name.
    """
    return expression is not None and expression.evaluate(worker_resolver(worker))


def worker_resolver(worker: Worker) -> Resolve:
    """What references mean in a queue's expression."""

    def resolve(path: Path) -> object:
        if path[0] == "worker" and len(path) > 1 and "worker" not in worker.parsed_attributes:
            return _worker_value(worker, path[1:])
        return _bare_worker_value(worker, path)

    return resolve


def attributes_match(expression: Expression | None, attributes: JsonObject) -> bool:
    """Whether an expression holds for bare attributes, as `EvaluateWorkerAttributes` asks."""
    return expression is not None and expression.evaluate(lambda path: _bare(attributes, "worker", path))


def task_matches(expression: Expression | None, task: Task) -> bool:
    """Whether a workflow filter, or a list filter, holds for a task's attributes. None always does."""
    return expression is None or expression.evaluate(task_resolver(task))


def task_resolver(task: Task) -> Resolve:
    """What references mean in a workflow filter: bare task attributes, ``task.`` accepted too."""
    return lambda path: _bare(task.parsed_attributes, "task", path)


def _bare(attributes: JsonObject, prefix: str, path: Path) -> object:
    if path[0] == prefix and len(path) > 1 and prefix not in attributes:
        path = path[1:]
    return follow(attributes, path)


def _task_value(task: Task, path: Path) -> object:
    """What ``task.`` references mean inside a target; any other reference there is null."""
    return follow(task.parsed_attributes, path[1:]) if path[0] == "task" and len(path) > 1 else None


# ---------------------------------------------------------------- demands


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a task, at its present place, asks of a worker."""

    task: Task
    channel: TaskChannel
    queue: TaskQueue | None
    target: Target | None  # None: the queue alone decides
    known: KnownKey | None  # None: any worker
    holders: frozenset[str]  # workers that already hold a live reservation of the task
    routing_target: str | None  # the one worker's SID, past queue and workflow
    ignore_capacity: bool

    @property
    def is_plain(self) -> bool:
        """Whether each free worker of the queue will do, in the ordinary order."""
        return self.routing_target is None and (self.target is None or self.target.is_plain)

    @property
    def order_by(self) -> tuple[OrderKey, ...]:
        """The clauses by which its target orders workers."""
        return self.target.order_by if self.target else ()

    @property
    def task_values(self) -> tuple[str, ...]:
        """The task's values in its target's expression: equal ones make equal demands."""
        if self.target is None:
            return ()
        return tuple(repr(_task_value(self.task, path)) for path in self.target.task_paths)

    @property
    def mark(self) -> Mark | None:
        """The one value without which no worker will do; None if there is none to look for."""
        need = self.target.need if self.target else None
        if need is None:
            return None
        if isinstance(need.key, Array):
            return None  # more than one value will do
        value: object = (
            need.key.value if isinstance(need.key, Literal) else _task_value(self.task, need.key.path)
        )
        if isinstance(value, list | dict):
            return None  # nothing equals it, and it cannot be looked up
        return (need.path, need.is_array, cast("Constant", value))  # JSON has no other scalars


def demand_of(task: Task) -> Demand:
    """What the task asks for now."""
    # On transfer a task is past its workflow: it asks for the transfer's worker, or for any of its queue.
    transfer = task.transfer
    target = task.step.target if task.step and transfer is None else None
    routing_target = task.routing_target if transfer is None else transfer.to
    known: KnownKey | None = None
    if target is not None and target.known_worker is not None:
        value = follow(task.parsed_attributes, target.known_worker.path)
        by = target.known_worker.by
        text = value if isinstance(value, str) else None
        known = (by, text.casefold() if text is not None and by is KnownBy.FRIENDLY_NAME else text)
    direct = is_sid(routing_target, SidPrefix.WORKER)
    return Demand(
        task=task,
        channel=task.task_channel,
        queue=task.queue,
        target=target,
        known=known,
        holders=frozenset(r.worker.sid for r in task.reservations.values() if r.is_live),
        routing_target=routing_target if direct else None,
        ignore_capacity=task.ignore_capacity and transfer is None,
    )


def known_keys(worker: Worker) -> tuple[KnownKey, KnownKey]:
    """The two ways in which a target may name this worker."""
    return (KnownBy.SID, worker.sid), (KnownBy.FRIENDLY_NAME, worker.friendly_name.casefold())


def marks_of(worker: Worker, path: Path, *, is_array: bool) -> tuple[Mark, ...]:
    """The worker's marks at one place: those that tasks may ask for."""
    value = _worker_value(worker, path[1:])
    return tuple((path, is_array, key) for key in keys_of(value, is_array=is_array))


def meets_target(demand: Demand, worker: Worker) -> Obstacle | None:
    """What the workflow target has against the worker, whatever its load and activity."""
    if demand.known is not None and demand.known not in known_keys(worker):
        return Obstacle.NOT_THE_KNOWN_WORKER
    if demand.target is None or demand.target.expression is None:
        return None
    holds = demand.target.expression.evaluate(target_resolver(demand.task, worker))
    return None if holds else Obstacle.EXPRESSION


def target_resolver(task: Task, worker: Worker) -> Resolve:
    """What references mean in a target's expression: both sides, each by its prefix only."""

    def resolve(path: Path) -> object:
        if path[0] == "worker" and len(path) > 1:
            return _worker_value(worker, path[1:])
        return _task_value(task, path)

    return resolve


def _load_obstacle(channel: TaskChannel, worker: Worker, *, multi_task: bool) -> Obstacle | None:
    if not worker.activity.available:
        return Obstacle.ACTIVITY
    if not multi_task:
        busy = any(held.active for held in worker.channels.values())
        return Obstacle.SINGLE_TASKING if busy else None
    held = worker.channels[channel.sid]
    if not held.available:
        return Obstacle.CHANNEL
    return Obstacle.CAPACITY if held.active >= held.configured_capacity else None


def is_free(channel: TaskChannel, worker: Worker, *, multi_task: bool) -> bool:
    """Whether the worker's activity and load let it take one more task of the channel."""
    return _load_obstacle(channel, worker, multi_task=multi_task) is None


def obstacle(demand: Demand, worker: Worker, *, is_member: bool, multi_task: bool) -> Obstacle | None:
    """Why the worker cannot be reserved for the demand's task; None when it can.

    Args:
        demand: what the task asks for.
        worker: the candidate.
        is_member: whether the worker belongs to the task's queue.
        multi_task: the workspace's mode. In a single-tasking one a worker takes one reservation at a
            time, and channels do not count.
    """
    if worker.sid in demand.holders:
        return Obstacle.ALREADY_RESERVED
    if demand.routing_target is not None:
        if demand.routing_target != worker.sid:
            return Obstacle.NOT_THE_ROUTING_TARGET
        if demand.ignore_capacity:
            return None  # capacity, switch and activity are all disregarded
        return _load_obstacle(demand.channel, worker, multi_task=multi_task)
    if not is_member:
        return Obstacle.NOT_IN_QUEUE
    return _load_obstacle(demand.channel, worker, multi_task=multi_task) or meets_target(demand, worker)


# ---------------------------------------------------------------- order


def serving_key(task: Task) -> ServingKey:
    """FIFO: higher priority, earlier start, earlier creation. LIFO: newest first, priority ignored."""
    if task.queue is not None and task.queue.task_order is QueueOrder.LIFO:
        return (0, -task.virtual_start_time, -task.number)
    return (-task.priority, task.virtual_start_time, task.number)


def worker_key(worker: Worker, channel: TaskChannel, order_by: tuple[OrderKey, ...]) -> WorkerKey:
    """`order_by` first; then who has waited longest since the last reservation; then the older worker.

    With channel-optimized routing the wait is counted on the task's channel only (our reading of a
    one-line description).
    """
    last = worker.last_reserved_number
    if channel.channel_optimized_routing:
        last = worker.channels[channel.sid].last_reserved_number
    return (tuple(_clause(worker, key) for key in order_by), last, worker.number)


def _clause(worker: Worker, key: OrderKey) -> tuple[int, int]:
    value = _worker_value(worker, key.path)
    if not isinstance(value, int) or isinstance(value, bool):
        return (1, 0)  # comes last, whatever the direction
    return (0, -value if key.descending else value)


def skips(condition: Expression, task: Task, counts: Callable[[], Mapping[Activity, int]]) -> bool:
    """Whether `skip_if` holds; `counts` tells how many of the step's workers are in each activity."""
    return condition.evaluate(skip_resolver(task, counts))


def skip_resolver(task: Task, counts: Callable[[], Mapping[Activity, int]]) -> Resolve:
    """What references mean in `skip_if`: numbers of workers, and the task by its prefix."""

    def resolve(path: Path) -> object:
        if path[0] != "workers" or len(path) != 2:
            return _task_value(task, path)
        found = counts()
        if path[1] in ("available", "unavailable"):
            wanted = path[1] == "available"
            return sum(count for activity, count in found.items() if activity.available is wanted)
        return sum(count for activity, count in found.items() if activity.sid == path[1])

    return resolve
