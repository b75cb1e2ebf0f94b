"""The event bridge's routes: one table of inner requests with their parameters, rules and actions.

Routes, parameters and answers are the event bridge's, as the JavaScript SDK uses them. Parameters
are native JSON types and checked by type. What the roles may do is our choice:

* every role reads everything in its workspace;
* a worker changes itself, its reservations and the tasks of which it holds a live reservation, and
  creates tasks that are routed to itself;
* a supervisor does the same, and changes other workers; an admin changes anything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

import msgspec

from taskrouter_worker.resources import Page, PageMeta
from taskrouter_worker.terms import Instruction, Role

from . import queries, views
from .domain.instruction_options import PARAMETERS, SUPERVISE_PARAMETERS
from .domain.model import Task, TaskQueue, Worker
from .domain.routing import worker_matches
from .domain.workspace import Workspace
from .replies import ApiError, method_not_allowed
from .runtime import Runtime
from .tokens import Caller
from .views import SnapshotPart

__all__ = ["Call", "Gate", "HeldFrames", "Path", "Route", "arguments", "find", "not_found"]

PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1000

T = TypeVar("T")


class HeldFrames(Protocol):
    """Frames that are kept back."""

    @property
    def holds_something(self) -> bool:
        """Whether there is a frame at all."""
        ...

    def release(self) -> None:
        """Let them go. Further calls do nothing."""
        ...


class Gate(Protocol):
    """What the sessions have to know about answers."""

    def hold(self, worker_sid: str | None) -> HeldFrames:
        """Keep back the worker's frames from now on."""
        ...

    def show(self, worker_sid: str, part: SnapshotPart, seq: int) -> Callable[[], None]:
        """An answer shows `part` as of `seq`. Call the result when the snapshot's last answer has settled."""
        ...


# --- Parameters: native JSON types, checked by type ---------------------------------------------


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a string")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("an integer")
    return value


def _anything(value: object) -> object:
    return value


def _text_flag(value: object) -> bool:
    # `Active` travels as the text "true".
    if value in ("true", "false"):
        return value == "true"
    return _flag(value)


def _page_size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError("an integer from 1")
    return min(value, MAX_PAGE_SIZE)


def _json_text(value: object) -> str:
    if not isinstance(value, dict):
        raise TypeError("an object")
    return msgspec.json.encode(value).decode()


