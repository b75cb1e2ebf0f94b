"""Who may do what: each cell of the table, played against a server.

A refusal is 401, 403 or 404 as declared, leaves everything in the account as it was, and neither an
answer nor a log tells a secret.
"""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

import server_stub
from docs import authority
from docs.authority import MEANING, ROWS, Cell, Door, Holder, Row
from server_stub import Settings, StubServer
from server_stub.clocks import StandingClock
from server_stub.domain.workspace import Workspace
from server_stub.event_bridge import routes
from server_stub.faults import FaultKind, FaultRule
from server_stub.rest.operations import OPERATIONS
from taskrouter_worker.clock import ManualClock
from taskrouter_worker.terms import Role
from tests.domain.desk import snapshot
from tests.server.conftest import Open
from tests.server.place import LONGEST_HEADER, Place, Stock, Wallet
from tests.server.raw import Desk

H = Holder
NOW: Final = 1_800_000_000.0
CODES: Final = {Cell.NOBODY: 20003, Cell.FORBIDDEN: 20006, Cell.UNKNOWN: 20404, Cell.INVALID: 20001}
CLOSE_CODES: Final = {Cell.NOBODY: (4401, 4408), Cell.FORBIDDEN: (4403,)}

TARGETS: Final = {
    **dict.fromkeys((H.WORKER_ANOTHER, H.SUPERVISOR_ANOTHER, H.ADMIN_ANOTHER), "another"),
    **dict.fromkeys((H.SUPERVISOR_NOBODY, H.ADMIN_NOBODY, H.CAPABILITY_ANOTHER), "another"),
    **dict.fromkeys((H.WORKER_UNHELD, H.SUPERVISOR_UNHELD, H.ADMIN_UNHELD), "unheld"),
}
"""What is asked for; the caller's own where nothing is said."""


# --- The page and the tables --------------------------------------------------------------------


def test_page_is_up_to_date() -> None:
    assert authority.PAGE.read_text(encoding="utf-8") == authority.render(), "run: python -m docs.authority"


def test_every_cell_of_every_row_is_declared() -> None:
    assert MEANING.keys() == set(H)
    for row in ROWS:
        assert row.cells.keys() == set(H), row.name
    assert len({(row.door, row.name) for row in ROWS}) == len(ROWS)


def rows(*doors: Door) -> set[tuple[str, str]]:
    return {(row.method, row.path) for row in ROWS if row.door in doors}


async def test_every_route_of_the_server_has_its_row() -> None:
    assert rows(Door.REST) == {(op.method, op.path) for op in OPERATIONS}
    assert rows(Door.BRIDGE) == {(route.method, route.path) for route in routes._ROUTES}
    server = StubServer(Settings(port=0))
    routed = {resource.canonical for resource in server._app().router.resources()}
    behind = {"/v1/Workspaces", "/v1/Workspaces/{path}", "/v1/wschannels"}  # the tables above
    behind.add("/console/api")  # the same doors once more: tests/server/test_console.py
    named = {path for _, path in rows(Door.WEBSOCKET, Door.STUB, Door.HEALTH, Door.CONSOLE)}
    assert routed == behind | named


# --- What each row asks for ---------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    """A request without credentials."""

    method: str
    path: str
    form: Mapping[str, str] | None = None
    json: Any = None
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of the event bridge


_FORMS: Final[Mapping[str, Mapping[str, str]]] = {
    "": {"FriendlyName": "new"},
    "/{sid}": {"FriendlyName": "renamed"},
    "{workspace}/Activities": {"FriendlyName": "new"},
    "{workspace}/Activities/{sid}": {"FriendlyName": "renamed"},
    "{workspace}/Workers": {"FriendlyName": "new"},
    "{workspace}/Workers/{sid}": {"Attributes": '{"a":1}'},
    "{workspace}/Workers/{worker}/Channels/{sid}": {"Capacity": "7"},
    "{workspace}/TaskChannels": {"FriendlyName": "new", "UniqueName": "new"},
    "{workspace}/TaskChannels/{sid}": {"FriendlyName": "renamed"},
    "{workspace}/TaskQueues": {"FriendlyName": "new"},
    "{workspace}/TaskQueues/{sid}": {"FriendlyName": "renamed"},
    "{workspace}/Workflows": {"FriendlyName": "new", "Configuration": '{"task_routing":{}}'},
    "{workspace}/Workflows/{sid}": {"FriendlyName": "renamed"},
    "{workspace}/Tasks": {"WorkflowSid": "{workflow}"},
    "{workspace}/Tasks/{sid}": {"Priority": "7"},
    "{workspace}/Tasks/{task}/Reservations/{sid}": {"ReservationStatus": "accepted"},
    "{workspace}/Workers/{worker}/Reservations/{sid}": {"ReservationStatus": "rejected"},
}


