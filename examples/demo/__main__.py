"""A local TaskRouter, three workers that accept by themselves, and a few dozen tasks, live.

Run it with `make demo`, or `python -m examples.demo [--svg FILE]`. It ends by itself within half a
minute, with status 0 if no task was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console
from rich.live import Live

from taskrouter_worker import Reservation, Worker, worker_token

from .board import Board, Colleague, Ticket
from .contact_center import Rest, local_taskrouter, open_for_business, rest_api

TIME_LIMIT = 28.0
"""Seconds after which the demo gives up on what is still open."""

SUMMARY_LINES = 3
"""Lines below the last board: the summary and the shell's prompt."""

SUBJECTS = {
    "en": ["where is my parcel", "invoice twice", "new card", "change of address", "opening hours"],
    "es": ["dónde está mi pedido", "factura duplicada", "tarjeta nueva", "cambio de dirección"],
    "pt": ["onde está a encomenda", "fatura em dobro", "cartão novo", "mudança de endereço"],
}


def colleagues() -> list[Colleague]:
    """The team: each language is spoken by two of three."""
    return [
        Colleague("Nina", ("en", "pt"), capacity=2),
        Colleague("Omar", ("es", "en"), capacity=2),
        Colleague("Rosa", ("pt", "es"), capacity=2),
    ]


async def work(
    stack: AsyncExitStack, board: Board, colleague: Colleague, local: dict[str, str], worker_sid: str
) -> Worker:
    """Log one worker in. It accepts whatever it is offered and takes a moment for each task."""
    token = worker_token(
        account_sid=local["account_sid"],
        signing_key_sid=local["signing_key_sid"],
        signing_key_secret=local["signing_key_secret"],
        workspace_sid=local["workspace_sid"],
        worker_sid=worker_sid,
    )
    worker = Worker(token, eb_server=local["eb_server"], ws_server=local["ws_server"])
    dice = random.Random(worker_sid)  # noqa: S311 - how long a made-up task takes

    @worker.on("reservationCreated")
    async def handle(reservation: Reservation) -> None:
        ticket = board.tickets[reservation.task.attributes["number"]]
        board.reserved(ticket, colleague)
        await reservation.accept()
        board.accepted(ticket)
        await asyncio.sleep(dice.uniform(0.6, 2.0))
        await reservation.task.complete("solved")
        board.completed(ticket, colleague)

    @worker.on("activityUpdated")
    def show_activity(worker: Worker) -> None:
        colleague.activity = worker.activity_name

    await stack.enter_async_context(worker)
    available = next(activity for activity in worker.activities.values() if activity.available)
    await available.set_as_current()
    return worker


async def feed(rest: Rest, board: Board, workflow_sid: str) -> None:
    """Create the planned tasks over REST, a few a second, now and then several at once."""
    dice = random.Random(4)  # noqa: S311 - which made-up task comes next
    for number in range(1, board.planned + 1):
        language = dice.choice(list(SUBJECTS))
        subject, urgent = dice.choice(SUBJECTS[language]), dice.random() < 0.15
        ticket = Ticket(number, subject, language, urgent, created=board.now())
        board.created(ticket)  # first: the reservation may be here before the answer
        await rest.post(
            "Tasks",
            WorkflowSid=workflow_sid,
            Attributes=json.dumps({"language": language, "subject": subject, "number": number}),
            Priority=10 if urgent else 0,
        )
        await asyncio.sleep(dice.choice([0.0, 0.1, 0.2, 0.4, 0.5]))


async def show(live: Live | None, board: Board, svg: Path | None) -> None:
    """Redraw the board until every task is completed; take the picture when two thirds are."""
    done = 0
    while done < board.planned:
        done = board.summary().completed
        if live is not None:
            live.update(board.render(*live.console.size), refresh=True)
        if svg is not None and done >= board.planned * 2 // 3:
            board.save_svg(svg)
            svg = None
        await asyncio.sleep(0.08)


async def run(console: Console, tasks: int, svg: Path | None) -> bool:
    """Play the whole demo; whether every task was completed, which the server is asked as well."""
    plain = not console.is_terminal
    board = Board(tasks, colleagues(), tell=console.print if plain else lambda _: None)
    async with AsyncExitStack() as stack:
        local = await stack.enter_async_context(local_taskrouter())
        rest = await stack.enter_async_context(rest_api(local))
        workflow_sid, worker_sids = await open_for_business(rest, board.colleagues)
        for colleague in board.colleagues:
            await work(stack, board, colleague, local, worker_sids[colleague.name])
        live = None
        if not plain:
            live = stack.enter_context(Live(console=console, auto_refresh=False, vertical_overflow="crop"))
        try:
            async with asyncio.timeout(TIME_LIMIT - board.now()), asyncio.TaskGroup() as group:
                group.create_task(feed(rest, board, workflow_sid))
                group.create_task(show(live, board, svg))
        except TimeoutError:
            console.print(f"gave up after {TIME_LIMIT:.0f} seconds")
        if live is not None:
            width, height = console.size
            live.update(board.render(width, height - SUMMARY_LINES), refresh=True)
        completed = len(await rest.list("Tasks", AssignmentStatus="completed", PageSize=1000))
    console.print(str(board.summary()), highlight=not plain)
    if completed != tasks:
        console.print(f"the server says that {completed} of {tasks} tasks were completed")
    return completed == board.summary().completed == tasks


def main() -> int:
    """The command line; the exit status is 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument(
        "--tasks", type=int, default=40, metavar="N", help="how many tasks (default %(default)s)"
    )
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="save a picture of the board when it is busy"
    )
    arguments = parser.parse_args()
    if arguments.tasks < 1:
        parser.error(f"--tasks must be 1 or more, got {arguments.tasks}")
    return 0 if asyncio.run(run(Console(), arguments.tasks, arguments.svg)) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
