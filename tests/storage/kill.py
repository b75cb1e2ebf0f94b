"""Kill a server under load, again and again, and look for what it acknowledged.

    python -m tests.storage.kill --kills 300 --seed 1 --data sqlite

Workers with raw clients accept and complete what a feeder creates, over HTTP and websockets; the server
is ended by SIGKILL at a random moment and started again on the same data. Then an auditor compares what
was acknowledged with what is there. The exit status is 0 if nothing was lost, doubled or made up.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from taskrouter_worker.tokens import worker_token
from tests.storage.databases import postgresql, why_no_postgresql
from tests.storage.ledger import Ledger, Shown, Worker

__all__ = ["Figures", "kills", "main"]

RETENTION = 120
"""Seconds for which the server keeps ended tasks."""

KEPT = 80.0
"""Seconds for which the auditor relies on that: it may take long itself on a busy machine."""

WORKERS = 5
PATIENCE = 60.0
"""Seconds that anything may take before the test has failed."""

Json = dict[str, Any]


@dataclass
class Figures:
    """What a run came to."""

    kills: int = 0
    acknowledged: int = 0
    tasks: int = 0
    reservations: int = 0
    unanswered: int = 0  # requests that a kill cut off
    slowest_start: float = 0.0  # seconds
    problems: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.acknowledged} acknowledgements ({self.tasks} tasks, "
            f"{self.reservations} reservations), {self.unanswered} requests cut off, "
            f"slowest start {self.slowest_start:.1f} s: {len(self.problems)} problems"
        )


def _mood(worker: Json) -> int:
    """The attribute that only rises. It comes as an object or as the JSON of one."""
    attributes = worker["attributes"]
    return int((json.loads(attributes) if isinstance(attributes, str) else attributes)["mood"])


def _event(event: Json) -> Json:
    """Without the addresses: the port is another one after each start."""
    return {name: value for name, value in event.items() if not name.endswith("url")}


class Door:
    """The server's addresses and credentials, and its doors."""

    def __init__(self, reach: dict[str, str], http: aiohttp.ClientSession) -> None:
        self.reach = reach
        self.http = http
        self.workspace = f"Workspaces/{reach['workspace_sid']}"
        pair = base64.b64encode(f"{reach['account_sid']}:{reach['auth_token']}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"}

    async def rest(self, method: str, path: str, **form: object) -> Any:
        """A REST request; raises for any other status than success."""
        query = {"params": form} if method == "GET" else {"data": form}
        url = f"{self.reach['rest_url']}/v1/{self.workspace}/{path}"
        async with self.http.request(method, url, headers=self._headers, **query) as response:  # type: ignore[arg-type] # form or query
            body = await response.json()
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {response.status} {body}")
            return body

    async def pages(self, path: str, key: str, most: int = 1_000_000) -> list[Json]:
        """All entries of a list, or about the first `most`."""
        found: list[Json] = []
        page: Json = await self.rest("GET", path, PageSize="1000")
        while True:
            found += page[key]
            following = page["meta"]["next_page_url"]
            if following is None or len(found) >= most:
                return found
            async with self.http.get(following, headers=self._headers) as response:
                page = await response.json()

    def token(self, worker_sid: str) -> str:
        """A worker's token; it stays good for the whole run."""
        names = ("account_sid", "signing_key_sid", "signing_key_secret", "workspace_sid")
        return worker_token(
            **{name: self.reach[name] for name in names}, worker_sid=worker_sid, lifetime=86_400
        )

    async def bridge(self, token: str, url: str, method: str = "GET", **params: object) -> Any:
        """A request to the event bridge; None if the server refuses it."""
        envelope = {"url": f"{self.workspace}/{url}", "method": method, "params": params, "token": token}
        async with self.http.post(
            self.reach["eb_server"], data=json.dumps(envelope), headers={"apiVersion": "v2"}
        ) as response:
            body = await response.json()
            return body["payload"] if response.status == 200 else None


