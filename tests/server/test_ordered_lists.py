"""Ordered lists while what they list changes: whatever stays as it was is on exactly one page."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from taskrouter_worker.clock import ManualClock, SystemClock
from tests.server.conftest import Open
from tests.server.raw import Client, Desk

SIZE = 3
MOMENT = 1_760_000_000.0

Pages = AsyncIterator[list[str]]


async def rest_pages(desk: Desk, kind: str, order: str) -> Pages:
    """The SIDs of page after page, as the links lead."""
    key = {"Workers": "workers", "Tasks": "tasks", "TaskQueues": "task_queues"}[kind]
    url = f"{desk.server.rest_url}/v1{desk.path}/{kind}?Ordering={order}&PageSize={SIZE}"
    while url:
        body = (await desk.rest("GET", url)).body
        yield [item["sid"] for item in body[key]]
        url = body["meta"]["next_page_url"]


async def bridge_pages(client: Client, kind: str, order: str) -> Pages:
    """The SIDs of page after page, as the JavaScript SDK asks for them."""
    token = ""
    while token is not None:
        params = {"PageSize": SIZE, "Ordering": order, **({"NextToken": token} if token else {})}
        page = (await client.send(f"{client.base}/{kind}", params=params)).payload
        yield [item["sid"] for item in page["contents"]]
        token = page["meta"]["next_token"]


class Unrest:
    """Changes things at random, and knows which ones it has left alone."""

    def __init__(self, desk: Desk, clock: ManualClock, kind: str, seed: int) -> None:
        self.desk, self.clock, self.kind = desk, clock, kind
        self.random = random.Random(seed)  # noqa: S311 - dice for changes guard nothing
        self.number = 0
        for _ in range(self.random.randint(5, 12)):
            self.create()
        self.untouched = set(self.all)

    @property
    def all(self) -> list[str]:
        """The SIDs of what there is. The first worker and queue are needed for other things."""
        ws = self.desk.workspace
        found = {"Workers": ws.workers, "Tasks": ws.tasks, "TaskQueues": ws.task_queues}[self.kind]
        return list(found)[0 if self.kind == "Tasks" else 1 :]

    def create(self) -> None:
        """One more."""
        self.number += 1
        name = f"{self.kind}-{self.number}"
        match self.kind:
            case "Workers":
                self.desk.hire(name, "Offline")
            case "Tasks":
                self.desk.run(lambda ws: ws.create_task(priority=self.random.randint(0, 2)))
            case _:
                self.desk.run(lambda ws: ws.create_task_queue(friendly_name=name))

    def change(self, sid: str) -> None:
        """Give it another place in the list."""
        names = self.random.sample(("Offline", "Unavailable"), 2)
        for name in names:  # one of the two is another one
            match self.kind:
                case "Workers":
                    activity = self.desk.activity(name)
                    self.desk.run(lambda ws, a=activity: ws.update_worker(sid, activity_sid=a))
                case "Tasks":
                    self.desk.run(lambda ws: ws.update_task(sid, priority=self.random.randint(0, 2)))
                case _:
                    self.desk.run(lambda ws, n=name: ws.update_task_queue(sid, friendly_name=n + sid))

    def delete(self, sid: str) -> None:
        """Let it go."""
        how = {"Workers": "delete_worker", "Tasks": "delete_task", "TaskQueues": "delete_task_queue"}
        self.desk.run(lambda ws: getattr(ws, how[self.kind])(sid))

    def strike(self, page: list[str]) -> None:
        """Do this and that between two pages, often to the item at the seam."""
        self.clock.advance(self.random.choice((0, 0, 1)))
        for _ in range(self.random.randint(0, 3)):
            seam = [sid for sid in page[-1:] if sid in self.all]
            sid = self.random.choice(seam if seam and self.random.random() < 0.5 else self.all or [""])
            act = self.random.choice((self.change, self.change, self.delete, None))
            if act is None or not sid:
                self.create()
            else:
                self.untouched.discard(sid)
                act(sid)


@pytest.mark.parametrize(
    ("door", "kind", "order"),
    [
        ("rest", "Workers", "DateStatusChanged:asc"),
        ("rest", "Workers", "DateStatusChanged:desc"),
        ("rest", "Tasks", "Priority:desc,DateCreated:asc"),
        ("rest", "Tasks", "Priority:asc"),
        ("rest", "TaskQueues", "DateUpdated:asc"),
        ("bridge", "Workers", "DateStatusChanged:asc"),
        ("bridge", "Workers", "DateStatusChanged:desc"),
        ("bridge", "TaskQueues", "DateUpdated:desc"),
    ],
)
async def test_what_does_not_change_is_on_exactly_one_page(
    open_desk: Open, door: str, kind: str, order: str
) -> None:
    clock = ManualClock(MOMENT)
    desk = await open_desk(clock=clock, token_clock=SystemClock())
    nina = desk.client("nina", "Unavailable", role="supervisor")
    for seed in range(12):
        unrest = Unrest(desk, clock, kind, seed)
        shown: list[str] = []
        pages = bridge_pages(nina, kind, order) if door == "bridge" else rest_pages(desk, kind, order)
        async for page in pages:
            shown += page
            unrest.strike(page)
        counts = {sid: shown.count(sid) for sid in unrest.untouched}
        assert set(counts.values()) <= {1}, f"seed {seed}: {counts}"
        for sid in unrest.all:
            unrest.delete(sid)


async def test_way_back_shows_what_was_in_front(open_desk: Open) -> None:
    clock = ManualClock(MOMENT)
    desk = await open_desk(clock=clock)
    sids = [desk.hire(name, "Offline") for name in "abcdef"]
    url = f"{desk.path}/Workers?Ordering=DateStatusChanged:asc&PageSize=2"
    first = (await desk.rest("GET", url)).body
    second = (await desk.rest("GET", first["meta"]["next_page_url"])).body
    assert [worker["sid"] for worker in second["workers"]] == sids[2:4]
    clock.advance(1)
    for sid in sids[1:3]:  # the neighbours at the seam go to the end
        activity = desk.activity("Unavailable")
        desk.run(lambda ws, sid=sid, a=activity: ws.update_worker(sid, activity_sid=a))
    back = (await desk.rest("GET", second["meta"]["previous_page_url"])).body
    assert [worker["sid"] for worker in back["workers"]] == [sids[0]]
    assert back["meta"]["previous_page_url"] is None


@pytest.mark.parametrize(
    "token", ["PA", "PAx~1.0", "PAx~1.0~nan", "PAx~1.0~y", "PAx~1.0~2.0~3.0", "x~1.0~2.0"]
)
async def test_token_of_another_list_is_refused(desk: Desk, token: str) -> None:
    desk.hire("nina")
    url = f"{desk.path}/Workers?Ordering=DateStatusChanged:asc&PageToken={token}"
    answer = await desk.rest("GET", url)
    assert (answer.status, answer.body["code"]) == (400, 21481)


async def test_key_that_comes_twice_in_an_order_is_refused(desk: Desk) -> None:
    # Thousands of them fit into an address, and each one would sort all tasks.
    answer = await desk.rest("GET", f"{desk.path}/Tasks?Ordering=Priority:asc,DateCreated:asc,Priority:desc")
    assert (answer.status, answer.body["message"].split(":")[0]) == (400, "Ordering names Priority twice")