def _moment(value: object) -> float:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        raise TypeError("a date such as 2025-03-01T09:15:30Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class _Param:
    """One parameter: its name on the wire, how it is read, and as which argument it is handed on."""

    name: str
    read: Callable[[object], object]
    key: str
    required: bool = False


_INSTRUCTION: Final = tuple(_Param(name, _anything, name) for name in PARAMETERS)
"""Parameters of instructions: the domain reads them, in whichever spelling they come."""

_SUPERVISE: Final = tuple(_Param(name, _anything, name) for name in SUPERVISE_PARAMETERS)
_WORKER_PARTICIPANT: Final = tuple(
    _Param(name, _anything, name) for name in ("EndConferenceOnExit", "Mute", "BeepOnExit")
)
_TASK_SID: Final = _Param("TaskSid", _text, "task_sid", required=True)
_TARGET_WORKER_SID: Final = _Param("TargetWorkerSid", _text, "target_worker_sid", required=True)
_HOLD: Final = tuple(_Param(name, _anything, name) for name in ("Hold", "HoldUrl", "HoldMethod"))

_PAGING: Final = (_Param("PageSize", _page_size, "page_size"), _Param("AfterSid", _text, "after_sid"))


@dataclass(slots=True, kw_only=True)
class Call:
    """One inner request on its way through a route."""

    runtime: Runtime
    gate: Gate
    caller: Caller
    workspace: Workspace
    sids: dict[str, str]
    args: dict[str, Any]  # Any: each route knows the types of its own parameters
    if_match: int | None
    on_settled: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def taken(self, *params: _Param) -> dict[str, object]:
        """Those of the parameters that were given, by their names on the wire; no arguments any more."""
        return {param.name: self.args.pop(param.key) for param in params if param.key in self.args}

    def is_own(self, worker_sid: str) -> bool:
        """Whether the caller is that worker."""
        return self.caller.worker_sid == worker_sid

    def show(self, part: SnapshotPart, worker_sid: str | None = None) -> Callable[[], None]:
        """Stamp the answer, if it is part of what the calling worker's sessions start from."""
        own = self.caller.worker_sid
        if own is None or worker_sid not in (None, own):
            return _nothing
        return self.gate.show(own, part, self.workspace.seq)

    def page(
        self,
        items: Sequence[T],
        render: Callable[[T], object],
        sid: Callable[[T], str],
        matches: Callable[[T], bool] = lambda _: True,
    ) -> Page[object]:
        """The page of the matching items that `AfterSid` and `PageSize` ask for.

        The item that it follows is looked up among all, as over REST: it may match no longer.
        """
        after = self.args.get("after_sid")
        index = -1
        if after:
            found = queries.index_of(items, lambda item: sid(item) == after)
            if found is None:
                raise ApiError(
                    400, f"AfterSid '{after}' is not in the list any more: begin again", code=21481
                )
            index = found
        places = [place for place, item in enumerate(items) if matches(item)]
        start = bisect_right(places, index)
        end = start + self.args.get("page_size", PAGE_SIZE)
        shown = [items[place] for place in places[start:end]]
        last = sid(shown[-1]) if end < len(places) else None
        return _page([render(item) for item in shown], start, len(places), after_sid=last)


def _page(
    contents: list[object],
    start: int,
    total: int,
    *,
    after_sid: str | None = None,
    next_token: str | None = None,
) -> Page[object]:
    return Page(
        contents=contents,
        after_sid=after_sid,
        total=total,
        start=start,
        end=start + len(contents),
        meta=PageMeta(next_token=next_token),
    )


def _nothing() -> None:
    pass


# --- What the routes do -------------------------------------------------------------------------


def _fetch_worker(call: Call) -> object:
    worker = call.workspace.worker(call.sids["worker"])
    call.show(SnapshotPart.WORKER, worker.sid)
    return views.worker_fields(call.workspace, worker)


def _update_worker(call: Call) -> object:
    sid = call.sids["worker"]
    return call.runtime.run(
        call.workspace,
        lambda ws: views.worker_fields(ws, ws.update_worker(sid, if_match=call.if_match, **call.args)),
    )


def _list_activities(call: Call) -> object:
    call.show(SnapshotPart.ACTIVITIES)
    workspace = call.workspace
    return call.page(
        list(workspace.activities.values()), lambda a: views.activity_fields(workspace, a), lambda a: a.sid
    )


def _list_channels(call: Call) -> object:
    worker = call.workspace.worker(call.sids["worker"])
    call.show(SnapshotPart.CHANNELS, worker.sid)
    return call.page(
        list(worker.channels.values()), lambda c: views.channel_fields(call.workspace, c), lambda c: c.sid
    )


def _list_reservations(call: Call) -> object:
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


def _fetch_reservation(call: Call) -> object:
    reservation = call.workspace.reservation(call.sids["reservation"], worker_sid=call.sids["worker"])
    return views.reservation_fields(call.workspace, reservation, call.workspace.now())


def _update_reservation(call: Call) -> object:
    sid, worker_sid, task_sid = call.sids["reservation"], call.sids.get("worker"), call.sids.get("task")
    call.workspace.reservation(sid, worker_sid=worker_sid, task_sid=task_sid)  # another parent's is not found
    parameters = call.taken(*_INSTRUCTION, *_SUPERVISE)
    return call.runtime.run(
        call.workspace,
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


def _update_worker_participant(call: Call) -> object:
    parameters, now = call.taken(*_WORKER_PARTICIPANT), call.workspace.now()
    return call.runtime.run(
        call.workspace,
        lambda ws: views.reservation_fields(
            ws, ws.update_worker_participant(call.sids["worker"], parameters=parameters, **call.args), now
        ),
    )


def _participant_of_task(change: Callable[..., Task]) -> Callable[[Call], object]:
    """A route that changes the conference of a task and answers with the task."""

    def handle(call: Call) -> object:
        call.workspace.worker(call.sids["worker"])
        now, parameters = call.workspace.now(), call.taken(*_HOLD)
        if parameters:
            call.args["parameters"] = parameters
        return call.runtime.run(
            call.workspace, lambda ws: views.task_fields(ws, change(ws, **call.args), now)
        )

    return handle


def _create_transfer(call: Call) -> object:
    return call.runtime.run(
        call.workspace,
        lambda ws: views.transfer_fields(ws, ws.create_transfer(call.sids["worker"], **call.args)),
    )


def _update_transfer(call: Call) -> object:
    return call.runtime.run(
        call.workspace,
        lambda ws: views.transfer_fields(
            ws, ws.cancel_transfer(call.sids["worker"], call.sids["transfer"], **call.args)
        ),
    )


def _create_task(call: Call) -> object:
    args = call.args
    by_sid, by_name = args.pop("task_channel_sid", None), args.pop("task_channel_name", None)
    now = call.workspace.now()
    return call.runtime.run(
        call.workspace,
        lambda ws: views.task_fields(ws, ws.create_task(task_channel=by_sid or by_name, **args), now),
    )


def _fetch_task(call: Call) -> object:
    task = call.workspace.task(call.sids["task"])
    return views.task_fields(call.workspace, task, call.workspace.now())


def _update_task(call: Call) -> object:
    sid, now = call.sids["task"], call.workspace.now()
    return call.runtime.run(
        call.workspace,
        lambda ws: views.task_fields(ws, ws.update_task(sid, if_match=call.if_match, **call.args), now),
    )


_WORKER_ORDER: Final[Mapping[str, Callable[[Worker], float]]] = {
    "DateStatusChanged": lambda worker: worker.date_status_changed
}
_QUEUE_ORDER: Final[Mapping[str, Callable[[TaskQueue], float]]] = {
    "DateUpdated": lambda queue: queue.date_updated
}


def _list_workers(call: Call) -> object:
    workspace, args = call.workspace, call.args
    tests: list[Callable[[Worker], bool]] = []
    if args.get("friendly_name"):
        tests.append(lambda worker: worker.friendly_name == args["friendly_name"])
    if args.get("activity_sid"):
        tests.append(lambda worker: worker.activity.sid == args["activity_sid"])
    if args.get("activity_name"):
        tests.append(lambda worker: worker.activity.friendly_name == args["activity_name"])
    if args.get("expression"):
        wanted = queries.parsed_expression(args["expression"], "TargetWorkersExpression")
        tests.append(lambda worker: worker_matches(wanted, worker))
    return _filtered(
        call,
        list(workspace.workers.values()),
        queries.matches_all(tests),
        _WORKER_ORDER,
        lambda worker: views.worker_fields(workspace, worker),
    )


def _fetch_task_queue(call: Call) -> object:
    return views.task_queue_fields(call.workspace, call.workspace.task_queue(call.sids["queue"]))


def _list_task_queues(call: Call) -> object:
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
        lambda queue: views.task_queue_fields(workspace, queue),
    )


R = TypeVar("R", Worker, TaskQueue)


def _filtered(
    call: Call,
    items: list[R],
    matches: Callable[[R], bool],
    keys: Mapping[str, Callable[[R], float]],
    render: Callable[[R], object],
) -> Page[object]:
    """A page by `AfterSid`, or, if the list is ordered, by `NextToken`."""
    args = call.args
    if not args.get("ordering"):
        return call.page(items, render, lambda item: item.sid, matches)
    [(name, descending), *others] = queries.ordering(args["ordering"], keys)
    if others:
        raise ApiError(400, "Ordering takes one key")
    key = keys[name]
    number = {item.sid: i for i, item in enumerate(items)}

    # A token tells the moment and the item that a page ended with. What changes between two pages
    # moves in the list, so the moment decides where to go on, not the item's present place.
    def place(moment: int, sid: str) -> tuple[int, int]:
        return (-moment if descending else moment, number.get(sid, -1))

    chosen = [item for item in items if matches(item)]
    chosen.sort(key=lambda item: place(_microseconds(key(item)), item.sid))
    start = 0
    if args.get("next_token"):
        behind = place(*_from_token(args["next_token"]))
        start = sum(1 for item in chosen if place(_microseconds(key(item)), item.sid) <= behind)
    size = args.get("page_size", PAGE_SIZE)
    shown = chosen[start : start + size]
    token = _to_token(shown[-1].sid, _microseconds(key(shown[-1]))) if len(chosen) > start + size else None
    return _page([render(item) for item in shown], start, len(chosen), next_token=token)


_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _microseconds(moment: float) -> int:
    return round(moment * 1_000_000)


def _to_token(sid: str, moment: int) -> str:
    return f"{sid}/{(_EPOCH + moment * _MICROSECOND).isoformat(timespec='microseconds')}"


def _from_token(token: str) -> tuple[int, str]:
    """The moment in microseconds and the SID."""
    sid, _, moment = token.partition("/")
    try:
        return (datetime.fromisoformat(moment) - _EPOCH) // _MICROSECOND, sid
    except (ValueError, TypeError):  # TypeError: a moment without a time zone
        raise ApiError(400, "NextToken is not one that this list gave out", code=21481) from None


# --- Who may do what ----------------------------------------------------------------------------

Rule = Callable[[Call], str | None]
"""None if the caller may, otherwise what is not allowed."""


def _anyone(_call: Call) -> str | None:
    return None


def _self_or_supervisor(call: Call) -> str | None:
    if call.is_own(call.sids["worker"]) or call.caller.role is Role.SUPERVISOR:
        return None
    return "a worker may change only itself"


def _own_reservation(call: Call) -> str | None:
    return None if call.is_own(call.sids["worker"]) else "a worker may change only its own reservations"


def _own_task(call: Call) -> str | None:
    task = call.workspace.task(call.sids["task"])
    if any(call.is_own(reservation.worker.sid) for reservation in task.live_reservations):
        return None
    return "a worker may change only tasks of which it holds a live reservation"


def _own_transfer(call: Call) -> str | None:
    if call.is_own(call.sids["worker"]) and _names_own_reservation(call):
        return None
    return "a worker may transfer only its own tasks"


def _names_own_reservation(call: Call) -> bool:
    """Whether the reservation among the parameters is the caller's; an unknown one is not for a rule."""
    reservation = call.workspace.reservations.get(call.args.get("reservation_sid", ""))
    return reservation is None or call.is_own(reservation.worker.sid)


def _own_participants(call: Call) -> str | None:
    if not call.is_own(call.sids["worker"]):
        return "a worker may act only as itself"
    if not _names_own_reservation(call):
        return "a worker may change only its own leg of a conference"
    task = call.workspace.tasks.get(call.args.get("task_sid", ""))
    if task is None or any(call.is_own(r.worker.sid) for r in task.live_reservations):
        return None  # a task that there is not is the command's to refuse
    return "a worker may change only conferences of tasks of which it holds a live reservation"


def _supervises(call: Call) -> str | None:
    word = call.args.get("instruction", "").lower()
    own = call.caller.worker_sid  # a supervisor's token may name none: then it is nobody that could listen
    as_itself = own is not None and call.args.get("Supervisor") == own
    if call.caller.role is Role.SUPERVISOR and word == Instruction.SUPERVISE and as_itself:
        return None
    return "only a supervisor may supervise another worker's reservation, and only as itself"


def _routed_to_itself(call: Call) -> str | None:
    target = call.args.get("routing_target")
    if target is not None and target == call.caller.worker_sid:
        return None
    return "a worker may create only tasks whose RoutingTarget is itself"


# --- The routes ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One inner request that is offered."""

    method: str
    path: str  # names in braces are SIDs
    handle: Callable[[Call], object]
    params: tuple[_Param, ...] = ()
    rule: Rule = _anyone
    versioned: bool = False  # takes If-Match


_W: Final = "Workspaces/{workspace}"

_ROUTES: Final = (
    Route(method="GET", path=f"{_W}/Workers/{{worker}}", handle=_fetch_worker),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}",
        handle=_update_worker,
        rule=_self_or_supervisor,
        versioned=True,
        params=(
            _Param("Attributes", _json_text, "attributes"),
            _Param("ActivitySid", _text, "activity_sid"),
            _Param("RejectPendingReservations", _flag, "reject_pending_reservations"),
        ),
    ),
    Route(method="GET", path=f"{_W}/Activities", handle=_list_activities, params=_PAGING),
    Route(
        method="GET", path=f"{_W}/Workers/{{worker}}/WorkerChannels", handle=_list_channels, params=_PAGING
    ),
    Route(
        method="GET",
        path=f"{_W}/Workers/{{worker}}/Reservations",
        handle=_list_reservations,
        params=(*_PAGING, _Param("Active", _text_flag, "active")),
    ),
    Route(
        method="GET",
        path=f"{_W}/Workers/{{worker}}/Reservations/{{reservation}}",
        handle=_fetch_reservation,
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/Reservations/{{reservation}}",
        handle=_update_reservation,
        rule=_own_reservation,
        versioned=True,
        params=(
            _Param("ReservationStatus", _text, "status"),
            _Param("WorkerActivitySid", _text, "worker_activity_sid"),
            _Param("Instruction", _text, "instruction"),
            *_INSTRUCTION,
        ),
    ),
    Route(
        method="POST",
        path=f"{_W}/Tasks/{{task}}/Reservations/{{reservation}}",
        handle=_update_reservation,
        rule=_supervises,
        versioned=True,
        params=(
            _Param("ReservationStatus", _text, "status"),
            _Param("WorkerActivitySid", _text, "worker_activity_sid"),
            _Param("Instruction", _text, "instruction"),
            *_INSTRUCTION,
            *_SUPERVISE,
        ),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/WorkerParticipant",
        handle=_update_worker_participant,
        rule=_own_participants,
        params=(
            _Param("ReservationSid", _text, "reservation_sid", required=True),
            *_WORKER_PARTICIPANT,
        ),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/CustomerParticipant",
        handle=_participant_of_task(Workspace.update_customer_participant),
        rule=_own_participants,
        params=(_TASK_SID, *_HOLD),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/HoldWorkerParticipant",
        handle=_participant_of_task(Workspace.hold_worker_participant),
        rule=_own_participants,
        params=(_TASK_SID, _TARGET_WORKER_SID, *_HOLD),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/KickWorkerParticipant",
        handle=_participant_of_task(Workspace.kick_worker_participant),
        rule=_own_participants,
        params=(_TASK_SID, _TARGET_WORKER_SID),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/Transfers",
        handle=_create_transfer,
        rule=_own_transfer,
        params=(
            _Param("ReservationSid", _text, "reservation_sid", required=True),
            _TASK_SID,
            _Param("To", _text, "to", required=True),
            _Param("Attributes", _json_text, "attributes"),
            _Param("Mode", _text, "mode"),
            _Param("Priority", _integer, "priority"),
        ),
    ),
    Route(
        method="POST",
        path=f"{_W}/Workers/{{worker}}/Transfers/{{transfer}}",
        handle=_update_transfer,
        rule=_own_transfer,
        params=(_TASK_SID, _Param("TransferStatus", _text, "status", required=True)),
    ),
    Route(
        method="POST",
        path=f"{_W}/Tasks",
        handle=_create_task,
        rule=_routed_to_itself,
        params=(
            _Param("WorkflowSid", _text, "workflow_sid"),
            _Param("TaskQueueSid", _text, "task_queue_sid"),
            _Param("RoutingTarget", _text, "routing_target"),
            _Param("Attributes", _json_text, "attributes"),
            _Param("VirtualStartTime", _moment, "virtual_start_time"),
            _Param("TaskChannelUniqueName", _text, "task_channel_name"),
            _Param("TaskChannelSid", _text, "task_channel_sid"),
        ),
    ),
    Route(method="GET", path=f"{_W}/Tasks/{{task}}", handle=_fetch_task),
    Route(
        method="POST",
        path=f"{_W}/Tasks/{{task}}",
        handle=_update_task,
        rule=_own_task,
        versioned=True,
        params=(
            _Param("AssignmentStatus", _text, "assignment_status"),
            _Param("Reason", _text, "reason"),
            _Param("Attributes", _json_text, "attributes"),
            _Param("VirtualStartTime", _moment, "virtual_start_time"),
        ),
    ),
    Route(
        method="GET",
        path=f"{_W}/Workers",
        handle=_list_workers,
        params=(
            *_PAGING,
            _Param("FriendlyName", _text, "friendly_name"),
            _Param("ActivitySid", _text, "activity_sid"),
            _Param("ActivityName", _text, "activity_name"),
            _Param("TargetWorkersExpression", _text, "expression"),
            _Param("Ordering", _text, "ordering"),
            _Param("NextToken", _text, "next_token"),
        ),
    ),
    Route(method="GET", path=f"{_W}/TaskQueues/{{queue}}", handle=_fetch_task_queue),
    Route(
        method="GET",
        path=f"{_W}/TaskQueues",
        handle=_list_task_queues,
        params=(
            *_PAGING,
            _Param("FriendlyName", _text, "friendly_name"),
            _Param("WorkerSid", _text, "worker_sid"),
            _Param("Ordering", _text, "ordering"),
            _Param("NextToken", _text, "next_token"),
        ),
    ),
)

