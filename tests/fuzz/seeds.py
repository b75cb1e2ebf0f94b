"""What each target begins with: the payloads that others wrote, and examples of what the tests send."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import msgspec

from server_stub.domain.instruction_options import PARAMETERS
from server_stub.domain.memento import dump
from server_stub.rest.operations import OPERATIONS
from taskrouter_worker.events import _PAYLOADS
from taskrouter_worker.recording import Recorder

from .doors import CREDENTIALS, NOW, claims_token, office_sids
from .offices import OFFICES

__all__ = ["ROOT", "payload"]

ROOT: Final = Path(__file__).parents[2]
_PAYLOADS_DIRECTORY: Final = ROOT / "tests" / "payloads"


def payload(name: str) -> Any:  # Any: JSON
    """One of the payloads that this project did not make."""
    return json.loads((_PAYLOADS_DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


TRANSFER: Final = {
    "sid": "TT" + "0" * 32,
    "transfer_type": "WORKER",
    "transfer_mode": "COLD",
    "transfer_to": "WK" + "0" * 32,
    "transfer_status": "initiated",
    "initiating_reservation_sid": "WR" + "0" * 32,
    "initiating_worker_sid": "WK" + "1" * 32,
    "initiating_queue_sid": None,
    "initiating_workflow_sid": None,
    "date_created": 1,
    "date_updated": 2,
    "task_sid": "WT" + "0" * 32,
}
CHANNEL: Final = {
    "sid": "WC" + "0" * 32,
    "account_sid": "AC" + "0" * 32,
    "workspace_sid": "WS" + "0" * 32,
    "worker_sid": "WK" + "0" * 32,
    "task_channel_sid": "TC" + "0" * 32,
    "task_channel_unique_name": "chat",
    "configured_capacity": 3,
    "assigned_tasks": 1,
    "available": 1,
    "available_capacity_percentage": 66,
    "date_created": 1,
    "date_updated": 2,
    "last_reserved_time": None,
    "version": 4,
}
ACTIVITY: Final = {
    "sid": "WA" + "0" * 32,
    "account_sid": "AC" + "0" * 32,
    "workspace_sid": "WS" + "0" * 32,
    "friendly_name": "Offline",
    "available": False,
    "date_created": 1,
    "date_updated": 2,
}


def frames() -> list[bytes]:
    """A frame of every event, and what is none."""
    found = [b"", b" ", b"{}", b"[]", b'{"event_type": "unknown", "payload": {}}', b'"text"', b"\xff"]
    found.append(_json(payload("init")))
    reservation = payload("reservation")
    for event in _PAYLOADS:
        body: Any = {"sid": "WT" + "0" * 32, "reason": "x"}
        if event.startswith("task.transfer"):
            body = TRANSFER
        elif event.startswith("task."):
            body = reservation["task"]
        elif event.startswith("reservation.") and event != "reservation.failed":
            body = {**reservation, "task_transfer": TRANSFER, "active_outgoing_task_transfer": None}
        elif "capacity" in event or "channel" in event:
            body = CHANNEL
        elif event.startswith("worker."):
            body = payload("worker")
        elif event == "init":
            continue
        found.append(_json({"event_type": str(event), "payload": body}))
    return found


def answers() -> list[bytes]:
    """Answers of each status, and a page of each kind."""
    page = payload("page")
    bodies: list[Any] = [payload("worker"), payload("reservation"), payload("reservation_short"), page]
    bodies += [{**page, "contents": [one]} for one in (ACTIVITY, CHANNEL, payload("reservation"))]
    found = [b"\x00\n" + _json({"payload": body}) for body in bodies]
    failure = _json({"code": 20429, "message": "Too Many Requests", "status": 429})
    waits = ("", "3", "-1", "nan", "inf", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 -0000")
    found += [bytes([number]) + wait.encode() + b"\n" + failure for number in range(2, 12) for wait in waits]
    return [*found, b"", b"\x01", b"\x0a1\n<html>"]


def _claims() -> list[dict[str, Any]]:
    sids = office_sids()
    grant = {"workspace_sid": sids["workspace"], "worker_sid": sids["worker"], "role": "worker"}
    access = {
        "iss": CREDENTIALS.signing_key_sid,
        "sub": CREDENTIALS.account_sid,
        "exp": NOW + 100,
        "grants": {"task_router": grant},
    }
    policies = [
        {"url": "https://event-bridge.twilio.com/v1/wschannels/**", "method": "POST", "allow": True},
        {"url": "/v1/Workspaces/**", "method": "GET", "allow": True, "query_filter": {}},
        {
            "url": "/v1/*/x",
            "method": "POST",
            "allow": False,
            "post_filter": {"A": {"required": True}, "B": 1},
        },
    ]
    capability = {
        "iss": CREDENTIALS.account_sid,
        "account_sid": CREDENTIALS.account_sid,
        "exp": NOW + 100,
        "nbf": 0,
        "workspace_sid": sids["workspace"],
        "worker_sid": sids["worker"],
        "policies": policies,
    }
    supervisor = {**access, "grants": {"task_router": {**grant, "role": "supervisor", "worker_sid": None}}}
    return [access, supervisor, capability, {**access, "exp": 1}, payload("token_claims")]


def sdk_tokens() -> list[bytes]:
    """Tokens, and what is none."""
    found = [str(claims_token(kind, claims)).encode() for claims in _claims() for kind in (b"s", b"a", b"n")]
    return [*found, b"a.b.c", b"", base64.b64encode(b'{"exp": 1}'), b"\xff", b"e30.e30."]


def server_tokens() -> list[bytes]:
    """Claims behind the letter of who signs them, and whole tokens."""
    signed = [kind + _json(claims) for claims in _claims() for kind in (b"s", b"S", b"a", b"o", b"n")]
    return [*signed, *sdk_tokens()]


def expressions() -> list[bytes]:
    """What the language has."""
    texts = (
        "1==1",
        "worker.n >= 5 AND NOT task.b",
        "tags HAS 'a' OR s IN ['5', \"6\", null, true, -1.5]",
        "(n == 5) or (f != 5.5 and z == NULL)",
        "o.x.y <> 7 AND l[0].k = 1",
        's CONTAINS "a\\"b" AND \'x\' <- tags AND tags >- 1',
        "n NOT IN [1, 2] AND NOT NOT (b)",
        "((((n < 1.0)))) OR TRUE",
        "tags HAS worker.n AND 5 IN nums",
        "a-b == 1",
        *(
            "'a' IN tags",
            "s IN ['5']",
            "n IN []",
            "n NOT IN [1]",
            "s NOT IN tags",
            "s CONTAINS '5'",
            "z == null",
        ),
        *("tags == tags", "o == o", "o HAS 1", "n != 5", "NOT b", "b", "z", "s AND n", "z OR n", "1.5 == f"),
        *(
            "f > 0.1",
            "s >= '4'",
            "s <= '6'",
            "s < 5",
            "n < s",
            "b == TRUE",
            "b == 1",
            "l[0].k == 1",
            "l[9] == 1",
        ),
        *("o[0] == 1", "n.x == 1", "s CONTAINS n", "n CONTAINS '5'", "z != null", "TRUE", "null", "5 = 5.0"),
        *("n IN [1, x]", "n == 1 " + "x" * 60, "NOT " * 60 + "b"),
        "'open",
        "n == " + "9" * 30,
        "n == " + "9" * 350 + ".5",
        "[",
        "",
    )
    return [text.encode() for text in texts]


def workflows() -> list[bytes]:
    """Configurations with everything that one may hold, and orders."""
    queue, other = "WQ" + "0" * 32, "WQ" + "1" * 32
    full = {
        "task_routing": {
            "filters": [
                {
                    "filter_friendly_name": "cards",
                    "expression": "n == 5",
                    "targets": [
                        {"queue": queue, "priority": 3, "timeout": "30", "expression": "worker.n >= task.n"},
                        {"order_by": "worker.n DESC, worker.f", "skip_if": "workers.available == 0"},
                        {"queue": other, "known_worker_sid": "task.last"},
                    ],
                },
                {
                    "friendly_name": "x",
                    "expression": "1==1",
                    "targets": [{"queue": queue, "known_worker_friendly_name": "task.o.x"}],
                },
            ],
            "default_filter": {"queue": other},
        }
    }
    small = {"task_routing": {"filters": [], "default_filter": {"task_queue_sid": queue}}}
    both = {"queue": queue, "known_worker_sid": "task.a", "known_worker_friendly_name": "task.b"}
    found = [_json(one) for one in (full, small, {}, {"task_routing": {"filters": [{"targets": [both]}]}})]
    return [
        *found,
        b"worker.n DESC, worker.o.x asc",
        b"task.n",
        b"worker.l[0]",
        b"worker.n x",
        b"",
        b"worker.",
    ]


_OPTIONS: Final[dict[str, Any]] = {
    "DequeueTo": "client:a",
    "DequeueTimeout": 30,
    "DequeuePostWorkActivitySid": "WA" + "0" * 32,
    "DequeueStatusCallbackUrl": "http://a.example/",
    "DequeueStatusCallbackEvent": ["initiated", "ringing"],
    "CallTo": "+15005550006",
    "CallUrl": "https://a.example/call?x=1",
    "CallAccept": "true",
    "CallTimeout": "60",
    "RedirectCallSid": "CA" + "0" * 32,
    "RedirectUrl": "http://a.example/",
    "To": "sip:a@b.example",
    "Timeout": 599,
    "Record": "record-from-start",
    "Beep": "onEnter",
    "Muted": True,
    "MaxParticipants": 10,
    "ConferenceStatusCallback": "http://a.example/",
    "ConferenceStatusCallbackEvent": "start,end",
    "ConferenceRecord": True,
    "RecordingStatusCallback": "http://a.example/",
    "Region": "ie1",
    "JitterBufferSize": "small",
    "SipAuthPassword": "secret",
    "Supervisor": "WK" + "0" * 32,
    "SupervisorMode": "whisper",
    "PostWorkActivitySid": "WA" + "0" * 32,
}


def instructions() -> list[bytes]:
    """All options at once, each alone, and none."""
    return [_json(_OPTIONS), b"{}", *(_json({name: value}) for name, value in _OPTIONS.items())]


def callback_answers() -> list[bytes]:
    """Answers for each instruction, and the ones that cannot be used."""
    texts: list[Any] = [
        {"instruction": "accept"},
        {"instruction": "reject", "activity_sid": "WA" + "0" * 32},
        {
            "instruction": "dequeue",
            "to": "client:a",
            "timeout": 10,
            "status_callback_url": "http://a.example/",
        },
        {"instruction": "call", "to": "+15005550006", "from": "+15005550006", "url": "http://a.example/"},
        {"instruction": "redirect", "call_sid": "CA" + "0" * 32, "url": "http://a.example/", "accept": True},
        {"instruction": "conference", "from": "x", "sip_auth_password": "secret", "max_participants": "3"},
        [],
        None,
    ]
    return [b"  " + _json(text) for text in texts] + [b"r {}", b"e {}", b" t{}", b" n{}", b"  "]


def faults() -> list[bytes]:
    """Rules, actions and a log."""
    rule = {"fault": "refuse_request", "status": 503, "retry_after": 3, "door": "rest", "method": "GET"}
    rules: list[Any] = [
        {"fault": "drop", "event_type": "reservation.*", "share": 0.5, "seed": 7},
        {"fault": "delay", "delay": 1.5, "times": 3, "after": 2, "worker_sid": "WK" + "0" * 32},
        {"fault": "reorder", "only": [1, 3]},
        {"fault": "slow_init", "delay": 2, "for_seconds": 9.5},
        {**rule, "path": "*/Tasks"},
        {"action": "cut", "workspace_sid": "WS" + "0" * 32, "session": 3},
        {"log": [{"number": 1, "at": 1.5, "rule_id": 1, "rule": rule, "nth": 2, "hit": 1, "door": "rest"}]},
        {"log": [{"number": 1, "at": 1, "action": {"action": "restart"}, "session": 1}]},
    ]
    return [_json(one) for one in rules]


_FORM: Final = {
    "FriendlyName": "x y",
    "Attributes": '{"a": 1}',
    "ActivitySid": "WA" + "0" * 32,
    "Priority": "3",
    "Timeout": "60",
    "TargetWorkers": "1==1",
    "VirtualStartTime": "2025-03-01T09:15:30Z",
    "StartDate": "2025-03-01",
    "EventCallbackUrl": "http://a.example/",
    "MultiTaskEnabled": "true",
    "ReservationStatus": "accepted",
    "Instruction": "accept",
    "TaskOrder": "LIFO",
    "PageSize": "5",
    "MaxReservedWorkers": "5",
    "Available": "yes",
    "SplitByWaitTime": "5,10",
}


def _quoted(pairs: dict[str, str]) -> bytes:
    from urllib.parse import urlencode  # noqa: PLC0415 - used here alone

    return urlencode(pairs).encode()


def forms() -> list[bytes]:
    """A form for each operation, and bodies of JSON."""
    found = [operation.path.encode("ascii") for operation in OPERATIONS]
    lines = [bytes([number + 35]) + b' "3"\n' + _quoted(_FORM) for number in range(len(OPERATIONS))]
    sids = b'{"QueueSids": ["WQ' + b"0" * 32 + b'"]}'
    bulk = next(number for number, operation in enumerate(OPERATIONS) if operation.read_body is not None)
    head = next(chr(code) for code in range(35, 127) if code % len(OPERATIONS) == bulk)
    options = {name: str(_OPTIONS.get(name, "x")) for name in PARAMETERS}
    tasks = b"/Workspaces/WS1/Tasks/WT1/Reservations/WR1 3\n"
    return [
        *lines,
        tasks + _quoted(options),
        head.encode() + b"\n" + sids,
        *found[:3],
        b'/Workspaces W/"1"\n%ff=%zz',
    ]


def bridge_requests() -> list[bytes]:
    """An envelope for each route."""
    sids = office_sids()
    ws, worker = f"Workspaces/{sids['workspace']}", f"Workspaces/{sids['workspace']}/Workers/{sids['worker']}"
    reservation = f"{worker}/Reservations/{sids['reservation']}"
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", worker, {}),
        ("POST", worker, {"ActivitySid": sids["activity"], "Attributes": {"a": 1}}),
        ("POST", worker, {"RejectPendingReservations": True, "ActivitySid": sids["activity"]}),
        ("GET", f"{ws}/Activities", {"PageSize": 1}),
        ("GET", f"{worker}/WorkerChannels", {"AfterSid": None}),
        ("GET", f"{worker}/Reservations", {"Active": "true", "PageSize": 1000}),
        ("GET", reservation, {}),
        ("POST", reservation, {"ReservationStatus": "completed"}),
        ("POST", reservation, {"Instruction": "conference", "To": "client:a", "From": "x"}),
        ("POST", reservation, {"Instruction": "call", **_OPTIONS}),
        ("POST", f"{worker}/WorkerParticipant", {"ReservationSid": sids["reservation"], "Mute": True}),
        ("POST", f"{worker}/CustomerParticipant", {"TaskSid": sids["task"], "Hold": True}),
        (
            "POST",
            f"{worker}/KickWorkerParticipant",
            {"TaskSid": sids["task"], "TargetWorkerSid": sids["worker"]},
        ),
        (
            "POST",
            f"{worker}/Transfers/{sids['transfer']}",
            {"TaskSid": sids["task"], "TransferStatus": "canceled"},
        ),
        (
            "POST",
            f"{worker}/Transfers",
            {
                "ReservationSid": sids["reservation"],
                "TaskSid": sids["task"],
                "To": sids["queue"],
                "Mode": "WARM",
            },
        ),
        (
            "POST",
            f"{ws}/Tasks",
            {
                "WorkflowSid": sids["workflow"],
                "TaskQueueSid": sids["queue"],
                "RoutingTarget": sids["worker"],
                "Attributes": {"a": "b"},
                "VirtualStartTime": "1970-01-02T00:00:00Z",
                "TaskChannelUniqueName": "voice",
            },
        ),
        ("GET", f"{ws}/Tasks/{sids['task']}", {}),
        ("POST", f"{ws}/Tasks/{sids['task']}", {"AssignmentStatus": "wrapping", "Reason": "x"}),
        (
            "GET",
            f"{ws}/Workers",
            {"TargetWorkersExpression": "team == 'cards'", "Ordering": "DateStatusChanged:desc"},
        ),
        (
            "GET",
            f"{ws}/TaskQueues",
            {"WorkerSid": sids["worker"], "Ordering": "DateUpdated:asc", "PageSize": 1},
        ),
        ("GET", f"{ws}/TaskQueues/{sids['queue']}", {}),
    ]
    return [
        _json({"url": url, "method": method, "params": params, "token": f"TOKEN{number % 3}"})
        for number in range(3)
        for method, url, params in asked
    ]


SMALL_SEED: Final = """\
workspaces:
- friendly_name: "a"  # why
  template: FIFO
  queues: [{friendly_name: q, target_workers: '1==1'}]
  workers:
  - &w {friendly_name: n, attributes: {level: 0o7, x: [1.5, ~, true, .inf, -3e2]}}
  - <<: x
  tasks:
  - attributes: |
      {"a": 1}
  - attributes: >-
      {}
