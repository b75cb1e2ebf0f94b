"""The REST operations that tell what happened: events and statistics."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, cast

import msgspec

from server_stub.domain.history import PastEvent, Window
from server_stub.domain.model import TaskQueue, Worker
from server_stub.domain.statistics import Totals
from server_stub.parameters import Param, date, integer, sid, text
from server_stub.replies import ApiError
from taskrouter_worker.terms import SidPrefix, is_sid

from .operation import PAGING, SID_LENGTH, Call, Listing, Operation, Reply

__all__ = ["EVENTS", "STATISTICS"]

MAX_QUEUES: Final = 50
"""Task queues of one bulk request (TaskRouter)."""

MAX_THRESHOLDS: Final = 100
"""Thresholds of one request (our choice: undocumented)."""

# --- Parameters ---------------------------------------------------------------------------------


def thresholds(value: str) -> tuple[int, ...]:
    """Seconds between commas, as milliseconds, each once."""
    words = value.split(",")
    if len(words) > MAX_THRESHOLDS:
        raise ValueError(f"at most {MAX_THRESHOLDS} thresholds")
    read = integer()
    try:
        return tuple(dict.fromkeys(1000 * int(str(read(word))) for word in words))
    except ValueError:
        raise ValueError("seconds between commas, such as 5,30") from None


_WINDOW: Final = (Param("StartDate", date), Param("EndDate", date), Param("Minutes", integer(low=1)))
_CHANNEL: Final = Param("TaskChannel", text)
_SPLIT: Final = Param("SplitByWaitTime", thresholds)


def _window(call: Call) -> Window:
    args = call.args
    return Window.of(
        call.now,
        start_date=args.get("start_date"),
        end_date=args.get("end_date"),
        minutes=args.get("minutes"),
    )


def _channel_sid(call: Call) -> str | None:
    """The SID of the task channel that the statistics are restricted to; None for all."""
    given = call.args.get("task_channel")
    if given is None:
        return None
    for channel in call.workspace.task_channels.values():
        if given in (channel.sid, channel.unique_name):
            return channel.sid
    raise ApiError(400, f"TaskChannel '{given}' was not found in workspace {call.workspace.sid}")


def queue_sids(body: bytes) -> dict[str, Any]:
    """The body of a bulk request: ``{"QueueSids": ["WQ...", ...]}``."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(400, "The body must be a JSON object with the list QueueSids") from None
    given = cast("dict[str, object]", decoded).get("QueueSids") if isinstance(decoded, dict) else None
    if given is None:
        raise ApiError(400, "QueueSids field is required")
    sids = cast("list[object]", given) if isinstance(given, list) else [None]
    if not all(is_sid(item, SidPrefix.TASK_QUEUE) for item in sids):
        raise ApiError(400, "QueueSids is not valid: expected a list of task queue SIDs")
    if len(sids) > MAX_QUEUES:
        raise ApiError(400, f"QueueSids is not valid: expected at most {MAX_QUEUES} SIDs, got {len(sids)}")
    return {"queue_sids": sids}


# --- Events -------------------------------------------------------------------------------------


def _events(call: Call) -> list[PastEvent]:
    end = call.args.get("page_token", "")[2 : 2 + SID_LENGTH]  # of the page before
    return call.records.history.newest_first(_window(call), beside=end or None)


def _fetch_event(call: Call) -> Reply:
    return Reply(call.record_view.event(call.workspace, call.records.history.event(call.sids[1])))


def _about(*keys: str) -> Callable[[Call, str], Callable[[PastEvent], bool]]:
    """Events whose resource is the one asked for, or whose data name it under one of `keys`."""
    return lambda _, wanted: lambda event: event.names(wanted, *keys)


