"""The local server under load: many workers connected, tasks pushed to them, whole cycles.

The server runs in a process of its own (`benchmarks.server_process`), a client that does next to
nothing (`benchmarks.bare`) in this one. Everything is on the loopback interface and bounded.

    python -m benchmarks.server_load many [--workers N] [--tasks N] [--rate R] [--idle S]
    python -m benchmarks.server_load cycles [--cycles N] [--in-flight K] [--data URL]

Each prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.bare import Http, WebSocket, basic
from server_stub.process import FILES_BESIDE, allow_files
from taskrouter_worker import worker_token

OPENING: Final = 200
"""Websockets that are opened at the same time."""


class Server:
    """The server's process."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server_process", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.reach: dict[str, Any] = self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server ended too early")
        found: dict[str, Any] = json.loads(line)
        return found

    async def stats(self) -> dict[str, Any]:
        """See `benchmarks.server_process`."""
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        self._process.stdin.write("stats\n")
        self._process.stdin.flush()
        return await asyncio.to_thread(self._line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()


def tokens_of(reach: dict[str, Any], sids: Sequence[str]) -> list[str]:
    """A token for each worker."""
    return [
        worker_token(
            account_sid=reach["account_sid"],
            signing_key_sid=reach["signing_key_sid"],
            signing_key_secret=reach["signing_key_secret"],
            workspace_sid=reach["workspace_sid"],
            worker_sid=sid,
        )
        for sid in sids
    ]


class Office:
    """Workers at their websockets."""

    def __init__(self, reach: dict[str, Any], http: Http) -> None:
        self.reach = reach
        self.http = http
        self.tokens: dict[str, str] = {}
        self.sockets: list[WebSocket] = []
        self.waiting: dict[str, asyncio.Future[tuple[float, str, str]]] = {}
        self._gate = asyncio.Semaphore(OPENING)

    def on_text(self, worker_sid: str, frame: bytes) -> None:
        """A frame at a worker: the moment counts from here."""
        if b'"reservation.created"' not in frame:
            return
        now = time.perf_counter()
        payload = json.loads(frame)["payload"]
        future = self.waiting.pop(payload["task"]["sid"], None)
        if future is None:  # faster than the answer to the creation
            future = asyncio.get_running_loop().create_future()
            self.waiting[payload["task"]["sid"]] = future
        future.set_result((now, worker_sid, payload["sid"]))

    async def reserved(self, task_sid: str) -> tuple[float, str, str]:
        """When the task came to a worker, to whom, and as which reservation."""
        future = self.waiting.pop(task_sid, None)
        if future is None:
            future = self.waiting[task_sid] = asyncio.get_running_loop().create_future()
        return await future

    async def enter(self, worker_sid: str, token: str) -> None:
        """Connect and take the snapshot, as the SDKs do."""
        self.tokens[worker_sid] = token
        host, port = self.reach["rest_url"].removeprefix("http://").split(":")
        async with self._gate:
            _, socket = await asyncio.get_running_loop().create_connection(
                lambda: WebSocket(
                    f"/v1/wschannels?token={token}&closeExistingSessions=false&clientVersion=0",
                    lambda frame: self.on_text(worker_sid, frame),
                ),
                host,
                int(port),
            )
            self.sockets.append(socket)
            await socket.greeted
            root = f"Workspaces/{self.reach['workspace_sid']}"
            own = f"{root}/Workers/{worker_sid}"
            await asyncio.gather(
                self.http.bridge(own, "GET", {}, token),
                self.http.bridge(f"{root}/Activities", "GET", {}, token),
                self.http.bridge(f"{own}/WorkerChannels", "GET", {}, token),
                self.http.bridge(f"{own}/Reservations", "GET", {"Active": "true"}, token),
            )

    async def create_task(self) -> str:
        """A task for anybody."""
        path = f"/v1/Workspaces/{self.reach['workspace_sid']}/Tasks"
        credentials = basic(self.reach["account_sid"], self.reach["auth_token"])
        made = await self.http.post_form(
            path, credentials, WorkflowSid=self.reach["workflow_sid"], Attributes='{"language":"en"}'
        )
        sid: str = made["sid"]
        return sid

    async def move(self, worker_sid: str, reservation_sid: str, status: str) -> None:
        """Accept or complete a reservation."""
        path = f"Workspaces/{self.reach['workspace_sid']}/Workers/{worker_sid}/Reservations/{reservation_sid}"
        await self.http.bridge(path, "POST", {"ReservationStatus": status}, self.tokens[worker_sid])

    def close(self) -> None:
        """Everybody leaves."""
        for socket in self.sockets:
            socket.transport.abort()
        self.http.close()


async def many(workers: int, tasks: int, rate: float, idle: float, *further: str) -> dict[str, Any]:
    """All workers connect; the server rests; tasks come at a steady rate."""
    allow_files(workers + FILES_BESIDE)
    with Server("--workers", str(workers), *further) as server:
        http = Http(server.reach["rest_url"], 32)
        office = Office(server.reach, http)
        try:
            tokens = tokens_of(server.reach, server.reach["workers"])
            gc.disable()  # its pauses would count as the server's
            before = await server.stats()
            began = time.perf_counter()
            await asyncio.gather(*map(office.enter, server.reach["workers"], tokens))
            connected = time.perf_counter() - began
            ready = await server.stats()

            await asyncio.sleep(idle)
            rested = await server.stats()

            delays: list[float] = []

            async def one(at: float) -> None:
                await asyncio.sleep(at - time.perf_counter())
                sent = time.perf_counter()
                arrived, _, _ = await office.reserved(await office.create_task())
                delays.append((arrived - sent) * 1000)

            start = time.perf_counter() + 0.1
            await asyncio.gather(*(one(start + number / rate) for number in range(tasks)))
            pushed = await server.stats()
        finally:
            office.close()
    return {
        "workers": workers,
        "settle_ms": 0,
        "connect_seconds": connected,
        "connect_cpu_seconds": ready["cpu_seconds"] - before["cpu_seconds"],
        "rss_before_mib": before["rss_mib"],
        "rss_mib": max(ready["rss_mib"], rested["rss_mib"], pushed["rss_mib"]),
        "idle_cpu_percent": 100
        * (rested["cpu_seconds"] - ready["cpu_seconds"])
        / (rested["wall"] - ready["wall"]),
        "tasks_per_second": rate,
        "push_p50_ms": statistics.median(delays),
        "push_p99_ms": sorted(delays)[int(0.99 * len(delays))],
        "push_max_ms": max(delays),
        "push_cpu_ms": 1000 * (pushed["cpu_seconds"] - rested["cpu_seconds"]) / tasks,
        "gc_connecting": ready["gc"],
        "gc_resting": rested["gc"],
        "gc_pushing": pushed["gc"],
    }


async def cycles(number: int, in_flight: int, data: str | None, *further: str) -> dict[str, Any]:
    """Create over REST, be pushed, accept, complete; so many at a time."""
    arguments = ["--workers", "50", *further] + ([] if data is None else ["--data", data])
    with Server(*arguments) as server:
        http = Http(server.reach["rest_url"], 64)
        office = Office(server.reach, http)
        try:
            sids = server.reach["workers"]
            await asyncio.gather(*map(office.enter, sids, tokens_of(server.reach, sids)))

            async def cycle() -> None:
                _, worker_sid, reservation_sid = await office.reserved(await office.create_task())
                await office.move(worker_sid, reservation_sid, "accepted")
                await office.move(worker_sid, reservation_sid, "completed")

            async def lane(count: int) -> None:
                for _ in range(count):
                    await cycle()

            await asyncio.gather(*(lane(5) for _ in range(in_flight)))
            gc.disable()
            before = await server.stats()
            began = time.perf_counter()
            await asyncio.gather(*(lane(number // in_flight) for _ in range(in_flight)))
            seconds = time.perf_counter() - began
            after = await server.stats()
        finally:
            office.close()
    done = number // in_flight * in_flight
    return {
        "store": "memory" if data is None else data.split(":")[0] if "://" in data else "sqlite",
        "settle_ms": 0,
        "in_flight": in_flight,
        "cycles_per_second": done / seconds,
        "server_cpu_ms": (after["cpu_seconds"] - before["cpu_seconds"]) / done * 1000,
        "gc": after["gc"],
        "cycles": done,
        "stages": {
            stage: (
                calls - before["stages"].get(stage, (0, 0))[0],
                seconds - before["stages"].get(stage, (0, 0))[1],
            )
            for stage, (calls, seconds) in after["stages"].items()
        },
        "probe_us": after["probe_us"],
    }


@contextlib.contextmanager
def file_for_data() -> Iterator[str]:
    """A file for SQLite, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "taskrouter.db")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_load", description=__doc__)
    scenarios = parser.add_subparsers(dest="scenario", required=True)
    crowd = scenarios.add_parser("many")
    crowd.add_argument("--workers", type=int, default=15_000, metavar="N")
    crowd.add_argument("--tasks", type=int, default=4_000, metavar="N")
    crowd.add_argument("--rate", type=float, default=200, metavar="R", help="tasks a second")
    crowd.add_argument("--idle", type=float, default=30, metavar="S", help="seconds of rest")
    round_trips = scenarios.add_parser("cycles")
    round_trips.add_argument("--cycles", type=int, default=3_000, metavar="N")
    round_trips.add_argument("--in-flight", type=int, default=32, metavar="K")
    round_trips.add_argument("--sqlite", action="store_true", help="keep the state in a file")
    for scenario in (crowd, round_trips):
        scenario.add_argument(
            "--plain-gc", action="store_true", help="as `StubServer` in a library user's process"
        )
    options = parser.parse_args()
    further = ["--plain-gc"] if options.plain_gc else []
    with contextlib.ExitStack() as stack:
        if options.scenario == "many":
            work = many(options.workers, options.tasks, options.rate, options.idle, *further)
        else:
            data = stack.enter_context(file_for_data()) if options.sqlite else None
            work = cycles(options.cycles, options.in_flight, data, *further)
        print(json.dumps(asyncio.run(_bounded(work))))
    return 0


async def _bounded(work: Any) -> dict[str, Any]:
    async with asyncio.timeout(400):
        result: dict[str, Any] = await work
        return result


if __name__ == "__main__":
    sys.exit(main())
