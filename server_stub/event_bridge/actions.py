"""What the inner requests do, and what they answer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from server_stub import queries, views
from server_stub.domain.model import Task, TaskQueue, Worker
from server_stub.domain.routing import worker_matches
from server_stub.replies import ApiError
from server_stub.views import SnapshotPart
from taskrouter_worker.resources import Page

from .call import PAGE_SIZE, Call, page_of
from .parameters import HOLD, INSTRUCTION, SUPERVISE, WORKER_PARTICIPANT


def fetch_worker(call: Call) -> object:
    """One worker."""
    worker = call.workspace.worker(call.sids["worker"])
    call.show(SnapshotPart.WORKER, worker.sid)
    return views.worker_fields(call.workspace, worker)


def update_worker(call: Call) -> object:
    """Change a worker."""
    sid = call.sids["worker"]
    return call.run(
        lambda ws: views.worker_fields(ws, ws.update_worker(sid, if_match=call.if_match, **call.args)),
    )


def list_activities(call: Call) -> object:
    """The workspace's activities."""
    call.show(SnapshotPart.ACTIVITIES)
    workspace = call.workspace
    return call.page(
        list(workspace.activities.values()), lambda a: views.activity_fields(workspace, a), lambda a: a.sid
    )


def list_channels(call: Call) -> object:
    """A worker's channels."""
    worker = call.workspace.worker(call.sids["worker"])
    call.show(SnapshotPart.CHANNELS, worker.sid)
    return call.page(
        list(worker.channels.values()), lambda c: views.channel_fields(call.workspace, c), lambda c: c.sid
    )


def list_reservations(call: Call) -> object:
    """A worker's reservations."""
    workspace = call.workspace
    worker = workspace.worker(call.sids["worker"])
    active = call.args.get("active", False)
    held = list(worker.reservations.values())
    now = call.workspace.now()
    page = call.page(
        held,
        lambda r: views.reservation_fields(workspace, r, now),
        lambda r: r.sid,
        lambda r: r.is_live or not active,
    )
    if active:
        complete = call.show(SnapshotPart.RESERVATIONS, worker.sid)
        if page.after_sid is None:
            call.on_settled.append(complete)
    return page


def fetch_reservation(call: Call) -> object:
    """One reservation of a worker."""
    reservation = call.workspace.reservation(call.sids["reservation"], worker_sid=call.sids["worker"])
    return views.reservation_fields(call.workspace, reservation, call.workspace.now())


def update_reservation(call: Call) -> object:
    """Answer, end, or instruct."""
    sid, worker_sid, task_sid = call.sids["reservation"], call.sids.get("worker"), call.sids.get("task")
    call.workspace.reservation(sid, worker_sid=worker_sid, task_sid=task_sid)  # another parent's is not found
    parameters = call.taken(*INSTRUCTION, *SUPERVISE)
    return call.run(
        lambda ws: views.short_reservation_fields(
            ws,
            ws.change_reservation(
                sid,
                parameters=parameters,
                on_task=task_sid is not None,
                if_match=call.if_match,
                **call.args,
            ),
        ),
    )


def update_worker_participant(call: Call) -> object:
    """Change a worker's own leg of a conference."""
    parameters, now = call.taken(*WORKER_PARTICIPANT), call.workspace.now()
    return call.run(
        lambda ws: views.reservation_fields(
            ws, ws.update_worker_participant(call.sids["worker"], parameters=parameters, **call.args), now
        ),
    )


def participant_of_task(change: Callable[..., Task]) -> Callable[[Call], object]:
    """A route that changes the conference of a task and answers with the task."""

    def handle(call: Call) -> object:
        call.workspace.worker(call.sids["worker"])
        now, parameters = call.workspace.now(), call.taken(*HOLD)
        if parameters:
            call.args["parameters"] = parameters
        return call.run(lambda ws: views.task_fields(ws, change(ws, **call.args), now))

    return handle


def create_transfer(call: Call) -> object:
    """Begin a transfer."""
    return call.run(
        lambda ws: views.transfer_fields(ws, ws.create_transfer(call.sids["worker"], **call.args)),
    )


def update_transfer(call: Call) -> object:
    """Call a transfer off."""
    return call.run(
        lambda ws: views.transfer_fields(
            ws, ws.cancel_transfer(call.sids["worker"], call.sids["transfer"], **call.args)
        ),
    )


def create_task(call: Call) -> object:
    """Make a task."""
    args = call.args
    by_sid, by_name = args.pop("task_channel_sid", None), args.pop("task_channel_name", None)
    now = call.workspace.now()
    return call.run(
        lambda ws: views.task_fields(ws, ws.create_task(task_channel=by_sid or by_name, **args), now),
    )


