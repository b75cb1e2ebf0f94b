"""``taskrouter-stub explain``: ask a running server why a task is where it is."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp

from taskrouter_worker.terms import RESERVATION_LIVE

from .remote import (
    EPILOG,
    UNKNOWN,
    Json,
    Stop,
    add_url,
    connection,
    credentials,
    default_workspace,
    fetch,
    pages,
    plain,
)
from .showing import console, show_text

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["add_explain", "explanation_lines", "run_explain"]

ROWS: Final = 25
"""Workers that are shown, unless all are asked for."""

MADE: Final = 5
"""Reservations of the task that are shown of each worker: a callback that fails makes a thousand."""

NARROW: Final = 72
"""Columns that a table needs; a terminal with fewer gets lines."""

ALL: Final = 15_000
"""More workers no workspace has."""

REACHED, NOT_REACHED = range(2)
"""Exit statuses, as the help explains them; the others are `remote`'s."""

_EPILOG: Final = f"""\
Examples:
  taskrouter-stub explain WTaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  taskrouter-stub explain WTaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --all --json

{EPILOG}
Exit status: 0 the worker (without --worker: some worker) has the task or is reserved next; 1 none has
or is; 2 wrong use; 3 the server cannot be reached or failed; 4 no such task or worker; 5 the credentials
were refused.
"""


def add_explain(commands: Any, environment: str) -> None:  # Any: argparse does not name the type
    """Add the command to the program's."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "explain",
        help="tell why a task is where it is, and why it did not reach a worker",
        description="Ask a running server why a task is where it is, and why it did not reach a worker.",
        epilog=_EPILOG.format(environment),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("task_sid", metavar="TASK_SID", help="the task")
    add("--worker", metavar="WORKER_SID", help="explain it to this worker only")
    add(
        "--workspace",
        metavar="WORKSPACE_SID",
        default=default_workspace(environment),
        help="where the task is; every workspace is tried unless given",
    )
    add_url(parser, environment)
    add("--all", action="store_true", help=f"show every worker, not only the first {ROWS}")
    add("--json", action="store_true", help="print the server's answer as JSON")


def run_explain(options: argparse.Namespace, environment: str) -> int:
    """Carry out the command; its exit status. Raises Stop."""
    answer = asyncio.run(_ask(options, credentials(environment)))
    if options.json:
        show_text(json.dumps(answer, indent=2))
    else:
        _show(answer)
    return REACHED if any(map(_is_reached, answer["workers"])) else NOT_REACHED


def _is_reached(worker: Json) -> bool:
    return worker["would_be_reserved"] or any(
        reservation["status"] in RESERVATION_LIVE for reservation in worker["reservations"]
    )


# --- Asking -------------------------------------------------------------------------------------


async def _ask(options: argparse.Namespace, known: tuple[str, str]) -> Json:
    async with connection(options.url, known) as http:
        given = [options.workspace] if options.workspace else None
        every = f"{options.url.rstrip('/')}/v1/Workspaces?PageSize=1000"
        for sid in given or [item["sid"] async for item in pages(http, every, "workspaces")]:
            answer = await _explanation(http, options, sid)
            if answer is not None:
                return answer
    who = f" and worker {options.worker}" if options.worker else ""
    raise Stop(UNKNOWN, f"no workspace of the server has task {options.task_sid}{who}")


async def _explanation(
    http: aiohttp.ClientSession, options: argparse.Namespace, workspace_sid: str
) -> Json | None:
    path = (
        f"/stub/workspaces/{quote(workspace_sid, safe='')}/tasks/{quote(options.task_sid, safe='')}/explain"
    )
    query = f"?Limit={ALL if options.all else ROWS}"
    query += f"&WorkerSid={quote(options.worker, safe='')}" if options.worker else ""
    return await fetch(http, options.url.rstrip("/") + path + query)


# --- Showing ------------------------------------------------------------------------------------


def explanation_lines(answer: Json) -> list[str]:
    """The server's answer as plain text."""
    lines = [plain(text) for _, text in _lines(answer)]
    for row in _rows(answer["workers"]):
        name, activity, load, place, why = map(plain, row)
        lines.append(f"  {name}: {why}  (activity {activity}, load {load}, place {place or '-'})")
    return lines + [f"  {note}" for note in _notes(answer)]


def _notes(answer: Json) -> list[str]:
    left_out = answer["worker_count"] - len(answer["workers"])
    tally = ", ".join(f"{number} by {kind.replace('_', ' ')}" for kind, number in answer["held_back"].items())
    more = _counted(left_out, "more worker; --all shows it", "more workers; --all shows them")
    notes = [f"and {more}"] if left_out else []
    return notes + ([f"workers held back: {tally}"] if tally and answer["worker_count"] > 1 else [])