Path = tuple[str, ...]


def _pattern(path: str) -> Path:
    return tuple(path.split("/"))


def _sids(pattern: Path, path: Path) -> dict[str, str] | None:
    """The SIDs in `path`, which is as long, by their names; None if it does not match."""
    found: dict[str, str] = {}
    for name, segment in zip(pattern, path, strict=True):
        if name.startswith("{") and segment:
            found[name[1:-1]] = segment
        elif name != segment:
            return None
    return found


_TABLE: Final[Mapping[int, Mapping[Path, Mapping[str, Route]]]] = {
    length: {
        pattern: {route.method: route for route in _ROUTES if _pattern(route.path) == pattern}
        for pattern in {_pattern(route.path) for route in _ROUTES}
        if len(pattern) == length
    }
    for length in {len(_pattern(route.path)) for route in _ROUTES}
}
"""By the length of the path, which rules most of them out."""


def find(method: str, path: Path) -> tuple[Route, dict[str, str]]:
    """The route of an inner request, and the SIDs in its path by their names.

    Raises:
        ApiError: 404 or 405.
    """
    for pattern, methods in _TABLE.get(len(path), {}).items():
        sids = _sids(pattern, path)
        if sids is None:
            continue
        if method not in methods:
            raise method_not_allowed(method, *methods)
        return methods[method], sids
    raise not_found(path)


def not_found(path: Path) -> ApiError:
    """404, in TaskRouter's words."""
    return ApiError(404, f"The requested resource /{'/'.join(path)} was not found")


def arguments(route: Route, params: Mapping[str, object]) -> dict[str, Any]:
    """The parameters of the route by their argument names. Null means not given; unknown ones are ignored."""
    args: dict[str, Any] = {}
    for param in route.params:
        value = params.get(param.name)
        if value is None:
            if param.required:
                raise ApiError(400, f"{param.name} field is required")
            continue
        try:
            args[param.key] = param.read(value)
        except TypeError as expected:
            raise ApiError(400, f"{param.name} must be {expected}") from None
    return args
