"""What happens to tasks and reservations: through workflows, to workers, and by the passing of time.

Each public method is a move of a whole command: it changes state first, then records the events in
the order in which TaskRouter sends them. Whether a client may ask for the move is checked before.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Literal, TypeAlias

from taskrouter_worker.terms import (
    TASK_ENDED,
    EventType,
    ReservationStatus,
    SidPrefix,
    TaskStatus,
    TransferMode,
    TransferType,
    is_sid,
)

from .dispatch import Decision, Dispatcher, Fact
from .lifecycle import RESERVATION_EVENTS, move_reservation, move_task
from .model import (
    Activity,
    JsonObject,
    Reservation,
    Task,
    TaskQueue,
    Transfer,
    Worker,
    Workflow,
)
from .moments import whole_ms
from .routing import demand_of, task_resolver
from .state import WorkspaceState
from .transfers import Moves, Transfers
from .workflow import Filter, KnownBy, Step

__all__ = ["Engine", "Move"]

_DEFAULT_RESERVATION_TIMEOUT = 120
"""Seconds a reservation waits when its task has no workflow, as a new workflow's would."""

_REASON_TTL = "Task TTL Exceeded"
_REASON_WORKFLOW_TIMEOUT = "Task canceled on Workflow timeout"
_REASON_WORKFLOW_SKIPPED = "Task canceled on Workflow skipped"
_REASON_ASSIGNMENTS = "Max assignment count exceeded"
_REASON_REJECTIONS = "Max rejection count exceeded"
_REASON_ROUTING_TARGET = "The routing target's limit for creating a reservation was not met"
_REASON_ROUTING_TARGET_DECLINED = "The routing target's reservation ended without acceptance"


class _Timer(IntEnum):
    RESERVATION = auto()
    STEP = auto()
    TIME_TO_LIVE = auto()
    ROUTING_TARGET = auto()
    ASSIGNED = auto()
    TRANSFER = auto()
    PURGE = auto()


_Deadline: TypeAlias = tuple[float, _Timer, int, int, Task | Reservation]
"""When, what, to whom: at one moment by kind, then by age, so that the order follows from the state.

The number before the entity is the entry's own: it makes all entries comparable.
"""


@dataclass(frozen=True, slots=True)
class Move:
    """What a round does: reserve these workers for a task, skip the task's step, or cancel the task."""

    kind: Literal["reserve", "skip", "cancel"]
    task: Task
    workers: tuple[Worker, ...] = ()


