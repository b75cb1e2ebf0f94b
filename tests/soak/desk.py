"""The server's REST API as the driver uses it: a feed of tasks, a reader of the event log, a last look."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp

from tests.soak.evidence import Evidence, FedTask, LoggedEvent
from tests.soak.plan import MAX_SKEW

__all__ = ["ALIVE", "Door", "EventReader", "Feed", "RefusedError"]

ALIVE: Final = frozenset({"pending", "reserved", "assigned", "wrapping"})
REQUEST_SECONDS: Final = 30.0
IN_FLIGHT: Final = 40
"""Creations at a time. When the server is away the feed waits: it is no flood."""

PAGE: Final = 500
CLOCK_JUMP: Final = 2 * MAX_SKEW + 2.0
"""Seconds by which the server's clock may have been set ahead meanwhile, and a margin."""

READ_EVERY: Final = 0.5
"""Seconds between two looks at the event log."""

_KEPT: Final = frozenset(
    {
        *("reservation_sid", "reservation_version", "task_sid", "task_version", "task_attributes"),
        *("worker_sid", "worker_version"),
    }
)
"""What the auditor reads of an event; a long run has many."""

Json = dict[str, Any]


class RefusedError(Exception):
    """REST answered with an error."""

    def __init__(self, what: str, status: int, body: str) -> None:
        super().__init__(f"{what}: {status} {body[:300]}")
        self.status = status


class Door:
    """The REST API of the server, also of the next process at the same address."""

    def __init__(
        self, http: aiohttp.ClientSession, base: str, account: str, secret: str, workspace_sid: str
    ) -> None:
        self._http = http
        self.base = base
        self.workspace_sid = workspace_sid
        self._auth = "Basic " + base64.b64encode(f"{account}:{secret}".encode()).decode()
        self.refusals: Counter[int] = Counter()

    async def send(self, method: str, url: str, **arguments: Any) -> Json:
        """The JSON of an answer.

        Raises:
            RefusedError: it was an error.
            aiohttp.ClientError, TimeoutError: there was none.
        """
        async with self._http.request(
            method,
            url,
            headers={"Authorization": self._auth},
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            **arguments,
        ) as answer:
            text = await answer.text()
            if answer.status >= 400:
                self.refusals[answer.status] += 1
                raise RefusedError(f"{method} {url.partition('?')[0]}", answer.status, text)
            return dict(json.loads(text)) if text else {}

    async def rest(self, method: str, path: str, **form: str) -> Json:
        """A request below the workspace."""
        url = f"{self.base}/v1/Workspaces/{self.workspace_sid}/{path}"
        return await self.send(method, url, **({"params": form} if method == "GET" else {"data": form}))

    async def stub(self, path: str, body: Json) -> Json:
        """A request to the server's own door for tests, for this workspace."""
        return await self.send("POST", f"{self.base}/stub/workspaces/{self.workspace_sid}/{path}", json=body)

    async def clear_faults(self) -> None:
        """Take all faults back."""
        await self.send("DELETE", f"{self.base}/stub/workspaces/{self.workspace_sid}/faults")

    async def everything(self, path: str, key: str) -> list[Json]:
        """All entries of a list."""
        page = await self.rest("GET", path, PageSize=str(PAGE))
        found = list(page[key])
        while (following := page["meta"]["next_page_url"]) is not None:
            page = await self.send("GET", following)
            found += page[key]
        return found


class Feed:
    """Makes tasks at a steady rate, and cancels a few.

    Args:
        rate: tasks per second while the server answers.
    """

    def __init__(self, door: Door, evidence: Evidence, *, rate: float, seed: int) -> None:
        self._door = door
        self._fed = evidence.fed
        self._rate = rate
        self._dice = random.Random(f"feed {seed}")
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self.cut_off = 0

    async def run(self, until: float) -> None:
        """Feed until that moment of the loop's clock, then wait for what is under way."""
        loop = asyncio.get_running_loop()
        number, due = 0, loop.time()
        async with asyncio.TaskGroup() as group:
            while loop.time() < until:
                await self._room.acquire()
                group.create_task(self._feed(number, self._dice.random(), self._dice.choice([0.0, 0.1, 2.0])))
                number += 1
                due = max(due + 1 / self._rate, loop.time() - 1.0)  # what was not made is not made up for
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _feed(self, number: int, mood: float, delay: float) -> None:
        task = self._fed[number] = FedTask(number=number)
        lifetime = "2" if mood < 0.02 else "86400"
        try:
            made = await self._door.rest(
                "POST", "Tasks", Attributes=json.dumps({"n": number}), Timeout=lifetime
            )
            task.sid = made["sid"]
        except RefusedError as error:
            if error.status not in (500, 503):
                raise
        except (aiohttp.ClientError, TimeoutError):
            self.cut_off += 1
            await asyncio.sleep(0.5)
        finally:
            self._room.release()
        if task.sid is not None and mood > 0.95:
            await asyncio.sleep(delay)
            await self._cancel(task)

    async def _cancel(self, task: FedTask) -> None:
        try:
            await self._door.rest("POST", f"Tasks/{task.sid}", AssignmentStatus="canceled", Reason="soak")
        except RefusedError as error:
            if error.status not in (400, 404, 500, 503):  # 400: somebody works on it; 404: purged
                raise
        except (aiohttp.ClientError, TimeoutError):
            pass
        else:
            task.cancel_acknowledged = True