def fetch_task(call: Call) -> object:
    """One task."""
    task = call.workspace.task(call.sids["task"])
    return views.task_fields(call.workspace, task, call.workspace.now())


def update_task(call: Call) -> object:
    """Change a task."""
    sid, now = call.sids["task"], call.workspace.now()
    return call.run(
        lambda ws: views.task_fields(ws, ws.update_task(sid, if_match=call.if_match, **call.args), now),
    )


_MICROSECOND: Final = timedelta(microseconds=1)


def _microseconds(moment: float) -> int:
    """What a token tells of a moment: `datetime` has no more."""
    return round(moment * 1_000_000)


_WORKER_ORDER: Final[Mapping[str, queries.SortKey[Worker]]] = {
    "DateStatusChanged": lambda worker: (_microseconds(worker.date_status_changed),)
}
_QUEUE_ORDER: Final[Mapping[str, queries.SortKey[TaskQueue]]] = {
    "DateUpdated": lambda queue: (_microseconds(queue.date_updated),)
}


def list_workers(call: Call) -> object:
    """The workspace's workers."""
    workspace, args = call.workspace, call.args
    tests: list[Callable[[Worker], bool]] = []
    if args.get("friendly_name"):
        tests.append(lambda worker: worker.friendly_name == args["friendly_name"])
    if args.get("activity_sid"):
        tests.append(lambda worker: worker.activity.sid == args["activity_sid"])
    if args.get("activity_name"):
        tests.append(lambda worker: worker.activity.friendly_name == args["activity_name"])
    if args.get("expression"):
        wanted = queries.parsed_expression(
            args["expression"], "TargetWorkersExpression", over=len(workspace.workers)
        )
        tests.append(lambda worker: worker_matches(wanted, worker))
    return _filtered(
        call,
        list(workspace.workers.values()),
        queries.matches_all(tests),
        _WORKER_ORDER,
        lambda worker: (worker.number,),
        lambda worker: views.worker_fields(workspace, worker),
    )


def fetch_task_queue(call: Call) -> object:
    """One queue."""
    return views.task_queue_fields(call.workspace, call.workspace.task_queue(call.sids["queue"]))


def list_task_queues(call: Call) -> object:
    """The workspace's queues."""
    workspace, args = call.workspace, call.args
    tests: list[Callable[[TaskQueue], bool]] = []
    if args.get("friendly_name"):
        tests.append(lambda queue: queue.friendly_name == args["friendly_name"])
    if args.get("worker_sid"):
        tests.append(queries.queue_accepts(workspace, args["worker_sid"]))
    return _filtered(
        call,
        list(workspace.task_queues.values()),
        queries.matches_all(tests),
        _QUEUE_ORDER,
        lambda queue: (_microseconds(queue.date_created),),
        lambda queue: views.task_queue_fields(workspace, queue),
    )


R = TypeVar("R", Worker, TaskQueue)


def _filtered(
    call: Call,
    items: list[R],
    matches: Callable[[R], bool],
    keys: Mapping[str, queries.SortKey[R]],
    created: queries.SortKey[R],
    render: Callable[[R], object],
) -> Page[object]:
    """A page by `AfterSid`, or, if the list is ordered, by `NextToken`."""
    args = call.args
    if not args.get("ordering"):
        return call.page(items, render, lambda item: item.sid, matches)
    [clause, *others] = queries.ordering(args["ordering"], keys)
    if others:
        raise ApiError(400, "Ordering takes one key")
    order = queries.Order([clause], keys, created=created, sid=lambda item: item.sid)
    chosen = order.sorted(filter(matches, items))
    token, size = args.get("next_token"), args.get("page_size", PAGE_SIZE)
    start = bisect_right(chosen, _from_token(token, clause[1]), key=order.place) if token else 0
    shown = chosen[start : start + size]
    more = len(chosen) > start + size
    return page_of(
        [render(item) for item in shown],
        start,
        len(chosen),
        next_token=_to_token(order.place(shown[-1]), clause[1]) if more else None,
    )


_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def _to_token(place: queries.Place, descending: bool) -> str:
    """A SID, a slash and an ISO time, as TaskRouter's tokens look, then what orders those of one moment."""
    (moment, created), sid = place
    time = _EPOCH + int(-moment if descending else moment) * _MICROSECOND
    return f"{sid}/{time.isoformat(timespec='microseconds')}/{int(created)}"


def _from_token(token: str, descending: bool) -> queries.Place:
    try:
        sid, time, created = token.split("/")
        moment = (datetime.fromisoformat(time) - _EPOCH) // _MICROSECOND
        return (-moment if descending else moment, int(created)), sid
    except (ValueError, TypeError):  # TypeError: a moment without a time zone
        raise ApiError(400, "NextToken is not one that this list gave out", code=21481) from None
