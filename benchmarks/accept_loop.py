"""How fast one worker goes round: task created, reserved, accepted, completed.

The SDK runs here, the local server in a process of its own, on the loopback interface, with
`--settle-ms 0`: otherwise its pause between an answer and that command's events is what is measured.
Two loads: one task at a time (latency), and as many as a worker may hold at once (cycles per second). The
number of tasks is fixed and there is a time limit. Times are this machine's, with everything that
runs beside it; compare only runs of one machine.

    python -m benchmarks.accept_loop [--tasks N] [--seconds S] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from examples.demo.board import Colleague
from examples.demo.contact_center import Rest, local_taskrouter, open_for_business, rest_api
from taskrouter_worker import Reservation, Worker, worker_token

MAX_CAPACITY = 50
WARM_UP = 50


@dataclass(frozen=True)
class Result:
    """One load's figures. Latencies run from sending the task's creation to the accept's answer."""

    in_flight: int
    tasks: int
    seconds: float
    cycles_per_second: float
    median_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


async def go_round(rest: Rest, worker: Worker, workflow_sid: str, *, in_flight: int, tasks: int) -> Result:
    """Send `tasks` tasks round, never more than `in_flight` at once."""
    sent: dict[int, float] = {}
    latencies: list[float] = []
    slots = asyncio.Semaphore(in_flight)

    async def handle(reservation: Reservation) -> None:
        await reservation.accept()
        latencies.append(time.perf_counter() - sent[reservation.task.attributes["number"]])
        await reservation.task.complete("done")
        slots.release()

    async def create(number: int) -> None:
        sent[number] = time.perf_counter()
        attributes = json.dumps({"language": "en", "number": number})
        await rest.post("Tasks", WorkflowSid=workflow_sid, Attributes=attributes)

    worker.on("reservationCreated", handle)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            await slots.acquire()
            group.create_task(create(number))
        for _ in range(in_flight):  # until the last ones are completed
            await slots.acquire()
    seconds = time.perf_counter() - started
    worker.remove_listener("reservationCreated", handle)
    milliseconds = sorted(latency * 1000 for latency in latencies)
    percentiles = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return Result(
        in_flight=in_flight,
        tasks=len(milliseconds),
        seconds=round(seconds, 3),
        cycles_per_second=round(len(milliseconds) / seconds, 1),
        median_ms=round(percentiles[49], 2),
        p95_ms=round(percentiles[94], 2),
        p99_ms=round(percentiles[98], 2),
        max_ms=round(milliseconds[-1], 2),
    )


async def run(tasks: int, seconds: float) -> list[Result]:
    """All loads, one after the other, on one server and one worker."""
    nina = Colleague("Nina", ("en",), capacity=MAX_CAPACITY)
    server = local_taskrouter("--settle-ms", "0")
    async with asyncio.timeout(seconds), server as local, rest_api(local) as rest:
        workflow_sid, sids = await open_for_business(rest, [nina])
        token = worker_token(
            account_sid=local["account_sid"],
            signing_key_sid=local["signing_key_sid"],
            signing_key_secret=local["signing_key_secret"],
            workspace_sid=local["workspace_sid"],
            worker_sid=sids["Nina"],
        )
        async with Worker(token, eb_server=local["eb_server"], ws_server=local["ws_server"]) as worker:
            await next(a for a in worker.activities.values() if a.available).set_as_current()
            await go_round(rest, worker, workflow_sid, in_flight=10, tasks=WARM_UP)
            return [
                await go_round(rest, worker, workflow_sid, in_flight=1, tasks=max(2, tasks // 4)),
                await go_round(rest, worker, workflow_sid, in_flight=20, tasks=tasks),
            ]


def main() -> int:
    """The command line; the exit status is 1 if the time limit struck."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accept_loop", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000, metavar="N", help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=120, metavar="S", help="limit, default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    try:
        results = asyncio.run(run(arguments.tasks, arguments.seconds))
    except TimeoutError:
        print(f"not done after {arguments.seconds} seconds", file=sys.stderr)
        return 1
    print(f"{'in flight':>9} {'tasks':>6} {'cycles/s':>9} {'median':>9} {'95 %':>9} {'99 %':>9} {'max':>9}")
    for r in results:
        times = " ".join(f"{ms:6.1f} ms" for ms in (r.median_ms, r.p95_ms, r.p99_ms, r.max_ms))
        print(f"{r.in_flight:>9} {r.tasks:>6} {r.cycles_per_second:>9.1f} {times}")
    print("(latency: from sending the task's creation to the answer to accept)")
    if arguments.json:
        report = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "results": [asdict(r) for r in results],
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
