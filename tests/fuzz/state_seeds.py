"""What the target of stored state begins with: each office, sound and damaged at each of its joints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

import msgspec

from server_stub.domain import records
from server_stub.domain.memento import dump
from server_stub.domain.records import WorkspaceDocument, encode
from server_stub.state.documents import StateDocument, encode_state
from taskrouter_worker.terms import ReservationStatus, TaskStatus, TransferStatus, WorkspaceTemplate
from tests.domain.desk import WORKSPACE, Desk, rule, target

from .corpus import kept
from .offices import OFFICES, counter, small
from .rules import VALUES
from .seeds import expressions, workflows

__all__ = ["STATE_WORDS", "state_seeds"]

_FIELDS: Final = tuple(
    dict.fromkeys(
        name
        for part in vars(records).values()
        if isinstance(part, type) and issubclass(part, msgspec.Struct)
        for name in part.__struct_encode_fields__
    )
)
STATE_WORDS: Final = tuple(
    dict.fromkeys(
        [*_FIELDS, *TaskStatus, *ReservationStatus, *TransferStatus, "null", "kind", "WARM", "COLD", "LIFO"]
    )
)
"""Names of fields, and statuses."""

_STATUSES: Final = {"task": TaskStatus, "reservation": ReservationStatus, "transfer": TransferStatus}

Document: TypeAlias = dict[str, Any]  # Any: JSON


def state_seeds() -> list[bytes]:
    """Documents of workspaces; and of each office all that one damage to one of its records makes of it."""
    documents = [dump(desk.ws) for desk in (Desk(), _asking(), *(made(sid) for sid, made in OFFICES.items()))]
    scopes: list[tuple[Literal["server", "workspace"], tuple[WorkspaceDocument, ...]]] = [
        *(("workspace", (document,)) for document in documents),
        ("server", (documents[0], dump(Desk(sid=WORKSPACE[:-1] + "9").ws))),
        ("server", (msgspec.structs.replace(documents[0], format=0),)),
        ("server", ()),
        ("workspace", (documents[0], documents[0])),
    ]
    found = [encode(document) for document in documents]
    found += [encode_state(StateDocument(scope=scope, at=1.0, workspaces=some)) for scope, some in scopes]
    changed = [one for document in documents for one in _damaged(json.loads(encode(document)))]
    changed += _texts(json.loads(encode(dump(_branch().ws))))
    return [*found, *(json.dumps(one, separators=(",", ":")).encode() for one in changed)]


def _asking() -> Desk:
    """A counter to which tasks have just come: their steps are still to be asked whether they skip."""
    desk = counter()
    for attributes in ({"n": 5, "last": "WK"}, {"n": 2, "wants": "bob"}, {"topic": "loans"}, {}):
        desk.ws.create_task(attributes=json.dumps(attributes), workflow_sid=list(desk.ws.workflows)[-1])
        desk.ws.take_events()
    desk.ws.create_task(attributes="{}", routing_target=next(iter(desk.ws.workers)), ignore_capacity=True)
    desk.ws.take_events()
    return desk


def _branch() -> Desk:
    """Small, as many documents are made of it; tasks have come, and nothing is decided about them yet."""
    desk = small(Desk(template=WorkspaceTemplate.NONE))
    cards, loans = desk.queue("Cards"), desk.queue("Loans", "worker.n == 1")
    first = rule(target(cards, skip_if="1==2", timeout=30), target(loans))
    flow = desk.workflow(first, rule(target(loans, timeout=30)), default=cards)
    strict = desk.workflow(rule(target(cards), expression="1==2"), name="strict")
    vera = desk.worker("vera", **VALUES)
    desk.ws.update_worker_channel(vera.sid, "voice", available=False)
    bob = desk.worker("bob", activity=desk.offline, n=1)
    for to in (bob.sid, cards.sid):
        desk.task(routing_target=to, channel="voice")
    for sid, channel in ((flow.sid, "default"), (strict.sid, "default"), (flow.sid, "voice")):
        desk.ws.create_task(attributes=json.dumps(VALUES), workflow_sid=sid, task_channel=channel)
        desk.ws.take_events()
    return desk


def _texts(sound: Document) -> Iterator[Document]:
    """What the fuzzers of expressions and of workflows begin with, and odd attributes, each in its place."""
    queue = next(str(one["sid"]) for one in sound["records"] if one["kind"] == "task_queue")

    default = {"queue": queue}

    def flow(*targets: Document, **more: Any) -> dict[str, Any]:  # Any: JSON
        filters = [{"targets": [{"queue": queue, "timeout": 30, **one} for one in targets], **more}]
        filters += [{"targets": [{"queue": queue}]}] * bool(targets[0])
        return {
            "configuration": json.dumps({"task_routing": {"filters": filters, "default_filter": default}})
        }

    for data in (*expressions(), *kept("expressions")):
        text = data.decode("utf-8", "replace")
        yield _with(sound, task_queue={"target_workers": text}, workflow=flow({}, expression=text))
        yield _with(sound, workflow=flow({"expression": text, "skip_if": text}, {"order_by": text}))
    for data in (*workflows(), *kept("workflows")):
        text = data.decode("utf-8", "replace").replace("WQ" + "0" * 32, queue)
        changes = {"configuration": text} if text.startswith("{") else flow({"order_by": text})
        yield _with(sound, workflow=changes)
        yield _with(sound, workflow=flow({"known_worker_sid": text, "timeout": text, "priority": text}))
    for reference in ("task.s", "task.none", "worker.x"):
        yield _with(sound, workflow=flow({"known_worker_sid": reference}, {"skip_if": "workers.sid == 1"}))
        yield _with(sound, workflow=flow({"known_worker_friendly_name": reference, "skip_if": "1==1"}))
    for text in ("", "{", "[]", '{"a":' * 130 + "1" + "}" * 130, '{"a": [[1], {}, "]"]}', '{"s": "vera"}'):
        yield _with(sound, worker={"attributes": text}, task={"attributes": text})
        yield _with(sound, task={"attributes": text}, workflow=flow({"known_worker_friendly_name": "task.s"}))
    for step in ([0, 9], [9, 0], [-1, 0], [-2, 0], [0, -1]):
        yield _with(sound, task={"step": step})


def _with(sound: Document, **changes: Document) -> Document:
    """The document with these changes to its records of each kind."""
    return {**sound, "records": [{**one, **changes.get(one["kind"], {})} for one in sound["records"]]}


def _damaged(sound: Document) -> Iterator[Document]:
    yield {**sound, "format": 0}
    kinds = {str(record["kind"]): at for at, record in enumerate(sound["records"])}
    for kind, at in kinds.items():
        yield _with(sound, **{kind: {"gone": True}})
        yield {**sound, "records": [one for one in sound["records"] if one["kind"] != kind]}
        numbers = [name for name, value in sound["records"][at].items() if isinstance(value, int | float)]
        yield from (_with(sound, **{kind: {name: 99}}) for name in numbers)
    for at, record in enumerate(sound["records"]):
        changes: list[list[Document]] = [[], [{**record, "gone": True}]]
        if at in kinds.values():
            changes += [[record, record]]
            changes += [[{**record, "status": status}] for status in _STATUSES.get(record["kind"], ())]
            changes += [[{**record, name: value}] for name, value in _others(record, sound["records"])]
        before, after = sound["records"][:at], sound["records"][at + 1 :]
        yield from ({**sound, "records": [*before, *change, *after]} for change in changes)


def _others(record: Document, all_records: list[Document]) -> Iterator[tuple[str, Any]]:
    """Another SID of the same kind for each that a record names, and other numbers."""
    sids = [str(one["sid"]) for one in all_records if "sid" in one]
    for name, value in record.items():
        match value:
            case str() if value in sids and name != "sid":
                yield name, next((sid for sid in sids if sid[:2] == value[:2] and sid != value), value)
                yield name, value[:2] + "f" * 32
            case bool():
                yield name, not value
            case int() if name in ("rejections", "counter"):
                yield from ((name, number) for number in (9, 10, 99))
            case int() | float():
                yield from ((name, number) for number in (value + 1, 0, 1e300))
            case None:
                yield name, 1
            case _:
                pass