class Load:
    """Workers and a feeder, at work until they are canceled."""

    def __init__(
        self, door: Door, ledger: Ledger, figures: Figures, tokens: dict[str, str], dice: random.Random
    ) -> None:
        self._door = door
        self._ledger = ledger
        self._figures = figures
        self._tokens = tokens
        self._dice = dice

    async def run(self, seconds: float) -> None:
        """Work for so long, or until the server is gone."""
        jobs = [self._feed(number) for number in range(2)]
        jobs += [self._work(sid, token) for sid, token in self._tokens.items()]
        jobs += [self._change(sid, token) for sid, token in self._tokens.items()]
        jobs.append(self._read_events())
        tasks = [asyncio.create_task(self._until_gone(job)) for job in jobs]
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        self._running = tasks

    async def end(self) -> None:
        """The server was killed: everybody notices."""
        done, left = await asyncio.wait(self._running, timeout=PATIENCE)
        for task in left:
            task.cancel()
        if left:
            raise RuntimeError(f"{len(left)} clients did not notice that the server is gone")
        for task in done:
            task.result()

    async def _until_gone(self, job: Any) -> None:
        try:
            await job
        except* (aiohttp.ClientError, ConnectionError):
            self._figures.unanswered += 1

    async def _feed(self, number: int) -> None:
        while True:
            text = json.dumps({"number": f"{number} {self._dice.getrandbits(64):x}"})
            self._ledger.asked_tasks.add(text)
            made = await self._door.rest("POST", "Tasks", Attributes=text, Priority=self._dice.randrange(3))
            self._ledger.tasks[made["sid"]] = text
            self._ledger.facts += 1
            self._figures.tasks += 1
            await asyncio.sleep(self._dice.uniform(0, 0.02))

    async def _change(self, worker_sid: str, token: str) -> None:
        known = self._ledger.workers[worker_sid]
        while True:
            await asyncio.sleep(self._dice.uniform(0.02, 0.1))
            known.asked += 1
            mood = known.asked
            seen = await self._door.bridge(token, f"Workers/{worker_sid}", "POST", Attributes={"mood": mood})
            if seen is None:
                raise RuntimeError("a change of attributes was refused")
            self._ledger.worker(seen, mood)

    async def _read_events(self) -> None:
        while True:
            await asyncio.sleep(self._dice.uniform(0.1, 0.4))
            page = await self._door.rest("GET", "Events", PageSize="200")
            self._ledger.events.update((event["sid"], _event(event)) for event in page["events"])
            self._ledger.facts += len(page["events"])

    async def _work(self, worker_sid: str, token: str) -> None:
        query = {"token": token, "closeExistingSessions": "false", "setWorkerOfflineIfDisconnected": "false"}
        url = f"{self._door.reach['ws_server']}?{urlencode(query)}"
        async with self._door.http.ws_connect(url) as ws, asyncio.TaskGroup() as group:
            await ws.receive()  # init
            found = await self._door.bridge(
                token, f"Workers/{worker_sid}/Reservations", Active="true", PageSize=1000
            )
            for seen in found["contents"]:
                known = self._ledger.reservation(seen)
                group.create_task(self._until_gone(self._handle(token, seen["sid"], known.status)))
            async for message in ws:
                if message.type is not aiohttp.WSMsgType.TEXT or not message.data.strip():
                    continue
                event = json.loads(message.data)
                payload = event["payload"]
                if event["event_type"].startswith("reservation."):
                    self._ledger.reservation(payload)
                elif event["event_type"] == "worker.attributes.update":
                    self._ledger.worker(payload, _mood(payload))
                if event["event_type"] == "reservation.created":
                    self._figures.reservations += 1
                    group.create_task(self._until_gone(self._handle(token, payload["sid"], "pending")))

    async def _handle(self, token: str, sid: str, status: str) -> None:
        known = self._ledger.reservations[sid]
        for step in ("accepted", "completed"):
            if status == "accepted" and step == "accepted":
                continue
            await asyncio.sleep(self._dice.uniform(0, 0.05))
            known.asked = step
            if step == "completed":
                known.ended = time.monotonic()
            seen = await self._door.bridge(
                token, f"Workers/{known.worker_sid}/Reservations/{sid}", "POST", ReservationStatus=step
            )
            if seen is None:
                raise RuntimeError(f"reservation {sid} could not be {step}")
            self._ledger.reservation(seen)


