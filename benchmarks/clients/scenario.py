"""What the Python clients have in common: their task, their clocks, and the line that they print."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from benchmarks.peer import fake_token

__all__ = [
    "AFTERLIFE_SECONDS",
    "Meter",
    "Task",
    "control",
    "cpu_seconds",
    "percentile",
    "rss_kib",
    "run",
    "sent_at",
]

AFTERLIFE_SECONDS: Final = 6.0
"""Both SDKs let go of a finished reservation after five seconds."""

Scenario = Literal["events", "loop", "memory", "ready", "flat"]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and how much of it.

    Attributes:
        port: the peer's.
        variant: which of several clients in one file.
        workers: websockets at a time.
        lives: reservations for each of them.
        warm_up: the same before anything is measured.
        in_flight: reservations at a time (loop).
        rate: lives a second, for each worker (flat).
    """

    scenario: Scenario
    port: int
    workers: int = 1
    variant: str = ""
    lives: int = 0
    warm_up: int = 0
    in_flight: int = 1
    rate: float | None = None

    @property
    def tokens(self) -> list[str]:
        """One for each worker."""
        return [fake_token(number) for number in range(self.workers)]

    @property
    def http_url(self) -> str:
        """The event bridge."""
        return f"http://127.0.0.1:{self.port}/v1/wschannels"

    @property
    def ws_url(self) -> str:
        """The websocket."""
        return f"ws://127.0.0.1:{self.port}/v1/wschannels"


def cpu_seconds() -> float:
    """What this process has used, user and system time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rss_kib() -> int:
    """Memory that this process holds now, after a collection, in KiB."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


async def control(port: int, command: dict[str, object]) -> None:
    """Ask the peer to begin."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(command).encode()
    writer.write(b"POST /control HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


_SENT: Final = '"sent": "'


def sent_at(attributes: str) -> int:
    """When the peer sent the event with these attributes, in monotonic nanoseconds."""
    start = attributes.index(_SENT) + len(_SENT)
    return int(attributes[start : start + 19])


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Meter:
    """Counts reservations up to a number, and what they cost from a given one on."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._count = 0
        self._over = asyncio.Event()

    def count(self) -> None:
        """One more."""
        self._count += 1
        if self._count == self._total:
            self._over.set()

    async def measure(self, begin: Callable[[], Awaitable[None]]) -> tuple[float, float]:
        """CPU and wall seconds from `begin` to the last one."""
        cpu, wall = cpu_seconds(), time.perf_counter()
        await begin()
        await self._over.wait()
        return cpu_seconds() - cpu, time.perf_counter() - wall


def run(scenarios: dict[str, Callable[[Task], Awaitable[dict[str, Any]]]]) -> None:
    """Carry out the task of the command line."""
    task = msgspec.json.decode(sys.argv[1], type=Task)
    runner = asyncio.Runner()
    if task.variant == "uvloop":
        import uvloop  # noqa: PLC0415 - it exists for some systems only

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    if task.variant == "gc":
        gc.set_threshold(10_000, 20, 20)  # as docs/performance.md advises who starts thousands of workers
    with runner:
        print(json.dumps(runner.run(_bounded(scenarios[task.scenario](task)))))


async def _bounded(scenario: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    async with asyncio.timeout(300):
        return await scenario
