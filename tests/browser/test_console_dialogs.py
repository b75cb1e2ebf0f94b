"""The console's dialogs that make things, and how they and the rest of it look on a telephone."""

from __future__ import annotations

import pytest

from server_stub import Settings, StubServer
from tests.browser.conftest import LOOP, Visit

pytestmark = [pytest.mark.browser, LOOP]

VIEWS = ["board", "tasks", "workers", "reservations", "timeline", "faults", "server"]


async def test_worker_is_created_where_there_is_none_and_is_offered_work(visit: Visit) -> None:
    async with StubServer(Settings(port=0)) as server:
        visitor = await visit(url=server.console_url)
        workspace = server.account.workspaces[server.workspace_sid]
        task = server.run(server.workspace_sid, lambda ws: ws.create_task(attributes="{}"))
        await visitor.go("workers")
        await visitor.page.locator(".empty:visible").get_by_role("button", name="New worker").click()
        dialog = visitor.page.locator("dialog")
        create = dialog.get_by_role("button", name="Create", exact=True)
        await create.click()
        await visitor.sees("A worker needs a name", within="dialog")
        await dialog.get_by_label("Name").fill("nina")
        attributes = dialog.get_by_label("Attributes", exact=True)
        for text in ("{", "[1]", "null", '{"a": }'):
            await attributes.fill(text)
            assert await create.is_disabled(), text
        await attributes.fill('{"skills": ["cards"]}')
        await attributes.press("Control+Enter")
        await dialog.wait_for(state="detached")
        [nina] = workspace.workers.values()
        assert (nina.friendly_name, nina.activity.friendly_name) == ("nina", "Available")
        assert nina.parsed_attributes == {"skills": ["cards"]}
        await visitor.sees("nina", within=".list")
        assert [r.worker for r in task.live_reservations] == [nina]
        await visitor.press("Control+k")
        await visitor.page.keyboard.type("new worker")
        await visitor.press("Enter")
        visitor.ignored += ["400", "409"]
        await dialog.get_by_label("Name").fill("nina")
        await dialog.get_by_label("Name").press("Enter")
        await visitor.sees("already exists", within="dialog .problem")
        await dialog.get_by_label("Name").fill("omar")
        await dialog.get_by_label("Activity").select_option(label="Offline")
        await create.click()  # without attributes
        await dialog.wait_for(state="detached")
        omar = next(w for w in workspace.workers.values() if w is not nina)
        assert (omar.activity.friendly_name, omar.parsed_attributes) == ("Offline", {})
        await visitor.leave()


@pytest.mark.parametrize(("view", "opener"), [("tasks", "New task"), ("workers", "New worker")])
async def test_nothing_moves_when_a_dialog_says_what_is_wrong(visit: Visit, view: str, opener: str) -> None:
    visitor = await visit(size=(360, 740))
    await visitor.go(view)
    await visitor.page.get_by_role("button", name=opener).click()
    where = """() => JSON.stringify(
        [...document.querySelectorAll("dialog, dialog :is(button, input, select)")]
        .map((node) => node.getBoundingClientRect()))"""
    before = await visitor.value(where)
    assert await visitor.value("() => document.querySelector('dialog .problem').offsetHeight") == 0
    await visitor.page.get_by_label("Attributes", exact=True).fill("{" + "x" * 300)
    await visitor.sees("This is not JSON", within="dialog .problem")
    assert await visitor.value(where) == before
    assert await visitor.overflow() == []


async def test_views_are_named_on_a_telephone_and_commands_break_between_words(visit: Visit) -> None:
    async with StubServer(Settings(port=0)) as server:
        visitor = await visit(size=(360, 740), url=server.console_url)
        await visitor.go("workers")
        names = [await each.inner_text() for each in await visitor.page.locator(".nav-name:visible").all()]
        assert [name.lower() for name in names] == VIEWS
        command = visitor.page.locator(".empty:visible .command code")
        assert await command.inner_text() == "taskrouter-stub worker create nina --activity Available"
        lines = await visitor.value(
            """() => [...document.querySelectorAll(".command .word")].filter((node) => node.checkVisibility())
            .map((node) => { const range = document.createRange(); range.selectNodeContents(node);
                             return range.getClientRects().length; })"""
        )
        assert lines == [1] * 6
        await visitor.leave()
