"""The console's doors: who is let in, and what its page may do."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest

from server_stub import Settings, StubServer
from server_stub.clocks import HandClock, StandingClock
from server_stub.console import access as console_access
from server_stub.console.access import HEADER
from server_stub.console.routes import API
from taskrouter_worker import Worker
from taskrouter_worker.clock import ManualClock
from tests.server.console_caller import Caller, calling, until

NOW = 1_800_000_000.0


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with calling(StubServer(Settings(port=0, settle_ms=0))) as caller:
        yield caller


# --- Who is let in ------------------------------------------------------------------------------


async def test_printed_link_lets_in(caller: Caller) -> None:
    assert (await caller.ask("GET", "/console/live"))[0] == 401
    await caller.enter()
    assert (await caller.ask("GET", "/console/session"))[0] == 200
    assert (await caller.told())[-1]["t"] == "ready"


async def test_credentials_let_in(caller: Caller) -> None:
    proof = {"user": caller.server.account_sid, "password": caller.server.auth_token}
    assert (await caller.ask("POST", "/console/session", json=proof))[0] == 201
    assert (await caller.ask("GET", f"{API}/v1/Workspaces"))[0] == 200


PROOFS: list[tuple[object, int]] = [
    ({"key": "x" * 32}, 401),
    ({"key": ""}, 401),
    ({"key": "ключ"}, 401),
    ({"key": None}, 400),
    ({"user": "AC" + "0" * 32, "password": "wrong"}, 401),
    ({"user": "a:b", "password": "\ud800"}, 401),
    ({"key": "\ud800"}, 401),
    ({}, 400),
    ([], 400),
]


async def test_nothing_else_lets_in(caller: Caller) -> None:
    for proof, status in PROOFS:
        found, text = await caller.ask("POST", "/console/session", json=proof)
        assert found == status, (proof, text)
        assert (await caller.ask("GET", "/console/session"))[0] == 401


async def test_session_ends_with_its_time_and_when_its_owner_leaves(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await caller.enter()
    assert (await caller.ask("DELETE", "/console/session"))[0] == 204
    assert (await caller.ask("GET", "/console/session"))[0] == 401
    monkeypatch.setattr(caller.server._console.access, "_now", lambda: NOW)
    await caller.enter()
    assert (await caller.ask("GET", "/console/session"))[0] == 200
    monkeypatch.setattr(caller.server._console.access, "_now", lambda: NOW + console_access.LIFETIME)
    assert (await caller.ask("GET", "/console/session"))[0] == 401


def test_forged_session_is_refused() -> None:
    access = StubServer(Settings(port=0))._console.access
    session = access._new()
    says, _, signature = session.rpartition(".")
    version, until, number = says.split(".")
    later = f"{version}.{int(until) + 1}.{number}.{signature}"
    assert access._is_sound(session)
    for forged in (
        "",
        "..",
        "ü",
        says,
        f"{says}.",
        f"9{session}",
        f"{session}0",
        later,
        f"{says}.{'0' * 64}",
    ):
        assert not access._is_sound(forged), forged


async def test_session_outlives_a_restart_with_the_same_credentials_and_no_other() -> None:
    given = Settings(port=0, account_sid="AC" + "1" * 32, auth_token="same", signing_key_secret="same too")
    first, again, other = StubServer(given), StubServer(given), StubServer(Settings(port=0))
    session = first._console.access._new()
    assert again._console.access._is_sound(session)
    assert not other._console.access._is_sound(session)
    assert len({server._console.access.key for server in (first, again, other)}) == 3


async def test_cookie_is_for_this_server_and_no_script(caller: Caller) -> None:
    url = f"{caller.server.rest_url}/console/session"
    async with caller.http.post(url, headers={HEADER: "none"}, json={"key": caller.key}) as response:
        cookie = response.headers["Set-Cookie"]
    assert cookie.startswith(f"taskrouter_console_{caller.server.port}=")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/console", "Max-Age=43200"):
        assert part in cookie


# --- Pages of others ----------------------------------------------------------------------------


def api_routes(server: StubServer) -> set[str]:
    app = server._console.api(1.0)
    values = {"workspace": server.workspace_sid, "task": "WT" + "0" * 32, "name": "a", "number": "1"}
    found: set[str] = set()
    for resource in app.router.resources():
        path = resource.canonical
        for name, value in {**values, "path": f"{server.workspace_sid}/Tasks"}.items():
            path = path.replace(f"{{{name}}}", value)
        found.add(API + path)
    return found


async def test_every_route_behind_the_page_wants_a_session(caller: Caller) -> None:
    routes = api_routes(caller.server)
    assert len(routes) > 15
    for path in sorted(routes):
        for method in ("GET", "POST", "DELETE"):
            status, text = await caller.ask(method, path)
            assert status == 401, (method, path, text)


async def test_the_cookie_alone_is_worth_nothing(caller: Caller) -> None:
    """Browsers send it to whatever listens on other ports of the host."""
    await caller.enter()
    sid = caller.server.workspace_sid
    path = f"{API}/v1/Workspaces/{sid}/Tasks"
    asks = [
        *(("GET", asked) for asked in ("/console/session", "/console/live", "/console/clock", path)),
        *(("POST", asked) for asked in (path, f"{API}/stub/workspaces/{sid}/reset", "/console/clock")),
        ("DELETE", "/console/session"),
    ]
    [cookie] = caller.http.cookie_jar
    another = caller.server._console.access._other_half(caller.server._console.access._new())
    for half in ("", "1", cookie.value, cookie.value.rpartition(".")[2], another, "é"):
        for method, asked in asks:
            status, text = await caller.ask(method, asked, headers={HEADER: half})
            assert (status, HEADER in text) == (401, True), (half, method, asked, text)
    for method, asked in asks:  # nor without such a header at all
        async with caller.http.request(method, caller.server.rest_url + asked) as response:
            assert response.status == 401, (method, asked)
    assert (await caller.ask("POST", path, data={"Attributes": "{}"}))[0] == 201


async def test_page_of_another_origin_is_not_told_that_it_may_ask(caller: Caller) -> None:
    path = f"{API}/v1/Workspaces/{caller.server.workspace_sid}/Tasks"
    status, _ = await caller.ask("OPTIONS", path, headers={"Origin": "http://localhost:1"})
    assert status == 403


ELSEWHERE: list[dict[str, str]] = [
    {"Origin": "https://elsewhere.example"},
    {"Origin": "http://127.0.0.1:1"},  # another port is another origin, though the same site
    {"Origin": "null"},
    {"Host": "elsewhere.example"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
]


async def test_pages_of_other_origins_get_nothing(caller: Caller) -> None:
    await caller.enter()
    paths = ("/console/session", "/console/live", "/console/main.js", f"{API}/v1/Workspaces")
    for headers, path in itertools.product(ELSEWHERE, paths):
        status, text = await caller.ask("GET", path, headers=headers)
        assert status == 403, (path, text)
    own = {"Origin": caller.server.rest_url, "Sec-Fetch-Site": "same-origin"}
    assert (await caller.ask("GET", "/console/session", headers=own))[0] == 200


async def test_link_from_elsewhere_may_lead_to_the_page(caller: Caller) -> None:
    """A mail or a wiki may link to it: what is shown holds nothing, and cannot be framed."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await caller.ask("GET", "/console", headers=headers))[0] == 200
    assert (await caller.ask("GET", "/console", headers={**headers, "Host": "elsewhere.example"}))[0] == 403


