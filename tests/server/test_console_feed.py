"""What the console's pages are told, and what it costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from server_stub import Settings, StubServer
from server_stub.clocks import StandingClock
from server_stub.commits import CommitFailed
from server_stub.console import feed as console_feed
from server_stub.console.access import HEADER
from server_stub.console.feed import Feed, Feeds
from server_stub.console.records import PREVIEW
from server_stub.domain.workspace import Workspace
from taskrouter_worker import Worker
from tests.server.console_caller import Caller, calling, messages, until


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with calling(StubServer(Settings(port=0, settle_ms=0))) as caller:
        yield caller


class Page:
    """A page that reads when it is let."""

    def __init__(self, feeds: Feeds, workspace_sid: str) -> None:
        self.messages: list[dict[str, Any]] = []
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._feeds = feeds
        self._task = asyncio.create_task(feeds.serve(workspace_sid, self.write))

    async def write(self, data: bytes) -> None:
        await self.may_read.wait()
        self.messages += messages(data.decode())

    async def sees(self, kind: str, wanted: Callable[[list[Any]], bool]) -> list[Any]:
        """The record of a kind that fits, once it was told."""
        found: list[list[Any]] = []

        def look() -> bool:
            found[:] = [r for m in self.messages for r in m.get(kind, []) if wanted(r)]
            return bool(found)

        await until(look)
        return found[-1]

    async def ready(self, times: int = 1) -> None:
        await until(lambda: sum(m["t"] == "ready" for m in self.messages) >= times)

    async def leave(self) -> None:
        self.may_read.set()
        self._feeds.close()
        await self._task


@pytest.fixture
async def page(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Page]:
    monkeypatch.setattr(console_feed, "INTERVAL", 0.001)
    monkeypatch.setattr(console_feed, "SELDOM", 0.001)
    page = Page(caller.server._console.feeds, caller.server.workspace_sid)
    await page.ready()
    yield page
    await page.leave()


def update(server: StubServer, task_sid: str, **changes: Any) -> None:
    server.run(server.workspace_sid, lambda ws: ws.update_task(task_sid, **changes))


async def test_everything_is_told_at_first(caller: Caller) -> None:
    server = caller.server
    worker_sid, _ = server.hire("Nina")
    task = server.run(server.workspace_sid, lambda ws: ws.create_task(attributes='{"a": "<b>"}'))
    await caller.enter()
    told = await caller.told(server.workspace_sid)
    assert [message["t"] for message in told] == ["begin", "piece", "ready"]
    assert told[0]["config"]["name"] == "Default Workspace"
    assert told[0]["clock"] == {"kind": "machine", "stopped": False}
    assert "task.created" in [event[2] for event in told[0]["events"]]
    [piece] = [message for message in told if message["t"] == "piece"]
    assert [w[0] for w in piece["workers"]] == [worker_sid]
    assert [(t[0], t[2], t[9]) for t in piece["tasks"]] == [(task.sid, "reserved", '{"a": "<b>"}')]
    assert [(r[2], r[4]) for r in piece["reservations"]] == [("pending", worker_sid)]


@pytest.mark.parametrize(
    ("attributes", "left"),
    [
        ({"text": "é" * 600, "never": "seen"}, {"text": "é" * (PREVIEW - len("text")) + "…"}),
        ({"a": "x" * (PREVIEW - 2), "and": "so on"}, {"a": "x" * (PREVIEW - 2), "a…": "…"}),
    ],
)
async def test_long_attributes_are_cut_in_lists(
    caller: Caller, attributes: dict[str, str], left: dict[str, str]
) -> None:
    text = json.dumps(attributes)
    caller.server.run(caller.server.workspace_sid, lambda ws: ws.create_task(attributes=text))
    await caller.enter()
    [piece] = [m for m in await caller.told() if m["t"] == "piece"]
    # Whatever is left of them is JSON, whose escapes the page understands.
    assert json.loads(piece["tasks"][0][9]) == left


async def test_only_what_changed_is_told(caller: Caller, page: Page) -> None:
    server, sid = caller.server, caller.server.workspace_sid
    idle = server.run(sid, lambda ws: ws.create_task(routing_target=next(iter(ws.task_queues))))
    await page.sees("tasks", lambda t: t[0] == idle.sid)
    page.messages.clear()
    worker_sid, _ = server.hire("Nina")
    reservation = await page.sees("reservations", lambda r: r[2] == "pending" and r[4] == worker_sid)
    page.messages.clear()
    server.run(sid, lambda ws: ws.change_reservation(reservation[0], status="accepted"))
    accepted = await page.sees("reservations", lambda r: r[2] == "accepted")
    assert accepted[0] == reservation[0]
    assert (await page.sees("tasks", lambda t: t[0] == idle.sid))[2] == "assigned"
    assert {t[0] for m in page.messages for t in m.get("tasks", [])} == {idle.sid}
    worker = await page.sees("workers", lambda w: w[0] == worker_sid)
    assert [channel[1] for channel in worker[7] if channel[1]] == [1]


async def test_what_is_deleted_is_told_as_gone(caller: Caller, page: Page) -> None:
    server, sid = caller.server, caller.server.workspace_sid
    task = server.run(sid, lambda ws: ws.create_task())
    await page.sees("tasks", lambda t: t[0] == task.sid)
    server.run(sid, lambda ws: ws.delete_task(task.sid))
    await page.sees("gone", lambda gone: task.sid in gone)
    assert [e for m in page.messages for e in m.get("events", []) if e[2] == "task.deleted"]


async def test_task_that_has_ended_is_gone_once_it_is_forgotten(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_feed, "INTERVAL", 0.001)
    monkeypatch.setattr(console_feed, "SELDOM", 0.001)
    monkeypatch.setattr(console_feed, "HEARTBEAT", 0.01)
    server, clock = caller.server, StandingClock(1_000)
    other = server.add_workspace(friendly_name="Second", clock=clock)
    early = server.run(other, lambda ws: ws.create_task())
    server.run(other, lambda ws: ws.update_task(early.sid, assignment_status="canceled", reason="test"))
    page = Page(server._console.feeds, other)
    await page.ready()
    late = server.run(other, lambda ws: ws.create_task())
    server.run(other, lambda ws: ws.update_task(late.sid, assignment_status="canceled", reason="test"))
    await page.sees("tasks", lambda t: t[0] == late.sid and t[2] == "canceled")
    workspace = server.account.workspaces[other]
    server.advance(other, clock, clock.now() + 3600)
    assert not workspace.tasks
    await page.sees("gone", lambda gone: early.sid in gone)
    await page.sees("gone", lambda gone: late.sid in gone)
    await page.leave()


async def test_many_changes_of_one_object_are_told_together(caller: Caller, page: Page) -> None:
    server, sid = caller.server, caller.server.workspace_sid
    task = server.run(sid, lambda ws: ws.create_task())
    await page.sees("tasks", lambda t: t[0] == task.sid)
    page.messages.clear()
    for n in range(1, 501):
        update(server, task.sid, priority=n)
    await page.sees("tasks", lambda t: t[3] == 500)
    assert sum(len(m.get("tasks", [])) for m in page.messages) == 1
    events = [e for m in page.messages for e in m.get("events", [])]
    assert len(events) == console_feed.MAX_LINES  # and how many found no room is told
    assert sum(m.get("skipped", 0) for m in page.messages) >= 300


async def test_slow_page_costs_no_more_than_what_there_is(
    caller: Caller, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, sid = caller.server, caller.server.workspace_sid
    [feed] = server._console.feeds._feeds
    page.may_read.clear()
    for _ in range(50):
        server.run(sid, lambda ws: ws.create_task())
    await until(lambda: not feed.changed or len(feed.changed) < 50)  # a message is on its way
    for _ in range(20):
        for task in list(server.account.workspaces[sid].tasks):
            update(server, task, attributes='{"n": 1}')
    assert len(feed.changed) <= 50
    assert len(feed.events) <= console_feed.MAX_LINES
    # With too much to tell one by one, everything is told again.
    monkeypatch.setattr(console_feed, "MAX_CHANGED", 40)
    for task in list(server.account.workspaces[sid].tasks):
        update(server, task, priority=9)
    assert feed.is_stale
    assert not feed.changed
    page.may_read.set()
    await page.ready(times=2)
    begins = [m for m in page.messages if m["t"] == "begin"]
    assert [m["again"] for m in begins] == [0, 1]
    last = page.messages[max(i for i, m in enumerate(page.messages) if m["t"] == "begin") :]
    assert {t[3] for m in last for t in m.get("tasks", [])} == {9}


async def test_nobody_is_called_while_no_page_is_open(caller: Caller) -> None:
    server = caller.server
    before = list(server._observers)
    page = Page(server._console.feeds, server.workspace_sid)
    await page.ready()
    assert server._sessions.tap is not None
    assert len(server._observers) == len(before) + 1
    await page.leave()
    assert server._sessions.tap is None
    assert server._observers == before


async def test_page_that_goes_away_is_forgotten(caller: Caller) -> None:
    await caller.enter()
    own = {HEADER: caller.half}
    async with caller.http.get(f"{caller.server.rest_url}/console/live", headers=own) as response:
        await response.content.readuntil(b"\n\n")
        assert caller.server._console.is_watched
    caller.server.run(caller.server.workspace_sid, lambda ws: ws.create_task())
    await until(lambda: not caller.server._console.is_watched)


async def test_there_are_not_too_many_pages(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server_stub.console.routes.MAX_FEEDS", 0)
    await caller.enter()
    assert (await caller.ask("GET", "/console/live"))[0] == 429


async def test_others_get_their_turn_while_a_page_is_told_everything(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fast page takes all at once: nothing else would make the server pause."""
    monkeypatch.setattr(console_feed, "PIECE", 1)
    caller.server.run(caller.server.workspace_sid, lambda ws: [ws.create_task() for _ in range(50)])
    turns = pieces = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def write(_: bytes) -> None:
        nonlocal pieces
        pieces += 1

    task = asyncio.create_task(others())
    await caller.server._console.feeds.serve(caller.server.workspace_sid, write, once=True)
    task.cancel()
    assert pieces > 50
    assert turns >= 50


