"""Targets of the server's rules: what the owner of an account, or a callback's answer, may say."""

from __future__ import annotations

import json
from typing import Any, Final

from server_stub.callbacks import _Attempt, _read_answer
from server_stub.domain.expression import follow, parse
from server_stub.domain.instruction_options import InstructionOptions, from_answer
from server_stub.domain.workflow import parse_configuration, parse_order_by
from server_stub.faults import FaultAction, FaultPlan, FaultRecord, FaultRule
from server_stub.parameters import read_params
from server_stub.replies import version_of
from server_stub.rest.door import _find, _pairs
from server_stub.rest.operations import OPERATIONS

from .target import Broken

__all__ = [
    "VALUES",
    "callback_answers",
    "expressions",
    "faults",
    "forms",
    "instructions",
    "json_object",
    "workflows",
]

VALUES: Final[dict[str, Any]] = {  # Any: JSON
    "n": 5,
    "f": 5.5,
    "s": "5",
    "b": True,
    "z": None,
    "tags": ["a", "b", 1, None],
    "o": {"x": {"y": 7}},
    "l": [{"k": 1}],
}
_WORLD: Final = {**VALUES, "worker": VALUES, "task": VALUES}
_EMPTY: Final[dict[str, object]] = {}


def expressions(data: bytes) -> str:
    """`expression.parse`: printed and read again it is the same, and it can always be evaluated."""
    found = parse(data.decode("utf-8", "surrogateescape"))
    if parse(str(found)) != found:
        raise Broken(f"printed it reads differently: {found}")
    outcomes: list[str] = []
    for world in (_WORLD, _EMPTY):

        def resolve(path: Any, world: Any = world) -> object:  # Any: JSON and the way into it
            return follow(world, path)

        holds = found.evaluate(resolve)
        if holds == bool(found.shortfalls(resolve)):
            raise Broken("it holds and something is to blame, or the other way round")
        outcomes.append(str(holds))
    return f"{type(found.root).__name__} {' '.join(outcomes)} {min(len(found.needs), 3)}"


def workflows(data: bytes) -> str:
    """`workflow.parse_configuration`: every task finds its way through what was accepted."""
    text = data.decode("utf-8", "surrogateescape")
    if not text.lstrip().startswith("{"):
        return f"order {len(parse_order_by(text))}"
    found = parse_configuration(text)
    if parse_configuration(text).queue_sids != found.queue_sids:
        raise Broken("the same text names other queues")

    def resolve(path: Any) -> object:  # Any: a path, see `follow`
        return follow(_WORLD, path)

    passed = 0
    current = found.next_filter(resolve)
    while current is not None:
        passed += 1
        if any(not step.queue_sid for step in current.steps):
            raise Broken("a step has no queue")
        if any(found.counterpart(step) is None for step in current.steps):
            raise Broken("a step has no counterpart in its own configuration")
        current = found.next_filter(resolve, current)
    return f"{min(len(found.filters), 5)} {min(passed, 5)} {found.default is not None}"


def json_object(data: bytes) -> dict[str, Any]:  # Any: JSON
    """The JSON object of an input; an empty one where it is none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


CANARY: Final = "p4ssw0rd-of-a-phone"


def instructions(data: bytes) -> str:
    """`InstructionOptions.read`: a password is not quoted, and a form says the same as JSON."""
    given = json_object(data)
    if "SipAuthPassword" in given:
        given["SipAuthPassword"] = _with_canary(given["SipAuthPassword"])
    try:
        found = InstructionOptions.read(given)
    except Exception as error:
        if CANARY in str(error):
            raise Broken("the refusal quotes the password") from error
        raise
    if CANARY in repr(found):
        raise Broken("the repr shows the password")
    plain = {name: _as_form(value) for name, value in given.items()}
    if InstructionOptions.read(plain) != found:
        raise Broken("the same as a form means another thing")
    return f"{found.call.accept} {found.conference.record} {found.supervise.mode} {found.redirect.accept}"


def _with_canary(value: object) -> object:
    return f"{CANARY}{value}" if isinstance(value, str) else [CANARY, value]


def _as_form(value: object) -> object:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case list() if all(isinstance(item, str) for item in value):
            return ",".join(value)
        case _:
            return value


_CONTENT_TYPES: Final = ("application/json", "text/html", "")


def callback_answers(data: bytes) -> str:
    """An assignment callback's answer, read to the options of its instruction."""
    status, kind, body = data[:1], data[1:2], data[2:]
    attempt = _Attempt(
        request=None,  # type: ignore[arg-type]  # the answer is read without it
        at=0.0,
        url="http://a.example/",
        status={b"r": 302, b"e": 500}.get(status, 200),
        content_type=_CONTENT_TYPES[{b"t": 1, b"n": 2}.get(kind, 0)],
        body=body,
    )
    answer = _read_answer(attempt)
    parameters = from_answer(answer)
    InstructionOptions.read(parameters)
    return f"{type(answer.get('instruction')).__name__} {min(len(parameters), 8)}"


def faults(data: bytes) -> str:
    """Rules, actions and records of faults: each one shown is the same when it is read."""
    given: Any = json_object(data)  # Any: JSON
    if "log" in given:
        log = given["log"] if isinstance(given["log"], list) else [given["log"]]
        records = [FaultRecord.from_dict(one) for one in log]
        for record in records:
            if FaultRecord.from_dict(record.as_dict()) != record:
                raise Broken("a record that is shown reads differently")
        return f"plan {min(len(FaultPlan.replaying(records).rules), 4)}"
    if "action" in given:
        action = FaultAction.from_dict(given)
        if FaultAction.from_dict(action.as_dict()) != action:
            raise Broken("an action that is shown reads differently")
        action.concerns("WS" + "0" * 32, "WK" + "0" * 32, 1)
        return str(action.action)
    rule = FaultRule.from_dict(given)
    if FaultRule.from_dict(json.loads(json.dumps(rule.as_dict()))) != rule:
        raise Broken("a rule that is shown reads differently")
    rule.matches_frame(1, "reservation.created")
    rule.matches_request("rest", "GET", "Workspaces/WS1/Tasks")
    return f"{rule.fault} {len(rule.as_dict())}"


def forms(data: bytes) -> str:
    """A REST request: its first line is a path, an `If-Match` and a method, the rest is the form."""
    head, _, body = data.partition(b"\n")
    path, _, if_match = head.decode("latin-1").partition(" ")
    version_of(if_match)
    if path.startswith("/"):
        operation, _ = _find("POST", path)
    else:
        operation = OPERATIONS[sum(head) % len(OPERATIONS)]
    if operation.read_body is not None:
        args = operation.read_body(body)
    else:
        pairs = _pairs(body)
        args = read_params(operation.params, pairs)
        if args != read_params(operation.params, [*pairs, ("Unknown", "x")]):
            raise Broken("an unknown parameter counts")
    return f"{operation.path} {min(len(args), 3)}"
