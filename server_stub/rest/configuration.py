"""REST operations on what work is made of: workspaces, activities, channels, queues, workflows."""

from __future__ import annotations

from typing import Final

from server_stub import queries
from server_stub.domain.model import Activity, TaskChannel, TaskQueue, Workflow
from server_stub.domain.workspace import Workspace
from server_stub.parameters import Param, enum, flag, integer, sid, text, url
from taskrouter_worker.terms import QueueOrder, SidPrefix, WorkspaceTemplate

from .operation import Call, Listing, Reply, crud, named

__all__ = ["ACTIVITIES", "TASK_CHANNELS", "TASK_QUEUES", "WORKFLOWS", "WORKSPACES"]

_ORDER: Final = enum(QueueOrder)
_ACTIVITY: Final = sid(SidPrefix.ACTIVITY)
_CLEARABLE_ACTIVITY: Final = sid(SidPrefix.ACTIVITY, may_be_empty=True)


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


WORKSPACES: Final = crud(
    "",
    listing=Listing[Workspace](
        key="workspaces",
        items=lambda call: list(call.runtime.account.workspaces.values()),
        view=lambda call, workspace: call.view.workspace(workspace),
        sid=lambda workspace: workspace.sid,
        filters={"friendly_name": lambda _, name: named(name)},
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


ACTIVITIES: Final = crud(
    "{workspace}/Activities",
    listing=Listing[Activity](
        key="activities",
        items=lambda call: list(call.workspace.activities.values()),
        view=lambda call, activity: call.view.activity(call.workspace, activity),
        sid=lambda activity: activity.sid,
        filters={
            "friendly_name": lambda _, name: named(name),
            "available": lambda _, wanted: lambda activity: activity.available is wanted,
        },
    ),
    filters=(Param("FriendlyName", text), Param("Available", flag)),
    handlers=(_create_activity, _fetch_activity, _update_activity, _delete_activity),
    create=(Param("FriendlyName", text, required=True), Param("Available", flag)),
    update=(Param("FriendlyName", text),),  # Available is fixed at creation and ignored here
)


TASK_CHANNELS: Final = crud(
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

TASK_QUEUES: Final = crud(
    "{workspace}/TaskQueues",
    listing=Listing[TaskQueue](
        key="task_queues",
        items=lambda call: list(call.workspace.task_queues.values()),
        view=lambda call, queue: call.view.task_queue(call.workspace, queue),
        sid=lambda queue: queue.sid,
        filters={
            "friendly_name": lambda _, name: named(name),
            "evaluate_worker_attributes": lambda _, value: queries.evaluates_attributes(value),
            "worker_sid": lambda call, wanted: queries.queue_accepts(call.workspace, wanted),
        },
        order={"DateUpdated": lambda queue: (queue.date_updated,)},
        created=lambda queue: (queue.date_created,),
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

WORKFLOWS: Final = crud(
    "{workspace}/Workflows",
    listing=Listing[Workflow](
        key="workflows",
        items=lambda call: list(call.workspace.workflows.values()),
        view=lambda call, workflow: call.view.workflow(call.workspace, workflow),
        sid=lambda workflow: workflow.sid,
        filters={"friendly_name": lambda _, name: named(name)},
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
