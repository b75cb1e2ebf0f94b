"""This SDK, as an application uses it: a pool for many workers, handlers for events."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.clients.scenario import (
    AFTERLIFE_SECONDS,
    Meter,
    Task,
    control,
    cpu_seconds,
    percentile,
    rss_kib,
    run,
)
from taskrouter_worker import Reservation, Worker, WorkerPool


@contextlib.asynccontextmanager
async def pool_of(task: Task, tokens: list[str]) -> AsyncIterator[WorkerPool]:
    """Workers that are ready."""
    pool = WorkerPool(
        eb_server=task.http_url,
        ws_server=task.ws_url,
        max_connections=100,
        starts_at_once=100,
        start_jitter=0,
    )
    for token in tokens:
        pool.add(token)
    async with pool:
        await pool.wait_ready()
        yield pool


async def events(task: Task) -> dict[str, Any]:
    """CPU for each event, with one plain handler on `reservationCreated`."""
    async with pool_of(task, task.tokens) as pool:
        seconds: dict[int, tuple[float, float]] = {}
        for lives in (task.warm_up, task.lives):
            meter = Meter((lives + 1) * task.workers)

            def handle(_: Worker, __: Reservation, meter: Meter = meter) -> None:
                meter.count()

            pool.on("reservationCreated", handle)
            begin: dict[str, object] = {"do": "lives", "lives": lives}
            seconds[lives] = await meter.measure(functools.partial(control, task.port, begin))
            pool.remove_listener("reservationCreated", handle)
        count = (task.lives * 4 + 1) * task.workers
        cpu, wall = seconds[task.lives]
        return {"events": count, "cpu_us": cpu / count * 1e6, "events_per_second": count / wall}


async def loop(task: Task) -> dict[str, Any]:
    """Accept and complete, some reservations at a time."""
    worker = Worker(task.tokens[0], eb_server=task.http_url, ws_server=task.ws_url)
    latencies: list[float] = []
    meter = Meter(task.warm_up)

    @worker.on("reservationCreated")
    async def handle(reservation: Reservation) -> None:
        await reservation.accept()
        latencies.append((time.monotonic_ns() - int(reservation.task.attributes["sent"])) / 1e6)
        await reservation.complete()
        meter.count()

    async with worker:
        command = {"do": "loop", "in_flight": task.in_flight, "total": task.warm_up}
        await meter.measure(functools.partial(control, task.port, command))
        latencies.clear()
        meter = Meter(task.lives)
        command = {"do": "loop", "in_flight": task.in_flight, "total": task.lives}
        cpu, wall = await meter.measure(functools.partial(control, task.port, command))
    return {
        "per_second": task.lives / wall,
        "cpu_us": cpu / task.lives * 1e6,
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
    }


async def memory(task: Task) -> dict[str, Any]:
    """KiB for each worker, beyond the first."""
    async with pool_of(task, task.tokens[:1]):
        before = rss_kib()
        async with pool_of(task, task.tokens[1:]):
            return {"kib": (rss_kib() - before) / (task.workers - 1)}


async def ready(task: Task) -> dict[str, Any]:
    """Seconds from the first constructor to the last `ready`.

    Loading the libraries is a row of its own, and counts for nobody here.
    """
    Worker(task.tokens[0], eb_server=task.http_url, ws_server=task.ws_url)
    began, cpu = time.perf_counter(), cpu_seconds()
    async with pool_of(task, task.tokens):
        return {"seconds": time.perf_counter() - began, "cpu_seconds": cpu_seconds() - cpu}


async def flat(task: Task) -> dict[str, Any]:
    """What is not given back after many reservations, and after the five seconds that they live on."""
    async with pool_of(task, task.tokens) as pool:

        async def lives(number: int) -> None:
            meter = Meter((number + 1) * task.workers)

            def handle(_: Worker, __: Reservation) -> None:
                meter.count()

            pool.on("reservationCreated", handle)
            begin: dict[str, object] = {"do": "lives", "lives": number, "rate": task.rate}
            await meter.measure(functools.partial(control, task.port, begin))
            pool.remove_listener("reservationCreated", handle)

        held: list[int] = []
        for number in (task.warm_up, task.lives):
            await lives(number)
            await asyncio.sleep(AFTERLIFE_SECONDS)
            await lives(1)
            held.append(rss_kib())
        return {"growth_kib": held[1] - held[0], "reservations": task.lives * task.workers}


if __name__ == "__main__":
    run({"events": events, "loop": loop, "memory": memory, "ready": ready, "flat": flat})
