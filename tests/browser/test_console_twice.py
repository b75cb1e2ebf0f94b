"""The console under hurried hands: what is pressed twice is done once, and what is shown is what there is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from server_stub import Settings, StubServer
from tests.browser.conftest import LOOP, SEED, Visit
from tests.browser.test_console import new_task, offer

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

pytestmark = [pytest.mark.browser, LOOP]


async def click_twice(page: Page, button: Locator, *, between: float = 0.0) -> None:
    """A double click, whose second half comes so many milliseconds later, wherever the button is by then."""
    box = await button.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for number in (1, 2):
        await page.mouse.down(click_count=number)
        await page.mouse.up(click_count=number)
        await page.wait_for_timeout(between)


async def test_double_click_accepts_and_does_not_wrap_up_as_well(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    workspace = server.account.workspaces[server.workspace_sid]
    for between in (0, 400):  # before and after the next button is where this one was
        reservation = next(r for r in workspace.reservations.values() if r.status == "pending")
        await visitor.go("reservations", reservation.sid)
        accept = visitor.page.locator(".details").get_by_role("button", name="Accept")
        await click_twice(visitor.page, accept, between=between)
        await visitor.sees("accepted", within=".details .pill")
        # Whatever else was asked for is done before this is answered.
        await visitor.press("c")
        await visitor.sees("completed", within=".details .pill")
        assert await visitor.page.locator(".notice:has-text('wrapping up')").count() == 0
        new_task(server)


async def test_key_pressed_twice_acts_once(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    reservation = offer(server)
    await visitor.go("reservations", reservation.sid)
    await visitor.press("a", "a", "a")
    await visitor.sees("accepted", within=".details .pill")
    assert await visitor.page.locator(".notice.bad").count() == 0


async def test_double_click_asks_and_adds_once(visit: Visit, server: StubServer) -> None:
    visitor = await visit()
    await visitor.go("tasks", new_task(server).sid)
    await click_twice(visitor.page, visitor.page.locator(".details").get_by_role("button", name="Delete"))
    await visitor.sees("Delete this task?", within="dialog")
    await visitor.press("Escape")
    await visitor.go("faults")
    await click_twice(visitor.page, visitor.page.get_by_role("button", name="Add the rule"))
    await visitor.sees("every one, in this workspace")
    assert len(server.faults.handles(server.workspace_sid)) == 1


async def test_text_that_is_selected_beyond_a_dialog_is_not_lost(visit: Visit) -> None:
    visitor = await visit()
    await visitor.press("n")
    attributes = visitor.page.get_by_label("Attributes", exact=True)
    await attributes.fill('{"topic": "a long one"}')
    box = await attributes.bounding_box()
    assert box is not None
    mouse = visitor.page.mouse
    await mouse.move(box["x"] + 120, box["y"] + 15)
    await mouse.down()
    await mouse.move(20, box["y"] + 15, steps=4)
    await mouse.up()
    assert await attributes.input_value() == '{"topic": "a long one"}'
    await visitor.page.wait_for_timeout(600)  # a second click within half a second is the first one's
    await mouse.click(20, 20)
    await visitor.page.wait_for_selector("dialog", state="detached")


async def test_panel_shows_the_activity_that_was_chosen_and_what_comes_of_it(
    visit: Visit, server: StubServer
) -> None:
    visitor = await visit()
    workspace = server.account.workspaces[server.workspace_sid]
    worker = next(w for w in workspace.workers.values() if w.friendly_name == "omar")
    await visitor.go("workers", worker.sid)
    select = visitor.page.locator("select.activity")
    for name in ("Offline", "Available"):  # the list keeps the focus, as it does when people choose
        await select.focus()
        await select.select_option(label=name)
        await visitor.sees(name, within=".details .pill")
    task = new_task(server, '{"topic": "anything", "about": "the newest"}')
    assert worker in [r.worker for r in task.live_reservations]
    await visitor.sees("about: the newest", within=".details .held")
    assert await visitor.value("() => document.activeElement.className") == "activity"
    server.run(
        server.workspace_sid,
        lambda ws: ws.update_worker(
            worker.sid,
            activity_sid=next(a.sid for a in ws.activities.values() if a.friendly_name == "Offline"),
            reject_pending_reservations=True,
        ),
    )
    await visitor.until(
        "() => document.querySelector('select.activity').selectedOptions[0].text === 'Offline'"
    )


async def test_explanation_follows_what_it_is_about(visit: Visit, server: StubServer) -> None:
    task = new_task(server, '{"topic": "loans", "level": 9}')
    visitor = await visit()
    await visitor.go("tasks", task.sid)
    ways = visitor.page.locator(".details details").first
    await ways.locator("summary").click()
    server.run(server.workspace_sid, lambda ws: ws.create_worker(friendly_name="newcomer"))
    await visitor.sees("newcomer", within=".details")
    assert await ways.get_attribute("open") is None  # what was closed stays closed
    due = visitor.page.locator(".deadlines .number").first
    before = await due.inner_text()
    await visitor.press("/")
    await visitor.page.keyboard.type("advance the clock by 2 minutes")
    await visitor.press("Enter")
    await visitor.until(
        "(before) => document.querySelector('.deadlines .number').textContent !== before", before
    )


async def test_snapshots_are_those_of_the_workspace_that_is_shown(visit: Visit, server: StubServer) -> None:
    server.add_workspace(friendly_name="Second")
    visitor = await visit()
    await visitor.go("server")
    await visitor.page.get_by_role("button", name="Keep a snapshot").click()
    back = visitor.page.get_by_role("button", name="Go back to it")
    await back.wait_for()
    await visitor.page.get_by_label("Workspace").select_option(label="Second")
    await back.wait_for(state="detached")


@pytest.mark.parametrize("view", ["tasks", "reservations", "timeline"])
async def test_filter_finds_what_is_shown(visit: Visit, server: StubServer, view: str) -> None:
    new_task(server, '{"topic": "anything", "customer": "Zoë"}')
    visitor = await visit()
    await visitor.go(view)
    await visitor.sees("customer: Zoë", within=".list")
    await visitor.press("f")
    await visitor.page.get_by_placeholder("Filter", exact=True).fill("customer: zoë")
    await visitor.until(
        """() => {
          const rows = [...document.querySelectorAll(".list .row:not(.head, [hidden])")];
          return rows.length > 0 && rows.every((row) => row.textContent.includes("customer: Zoë"));
        }"""
    )


async def test_who_leaves_while_the_server_is_away_and_comes_back_looks_once(visit: Visit) -> None:
    given: dict[str, Any] = {
        "auth_token": "a" * 64,
        "signing_key_secret": "b" * 64,
        "account_sid": "AC" + "1" * 32,
    }
    first = StubServer(Settings(port=0, seed_document=SEED, **given))
    await first.start()
    visitor = await visit(url=first.console_url)
    visitor.ignored += ["ERR_", "401"]
    # The wait between two tries is made longer than this test needs to leave and to enter.
    await visitor.value(
        """() => { const plain = setTimeout;
        window.setTimeout = (f, ms, ...more) => plain(f, ms === 250 ? 4000 : ms, ...more); }"""
    )
    await first.stop()
    await visitor.page.wait_for_selector(".connection.reconnecting")
    await visitor.page.get_by_role("button", name="Leave").click()
    await visitor.sees("You have left the console")
    async with StubServer(Settings(port=first.port, seed_document=SEED, **given)) as second:
        await visitor.page.get_by_label("Account SID").fill(second.account_sid)
        await visitor.page.get_by_label("Auth token").fill(second.auth_token)
        await visitor.press("Enter")
        await visitor.page.wait_for_selector(".connection.live")
        tries = 0
        for _ in range(60):
            tries = max(tries, len(second._console.feeds))
            await asyncio.sleep(0.1)
        assert tries == 1
        await visitor.leave()
