"""A swarm of bots under load, for a bounded time, with an audit: ``python -m examples.load_swarm``.

It starts a local TaskRouter on the loopback interface, logs its bots in, creates tasks at a rate, and at the
end compares what the bots were told and did with the event log of the REST API. The exit status is 0 if no
task was lost and none was done twice, 1 otherwise, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

import aiohttp
from rich.console import Console
from rich.live import Live
from rich.table import Table

from examples.demo.contact_center import Rest, local_taskrouter, rest_api
from taskrouter_worker import Reservation, TaskRouterError, Worker, WorkerPool, worker_token

PATIENCE = 20.0
"""Seconds after the last task in which the swarm may finish what is left."""

EVENTS_OF_A_TASK = 20
"""More than a task of the swarm ever has in the event log."""

MAX_TASKS = 50_000
"""More would ask for another kind of audit: this one keeps the whole log in memory."""


@dataclass
class Figures:
    """What the swarm was told and did. Moments are those of `time.perf_counter`."""

    began: float = field(default_factory=time.perf_counter)
    created: dict[str, float] = field(default_factory=dict[str, float])  # by the task's number
    offered: list[float] = field(default_factory=list[float])  # seconds from creating until being told
    accepted: list[float] = field(default_factory=list[float])  # seconds that accept() took
    completed: list[float] = field(default_factory=list[float])  # seconds from creating until completed
    told: Counter[str] = field(default_factory=Counter[str])  # how often, by reservation
    finished: Counter[str] = field(default_factory=Counter[str])  # how often, by task
    errors: list[str] = field(default_factory=list[str])
    progress: asyncio.Event = field(default_factory=asyncio.Event)  # a task was finished

    def open(self) -> int:
        """Tasks that are not finished."""
        return len(self.created) - len(self.finished)

    def line(self) -> str:
        """The state of things in one line."""
        elapsed = time.perf_counter() - self.began
        return (
            f"{elapsed:5.1f} s  created {len(self.created)}, completed {len(self.finished)}, "
            f"open {self.open()}, offered after {shown(self.offered[-500:], 50)} (median of the last 500), "
            f"errors {len(self.errors)}"
        )

    def table(self) -> Table:
        """The latencies."""
        table = Table("milliseconds", "median", "90 %", "99 %", "slowest", title_justify="left")
        for name, values in (
            ("created until offered", self.offered),
            ("accept()", self.accepted),
            ("created until completed", self.completed),
        ):
            table.add_row(name, *(shown(values, percent) for percent in (50, 90, 99, 100)))
        return table


@dataclass(frozen=True)
class Audit:
    """What the event log says of the tasks, and whether the bots agree.

    Attributes:
        lost: tasks without a completion, and reservations of which no bot was told.
        doubled: tasks accepted or completed more than once, and reservations told more than once.
    """

    tasks: int
    lost: int
    doubled: int

    @classmethod
    def of(cls, events: Sequence[tuple[str, str]], figures: Figures) -> Audit:
        """Compare.

        Args:
            events: type and resource's SID of what the log holds; of reservations the task's SID stands for
                acceptances, and their own for creations.
            figures: what the bots noted.
        """
        log = Counter(events)
        tasks = {sid for kind, sid in log if kind == "task.created"}
        offers = {sid for kind, sid in log if kind == "reservation.created"}

        def twice(kind: str) -> int:
            return sum(number > 1 for (other, _), number in log.items() if other == kind)

        completed = {sid for kind, sid in log if kind == "task.completed"}
        return cls(
            tasks=len(tasks),
            lost=len(figures.created) - len(tasks & completed & set(figures.finished))
            + len(offers - set(figures.told)),
            doubled=twice("reservation.accepted")
            + twice("task.completed")
            + sum(number > 1 for number in (*figures.told.values(), *figures.finished.values())),
        )  # fmt: skip


def shown(seconds: Sequence[float], percent: int) -> str:
    """A percentile in milliseconds, as text."""
    if not seconds:
        return "-"
    ordered = sorted(seconds)
    return f"{ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] * 1000:.1f}"


def swarm(local: dict[str, str], worker_sids: Sequence[str], figures: Figures) -> WorkerPool:
    """The bots, not yet started. Each accepts and completes whatever it is offered."""
    pool = WorkerPool(
        eb_server=local["eb_server"],
        ws_server=local["ws_server"],
        proxy=None,
        max_connections=50,
        starts_at_once=20,
    )
    for sid in worker_sids:
        pool.add(
            worker_token(
                account_sid=local["account_sid"],
                signing_key_sid=local["signing_key_sid"],
                signing_key_secret=local["signing_key_secret"],
                workspace_sid=local["workspace_sid"],
                worker_sid=sid,
            )
        )

    @pool.on("reservationCreated")
    async def work(_: Worker, reservation: Reservation) -> None:
        told = time.perf_counter()
        figures.told[reservation.sid] += 1
        created = figures.created[reservation.task.attributes["number"]]
        figures.offered.append(told - created)
        await reservation.accept()
        figures.accepted.append(time.perf_counter() - told)
        await reservation.task.complete("done")
        figures.completed.append(time.perf_counter() - created)
        figures.finished[reservation.task.sid] += 1
        figures.progress.set()

    @pool.on("error")
    def failed(worker: Worker, error: TaskRouterError) -> None:
        figures.errors.append(f"{worker.sid}: {error}")

    @pool.on("workerEnded")
    def ended(worker: Worker, error: TaskRouterError | None) -> None:
        figures.errors.append(f"{worker.sid} is gone: {error}")

    return pool


async def hire(rest: Rest, number: int) -> tuple[str, list[str]]:
    """A workflow's SID and those of its workers, ready for work."""
    queue = await rest.post("TaskQueues", FriendlyName="Swarm", TargetWorkers="1==1")
    configuration = json.dumps({"task_routing": {"default_filter": {"queue": queue["sid"]}}})
    workflow = await rest.post("Workflows", FriendlyName="Swarm", Configuration=configuration)
    [available] = await rest.list("Activities", FriendlyName="Available")
    form = {"ActivitySid": available["sid"], "Attributes": "{}"}
    workers = [await rest.post("Workers", FriendlyName=f"Bot {n + 1}", **form) for n in range(number)]
    return workflow["sid"], [worker["sid"] for worker in workers]


