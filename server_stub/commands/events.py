"""``taskrouter-stub events tail``: follow what happens on a running server."""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from taskrouter_worker.terms import EventType

from .remote import (
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
    fetch,
    pages,
    the_desk,
)
from .showing import is_read, show_json, show_line

__all__ = ["add_events", "run_events"]

LOOK_SECONDS: Final = 0.25
"""Between two looks at the event log."""

PAGE: Final = 100
"""Events that are asked for at once."""

SEEN: Final = 1_000
"""Events that are remembered, so that none is told twice."""

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
                    if options.no_follow or not is_read():
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
    """The event log of a workspace, read from its newest end, in the order of what happened.

    That order, not the events' times, tells what is new: the clock of a server can be set back, and a server
    that takes another one's place can have a clock that is behind, and the same SIDs for other events.

    Args:
        desk: the workspace.
        filters: parameters of the REST API's list of events.
        wanted: the types that are told, None for all.
    """

    def __init__(self, desk: Desk, filters: dict[str, str], wanted: frozenset[str] | None) -> None:
        self._desk = desk
        self._filters = filters
        self._wanted = wanted
        self._seen: dict[_Mark, None] = {}  # what was seen last of all; the newest event is the last
        self._looked_at = time.monotonic()
        self._waiting: list[Json] = []  # newest first

    async def begin(self, last: int) -> None:
        """Begin behind what there is, or `last` events before."""
        found: list[Json] = []
        async for event in self._newest_first(_EVER):
            found.append(event)
            self._note(event)
            if len(self._waiting) >= last:
                break
        del self._waiting[last:]
        self._saw(found)

    def begin_after(self, before: _Log) -> None:
        """Go on where another one ended; after a restart the workspace may be another one."""
        self._seen, self._looked_at = before._seen, before._looked_at

    async def news(self) -> AsyncIterator[Json]:
        """What was not told yet, oldest first."""
        earlier, self._waiting = self._waiting, []
        for event in await self._unseen():
            self._note(event)
        self._looked_at = time.monotonic()
        found, self._waiting = [*self._waiting, *earlier], []
        for event in reversed(found):
            yield event

    async def _unseen(self) -> list[Json]:
        """What the log has got since it was looked at, newest first."""
        newest = await self._newest()
        if newest is None or _mark(newest) in self._seen:
            return []
        window = _EVER
        if not await self._is_the_same():
            # It was reset, or is another server's. What it tells of the time before is no news.
            minutes = 1 + math.ceil((time.monotonic() - self._looked_at) / 60)
            window = {"Minutes": str(minutes)}
        found: list[Json] = []
        async for event in self._newest_first(window):
            if _mark(event) in self._seen:
                break
            found.append(event)
        self._saw(found or [newest])
        return found

    async def _newest(self) -> Json | None:
        async for event in self._newest_first(_EVER, size=1):
            return event
        return None

    async def _is_the_same(self) -> bool:
        """Whether the log still has the event that was its newest one."""
        if not self._seen:
            return True
        newest = next(reversed(self._seen))
        known = await fetch(self._desk.http, f"{self._desk.url}/Events/{newest[0]}")
        return known is not None and _mark(known) == newest

    def _note(self, event: Json) -> None:
        if self._wanted is None or event["event_type"] in self._wanted:
            self._waiting.append(event)

    def _saw(self, found: list[Json]) -> None:
        for event in reversed(found):
            self._seen[_mark(event)] = None
        for mark in list(self._seen)[:-SEEN]:
            del self._seen[mark]

    def _newest_first(self, window: dict[str, str], *, size: int = PAGE) -> AsyncIterator[Json]:
        query = {"PageSize": str(size), **window, **self._filters}
        return pages(self._desk.http, f"{self._desk.url}/Events?{urlencode(query)}", "events")


_Mark = tuple[str, int]
"""An event's SID and time: servers in each other's place may have the SIDs in common."""

_EVER: Final = {"StartDate": "1970-01-01", "EndDate": "9999-12-31"}
"""Also what lies ahead of the server's clock, because that was set back."""


def _mark(event: Json) -> _Mark:
    return event["sid"], event["event_date_ms"]


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
