"""Why a task is where it is, and why it did not reach a worker.

Nothing here judges anything: every verdict is the router's own, asked for again. Which filter takes the
task is `Filter.matches`, what stands in a worker's way is `routing.obstacle`, what happens next is
`Engine.next_move`, and when is the engine's own deadlines. So an explanation and the routing cannot
disagree.

An explanation holds plain values only, a copy of the moment: it does not change with the workspace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final, Literal

from taskrouter_worker.terms import TASK_ENDED

from .dispatch import Dispatcher
from .engine import Engine, Move
from .expression import Expression, Reference, Resolve, follow
from .model import Reservation, Task, TaskQueue, Worker
from .routing import (
    Demand,
    Obstacle,
    demand_of,
    meets_target,
    obstacle,
    skip_resolver,
    target_resolver,
    task_resolver,
    worker_key,
    worker_resolver,
)
from .state import WorkspaceState
from .workflow import Filter, KnownWorker, OrderKey, Step

__all__ = [
    "Condition",
    "Deadline",
    "Explanation",
    "FailedPart",
    "FilterReport",
    "Hindrance",
    "KnownWorkerReport",
    "PastReservation",
    "QueueReport",
    "TargetReport",
    "WorkerReport",
    "explain",
]

NOT_WAITING: Final = "not_waiting"
"""The one hindrance that is the task's and not the worker's."""


# ---------------------------------------------------------------- what is told


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPart:
    """A part of an expression that does not hold, with the values of its references."""

    text: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """An expression and what it says now. `failed` is empty where it holds."""

    text: str
    holds: bool
    failed: tuple[FailedPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorkerReport:
    """The one worker that a target wants, by the task attribute that names it."""

    key: str  # known_worker_sid or known_worker_friendly_name
    reference: str
    value: object
    worker_sid: str | None  # None: it names nobody
    is_in_queue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReport:
    """A target of a filter. What is asked of workers is in their reports, for the present target."""

    index: int
    is_current: bool
    name: str | None
    queue_sid: str
    queue_name: str
    priority: int | None
    timeout: int | None  # seconds
    deadline: float | None  # epoch seconds, in the filter that has the task; None: it does not end by time
    expression: str | None
    order_by: str | None
    skip_if: str | None
    skips: Condition | None  # what skip_if says now, where the task waits; it counts on entering the target
    known_worker: KnownWorkerReport | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterReport:
    """A filter of the task's workflow, or its default filter, which has no condition."""

    index: int | None  # None: the default filter
    name: str | None
    is_current: bool
    condition: Condition | None  # by the task's present attributes; None: it takes every task
    targets: tuple[TargetReport, ...]

    @property
    def takes(self) -> bool:
        """Whether it would take the task as it is now."""
        return self.condition is None or self.condition.holds


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReport:
    """The task's queue."""

    sid: str
    name: str
    target_workers: str
    task_order: str
    max_reserved_workers: int
    members: int  # workers that match its expression, in any activity
    activities: Mapping[str, int]  # how many members are in each, by name
    ahead: int  # waiting tasks of this queue that are served before this one


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """One thing that keeps a worker from being reserved for the task.

    Attributes:
        kind: the name of the router's obstacle in lower case, or `not_waiting`.
        text: a sentence, with the values that count.
        failed: the parts of the queue's or target's expression that are to blame.
    """

    kind: str
    text: str
    failed: tuple[FailedPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PastReservation:
    """A reservation of the task, ended or not."""

    sid: str
    worker_sid: str
    worker_name: str
    status: str
    date_created: float  # epoch seconds
    date_updated: float  # epoch seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """A worker, as seen from the task.

    Attributes:
        would_be_reserved: whether the router's next round reserves this worker for this task.
        hindrances: all that is in the way, the router's own reason first; empty when nothing is.
        place: its place in the order of choice among those in whose way nothing is, from 1.
        verdict: one sentence.
    """

    sid: str
    name: str
    would_be_reserved: bool
    verdict: str
    hindrances: tuple[Hindrance, ...]
    place: int | None
    activity_name: str
    is_available: bool  # of the activity
    is_in_queue: bool
    channel: str  # unique name
    channel_is_available: bool
    channel_active: int  # reservations that take capacity
    channel_capacity: int
    reservations: tuple[PastReservation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """What happens by time alone."""

    at: float  # epoch seconds
    seconds: float  # from now
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that decides where a task goes, at one moment.

    Attributes:
        at: the moment, in epoch seconds.
        summary: one sentence.
        next_move: what the router's next round does for this task; None for nothing.
        filters: those of its workflow in their order, the default filter last.
        queue: where it is, None if it is in none.
        deadlines: of the task and its reservations, soonest first.
        workers: the workers of the workspace, or the one that was asked about: first those that the
            next round reserves, those that hold the task, and those in whose way nothing is, in the
            order of choice; then those of its queue.
        worker_count: how many there are, reported or not.
        held_back: how many of these meet each kind of hindrance, by the router's own reason.
        reservations: all of the task's life, oldest first.
    """

    task_sid: str
    at: float
    summary: str
    status: str
    reason: str | None
    is_waiting: bool
    priority: int
    age: int  # seconds
    channel: str  # unique name
    routing_target: str | None
    transfer_to: str | None
    workflow_sid: str | None
    workflow_name: str | None
    next_move: Literal["reserve", "skip", "cancel"] | None
    filters: tuple[FilterReport, ...]
    queue: QueueReport | None
    deadlines: tuple[Deadline, ...]
    workers: tuple[WorkerReport, ...]
    worker_count: int
    held_back: Mapping[str, int]
    reservations: tuple[PastReservation, ...]

    @property
    def next_deadline(self) -> Deadline | None:
        """What happens first by time alone; None for nothing."""
        return self.deadlines[0] if self.deadlines else None


# ---------------------------------------------------------------- finding it out


def explain(
    state: WorkspaceState,
    dispatcher: Dispatcher,
    engine: Engine,
    task: Task,
    worker: Worker | None,
    *,
    limit: int | None,
) -> Explanation:
    """Explain a task, to every worker or to one. Changes nothing that the router goes by."""
    move = engine.next_move()
    inquiry = _Inquiry(state, dispatcher, engine, task, move)
    asked = sorted(state.workers.values(), key=inquiry.order) if worker is None else [worker]
    return Explanation(
        task_sid=task.sid,
        at=inquiry.now,
        summary=inquiry.summary(),
        status=task.status,
        reason=task.reason,
        is_waiting=inquiry.is_waiting,
        priority=task.priority,
        age=max(0, int(inquiry.now - task.date_created)),
        channel=task.task_channel.unique_name,
        routing_target=task.routing_target,
        transfer_to=task.transfer.to if task.transfer else None,
        workflow_sid=task.workflow.sid if task.workflow else None,
        workflow_name=task.workflow.friendly_name if task.workflow else None,
        next_move=move.kind if move is not None and move.task is task else None,
        filters=tuple(inquiry.filters()),
        queue=inquiry.queue(),
        deadlines=tuple(inquiry.deadlines()),
        workers=tuple(inquiry.worker(one) for one in asked[:limit]),
        worker_count=len(asked),
        held_back=inquiry.held_back(asked),
        reservations=tuple(_past(task.reservations.values())),
    )


class _Inquiry:
    """One task at one moment."""

    def __init__(
        self, state: WorkspaceState, dispatcher: Dispatcher, engine: Engine, task: Task, move: Move | None
    ) -> None:
        self._state = state
        self._dispatcher = dispatcher
        self._engine = engine
        self._task = task
        self._move = move
        self._demand = demand_of(task)
        self.now = state.moment
        self.is_waiting = dispatcher.is_waiting(task)
        # By worker SID: the router's own reason, and the place in the order of choice.
        self._reasons: dict[str, Obstacle | None] = {}
        self._places: dict[str, int] = {}
        if self.is_waiting:
            self._reasons = dispatcher.obstacles(task)
            free = [one for sid, one in state.workers.items() if self._reasons[sid] is None]
            order_by = self._demand.order_by
            free.sort(key=lambda worker: worker_key(worker, self._demand.channel, order_by))
            self._places = {worker.sid: place for place, worker in enumerate(free, 1)}

    def order(self, worker: Worker) -> tuple[bool, bool, int, bool, int]:
        """Those that are chosen, that hold the task, that could be chosen, that are in its queue."""
        place = self._places.get(worker.sid, len(self._places) + 1)
        is_outside = self._reasons.get(worker.sid) is Obstacle.NOT_IN_QUEUE
        holds = worker.sid in self._demand.holders
        return (not self._is_chosen(worker), not holds, place, is_outside, worker.number)

    def held_back(self, workers: Iterable[Worker]) -> dict[str, int]:
        """How many of the workers meet each kind of hindrance, by the router's own reason."""
        if not self.is_waiting:
            return {NOT_WAITING: len(list(workers))}
        found = Counter(reason for one in workers if (reason := self._reasons[one.sid]) is not None)
        return {reason.name.lower(): number for reason, number in found.most_common()}

    def _is_chosen(self, worker: Worker) -> bool:
        move = self._move
        return move is not None and move.task is self._task and worker in move.workers

    # ------------------------------------------------------------ the task

    def summary(self) -> str:
        """One sentence about the task."""
        task, move = self._task, self._move
        if task.status in TASK_ENDED:
            why = f": {task.reason}" if task.reason else ""
            return f"The task is {task.status}{why}."
        if move is not None and move.task is task:
            match move.kind:
                case "reserve":
                    names = ", ".join(worker.friendly_name for worker in move.workers)
                    return f"The next round reserves {names} for the task."
                case "skip":
                    return "Nobody can be reserved and skip_if holds: the next round skips the target."
                case "cancel":
                    return "No filter takes the task: the next round cancels it."
        if not self.is_waiting:
            if task.is_unrouted:
                return f"No filter takes the task: it is canceled after {_name_of(move)}."
            holders = ", ".join(f"{r.worker.friendly_name} ({r.status})" for r in task.live_reservations)
            return f"The task is {task.status}, with {holders or 'nobody'}: it does not wait for a worker."
        place = f"in {task.queue.friendly_name}" if task.queue else "for the worker it is routed to"
        if self._places:
            return f"The task waits {place}, and is served after {_name_of(move)}."
        return f"The task waits {place}: nobody can be reserved for it now."

    def filters(self) -> Iterator[FilterReport]:
        """The filters of the task's workflow, the default filter last."""
        if self._task.workflow is None:
            return
        configuration = self._task.workflow.parsed_configuration
        resolve = task_resolver(self._task)
        current = None if self._task.transfer else self._task.step
        for index, owner in enumerate(configuration.filters):
            yield self._filter(index, owner, owner.steps, _condition(owner.expression, resolve), current)
        if configuration.default is not None:
            yield self._filter(None, None, (configuration.default,), None, current)

    def _filter(
        self,
        index: int | None,
        owner: Filter | None,
        steps: tuple[Step, ...],
        condition: Condition | None,
        current: Step | None,
    ) -> FilterReport:
        return FilterReport(
            index=index,
            name=owner.name if owner else None,
            is_current=current in steps,
            condition=condition,
            targets=tuple(self._target(step, current, is_entered=current in steps) for step in steps),
        )

    def _target(self, step: Step, current: Step | None, *, is_entered: bool) -> TargetReport:
        target, task = step.target, self._task
        queue = self._state.task_queues.get(step.queue_sid)
        ends = is_entered and step.deadline is not None and task.filter_entered_at is not None
        skips: Condition | None = None
        if target.skip_if is not None and step is current and self.is_waiting:
            skips = _condition(
                target.skip_if, skip_resolver(task, lambda: self._dispatcher.step_counts(task))
            )
        return TargetReport(
            index=step.index,
            is_current=step is current,
            name=target.name,
            queue_sid=step.queue_sid,
            queue_name=queue.friendly_name if queue else "",
            priority=target.priority,
            timeout=target.timeout,
            deadline=(task.filter_entered_at or 0) + (step.deadline or 0) if ends else None,
            expression=str(target.expression) if target.expression else None,
            order_by=", ".join(map(_order_clause, target.order_by)) or None,
            skip_if=str(target.skip_if) if target.skip_if else None,
            skips=skips,
            known_worker=self._known(target.known_worker, step) if target.known_worker else None,
        )

    def _known(self, known: KnownWorker, step: Step) -> KnownWorkerReport:
        found = self._dispatcher.known_worker(demand_of(replace(self._task, step=step)))
        queue = self._state.task_queues.get(step.queue_sid)
        return KnownWorkerReport(
            key=known.by,
            reference=str(Reference(("task", *known.path))),
            value=deepcopy(follow(self._task.parsed_attributes, known.path)),
            worker_sid=found.sid if found else None,
            is_in_queue=bool(found and queue and self._dispatcher.is_member(queue, found)),
        )

    def queue(self) -> QueueReport | None:
        """The task's queue; None if it is in none that still exists."""
        queue = self._living_queue()
        if queue is None:
            return None
        counts = self._dispatcher.activity_counts(queue)
        return QueueReport(
            sid=queue.sid,
            name=queue.friendly_name,
            target_workers=queue.target_workers,
            task_order=queue.task_order,
            max_reserved_workers=queue.max_reserved_workers,
            members=sum(counts.values()),
            activities={activity.friendly_name: count for activity, count in counts.items() if count},
            ahead=self._dispatcher.ahead_of(self._task),
        )

    def deadlines(self) -> Iterator[Deadline]:
        """What happens to the task and its reservations by time alone."""
        for at, timer, entity in self._engine.deadlines_of(self._task):
            who = f" for {entity.worker.friendly_name}" if isinstance(entity, Reservation) else ""
            yield Deadline(
                at=at, seconds=max(0.0, at - self.now), kind=timer, text=_TIMERS.get(timer, timer) + who
            )

    # ------------------------------------------------------------ workers

    def worker(self, worker: Worker) -> WorkerReport:
        """What the router has to say about a worker."""
        task = self._task
        queue = self._living_queue()
        channel = worker.channels.get(task.task_channel.sid)  # none once an ended task's channel is deleted
        is_member = queue is not None and self._dispatcher.is_member(queue, worker)
        hindrances = tuple(self._hindrances(worker, is_member=is_member))
        chosen = self._is_chosen(worker)
        place = self._places.get(worker.sid)
        return WorkerReport(
            sid=worker.sid,
            name=worker.friendly_name,
            would_be_reserved=chosen,
            verdict=self._verdict(hindrances, place, chosen=chosen),
            hindrances=hindrances,
            place=place,
            activity_name=worker.activity.friendly_name,
            is_available=worker.activity.available,
            is_in_queue=is_member,
            channel=task.task_channel.unique_name,
            channel_is_available=channel is not None and channel.available,
            channel_active=channel.active if channel else 0,
            channel_capacity=channel.configured_capacity if channel else 0,
            reservations=tuple(_past(r for r in task.reservations.values() if r.worker is worker)),
        )

    def _verdict(self, hindrances: tuple[Hindrance, ...], place: int | None, *, chosen: bool) -> str:
        if chosen:
            return "would be reserved in the next round"
        if hindrances:
            return hindrances[0].text
        if self._move is not None and self._move.task is self._task and self._move.workers:
            at_once = len(self._move.workers)
            return f"only {at_once} reserved at once, and this is number {place} in the order of choice"
        return f"nothing is in the way, but {_name_of(self._move)} is served first"

    def _hindrances(self, worker: Worker, *, is_member: bool) -> Iterator[Hindrance]:
        task = self._task
        if not self.is_waiting:
            yield Hindrance(kind=NOT_WAITING, text=f"the task is {task.status}: it waits for no worker")
        if task.status in TASK_ENDED:
            return
        for found in self._obstacles(worker, is_member=is_member):
            text, failed = self._detail(found, worker)
            yield Hindrance(kind=found.name.lower(), text=text, failed=failed)

    def _obstacles(self, worker: Worker, *, is_member: bool) -> Iterator[Obstacle]:
        """The router's obstacle, then what it would find if that one were out of the way, and so on."""
        demand, seen = self._demand, worker
        multi_task = self._state.multi_task_enabled
        while (found := obstacle(demand, seen, is_member=is_member, multi_task=multi_task)) is not None:
            yield found
            match found:
                case Obstacle.ALREADY_RESERVED:
                    demand = replace(demand, holders=demand.holders - {worker.sid})
                case Obstacle.NOT_IN_QUEUE:
                    is_member = True
                case Obstacle.ACTIVITY:  # no expression can see whether an activity is available
                    seen = replace(seen, activity=replace(seen.activity, available=True))
                case Obstacle.CHANNEL:  # nor whether a channel's switch is on
                    sid = demand.channel.sid
                    opened = replace(seen.channels[sid], available=True)
                    seen = replace(seen, channels={**seen.channels, sid: opened})
                case Obstacle.CAPACITY | Obstacle.SINGLE_TASKING:
                    if demand.routing_target is None:
                        yield from self._target_obstacles(demand, worker)
                    return
                case Obstacle.NOT_THE_KNOWN_WORKER:
                    demand = replace(demand, known=None)
                case Obstacle.EXPRESSION | Obstacle.NOT_THE_ROUTING_TARGET:
                    return

    def _target_obstacles(self, demand: Demand, worker: Worker) -> Iterator[Obstacle]:
        while (found := meets_target(demand, worker)) is not None:
            yield found
            if found is Obstacle.EXPRESSION:
                return
            demand = replace(demand, known=None)

    def _detail(self, found: Obstacle, worker: Worker) -> tuple[str, tuple[FailedPart, ...]]:
        """The sentence of an obstacle with its values, and the parts of an expression that are to blame."""
        demand, task = self._demand, self._task
        held = worker.channels[demand.channel.sid]
        extra, failed = "", tuple[FailedPart, ...]()
        match found:
            case Obstacle.NOT_IN_QUEUE if demand.queue is None:
                extra = "the task is in no queue"
            case Obstacle.NOT_IN_QUEUE:
                expression = demand.queue.expression if demand.queue else None
                extra = demand.queue.target_workers if demand.queue and expression else "an empty one"
                failed = _failed(expression, worker_resolver(worker))
            case Obstacle.EXPRESSION if demand.target is not None:
                extra = str(demand.target.expression)
                failed = _failed(demand.target.expression, target_resolver(task, worker))
            case Obstacle.NOT_THE_KNOWN_WORKER if demand.target and demand.target.known_worker:
                known = demand.target.known_worker
                value = follow(task.parsed_attributes, known.path)
                extra = f"{Reference(('task', *known.path))} is {value!r}"
            case Obstacle.NOT_THE_ROUTING_TARGET:
                extra = str(demand.routing_target)
            case Obstacle.ACTIVITY:
                extra = worker.activity.friendly_name
            case Obstacle.CHANNEL:
                extra = demand.channel.unique_name
            case Obstacle.CAPACITY:
                extra = f"{held.active} of {held.configured_capacity} on {demand.channel.unique_name}"
            case Obstacle.ALREADY_RESERVED:
                extra = ", ".join(f"{r.sid} {r.status}" for r in task.live_reservations if r.worker is worker)
            case _:
                pass
        return f"{found} ({extra})" if extra else str(found), failed

    def _living_queue(self) -> TaskQueue | None:
        """The task's queue, unless it was deleted after the task had ended."""
        queue = self._task.queue
        return queue if queue is not None and self._state.task_queues.get(queue.sid) is queue else None


# ---------------------------------------------------------------- small parts


_TIMERS: Final = {
    "reservation": "the reservation times out",
    "step": "the target times out",
    "time_to_live": "the task's time to live ends",
    "routing_target": "the limit for reserving the routing target ends",
    "assigned": "the task has been assigned for as long as it may be",
    "transfer": "the transfer fails",
    "purge": "the task is forgotten",
}


def _condition(expression: Expression | None, resolve: Resolve) -> Condition:
    if expression is None:
        return Condition(text="", holds=True)
    return Condition(
        text=str(expression), holds=expression.evaluate(resolve), failed=_failed(expression, resolve)
    )


def _failed(expression: Expression | None, resolve: Resolve) -> tuple[FailedPart, ...]:
    if expression is None:
        return ()
    return tuple(
        FailedPart(text=part.text, values=deepcopy(dict(part.values)))
        for part in expression.shortfalls(resolve)
    )


def _order_clause(key: OrderKey) -> str:
    return f"{Reference(('worker', *key.path))} {'DESC' if key.descending else 'ASC'}"


def _past(reservations: Iterable[Reservation]) -> Iterator[PastReservation]:
    for reservation in reservations:
        yield PastReservation(
            sid=reservation.sid,
            worker_sid=reservation.worker.sid,
            worker_name=reservation.worker.friendly_name,
            status=reservation.status,
            date_created=reservation.date_created,
            date_updated=reservation.date_updated,
        )


def _name_of(move: Move | None) -> str:
    return f"task {move.task.sid}" if move is not None else "nothing"
