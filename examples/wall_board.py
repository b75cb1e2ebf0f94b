"""A supervisor's wall board in the terminal: what waits, how long, and who is there. ``--once`` prints it.

Needs the environment of accept_reservations.py; the worker is the supervisor, and the API key also reads
the REST API's statistics. The board is refreshed every few seconds, and at once when the supervisor's own
activity changes or the connection comes and goes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from taskrouter_worker import RequestError, SessionState, Supervisor, WorkerInfo, Workspace, worker_token

SECONDS_BETWEEN = 2.0
EMPTY_QUEUES = "no queue yet: make one, or start with a seed"
LONG_WAIT = 60
"""Seconds after which a waiting task is shown in yellow."""
WIDE = 120
"""Columns of a terminal that has room for both tables side by side."""
NARROW = 60
"""With fewer columns the numbers of a queue stand below its name."""


@dataclass(frozen=True)
class Picture:
    """The workspace at one moment.

    Attributes:
        queues: by name, each with its real-time statistics: waiting ones first.
        workers: those who are ready first, then by name.
        taken_at: when.
    """

    queues: list[tuple[str, dict[str, Any]]]
    workers: list[WorkerInfo]
    taken_at: datetime


async def take(workspace: Workspace, http: aiohttp.ClientSession) -> Picture:
    """Ask for everything that the board shows."""

    async def statistics(queue_sid: str) -> dict[str, Any]:
        address = f"/v1/Workspaces/{workspace.workspace_sid}/TaskQueues/{queue_sid}/RealTimeStatistics"
        async with http.get(address) as response:
            response.raise_for_status()
            found: dict[str, Any] = await response.json()
            return found

    queues = (await workspace.fetch_task_queues()).values()
    numbers = await asyncio.gather(*(statistics(queue.sid) for queue in queues))
    workers = (await workspace.fetch_workers_info()).values()
    return Picture(
        sorted(
            ((queue.name, found) for queue, found in zip(queues, numbers, strict=True)),
            key=lambda item: (-item[1]["longest_task_waiting_age"], item[0]),
        ),
        sorted(workers, key=lambda worker: (not worker.available, worker.name.casefold())),
        datetime.now(UTC),
    )


# --- Showing ------------------------------------------------------------------------------------


def board(picture: Picture, heading: Text, width: int, rows: int) -> RenderableType:
    """The picture as it is shown: side by side where there is room, at most so many rows of a table."""
    tables = (queue_table(picture, rows), worker_table(picture, rows))
    if width < NARROW:
        return Group(heading, short_figures(picture), Text(), short_queues(picture, rows), tables[1])
    side_by_side = Table.grid(padding=(0, 6, 0, 0), expand=True)
    side_by_side.add_column(ratio=1)
    side_by_side.add_column(ratio=1)
    side_by_side.add_row(*tables)
    return Group(heading, figures(picture), side_by_side if width >= WIDE else Group(*tables))


def room(width: int, height: int) -> int:
    """How many rows of a table fit beside what is above the tables."""
    if width >= WIDE:
        return height - 9
    return (height - 13) // 2 if width >= NARROW else (height - 11) // 3


def numbers_of(picture: Picture) -> tuple[tuple[str, str, str], ...]:
    """The four numbers that are read from afar: what, how much, and its colour."""
    waits = [waiting(numbers) for _, numbers in picture.queues]
    longest = max((numbers["longest_task_waiting_age"] for _, numbers in picture.queues), default=0)
    ready = sum(worker.available for worker in picture.workers)
    work = sum(in_work(numbers) for _, numbers in picture.queues)
    return (
        ("waiting", str(sum(waits)), alarm(sum(waits), longest, ready)),
        ("longest", duration(longest) if sum(waits) else "-", alarm(sum(waits), longest, ready)),
        ("in work", str(work), "cyan"),
        ("ready", f"{ready} of {len(picture.workers)}", "green" if ready else "red"),
    )


def short_figures(picture: Picture) -> RenderableType:
    """The same, below each other."""
    rows = Table.grid(padding=(0, 2, 0, 0))
    for name, value, style in numbers_of(picture):
        rows.add_row(name, Text(value, f"bold {style}"))
    return rows


def figures(picture: Picture) -> RenderableType:
    """The four numbers in frames."""
    shown = numbers_of(picture)
    row = Table.grid(expand=True)
    for _ in shown:
        row.add_column(ratio=1)
    row.add_row(
        *(
            Panel(Text(value, f"bold {style}", justify="center"), title=name, border_style=style)
            for name, value, style in shown
        )
    )
    return row


def queue_table(picture: Picture, rows: int) -> RenderableType:
    """The queues; red where tasks wait and nobody is ready."""
    table = new_table("Queues", "queue", "waiting", "longest", "in work", "ready")
    for name, numbers in picture.queues[:rows]:
        waits, longest = waiting(numbers), numbers["longest_task_waiting_age"]
        ready, eligible = numbers["total_available_workers"], numbers["total_eligible_workers"]
        style = alarm(waits, longest, ready) if waits else ""
        table.add_row(
            name,
            Text(str(waits), style),
            Text(duration(longest) if waits else "-", style),
            str(in_work(numbers)),
            Text(f"{ready} of {eligible}", "green" if ready else "red" if waits else "dim"),
        )
    return ended(table, len(picture.queues), rows, EMPTY_QUEUES)


def short_queues(picture: Picture, rows: int) -> RenderableType:
    """The same, each queue with its name on a line of its own."""
    lines = [Text("Queues", "bold")]
    for name, numbers in picture.queues[:rows]:
        waits, longest = waiting(numbers), numbers["longest_task_waiting_age"]
        ready, eligible = numbers["total_available_workers"], numbers["total_eligible_workers"]
        wait = f"{waits} waiting {duration(longest)}, " if waits else "none waiting, "
        style = alarm(waits, longest, ready) if waits else "dim"
        lines += [Text(name), Text(f"  {wait}{ready} of {eligible} ready", style)]
    return ended(Group(*lines, Text()), len(picture.queues), rows, EMPTY_QUEUES)


def worker_table(picture: Picture, rows: int) -> RenderableType:
    """The workers, with how long they have been where they are."""
    counts = activities(picture.workers)
    table = new_table(f"Workers: {counts}" if counts else "Workers", "worker", "activity", "for")
    for worker in picture.workers[:rows]:
        style = "green" if worker.available else "dim"
        since = worker.date_status_changed
        spent = "-" if since is None else duration((picture.taken_at - since).total_seconds())
        table.add_row(worker.name, Text(worker.activity_name, style), spent)
    return ended(table, len(picture.workers), rows, "no worker yet: make one, or start with a seed")


def new_table(title: str, first: str, *others: str) -> Table:
    """A table whose names may wrap, and whose numbers are at the right."""
    table = Table(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold", min_width=10)
    for name in others:
        if name == "activity":
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def ended(table: RenderableType, number: int, rows: int, empty: str) -> RenderableType:
    """The table, and what it leaves out."""
    if number == 0:
        return Group(table, Text(f"  {empty}", "dim"))
    return Group(table, Text(f"  and {number - rows} more", "dim")) if number > rows else table


def waiting(numbers: dict[str, Any]) -> int:
    """How many tasks nobody has accepted yet."""
    return int(numbers["tasks_by_status"]["pending"] + numbers["tasks_by_status"]["reserved"])


def in_work(numbers: dict[str, Any]) -> int:
    """How many tasks somebody works on, wrapping up included."""
    return int(numbers["tasks_by_status"]["assigned"] + numbers["tasks_by_status"]["wrapping"])


def alarm(waits: int, longest: float, ready: int) -> str:
    """The colour of a wait."""
    if not waits:
        return "green"
    return "red" if not ready else "yellow" if longest >= LONG_WAIT else "default"


def heading_of(supervisor: Supervisor, picture: Picture, note: str = "") -> Text:
    """Who looks, at a picture of when, and what is wrong."""
    parts = (supervisor.name, supervisor.activity_name, str(supervisor.state))
    text = Text(f"{', '.join(parts)}; {picture.taken_at:%H:%M:%S} UTC", "bold")
    return text.append(f"; not refreshed: {note}", "bold red") if note else text


def activities(workers: Iterable[WorkerInfo]) -> str:
    """How many are in each activity."""
    names = [worker.activity_name for worker in workers]
    return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names)))


def duration(seconds: float) -> str:
    """In hours, minutes and seconds."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# --- Running ------------------------------------------------------------------------------------