@asynccontextmanager
async def served(data: str, log: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """A server in a process of its own; it is killed at the end."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "server_stub", "serve", "--json", "--port", "0", "--data", data),
            *("--retention", str(RETENTION), "--settle-ms", "1"),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        if process.stdout is None:
            raise RuntimeError("the server has no output")
        async with asyncio.timeout(PATIENCE):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def _set_up(door: Door, ledger: Ledger) -> None:
    activities = (await door.rest("GET", "Activities"))["activities"]
    available = next(found["sid"] for found in activities if found["available"])
    for number in range(WORKERS):
        made = await door.rest(
            "POST",
            "Workers",
            FriendlyName=f"worker {number}",
            ActivitySid=available,
            Attributes='{"mood": 0}',
        )
        await door.rest("POST", f"Workers/{made['sid']}/Channels/default", Capacity="4")
        ledger.workers[made["sid"]] = Worker()


async def _shown(door: Door, tokens: dict[str, str]) -> Shown:
    tasks = {task["sid"]: task for task in await door.pages("Tasks", "tasks")}
    reservations: list[Json] = []
    workers: dict[str, Json] = {}
    for sid, token in tokens.items():
        found = await door.bridge(token, f"Workers/{sid}/Reservations", PageSize=1000)
        if found is None:
            continue  # the auditor misses the worker
        reservations += found["contents"]
        while found["after_sid"]:
            found = await door.bridge(
                token, f"Workers/{sid}/Reservations", PageSize=1000, AfterSid=found["after_sid"]
            )
            reservations += found["contents"]
        worker = await door.bridge(token, f"Workers/{sid}")
        workers[sid] = {**worker, "mood": _mood(worker)}
    events = await door.pages("Events", "events", most=3_000)
    return Shown(
        tasks=tasks,
        reservations=reservations,
        workers=workers,
        events={event["sid"]: _event(event) for event in events},
        oldest_event=min((event["event_date_ms"] for event in events), default=0),
    )


async def kills(data: str, count: int, *, seed: int, log: Path) -> Figures:
    """Kill a server on these data so many times; what became of it."""
    dice, figures, ledger = random.Random(seed), Figures(), Ledger(kept=KEPT)
    credentials: dict[str, str] = {}
    for round_ in range(count + 1):
        began = time.monotonic()
        async with served(data, log) as (process, reach), aiohttp.ClientSession() as http:
            figures.slowest_start = max(figures.slowest_start, time.monotonic() - began)
            door = Door(reach, http)
            kept = {name: value for name, value in reach.items() if not name.endswith(("_url", "_server"))}
            if kept != (credentials or kept):
                figures.problems.append("changed: the credentials are others")
            credentials = kept
            if round_ == 0:
                await _set_up(door, ledger)
            tokens = {sid: door.token(sid) for sid in ledger.workers}
            if round_:
                problems = ledger.audit(await _shown(door, tokens), time.monotonic())
                figures.problems += [f"after kill {round_}: {problem}" for problem in problems]
            if round_ == count:
                break
            load = Load(door, ledger, figures, tokens, dice)
            await load.run(dice.uniform(0.05, 1.0))
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await load.end()
            figures.kills += 1
            figures.acknowledged = ledger.facts
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit status is 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.storage.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args(arguments)
    if options.data == "postgresql" and (reason := why_no_postgresql()) is not None:
        print(f"skipped: {reason}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # what was started is ended then as well
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        data = str(directory / "data.sqlite")
        if options.data == "postgresql":
            data = stack.enter_context(postgresql(directory))
        figures = asyncio.run(kills(data, options.kills, seed=options.seed, log=directory / "server.log"))
    print(f"{options.data}, seed {options.seed}: {figures}")
    for problem in figures.problems[:50]:
        print(f"  {problem}")
    return 1 if figures.problems or not figures.acknowledged else 0


if __name__ == "__main__":
    sys.exit(main())