def rest_ask(row: Row, place: Place, below: Place, workspace_sid: str) -> Ask:
    """A REST request that the account may make. What is below the workspace is `below`'s."""
    collection = row.path.rpartition("/{sid}")[0].rpartition("/")[2]
    mine = below.mine
    sids = {
        "Activities": below.spare_activity,
        "TaskChannels": below.spare_channel,
        "TaskQueues": below.spare_queue,
        "Workflows": below.spare_workflow,
        "Workers": below.spare_worker,
        "Tasks": below.unheld.sid,
        "Reservations": mine.pending.sid,
        "Channels": next(iter(below.ws.workers[mine.worker_sid].channels.values())).sid,
        "Events": below.event_sid,
        "": workspace_sid,
    }
    values = {
        "workspace": workspace_sid,
        "sid": sids.get(collection, ""),
        "worker": mine.worker_sid,
        "task": mine.pending.task.sid,
        "workflow": below.workflow_sid,
        "task_queue": below.task_queue_sid,
    }
    path = f"/v1/Workspaces/{row.path.lstrip('/').format(**values)}".rstrip("/")
    if row.path.endswith("TaskQueues/RealTimeStatistics"):
        return Ask(row.method, path, json={"QueueSids": [below.task_queue_sid]})
    form = _FORMS[row.path] if row.method == "POST" else None
    if form is not None and row.path == "{workspace}/Tasks":
        form = {"WorkflowSid": place.workflow_sid}
    return Ask(row.method, path, form=form)


def bridge_ask(row: Row, place: Place, below: Place, holder: Holder, *, whole: str) -> Ask:
    """A request of the event bridge. `whole` is the workspace of a path that names nothing else."""
    target = "another" if below is not place else TARGETS.get(holder, "own")
    mine, theirs = below.mine, below.theirs
    on_path: Stock = theirs if target == "another" else mine
    named: Stock = mine if target == "own" else theirs
    worker_sid = on_path.worker_sid
    task_sid = (below.unheld if target == "unheld" else named.pending.task).sid
    reservation = named.pending
    confer = named.conferring
    params: dict[str, Any] = {}
    match row.method, row.path.removeprefix("Workspaces/{workspace}"):
        case "POST", "/Workers/{worker}":
            params = {"ActivitySid": place.unavailable}
        case "POST", "/Workers/{worker}/Reservations/{reservation}":
            params = {"ReservationStatus": "accepted"}
        case "POST", "/Tasks/{task}/Reservations/{reservation}":
            reservation, task_sid = confer, on_path.conferring.task.sid
            # A supervisor listens itself; whose token names no worker tries it in another's name.
            listens = place.spare_worker if holder is H.SUPERVISOR_NOBODY else place.mine.worker_sid
            params = {"Instruction": "supervise", "Supervisor": listens}
        case "POST", "/Workers/{worker}/WorkerParticipant":
            params = {"ReservationSid": confer.sid, "Mute": True}
        case "POST", "/Workers/{worker}/CustomerParticipant":
            params = {"TaskSid": confer.task.sid, "Hold": True}
        case "POST", "/Workers/{worker}/HoldWorkerParticipant":
            params = {"TaskSid": confer.task.sid, "TargetWorkerSid": confer.worker.sid, "Hold": True}
        case "POST", "/Workers/{worker}/KickWorkerParticipant":
            params = {"TaskSid": confer.task.sid, "TargetWorkerSid": confer.worker.sid}
        case "POST", "/Workers/{worker}/Transfers":
            started = named.accepted
            params = {
                "ReservationSid": started.sid,
                "TaskSid": started.task.sid,
                "To": place.spare_worker,
            }
        case "POST", "/Workers/{worker}/Transfers/{transfer}":
            params = {"TaskSid": named.transferring.task.sid, "TransferStatus": "canceled"}
        case "POST", "/Tasks":
            params = {"WorkflowSid": place.workflow_sid}
            if target != "unheld":
                params["RoutingTarget"] = named.worker_sid
        case "POST", "/Tasks/{task}":
            params = {"Attributes": {"a": 1}}
        case _:
            pass
    names_more = "{" in row.path.removeprefix("Workspaces/{workspace}")
    values = {
        "workspace": place.sid if names_more else whole,
        "worker": worker_sid,
        "reservation": reservation.sid,
        "task": task_sid,
        "transfer": named.transferring.task.transfer.sid,
        "queue": below.task_queue_sid,
    }
    return Ask(row.method, row.path.format(**values), params=params)


