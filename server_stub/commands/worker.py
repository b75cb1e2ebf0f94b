"""``taskrouter-stub worker create``, `list` and `activity`: the workers of a running server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from .remote import (
    DONE,
    EPILOG,
    STATUSES,
    Json,
    add_url,
    add_workspace,
    connection,
    credentials,
    the_desk,
)
from .showing import brief, show_json, show_line, show_table
from .task import read_attributes

__all__ = ["add_worker", "run_worker"]

_CREATE: Final = f"""\
Attributes are written as those of `task create`.

Examples:
  taskrouter-stub worker create nina
  taskrouter-stub worker create omar languages:='["en", "de"]' --activity Available

{EPILOG}{STATUSES}"""

_LIST: Final = f"""\
Examples:
  taskrouter-stub worker list
  taskrouter-stub worker list --activity Available --json

{EPILOG}{STATUSES}"""

_ACTIVITY: Final = f"""\
Examples:
  taskrouter-stub worker activity nina Available
  taskrouter-stub worker activity nina Offline --reject-pending

{EPILOG}{STATUSES}"""


def add_worker(commands: Any, environment: str) -> None:  # Any: argparse does not name the type
    """Add the commands to the program's."""
    worker: argparse.ArgumentParser = commands.add_parser(
        "worker",
        help="make workers on a running server, list them, change their activity",
        description="Make workers on a running server, list them, and change their activity.",
    )
    actions = worker.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, summary: str, detail: str, epilog: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(
            name,
            help=summary,
            description=detail,
            epilog=epilog.format(environment),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return parser

    create = action(
        "create", "make a worker", "Make a worker on a running server, and print its SID.", _CREATE
    )
    create.add_argument("name", metavar="NAME", help="unique in the workspace")
    create.add_argument(
        "attributes", nargs="*", metavar="ATTRIBUTE", help="NAME=TEXT, NAME:=JSON, {...}, @FILE"
    )
    create.add_argument("--activity", metavar="NAME", help="the first activity, by name or SID")

    listing = action("list", "list workers", "List the workers of a running server.", _LIST)
    listing.add_argument("--activity", metavar="NAME", help="in this activity, by name")
    listing.add_argument("--queue", metavar="NAME", help="who belong to this task queue, by name")

    activity = action(
        "activity",
        "move a worker to another activity",
        "Move a worker of a running server to another activity.",
        _ACTIVITY,
    )
    activity.add_argument("worker", metavar="WORKER", help="name or SID")
    activity.add_argument("activity", metavar="ACTIVITY", help="name or SID")
    activity.add_argument(
        "--reject-pending", action="store_true", help="reject the reservations that wait for an answer"
    )
    for parser, shape in ((create, "the worker"), (listing, '{"workers": [...]}'), (activity, "the worker")):
        add_workspace(parser, environment)
        add_url(parser, environment)
        parser.add_argument("--json", action="store_true", help=f"print {shape}, as the REST API shows it")


def run_worker(options: argparse.Namespace, environment: str) -> Coroutine[Any, Any, int]:
    """What carries out one of the commands, and returns its exit status. Raises Stop.

    The standard input is read before that.
    """
    attributes = read_attributes(options.attributes) if options.action == "create" else {}
    return _run(options, environment, attributes)


async def _run(options: argparse.Namespace, environment: str, attributes: Mapping[str, object]) -> int:
    async with connection(options.url, credentials(environment)) as http:
        desk = await the_desk(http, options.url, options.workspace)
        if options.action == "list":
            workers = await desk.all("Workers", ActivityName=options.activity, TaskQueueName=options.queue)
            _list(workers, as_json=options.json)
            return DONE
        activity = None
        if options.activity is not None:
            activity = (await desk.one("Activities", options.activity))["sid"]
        if options.action == "create":
            values = {
                "FriendlyName": options.name,
                "Attributes": json.dumps(attributes),
                "ActivitySid": activity,
            }
            worker = await desk.make("Workers", values)
            told = worker["sid"]
        else:
            sid = (await desk.one("Workers", options.worker))["sid"]
            reject = "true" if options.reject_pending else None
            values = {"ActivitySid": activity, "RejectPendingReservations": reject}
            worker = await desk.change("Workers", sid, values)
            told = f"{worker['friendly_name']} is {worker['activity_name']}"
    if options.json:
        show_json(worker)
    else:
        show_line((told, ""))
    return DONE


def _list(workers: list[Json], *, as_json: bool) -> None:
    if as_json:
        show_json({"workers": workers})
    elif not workers:
        show_line(("There are no such workers. Make one with `taskrouter-stub worker create NAME`.", ""))
    else:
        show_table(
            ("SID", "Name", "Activity", "Attributes"),
            [
                (worker["sid"], worker["friendly_name"], worker["activity_name"], brief(worker["attributes"]))
                for worker in workers
            ],
            styles=["green" if worker["available"] else "" for worker in workers],
        )