async def test_strangers_cannot_fill_the_pages(caller: Caller, page: Page) -> None:
    """Requests with a bad token are shown as well: their addresses may be as long as they like."""
    await page.ready()
    server = caller.server
    request = {
        "url": f"Workspaces/{server.workspace_sid}/Workers/WK{'x/' * 50_000}",
        "method": "G" * 50_000,
        "params": {"Attributes": "x" * 50_000},
        "token": "none",
    }
    async with caller.http.post(server.eb_server, json=request) as response:
        assert response.status == 401
    await until(lambda: sum(len(m.get("frames", ())) for m in page.messages) == 2)
    frames = [frame for m in page.messages for frame in m.get("frames", ())]
    assert all(len(json.dumps(frame)) < 3_000 for frame in frames)


async def test_reset_workspace_is_told_again(caller: Caller, page: Page) -> None:
    server = caller.server
    server.run(server.workspace_sid, lambda ws: ws.create_task())
    await page.sees("tasks", lambda t: t[2] == "pending")
    server.reset(server.workspace_sid)
    await page.ready(times=2)
    last = page.messages[max(i for i, m in enumerate(page.messages) if m["t"] == "begin") :]
    assert not [t for m in last for t in m.get("tasks", [])]


async def test_deleted_workspace_ends_its_pages(caller: Caller) -> None:
    server = caller.server
    sid = server.add_workspace(friendly_name="other")
    page = Page(server._console.feeds, sid)
    await page.ready()
    server.delete_workspace(sid)
    await until(lambda: page.messages[-1]["t"] == "gone")
    await page.leave()
    await caller.enter()
    assert (await caller.ask("GET", f"/console/live?Workspace={sid}"))[0] == 404