def stub_ask(row: Row, server: StubServer, place: Place, below: Place, workspace_sid: str) -> Ask:
    """A request of `/stub` that finds what it names."""
    scope = place.sid if "{workspace}" in row.path else None
    values: dict[str, object] = {"workspace": workspace_sid, "task": below.unheld.sid, "call": below.call_sid}
    body: object = None
    values["file"] = "console.css"
    match row.path.removeprefix("/stub").removeprefix("/workspaces/{workspace}"):
        case "/console/live":
            return Ask("GET", "/console/live?Once=true")
        case "/console/clock" if row.method == "POST":
            clock = StandingClock(server.run(scope or server.workspace_sid, lambda ws: ws.now()))
            server._console.stands(server.workspace_sid, clock)
            body = {"action": "advance", "seconds": 1}
        case "/snapshots/{name}":
            values["name"] = "kept"
            server.save_snapshot("kept", scope)
        case "/reset":
            server.save_snapshot("kept", scope)
            return Ask("POST", f"{row.path.format(**values)}?Snapshot=kept")
        case "/faults/{number}":
            rule = FaultRule(fault=FaultKind.DROP, event_type="task.updated", workspace_sid=scope)
            values["number"] = server.faults.add(rule).id
        case "/faults":
            body = {"fault": "drop", "event_type": "task.updated"} if row.method == "POST" else None
        case "/faults/replay":
            body = {"log": []}
        case "/state":
            body = server.export_state(scope) if row.method == "POST" else None
        case "/recording" if row.method != "POST":
            server._recording_routes._kept[place.sid] = (server.record(lambda _: None), [])
        case _:
            pass
    path = row.path.format(**values)
    if path == "/stub/seed":
        return Ask(
            row.method, f"{path}?Name=a.json&Check=true", json={"workspaces": [{"friendly_name": "a"}]}
        )
    return Ask(row.method, path, json=body)


# --- Asking -------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What came back, through whichever door."""

    status: int
    text: str
    close_code: int | None = None


