"""REST operations on workers and their channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server_stub import queries
from server_stub.domain.model import TaskQueue, Worker, WorkerChannel
from server_stub.domain.routing import worker_matches
from server_stub.domain.workspace import Workspace
from server_stub.parameters import Param, flag, integer, sid, text
from taskrouter_worker.terms import SidPrefix

from .operation import PAGING, Call, Listing, Operation, Reply, crud, named

__all__ = ["WORKERS", "WORKER_CHANNELS"]

_ACTIVITY: Final = sid(SidPrefix.ACTIVITY)


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


def _matching_worker(call: Call, value: str) -> Callable[[Worker], bool]:
    workers = call.workspace.workers
    wanted = queries.parsed_expression(value, "TargetWorkersExpression", over=len(workers))
    return lambda worker: worker_matches(wanted, worker)


WORKERS: Final = crud(
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
            "friendly_name": lambda _, name: named(name),
            "target_workers_expression": _matching_worker,
            "task_queue_name": lambda call, name: _in_queue(named(name), call),
            "task_queue_sid": lambda call, wanted: _in_queue(lambda queue: queue.sid == wanted, call),
        },
        order={"DateStatusChanged": lambda worker: (worker.date_status_changed,)},
        created=lambda worker: (worker.number,),
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


WORKER_CHANNELS: Final = (
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
