"""Every legal change of status, and the event that tells of it.

The tables are complete: a change that is not in them does not happen. `None` as event means that the
change is told by other events only: TaskRouter sends no task event when a task is reserved, goes back
to its queue, or is assigned; the reservation's event says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taskrouter_worker.terms import EventType, ReservationStatus, TaskStatus, TransferStatus

from .errors import IllegalTransition, Rescinded
from .model import Reservation, Task, Transfer

__all__ = [
    "RESERVATION_EVENTS",
    "RESERVATION_MOVES",
    "TASK_MOVES",
    "TRANSFER_MOVES",
    "check_reservation",
    "check_task",
    "check_transfer",
    "check_transfer_end",
    "move_reservation",
    "move_task",
    "move_transfer",
]

RESERVATION_MOVES: Final[Mapping[ReservationStatus, Mapping[ReservationStatus, EventType]]] = {
    ReservationStatus.PENDING: {
        ReservationStatus.ACCEPTED: EventType.RESERVATION_ACCEPTED,
        ReservationStatus.REJECTED: EventType.RESERVATION_REJECTED,
        ReservationStatus.TIMEOUT: EventType.RESERVATION_TIMEOUT,
        ReservationStatus.CANCELED: EventType.RESERVATION_CANCELED,
        ReservationStatus.RESCINDED: EventType.RESERVATION_RESCINDED,
    },
    ReservationStatus.ACCEPTED: {
        ReservationStatus.WRAPPING: EventType.RESERVATION_WRAPUP,
        ReservationStatus.COMPLETED: EventType.RESERVATION_COMPLETED,
    },
    ReservationStatus.WRAPPING: {
        ReservationStatus.COMPLETED: EventType.RESERVATION_COMPLETED,
    },
    ReservationStatus.REJECTED: {},
    ReservationStatus.TIMEOUT: {},
    ReservationStatus.CANCELED: {},
    ReservationStatus.RESCINDED: {},
    ReservationStatus.COMPLETED: {},
}

RESERVATION_EVENTS: Final[Mapping[ReservationStatus, EventType]] = {
    status: event for moves in RESERVATION_MOVES.values() for status, event in moves.items()
}
"""The event that tells of a reservation's present status; a new one has `reservation.created`."""

TASK_MOVES: Final[Mapping[TaskStatus, Mapping[TaskStatus, EventType | None]]] = {
    TaskStatus.PENDING: {
        TaskStatus.RESERVED: None,
        TaskStatus.CANCELED: EventType.TASK_CANCELED,
        TaskStatus.ASSIGNED: None,  # the end of a transfer that made no reservation, or no more of them
    },
    TaskStatus.RESERVED: {
        TaskStatus.PENDING: None,
        TaskStatus.ASSIGNED: None,
        TaskStatus.CANCELED: EventType.TASK_CANCELED,
    },
    TaskStatus.ASSIGNED: {
        TaskStatus.WRAPPING: EventType.TASK_WRAPUP,
        TaskStatus.COMPLETED: EventType.TASK_COMPLETED,
        TaskStatus.PENDING: None,  # the start of a transfer
    },
    TaskStatus.WRAPPING: {
        TaskStatus.COMPLETED: EventType.TASK_COMPLETED,
    },
    TaskStatus.COMPLETED: {},
    TaskStatus.CANCELED: {},
}

TRANSFER_MOVES: Final[Mapping[TransferStatus, Mapping[TransferStatus, EventType]]] = {
    TransferStatus.INITIATED: {
        TransferStatus.COMPLETE: EventType.TASK_TRANSFER_COMPLETED,
        TransferStatus.FAILED: EventType.TASK_TRANSFER_FAILED,
        TransferStatus.CANCELED: EventType.TASK_TRANSFER_CANCELED,
    },
    TransferStatus.COMPLETE: {},
    TransferStatus.FAILED: {},
    TransferStatus.CANCELED: {},
}


def check_reservation(reservation: Reservation, to: ReservationStatus) -> EventType:
    """The event of a change of the reservation's status.

    Raises:
        Rescinded: it was to be accepted, but another worker was faster (REST API: 410).
        IllegalTransition: any other change that the table does not allow, to the same status as well.
    """
    event = RESERVATION_MOVES[reservation.status].get(to)
    if event is not None:
        return event
    if reservation.status is ReservationStatus.RESCINDED and to is ReservationStatus.ACCEPTED:
        raise Rescinded(f"Reservation {reservation.sid} was rescinded: another worker accepted the task")
    raise IllegalTransition(
        f"Reservation {reservation.sid} is already in state [{reservation.status}] "
        f"and cannot be updated to [{to}]"
    )


def move_reservation(reservation: Reservation, to: ReservationStatus) -> EventType:
    """Change the reservation's status; the event that tells of it. Raises as `check_reservation`."""
    event = check_reservation(reservation, to)
    reservation.status = to
    return event


def check_task(task: Task, to: TaskStatus, *, workspace_sid: str, account_sid: str) -> None:
    """Whether a client may ask for this status now.

    A task on transfer may be pending or reserved again, yet it is still its first worker's: it
    completes and wraps as an assigned one and cannot be canceled (our choice: undocumented).

    Raises:
        IllegalTransition: it may not; the text is TaskRouter's own.
    """
    where = f"task {task.sid} in workspace {workspace_sid} for account {account_sid}"
    status = TaskStatus.ASSIGNED if task.transfer is not None else task.status
    allowed = to in TASK_MOVES[status]
    match to:
        case TaskStatus.COMPLETED if not allowed:
            raise IllegalTransition(f"Cannot complete {where} because it is not currently assigned.")
        case TaskStatus.WRAPPING if not allowed:
            # TaskRouter words this one differently, down to the missing full stop.
            raise IllegalTransition(f"Cannot wrap up a {where} because it's not currently assigned")
        case TaskStatus.CANCELED if not allowed:
            raise IllegalTransition(f"Cannot cancel {where} because it is not pending or reserved.")
        case _:
            pass


def move_task(task: Task, to: TaskStatus) -> EventType | None:
    """Change the task's status; the event that tells of it, if one does.

    Raises:
        IllegalTransition: the table does not allow it.
    """
    if to not in TASK_MOVES[task.status]:
        raise IllegalTransition(f"Task {task.sid} is {task.status} and cannot become {to}")
    event = TASK_MOVES[task.status][to]
    task.status = to
    return event


def check_transfer(reservation: Reservation) -> None:
    """Whether a transfer of its task may be started from the reservation.

    Raises:
        IllegalTransition: the reservation is not accepted, or a transfer of the task is under way.
    """
    if reservation.status is not ReservationStatus.ACCEPTED:
        raise IllegalTransition(
            f"Cannot transfer task {reservation.task.sid}: reservation {reservation.sid} "
            f"is {reservation.status}, expected accepted"
        )
    if reservation.task.transfer is not None:
        raise IllegalTransition(
            f"Cannot transfer task {reservation.task.sid}: its transfer {reservation.task.transfer.sid} "
            "is under way"
        )


def check_transfer_end(transfer: Transfer, to: TransferStatus) -> EventType:
    """The event of the transfer's end. Raises IllegalTransition if it has ended before."""
    event = TRANSFER_MOVES[transfer.status].get(to)
    if event is None:
        raise IllegalTransition(
            f"Transfer {transfer.sid} is already in state [{transfer.status}] and cannot be updated to [{to}]"
        )
    return event


def move_transfer(transfer: Transfer, to: TransferStatus) -> EventType:
    """End the transfer; the event that tells of it. Raises as `check_transfer_end`."""
    event = check_transfer_end(transfer, to)
    transfer.status = to
    return event