class Hall:
    """A server whose time stands still, with one place to be refused in."""

    def __init__(self, server: StubServer, http: aiohttp.ClientSession, clock: ManualClock) -> None:
        self.server, self.http, self.clock = server, http, clock
        self.place, self.other = Place(server), Place(server)
        self.secrets: set[str] = {server.auth_token, server.signing_key_secret}

    def everything(self) -> object:
        """All that the account holds, and what the server wrote down about it."""
        server = self.server
        kept = {
            sid: (
                snapshot(workspace),
                len(server._chronicle.of(sid).history),
                [vars_of(call) for call in workspace.telephony.calls.values()],
                [vars_of(c) for c in workspace.telephony.conferences.values()],
            )
            for sid, workspace in server.account.workspaces.items()
        }
        return kept, len(server._sessions), len(server.deliveries)

    def counters(self) -> object:
        """What moves with every change, and is quickly read."""
        server = self.server
        seqs = {sid: workspace.seq for sid, workspace in server.account.workspaces.items()}
        return seqs, len(server._sessions), len(server.deliveries)

    async def ask(
        self, row: Row, ask: Ask, holder: Holder, *, token: str | None = None, password: str | None = None
    ) -> Answer:
        """Send it with these credentials."""
        headers: dict[str, str] = {}
        if password is not None:
            headers["Authorization"] = password
        if holder is H.FOREIGN_PAGE:
            headers["Origin"] = "https://elsewhere.example"
        if holder is H.FOREIGN_HOST:
            headers["Host"] = f"elsewhere.example:{self.server.port}"
        self.secrets.update(text for text in (token, password) if text and len(text) > 30)
        if row.door is Door.WEBSOCKET:
            return await self._connect(token, headers)
        if row.door is Door.BRIDGE:
            envelope: dict[str, Any] = {"url": ask.path, "method": ask.method, "params": dict(ask.params)}
            if token is not None:
                envelope["token"] = token
            return await self._send("POST", self.server.eb_server, headers, data=json.dumps(envelope))
        url = self.server.rest_url + ask.path
        return await self._send(ask.method, url, headers, data=ask.form, json=ask.json)

    async def _send(self, method: str, url: str, headers: dict[str, str], **body: Any) -> Answer:
        async with self.http.request(method, url, headers=headers, **body) as response:
            return Answer(response.status, await response.text())

    async def _connect(self, token: str | None, headers: dict[str, str]) -> Answer:
        query = "" if token is None else "?token=" + quote(token, safe="=")
        url = URL(self.server.ws_server + query, encoded=True)
        async with self.http.ws_connect(url, headers=headers) as ws:
            first = await ws.receive(timeout=5)
            if first.type is aiohttp.WSMsgType.TEXT:
                return Answer(101, first.data)
            return Answer(101, str(first.extra), close_code=ws.close_code)


def vars_of(thing: object) -> dict[str, str]:
    """What a call or conference says of itself."""
    return {name: str(getattr(thing, name)) for name in ("sid", "status", "date_ended")}


def cases(hall: Hall, row: Row, holder: Holder, place: Place) -> Iterator[tuple[Ask, dict[str, str | None]]]:
    """Each request of a cell: what is asked for, with which credentials."""
    below = hall.other if holder is H.ELSEWHERE else place
    wallet = Wallet(place, hall.other, hall.clock.now())
    if row.door in (Door.BRIDGE, Door.WEBSOCKET):
        ask = Ask("GET", row.path)
        if row.door is Door.BRIDGE:
            ask = bridge_ask(row, place, below, holder, whole=below.sid)
        for token in thinned(row, holder, wallet.tokens(holder)):
            if row.door is Door.WEBSOCKET and len(quote(token)) > LONGEST_HEADER:
                continue  # no address is that long
            password = None
            if holder in (H.ACCOUNT, H.SIGNING_KEY, H.WRONG_PASSWORD):
                [password, *_] = wallet.passwords(holder)
            yield ask, {"token": token, "password": password}
        if holder is H.NONE:
            yield ask, {"token": None, "password": None}
        return
    below_workspace = row.path.removeprefix("{workspace}").removeprefix("/stub/workspaces/{workspace}")
    names_more = "{" in below_workspace and "{n" not in below_workspace  # names and numbers are no SIDs
    workspace_sid = place.sid
    if holder is H.ELSEWHERE and (not names_more or row.path == "/{sid}"):
        workspace_sid = "WS" + "0" * 32
    if row.door is Door.REST:
        ask = rest_ask(row, place, below, workspace_sid)
    else:
        ask = stub_ask(row, hall.server, place, below, workspace_sid)
    for password in thinned(row, holder, wallet.passwords(holder)):
        yield ask, {"token": None, "password": password}


def thinned(row: Row, holder: Holder, credentials: Sequence[Any]) -> Sequence[Any]:
    """All of them at one route of each door; the first of each kind elsewhere, as one door has one check."""
    return credentials if row in THOROUGH or row.cells[holder] is Cell.YES else credentials[:2]


THOROUGH: Final = [next(row for row in ROWS if row.door is door) for door in Door]


@pytest.fixture
async def hall() -> Any:
    clock = ManualClock(NOW)
    server = StubServer(Settings(port=0, settle_ms=0), clock=clock, token_clock=clock)
    async with server, aiohttp.ClientSession() as http:
        yield Hall(server, http, clock)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.door.name} {row.name}")
