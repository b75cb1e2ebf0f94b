"""How a task passes from one worker to another worker or to a queue.

The task stays the same; so does the reservation that a transfer starts from. While the transfer is
`initiated` the task waits and is reserved again as any other, past all workflow filters, and it is
its first worker's still: whatever ends the transfer without an acceptance returns it there.

Published is only the shape of a transfer (event bridge, as the JavaScript SDK reads it). The rules
are our choice wherever a docstring names no other source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from taskrouter_worker.terms import (
    EventType,
    ReservationStatus,
    SidPrefix,
    TaskStatus,
    TransferMode,
    TransferStatus,
    TransferType,
)

from .dispatch import Dispatcher
from .lifecycle import move_task, move_transfer
from .model import JsonObject, Reservation, Task, TaskQueue, Transfer, Worker
from .state import WorkspaceState

__all__ = ["Moves", "Transfers"]

_WORKER_FAILED: Final = {
    ReservationStatus.REJECTED: "Transfer failed because the reservation was rejected",
    ReservationStatus.TIMEOUT: "Transfer failed because the reservation timed out",
    ReservationStatus.CANCELED: "Transfer failed because the reservation was canceled",
}
"""Of these the timeout's text is TaskRouter's own."""

_ATTEMPT_FAILED: Final = {
    ReservationStatus.REJECTED: "Transfer attempt failed on reservation reject because there are no more "
    "pending reservations",
    ReservationStatus.TIMEOUT: "Transfer attempt failed on reservation timeout because there are no more "
    "pending reservations",
    ReservationStatus.CANCELED: "Transfer attempt failed on reservation cancel because there are no more "
    "pending reservations",
}
"""Of these the rejection's text is TaskRouter's own."""

_REASON_TTL: Final = "Transfer failed because the task's time to live ended"
_REASON_UNREACHED: Final = "Transfer failed because the worker could not be reserved in time"
_REASON_REJECTIONS: Final = "Transfer failed because the limit of rejections was reached"
_REASON_ASSIGNMENTS: Final = "Transfer failed because the limit of assignments was reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What a transfer needs of the engine."""

    move: Callable[[Reservation, ReservationStatus], None]  # a reservation, with its worker's load
    tell: Callable[[Reservation], None]  # the event of the status it has
    assign: Callable[[Task], None]
    give_back_activities: Callable[[Iterable[Reservation]], None]
    set_deadline: Callable[[Transfer], None]