class Engine:
    """The rules that move a workspace's tasks and reservations."""

    def __init__(self, state: WorkspaceState, dispatcher: Dispatcher) -> None:
        self._state = state
        self._dispatcher = dispatcher
        self._unrouted: dict[str, Task] = {}  # no filter took them: canceled in the next rounds
        self._deadlines: list[_Deadline] = []
        self._pushes = 0
        self._deadlines_at_most = 1_024  # above it the heap is cleared of entries that became void
        self._transfers = Transfers(
            state,
            dispatcher,
            Moves(
                move=self._move,
                tell=self._tell,
                assign=self._assign,
                give_back_activities=self._give_back_activities,
                set_deadline=lambda transfer: self._set_timer(
                    transfer.deadline, _Timer.TRANSFER, transfer.task
                ),
            ),
        )

    # -------------------------------------------------------- taking up what was left

    @property
    def unrouted(self) -> tuple[str, ...]:
        """The tasks that no filter took, in the order in which they are to be canceled."""
        return tuple(self._unrouted)

    def resume(self, unrouted: Iterable[str]) -> None:
        """Set the clock for entities that were not made here, and know the tasks that no filter takes."""
        state, limits = self._state, self._state.limits
        self._unrouted = {sid: state.tasks[sid] for sid in unrouted}
        for reservation in state.reservations.values():
            if reservation.status is ReservationStatus.PENDING:
                self._set_timer(reservation.deadline, _Timer.RESERVATION, reservation)
        for task in state.tasks.values():
            if task.ended_at is not None:
                self._set_timer(task.ended_at + limits.retention_seconds, _Timer.PURGE, task)
                continue
            self._set_timer(task.date_created + task.timeout, _Timer.TIME_TO_LIVE, task)
            self._arm_step(task)
            if task.transfer is not None:
                self._set_timer(task.transfer.deadline, _Timer.TRANSFER, task)
            elif task.status is TaskStatus.ASSIGNED and task.assigned_at is not None:
                self._set_timer(task.assigned_at + limits.max_assigned_seconds, _Timer.ASSIGNED, task)
            elif task.status is TaskStatus.PENDING and is_sid(task.routing_target, SidPrefix.WORKER):
                self._set_timer(
                    task.date_created + limits.routing_target_seconds, _Timer.ROUTING_TARGET, task
                )

    # -------------------------------------------------------- tasks come, change and go

    def admit(self, task: Task) -> None:
        """Take in a new task and lead it to its first queue. No worker is reserved yet."""
        self._state.tasks[task.sid] = task
        self._state.created(task)
        self._state.record(EventType.TASK_CREATED, task)
        self._set_timer(task.date_created + task.timeout, _Timer.TIME_TO_LIVE, task)
        if is_direct(task):
            if task.queue is not None:
                self._state.enters_queue(task, is_new=True)
                self._state.record(EventType.TASK_QUEUE_ENTERED, task)
            if is_sid(task.routing_target, SidPrefix.WORKER):
                limit = self._state.limits.routing_target_seconds
                self._set_timer(task.date_created + limit, _Timer.ROUTING_TARGET, task)
            self._dispatcher.add_task(task, fresh=True)
        else:
            self._state.record(EventType.WORKFLOW_ENTERED, task)
            self._evaluate(task, is_new=True)

    def reevaluate(self, task: Task, *, reason: str, priority: int | None = None) -> None:
        """Lead a pending task through its workflow from the top; its clock starts again.

        A `priority` that was just given stands until a later target sets another one: the target
        that the task enters now does not overwrite it (our choice: the vendor's two rules conflict).
        """
        self._unrouted.pop(task.sid, None)
        task.is_unrouted = task.filter_timed_out = False
        self._evaluate(task, reason=reason, priority=priority)

    def requeue(self, task: Task) -> None:
        """Let a pending task wait where it is, in the order that its fields now give it."""
        fresh = self._dispatcher.is_fresh(task)
        if self._dispatcher.remove_task(task):
            self._dispatcher.add_task(task, fresh=fresh)

    def set_step(self, task: Task, step: Step | None) -> None:
        """The workflow changed under the task: it stands at `step`, or stays in its queue until its TTL."""
        task.step = step
        task.step_deadline = self._step_deadline(task)
        self.requeue(task)
        self._arm_step(task)

    def cancel(self, task: Task, reason: str | None) -> None:
        """The task ends, and each pending reservation with it."""
        pending = task.pending_reservations
        for reservation in pending:
            self._move(reservation, ReservationStatus.CANCELED)
        self._end_task(task, TaskStatus.CANCELED, reason)
        self._tell_each(pending)
        self._state.record(EventType.TASK_CANCELED, task)
        self._give_back_activities(pending)

    def wrap(self, task: Task, reason: str | None) -> None:
        """The work is over; what is left is to wrap up."""
        self.cancel_transfer(task)
        accepted = [r for r in task.live_reservations if r.status is ReservationStatus.ACCEPTED]
        for reservation in accepted:
            self._move(reservation, ReservationStatus.WRAPPING)
        move_task(task, TaskStatus.WRAPPING)
        if reason is not None:
            task.reason = reason
        self._state.touch(task)
        self._state.record(EventType.TASK_WRAPUP, task)
        self._tell_each(accepted)

    def complete(self, task: Task, reason: str | None) -> None:
        """The task ends, and each reservation with it."""
        self.cancel_transfer(task)
        live = task.live_reservations
        for reservation in live:
            self._move(reservation, ReservationStatus.COMPLETED)
        self._end_task(task, TaskStatus.COMPLETED, reason)
        self._state.record(EventType.TASK_COMPLETED, task)
        self._tell_each(live)

    def delete(self, task: Task, event: EventType) -> None:
        """The task is gone at once. What was pending is canceled, what was accepted is completed."""
        if task.transfer is not None:
            self.cancel_transfer(task)
        live = task.live_reservations
        for reservation in live:
            pending = reservation.status is ReservationStatus.PENDING
            self._move(reservation, ReservationStatus.CANCELED if pending else ReservationStatus.COMPLETED)
        if task.status not in TASK_ENDED:
            waiting = task.status in (TaskStatus.PENDING, TaskStatus.RESERVED)
            self._end_task(task, TaskStatus.CANCELED if waiting else TaskStatus.COMPLETED, None)
        self._tell_each(live)
        self._state.record(event, task)
        self._give_back_activities(live)
        self._forget(task)

    # -------------------------------------------------------- reservations

    def accept(self, reservation: Reservation, activity: Activity | None) -> None:
        """The task is the worker's; every other pending reservation of it is rescinded."""
        task, single = reservation.task, not self._state.multi_task_enabled
        rescinded = [r for r in task.pending_reservations if r is not reservation]
        self._move(reservation, ReservationStatus.ACCEPTED)
        for other in rescinded:
            self._move(other, ReservationStatus.RESCINDED)
        self._assign(task)
        self._state.touch(task)
        record_transfer = None if task.transfer is None else self._transfers.complete(task.transfer)
        self._tell(reservation)
        self._tell_each(rescinded)
        if record_transfer is not None:
            record_transfer()
        if single and activity is None and task.queue is not None:
            activity = task.queue.assignment_activity
        if activity is not None:
            self.set_activity(reservation.worker, activity)
        self._give_back_activities(rescinded)

    def reject(self, reservation: Reservation, activity: Activity | None) -> None:
        """The worker does not take the task."""
        (reservation.task.transfer or reservation.task).rejections += 1
        self._move(reservation, ReservationStatus.REJECTED)
        self._state.record(EventType.RESERVATION_REJECTED, reservation, to=(reservation.worker.sid,))
        if activity is not None:
            self.set_activity(reservation.worker, activity)
        else:
            self._give_back_activities([reservation])
        self._declined(reservation)

    def cancel_reservation(self, reservation: Reservation, reason_code: int | None) -> None:
        """Nobody could be told of the reservation: the task goes back to its queue."""
        reservation.canceled_reason_code = reason_code
        self._move(reservation, ReservationStatus.CANCELED)
        self._state.record(
            EventType.RESERVATION_CANCELED,
            reservation,
            to=(reservation.worker.sid,),
            reservation_reason_code=reason_code,
        )
        self._give_back_activities([reservation])
        self._declined(reservation)

    def wrap_reservation(self, reservation: Reservation) -> None:
        """The task wraps up with it, unless another worker is still at work on the task."""
        task = reservation.task
        self._cancel_outgoing_transfer(reservation)
        if all(
            r is reservation or r.status is not ReservationStatus.ACCEPTED for r in task.live_reservations
        ):
            self.wrap(task, None)
            return
        self._move(reservation, ReservationStatus.WRAPPING)
        self._state.touch(task)
        self._tell(reservation)

    def complete_reservation(self, reservation: Reservation) -> None:
        """The task completes with its last open reservation."""
        task = reservation.task
        self._cancel_outgoing_transfer(reservation)
        others = [r for r in task.live_reservations if r is not reservation]
        if not others:
            self.complete(task, None)
            return
        self._move(reservation, ReservationStatus.COMPLETED)
        self._state.touch(task)
        self.requeue(task)  # on transfer it may wait, and this worker can be asked now
        wraps = task.status is TaskStatus.ASSIGNED and not any(
            r.status is ReservationStatus.ACCEPTED for r in others
        )
        if wraps:  # a task is wrapping when no worker is at work on it any more
            move_task(task, TaskStatus.WRAPPING)
            self._state.record(EventType.TASK_WRAPUP, task)
        self._tell(reservation)

    def transfer(
        self,
        reservation: Reservation,
        *,
        to: Worker | TaskQueue,
        mode: TransferMode,
        attributes: tuple[str, JsonObject],
        priority: int,
    ) -> Transfer:
        """The worker of an accepted reservation offers the task to another worker or a queue."""
        return self._transfers.start(reservation, to=to, mode=mode, attributes=attributes, priority=priority)

    def cancel_transfer(self, task: Task) -> None:
        """End the task's transfer, if one is under way; the task is its first worker's again."""
        if task.transfer is not None:
            self._transfers.cancel(task.transfer)

    def set_activity(self, worker: Worker, activity: Activity) -> bool:
        """Move a worker; False, and no event, if it is there already."""
        if worker.activity is activity:
            return False
        previous, since = worker.activity, worker.date_status_changed
        self._state.touch(worker)
        spent = whole_ms(max(0.0, self._state.moment - since))
        worker.activity = activity
        worker.date_status_changed = self._state.moment
        self._dispatcher.worker_changed(worker, Fact.ACTIVITY | Fact.LOAD)
        self._state.record(
            EventType.WORKER_ACTIVITY_UPDATE,
            worker,
            to=(worker.sid,),
            worker_time_in_previous_activity=spent // 1000,
            worker_time_in_previous_activity_ms=spent,
            worker_previous_activity_sid=previous.sid,
            worker_previous_activity_name=previous.friendly_name,
        )
        return True

    # -------------------------------------------------------- rounds

    def route(self) -> bool:
        """Make the next move for the waiting tasks; False when there is none to make.

        A move reserves all workers of one task, or leads one task past a step that it skips, or
        cancels one task that no filter takes.
        """
        move = self._chosen(self._dispatcher.next_decision)
        if move is None:
            return False
        match move.kind:
            case "reserve":
                self._reserve(move.task, move.workers)
            case "skip":
                self._skip(move.task)
            case "cancel":
                self._state.record(EventType.WORKFLOW_SKIPPED, move.task)
                self.cancel(move.task, _REASON_WORKFLOW_SKIPPED)
        return True

    def next_move(self) -> Move | None:
        """What `route` will do next; nothing is done."""
        return self._chosen(self._dispatcher.peek)

    def _chosen(self, decide: Callable[[], Decision | None]) -> Move | None:
        if self._unrouted:
            return Move("cancel", next(iter(self._unrouted.values())))
        decision = decide()
        if decision is None:
            return None
        return Move("reserve" if decision.workers else "skip", decision.task, decision.workers)

    def _reserve(self, task: Task, workers: Iterable[Worker]) -> None:
        state = self._state
        self._dispatcher.remove_task(task)
        move_task(task, TaskStatus.RESERVED)
        task.counter += 1
        state.touch(task)
        timeout = _DEFAULT_RESERVATION_TIMEOUT
        if task.workflow is not None:
            timeout = task.workflow.task_reservation_timeout
        made: list[Reservation] = []
        for worker in workers:
            reservation = Reservation(
                sid=state.new_sid(SidPrefix.RESERVATION),
                task=task,
                worker=worker,
                timeout=timeout,
                deadline=state.moment + timeout,
                worker_previous_activity=worker.activity,
                queue=task.queue,
                date_created=state.moment,
                date_updated=state.moment,
                number=state.next_number(),
                transfer=task.transfer,
            )
            made.append(reservation)
            state.reservations[reservation.sid] = reservation
            task.reservations[reservation.sid] = reservation
            worker.reservations[reservation.sid] = reservation
            state.created(reservation)
            channel = reservation.worker_channel
            channel.active += 1
            for busy in (channel, worker):
                busy.last_reserved_at = state.moment
                busy.last_reserved_number = reservation.number
            state.touch(worker)
            self._dispatcher.worker_changed(worker, Fact.LOAD)
            self._set_timer(reservation.deadline, _Timer.RESERVATION, reservation)
            self._tell(reservation, EventType.RESERVATION_CREATED)
        if not state.multi_task_enabled and task.queue is not None and task.queue.reservation_activity:
            for reservation in made:
                if self.set_activity(reservation.worker, task.queue.reservation_activity):
                    reservation.given_activity = task.queue.reservation_activity

    # -------------------------------------------------------- through the workflow

    def _evaluate(
        self, task: Task, *, is_new: bool = False, reason: str | None = None, priority: int | None = None
    ) -> None:
        configuration = _workflow(task).parsed_configuration
        taken_by = configuration.next_filter(task_resolver(task))
        step = taken_by.steps[0] if taken_by else configuration.default
        if step is None:
            self._dispatcher.remove_task(task)
            task.step = task.step_deadline = task.filter_entered_at = None
            task.is_unrouted = True
            self._unrouted[task.sid] = task
            return
        self._enter(
            task,
            step,
            entered_at=self._state.moment,
            is_new=is_new,
            re_evaluated=reason,
            priority=priority,
        )

    def _enter(
        self,
        task: Task,
        step: Step,
        *,
        entered_at: float,
        is_new: bool = False,
        changed: str | None = None,
        re_evaluated: str | None = None,
        priority: int | None = None,
    ) -> None:
        """Put the task on a step of a filter that took it at `entered_at`."""
        state = self._state
        self._dispatcher.remove_task(task)
        previous_queue, previous_priority = task.queue, task.priority
        queue = state.task_queues[step.queue_sid]
        moved = queue is not previous_queue
        task.step, task.filter_entered_at, task.queue = step, entered_at, queue
        task.step_deadline = self._step_deadline(task)
        if priority is not None:
            task.priority = priority
        elif step.target.priority is not None:
            task.priority = step.target.priority
        state.touch(task)
        if moved:
            state.enters_queue(task, is_new=is_new)
            self._record_move(task, previous_queue, changed)
        state.record(
            EventType.WORKFLOW_TARGET_MATCHED,
            task,
            workflow_filter_name=step.filter.name if step.filter else None,
            workflow_filter_expression=step.filter.expression_text if step.filter else None,
            workflow_filter_target_name=step.target.name,
            workflow_filter_target_expression=step.target.expression,
            known_worker_sid=self._known_worker_sid(task),
            previous_task_priority=previous_priority if previous_priority != task.priority else None,
            target_changed_reason=changed,
            task_re_evaluated_reason=re_evaluated,
        )
        if moved:
            state.record(EventType.TASK_QUEUE_ENTERED, task)
        self._arm_step(task)
        self._dispatcher.add_task(task, fresh=True)

    def _record_move(self, task: Task, previous: TaskQueue | None, changed: str | None) -> None:
        if previous is None:
            return
        if changed == "timeout":
            # About the queue that it leaves, though the task itself already shows the new one.
            self._state.record(
                EventType.TASK_QUEUE_TIMEOUT,
                task,
                task_queue_sid=previous.sid,
                task_queue_name=previous.friendly_name,
                task_queue_target_expression=previous.target_workers,
            )
        self._state.record(
            EventType.TASK_QUEUE_MOVED,
            task,
            previous_task_queue_sid=previous.sid,
            previous_task_queue_name=previous.friendly_name,
            target_changed_reason=changed,
        )

    def _known_worker_sid(self, task: Task) -> str | None:
        known = demand_of(task).known
        if known is None or known[1] is None:
            return None
        if known[0] is KnownBy.SID:
            return known[1]
        worker = self._dispatcher.worker_named(known[1])
        return worker.sid if worker else None

    def _skip(self, task: Task) -> None:
        """Leave the step because its skip_if holds."""
        following = self._later_step(task)
        if following is not None:
            self._enter(task, following, entered_at=_entered_at(task), changed="skip")
            return
        # A skip on the last step counts as though the filter had not matched.
        configuration = _workflow(task).parsed_configuration
        taken_by = configuration.next_filter(task_resolver(task), after=_filter(task))
        if taken_by is not None:
            self._enter(task, taken_by.steps[0], entered_at=self._state.moment, changed="skip")
        elif configuration.default is not None and not task.filter_timed_out:
            self._enter(task, configuration.default, entered_at=self._state.moment, changed="skip")
        else:
            self._state.record(EventType.WORKFLOW_SKIPPED, task)
            self.cancel(task, _REASON_WORKFLOW_SKIPPED)

    def _time_out(self, task: Task) -> None:
        """Leave the step because its deadline has passed."""
        following = self._later_step(task)
        if following is not None:
            self._enter(task, following, entered_at=_entered_at(task), changed="timeout")
            return
        task.filter_timed_out = True
        configuration = _workflow(task).parsed_configuration
        taken_by = configuration.next_filter(task_resolver(task), after=_filter(task))
        if taken_by is not None:
            self._enter(task, taken_by.steps[0], entered_at=self._state.moment, changed="timeout")
            return
        self._state.record(EventType.TASK_QUEUE_TIMEOUT, task)
        self._state.record(EventType.WORKFLOW_TIMEOUT, task)
        self.cancel(task, _REASON_WORKFLOW_TIMEOUT)

    def _later_step(self, task: Task) -> Step | None:
        """The next step of the task's filter whose deadline has not passed."""
        step = task.step
        if step is None or step.filter is None:
            return None
        spent = self._state.moment - _entered_at(task)
        later = step.filter.steps[step.index + 1 :]
        return next((found for found in later if found.deadline is None or found.deadline > spent), None)

    def _step_deadline(self, task: Task) -> float | None:
        if task.step is None or task.step.deadline is None:
            return None
        return _entered_at(task) + task.step.deadline

    def _arm_step(self, task: Task) -> None:
        # A step's deadline counts only while the task waits, so it is armed again when it waits again.
        if task.step_deadline is not None and task.status is TaskStatus.PENDING:
            self._set_timer(task.step_deadline, _Timer.STEP, task)

    def _declined(self, reservation: Reservation) -> None:
        """What becomes of the task when a pending reservation ended without acceptance."""
        task, limits = reservation.task, self._state.limits
        rejected = reservation.status is ReservationStatus.REJECTED
        if task.transfer is not None:
            self._transfers.declined(reservation)
        elif rejected and task.rejections >= limits.max_rejections:
            self.cancel(task, _REASON_REJECTIONS)
        elif task.live_reservations:
            return  # others may still accept; to the task nothing has changed
        elif is_sid(task.routing_target, SidPrefix.WORKER):
            self.cancel(task, _REASON_ROUTING_TARGET_DECLINED)
        elif task.counter >= limits.max_assignments:
            self.cancel(task, _REASON_ASSIGNMENTS)
        else:
            move_task(task, TaskStatus.PENDING)
            self._state.touch(task)
            if task.step_deadline is not None and task.step_deadline <= self._state.moment:
                self._time_out(task)
            else:
                self._arm_step(task)
                self._dispatcher.add_task(task, fresh=False)

    # -------------------------------------------------------- time

    def next_deadline(self) -> float | None:
        """When something is to happen next by time, in epoch seconds."""
        while self._deadlines:
            at, timer, _, _, entity = self._deadlines[0]
            if self._is_armed(at, timer, entity):
                return at
            heapq.heappop(self._deadlines)
        return None

    def deadlines_of(self, task: Task) -> list[tuple[float, str, Task | Reservation]]:
        """What happens to a task by time alone, soonest first: when (epoch seconds), which timer, to what."""
        found = {
            (at, timer, entity.sid): (at, timer.name.lower(), entity)
            for at, timer, _, _, entity in self._deadlines
            if task is (entity.task if isinstance(entity, Reservation) else entity)
            and self._is_armed(at, timer, entity)
        }
        return [found[key] for key in sorted(found)]

    def advance(self) -> bool:
        """Carry out the earliest deadline if it is due; False if none is."""
        at = self.next_deadline()
        if at is None or at > self._state.moment:
            return False
        # It stays in the heap: carrying it out makes it void, and one that broke is still due.
        _, timer, _, _, entity = self._deadlines[0]
        match entity:
            case Reservation():
                self._time_out_reservation(entity)
            case Task():
                self._time_passed(timer, entity)
        return True

    def _time_passed(self, timer: _Timer, task: Task) -> None:
        match timer:
            case _Timer.STEP:
                self._time_out(task)
            case _Timer.ROUTING_TARGET:
                self._state.record(EventType.RESERVATION_FAILED, task, to=(task.routing_target or "",))
                self.cancel(task, _REASON_ROUTING_TARGET)
            case _Timer.ASSIGNED:
                self.delete(task, EventType.TASK_SYSTEM_DELETED)
            case _Timer.TRANSFER if task.transfer is not None:
                self._transfers.expire(task.transfer)
            case _Timer.PURGE:
                self._forget(task)
                # They refer to each other: without this only the garbage collector would free them. Of a task
                # that is deleted by command the events are still to be told.
                task.reservations.clear()
                task.transfers.clear()
            case _:
                self.cancel(task, _REASON_TTL)

    def _time_out_reservation(self, reservation: Reservation) -> None:
        """Nobody answered in time: the worker goes to the timeout activity, in multitasking too."""
        self._move(reservation, ReservationStatus.TIMEOUT)
        self._tell(reservation)
        self.set_activity(reservation.worker, self._state.timeout_activity)
        self._declined(reservation)

    def _is_armed(self, at: float, timer: _Timer, entity: Task | Reservation) -> bool:
        """Whether the deadline still means something."""
        if isinstance(entity, Reservation):
            return entity.status is ReservationStatus.PENDING and at == entity.deadline
        if self._state.tasks.get(entity.sid) is not entity:
            return False
        waits, transfer = entity.status is TaskStatus.PENDING, entity.transfer
        match timer:
            case _Timer.STEP:
                return waits and transfer is None and entity.step_deadline == at
            case _Timer.ROUTING_TARGET:
                return waits and transfer is None
            case _Timer.TRANSFER:
                # A worker has to be reserved in time; then the reservation's own deadline counts.
                counts = transfer is not None and (waits or transfer.type is TransferType.QUEUE)
                return transfer is not None and counts and at == transfer.deadline
            case _Timer.TIME_TO_LIVE:
                return entity.assigned_at is None and (waits or entity.status is TaskStatus.RESERVED)
            case _Timer.ASSIGNED:
                since = entity.assigned_at
                limit = self._state.limits.max_assigned_seconds
                return entity.status is TaskStatus.ASSIGNED and since is not None and at == since + limit
            case _Timer.PURGE:
                return True
            case _Timer.RESERVATION:
                return False

    def _set_timer(self, at: float, timer: _Timer, entity: Task | Reservation) -> None:
        if len(self._deadlines) >= self._deadlines_at_most:
            self._deadlines = [item for item in self._deadlines if self._is_armed(item[0], item[1], item[4])]
            heapq.heapify(self._deadlines)
            self._deadlines_at_most = 2 * len(self._deadlines) + 1_024
        self._pushes += 1
        heapq.heappush(self._deadlines, (at, timer, entity.number, self._pushes, entity))

    # -------------------------------------------------------- small parts

    def _move(self, reservation: Reservation, to: ReservationStatus) -> None:
        """Change a reservation's status, and its worker's load with it."""
        was_accepted = reservation.status is ReservationStatus.ACCEPTED
        move_reservation(reservation, to)
        channel = reservation.worker_channel
        channel.assigned_tasks += (to is ReservationStatus.ACCEPTED) - was_accepted
        if not reservation.is_live:
            channel.active -= 1
            self._state.ended(reservation)
        self._state.touch(reservation)
        self._dispatcher.worker_changed(reservation.worker, Fact.LOAD)

    def _assign(self, task: Task) -> None:
        """The task is with a worker, from now on for a day at most."""
        move_task(task, TaskStatus.ASSIGNED)
        task.assigned_at = self._state.moment
        self._set_timer(task.assigned_at + self._state.limits.max_assigned_seconds, _Timer.ASSIGNED, task)

    def _tell(self, reservation: Reservation, event: EventType | None = None) -> None:
        if event is None:
            event = RESERVATION_EVENTS[reservation.status]
        self._state.record(event, reservation, to=(reservation.worker.sid,))

    def _tell_each(self, reservations: Iterable[Reservation]) -> None:
        for reservation in reservations:
            self._tell(reservation)

    def _give_back_activities(self, reservations: Iterable[Reservation]) -> None:
        """Single-tasking: return workers to where they were before their reservation moved them.

        A worker that has moved since is left alone (our choice: undocumented).
        """
        for reservation in reservations:
            given, previous = reservation.given_activity, reservation.worker_previous_activity
            if given is not None and reservation.worker.activity is given:
                self.set_activity(reservation.worker, self._state.activities.get(previous.sid, given))

    def _cancel_outgoing_transfer(self, reservation: Reservation) -> None:
        """A worker that leaves a task takes its transfer back first (our choice: undocumented)."""
        if reservation.outgoing_transfer is not None:
            self.cancel_transfer(reservation.task)

    def _end_task(self, task: Task, to: TaskStatus, reason: str | None) -> None:
        self._dispatcher.remove_task(task)
        self._unrouted.pop(task.sid, None)
        task.is_unrouted = False
        move_task(task, to)
        if reason is not None:
            task.reason = reason
        task.ended_at = self._state.moment
        self._state.touch(task)
        self._set_timer(task.ended_at + self._state.limits.retention_seconds, _Timer.PURGE, task)

    def _forget(self, task: Task) -> None:
        """The task answers no more, nor do its reservations."""
        del self._state.tasks[task.sid]
        for sid, reservation in task.reservations.items():
            del self._state.reservations[sid]
            reservation.worker.reservations.pop(sid, None)
        for sid in task.transfers:
            del self._state.transfers[sid]
        self._state.telephony.forget(task)


def is_direct(task: Task) -> bool:
    """Whether the task goes to a worker or queue past all workflow filters."""
    return is_sid(task.routing_target, SidPrefix.WORKER, SidPrefix.TASK_QUEUE)


def _workflow(task: Task) -> Workflow:
    if task.workflow is None:
        raise AssertionError(f"task {task.sid} has no workflow to be routed by")
    return task.workflow


def _filter(task: Task) -> Filter | None:
    return task.step.filter if task.step else None


def _entered_at(task: Task) -> float:
    """When the task's filter took it, in epoch seconds."""
    return task.date_created if task.filter_entered_at is None else task.filter_entered_at