def _show(answer: Json) -> None:
    try:
        output = console()
    except ImportError:
        output = None
    # A table needs room; and where a program reads it, what is folded cannot be found.
    if output is None or not sys.stdout.isatty() or output.width < NARROW:
        show_text("\n".join(explanation_lines(answer)))
    else:
        _show_table(output, answer)


def _show_table(output: Console, answer: Json) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - part of the extra "server"
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    for style, text in _lines(answer):
        output.print(Text(plain(text), style=style))
    shown = Table("Worker", "Activity", "Load", "Place", "Why", box=SIMPLE_HEAD, pad_edge=False)
    for worker, row in zip(answer["workers"], _rows(answer["workers"]), strict=False):
        style = "green" if _is_reached(worker) else "" if worker["place"] else "yellow"
        shown.add_row(*(Text(plain(cell), style=style, overflow="fold") for cell in row))
    if answer["workers"]:
        output.print(shown)
    for note in _notes(answer):
        output.print(Text(note, style="dim"))


def _lines(answer: Json) -> Iterator[tuple[str, str]]:
    """What is told about the task, each line with its style."""
    yield (
        "bold",
        f"{answer['task_sid']}  {answer['status']}, priority {answer['priority']}, {answer['age']} s old",
    )
    yield "bold cyan", answer["summary"]
    if answer["routing_target"]:
        yield "", f"Routed to {answer['routing_target']}"
    if answer["transfer_to"]:
        yield "", f"On transfer to {answer['transfer_to']}"
    if answer["workflow_name"]:
        yield "", f"Workflow {answer['workflow_name']}"
    for found in answer["filters"]:
        yield from _filter_lines(found)
    if queue := answer["queue"]:
        activities = ", ".join(f"{number} {name}" for name, number in queue["activities"].items())
        yield (
            "",
            (
                f"Queue {queue['name']} ({queue['task_order']}, "
                f"{queue['max_reserved_workers']} reserved at once): "
                f"{_counted(queue['members'], 'worker matches', 'workers match')} "
                f"{queue['target_workers'] or 'nothing'}"
                + (f" ({activities})" if activities else "")
                + f"; {_counted(queue['ahead'], 'task is', 'tasks are')} served before it"
            ),
        )
    for deadline in answer["deadlines"]:
        at = datetime.fromtimestamp(deadline["at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        yield "", f"In {deadline['seconds']:.0f} s, at {at}: {deadline['text']}"


def _filter_lines(found: Json) -> Iterator[tuple[str, str]]:
    name = "default filter" if found["index"] is None else f"filter {found['index'] + 1}"
    name += f" ({found['name']})" if found["name"] else ""
    condition = found["condition"]
    if condition is None or condition["holds"]:
        why, style = "takes the task", "green" if found["is_current"] else ""
    else:
        why, style = f"does not take it: {_failed(condition['failed'])}", "yellow"
    yield style, f"  {'→' if found['is_current'] else ' '} {name} {why}"
    for target in found["targets"]:
        mark = "→" if target["is_current"] else " "
        parts = [f"target {target['index'] + 1}: queue {target['queue_name'] or target['queue_sid']}"]
        for key, label in (("expression", "expression"), ("order_by", "order by"), ("skip_if", "skip if")):
            parts += [f"{label} {target[key]}"] if target[key] else []
        if known := target["known_worker"]:
            parts.append(f"known worker {known['worker_sid'] or 'nobody'} by {known['reference']}")
        parts += [f"timeout {target['timeout']} s"] if target["timeout"] else []
        yield style if target["is_current"] else "dim", f"    {mark} " + ", ".join(parts)


def _rows(workers: list[Json]) -> Iterator[list[str]]:
    for worker in workers:
        why = [worker["verdict"]] if not worker["hindrances"] else []
        for hindrance in worker["hindrances"]:
            failed = _failed(hindrance["failed"])
            why.append(hindrance["text"] + (f": {failed}" if failed else ""))
        made = worker["reservations"]
        why += [f"{len(made) - MADE} earlier reservations"] if len(made) > MADE else []
        why += [f"{past['status']} ({past['sid']})" for past in made[-MADE:]]
        yield [
            worker["name"],
            worker["activity_name"],
            f"{worker['channel_active']}/{worker['channel_capacity']}",
            str(worker["place"] or ""),
            "; ".join(why),
        ]


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _failed(parts: list[Json]) -> str:
    told: list[str] = []
    for part in parts:
        values = ", ".join(f"{name} is {json.dumps(value)}" for name, value in part["values"].items())
        told.append(f"{part['text']} where {values}" if values else part["text"])
    return "; ".join(told)
