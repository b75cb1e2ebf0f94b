"""What holds of every workspace between two commands: a stored one that contradicts it is damaged.

`docs/state.md` and the engine's own rules are the source: what open work needs cannot be deleted, and the
statuses of tasks, reservations and transfers agree. The engine relies on this without looking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from taskrouter_worker.terms import TASK_ENDED, ReservationStatus, SidPrefix, TaskStatus, is_sid

from .engine import is_direct
from .entities import Entity
from .model import Reservation, Task, Transfer, Worker
from .telephony import ConferenceStatus, Telephony
from .workspace import Workspace

__all__ = ["contradictions"]


def contradictions(workspace: Workspace, *, numbers: int) -> Iterator[str]:
    """Sentences about what cannot be. They name entities by SID, and quote no values.

    Args:
        workspace: it.
        numbers: the last number that it gave to one of its entities.
    """
    for activity in (workspace.default_activity, workspace.timeout_activity):
        if _is_gone(activity, workspace.activities):
            yield f"activity {activity.sid} is the workspace's own, and is gone"
    for queue in workspace.task_queues.values():
        for used in (queue.reservation_activity, queue.assignment_activity):
            if _is_gone(used, workspace.activities):
                yield f"an activity of task queue {queue.sid} is gone"
    for channel in workspace.worker_channels.values():
        if _is_gone(channel.worker, workspace.workers):
            yield f"worker channel {channel.sid} is of a worker that is gone"
    yield from _of_numbers(workspace, numbers)
    for worker in workspace.workers.values():
        yield from _of_worker(workspace, worker)
    for task in workspace.tasks.values():
        yield from _of_task(workspace, task)
    for reservation in workspace.reservations.values():
        yield from _of_reservation(workspace, reservation)
    for transfer in workspace.transfers.values():
        yield from _of_transfer(workspace, transfer)
    yield from _of_telephony(workspace.telephony)


def _is_gone(entity: Entity | None, registry: Mapping[str, Entity]) -> bool:
    return entity is not None and registry.get(entity.sid) is not entity


def _of_numbers(workspace: Workspace, numbers: int) -> Iterator[str]:
    """Numbers tell who came first, which decides between what is otherwise equal."""
    taken: dict[int, str] = {}
    for registry in (workspace.workers, workspace.tasks, workspace.reservations):
        for entity in registry.values():
            if not 1 <= entity.number <= numbers:
                yield f"{entity.sid} has a number that was not given yet"
            if taken.setdefault(entity.number, entity.sid) != entity.sid:
                yield f"{entity.sid} and {taken[entity.number]} have the same number"


def _of_worker(workspace: Workspace, worker: Worker) -> Iterator[str]:
    if _is_gone(worker.activity, workspace.activities):
        yield f"the activity of worker {worker.sid} is gone"
    if worker.channels.keys() != workspace.task_channels.keys():
        yield f"worker {worker.sid} does not have a worker channel for each task channel"
    for channel in worker.channels.values():
        if _is_gone(channel, workspace.worker_channels) or channel.worker is not worker:
            yield f"worker channel {channel.sid} of worker {worker.sid} is gone"


def _of_task(workspace: Workspace, task: Task) -> Iterator[str]:
    if (task.ended_at is not None) != (task.status in TASK_ENDED):
        yield f"task {task.sid} is {task.status}, which its end contradicts"
    if task.status not in TASK_ENDED:
        if _is_gone(task.task_channel, workspace.task_channels):
            yield f"task {task.sid} is open, its task channel is gone"
        if _is_gone(task.workflow, workspace.workflows):
            yield f"task {task.sid} is open, its workflow is gone"
        if _is_gone(task.queue, workspace.task_queues):
            yield f"task {task.sid} is open, its task queue is gone"
        if task.workflow is None and not is_direct(task):
            yield f"task {task.sid} is open, and has neither a workflow nor a routing target"
        is_with_worker = any(r.status is not ReservationStatus.PENDING for r in task.live_reservations)
        if (task.assigned_at is not None) != is_with_worker:
            yield f"task {task.sid} is open, its reservations contradict whether it was assigned"
        if task.step_deadline is not None and (task.step is None or task.step.deadline is None):
            yield f"task {task.sid} has a deadline that its step does not have"
    if not _statuses_agree(task):
        yield f"task {task.sid} is {task.status}, which its reservations contradict"


def _statuses_agree(task: Task) -> bool:
    live = [reservation.status for reservation in task.live_reservations]
    held = [status for status in live if status is not ReservationStatus.PENDING]
    match task.status:
        case TaskStatus.PENDING | TaskStatus.RESERVED:
            is_offered = len(live) > len(held)
            is_handed_over = ReservationStatus.ACCEPTED in held
            return is_offered == (task.status is TaskStatus.RESERVED) and (
                is_handed_over == bool(held) == (task.transfer is not None)
            )
        case TaskStatus.ASSIGNED:
            return live == held and ReservationStatus.ACCEPTED in held
        case TaskStatus.WRAPPING:
            return set(live) == {ReservationStatus.WRAPPING}
        case TaskStatus.COMPLETED | TaskStatus.CANCELED:
            return not live


def _of_reservation(workspace: Workspace, reservation: Reservation) -> Iterator[str]:
    if _is_gone(reservation.task, workspace.tasks):
        yield f"reservation {reservation.sid} is kept, its task is gone"
    made_by = reservation.transfer
    if made_by is not None and made_by.task is not reservation.task:
        yield f"reservation {reservation.sid} was made by a transfer of another task"
    if not reservation.is_live:
        return
    if _is_gone(reservation.worker, workspace.workers):
        yield f"reservation {reservation.sid} is live, its worker is gone"
    held = reservation.held_channel
    if held is not None and (
        held.worker is not reservation.worker or _is_gone(held, workspace.worker_channels)
    ):
        yield f"reservation {reservation.sid} holds a worker channel that is gone or another worker's"


def _of_transfer(workspace: Workspace, transfer: Transfer) -> Iterator[str]:
    if _is_gone(transfer.task, workspace.tasks):
        yield f"transfer {transfer.sid} is kept, its task is gone"
    initiating = transfer.initiating_reservation
    if initiating.task is not transfer.task:
        yield f"transfer {transfer.sid} was started from a reservation of another task"
    if not transfer.is_under_way:
        return
    if transfer.task.transfer is not transfer:
        yield f"transfer {transfer.sid} is not the only one of its task under way"
    if initiating.status is not ReservationStatus.ACCEPTED:
        yield f"transfer {transfer.sid} is under way, its reservation is {initiating.status}"
    if _is_gone(transfer.initiating_queue, workspace.task_queues):
        yield f"transfer {transfer.sid} is under way, the task queue that it left is gone"
    targets = workspace.workers if is_sid(transfer.to, SidPrefix.WORKER) else workspace.task_queues
    if transfer.to not in targets:
        yield f"transfer {transfer.sid} is under way to what is not there"


def _of_telephony(telephony: Telephony) -> Iterator[str]:
    running: dict[str, str] = {}  # conferences, by task
    for conference in telephony.conferences.values():
        if conference.status is ConferenceStatus.COMPLETED:
            continue
        if running.setdefault(conference.task.sid, conference.sid) != conference.sid:
            yield f"conference {conference.sid} runs, and so does another one of its task"
        for participant in conference.present:
            call = participant.call
            if _is_gone(call, telephony.calls) or not call.is_live or call.task is not conference.task:
                yield f"conference {conference.sid} runs, call {call.sid} in it is over or of another task"
    for call in telephony.calls.values():
        taken = call.conference
        if not call.is_live or taken is None:
            continue
        if running.get(taken.task.sid) != taken.sid or all(p.call is not call for p in taken.present):
            yield f"call {call.sid} goes on, its conference is over or without it"
