"""The least that a Python client can do: the libraries alone, without a model, a rule or a guard.

`json` decodes into dictionaries, `msgspec` into structures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiohttp
import msgspec
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.clients.scenario import Meter, Task, control, cpu_seconds, percentile, rss_kib, run, sent_at
from taskrouter_worker.resources import ReservationFields

OnCreated = Callable[[str, str], None]
"""Called with the reservation's SID and the task's attributes."""


class _Frame(msgspec.Struct):
    event_type: str
    payload: msgspec.Raw


_decode_frame: Final = msgspec.json.Decoder(_Frame).decode
_decode_reservation: Final = msgspec.json.Decoder(ReservationFields).decode


async def read_json(websocket: ClientConnection, on_created: OnCreated) -> None:
    """Read until the connection ends."""
    async for message in websocket:
        frame = json.loads(message)
        if frame["event_type"] == "reservation.created":
            on_created(frame["payload"]["sid"], frame["payload"]["task"]["attributes"])


async def read_msgspec(websocket: ClientConnection, on_created: OnCreated) -> None:
    """The same with structures."""
    with contextlib.suppress(Exception):
        while True:
            frame = _decode_frame(await websocket.recv(decode=False))
            if frame.event_type == "init":
                continue
            fields = _decode_reservation(frame.payload)
            if frame.event_type == "reservation.created":
                on_created(fields.sid, fields.task.attributes or "")


READERS: Final = {"json": read_json, "msgspec": read_msgspec}


class Bridge:
    """Requests of one worker."""

    def __init__(self, task: Task, http: aiohttp.ClientSession, token: str) -> None:
        self._url, self._http, self._token = task.http_url, http, token
        self.sid = ""

    async def send(self, method: str, path: str, params: dict[str, object]) -> Any:
        """One request."""
        body = json.dumps({"url": path, "method": method, "params": params, "token": self._token})
        async with self._http.post(self._url, data=body) as response:
            return json.loads(await response.read())["payload"]

    async def move(self, reservation_sid: str, status: str) -> None:
        """Accept or complete."""
        path = f"Workspaces/WS/Workers/{self.sid}/Reservations/{reservation_sid}"
        await self.send("POST", path, {"ReservationStatus": status})


@contextlib.asynccontextmanager
async def connected(
    task: Task, tokens: list[str], on_created: Callable[[Bridge], OnCreated]
) -> AsyncIterator[list[Bridge]]:
    """Websockets that have their snapshot."""
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100))
        )
        gate = asyncio.Semaphore(100)
        readers: list[asyncio.Task[None]] = []

        async def begin(token: str) -> Bridge:
            async with gate:
                websocket = await connect(
                    f"{task.ws_url}?token={token}", compression=None, ping_interval=None
                ).__aenter__()
                stack.push_async_callback(websocket.close)
                bridge = Bridge(task, http, token)
                init = json.loads(await websocket.recv())["payload"]
                bridge.sid = init["channel_id"]
                root = f"Workspaces/{init['workspace_sid']}"
                own = f"{root}/Workers/{bridge.sid}"
                paths = (own, f"{root}/Activities", f"{own}/WorkerChannels", f"{own}/Reservations")
                await asyncio.gather(*(bridge.send("GET", path, {}) for path in paths))
                reader = READERS[task.variant or "json"](websocket, on_created(bridge))
                readers.append(asyncio.create_task(reader))
                return bridge

        yield list(await asyncio.gather(*map(begin, tokens)))
        for reader in readers:
            reader.cancel()


async def events(task: Task) -> dict[str, Any]:
    """CPU for each event."""
    meter = Meter((task.warm_up + 1) * task.workers)
    async with connected(task, task.tokens, lambda _: lambda _sid, _attributes: meter.count()):
        begin = {"do": "lives", "lives": task.warm_up}
        await meter.measure(lambda: control(task.port, begin))
        meter = Meter((task.lives + 1) * task.workers)
        begin = {"do": "lives", "lives": task.lives}
        cpu, wall = await meter.measure(lambda: control(task.port, begin))
        count = (task.lives * 4 + 1) * task.workers
        return {"events": count, "cpu_us": cpu / count * 1e6, "events_per_second": count / wall}


async def loop(task: Task) -> dict[str, Any]:
    """Accept and complete, some reservations at a time."""
    latencies: list[float] = []
    meter = Meter(task.warm_up)
    running: set[asyncio.Task[None]] = set()

    def created_for(bridge: Bridge) -> OnCreated:
        async def handle(sid: str, attributes: str) -> None:
            await bridge.move(sid, "accepted")
            latencies.append((time.monotonic_ns() - sent_at(attributes)) / 1e6)
            await bridge.move(sid, "completed")
            meter.count()

        def created(sid: str, attributes: str) -> None:
            handling = asyncio.create_task(handle(sid, attributes))
            running.add(handling)
            handling.add_done_callback(running.discard)

        return created

    async with connected(task, task.tokens[:1], created_for):
        command = {"do": "loop", "in_flight": task.in_flight, "total": task.warm_up}
        await meter.measure(lambda: control(task.port, command))
        latencies.clear()
        meter = Meter(task.lives)
        command = {"do": "loop", "in_flight": task.in_flight, "total": task.lives}
        cpu, wall = await meter.measure(lambda: control(task.port, command))
    return {
        "per_second": task.lives / wall,
        "cpu_us": cpu / task.lives * 1e6,
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
    }


def _ignore(_: Bridge) -> OnCreated:
    return lambda _sid, _attributes: None


async def memory(task: Task) -> dict[str, Any]:
    """KiB for each worker, beyond the first."""
    async with connected(task, task.tokens[:1], _ignore):
        before = rss_kib()
        async with connected(task, task.tokens[1:], _ignore):
            return {"kib": (rss_kib() - before) / (task.workers - 1)}


async def ready(task: Task) -> dict[str, Any]:
    """Seconds from the first connection to the last snapshot."""
    began, cpu = time.perf_counter(), cpu_seconds()
    async with connected(task, task.tokens, _ignore):
        return {"seconds": time.perf_counter() - began, "cpu_seconds": cpu_seconds() - cpu}


if __name__ == "__main__":
    run({"events": events, "loop": loop, "memory": memory, "ready": ready})