async def test_page_allows_no_foreign_code(caller: Caller) -> None:
    for path in ("/console", "/console/main.js", "/console/console.css", "/console/icon.svg"):
        async with caller.http.get(caller.server.rest_url + path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "require-trusted-types-for 'script'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            tag = response.headers["ETag"]
        async with caller.http.get(caller.server.rest_url + path, headers={"If-None-Match": tag}) as again:
            assert again.status == 304


async def test_nothing_of_customers_is_kept_by_the_browser(caller: Caller) -> None:
    await caller.enter()
    sid = caller.server.workspace_sid
    below = (
        f"v1/Workspaces/{sid}",
        f"v1/Workspaces/{sid}/Tasks/WT0",
        f"stub/workspaces/{sid}/state",
        "stub/x",
    )
    paths = ("/console/session", "/console/live?Once=true", "/console/clock", *(f"{API}/{p}" for p in below))
    for path in paths:
        own = {HEADER: caller.half}
        async with caller.http.get(caller.server.rest_url + path, headers=own) as response:
            assert response.headers["Cache-Control"] == "no-store", path
            assert response.headers["X-Content-Type-Options"] == "nosniff", path


async def test_only_the_page_s_own_files_are_served(caller: Caller) -> None:
    for name in ("nothing.js", "console.py", "..%2fapp.py", "index.html.bak", "main", "__init__.py"):
        assert (await caller.ask("GET", f"/console/{name}"))[0] == 404, name


def test_page_asks_no_other_server_and_makes_no_markup_of_text() -> None:
    for file in files("server_stub.console").joinpath("web").iterdir():
        text = file.read_text(encoding="utf-8")
        text = text.replace("http://www.w3.org/2000/svg", "").replace("https?:", "")
        for word in (
            "http://",
            "https://",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "document.write",
        ):
            assert word not in text, f"{word} in {file.name}"


# --- Secrets ------------------------------------------------------------------------------------


async def test_neither_log_nor_page_tells_a_secret(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = caller.server
    _, token = server.hire("Nina")
    told: list[str] = []
    feeds = server._console.feeds

    async def write(data: bytes) -> None:
        told.append(data.decode())

    await caller.enter()
    watching = asyncio.create_task(feeds.serve(server.workspace_sid, write))
    async with Worker(token, eb_server=server.eb_server, ws_server=server.ws_server) as worker:
        await worker.set_attributes({"a": 1})
        await until(lambda: any('"answer"' in text for text in told))
    feeds.close()
    await watching
    cookies = [cookie.value for cookie in caller.http.cookie_jar]
    answers = [await caller.ask("GET", path) for path in ("/console", "/console/session", "/console/clock")]
    shown = "\n".join([caplog.text, *told, *(text for _, text in answers)])
    for secret in (caller.key, server.auth_token, server.signing_key_secret, token, *cookies):
        assert len(secret) > 20
        assert secret not in shown
    await worker.disconnect()


# --- What people do -----------------------------------------------------------------------------


async def test_faults_for_clients_spare_the_console(caller: Caller) -> None:
    caller.server.faults.refuse_requests(503, door="rest")
    await caller.enter()
    assert (await caller.ask("GET", f"{API}/v1/Workspaces"))[0] == 200
    pair = f"{caller.server.account_sid}:{caller.server.auth_token}".encode()
    basic = {"Authorization": f"Basic {b64encode(pair).decode()}"}
    assert (await caller.ask("GET", "/v1/Workspaces", headers=basic))[0] == 503
    assert (await caller.ask("GET", f"{API}/v1/Workspaces", headers=basic))[0] == 200


async def test_reservation_is_accepted_on_behalf_of_its_worker(caller: Caller) -> None:
    server = caller.server
    worker_sid, _ = server.hire("Nina")
    server.run(server.workspace_sid, lambda ws: ws.create_task())
    [reservation] = server.account.workspaces[server.workspace_sid].reservations.values()
    await caller.enter()
    path = f"{API}/v1/Workspaces/{server.workspace_sid}/Workers/{worker_sid}/Reservations/{reservation.sid}"
    for status in ("accepted", "wrapping", "completed"):
        found, text = await caller.ask("POST", path, data={"ReservationStatus": status})
        assert (found, json.loads(text)["reservation_status"]) == (200, status)


async def test_worker_is_created_as_over_the_rest_api(caller: Caller) -> None:
    server = caller.server
    workspace = server.account.workspaces[server.workspace_sid]
    path = f"{API}/v1/Workspaces/{server.workspace_sid}/Workers"
    form = {"FriendlyName": "Nina", "Attributes": '{"level": 3}'}
    assert (await caller.ask("POST", path, data=form))[0] == 401
    await caller.enter()
    foreign = {"Origin": "https://elsewhere.example"}
    assert (await caller.ask("POST", path, data=form, headers=foreign))[0] == 403
    assert (await caller.ask("POST", path, data=form, headers={HEADER: "1"}))[0] == 401
    assert not workspace.workers
    assert (await caller.ask("POST", path, data={**form, "Attributes": "[1]"}))[0] == 400
    status, text = await caller.ask("POST", path, data=form)
    assert (status, json.loads(text)["friendly_name"]) == (201, "Nina")
    [nina] = workspace.workers.values()
    assert nina.parsed_attributes == {"level": 3}
    assert (await caller.ask("POST", path, data=form))[0] == 400  # the name is taken


# --- Time ---------------------------------------------------------------------------------------


async def turn(caller: Caller, **body: Any) -> tuple[int, dict[str, Any]]:
    status, text = await caller.ask("POST", "/console/clock", json=body)
    return status, json.loads(text)


async def test_clock_is_stopped_moved_on_and_started() -> None:
    base = ManualClock(NOW)
    async with calling(StubServer(Settings(port=0), clock=HandClock(base), token_clock=base)) as caller:
        server = caller.server
        await caller.enter()
        server.hire("Nina")
        server.run(server.workspace_sid, lambda ws: ws.create_task())
        [offer] = server.account.workspaces[server.workspace_sid].reservations.values()
        assert await turn(caller, action="stop") == (200, {"now": NOW, "kind": "hand", "stopped": True})
        base.advance(10_000)
        server.tick()
        assert offer.status == "pending"
        status, shown = await turn(caller, action="advance", seconds=119)
        assert (status, shown["now"], offer.status) == (200, NOW + 119, "pending")
        await turn(caller, action="advance", seconds=10)
        assert offer.status == "timeout"
        assert offer.date_updated == NOW + 120  # at its own moment
        assert (await turn(caller, action="start"))[1]["stopped"] is False
        base.advance(5)
        assert server.account.workspaces[server.workspace_sid].now() == NOW + 134
        await turn(caller, action="advance", seconds=6)
        assert server.account.workspaces[server.workspace_sid].now() == NOW + 140


async def test_started_clock_lets_timers_run_again() -> None:
    base = ManualClock(NOW)
    async with calling(StubServer(Settings(port=0), clock=HandClock(base))) as caller:
        server = caller.server
        await caller.enter()
        await turn(caller, action="stop")
        server.hire("Nina")
        server.run(server.workspace_sid, lambda ws: ws.create_task())
        assert server.workspace_sid not in server._runtime._timers
        await turn(caller, action="start")
        assert server.workspace_sid in server._runtime._timers


async def test_moving_the_server_s_time_on_leaves_a_standing_workspace_alone() -> None:
    async with calling(StubServer(Settings(port=0), clock=HandClock(ManualClock(NOW)))) as caller:
        server = caller.server
        other = server.add_workspace(friendly_name="test", clock=StandingClock(1_000))
        server.run(other, lambda ws: ws.create_task(timeout=60))  # due in 1970, by the server's time
        await caller.enter()
        path = f"/console/clock?Workspace={server.workspace_sid}"
        status, text = await caller.ask("POST", path, json={"action": "advance", "seconds": 90})
        assert (status, json.loads(text)["now"]) == (200, NOW + 90)
        [task] = server.account.workspaces[other].tasks.values()
        assert task.status == "pending"


async def test_standing_workspace_is_moved_on_only(caller: Caller) -> None:
    server = caller.server
    sid = server.add_workspace(friendly_name="test", clock=StandingClock(1_000))
    await caller.enter()
    path = f"/console/clock?Workspace={sid}"
    status, text = await caller.ask("POST", path, json={"action": "advance", "seconds": 5})
    assert (status, json.loads(text)) == (200, {"now": 1_005.0, "kind": "standing", "stopped": True})
    assert (await caller.ask("POST", path, json={"action": "stop"}))[0] == 409


async def test_machine_s_time_says_what_to_do(caller: Caller) -> None:
    await caller.enter()
    status, told = await turn(caller, action="advance", seconds=1)
    assert status == 409
    assert "taskrouter-stub serve" in told["message"]


NONSENSE: list[dict[str, Any]] = [
    {},
    {"action": "jump"},
    {"action": "advance"},
    {"action": "advance", "seconds": 0},
    {"action": "advance", "seconds": -1},
    {"action": "advance", "seconds": True},
    {"action": "advance", "seconds": "5"},
    {"action": "advance", "seconds": 1e99},
]


async def test_clock_refuses_what_makes_no_sense() -> None:
    clock = HandClock(ManualClock(NOW))
    async with calling(StubServer(Settings(port=0), clock=clock)) as caller:
        await caller.enter()
        for body in NONSENSE:
            status, told = await turn(caller, **body)
            assert (status, told["code"]) == (400, 20001)
        assert clock.now() == NOW


def test_hand_clock_does_not_go_back() -> None:
    clock = HandClock(ManualClock(NOW))
    with pytest.raises(ValueError, match="does not go back"):
        clock.move_to(NOW - 1)
    with pytest.raises(ValueError, match="does not go back"):
        clock.move_to(float("nan"))
    clock.go_on()  # it runs already
    assert clock.now() == NOW


def test_files_of_the_page_are_in_the_package() -> None:
    names = {file.name for file in files("server_stub.console").joinpath("web").iterdir()}
    assert {"index.html", "console.css", "main.js", "theme.js", "icon.svg"} <= names