async def feed(rest: Rest, workflow_sid: str, figures: Figures, *, rate: float, seconds: float) -> None:
    """Create tasks at a rate. Where the server is slower than that, they pile up: none is left out."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def create(number: str) -> None:
        figures.created[number] = time.perf_counter()  # first: the offer may be here before the answer
        try:
            await rest.post("Tasks", WorkflowSid=workflow_sid, Attributes=json.dumps({"number": number}))
        except (aiohttp.ClientError, RuntimeError) as error:
            figures.errors.append(f"task {number}: {error}")

    async with asyncio.TaskGroup() as group:
        for number in count():
            due = number / rate
            if due >= seconds:
                return
            await asyncio.sleep(max(0.0, began + due - loop.time()))
            group.create_task(create(str(number)))


async def event_log(rest: Rest) -> list[tuple[str, str]]:
    """What the REST API's event log tells of tasks and reservations, see `Audit.of`."""
    found: list[tuple[str, str]] = []
    for kind in ("task.created", "reservation.created", "reservation.accepted", "task.completed"):
        key = "reservation_sid" if kind == "reservation.created" else "task_sid"
        events = rest.pages("Events", EventType=kind, PageSize=1000)
        found += [(kind, event["event_data"][key]) async for event in events]
    return found


@contextmanager
def live_figures(console: Console, figures: Figures) -> Iterator[Callable[[], None]]:
    """A function that shows the figures: in place in a terminal, line by line elsewhere."""
    if not console.is_terminal:
        yield lambda: print(figures.line(), flush=True)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda: live.update(figures.line(), refresh=True)


async def show(draw: Callable[[], None], every: float) -> None:
    """Draw until it is canceled."""
    while True:
        draw()
        await asyncio.sleep(every)


async def run(console: Console, *, workers: int, rate: float, seconds: float) -> bool:
    """The whole run; whether nothing was lost or doubled."""
    async with AsyncExitStack() as stack:
        room = round(workers * 10 + rate * seconds * EVENTS_OF_A_TASK)  # the audit reads all of the log
        local = await stack.enter_async_context(local_taskrouter("--max-events", str(room)))
        rest = await stack.enter_async_context(rest_api(local))
        workflow_sid, worker_sids = await hire(rest, workers)
        figures = Figures()
        pool = await stack.enter_async_context(swarm(local, worker_sids, figures))
        async with asyncio.timeout(PATIENCE + workers / 10):
            await pool.wait_ready()
        console.print(f"{len(pool.workers)} bots are ready; {rate:g} tasks a second for {seconds:g} s")
        figures.began = time.perf_counter()
        with live_figures(console, figures) as draw:
            drawing = asyncio.create_task(show(draw, 0.2 if console.is_terminal else 1.0))
            await feed(rest, workflow_sid, figures, rate=rate, seconds=seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while figures.open():
                        figures.progress.clear()
                        await figures.progress.wait()
            drawing.cancel()
            draw()
        elapsed = time.perf_counter() - figures.began
        audit = Audit.of(await event_log(rest), figures)
    console.print(figures.table())
    for error in figures.errors[:10]:
        console.print(f"error: {error}", highlight=False)
    console.print(
        f"tasks {len(figures.created)}, {len(figures.finished) / elapsed:.0f} completed a second; "
        f"event log: tasks {audit.tasks}, lost {audit.lost}, doubled {audit.doubled}"
    )
    return audit.lost == audit.doubled == 0 and not figures.errors


def bounded(low: float, high: float, kind: Callable[[str], float] = float) -> Callable[[str], float]:
    """A number of the command line between two bounds."""

    def number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a number from {low:g} to {high:g}, got {text!r}")
        return value

    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.load_swarm", description=__doc__)
    options = (
        ("--workers", bounded(1, 2000, int), 50, "how many bots"),
        ("--rate", bounded(0.1, 1000), 50, "tasks a second"),
        ("--seconds", bounded(0.1, 3600), 20, "how long tasks come"),
    )
    for name, kind, default, text in options:
        parser.add_argument(name, type=kind, default=default, help=f"{text} (default {default})")
    given = parser.parse_args(arguments)
    if given.rate * given.seconds > MAX_TASKS:
        parser.error(
            f"rate times seconds must be at most {MAX_TASKS:,} tasks, got {given.rate * given.seconds:,.0f}"
        )
    good = asyncio.run(run(Console(), workers=given.workers, rate=given.rate, seconds=given.seconds))
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped before the audit", file=sys.stderr)
        sys.exit(130)
    except (TimeoutError, aiohttp.ClientError) as gone:
        sys.exit(f"no audit: the local TaskRouter does not answer ({str(gone) or 'in time'})")
