"""Every operation of the REST API that this server offers: one table, with typed parameters.

Paths, parameters and statuses are the TaskRouter REST API's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from taskrouter_worker.terms import (
    QueueOrder,
    ReservationStatus,
    SidPrefix,
    WorkspaceTemplate,
)

from . import queries
from .domain.instruction_options import PARAMETERS, REPEATED, SUPERVISE_PARAMETERS
from .domain.model import (
    Activity,
    Reservation,
    Task,
    TaskChannel,
    TaskQueue,
    Worker,
    WorkerChannel,
    Workflow,
)
from .domain.routing import task_matches, worker_matches
from .domain.workspace import Workspace
from .operations import PAGING, Call, Listing, Operation, Reply
from .parameters import Param, csv, date, enum, flag, integer, sid, text, url
from .record_operations import EVENTS, STATISTICS

__all__ = ["OPERATIONS"]

# --- Workspaces ---------------------------------------------------------------------------------


def _create_workspace(call: Call) -> Reply:
    workspace = call.runtime.account.create_workspace(**call.args)
    body = call.view.workspace(workspace)
    call.runtime.adopt(workspace)
    return Reply(body)


def _fetch_workspace(call: Call) -> Reply:
    return Reply(call.view.workspace(call.workspace))


def _update_workspace(call: Call) -> Reply:
    def command(workspace: Workspace) -> object:
        workspace.update(**call.args)
        return call.view.workspace(workspace)

    return Reply(call.run(command))


def _delete_workspace(call: Call) -> Reply:
    call.runtime.delete_workspace(call.workspace)
    return Reply(None)


# --- Activities, task channels, queues, workflows: the same four operations each ---------------


def _create_activity(call: Call) -> Reply:
    return Reply(call.run(lambda ws: call.view.activity(ws, ws.create_activity(**call.args))))


def _fetch_activity(call: Call) -> Reply:
    workspace = call.workspace
    return Reply(call.view.activity(workspace, workspace.activity(call.sids[1])))


def _update_activity(call: Call) -> Reply:
    return Reply(call.run(lambda ws: call.view.activity(ws, ws.update_activity(call.sids[1], **call.args))))


def _delete_activity(call: Call) -> Reply:
    call.run(lambda ws: ws.delete_activity(call.sids[1]))
    return Reply(None)


def _create_task_channel(call: Call) -> Reply:
    return Reply(call.run(lambda ws: call.view.task_channel(ws, ws.create_task_channel(**call.args))))


def _fetch_task_channel(call: Call) -> Reply:
    workspace = call.workspace
    return Reply(call.view.task_channel(workspace, workspace.task_channel(call.sids[1])))


def _update_task_channel(call: Call) -> Reply:
    return Reply(
        call.run(lambda ws: call.view.task_channel(ws, ws.update_task_channel(call.sids[1], **call.args)))
    )


def _delete_task_channel(call: Call) -> Reply:
    call.run(lambda ws: ws.delete_task_channel(call.sids[1]))
    return Reply(None)


def _create_task_queue(call: Call) -> Reply:
    return Reply(call.run(lambda ws: call.view.task_queue(ws, ws.create_task_queue(**call.args))))


def _fetch_task_queue(call: Call) -> Reply:
    workspace = call.workspace
    return Reply(call.view.task_queue(workspace, workspace.task_queue(call.sids[1])))


def _update_task_queue(call: Call) -> Reply:
    return Reply(
        call.run(lambda ws: call.view.task_queue(ws, ws.update_task_queue(call.sids[1], **call.args)))
    )


def _delete_task_queue(call: Call) -> Reply:
    call.run(lambda ws: ws.delete_task_queue(call.sids[1]))
    return Reply(None)


def _create_workflow(call: Call) -> Reply:
    return Reply(call.run(lambda ws: call.view.workflow(ws, ws.create_workflow(**call.args))))


def _fetch_workflow(call: Call) -> Reply:
    workspace = call.workspace
    return Reply(call.view.workflow(workspace, workspace.workflow(call.sids[1])))


def _update_workflow(call: Call) -> Reply:
    return Reply(call.run(lambda ws: call.view.workflow(ws, ws.update_workflow(call.sids[1], **call.args))))


def _delete_workflow(call: Call) -> Reply:
    call.run(lambda ws: ws.delete_workflow(call.sids[1]))
    return Reply(None)


# --- Workers and their channels -----------------------------------------------------------------


def _worker_reply(call: Call, workspace: Workspace, worker: Worker) -> Reply:
    return Reply(call.view.worker(workspace, worker), worker.version)


def _create_worker(call: Call) -> Reply:
    return call.run(lambda ws: _worker_reply(call, ws, ws.create_worker(**call.args)))


def _fetch_worker(call: Call) -> Reply:
    workspace = call.workspace
    return _worker_reply(call, workspace, workspace.worker(call.sids[1]))


def _update_worker(call: Call) -> Reply:
    return call.run(
        lambda ws: _worker_reply(
            call, ws, ws.update_worker(call.sids[1], if_match=call.if_match, **call.args)
        )
    )


def _delete_worker(call: Call) -> Reply:
    call.run(lambda ws: ws.delete_worker(call.sids[1], if_match=call.if_match))
    return Reply(None)


def _worker_channels(call: Call) -> list[WorkerChannel]:
    return list(call.workspace.worker(call.sids[1]).channels.values())


def _fetch_worker_channel(call: Call) -> Reply:
    workspace = call.workspace
    return Reply(call.view.worker_channel(workspace, workspace.worker_channel(call.sids[1], call.sids[2])))


def _update_worker_channel(call: Call) -> Reply:
    return Reply(
        call.run(
            lambda ws: call.view.worker_channel(
                ws, ws.update_worker_channel(call.sids[1], call.sids[2], **call.args)
            )
        )
    )


def _in_queue(pick: Callable[[TaskQueue], bool], call: Call) -> Callable[[Worker], bool]:
    """True for the workers that some picked queue accepts, whatever their activity."""
    queues = [queue for queue in call.workspace.task_queues.values() if pick(queue)]
    return lambda worker: any(worker_matches(queue.expression, worker) for queue in queues)


def _matching_worker(value: str, name: str) -> Callable[[Worker], bool]:
    wanted = queries.parsed_expression(value, name)
    return lambda worker: worker_matches(wanted, worker)


# --- Tasks and reservations ---------------------------------------------------------------------


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


def _matching_task(value: str) -> Callable[[Task], bool]:
    wanted = queries.parsed_expression(value, "EvaluateTaskAttributes")
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


# --- The table ----------------------------------------------------------------------------------


def _crud(
    collection: str,
    *,
    listing: Listing[Any],  # Any: the kind of item is the listing's own business
    filters: tuple[Param, ...],
    handlers: Sequence[Callable[[Call], Reply]],
    create: tuple[Param, ...],
    update: tuple[Param, ...],
    versioned: bool = False,
) -> tuple[Operation, ...]:
    """The five operations of a collection: create, list, fetch, update, delete."""
    creates, fetches, updates, deletes = handlers
    one = f"{collection}/{{sid}}"
    return (
        Operation(method="POST", path=collection, status=201, handle=creates, params=create),
        Operation(method="GET", path=collection, status=200, handle=listing, params=(*filters, *PAGING)),
        Operation(method="GET", path=one, status=200, handle=fetches),
        Operation(method="POST", path=one, status=200, handle=updates, params=update, versioned=versioned),
        Operation(method="DELETE", path=one, status=204, handle=deletes, versioned=versioned),
    )


def _named(name: str) -> Callable[[Any], bool]:  # Any: whatever has a friendly name
    return lambda item: item.friendly_name == name


_ORDER: Final = enum(QueueOrder)
_ACTIVITY: Final = sid(SidPrefix.ACTIVITY)
_CLEARABLE_ACTIVITY: Final = sid(SidPrefix.ACTIVITY, may_be_empty=True)

_WORKSPACES: Final = _crud(
    "",
    listing=Listing[Workspace](
        key="workspaces",
        items=lambda call: list(call.runtime.account.workspaces.values()),
        view=lambda call, workspace: call.view.workspace(workspace),
        sid=lambda workspace: workspace.sid,
        filters={"friendly_name": lambda _, name: _named(name)},
    ),
    filters=(Param("FriendlyName", text),),
    handlers=(_create_workspace, _fetch_workspace, _update_workspace, _delete_workspace),
    create=(
        Param("FriendlyName", text, required=True),
        Param("EventCallbackUrl", url),
        Param("EventsFilter", text),
        Param("MultiTaskEnabled", flag),
        Param("Template", enum(WorkspaceTemplate)),
        Param("PrioritizeQueueOrder", _ORDER),
    ),
    update=(
        Param("DefaultActivitySid", _ACTIVITY),
        Param("EventCallbackUrl", url),
        Param("EventsFilter", text),
        Param("FriendlyName", text),
        Param("MultiTaskEnabled", flag),
        Param("TimeoutActivitySid", _ACTIVITY),
        Param("PrioritizeQueueOrder", _ORDER),
    ),
)

_ACTIVITIES: Final = _crud(
    "{workspace}/Activities",
    listing=Listing[Activity](
        key="activities",
        items=lambda call: list(call.workspace.activities.values()),
        view=lambda call, activity: call.view.activity(call.workspace, activity),
        sid=lambda activity: activity.sid,
        filters={
            "friendly_name": lambda _, name: _named(name),
            "available": lambda _, wanted: lambda activity: activity.available is wanted,
        },
    ),
    filters=(Param("FriendlyName", text), Param("Available", flag)),
    handlers=(_create_activity, _fetch_activity, _update_activity, _delete_activity),
    create=(Param("FriendlyName", text, required=True), Param("Available", flag)),
    update=(Param("FriendlyName", text),),  # Available is fixed at creation and ignored here
)

_WORKERS: Final = _crud(
    "{workspace}/Workers",
    listing=Listing[Worker](
        key="workers",
        items=lambda call: list(call.workspace.workers.values()),
        view=lambda call, worker: call.view.worker(call.workspace, worker),
        sid=lambda worker: worker.sid,
        filters={
            "activity_name": lambda _, name: lambda worker: worker.activity.friendly_name == name,
            "activity_sid": lambda _, wanted: lambda worker: worker.activity.sid == wanted,
            "available": lambda _, wanted: lambda worker: worker.activity.available is wanted,
            "friendly_name": lambda _, name: _named(name),
            "target_workers_expression": lambda _, value: _matching_worker(value, "TargetWorkersExpression"),
            "task_queue_name": lambda call, name: _in_queue(_named(name), call),
            "task_queue_sid": lambda call, wanted: _in_queue(lambda queue: queue.sid == wanted, call),
        },
        order={"DateStatusChanged": lambda worker: (worker.date_status_changed,)},
    ),
    filters=(
        Param("ActivityName", text),
        Param("ActivitySid", _ACTIVITY),
        Param("Available", flag),
        Param("FriendlyName", text),
        Param("TargetWorkersExpression", text),
        Param("TaskQueueName", text),
        Param("TaskQueueSid", sid(SidPrefix.TASK_QUEUE)),
        Param("Ordering", text),
    ),
    handlers=(_create_worker, _fetch_worker, _update_worker, _delete_worker),
    create=(
        Param("FriendlyName", text, required=True),
        Param("ActivitySid", _ACTIVITY),
        Param("Attributes", text),
    ),
    update=(
        Param("ActivitySid", _ACTIVITY),
        Param("Attributes", text),
        Param("FriendlyName", text),
        Param("RejectPendingReservations", flag),
    ),
    versioned=True,
)

_WORKER_CHANNELS: Final = (
    Operation(
        method="GET",
        path="{workspace}/Workers/{worker}/Channels",
        status=200,
        params=PAGING,
        handle=Listing[WorkerChannel](
            key="channels",
            items=_worker_channels,
            view=lambda call, channel: call.view.worker_channel(call.workspace, channel),
            sid=lambda channel: channel.sid,
            filters={},
        ),
    ),
    Operation(
        method="GET",
        path="{workspace}/Workers/{worker}/Channels/{sid}",
        status=200,
        handle=_fetch_worker_channel,
    ),
    Operation(
        method="POST",
        path="{workspace}/Workers/{worker}/Channels/{sid}",
        status=200,
        handle=_update_worker_channel,
        params=(Param("Capacity", integer()), Param("Available", flag)),
    ),
)

_TASK_CHANNELS: Final = _crud(
    "{workspace}/TaskChannels",
    listing=Listing[TaskChannel](
        key="channels",
        items=lambda call: list(call.workspace.task_channels.values()),
        view=lambda call, channel: call.view.task_channel(call.workspace, channel),
        sid=lambda channel: channel.sid,
        filters={},
    ),
    filters=(),
    handlers=(_create_task_channel, _fetch_task_channel, _update_task_channel, _delete_task_channel),
    create=(
        Param("FriendlyName", text, required=True),
        Param("UniqueName", text, required=True),
        Param("ChannelOptimizedRouting", flag),
    ),
    update=(Param("FriendlyName", text), Param("ChannelOptimizedRouting", flag)),
)

_QUEUE_PARAMS: Final = (
    Param("TargetWorkers", text),
    Param("MaxReservedWorkers", integer()),
    Param("TaskOrder", _ORDER),
    Param("ReservationActivitySid", _CLEARABLE_ACTIVITY),
    Param("AssignmentActivitySid", _CLEARABLE_ACTIVITY),
)

_TASK_QUEUES: Final = _crud(
    "{workspace}/TaskQueues",
    listing=Listing[TaskQueue](
        key="task_queues",
        items=lambda call: list(call.workspace.task_queues.values()),
        view=lambda call, queue: call.view.task_queue(call.workspace, queue),
        sid=lambda queue: queue.sid,
        filters={
            "friendly_name": lambda _, name: _named(name),
            "evaluate_worker_attributes": lambda _, value: queries.evaluates_attributes(value),
            "worker_sid": lambda call, wanted: queries.queue_accepts(call.workspace, wanted),
        },
        order={"DateUpdated": lambda queue: (queue.date_updated,)},
    ),
    filters=(
        Param("FriendlyName", text),
        Param("EvaluateWorkerAttributes", text),
        Param("WorkerSid", sid(SidPrefix.WORKER)),
        Param("Ordering", text),
    ),
    handlers=(_create_task_queue, _fetch_task_queue, _update_task_queue, _delete_task_queue),
    create=(Param("FriendlyName", text, required=True), *_QUEUE_PARAMS),
    update=(Param("FriendlyName", text), *_QUEUE_PARAMS),
)

_WORKFLOW_PARAMS: Final = (
    Param("AssignmentCallbackUrl", url),
    Param("FallbackAssignmentCallbackUrl", url),
    Param("TaskReservationTimeout", integer()),
)

_WORKFLOWS: Final = _crud(
    "{workspace}/Workflows",
    listing=Listing[Workflow](
        key="workflows",
        items=lambda call: list(call.workspace.workflows.values()),
        view=lambda call, workflow: call.view.workflow(call.workspace, workflow),
        sid=lambda workflow: workflow.sid,
        filters={"friendly_name": lambda _, name: _named(name)},
    ),
    filters=(Param("FriendlyName", text),),
    handlers=(_create_workflow, _fetch_workflow, _update_workflow, _delete_workflow),
    create=(
        Param("FriendlyName", text, required=True),
        Param("Configuration", text, required=True),
        *_WORKFLOW_PARAMS,
    ),
    update=(
        Param("FriendlyName", text),
        Param("Configuration", text),
        *_WORKFLOW_PARAMS,
        Param("ReEvaluateTasks", flag),
    ),
)

_TASKS: Final = _crud(
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
            "evaluate_task_attributes": lambda _, value: _matching_task(value),
            "routing_target": lambda _, wanted: lambda task: task.routing_target == wanted,
            "has_addons": lambda _, wanted: lambda _task: not wanted,  # there are none locally
        },
        order={
            # Their number tells apart those of one moment, in either direction.
            "DateCreated": lambda task: (task.date_created, task.number),
            "Priority": lambda task: (task.priority,),
            "VirtualStartTime": lambda task: (task.virtual_start_time, task.number),
        },
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


_RESERVATIONS: Final = (
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

OPERATIONS: Final = (
    *_WORKSPACES,
    *_ACTIVITIES,
    *_WORKERS,
    *_WORKER_CHANNELS,
    *_TASK_CHANNELS,
    *_TASK_QUEUES,
    *_WORKFLOWS,
    *_TASKS,
    *_RESERVATIONS,
    *EVENTS,
    *STATISTICS,
)
