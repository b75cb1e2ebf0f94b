"""``taskrouter-stub task create`` and ``task list``: the tasks of a running server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from taskrouter_worker.terms import TaskStatus

from .remote import (
    DONE,
    EPILOG,
    MISUSED,
    STATUSES,
    Json,
    Stop,
    add_url,
    add_workspace,
    connection,
    credentials,
    the_desk,
)
from .showing import brief, read_input, show_json, show_line, show_table

__all__ = ["add_task", "read_attributes", "run_task"]

MOST: Final = 100_000
"""Tasks that one command makes."""

_CREATE: Final = f"""\
Attributes are pairs such as topic=cards (text) and vip:=true (JSON), or one JSON object, or @FILE with
one, or - for the standard input. Workflow, channel and the rest are left to the server unless given.

Examples:
  taskrouter-stub task create topic=cards
  taskrouter-stub task create '{{{{"topic": "cards", "vip": true}}}}' --priority 5
  taskrouter-stub task create topic=loans amount:=25000 --workflow "Default Fifo Workflow" --count 20

{EPILOG}{STATUSES}"""

_LIST: Final = f"""\
Examples:
  taskrouter-stub task list
  taskrouter-stub task list --status pending,reserved --json

{EPILOG}{STATUSES}"""


def add_task(commands: Any, environment: str) -> None:  # Any: argparse does not name the type
    """Add the commands to the program's."""
    task: argparse.ArgumentParser = commands.add_parser(
        "task",
        help="make tasks on a running server, and list them",
        description="Make tasks on a running server, and list them.",
    )
    actions = task.add_subparsers(dest="action", required=True, metavar="ACTION")

    create: argparse.ArgumentParser = actions.add_parser(
        "create",
        help="make one or several tasks",
        description="Make one or several tasks on a running server, and print their SIDs.",
        epilog=_CREATE.format(environment),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = create.add_argument
    add("attributes", nargs="*", metavar="ATTRIBUTE", help="NAME=TEXT, NAME:=JSON, {...}, @FILE or -")
    add("--workflow", metavar="NAME", help="the workflow, by name or SID")
    add("--channel", metavar="NAME", help="the task channel, by unique name or SID")
    add("--priority", type=int, metavar="NUMBER", help="higher is served first")
    add("--timeout", type=int, metavar="SECONDS", help="how long it lives until somebody accepts it")
    add("--count", type=int, default=1, metavar="NUMBER", help="how many (default %(default)s)")
    add_workspace(create, environment)
    add_url(create, environment)
    add("--json", action="store_true", help='print {"tasks": [...]}, each as the REST API shows it')

    listing: argparse.ArgumentParser = actions.add_parser(
        "list",
        help="list tasks",
        description="List the tasks of a running server, oldest first.",
        epilog=_LIST.format(environment),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = listing.add_argument
    add("--status", metavar="STATUS", help="pending, reserved, assigned, ...; several between commas")
    add("--workflow", metavar="NAME", help="of this workflow, by name")
    add("--queue", metavar="NAME", help="in this task queue, by name")
    add_workspace(listing, environment)
    add_url(listing, environment)
    add("--json", action="store_true", help='print {"tasks": [...]}, each as the REST API shows it')


def run_task(options: argparse.Namespace, environment: str) -> Coroutine[Any, Any, int]:
    """What carries out one of the commands, and returns its exit status. Raises Stop.

    The standard input is read before that.
    """
    if options.action == "list":
        return _list(options, environment)
    if not 1 <= options.count <= MOST:
        raise Stop(MISUSED, f"--count must be 1 to {MOST}, got {options.count}")
    return _create_tasks(options, environment, read_attributes(options.attributes))


async def _create_tasks(
    options: argparse.Namespace, environment: str, attributes: Mapping[str, object]
) -> int:
    async with connection(options.url, credentials(environment)) as http:
        desk = await the_desk(http, options.url, options.workspace)
        workflow = None
        if options.workflow is not None:
            workflow = (await desk.one("Workflows", options.workflow))["sid"]
        values = {
            "Attributes": json.dumps(attributes),
            "WorkflowSid": workflow,
            "TaskChannel": options.channel,
            "Priority": None if options.priority is None else str(options.priority),
            "Timeout": None if options.timeout is None else str(options.timeout),
        }
        made: list[Json] = []
        for _ in range(options.count):
            made.append(await desk.make("Tasks", values))
            if not options.json:
                show_line((made[-1]["sid"], ""))
    if options.json:
        show_json({"tasks": made})
    return DONE


async def _list(options: argparse.Namespace, environment: str) -> int:
    wanted: list[str] = [] if options.status is None else options.status.split(",")
    for status in wanted:
        if status.strip() not in set(TaskStatus):
            raise Stop(MISUSED, f"no task is {status!r}: --status is one of {', '.join(TaskStatus)}")
    async with connection(options.url, credentials(environment)) as http:
        desk = await the_desk(http, options.url, options.workspace)
        tasks = await desk.all(
            "Tasks",
            AssignmentStatus=options.status,
            WorkflowName=options.workflow,
            TaskQueueName=options.queue,
            Ordering="DateCreated:asc",
        )
    if options.json:
        show_json({"tasks": tasks})
    elif not tasks:
        show_line(("There are no such tasks. Make one with `taskrouter-stub task create`.", ""))
    else:
        show_table(
            ("SID", "Status", "Age", "Priority", "Queue", "Attributes"),
            [
                (
                    task["sid"],
                    task["assignment_status"],
                    _age(task["age"]),
                    str(task["priority"]),
                    task["task_queue_friendly_name"] or "",
                    brief(task["attributes"]),
                )
                for task in tasks
            ],
            styles=[_STYLES.get(task["assignment_status"], "") for task in tasks],
        )
    return DONE


_STYLES: Final = {
    "pending": "bold",
    "reserved": "cyan",
    "assigned": "green",
    "wrapping": "magenta",
    "completed": "dim",
    "canceled": "dim",
}


def _age(seconds: int) -> str:
    """In the largest unit of which there are two or more."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def read_attributes(given: Sequence[str]) -> dict[str, object]:
    """Attributes as a command line has them; later ones win.

    Raises:
        Stop: one of them cannot be read.
    """
    attributes: dict[str, object] = {}
    for text in given:
        name, mark, value = text.partition("=")
        if text.startswith("{"):
            attributes.update(_object(text, f"attribute {text[:60]!r}"))
        elif text == "-":
            attributes.update(_object(_decoded(read_input(), "the standard input"), "the standard input"))
        elif text.startswith("@"):
            attributes.update(_object(_file(text[1:]), text[1:]))
        elif mark and name.rstrip(":"):
            is_json = name.endswith(":")
            source, hint = f"attribute {text[:60]!r}", "; text is NAME=TEXT, without the colon"
            attributes[name.removesuffix(":")] = _json(value, source, hint) if is_json else value
        else:
            raise Stop(MISUSED, f"attribute {text!r} is none of NAME=TEXT, NAME:=JSON, {{...}}, @FILE and -")
    return attributes


def _file(name: str) -> str:
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise Stop(MISUSED, f"cannot read {name}: {error.strerror}") from None
    return _decoded(content, name)


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Stop(MISUSED, f"cannot read {source}: it is not UTF-8") from None


def _object(text: str, source: str) -> dict[str, object]:
    value = _json(text, source)
    if not isinstance(value, dict):
        raise Stop(MISUSED, f"{source} must hold a JSON object, got {type(value).__name__}")
    return cast("dict[str, object]", value)


def _json(text: str, source: str, hint: str = "") -> object:
    try:
        return cast("object", json.loads(text))
    except ValueError as error:
        raise Stop(MISUSED, f"{source} is not JSON: {error}{hint}") from None
    except RecursionError:
        raise Stop(MISUSED, f"{source} is nested too deeply") from None
