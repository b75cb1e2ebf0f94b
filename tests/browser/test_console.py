"""The console in Chromium: what people see, do and press, and what must not happen."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from server_stub import Settings, StubServer
from server_stub.console.access import HEADER
from server_stub.domain.model import Reservation, Task
from tests.browser.conftest import LOOP, SEED, Visit
from tests.browser.scene import Scene
from tests.sdk.loopback import http_server

pytestmark = [pytest.mark.browser, LOOP]

VIEWS: Final = ("board", "tasks", "workers", "reservations", "timeline", "faults", "server")
SIZES: Final = ((360, 740), (390, 844), (1280, 800), (2560, 1440))
HOSTILE: Final = (
    '<img src=x onerror="window.hit=1">',
    "<script>window.hit=1</script>",
    '"><svg onload="window.hit=1">',
    "javascript:window.hit=1",
    "'; window.hit=1; //",
    "${window.hit=1}",
    "\u202e\u0000\uffff" + "x" * 500,
)


def offer(server: StubServer) -> Reservation:
    """An offer that waits for an answer."""
    workspace = server.account.workspaces[server.workspace_sid]
    return next(r for r in workspace.reservations.values() if r.status == "pending")


def new_task(server: StubServer, attributes: str = '{"topic": "loans", "level": 1}') -> Task:
    """One more task."""
    return server.run(server.workspace_sid, lambda ws: ws.create_task(attributes=attributes))


# --- Looks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_screen_fits(visit: Visit, size: tuple[int, int], scheme: str) -> None:
    scene = Scene()
    async with scene.server as server:
        scene.play()
        workspace = scene.workspace
        visitor = await visit(size=size, scheme=scheme, url=server.console_url)
        for view in VIEWS:
            await visitor.go(view)
            assert await visitor.overflow() == [], view
            assert await visitor.faint() == [], view
        waiting = next(t for t in workspace.tasks.values() if t.status == "pending")
        busy = max(workspace.workers.values(), key=lambda w: len(w.live_reservations))
        queue = next(iter(workspace.task_queues))
        held = next(r for r in workspace.reservations.values() if r.status == "accepted")
        for view, sid in (
            ("tasks", waiting.sid),
            ("workers", busy.sid),
            ("reservations", held.sid),
            ("board", queue),
        ):
            await visitor.go(view, sid)
            await visitor.until("() => document.querySelectorAll('.details .later > *').length > 0")
            assert await visitor.overflow() == [], (view, sid)
            assert await visitor.faint() == [], (view, sid)
        await visitor.go("tasks")
        for key in ("n", "?", "/"):
            await visitor.press(key)
            await visitor.page.wait_for_selector("dialog[open]")
            assert await visitor.overflow() == [], f"the dialog of {key}"
            await visitor.press("Escape")
        background = await visitor.value("() => getComputedStyle(document.body).backgroundColor")
        light = sum(int(n) for n in re.findall(r"\d+", background)[:3]) > 3 * 128
        assert light is (scheme == "light")
        await visitor.leave()


async def test_theme_is_chosen_by_a_key_and_kept(visit: Visit) -> None:
    visitor = await visit(scheme="light")
    for wanted in ("light", "dark"):
        await visitor.press("t")
        assert await visitor.value("() => document.documentElement.dataset.theme") == wanted
    dark = await visitor.value("() => getComputedStyle(document.body).backgroundColor")
    await visitor.page.reload()
    await visitor.page.wait_for_selector(".connection.live")
    assert await visitor.value("() => getComputedStyle(document.body).backgroundColor") == dark


async def test_nothing_moves_while_numbers_change(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    where = """() => JSON.stringify([...document.querySelectorAll(".tile, .queue-row, .nav-item")]
        .map((node) => node.getBoundingClientRect()))"""
    before = await visitor.value(where)
    for _ in range(30):
        new_task(server, '{"topic": "cards"}')
    await visitor.until("() => Number(document.querySelector('.tile-value').textContent) > 20")
    assert await visitor.value(where) == before


@pytest.mark.parametrize("view", ["tasks", "workers", "reservations", "timeline", "faults"])
async def test_empty_screens_say_what_to_do(visit: Visit, view: str) -> None:
    async with StubServer(Settings(port=0)) as server:
        visitor = await visit(url=server.console_url)
        await visitor.go(view)
        if view == "timeline":
            await visitor.page.get_by_role("button", name="Clear").click()
        text = await visitor.page.locator(".empty:visible").first.inner_text()
        assert len(text) > 40, text
        await visitor.leave()


async def test_motion_is_reduced_for_whoever_asks(visit: Visit) -> None:
    visitor = await visit(reduced_motion="reduce")
    await visitor.page.get_by_role("button", name="New task").click()
    await visitor.page.get_by_role("button", name="Create").click()
    await visitor.page.wait_for_selector(".notice")
    assert (
        await visitor.value("() => getComputedStyle(document.querySelector('.notice')).animationName")
        == "none"
    )


# --- The door -----------------------------------------------------------------------------------


async def test_link_leaves_no_key_behind(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    key = server.console_url.partition("#key=")[2]
    assert key not in visitor.page.url
    shown = await visitor.value(
        """() => document.documentElement.outerHTML + document.cookie
        + JSON.stringify([{...localStorage}, {...sessionStorage}])"""
    )
    for secret in (key, server.auth_token, server.signing_key_secret):
        assert secret not in shown
    await visitor.page.reload()
    await visitor.page.wait_for_selector(".connection.live")


async def test_without_a_link_the_credentials_are_asked_for(visit: Visit, server: StubServer) -> None:
    visitor = await visit(url=f"{server.rest_url}/console", live=False)
    visitor.problems.clear()  # 401 is written to the browser's console
    visitor.ignored.append("401")
    await visitor.page.get_by_label("Account SID").fill(server.account_sid)
    await visitor.page.get_by_label("Auth token").fill("wrong")
    await visitor.press("Enter")
    await visitor.sees("The account SID or the auth token is wrong")
    await visitor.page.get_by_label("Auth token").fill(server.auth_token)
    await visitor.press("Enter")
    await visitor.page.wait_for_selector(".connection.live")
    await visitor.page.get_by_role("button", name="Leave").click()
    await visitor.sees("You have left the console")
    await visitor.page.reload()
    await visitor.page.wait_for_selector(".login")


async def test_link_of_an_earlier_run_says_so(visit: Visit, server: StubServer) -> None:
    visitor = await visit(url=f"{server.rest_url}/console#key=of-another-run", live=False)
    await visitor.sees("not of this server, or of an earlier run of it")
    visitor.problems.clear()


async def test_page_on_another_port_gets_the_cookie_and_nothing_with_it(
    visit: Visit, server: StubServer
) -> None:
    """Browsers know hosts and not ports when they send cookies: what listens there can be anybody."""
    visitor = await visit()
    visitor.ignored += ["Failed to load resource", "CORS policy"]
    caught: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def lure(request: web.Request) -> web.Response:
        if request.path == "/console" and not caught.done():
            caught.set_result(request.headers.get("Cookie", ""))
        return web.Response(text="<!doctype html><title>free money</title>", content_type="text/html")

    tasks = f"{server.rest_url}/console/api/v1/Workspaces/{server.workspace_sid}/Tasks"
    before = len(server.account.workspaces[server.workspace_sid].tasks)
    async with http_server(lure) as url, aiohttp.ClientSession() as http:
        await visitor.page.goto(f"{url.partition('/v1')[0]}/console")
        cookie = await caught
        assert f"taskrouter_console_{server.port}=" in cookie
        read = await visitor.value(
            """async (tasks) => {
              const read = [];
              for (const [method, mode] of [["GET", "no-cors"], ["POST", "no-cors"], ["GET", "cors"]]) {
                const body = method === "POST" ? new URLSearchParams({ Attributes: "{}" }) : undefined;
                const asked = fetch(tasks, { method, mode, body, credentials: "include" });
                const answer = await asked.catch(() => null);
                read.push(answer ? await answer.text() : "");
              }
              return read.join("");
            }""",
            tasks,
        )
        assert read == ""
        async with http.get(tasks, headers={"Cookie": cookie}) as response:  # what its server could try
            assert response.status == 401
        async with http.post(tasks, headers={"Cookie": cookie, HEADER: "1"}) as response:
            assert response.status == 401
    assert len(server.account.workspaces[server.workspace_sid].tasks) == before


# --- Hostile texts ------------------------------------------------------------------------------


def add_named(server: StubServer, name: str) -> None:
    """A worker and a queue of that name."""
    attributes = json.dumps({name: name})
    server.run(server.workspace_sid, lambda ws: ws.create_worker(friendly_name=name, attributes=attributes))
    server.run(server.workspace_sid, lambda ws: ws.create_task_queue(friendly_name=name))


async def test_hostile_attributes_and_names_are_only_text(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    sid = server.workspace_sid
    tasks = [new_task(server, json.dumps({"topic": "loans", text[:40]: text})) for text in HOSTILE]
    for text in HOSTILE[:-1]:
        add_named(server, text)
    server.run(sid, lambda ws: ws.create_activity(friendly_name=HOSTILE[0]))
    for view in VIEWS:
        await visitor.go(view)
        await visitor.page.wait_for_timeout(300)
    for task in tasks:
        await visitor.go("tasks", task.sid)
        await visitor.sees("topic", within=".details .json")
    worker = next(w for w in server.account.workspaces[sid].workers.values() if "<img" in w.friendly_name)
    await visitor.go("workers", worker.sid)
    await visitor.sees("<img src=x", within=".details h2")
    await visitor.press("/")
    await visitor.page.keyboard.type("<img")
    await visitor.sees("<img src=x", within=".results")
    assert await visitor.value("() => window.hit") is None
    made = "#app img:not(.brand img), svg svg, script:not([src])"
    assert await visitor.page.locator(made).count() == 0


# --- Acts ---------------------------------------------------------------------------------------


async def test_offer_is_accepted_wrapped_and_completed_by_clicks(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    reservation = offer(server)
    await visitor.go("reservations", reservation.sid)
    panel = visitor.page.locator(".details")
    for button, status in (("Accept", "accepted"), ("Wrap up", "wrapping"), ("Complete", "completed")):
        await panel.get_by_role("button", name=button).click()
        await visitor.sees(status, within=".details .pill")
        assert reservation.status == status
    assert await visitor.page.locator(f".notice:has-text('{reservation.worker.friendly_name}')").count() > 0


async def test_offer_is_rejected_on_the_board(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    reservation = offer(server)
    row = visitor.page.locator(
        ".card-row", has=visitor.page.locator(f"a[href='#/reservations/{reservation.sid}']")
    )
    await row.get_by_role("button", name="Reject").click()
    await visitor.until(f"() => !document.querySelector(\"a[href='#/reservations/{reservation.sid}']\")")
    assert reservation.status == "rejected"


async def test_refusal_is_told_in_words(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    reservation = offer(server)
    await visitor.go("workers", reservation.worker.sid)
    server.run(server.workspace_sid, lambda ws: ws.create_activity(friendly_name="Lunch"))
    await visitor.go("server")
    await visitor.page.get_by_label("Name").fill("not/a/name")
    visitor.ignored += ["404", "400"]
    await visitor.page.get_by_role("button", name="Keep a snapshot").click()
    await visitor.page.wait_for_selector(".notice.bad")


async def test_activity_is_changed_and_pending_offers_are_asked_about(
    visit: Visit, server: StubServer
) -> None:
    visitor = await visit()
    reservation = offer(server)
    worker = reservation.worker
    await visitor.go("workers", worker.sid)
    select = visitor.page.get_by_label(f"Activity of {worker.friendly_name}")
    await select.select_option(label="Offline")
    await visitor.sees("A reservation waits for this worker's answer")
    await visitor.page.get_by_role("button", name="Cancel").click()
    assert worker.activity.friendly_name == "Available"
    await visitor.until(
        "() => document.querySelector('select.activity').selectedOptions[0].text === 'Available'"
    )
    await select.select_option(label="Offline")
    await visitor.page.get_by_role("button", name="Reject and move").click()
    await visitor.sees("Offline", within=".details .pill")
    assert (worker.activity.friendly_name, reservation.status) == ("Offline", "rejected")


async def test_task_is_created_from_valid_json_only(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    workspace = server.account.workspaces[server.workspace_sid]
    before = set(workspace.tasks)
    await visitor.press("n")
    attributes = visitor.page.get_by_label("Attributes", exact=True)
    create = visitor.page.get_by_role("button", name="Create", exact=True)
    for text in ("{", "[1]", "null", '{"a": }'):
        await attributes.fill(text)
        assert await create.is_disabled(), text
    await attributes.fill('{"topic": "complaint", "from": "the console"}')
    await visitor.page.get_by_label("Priority").fill("7")
    await visitor.page.get_by_label("Channel").select_option("chat")
    await attributes.press("Control+Enter")
    await visitor.page.wait_for_selector("dialog", state="detached")
    [sid] = set(workspace.tasks) - before
    task = workspace.tasks[sid]
    assert (task.priority, task.task_channel.unique_name) == (7, "chat")
    assert task.parsed_attributes == {"topic": "complaint", "from": "the console"}
    await visitor.go("tasks")
    await visitor.sees("from: the console", within=".list")


async def test_task_is_explained(visit: Visit, server: StubServer) -> None:
    sid = server.workspace_sid
    task = new_task(server, '{"topic": "loans", "level": 9}')
    visitor = await visit()
    await visitor.go("tasks", task.sid)
    await visitor.sees("nobody can be reserved for it now", within=".details")
    await visitor.sees("worker.level >= task.level", within=".details")
    await visitor.sees("worker.level is 3", within=".details")
    server.run(sid, lambda ws: ws.update_task(task.sid, attributes='{"topic": "loans", "level": 1}'))
    await visitor.sees("The task is reserved", within=".details")  # it is asked again when the task changes


async def test_destructive_acts_ask_first(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    workspace = server.account.workspaces[server.workspace_sid]
    task = offer(server).task
    await visitor.go("tasks", task.sid)
    await visitor.page.locator(".details").get_by_role("button", name="Delete").click()
    await visitor.press("Escape")
    assert task.sid in workspace.tasks
    await visitor.page.locator(".details").get_by_role("button", name="Delete").click()
    await visitor.page.get_by_role("button", name="Delete the task").click()
    await visitor.sees("This task is gone", within=".details")
    assert task.sid not in workspace.tasks
    await visitor.go("reservations")
    await visitor.until("() => document.querySelector('.list').getAttribute('aria-rowcount') === '2'")
    await visitor.go("server")
    await visitor.page.get_by_role("button", name="Keep a snapshot").click()
    new_task(server)
    await visitor.page.get_by_role("button", name="Go back to it").click()
    await visitor.page.get_by_role("button", name="Go back", exact=True).click()
    await visitor.sees("as it was in")
    await visitor.page.get_by_role("button", name="Reset to the seed").click()
    await visitor.page.get_by_role("button", name="Reset", exact=True).click()
    await visitor.sees("as its seed made it")
    await visitor.go("tasks")
    await visitor.until("() => document.querySelector('.list').getAttribute('aria-rowcount') === '4'")


async def test_faults_are_added_shown_and_removed(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    await visitor.go("faults")
    form = visitor.page.locator(".card", has_text="New rule")
    remove_all = visitor.page.get_by_role("button", name="Remove all")
    await visitor.sees("No faults")
    assert await remove_all.is_disabled()
    await form.get_by_label("What happens").select_option("refuse_request")
    await form.get_by_label("To whom").fill("nobody of that name")
    await form.get_by_role("button", name="Add the rule").click()
    await visitor.sees("There is no worker", within=".problem")
    await form.get_by_label("To whom").fill("nina")
    await form.get_by_label("HTTP status").fill("429")
    await form.get_by_role("button", name="Add the rule").click()
    await visitor.sees("to nina", within=".card-row")
    [handle] = server.faults.handles(server.workspace_sid)
    assert (handle.rule.fault, handle.rule.status) == ("refuse_request", 429)
    assert await remove_all.is_enabled()
    await visitor.page.get_by_role("button", name="Remove", exact=True).click()
    await visitor.sees("No faults")
    assert not server.faults.handles(server.workspace_sid)
    await visitor.page.get_by_role("button", name="Cut connections").click()
    await visitor.page.locator("dialog").get_by_role("button", name="Cut connections").click()
    await visitor.sees("Nobody of these is connected")


async def test_time_is_stopped_and_moved_on(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    reservation = offer(server)
    await visitor.go("server")
    await visitor.page.get_by_role("button", name="Stop time").click()
    await visitor.sees("Time stands still", within=".topbar")
    await visitor.page.get_by_role("button", name="+ 1 h").click()
    await visitor.until("() => document.querySelector('.notices').innerText.includes('moved on by 3')")
    assert reservation.status == "timeout"
    await visitor.page.get_by_role("button", name="Let time go on").click()
    await visitor.page.wait_for_selector(".badge", state="hidden")


async def test_server_without_a_clock_to_move_says_what_to_do(visit: Visit) -> None:
    async with StubServer(Settings(port=0)) as server:
        visitor = await visit(url=server.console_url)
        await visitor.go("server")
        await visitor.sees("taskrouter-stub serve", within=".command")
        assert await visitor.page.get_by_role("button", name="Stop time").count() == 0
        await visitor.leave()


async def test_other_workspace_is_chosen(visit: Visit, server: StubServer) -> None:
    sid = server.add_workspace(friendly_name="Second")
    server.run(sid, lambda ws: ws.create_task(attributes='{"only": "there"}'))
    visitor = await visit()
    await visitor.go("tasks")
    await visitor.page.get_by_label("Workspace").select_option(label="Second")
    await visitor.sees("only: there", within=".list")


# --- Keys ---------------------------------------------------------------------------------------


async def test_everything_can_be_done_by_keys(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    workspace = server.account.workspaces[server.workspace_sid]
    for number, view in enumerate(VIEWS, 1):
        await visitor.press(str(number))
        await visitor.page.wait_for_selector(f'.nav-item[href="#/{view}"][aria-current="page"]')
    reservation = offer(server)
    await visitor.press("4", "j")
    await visitor.page.wait_for_selector(".row.selected")
    await visitor.press("Enter")
    await visitor.page.wait_for_selector(".details:not([hidden])")
    chosen = workspace.reservations[(await visitor.value("() => location.hash")).rpartition("/")[2]]
    for key, status in (("a", "accepted"), ("w", "wrapping"), ("c", "completed")):
        await visitor.press(key)
        await visitor.sees(status, within=".details .pill")
        assert chosen.status == status
    assert reservation.worker is chosen.worker
    await visitor.press("Escape")
    await visitor.page.wait_for_selector(".details", state="hidden")
    await visitor.press("2", "j", "j", "k", "ArrowDown", "Home", "End")
    assert await visitor.page.locator(".row.selected").count() == 1
    await visitor.press("f")
    await visitor.page.keyboard.type("no such thing")
    await visitor.sees("Nothing here matches")
    await visitor.press("Escape")
    await visitor.until("() => document.querySelectorAll('.row.task:not(.head, [hidden])').length > 0")


async def test_palette_finds_and_does(visit: Visit) -> None:
    visitor = await visit()
    await visitor.press("Control+k")
    await visitor.page.keyboard.type("omar")
    await visitor.sees("omar", within=".results")
    await visitor.press("Enter")
    await visitor.sees("omar", within=".details h2")
    await visitor.press("/")
    await visitor.page.keyboard.type("move omar to on a call")
    await visitor.press("Enter")
    await visitor.sees("On a call", within=".details .pill")
    await visitor.press("Control+k", "ArrowDown", "ArrowUp", "Escape")
    await visitor.page.wait_for_selector("dialog", state="detached")
    assert await visitor.page.locator(".details:not([hidden])").count() == 1  # only the palette was closed


async def test_focus_is_seen_and_every_control_has_a_name(visit: Visit) -> None:
    visitor = await visit()
    for view in VIEWS:
        await visitor.go(view)
        nameless = await visitor.value(
            """() => [...document.querySelectorAll("button, a, input, select, textarea, [role=grid]")]
            .filter((n) => n.checkVisibility())
            .filter((n) => !(n.innerText?.trim() || n.getAttribute("aria-label") || n.title))
            .filter((n) => !n.closest("label")?.innerText.trim())
            .map((n) => n.outerHTML.slice(0, 120))"""
        )
        assert nameless == [], view
    await visitor.go("board")
    for _ in range(6):
        await visitor.press("Tab")
        outline = await visitor.value("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"


# --- The timeline -------------------------------------------------------------------------------


async def test_timeline_shows_filters_and_holds_still(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    await visitor.go("timeline")
    await visitor.sees("worker.created", within=".list")
    await visitor.page.get_by_label("Filter the timeline").fill("task.created")
    await visitor.until(
        """() => [...document.querySelectorAll(".row.line:not(.head, [hidden]) .c-main")]
        .every((node) => node.textContent === "task.created")"""
    )
    before = await visitor.value("() => document.querySelector('.list').getAttribute('aria-rowcount')")
    await visitor.page.get_by_role("button", name="Pause").click()
    new_task(server)
    await visitor.page.wait_for_timeout(600)
    assert (
        await visitor.value("() => document.querySelector('.list').getAttribute('aria-rowcount')") == before
    )
    await visitor.page.get_by_role("button", name="Go on").click()
    await visitor.until(
        f"() => document.querySelector('.list').getAttribute('aria-rowcount') === '{int(before) + 1}'"
    )
    await visitor.press("j")
    await visitor.page.locator(".row.line").nth(1).click()
    await visitor.sees("event", within=".details")


async def test_frames_of_both_directions_are_shown(visit: Visit, server: StubServer) -> None:
    from taskrouter_worker import Worker

    visitor = await visit()
    await visitor.go("timeline")
    workspace = server.account.workspaces[server.workspace_sid]
    omar = next(w for w in workspace.workers.values() if w.friendly_name == "omar")
    token = server.worker_token(omar.sid)
    async with Worker(token, eb_server=server.eb_server, ws_server=server.ws_server):
        new_task(server, '{"topic": "cards"}')
        await visitor.page.get_by_role("button", name="Frames").click()
        await visitor.page.wait_for_selector(".c-way.sent >> visible=true")
        await visitor.page.get_by_role("button", name="Received").click()
        await visitor.page.wait_for_selector(".c-way.request >> visible=true")
        shown = await visitor.page.locator(".list").inner_text()
        assert token[:40] not in shown
        await visitor.go("workers", omar.sid)
        await visitor.sees("1 connection", within=".details")
    await visitor.sees("not connected", within=".details")


# --- The connection -----------------------------------------------------------------------------


async def test_page_comes_back_after_a_restart_of_the_server(visit: Visit) -> None:
    given: dict[str, Any] = {
        "auth_token": "a" * 64,
        "signing_key_secret": "b" * 64,
        "account_sid": "AC" + "1" * 32,
    }
    first = StubServer(Settings(port=0, seed_document=SEED, **given))
    await first.start()
    visitor = await visit(url=first.console_url)
    visitor.ignored += [
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_CONNECTION_RESET",
        "404",
    ]
    visitor.ignored.append("ERR_EMPTY_RESPONSE")
    await first.stop()
    await visitor.page.wait_for_selector(".connection.reconnecting")
    await visitor.sees("Reconnecting", within=".connection")
    async with StubServer(Settings(port=first.port, seed_document=SEED, **given)) as second:
        await visitor.page.wait_for_selector(".connection.live")
        second.run(second.workspace_sid, lambda ws: ws.create_task(attributes='{"after": "the restart"}'))
        await visitor.go("tasks")
        await visitor.sees("after: the restart", within=".list")


async def test_server_without_a_workspace_says_so_until_there_is_one(visit: Visit) -> None:
    async with StubServer(Settings(port=0, settle_ms=0)) as empty:
        visitor = await visit(url=empty.console_url)
        visitor.ignored.append("404")
        auth = {"Authorization": aiohttp.encode_basic_auth(empty.account_sid, empty.auth_token)}
        async with aiohttp.ClientSession(headers=auth) as http:
            await http.delete(f"{empty.rest_url}/v1/Workspaces/{empty.workspace_sid}")
        await visitor.page.wait_for_selector(".connection.vacant")
        await visitor.sees("taskrouter-stub reset", within=".banner")
        await visitor.page.reload()  # nothing of the deleted one is left
        await visitor.page.wait_for_selector(".connection.vacant")
        assert await visitor.page.locator("select.workspaces").is_hidden()
        empty.reset()
        await visitor.page.wait_for_selector(".connection.live")
        assert await visitor.page.locator(".banner").is_hidden()


async def test_server_with_other_credentials_asks_for_its_link(visit: Visit) -> None:
    first = StubServer(Settings(port=0))
    await first.start()
    visitor = await visit(url=first.console_url)
    visitor.ignored += ["ERR_", "401"]
    await first.stop()
    await visitor.page.wait_for_selector(".connection.reconnecting")
    async with StubServer(Settings(port=first.port)):
        await visitor.page.wait_for_selector(".login")
        await visitor.sees("needs the link")