EVENTS: Final = (
    Operation(
        method="GET",
        path="{workspace}/Events",
        status=200,
        params=(
            *_WINDOW,
            Param("EventType", text),
            Param("ReservationSid", sid(SidPrefix.RESERVATION)),
            Param("TaskQueueSid", sid(SidPrefix.TASK_QUEUE)),
            Param("TaskSid", sid(SidPrefix.TASK)),
            Param("WorkerSid", sid(SidPrefix.WORKER)),
            Param("WorkflowSid", sid(SidPrefix.WORKFLOW)),
            Param("TaskChannel", text),
            Param("Sid", sid(SidPrefix.EVENT)),
            *PAGING,
        ),
        handle=Listing[PastEvent](
            key="events",
            items=_events,
            view=lambda call, event: call.record_view.event(call.workspace, event),
            sid=lambda event: event.sid,
            filters={
                "event_type": lambda _, wanted: lambda event: event.type == wanted,
                "reservation_sid": _about("reservation_sid", "transfer_initiating_reservation_sid"),
                "task_queue_sid": _about("task_queue_sid", "previous_task_queue_sid"),
                "task_sid": _about("task_sid"),
                "worker_sid": _about("worker_sid", "transfer_initiating_worker_sid"),
                "workflow_sid": _about("workflow_sid"),
                "task_channel": _about("task_channel_sid", "task_channel_unique_name"),
                "sid": lambda _, wanted: lambda event: event.sid == wanted,
            },
        ),
    ),
    Operation(method="GET", path="{workspace}/Events/{sid}", status=200, handle=_fetch_event),
)

# --- Statistics ---------------------------------------------------------------------------------


def _totals(
    call: Call, scope_sid: str | None = None, worker_sids: Collection[str] | None = None
) -> tuple[Totals, Window]:
    window = _window(call)
    totals = call.records.statistics.totals(
        window,
        scope_sid=scope_sid,
        worker_sids=worker_sids,
        channel_sid=_channel_sid(call),
        thresholds=call.args.get("split_by_wait_time", ()),
    )
    return totals, window


def _workspace_realtime(call: Call) -> dict[str, object]:
    return call.record_view.workspace_now(call.workspace, call.records, _channel_sid(call))


def _workspace_cumulative(call: Call, *, combined: bool) -> dict[str, object]:
    return call.record_view.workspace_totals(*_totals(call), combined=combined)


def _workflow_realtime(call: Call) -> dict[str, object]:
    workflow = call.workspace.workflow(call.sids[1])
    return call.record_view.workflow_now(workflow, call.records, _channel_sid(call))


def _workflow_cumulative(call: Call, *, combined: bool) -> dict[str, object]:
    workflow = call.workspace.workflow(call.sids[1])
    return call.record_view.workflow_totals(*_totals(call, workflow.sid), combined=combined)


def _realtime_of(call: Call, queue: TaskQueue) -> dict[str, object]:
    return call.record_view.queue_now(call.workspace, queue, call.records, _channel_sid(call))


def _cumulative_of(call: Call, queue: TaskQueue, *, combined: bool) -> dict[str, object]:
    return call.record_view.queue_totals(*_totals(call, queue.sid), combined=combined)


def _queue_realtime(call: Call) -> dict[str, object]:
    return _realtime_of(call, call.workspace.task_queue(call.sids[1]))


def _queue_cumulative(call: Call, *, combined: bool) -> dict[str, object]:
    return _cumulative_of(call, call.workspace.task_queue(call.sids[1]), combined=combined)


def _queues(call: Call) -> list[TaskQueue]:
    _window(call)  # what is not valid is refused even where there is no queue
    _channel_sid(call)
    return list(call.workspace.task_queues.values())


def _bulk(call: Call) -> Reply:
    """Queues that do not exist are left out of the answer."""
    workspace = call.workspace
    known = [workspace.task_queues.get(sid) for sid in dict.fromkeys(call.args["queue_sids"])]
    queues = [queue for queue in known if queue is not None]
    path = ("TaskQueues", "RealTimeStatistics")
    return Reply(call.record_view.bulk(workspace, queues, call.records, path))


def _workers_realtime(call: Call) -> dict[str, object]:
    _channel_sid(call)  # every worker has every channel: it restricts nobody
    found = _filtered(call)
    workers = call.workspace.workers.values() if found is None else found
    return call.record_view.workers_now(call.workspace, workers)


def _workers_cumulative(call: Call, *, combined: bool) -> dict[str, object]:
    del combined  # the two forms do not differ
    found = _filtered(call)
    return _of_workers(call, None if found is None else {worker.sid for worker in found})


def _of_workers(call: Call, worker_sids: Collection[str] | None) -> dict[str, object]:
    alone = next(iter(worker_sids)) if worker_sids is not None and len(worker_sids) == 1 else None
    totals, window = _totals(call, alone, worker_sids)
    stays = call.records.statistics.activity_durations(window, call.now, worker_sids=worker_sids)
    return call.record_view.workers_totals(call.workspace, totals, stays, window)