class EventReader:
    """Reads the event log while it is kept, and looks at tasks now and then.

    Each look goes from the newest event back to one that is known. If it finds none, and the last look was
    long ago, some may have been purged in between: `Evidence.unread`.
    """

    def __init__(self, door: Door, evidence: Evidence) -> None:
        self._door = door
        self._evidence = evidence
        self._known: dict[str, bytes] = {}  # a digest of each event
        self._newest: str | None = None
        self._ended: set[str] = set()
        self.longest_silence = 0.0
        self._last_look = time.monotonic()
        self._alone = asyncio.Lock()

    async def run(self) -> None:
        """Read until canceled."""
        for turn in range(1_000_000_000):
            try:
                await self.read()
                if turn % 8 == 0:
                    await self.look()
            except (aiohttp.ClientError, TimeoutError, RefusedError, ConnectionError):
                pass  # the server is away, or about to be
            await asyncio.sleep(READ_EVERY)

    async def read(self) -> None:
        """Take up what is new in the log.

        Raises:
            RefusedError, aiohttp.ClientError, TimeoutError: it cannot be read now.
        """
        async with self._alone:
            await self._read()

    async def _read(self) -> None:
        new: list[LoggedEvent] = []
        digests: dict[str, bytes] = {}
        overlap = self._newest is None
        # The clocks of the server's processes differ: the window goes far beyond both.
        now = datetime.now(UTC)
        window = {
            "StartDate": (now - timedelta(hours=2)).isoformat().replace("+00:00", "Z"),
            "EndDate": (now + timedelta(hours=1)).isoformat().replace("+00:00", "Z"),
        }
        page = await self._door.rest("GET", "Events", PageSize=str(PAGE), **window)
        while True:
            for body in page["events"]:
                sid, digest = body["sid"], hashlib.sha256(json.dumps(body).encode()).digest()[:8]
                known = self._known.get(sid)
                overlap = overlap or known is not None
                if known is None:
                    new.append(_event(body))
                    digests[sid] = digest
                elif known != digest:
                    self._evidence.rewritten.append(sid)
            following = page["meta"]["next_page_url"]
            if following is None or (overlap and self._newest is not None):
                break
            page = await self._door.send("GET", following)
        now_ = time.monotonic()
        silence = now_ - self._last_look
        # What came since the last look and is younger than the retention is still there.
        if not overlap and silence > self._evidence.event_retention - CLOCK_JUMP:
            self._evidence.unread += 1
        for event in reversed(new):
            self._evidence.events.append(event)
            self._newest = event.sid
        self._known.update(digests)
        self.longest_silence = max(self.longest_silence, silence)
        self._last_look = now_

    async def look(self) -> None:
        """Whether a task that had ended is alive again."""
        for task in (await self._door.rest("GET", "Tasks", PageSize=str(PAGE)))["tasks"]:
            if task["assignment_status"] not in ALIVE:
                self._ended.add(task["sid"])
            elif task["sid"] in self._ended:
                self._evidence.resurrected.append(task["sid"])

    async def last_look(self, worker_sids: list[str]) -> None:
        """What REST shows at the end, before it is purged: tasks and reservations."""
        evidence = self._evidence
        for task in await self._door.everything("Tasks", "tasks"):
            evidence.tasks[task["sid"]] = task["assignment_status"]

        async def one(sid: str) -> None:
            for found in await self._door.everything(f"Workers/{sid}/Reservations", "reservations"):
                evidence.reservations[found["sid"]] = found["reservation_status"]

        await self._each(worker_sids, one)

    async def look_at_load(self, worker_sids: list[str]) -> None:
        """Whether a worker has work although no task is left."""

        async def one(sid: str) -> None:
            for channel in await self._door.everything(f"Workers/{sid}/Channels", "channels"):
                if channel["assigned_tasks"]:
                    self._evidence.busy[sid] = channel["assigned_tasks"]

        await self._each(worker_sids, one)

    async def _each(self, sids: list[str], look: Callable[[str], Awaitable[None]]) -> None:
        room = asyncio.Semaphore(8)

        async def one(sid: str) -> None:
            async with room:
                await look(sid)

        async with asyncio.TaskGroup() as group:
            for sid in sids:
                group.create_task(one(sid))


def _event(body: Json) -> LoggedEvent:
    return LoggedEvent(
        sid=body["sid"],
        type=body["event_type"],
        at=body["event_date_ms"] / 1000,
        resource_sid=body["resource_sid"],
        data={key: value for key, value in body["event_data"].items() if key in _KEPT},
    )
