"""What the target of REST requests begins with: each operation on things in each state, well and badly."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, urlencode

from server_stub.domain.history import event_sid
from server_stub.domain.instruction_options import PARAMETERS, SUPERVISE_PARAMETERS
from server_stub.rest.operation import Operation
from server_stub.rest.operations import OPERATIONS
from taskrouter_worker.terms import ReservationStatus
from tests.domain.desk import WORKSPACE, Desk

from .corpus import kept
from .offices import COUNTER, EXCHANGE, OFFICES
from .seeds import expressions, workflows

__all__ = ["REQUEST_WORDS", "rest_requests"]

_INSTRUCTIONS: Final = ("accept", "reject", "dequeue", "call", "redirect", "conference", "supervise", "Dance")
_STATUSES: Final = ("pending", "accepted", "rejected", "canceled", "wrapping", "completed", "timeout", "x")
_URLS: Final = ("http://a.example/", "", "http://[", "ftp://a")
_FLAGS: Final = ("true", "no", "x")
_EXPRESSIONS: Final = ("1==1", "worker.n > 1 AND teams HAS 'loans'", "(", "")
_DATES: Final = ("1970-01-12", "1970-01-12T13:46:40Z", "2025-03-01T09:15:30+01:00", "x")
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "FriendlyName": ("x y", "Cards", "ann", " ", "a" * 70),
    "UniqueName": ("fax", "voice", "1 x"),
    "Attributes": (
        '{"n": 5, "teams": ["loans"], "contact_uri": "client:a"}',
        "{",
        "[]",
        '{"a":' * 99 + "{" * 9,
    ),
    "EventsFilter": ("task.created,reservation.created", "x"),
    "Template": ("FIFO", "NONE", "x"),
    "TaskOrder": ("LIFO", "FIFO", "x"),
    "PrioritizeQueueOrder": ("LIFO", "x"),
    "Configuration": (
        json.dumps({"task_routing": {"filters": [], "default_filter": {"queue": "WQ" + "0" * 32}}}),
        "{}",
        "",
    ),
    "AssignmentStatus": ("pending,reserved", "assigned", "canceled", "completed", "wrapping", "x"),
    "Reason": ("x", "é" * 300),
    "Ordering": (
        "DateCreated:asc,VirtualStartTime:asc",
        "Priority:asc,DateCreated:desc",
        "VirtualStartTime",
        "DateStatusChanged:desc",
        "x:y",
    ),
    "VirtualStartTime": _DATES,
    "StartDate": _DATES,
    "EndDate": _DATES,
    "Minutes": ("5", "0", "99999"),
    "SplitByWaitTime": (",".join(map(str, range(1, 30))), "5,10", "0", "x"),
    "EventType": ("task.created", "x"),
    "TaskChannel": ("voice", "default", "x"),
    "TargetWorkers": _EXPRESSIONS,
    "TargetWorkersExpression": _EXPRESSIONS,
    "EvaluateTaskAttributes": _EXPRESSIONS,
    "EvaluateWorkerAttributes": ('{"n": 5}', "[]", *_EXPRESSIONS),
    "PageSize": ("1", "2", "1000", "0"),
    "Page": ("1", "-1", "9" * 120),
    "Timeout": ("60", "601", "0"),
    "Supervisor": ("client:a", "WK" + "0" * 32, "x"),
    "SupervisorMode": ("whisper", "barge", "x"),
    "To": ("client:a", "x"),
    "CallTo": ("client:a",),
    "From": ("+15005550006",),
    "CallFrom": ("+15005550006", ""),
    "RedirectCallSid": ("CA" + "0" * 32, "x"),
    "Beep": ("onEnter", "x"),
    "DequeueRecord": ("record-from-answer", "x"),
    "CallRecord": ("record-from-answer", "x"),
    "Region": ("ie1", "x"),
    "JitterBufferSize": ("small", "x"),
    "ConferenceTrim": ("trim-silence", "do-not-trim", "x"),
    "RecordingChannels": ("dual", "mono", "x"),
    "SipAuthUsername": ("a",),
    "SipAuthPassword": ("secret",),
    "MaxParticipants": ("2", "1", "251"),
}
_CLEARED: Final = ("", "0", "x")
_COLLECTIONS: Final[Mapping[str, str]] = {
    "": "workspaces",
    "Activities": "activities",
    "Workers": "workers",
    "Channels": "worker_channels",
    "TaskChannels": "task_channels",
    "TaskQueues": "task_queues",
    "Workflows": "workflows",
    "Tasks": "tasks",
    "Reservations": "reservations",
}
_SIDS_OF: Final[Mapping[str, str]] = {
    "ActivitySid": "activities",
    "TaskQueueSid": "task_queues",
    "WorkflowSid": "workflows",
    "WorkerSid": "workers",
    "ReservationSid": "reservations",
    "TaskSid": "tasks",
}


def _event(desk: Desk) -> str:
    return event_sid(desk.ws.sid, desk.created[-1].seq)


def _values_of(name: str, desk: Desk) -> tuple[str, ...]:
    """Good and bad values of a parameter; good ones first."""
    ws = desk.ws
    for end, collection in _SIDS_OF.items():
        if name.endswith(end):
            sids = list(getattr(ws, collection)) or [end]
            return (*dict.fromkeys((sids[0], sids[-1])), end[:2] + "f" * 32, "", "x")
    match name:
        case "Configuration":
            return (*(flow.configuration for flow in ws.workflows.values()), *_VALUES[name])
        case "RoutingTarget":
            return (*(next(iter(some)) for some in (ws.workers, ws.task_queues, ws.workflows)), "x")
        case "PageToken":
            sids = [next(iter(ws.workers)), list(ws.tasks)[-1], _event(desk), "x"]
            return tuple(f"{way}{sid}" for way in ("PA", "PB", "") for sid in sids)
        case "Sid":
            return (_event(desk), "EV" + "f" * 32, "x")
        case _ if name in _VALUES:
            return _VALUES[name]
        case _ if name.endswith(("Url", "Callback")):
            return _URLS
        case _ if name.endswith(("Event", "Events")):
            return ("initiated,ringing,answered,completed", "start,end,join", "x")
        case _ if name.endswith("Method"):
            return ("GET", "x")
        case _ if name.endswith("Name"):
            return (*(queue.friendly_name for queue in ws.task_queues.values()), "ann", "Offline", "x")
        case _:
            return ("true", "5", *_CLEARED)


def _paths(operation: Operation, desk: Desk, *, most: int) -> Iterable[str]:
    """The paths of an operation: `most` of the things that it may be about, different ones first."""
    segments, filled = operation.path.split("/"), [operation.path.split("/")]
    for at, segment in enumerate(segments):
        if not segment.startswith("{"):
            continue
        filled = [
            [*path[:at], sid, *path[at + 1 :]]
            for path in filled
            for sid in _sids(desk, segments[at - 1] if at else "", path[at - 2] if at > 1 else "", most)
        ]
    return (f"/v1/Workspaces/{'/'.join(path).strip('/')}".rstrip("/") for path in filled)


def _sids(desk: Desk, collection: str, owner: str, most: int) -> list[str]:
    if collection == "":
        return [desk.ws.sid]
    if collection == "Events":
        return [_event(desk), "EV" + "f" * 32][:most]
    found = list(getattr(desk.ws, _COLLECTIONS[collection]).values())
    if collection == "Channels":
        found = list(desk.ws.workers[owner].channels.values()) if owner in desk.ws.workers else []
    if collection == "Reservations":
        found = [one for one in found if owner in (one.task.sid, one.worker.sid)]
    first_of = {getattr(one, "status", one.sid): one.sid for one in reversed(found)}
    unknown = [found[0].sid[:2] + "f" * 32] if desk.ws.sid == WORKSPACE and found else []
    return [*list(first_of.values())[-most:], *unknown]


@functools.cache
def rest_requests() -> list[bytes]:
    """Each operation in each office; in the first one each value of each parameter, and versions."""
    found: dict[bytes, None] = {}
    swept: set[tuple[str, ...]] = set()
    for sid, made in OFFICES.items():
        desk = made(sid)
        for operation in OPERATIONS:
            names = tuple(param.name for param in operation.params)
            required = [(p.name, _values_of(p.name, desk)[0]) for p in operation.params if p.required]
            paths = list(_paths(operation, desk, most=2 if operation.method == "GET" else 4))
            found.update(dict.fromkeys(_request(operation, path, required) for path in paths))
            if "Instruction" in names:
                for path in paths:
                    found.update(dict.fromkeys(_instructed(operation, path, desk)))
            if operation.method == "POST" and operation.path.endswith("/{sid}"):
                for path in paths[: 4 if "AssignmentStatus" in names else 1]:
                    found.update(dict.fromkeys(_swept(operation, path, desk)))
            if not paths or (operation.method, *names) in swept:
                continue
            swept.add((operation.method, *names))
            found.update(dict.fromkeys(_swept(operation, paths[0], desk)))
            if operation.versioned:
                versions = ("0", '"1"', 'W/"99"', "*", "x")
                found.update(
                    dict.fromkeys(_request(operation, f"{paths[0]} {v}", required) for v in versions)
                )
            if operation.read_body is not None:
                bodies: tuple[dict[str, object], ...] = (
                    {"QueueSids": [*desk.ws.task_queues]},
                    {"QueueSids": ["x"]},
                    {"QueueSids": 5},
                    {},
                )
                head = _request(operation, paths[0], ())
                found.update(dict.fromkeys(head + json.dumps(body).encode() for body in bodies))
        found.update(dict.fromkeys([*_texts(desk), *_destinations(desk)]))
    return list(found)


def _texts(desk: Desk) -> Iterable[bytes]:
    """What the fuzzers of expressions and of workflows begin with, each in its place in a request."""
    base, queue = f"/v1/Workspaces/{desk.ws.sid}", next(iter(desk.ws.task_queues))
    for data in (*expressions(), *kept("expressions")):
        text = quote(data)
        if desk.ws.sid == COUNTER:
            yield f"GET {base}/Workers?TargetWorkersExpression={text}\n".encode()
            yield f"GET {base}/Tasks?EvaluateTaskAttributes={text}\n".encode()
        elif desk.ws.sid == WORKSPACE:
            yield f"POST {base}/TaskQueues/{queue}\nTargetWorkers={text}".encode()
    flow = next(iter(desk.ws.workflows))
    for data in (*workflows(), *kept("workflows")) if desk.ws.sid == WORKSPACE else ():
        text = data.decode("utf-8", "replace")
        given = [data.replace(b"WQ" + b"0" * 32, queue.encode())]
        if not data.startswith(b"{"):
            target = {"queue": queue, "order_by": text, "known_worker_sid": text}
            given = [json.dumps({"task_routing": {"filters": [{"targets": [target]}]}}).encode()]
        for one in given:
            yield f"POST {base}/Workflows/{flow}\nConfiguration={quote(one)}".encode()


def _swept(operation: Operation, path: str, desk: Desk) -> Iterable[bytes]:
    """All parameters at once, and every value of each."""
    plain = [param for param in operation.params if param.name not in (*PARAMETERS, *SUPERVISE_PARAMETERS)]
    yield _request(operation, path, [(param.name, _values_of(param.name, desk)[0]) for param in plain])
    for param in operation.params:
        others = [(p.name, _values_of(p.name, desk)[0]) for p in plain if p.required and p is not param]
        for value in _values_of(param.name, desk)[: None if param in plain else 3]:
            yield _request(operation, path, [*others, (param.name, value)])


def _destinations(desk: Desk) -> Iterable[bytes]:
    """Tasks that are sent to something, and to something else besides."""
    ws = desk.ws
    for to in _values_of("RoutingTarget", desk):
        for name, sids in (("WorkflowSid", ws.workflows), ("TaskQueueSid", ws.task_queues)):
            for sid in sids:
                form = urlencode([("RoutingTarget", to), (name, sid)])
                yield f"POST /v1/Workspaces/{ws.sid}/Tasks\n{form}".encode()


def _instructed(operation: Operation, path: str, desk: Desk) -> Iterable[bytes]:
    activity = next(iter(desk.ws.activities))
    needed = [("CallFrom", "+15005550006"), ("CallUrl", "http://a.example/"), ("To", "client:a")]
    needed += [("RedirectUrl", "http://a.example/"), ("RedirectCallSid", "CA" + "0" * 32)]
    needed += [("CallTo", "client:a"), ("DequeueTo", "client:a"), ("Supervisor", "client:a")]
    for word in _INSTRUCTIONS:
        yield _request(operation, path, [("Instruction", word), *needed])
    held = desk.ws.reservations.get(path.rpartition("/")[2])
    is_offer = held is not None and held.status is ReservationStatus.PENDING
    for name in (*PARAMETERS, *SUPERVISE_PARAMETERS) if desk.ws.sid == EXCHANGE and is_offer else ():
        word = next((one for one in _INSTRUCTIONS if name.lower().startswith(one)), "conference")
        others = [pair for pair in needed if pair[0] != name]
        for value in _values_of(name, desk)[:3]:
            yield _request(operation, path, [("Instruction", word), (name, value), *others])
    for status in _STATUSES:
        yield _request(operation, path, [("ReservationStatus", status)])
    for name, word in (("ReservationStatus", "accepted"), ("Instruction", "reject"), ("Instruction", "call")):
        yield _request(operation, path, [(name, word), ("WorkerActivitySid", activity)])


def _request(operation: Operation, path: str, pairs: Iterable[tuple[str, str]]) -> bytes:
    form = urlencode(list(pairs), quote_via=quote)
    if operation.method == "GET" and form:
        return f"GET {path}?{form}\n".encode()
    return f"{operation.method} {path}\n{form if operation.method == 'POST' else ''}".encode()


REQUEST_WORDS: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(
        [
            *(param.name for operation in OPERATIONS for param in operation.params),
            *(value for values in _VALUES.values() for value in values if len(value) < 40),
            *(*_INSTRUCTIONS, *_STATUSES, *_URLS, *_FLAGS, "PageToken", "&", "=", "%", "/", "?"),
        ]
    )
)
"""Names of parameters and values of each kind."""