def _filtered(call: Call) -> list[Worker] | None:
    """The workers that the filters leave, None without filters.

    Of many it takes the oldest 100 only, which is TaskRouter's limit of one request.
    """
    workspace, args = call.workspace, call.args
    workers = list(workspace.workers.values())
    sid_wanted, queue_name = args.get("task_queue_sid"), args.get("task_queue_name")
    if sid_wanted is not None or queue_name is not None:
        members = {
            worker.sid
            for queue in workspace.task_queues.values()
            if sid_wanted in (None, queue.sid) and queue_name in (None, queue.friendly_name)
            for worker in workspace.workers_in(queue.sid)
        }
        workers = [worker for worker in workers if worker.sid in members]
    name = args.get("friendly_name")
    if name is not None:
        workers = [worker for worker in workers if worker.friendly_name == name]
    if (sid_wanted, queue_name, name) == (None, None, None):
        return None
    return workers[: workspace.limits.max_workers_in_statistics]


def _worker(call: Call) -> Reply:
    worker = call.workspace.worker(call.sids[1])
    cumulative = _of_workers(call, (worker.sid,))
    path = ("Workers", worker.sid, "Statistics")
    return Reply(
        call.record_view.body(call.workspace, path, {"cumulative": cumulative}, worker_sid=worker.sid)
    )


_Realtime = Callable[[Call], dict[str, object]]
_Cumulative = Callable[..., dict[str, object]]


def _three(
    place: str, realtime: _Realtime, cumulative: _Cumulative, *more: Param, both: tuple[Param, ...] = ()
) -> tuple[Operation, ...]:
    """Real-time, cumulative and combined statistics of one scope.

    Args:
        place: its path below the workspace.
        realtime: the numbers of this moment.
        cumulative: those of a window.
        more: parameters of the cumulative and the combined form beside window and channel.
        both: those of the combined form only.
    """
    kind = next((key for key in ("task_queue", "workflow") if f"{{{key}}}" in place), None)

    def answer(call: Call, name: str, numbers: dict[str, object]) -> Reply:
        path = [part if not part.startswith("{") else call.sids[1] for part in place.split("/") if part]
        sids = {} if kind is None else {f"{kind}_sid": call.sids[1]}
        return Reply(call.record_view.body(call.workspace, [*path, name], numbers, **sids))

    def operation(name: str, numbers: Callable[[Call], dict[str, object]], *params: Param) -> Operation:
        return Operation(
            method="GET",
            path="/".join(part for part in ("{workspace}", place, name) if part),
            status=200,
            handle=lambda call: answer(call, name, numbers(call)),
            params=(_CHANNEL, *params),
        )

    return (
        operation("RealTimeStatistics", realtime),
        operation("CumulativeStatistics", lambda call: cumulative(call, combined=False), *_WINDOW, *more),
        operation(
            "Statistics",
            lambda call: {"realtime": realtime(call), "cumulative": cumulative(call, combined=True)},
            *_WINDOW,
            *more,
            *both,
        ),
    )


STATISTICS: Final = (
    *_three("", _workspace_realtime, _workspace_cumulative, _SPLIT),
    *_three("Workflows/{workflow}", _workflow_realtime, _workflow_cumulative, _SPLIT),
    *_three("TaskQueues/{task_queue}", _queue_realtime, _queue_cumulative, _SPLIT),
    *_three(
        "Workers",
        _workers_realtime,
        _workers_cumulative,
        both=(
            Param("TaskQueueSid", sid(SidPrefix.TASK_QUEUE)),
            Param("TaskQueueName", text),
            Param("FriendlyName", text),
        ),
    ),
    Operation(
        method="GET",
        path="{workspace}/Workers/{worker}/Statistics",
        status=200,
        handle=_worker,
        params=(_CHANNEL, *_WINDOW),
    ),
    Operation(
        method="GET",
        path="{workspace}/TaskQueues/Statistics",
        status=200,
        params=(Param("FriendlyName", text), _CHANNEL, _SPLIT, *_WINDOW, *PAGING),
        handle=Listing[TaskQueue](
            key="task_queues_statistics",
            items=_queues,
            view=lambda call, queue: call.record_view.list_item(
                call.workspace,
                queue,
                _realtime_of(call, queue),
                _cumulative_of(call, queue, combined=True),
            ),
            sid=lambda queue: queue.sid,
            filters={"friendly_name": lambda _, name: lambda queue: queue.friendly_name == name},
        ),
    ),
    Operation(
        method="POST",
        path="{workspace}/TaskQueues/RealTimeStatistics",
        status=200,
        handle=_bulk,
        read_body=queue_sids,
    ),
)