"""

SMALL_TOML: Final = """\
# why
[[workspaces]]
friendly_name = "a"
template = 'FIFO'
[[workspaces.workers]]
friendly_name = \"\"\"n\"\"\"
attributes = {level = 1, when = 2025-03-01T09:15:30Z, list = [1.5, inf, 0x1f, true]}
activity.name = "x\\u00e9"
[workspaces.other."quoted key"]
a = '''
text'''
"""


def seed_yaml() -> list[bytes]:
    """YAML with all that is read of it."""
    return [
        SMALL_SEED.encode(),
        b"",
        b"a: b",
        b"- 1\n- [a, b]\n",
        b"a: *x",
        b"? [a]\n: b\n",
        b"%YAML 1.2\n---\n{}",
    ]


def seed_toml() -> list[bytes]:
    """TOML with all that is read of it."""
    return [SMALL_TOML.encode(), b"", b'a = "b"', b"a.b = 1\n[a.c]\nd=[[1],[2,],]\n"]


def seed_json() -> list[bytes]:
    """JSON with all that is read of it."""
    value: Any = {"a": [1, 2.5, -3e2, True, None, "x\u00e9\n"], "b": {}, "": [[]]}
    return [
        _json(value),
        b"",
        b'{"a": 1, "a": 2}',
        b"\xef\xbb\xbf[]",
        b'"\\ud83d\\ude00"',
        b"[1,]",
        b'"\\ud800"',
    ]


def recordings() -> list[bytes]:
    """A recording of each kind of line."""
    lines: list[str] = []
    reservation = payload("reservation")
    with Recorder(lines.append, monotonic=lambda: 1.0, wall=lambda: 1.0) as made:
        token = str(claims_token(b"s", _claims()[0]))
        made.refused(token, status=503)
        number = made.opened(token, "closeExistingSessions=true&clientVersion=2.0.0")
        made.frame(number, _json(payload("init")))
        made.frame(number, _json({"event_type": "reservation.created", "payload": reservation}))
        made.frame(number, b" ")
        made.frame(number, b"{")
        with made.request("GET", "Workspaces/WS1/Activities", {"PageSize": 1000}, token=token) as exchange:
            exchange.answered(200, _json({"payload": payload("page")}), None)
        made.closed_connection(number, by="server", code=1012, reason="restart")
    text = "\n".join(lines).encode()
    return [text, b"\n".join(text.split(b"\n")[:3]), b"", b"{}"]


def recorder() -> list[bytes]:
    """Frames and answers as a recorder sees them, the token among them."""
    found = [b"r" + frame for frame in frames()]
    secret = _json({"payload": {"sid": "TOKEN", "attributes": '{"a": "TOKEN"}', "x": ["TOKEN"]}})
    return [*found, b"p" + secret, b"r" + secret, b"pTOKEN", b"p12\nTOKEN"]


def stored_records() -> list[bytes]:
    """A row of each kind."""
    records = [record for sid, made in OFFICES.items() for record in dump(made(sid).ws).records]
    kinds = {type(record): record for record in reversed(records)}
    return [msgspec.json.encode(record) for record in kinds.values()]
