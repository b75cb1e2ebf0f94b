"""A supervisor's wall board in the terminal: queues and workers, live. ``--once`` prints it and ends.

Needs the environment of accept_reservations.py; the worker is the supervisor. It is refreshed every few
seconds, and at once when the supervisor's own activity changes or the connection comes and goes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from taskrouter_worker import (
    RequestError,
    SessionState,
    Supervisor,
    TaskQueue,
    WorkerInfo,
    Workspace,
    worker_token,
)

SECONDS_BETWEEN = 2.0


@dataclass(frozen=True)
class Picture:
    """The workspace at one moment.

    Attributes:
        queues: each with the SIDs of the workers who match it, by name.
        workers: by name.
        taken_at: when.
    """

    queues: list[tuple[TaskQueue, frozenset[str]]]
    workers: list[WorkerInfo]
    taken_at: datetime


async def take(workspace: Workspace) -> Picture:
    """Ask for everything that the board shows."""
    queues = sorted((await workspace.fetch_task_queues()).values(), key=lambda queue: queue.name)
    workers = sorted((await workspace.fetch_workers_info()).values(), key=lambda worker: worker.name)
    matching = [
        frozenset(
            await workspace.fetch_workers_info(target_workers_expression=queue.target_workers)
            if queue.target_workers
            else ()
        )
        for queue in queues
    ]
    return Picture(list(zip(queues, matching, strict=True)), workers, datetime.now(UTC))


def board(picture: Picture, heading: str) -> RenderableType:
    """The picture as it is shown."""
    ready = {worker.sid for worker in picture.workers if worker.available}
    queues = Table(title="Queues", title_justify="left")
    queues.add_column("queue", overflow="fold")
    queues.add_column("ready", justify="right")
    queues.add_column("matching", justify="right")
    for queue, matching in picture.queues:
        number = len(matching & ready)
        queues.add_row(queue.name, Text(str(number), "green" if number else "bold red"), str(len(matching)))
    workers = Table(title="Workers", title_justify="left")
    workers.add_column("worker", overflow="fold")
    workers.add_column("activity")
    workers.add_column("for", justify="right")
    for worker in picture.workers:
        style = "green" if worker.available else "dim"
        since = worker.date_status_changed
        workers.add_row(worker.name, Text(worker.activity_name, style), shown(since, picture.taken_at))
    summary = f"{len(ready)} of {len(picture.workers)} ready; {activities(picture.workers)}"
    return Group(Text(heading, "bold"), Text(summary), Columns([queues, workers], padding=(0, 4)))


def title(supervisor: Supervisor, picture: Picture, note: str = "") -> str:
    """Who looks, at a picture of when, and what is wrong."""
    parts = (supervisor.name, supervisor.activity_name, str(supervisor.state))
    return f"{', '.join(parts)}; {picture.taken_at:%H:%M:%S} UTC" + (f"; {note}" if note else "")


def activities(workers: Iterable[WorkerInfo]) -> str:
    """How many are in each activity."""
    names = [worker.activity_name for worker in workers]
    return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names)))


def shown(since: datetime | None, now: datetime) -> str:
    """How long ago, in hours, minutes and seconds."""
    if since is None:
        return "-"
    minutes, seconds = divmod(max(0, int((now - since).total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


async def main(*, once: bool) -> None:
    """Show the board."""
    token = worker_token(
        account_sid=os.environ["TWILIO_ACCOUNT_SID"],
        signing_key_sid=os.environ["TWILIO_API_KEY"],
        signing_key_secret=os.environ["TWILIO_API_SECRET"],
        workspace_sid=os.environ["TASKROUTER_WORKSPACE_SID"],
        worker_sid=os.environ["TASKROUTER_WORKER_SID"],
        role="supervisor",
        lifetime=12 * 3600,  # a shift
    )
    eb_server, ws_server = os.environ.get("TASKROUTER_EB_SERVER"), os.environ.get("TASKROUTER_WS_SERVER")
    console, news = Console(), asyncio.Event()
    supervisor = Supervisor(token, eb_server=eb_server, ws_server=ws_server)
    supervisor.on("ready", lambda _: news.set())
    supervisor.on("activityUpdated", lambda _: news.set())
    supervisor.on("disconnected", lambda _: news.set())
    async with supervisor, Workspace(token, eb_server=eb_server) as workspace:
        picture = await take(workspace)
        if once:
            console.print(board(picture, title(supervisor, picture)))
            return
        with Live(console=console, auto_refresh=False, screen=True) as live:
            note = ""
            while supervisor.state is not SessionState.CLOSED:
                live.update(board(picture, title(supervisor, picture, note)), refresh=True)
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), SECONDS_BETWEEN)
                news.clear()
                try:
                    picture, note = await take(workspace), ""
                except RequestError as error:
                    note = str(error)  # the picture gets old, which its time shows
        await supervisor.wait_closed()  # says why it ended


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="print the board and end")
    try:
        asyncio.run(main(once=parser.parse_args().once))
    except KeyboardInterrupt:
        sys.exit(0)