async def test_each_holder_gets_what_the_table_says(
    hall: Hall, row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    before: object = hall.everything()
    # Refusals first: all of them together must leave the account as it is.
    for holder in sorted(H, key=lambda h: row.cells[h] is Cell.YES):
        cell = row.cells[holder]
        if cell is Cell.YES and before is not None:
            assert hall.everything() == before, "a refusal left a trace"
            before = None
        changes = cell is Cell.YES and row.method != "GET"
        found = list(cases(hall, row, holder, Place(hall.server) if changes else hall.place))
        assert found, f"{holder} is not played"
        counters = hall.counters()
        # What was carried out would be something else the second time.
        for ask, credentials in found[:1] if changes else found:
            answer = await hall.ask(row, ask, holder, **credentials)
            check(row, cell, holder, answer, f"{row.name}, {holder}: {credentials}, {ask} -> {answer}")
            told.append(answer.text)
        assert cell is Cell.YES or hall.counters() == counters, f"a refusal left a trace: {holder}"
    assert before is None or hall.everything() == before, "a refusal left a trace"
    shown = "\n".join([*told, caplog.text, *(f"{r.getMessage()} {r.exc_info}" for r in caplog.records)])
    assert told
    for secret in hall.secrets:
        assert secret not in shown


def check(row: Row, cell: Cell, holder: Holder, answer: Answer, where: str) -> None:
    """Whether the answer is the one that the cell stands for."""
    if row.door is Door.WEBSOCKET:
        if cell is Cell.YES:
            assert '"init"' in answer.text, where
        else:
            assert answer.close_code in CLOSE_CODES[cell], where
            assert (answer.close_code == 4408) == (holder is H.EXPIRED), where
        return
    if cell is Cell.YES:
        assert answer.status in (200, 201, 204), where
        return
    body = json.loads(answer.text)
    assert (answer.status, body["status"], body["code"]) == (int(cell), int(cell), CODES[cell]), where


# --- Beside the table ---------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, 5, 0, True, [], {}, ["x"], 1e300])
async def test_token_that_is_no_text_proves_nothing(desk: Desk, token: object) -> None:
    nina = desk.client("nina")
    before = snapshot(desk.workspace)
    answer = await nina.raw(json.dumps({"url": nina.me, "method": "GET", "params": {}, "token": token}))
    assert (answer.status, answer.body["code"]) == (401, 20003)
    assert snapshot(desk.workspace) == before


async def test_nothing_that_a_client_says_on_the_websocket_changes_anything(desk: Desk) -> None:
    nina = desk.client("nina")
    socket = await nina.ready()
    before = snapshot(desk.workspace)
    for text in (
        "",
        " ",
        "{}",
        '{"event_type": "worker.deleted", "payload": {}}',
        json.dumps({"url": nina.me, "method": "POST", "token": nina.token, "params": {"Attributes": {}}}),
        "x" * 16_000,
    ):
        await socket.ws.send_str(text)
    await socket.ws.send_bytes(b"\x00\xff" * 100)
    await socket.ws.ping(b"still there")
    task = desk.run(lambda ws: ws.create_task())  # it is still served
    assert (await socket.event("reservation.created"))["task"]["sid"] == task.sid
    desk.run(lambda ws: ws.delete_task(task.sid))
    after = snapshot(desk.workspace)
    assert isinstance(before, tuple)
    assert isinstance(after, tuple)
    assert before[0] == after[0]
    await socket.ws.send_str("x" * 20_000)
    assert await socket.closed() == 1009


async def test_supervisor_without_a_worker_cannot_supervise_as_nobody(hall: Hall) -> None:
    wallet = Wallet(hall.place, hall.other, NOW)
    token = wallet.access(role=Role.SUPERVISOR, worker_sid=None)
    held = hall.place.theirs.conferring
    path = f"Workspaces/{hall.place.sid}/Tasks/{held.task.sid}/Reservations/{held.sid}"
    [row] = [
        r
        for r in ROWS
        if r.door is Door.BRIDGE and r.path.endswith("Tasks/{task}/Reservations/{reservation}")
    ]
    for params in ({}, {"Supervisor": None}, {"Supervisor": ""}, {"Supervisor": held.worker.sid}):
        ask = Ask("POST", path, params={"Instruction": "supervise", **params})
        answer = await hall.ask(row, ask, H.SUPERVISOR_NOBODY, token=token)
        assert answer.status == 403, params


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Workspaces/{ws}/Workers/{me}/../../Workers/{other}", 404),
        ("Workspaces/{ws}/Workers/{me}%2f..%2f{other}", 403),
        ("Workspaces/{ws}/Workers/{other}?x={me}", 403),
        ("Workspaces//Workers/{other}", 404),
        ("/Workspaces/{ws}/Workers/{other}", 403),
        ("\\Workspaces\\{ws}\\Workers\\{other}", 403),
        ("//Workspaces/{ws}/Workers/{other}", 404),
        ("workspaces/{ws}/workers/{me}", 404),
        ("https://example.com/v1/Workspaces/{ws}/Workers/{other}", 404),
        ("", 404),
    ],
)
async def test_path_in_disguise_opens_no_other_door(desk: Desk, path: str, status: int) -> None:
    nina, otto = desk.client("nina"), desk.client("otto")
    before = snapshot(desk.workspace)
    url = path.format(ws=desk.server.workspace_sid, me=nina.worker_sid, other=otto.worker_sid)
    answer = await nina.send(url, "POST", {"Attributes": {"a": 1}})
    assert answer.status == status, answer.body
    assert snapshot(desk.workspace) == before


