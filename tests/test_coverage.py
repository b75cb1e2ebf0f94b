"""The coverage page says what is true: every row is played against the server."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest

from docs import coverage
from docs.coverage import ABSENT_EVENTS, INSTRUCTIONS, KEYS, OPERATIONS, OPERATORS, PAGE, SAMPLE, State
from server_stub import StubServer
from server_stub.domain import expression, workflow
from server_stub.domain.model import Reservation, Worker
from server_stub.domain.routing import attributes_match
from server_stub.rest.operations import OPERATIONS as SERVED
from taskrouter_worker.terms import EventType, Instruction, WorkspaceTemplate
from tests.domain.desk import Desk, pending, rule, target

T = TypeVar("T")

DOMAIN_TESTS = Path(__file__).parent / "domain"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == coverage.render(), "run: python -m docs.coverage"


# --- REST operations ----------------------------------------------------------------------------


def test_page_lists_every_operation_once_and_the_server_has_no_other() -> None:
    listed = [(method, coverage.shape(path)) for _, method, path in OPERATIONS]
    assert len(set(listed)) == len(listed) == 61
    assert {(op.method, coverage.shape(op.path)) for op in SERVED} <= set(listed)


class Office:
    """A workspace over plain HTTP, with one of everything."""

    def __init__(self, server: StubServer, http: aiohttp.ClientSession) -> None:
        self.base = f"{server.rest_url}/v1/Workspaces"
        self.http = http
        auth = aiohttp.encode_basic_auth(server.account_sid, server.auth_token)
        self.headers = {"Authorization": auth}
        self.sids: dict[str, str] = {"WS": server.workspace_sid}

    async def call(self, method: str, path: str, data: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """Status and body of a request; variables of the path are filled in."""
        url = f"{self.base}/{path.format(**self.sids)}".rstrip("/")
        async with self.http.request(method, url, headers=self.headers, data=data, **more) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def make(self, name: str, path: str, **data: str) -> None:
        status, body = await self.call("POST", path, data)
        assert status == 201, body
        self.sids[name] = body["sid"]

    async def furnish(self) -> None:
        await self.make("WA", "{WS}/Activities", FriendlyName="Busy", Available="true")
        await self.make("TC", "{WS}/TaskChannels", FriendlyName="Fax", UniqueName="fax")
        await self.make("WK", "{WS}/Workers", FriendlyName="nina", ActivitySid=self.sids["WA"])
        await self.make("WQ", "{WS}/TaskQueues", FriendlyName="q")
        routing = {"task_routing": {"default_filter": {"queue": self.sids["WQ"]}}}
        await self.make("WW", "{WS}/Workflows", FriendlyName="w", Configuration=json.dumps(routing))
        await self.make("WT", "{WS}/Tasks", WorkflowSid=self.sids["WW"])
        for name, path, key in (
            ("WR", "{WS}/Tasks/{WT}/Reservations", "reservations"),
            ("WC", "{WS}/Workers/{WK}/Channels", "channels"),
            ("EV", "{WS}/Events", "events"),
        ):
            _, body = await self.call("GET", path)
            self.sids[name] = body[key][0]["sid"]


OWN_SID = {
    "Activities": "WA",
    "Channels": "WC",
    "Events": "EV",
    "Reservations": "WR",
    "TaskChannels": "TC",
    "TaskQueues": "WQ",
    "Tasks": "WT",
    "Workers": "WK",
    "Workflows": "WW",
    "": "WS",
}

CREATED_WITH: dict[str, dict[str, str]] = {
    "CreateActivity": {"FriendlyName": "Another"},
    "CreateTaskChannel": {"FriendlyName": "Another", "UniqueName": "another"},
    "CreateTaskQueue": {"FriendlyName": "Another"},
    "CreateTask": {"WorkflowSid": "{WW}"},
    "CreateWorker": {"FriendlyName": "another"},
    "CreateWorkflow": {"FriendlyName": "Another", "Configuration": '{{"task_routing": {{}}}}'},
    "CreateWorkspace": {"FriendlyName": "Another"},
    "UpdateActivity": {"FriendlyName": "Renamed"},
    "UpdateTask": {"Priority": "1"},
    "UpdateTaskChannel": {"FriendlyName": "Renamed"},
    "UpdateTaskQueue": {"FriendlyName": "Renamed"},
    "UpdateTaskReservation": {"ReservationStatus": "accepted"},
    "UpdateWorker": {"Attributes": "{{}}"},
    "UpdateWorkerChannel": {"Capacity": "2"},
    "UpdateWorkerReservation": {"ReservationStatus": "rejected"},
    "UpdateWorkflow": {"FriendlyName": "Renamed"},
    "UpdateWorkspace": {"FriendlyName": "Renamed"},
}

ENDS_FIRST = {
    "DeleteActivity": ("POST", "{WS}/Workers/{WK}", {"ActivitySid": "{other}"}),
    "DeleteTaskChannel": None,
    "DeleteTaskQueue": ("DELETE", "{WS}/Workflows/{WW}", None),
    "DeleteWorkflow": ("DELETE", "{WS}/Tasks/{WT}", None),
    "DeleteWorker": ("DELETE", "{WS}/Tasks/{WT}", None),
}
"""What has to go before something can be deleted."""


@pytest.fixture
async def office(server: StubServer) -> Any:
    async with aiohttp.ClientSession() as http:
        office = Office(server, http)
        await office.furnish()
        _, activities = await office.call("GET", "{WS}/Activities")
        office.sids["other"] = activities["activities"][0]["sid"]
        yield office


@pytest.mark.parametrize(("name", "method", "path"), OPERATIONS, ids=str)
async def test_operation_answers_as_the_page_says(office: Office, name: str, method: str, path: str) -> None:
    before = [ENDS_FIRST[name]] if ENDS_FIRST.get(name) else []
    if name == "DeleteTaskQueue":
        before.insert(0, ENDS_FIRST["DeleteWorkflow"])
    for step in before:
        assert step is not None
        data = {key: value.format(**office.sids) for key, value in (step[2] or {}).items()}
        assert (await office.call(step[0], step[1], data or None))[0] in (200, 204)
    collection = path.removesuffix("/{Sid}").rpartition("/")[2] if path != "{Sid}" else ""
    office.sids["Sid"] = office.sids.get(OWN_SID.get(collection, "WS"), "")
    more: dict[str, Any] = {}
    data = {key: value.format(**office.sids) for key, value in CREATED_WITH.get(name, {}).items()}
    if name == "CreateTaskQueueBulkRealTimeStatistics":
        more = {"json": {"QueueSids": [office.sids["WQ"]]}}
    status, body = await office.call(method, path, data or None, **more)
    if coverage.state_of_operation(method, path) is State.ABSENT:
        assert status in (404, 405)
        return
    assert status == (204 if method == "DELETE" else 201 if name in CREATED_NEW else 200), body
    assert (body is None) == (method == "DELETE")


CREATED_NEW = {name for name, method, path in OPERATIONS if name.startswith("Create") and "Bulk" not in name}


# --- Events -------------------------------------------------------------------------------------


def everything_that_can_happen() -> Iterator[EventType]:
    """The types of all events of a workspace in which everything happens once."""
    desk = Desk(template=WorkspaceTemplate.NONE)
    yield from (event.type for event in desk.created)
    ws = desk.ws

    def do(command: Callable[..., T], *args: Any, **values: Any) -> T:
        done = command(*args, **values)
        desk.settle()
        return done

    do(ws.update, friendly_name="renamed")
    lunch = do(ws.create_activity, friendly_name="Lunch")
    do(ws.update_activity, lunch.sid, friendly_name="Break")
    do(ws.delete_activity, lunch.sid)
    fax = do(ws.create_task_channel, friendly_name="Fax", unique_name="fax")
    do(ws.update_task_channel, fax.sid, friendly_name="Telefax")
    do(ws.delete_task_channel, fax.sid)
    spare = desk.queue("Spare")
    do(ws.update_task_queue, spare.sid, target_workers="1==2")
    do(ws.delete_task_queue, spare.sid)
    # Tasks that nobody takes: each leaves its workflow in another way.
    cards, rest = desk.queue("Cards"), desk.queue("Rest")
    timed = desk.workflow(rule(target(cards, timeout=10), target(rest, timeout=10)), name="timed")
    skipped = desk.workflow(rule(target(cards, skip_if="1==1")), name="skipped")
    desk.task(timed), desk.task(skipped)
    desk.wait(1_000)
    do(ws.update_workflow, skipped.sid, friendly_name="renamed")
    do(ws.delete_workflow, skipped.sid)
    # A worker, and the ends that a reservation can have.
    workflow = desk.workflow(default=cards, name="cards", reservation_timeout=20)
    nina = desk.worker("nina", capacity=5)
    channel = next(iter(nina.channels.values()))
    do(ws.update_worker_channel, nina.sid, channel.sid, capacity=4, available=False)
    do(ws.update_worker_channel, nina.sid, channel.sid, available=True)
    do(ws.update_worker, nina.sid, attributes='{"level": 1}')
    task = desk.task(workflow)
    desk.answer(pending(task), "rejected", activity=desk.unavailable)
    desk.move(nina, desk.available)
    desk.wait(20)  # its next reservation times out
    do(ws.update_task_queue, cards.sid, max_reserved_workers=2)
    omar = desk.worker("omar", activity=desk.offline, capacity=5)
    do(ws.update_task, task.sid, priority=3)
    do(ws.update_worker, nina.sid, activity_sid=desk.available.sid)
    desk.answer(pending(task), "rejected", activity=desk.unavailable)
    ws.update_worker(nina.sid, activity_sid=desk.available.sid)
    do(ws.update_worker, omar.sid, activity_sid=desk.available.sid)
    first, second = task.live_reservations
    desk.answer(first, "accepted")
    assert second.status == "rescinded"
    # Transfers: taken back, declined by a worker, declined in a queue, and at last accepted.
    holder, other = first.worker, second.worker
    desk.take_back(desk.transfer(first, other))
    desk.transfer(first, other)
    desk.answer(pending_of(other), "rejected")
    attempt = desk.transfer(first, cards)
    desk.answer(pending_of(other), "rejected", activity=desk.unavailable)
    desk.take_back(attempt)
    desk.move(other, desk.available)
    desk.transfer(first, other)
    desk.answer(pending_of(other), "accepted")
    desk.set_status(task, "wrapping")
    desk.set_status(task, "completed")
    # The other ends of tasks.
    desk.set_status(desk.task(workflow), "canceled")
    do(ws.delete_task, desk.task(workflow).sid)
    desk.move(holder, desk.offline)
    desk.task(workflow, routing_target=holder.sid, ignore_capacity=False)
    desk.wait(10)  # nobody reserves its one worker in time
    desk.answer(pending(desk.task(workflow)), "accepted")
    desk.wait(100_000)  # and nobody ever completes it
    do(ws.delete_worker, omar.sid)
    do(ws.delete)
    yield from desk.heard()


def pending_of(worker: Worker) -> Reservation:
    [reservation] = [r for r in worker.live_reservations if r.status == "pending"]
    return reservation


def test_every_event_that_the_page_does_not_call_absent_happens() -> None:
    assert set(everything_that_can_happen()) == set(EventType) - ABSENT_EVENTS


# --- Instructions -------------------------------------------------------------------------------

WITH: dict[Instruction, dict[str, object]] = {
    Instruction.CALL: {"CallFrom": "+15005550006", "CallTo": "client:nina", "CallUrl": "http://127.0.0.1/"},
    Instruction.DEQUEUE: {"DequeueTo": "client:nina"},
    Instruction.REDIRECT: {"RedirectCallSid": "CA" + "1" * 32, "RedirectUrl": "http://127.0.0.1/"},
    Instruction.CONFERENCE: {"To": "client:nina"},
}


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_instruction_is_carried_out(instruction: Instruction) -> None:
    desk = Desk()
    nina, supervisor = desk.worker("nina"), desk.worker("boss", activity=desk.offline)
    reservation = pending(desk.task())
    assert reservation.worker is nina
    parameters = WITH.get(instruction, {})
    if instruction is Instruction.SUPERVISE:
        desk.ws.change_reservation(
            reservation.sid, instruction="conference", parameters=WITH[Instruction.CONFERENCE]
        )
        parameters = {"Supervisor": supervisor.sid}
    calls, redirects = len(desk.ws.telephony.calls), len(desk.ws.telephony.redirects)
    status = reservation.status
    desk.ws.change_reservation(reservation.sid, instruction=instruction, parameters=parameters)
    made = len(desk.ws.telephony.calls) - calls + len(desk.ws.telephony.redirects) - redirects
    assert reservation.status != status or made


def test_page_lists_every_instruction() -> None:
    assert set(INSTRUCTIONS) == set(Instruction)


# --- Workflow configurations --------------------------------------------------------------------


def test_page_lists_the_keys_that_are_read_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()

    class Spy(dict[str, object]):
        def get(self, key: str, default: object = None) -> object:
            read.add(key)
            return super().get(key, default)

        def __contains__(self, key: object) -> bool:
            read.add(str(key))
            return super().__contains__(key)

    def spied(text: str) -> object:
        return json.loads(text, object_pairs_hook=Spy)

    loads: Callable[..., object] = spied
    monkeypatch.setattr(workflow, "json", type("Json", (), {"loads": staticmethod(loads)}))
    one = {"targets": [{"queue": "WQ" + "0" * 32}]}
    workflow.parse_configuration(
        json.dumps(
            {"task_routing": {"filters": [one], "default_filter": {"task_queue_sid": "WQ" + "0" * 32}}}
        )
    )
    assert {key.name for key in KEYS if key.state is not State.ABSENT} == read


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.name} of {key.place}")
def test_key_has_a_test(key: coverage.Key) -> None:
    tests = {
        node.name
        for path in DOMAIN_TESTS.glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    assert key.test in tests


# --- Operators ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.spelling)
def test_operator_does_what_its_examples_say(operator: coverage.Operator) -> None:
    assert attributes_match(expression.parse(operator.holds), SAMPLE)
    assert not attributes_match(expression.parse(operator.fails), SAMPLE)
    for part in operator.spelling.replace("[0]", "[").split():
        assert part in operator.holds.upper()


def test_page_lists_every_operator_of_the_language() -> None:
    words = {operator.spelling for operator in OPERATORS}
    assert set(expression._OPERATORS) | expression._KEYWORDS <= words
    assert words - set(expression._OPERATORS) - expression._KEYWORDS == {"NOT IN", "( )", ".", "[0]"}
