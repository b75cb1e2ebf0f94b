"""``taskrouter-stub events tail``: follow what happens on a running server."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from server_stub.remote import (
    DONE,
    EPILOG,
    MISUSED,
    UNKNOWN,
    UNREACHABLE,
    Desk,
    Json,
    Stop,
    add_url,
    add_workspace,
    complain,
    connection,
    credentials,
    pages,
    the_desk,
)
from taskrouter_worker.terms import EventType

from .showing import show_json, show_line

__all__ = ["add_events", "run_events"]

LOOK_SECONDS: Final = 0.25
"""Between two looks at the event log."""

PAGE: Final = 100
"""Events that are asked for at once."""

RETRY_SECONDS: Final = (0.5, 5.0)
"""Between two tries to reach a server that went away: at first, and at most."""

_EPILOG: Final = f"""\
A type may end with an asterisk: 'task.*'. If the server goes away, it is waited for, and followed again
once it is back. --json prints each event as one line, as the REST API shows it.

Examples:
  taskrouter-stub events tail
  taskrouter-stub events tail --type 'reservation.*' --worker nina
  taskrouter-stub events tail --last 50 --no-follow --json

{EPILOG}
Exit status: 0 ended by Ctrl-C or --no-follow, or because nobody reads its output any more; 2 wrong use;
3 the server could not be reached at the start; 4 no such workspace or worker; 5 the credentials were refused.
"""


def add_events(commands: Any, environment: str) -> None:  # Any: argparse does not name the type
    """Add the command to the program's."""
    events: argparse.ArgumentParser = commands.add_parser(
        "events",
        help="follow what happens on a running server",
        description="Follow what happens on a running server.",
    )
    actions = events.add_subparsers(dest="action", required=True, metavar="ACTION")
    parser: argparse.ArgumentParser = actions.add_parser(
        "tail",
        help="print events as they happen, until Ctrl-C",
        description="Print the events of a running server as they happen, until Ctrl-C.",
        epilog=_EPILOG.format(environment),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--type", action="append", metavar="TYPE", help="such as task.created or 'task.*'; may be repeated")
    add("--worker", metavar="WORKER", help="about this worker only, by name or SID")
    add("--task", metavar="TASK_SID", help="about this task only")
    add("--last", type=int, default=0, metavar="NUMBER", help="begin with so many earlier ones")
    add("--no-follow", action="store_true", help="end after the earlier ones")
    add_workspace(parser, environment)
    add_url(parser, environment)
    add("--json", action="store_true", help="print events as JSON, one a line")


async def run_events(options: argparse.Namespace, environment: str) -> int:
    """Carry out the command; its exit status. Raises Stop."""
    if options.last < 0:
        raise Stop(MISUSED, f"--last must be 0 or more, got {options.last}")
    wanted = _types(options.type or [])
    known = credentials(environment)
    log: _Log | None = None
    lost, wait = False, RETRY_SECONDS[0]
    while True:
        try:
            async with connection(options.url, known) as http:
                log = await _open(http, options, wanted, log)
                if lost:
                    complain("connected again")
                lost, wait = False, RETRY_SECONDS[0]
                while True:
                    async for event in log.news():
                        _show(event, as_json=options.json)
                    if options.no_follow:
                        return DONE
                    await asyncio.sleep(LOOK_SECONDS)
        except Stop as stop:
            if log is None or stop.status not in (UNREACHABLE, UNKNOWN):
                raise
            if not lost:
                complain(f"{stop}; waiting for it")
            lost = True
        await asyncio.sleep(wait)
        wait = min(2 * wait, RETRY_SECONDS[1])


def _types(given: list[str]) -> frozenset[str] | None:
    """The event types that are asked for, None for all.

    Raises:
        Stop: none is called so.
    """
    if not given:
        return None
    found: set[str] = set()
    for text in given:
        fitting = (
            {kind for kind in EventType if kind.startswith(text[:-1])}
            if text.endswith("*")
            else {kind for kind in EventType if kind == text}
        )
        if not fitting:
            groups = sorted({f"{kind.partition('.')[0]}.*" for kind in EventType})
            raise Stop(MISUSED, f"no event type is called {text!r}; try {', '.join(groups)}")
        found |= fitting
    return frozenset(found)


async def _open(
    http: aiohttp.ClientSession,
    options: argparse.Namespace,
    wanted: frozenset[str] | None,
    before: _Log | None,
) -> _Log:
    """The event log where it was left; from its end, or --last before it, at first."""
    desk = await the_desk(http, options.url, options.workspace)
    filters: dict[str, str] = {}
    if options.worker is not None:
        filters["WorkerSid"] = (await desk.one("Workers", options.worker))["sid"]
    if options.task is not None:
        filters["TaskSid"] = options.task
    log = _Log(desk, filters, wanted)
    if before is not None:
        log.begin_after(before)
    else:
        await log.begin(options.last)
    return log


class _Log:
    """The event log of a workspace, read from its newest end.

    Args:
        desk: the workspace.
        filters: parameters of the REST API's list of events.
        wanted: the types that are told, None for all.
    """

    def __init__(self, desk: Desk, filters: dict[str, str], wanted: frozenset[str] | None) -> None:
        self._desk = desk
        self._filters = filters
        self._wanted = wanted
        self._sid = ""  # the newest event that was seen
        self._milliseconds = 0  # and its time, since 1970
        self._waiting: list[Json] = []

    async def begin(self, last: int) -> None:
        """Begin behind what there is, or `last` events before."""
        is_first = True
        async for event in self._newest_first():
            if is_first:
                self._saw(event)
                is_first = False
            if len(self._waiting) >= last:
                break
            self._note(event)

    def begin_after(self, before: _Log) -> None:
        """Go on where another one ended; after a restart the workspace may be another one."""
        self._sid, self._milliseconds = before._sid, before._milliseconds

    async def news(self) -> AsyncIterator[Json]:
        """What was not told yet, oldest first."""
        newest: Json | None = None
        earlier, self._waiting = self._waiting, []
        # The log is in the order of what happened, so the first one that is known ends the news. Its time
        # does so too, for a log that was reset or has forgotten it.
        async for event in self._newest_first():
            if event["sid"] == self._sid or event["event_date_ms"] < self._milliseconds:
                break
            newest = newest or event
            self._note(event)
        if newest is not None:
            self._saw(newest)
        found, self._waiting = [*self._waiting, *earlier], []
        for event in reversed(found):
            yield event

    def _note(self, event: Json) -> None:
        if self._wanted is None or event["event_type"] in self._wanted:
            self._waiting.append(event)

    def _saw(self, event: Json) -> None:
        self._sid, self._milliseconds = event["sid"], event["event_date_ms"]

    def _newest_first(self) -> AsyncIterator[Json]:
        # Without a start, REST tells the last quarter of an hour only.
        since = datetime.fromtimestamp(self._milliseconds // 1000, UTC).isoformat()
        query = {"PageSize": str(PAGE), "StartDate": since, **self._filters}
        return pages(self._desk.http, f"{self._desk.url}/Events?{urlencode(query)}", "events")


def _show(event: Json, *, as_json: bool) -> None:
    if as_json:
        show_json(event)
        return
    at = datetime.fromtimestamp(event["event_date_ms"] / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    data = event["event_data"]
    task = data.get("task_sid") or (event["resource_sid"] if event["resource_type"] == "task" else "")
    known = [data.get("worker_name", ""), task, _detail(event, data)]
    kind = event["event_type"]
    show_line(
        (at, "dim"),
        (f"  {kind:<23}  ", _STYLES.get(event["resource_type"], "")),
        ("  ".join(filter(None, known)), ""),
    )


_STYLES: Final = {"task": "cyan", "reservation": "green", "worker": "magenta"}


def _detail(event: Json, data: Json) -> str:
    """What else people want to know of such an event."""
    match event["resource_type"]:
        case "worker":
            return str(data.get("worker_activity_name", ""))
        case "task" | "reservation":
            return str(data.get("task_queue_name", ""))
        case _:
            return str(event["description"])