async def test_renamed_queue_and_new_workspace_are_told(caller: Caller, page: Page) -> None:
    server = caller.server

    def rename(ws: Workspace) -> None:
        ws.update_task_queue(next(iter(ws.task_queues)), friendly_name="VIP")

    server.run(server.workspace_sid, rename)
    server.hire("Nina")  # the renaming alone is no event: it is told with the next change, or heartbeat
    await until(
        lambda: any(m.get("config", {}).get("queues", [[0, 0]])[0][1] == "VIP" for m in page.messages)
    )


async def test_frames_and_connections_are_told(caller: Caller, page: Page) -> None:
    server = caller.server
    worker_sid, token = server.hire("Nina")
    async with Worker(token, eb_server=server.eb_server, ws_server=server.ws_server) as worker:
        server.run(server.workspace_sid, lambda ws: ws.create_task(attributes='{"a": 1}'))
        created = await page.sees("frames", lambda f: f[5] == "reservation.created")
        assert (created[2], created[3]) == ("sent", worker_sid)
        assert (await page.sees("workers", lambda w: w[5] == 1))[0] == worker_sid
        asked = await page.sees("frames", lambda f: f[2] == "request" and f[5].endswith("/Reservations"))
        assert "token" not in asked[6]
        await page.sees("frames", lambda f: f[2] == "answer" and f[5].startswith("200 "))
    await page.sees("frames", lambda f: f[2] == "disconnected")
    await page.sees("workers", lambda w: w[0] == worker_sid and w[5] == 0)
    await worker.disconnect()


class LateCommits:
    """A store that takes its time, or fails."""

    round = None

    def __init__(self) -> None:
        self.stored = asyncio.Event()
        self.fails = False

    def changed(self, workspace: Workspace) -> None: ...

    def when_committed(self, action: Callable[[], None]) -> None: ...

    async def committed(self) -> None:
        await self.stored.wait()
        if self.fails:
            raise CommitFailed("the disk is full")


async def test_nothing_is_told_before_it_is_stored(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    server, commits = caller.server, LateCommits()
    monkeypatch.setattr(server._runtime, "commits", commits)
    page = Page(server._console.feeds, server.workspace_sid)
    await until(lambda: len(server._console.feeds) == 1)
    await asyncio.sleep(0)
    assert page.messages == []
    commits.stored.set()
    await page.ready()
    commits.fails = True
    server.hire("Nina")
    await until(lambda: len(server._console.feeds) == 0)  # the page is not told what may be lost
    assert not [m for m in page.messages if m.get("workers")]
    await page.leave()


def test_feed_notes_nothing_before_everything_was_told() -> None:
    feed = Feed("WS" + "0" * 32)
    feed.note("WT1")
    assert not feed.changed
    assert feed.has_something
