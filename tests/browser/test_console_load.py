"""The console with 1,000 workers and 10,000 tasks, a hundred of which change every second."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
import pytest_asyncio

from server_stub import StubServer
from server_stub.domain.workspace import Workspace
from tests.browser.conftest import LOOP, Visit
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, LOOP]

WORKERS, TASKS = 1_000, 10_000
SECONDS, PER_SECOND = 6, 100
NODES = 1_500
"""Elements in the page at most, however many tasks there are."""


def fill(ws: Workspace) -> None:
    """Many workers, half of them at work, and more tasks than they can take."""
    available = next(a.sid for a in ws.activities.values() if a.available)
    for n in range(WORKERS):
        ws.create_worker(
            friendly_name=f"agent {n:04}",
            attributes='{"skills": ["cards", "loans"], "languages": ["en"], "level": 3}',
            activity_sid=available if n % 4 == 0 else None,
        )


def create(server: StubServer, attributes: str) -> None:
    server.run(server.workspace_sid, lambda ws: ws.create_task(attributes=attributes))


def prioritise(server: StubServer, task_sid: str, priority: int) -> None:
    server.run(server.workspace_sid, lambda ws: ws.update_task(task_sid, priority=priority))


def move(server: StubServer, worker_sid: str, activity_sid: str) -> None:
    server.run(server.workspace_sid, lambda ws: ws.update_worker(worker_sid, activity_sid=activity_sid))


@pytest_asyncio.fixture(loop_scope="session")
async def busy(server: StubServer) -> StubServer:
    """The server, filled."""
    sid = server.workspace_sid
    server.run(sid, fill)
    for n in range(TASKS):
        topic = ("cards", "loans", "complaint")[n % 3]
        attributes = f'{{"topic": "{topic}", "level": 1, "customer": "customer {n}"}}'
        create(server, attributes)
        if n % 200 == 0:
            await asyncio.sleep(0)
    return server


async def change(server: StubServer, seconds: float) -> int:
    """Change something a hundred times a second; how often it was done."""
    dice = random.Random(7)  # noqa: S311 - dice for changes guard nothing
    sid, done, started = server.workspace_sid, 0, time.monotonic()
    ws = server.account.workspaces[sid]
    tasks, workers = list(ws.tasks), list(ws.workers)
    activities = list(ws.activities)
    while (elapsed := time.monotonic() - started) < seconds:
        while done < elapsed * PER_SECOND:
            if done % 2:
                task = dice.choice(tasks)
                prioritise(server, task, done)
            else:
                worker, activity = dice.choice(workers), dice.choice(activities)
                move(server, worker, activity)
            done += 1
        await asyncio.sleep(0.005)
    return done


MEASURE = """() => {
  const frames = { count: 0, from: performance.now(), longest: 0, last: performance.now() };
  window.frames_ = frames;
  const step = (now) => {
    frames.longest = Math.max(frames.longest, now - frames.last);
    frames.last = now;
    frames.count += 1;
    if (window.frames_ === frames) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
  window.seen.longTasks.length = 0;
}"""
MEASURED = """() => {
  const frames = window.frames_;
  window.frames_ = null;
  return {
    rate: frames.count / (performance.now() - frames.from) * 1000,
    longest: frames.longest,
    longTasks: window.seen.longTasks,
    nodes: document.querySelectorAll("*").length,
    heap: performance.memory ? performance.memory.usedJSHeapSize / 1e6 : 0,
  };
}"""


async def messages(visitor: Visitor) -> int:
    """How many messages of the server the page has read."""
    return int(await visitor.value("() => document.documentElement.dataset.messages"))


async def test_ten_thousand_tasks_stay_fluent(busy: StubServer, visit: Visit) -> None:
    """What is counted is asserted; what is measured is printed, as other machines are slower."""
    visitor = await visit()
    times: Any = await visitor.value(
        "() => performance.getEntriesByType('paint').map((p) => `${p.name} ${Math.round(p.startTime)} ms`)"
    )
    shown: Any = await visitor.value("() => Math.round(performance.now())")
    print(
        f"\n{WORKERS} workers, {TASKS} tasks: {', '.join(times)}, all of them there after {shown} ms at most"
    )
    for view in ("board", "tasks", "workers", "reservations", "timeline"):
        await visitor.go(view)
        await visitor.value(MEASURE)
        before, started = await messages(visitor), time.monotonic()
        done = await change(busy, SECONDS)
        found: Any = await visitor.value(MEASURED)
        read, lasted = await messages(visitor) - before, time.monotonic() - started
        print(
            f"{view}: {done} changes in {lasted:.1f} s, {read} messages, {found['rate']:.0f} frames/s, "
            f"longest {found['longest']:.0f} ms, {len(found['longTasks'])} long tasks, "
            f"{found['nodes']} elements, heap {found['heap']:.0f} MB"
        )
        assert done >= SECONDS * PER_SECOND - 1
        assert found["nodes"] < NODES
        assert 0 < read <= 10 * lasted + 2  # differences come together, however many there are
    # To the end of ten thousand rows and back: the same few dozen elements show them.
    await visitor.go("tasks")
    await visitor.press("End")
    last = max(busy.account.workspaces[busy.workspace_sid].tasks.values(), key=lambda task: task.number)
    await visitor.sees(str(last.parsed_attributes["customer"]), within=".list")
    assert await visitor.page.locator(".row.task").count() < 60
    await visitor.press("f")
    await visitor.page.keyboard.type("customer 1234")
    await visitor.until("() => document.querySelector('.list').getAttribute('aria-rowcount') === '2'")
