"""REST operations on tasks and their reservations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from server_stub import queries
from server_stub.domain.instruction_options import PARAMETERS, REPEATED, SUPERVISE_PARAMETERS
from server_stub.domain.model import Reservation, Task
from server_stub.domain.routing import task_matches
from server_stub.domain.workspace import Workspace
from server_stub.parameters import Param, csv, date, enum, flag, integer, sid, text
from taskrouter_worker.terms import ReservationStatus, SidPrefix

from .operation import PAGING, Call, Listing, Operation, Reply, crud

__all__ = ["RESERVATIONS", "TASKS"]


def _task_reply(call: Call, workspace: Workspace, task: Task) -> Reply:
    return Reply(call.view.task(workspace, task), task.version)


def _create_task(call: Call) -> Reply:
    return call.run(lambda ws: _task_reply(call, ws, ws.create_task(**call.args)))


def _fetch_task(call: Call) -> Reply:
    workspace = call.workspace
    return _task_reply(call, workspace, workspace.task(call.sids[1]))


def _update_task(call: Call) -> Reply:
    return call.run(
        lambda ws: _task_reply(call, ws, ws.update_task(call.sids[1], if_match=call.if_match, **call.args))
    )


def _delete_task(call: Call) -> Reply:
    call.run(lambda ws: ws.delete_task(call.sids[1], if_match=call.if_match))
    return Reply(None)


def _matching_task(call: Call, value: str) -> Callable[[Task], bool]:
    wanted = queries.parsed_expression(value, "EvaluateTaskAttributes", over=len(call.workspace.tasks))
    return lambda task: task_matches(wanted, task)


def _find_task_reservation(call: Call) -> Reservation:
    return call.workspace.reservation(call.sids[2], task_sid=call.sids[1])


def _find_worker_reservation(call: Call) -> Reservation:
    return call.workspace.reservation(call.sids[2], worker_sid=call.sids[1])


def _show_task_reservation(call: Call, reservation: Reservation) -> object:
    return call.view.task_reservation(call.workspace, reservation)


def _show_worker_reservation(call: Call, reservation: Reservation) -> object:
    return call.view.worker_reservation(call.workspace, reservation)


_FindReservation = Callable[[Call], Reservation]
_ShowReservation = Callable[[Call, Reservation], object]


def _fetch_reservation(find: _FindReservation, show: _ShowReservation) -> Callable[[Call], Reply]:
    def handle(call: Call) -> Reply:
        reservation = find(call)
        return Reply(show(call, reservation), reservation.version)

    return handle


def _update_reservation(
    find: _FindReservation, show: _ShowReservation, *, on_task: bool
) -> Callable[[Call], Reply]:
    def handle(call: Call) -> Reply:
        reservation = find(call)
        args = call.args
        names = (*PARAMETERS, *SUPERVISE_PARAMETERS)
        parameters = {name: args.pop(name) for name in names if name in args}

        def command(workspace: Workspace) -> Reply:
            updated = workspace.change_reservation(
                reservation.sid, parameters=parameters, on_task=on_task, if_match=call.if_match, **args
            )
            return Reply(show(call, updated), updated.version)

        return call.run(command)

    return handle


_RESERVATION_UPDATE: Final = (
    Param("ReservationStatus", text, key="status"),
    Param("WorkerActivitySid", sid(SidPrefix.ACTIVITY)),
    Param("Instruction", text),
    # The domain reads these: the event bridge has them too, in another spelling.
    *(Param(name, text, repeated=name in REPEATED, key=name) for name in PARAMETERS),
)

_SUPERVISE: Final = tuple(Param(name, text, key=name) for name in SUPERVISE_PARAMETERS)


TASKS: Final = crud(
    "{workspace}/Tasks",
    listing=Listing[Task](
        key="tasks",
        items=lambda call: list(call.workspace.tasks.values()),
        view=lambda call, task: call.view.task(call.workspace, task),
        sid=lambda task: task.sid,
        filters={
            "priority": lambda _, wanted: lambda task: task.priority == wanted,
            "assignment_status": lambda _, wanted: lambda task: task.status in wanted,
            "workflow_sid": lambda _, wanted: (
                lambda task: task.workflow is not None and task.workflow.sid == wanted
            ),
            "workflow_name": lambda _, name: (
                lambda task: task.workflow is not None and task.workflow.friendly_name == name
            ),
            "task_queue_sid": lambda _, wanted: (
                lambda task: task.queue is not None and task.queue.sid == wanted
            ),
            "task_queue_name": lambda _, name: (
                lambda task: task.queue is not None and task.queue.friendly_name == name
            ),
            "evaluate_task_attributes": _matching_task,
            "routing_target": lambda _, wanted: lambda task: task.routing_target == wanted,
            "has_addons": lambda _, wanted: lambda _task: not wanted,  # there are none locally
        },
        order={
            # Their number tells apart those of one moment, in either direction.
            "DateCreated": lambda task: (task.date_created, task.number),
            "Priority": lambda task: (task.priority,),
            "VirtualStartTime": lambda task: (task.virtual_start_time, task.number),
        },
        created=lambda task: (task.number,),
    ),
    filters=(
        Param("Priority", integer()),
        Param("AssignmentStatus", csv, repeated=True),
        Param("WorkflowSid", sid(SidPrefix.WORKFLOW)),
        Param("WorkflowName", text),
        Param("TaskQueueSid", sid(SidPrefix.TASK_QUEUE)),
        Param("TaskQueueName", text),
        Param("EvaluateTaskAttributes", text),
        Param("RoutingTarget", text),
        Param("Ordering", text),
        Param("HasAddons", flag),
    ),
    handlers=(_create_task, _fetch_task, _update_task, _delete_task),
    create=(
        Param("Timeout", integer()),
        Param("Priority", integer()),
        Param("TaskChannel", text),
        Param("WorkflowSid", sid(SidPrefix.WORKFLOW)),
        Param("Attributes", text),
        Param("VirtualStartTime", date),
        Param("RoutingTarget", text),
        Param("IgnoreCapacity", flag),
        Param("TaskQueueSid", sid(SidPrefix.TASK_QUEUE)),
    ),
    update=(
        Param("Attributes", text),
        Param("AssignmentStatus", text),
        Param("Reason", text),
        Param("Priority", integer()),
        Param("TaskChannel", text),
        Param("VirtualStartTime", date),
    ),
    versioned=True,
)


def _reservations(
    parent: str,
    items: Callable[[Call], Sequence[Reservation]],
    find: _FindReservation,
    show: _ShowReservation,
    *filters: Param,
    on_task: bool,
) -> tuple[Operation, ...]:
    """One of the two views of reservations: list, fetch, update."""
    collection = f"{{workspace}}/{parent}/Reservations"
    return (
        Operation(
            method="GET",
            path=collection,
            status=200,
            params=(*filters, *PAGING),
            handle=Listing[Reservation](
                key="reservations",
                items=items,
                view=show,
                sid=lambda reservation: reservation.sid,
                filters={
                    "reservation_status": lambda _, wanted: lambda reservation: reservation.status is wanted,
                    "worker_sid": lambda _, wanted: lambda reservation: reservation.worker.sid == wanted,
                },
            ),
        ),
        Operation(
            method="GET", path=f"{collection}/{{sid}}", status=200, handle=_fetch_reservation(find, show)
        ),
        Operation(
            method="POST",
            path=f"{collection}/{{sid}}",
            status=200,
            handle=_update_reservation(find, show, on_task=on_task),
            params=(*_RESERVATION_UPDATE, *(_SUPERVISE if on_task else ())),
            versioned=True,
        ),
    )


RESERVATIONS: Final = (
    *_reservations(
        "Tasks/{task}",
        # Newest first, as TaskRouter lists them.
        lambda call: list(call.workspace.task(call.sids[1]).reservations.values())[::-1],
        _find_task_reservation,
        _show_task_reservation,
        Param("ReservationStatus", enum(ReservationStatus)),
        Param("WorkerSid", sid(SidPrefix.WORKER)),
        on_task=True,
    ),
    *_reservations(
        "Workers/{worker}",
        lambda call: list(call.workspace.worker(call.sids[1]).reservations.values())[::-1],
        _find_worker_reservation,
        _show_worker_reservation,
        Param("ReservationStatus", enum(ReservationStatus)),
        on_task=False,
    ),
)