async def main(*, once: bool) -> None:
    """Show the board."""
    env = os.environ
    token = worker_token(
        account_sid=env["TWILIO_ACCOUNT_SID"],
        signing_key_sid=env["TWILIO_API_KEY"],
        signing_key_secret=env["TWILIO_API_SECRET"],
        workspace_sid=env["TASKROUTER_WORKSPACE_SID"],
        worker_sid=env["TASKROUTER_WORKER_SID"],
        role="supervisor",
        lifetime=12 * 3600,  # a shift
    )
    eb_server, ws_server = env.get("TASKROUTER_EB_SERVER"), env.get("TASKROUTER_WS_SERVER")
    local = urlsplit(eb_server or "")
    rest = f"{local.scheme}://{local.netloc}" if eb_server else "https://taskrouter.twilio.com"
    key = b64encode(f"{env['TWILIO_API_KEY']}:{env['TWILIO_API_SECRET']}".encode()).decode()
    console, news = Console(), asyncio.Event()
    supervisor = Supervisor(token, eb_server=eb_server, ws_server=ws_server)
    supervisor.on("ready", lambda _: news.set())
    supervisor.on("activityUpdated", lambda _: news.set())
    supervisor.on("disconnected", lambda _: news.set())

    def shown(picture: Picture, note: str = "") -> RenderableType:
        width, height = console.size
        rows = 10_000 if once else max(3, room(width, height))
        return board(picture, heading_of(supervisor, picture, note), width, rows)

    async with (
        supervisor,
        Workspace(token, eb_server=eb_server) as workspace,
        aiohttp.ClientSession(rest, headers={"Authorization": f"Basic {key}"}) as http,
    ):
        picture, note = await take(workspace, http), ""
        if once:
            console.print(shown(picture))
            return
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while supervisor.state is not SessionState.CLOSED:
                live.update(shown(picture, note), refresh=True)
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), SECONDS_BETWEEN)
                news.clear()
                try:
                    picture, note = await take(workspace, http), ""
                except (RequestError, aiohttp.ClientError, TimeoutError) as error:
                    note = str(error) or type(error).__name__  # the picture gets old, which its time shows
        await supervisor.wait_closed()  # says why it ended


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="print the board and end")
    try:
        asyncio.run(main(once=parser.parse_args().once))
    except KeyboardInterrupt:
        sys.exit(0)