class Transfers:
    """Starts and ends the transfers of a workspace. What may be asked for is checked before."""

    def __init__(self, state: WorkspaceState, dispatcher: Dispatcher, moves: Moves) -> None:
        self._state = state
        self._dispatcher = dispatcher
        self._moves = moves

    def start(
        self,
        reservation: Reservation,
        *,
        to: Worker | TaskQueue,
        mode: TransferMode,
        attributes: tuple[str, JsonObject],
        priority: int,
    ) -> Transfer:
        """Offer the task of an accepted reservation to `to`. Nobody is reserved yet.

        A worker has to be reserved within the time limit of a routing target. A queue has the task's
        `timeout`, counted anew from now, to find someone who accepts.
        """
        state, task = self._state, reservation.task
        at = state.moment
        to_worker = isinstance(to, Worker)
        transfer = Transfer(
            sid=state.new_sid(SidPrefix.TRANSFER),
            task=task,
            initiating_reservation=reservation,
            initiating_queue=task.queue,
            mode=mode,
            type=TransferType.WORKER if to_worker else TransferType.QUEUE,
            to=to.sid,
            deadline=at + (state.limits.routing_target_seconds if to_worker else task.timeout),
            date_created=at,
            date_updated=at,
        )
        previous = task.priority
        changed = (attributes[0], priority) != (task.attributes, task.priority)
        (task.attributes, task.parsed_attributes), task.priority = attributes, priority
        state.transfers[transfer.sid] = task.transfers[transfer.sid] = transfer
        task.transfer = reservation.outgoing_transfer = transfer
        move_task(task, TaskStatus.PENDING)
        state.touch(task)
        self._record(EventType.TASK_TRANSFER_INITIATED, transfer)
        if changed:
            state.record(
                EventType.TASK_UPDATED,
                task,
                previous_task_priority=previous if previous != priority else None,
            )
        if isinstance(to, TaskQueue):
            self._move_to_queue(task, to)
        self._dispatcher.add_task(task, fresh=False)
        self._moves.set_deadline(transfer)
        return transfer

    def complete(self, transfer: Transfer) -> Callable[[], None]:
        """Someone accepted. After a cold transfer the first worker has only the wrapping up left.

        Returns:
            What records the events, for the moment when those of the acceptance are recorded. They
            come before any that ends the first worker's reservation: the JavaScript SDK drops
            transfer events of a reservation that has ended.
        """
        initiating = transfer.initiating_reservation
        wraps = transfer.mode is TransferMode.COLD and initiating.status is ReservationStatus.ACCEPTED
        event = self._close(transfer, TransferStatus.COMPLETE)
        if wraps:
            self._moves.move(initiating, ReservationStatus.WRAPPING)

        def record() -> None:
            self._record(event, transfer)
            if wraps:
                self._moves.tell(initiating)

        return record

    def declined(self, reservation: Reservation) -> None:
        """A reservation that a transfer made ended without acceptance."""
        task, limits = reservation.task, self._state.limits
        transfer = task.transfer
        if transfer is None:
            raise AssertionError(f"task {task.sid} is not on transfer")
        if transfer.rejections >= limits.max_rejections:
            self._fail(transfer, _REASON_REJECTIONS)
        elif task.pending_reservations:
            return  # others may still accept
        elif transfer.type is TransferType.WORKER:
            self._fail(transfer, _WORKER_FAILED[reservation.status])
        elif task.counter >= limits.max_assignments:
            self._fail(transfer, _REASON_ASSIGNMENTS)
        else:
            transfer.failed_reason = _ATTEMPT_FAILED[reservation.status]
            transfer.date_updated = self._state.moment
            move_task(task, TaskStatus.PENDING)
            self._state.touch(task)
            self._record(EventType.TASK_TRANSFER_ATTEMPT_FAILED, transfer)
            self._dispatcher.add_task(task, fresh=False)

    def expire(self, transfer: Transfer) -> None:
        """The transfer's time is up."""
        self._fail(transfer, _REASON_UNREACHED if transfer.type is TransferType.WORKER else _REASON_TTL)

    def cancel(self, transfer: Transfer) -> None:
        """The first worker takes the task back."""
        self._end(transfer, TransferStatus.CANCELED)

    # -------------------------------------------------------- small parts

    def _fail(self, transfer: Transfer, reason: str) -> None:
        self._end(transfer, TransferStatus.FAILED, reason)

    def _end(self, transfer: Transfer, status: TransferStatus, reason: str | None = None) -> None:
        """Return the task to its first worker, and to the queue that it came from."""
        task, pending = transfer.task, transfer.task.pending_reservations
        for reservation in pending:
            self._moves.move(reservation, ReservationStatus.CANCELED)
        self._dispatcher.remove_task(task)
        event = self._close(transfer, status, reason)
        self._moves.assign(task)
        self._state.touch(task)
        for reservation in pending:
            self._moves.tell(reservation)
        self._record(event, transfer)
        if transfer.initiating_queue is not None:
            self._move_to_queue(task, transfer.initiating_queue)
        self._moves.give_back_activities(pending)

    def _close(self, transfer: Transfer, status: TransferStatus, reason: str | None = None) -> EventType:
        event = move_transfer(transfer, status)
        transfer.failed_reason = reason
        transfer.date_updated = self._state.moment
        transfer.task.transfer = transfer.initiating_reservation.outgoing_transfer = None
        return event

    def _move_to_queue(self, task: Task, queue: TaskQueue) -> None:
        previous = task.queue
        if queue is previous:
            return
        task.queue = queue
        self._state.enters_queue(task, is_new=False)
        if previous is not None:
            self._state.record(
                EventType.TASK_QUEUE_MOVED,
                task,
                previous_task_queue_sid=previous.sid,
                previous_task_queue_name=previous.friendly_name,
                target_changed_reason="transfer",
            )
        self._state.record(EventType.TASK_QUEUE_ENTERED, task)

    def _record(self, event: EventType, transfer: Transfer) -> None:
        self._state.record(event, transfer, to=(transfer.initiating_reservation.worker.sid,))