async def test_pages_of_any_origin_may_read_the_bridge_and_no_other_door(open_desk: Open) -> None:
    desk: Desk = await open_desk()
    nina = desk.client("nina")
    page = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    allowed = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
        "Access-Control-Allow-Headers": "apiVersion, clientVersion, If-Match, Content-Type",
        "Access-Control-Max-Age": "86400",
    }
    for answer in (
        await nina.raw("", method="OPTIONS", headers=page),
        await nina.send(nina.me, headers=page),
        await nina.send(nina.me, headers=page, token="forged"),
        await nina.raw("", method="DELETE", headers=page),
    ):
        assert {name: answer.headers.get(name) for name in allowed} == allowed
        assert "Access-Control-Allow-Credentials" not in answer.headers
    stub = f"{desk.server.rest_url}/stub"
    for method, url in (
        ("GET", f"{desk.path}/Workers"),
        ("OPTIONS", f"{desk.path}/Workers"),
        ("GET", f"{stub}/health"),
        ("OPTIONS", f"{stub}/health"),
        ("GET", f"{stub}/workspaces/{desk.server.workspace_sid}/telephony"),
    ):
        answer = await desk.rest(method, url, headers=page)
        assert not [name for name in answer.headers if name.startswith("Access-Control")], url


def test_server_listens_on_this_machine_alone_unless_it_is_told_otherwise() -> None:
    assert Settings().host == "127.0.0.1"


SECRET: Final = re.compile(r"secret|auth_token|password|signature|digest|hmac|credential", re.IGNORECASE)


def test_secrets_are_never_compared_by_an_operator() -> None:
    """`==` and `in` stop at the first difference, which the time tells; `hmac.compare_digest` does not."""
    found = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(Path(server_stub.__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        and any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops)
        and any(SECRET.search(name) for name in compared(node))
    ]
    assert found == []


def compared(node: ast.Compare) -> Iterator[str]:
    """The names of what is compared. A constant is a list of names, and a length is no secret."""
    for side in (node.left, *node.comparators):
        if isinstance(side, ast.Name) and not side.id.isupper():
            yield side.id
        elif isinstance(side, ast.Attribute):
            yield side.attr


def test_the_guard_finds_a_comparison_by_operator() -> None:
    [node] = [n for n in ast.walk(ast.parse("self.auth_token == given")) if isinstance(n, ast.Compare)]
    assert any(SECRET.search(name) for name in compared(node))


def test_a_snapshot_shows_changes_of_every_kind(hall: Hall) -> None:
    """The comparison that the table relies on would notice."""
    workspace: Workspace = hall.place.ws
    before = hall.everything()
    hall.place.run(lambda ws: ws.update_worker_channel(hall.place.mine.worker_sid, "default", capacity=9))
    after = hall.everything()
    assert after != before
    workspace.telephony.end(workspace.telephony.calls[hall.place.call_sid])
    assert hall.everything() != after
