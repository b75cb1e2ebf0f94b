"""The local server in a process of its own, with instruments.

It prints how to reach it as one line of JSON, then answers each line on stdin (`stats`) with a line
of JSON: memory, CPU seconds, and the garbage collector's pauses since the last answer. It ends when
stdin does, or after a time limit.

    python -m benchmarks.server_process [--workers N] [--data URL] [--settle-ms MS] [--seconds S]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.stages_server import Probes, install
from server_stub import Settings, StubServer
from server_stub.domain.workspace import Workspace
from server_stub.process import GarbageKeeper, allow_files
from server_stub.storage import Data, open_store


class Pauses:
    """How long the garbage collector stopped everything, in milliseconds.

    By the clock, and by the CPU time that it took: they differ where the machine has other work.
    """

    def __init__(self) -> None:
        self._pauses: list[tuple[float, float]] = []
        self._began = (0.0, 0.0)
        gc.callbacks.append(self._noted)

    def _noted(self, phase: str, _: dict[str, int]) -> None:
        clock, cpu = time.perf_counter(), time.thread_time()
        if phase == "start":
            self._began = clock, cpu
        else:
            self._pauses.append(((clock - self._began[0]) * 1000, (cpu - self._began[1]) * 1000))

    def take(self) -> dict[str, float]:
        """Since the last call."""
        taken, self._pauses = self._pauses, []
        return {
            "count": len(taken),
            "longest_ms": max((pause for pause, _ in taken), default=0.0),
            "longest_cpu_ms": max((cpu for _, cpu in taken), default=0.0),
            "total_cpu_ms": sum(cpu for _, cpu in taken),
        }


def stats(pauses: Pauses, probes: Probes | None = None) -> dict[str, Any]:
    """What the process holds and has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    lines = Path("/proc/self/status").read_text().splitlines()
    held = next(line for line in lines if line.startswith("VmRSS"))
    return {
        "rss_mib": int(held.split()[1]) / 1024,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "wall": time.monotonic(),
        "gc": pauses.take(),
        "stages": {} if probes is None else probes.take(),
        "probe_us": 0 if probes is None else probes.cost() * 1e6,
    }


def hire(workspace: Workspace, number: int) -> list[str]:
    """So many workers, available, with room for 50 tasks each."""
    available = next(a.sid for a in workspace.activities.values() if a.available)
    channel = next(c.sid for c in workspace.task_channels.values() if c.unique_name == "default")
    sids: list[str] = []
    for index in range(number):
        attributes = json.dumps({"languages": ["en"], "number": index})
        worker = workspace.create_worker(
            friendly_name=f"worker {index}", attributes=attributes, activity_sid=available
        )
        workspace.update_worker_channel(worker.sid, channel, capacity=50)
        sids.append(worker.sid)
    return sids


async def serve(
    settings: Settings,
    data: str | None,
    workers: int,
    seconds: float,
    *,
    plain_gc: bool = False,
    probes: Probes | None = None,
) -> None:
    """Until stdin ends."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    pauses = Pauses()
    async with contextlib.AsyncExitStack() as stack:
        stored = None if data is None else await stack.enter_async_context(Data(open_store(data)))
        server = await stack.enter_async_context(StubServer(settings, data=stored))
        sids = server.run(server.workspace_sid, lambda workspace: hire(workspace, workers))
        if not plain_gc:
            stack.enter_context(GarbageKeeper())  # as `taskrouter-stub serve` does
        workspace = server.account.workspaces[server.workspace_sid]
        reach = {
            "rest_url": server.rest_url,
            "eb_server": server.eb_server,
            "ws_server": server.ws_server,
            "account_sid": server.account_sid,
            "auth_token": server.auth_token,
            "signing_key_sid": server.signing_key_sid,
            "signing_key_secret": server.signing_key_secret,
            "workspace_sid": server.workspace_sid,
            "workflow_sid": next(iter(workspace.workflows)),
            "workers": sids,
        }
        print(json.dumps(reach), flush=True)

        def answer() -> None:
            print(json.dumps(stats(pauses, probes)), flush=True)

        def read() -> None:
            for _ in sys.stdin:
                loop.call_soon_threadsafe(answer)
            loop.call_soon_threadsafe(over.set)

        threading.Thread(target=read, daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await over.wait()
        except TimeoutError:
            print(f"the server ended after {seconds:g} s", file=sys.stderr)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_process", description=__doc__)
    add = parser.add_argument
    add("--workers", type=int, default=0, metavar="N", help="workers made beforehand")
    add("--data", metavar="URL", help="where the server keeps its state; in memory unless given")
    add("--settle-ms", type=float, default=0, metavar="MS", help="as of `taskrouter-stub serve`, default 0")
    add("--plain-gc", action="store_true", help="leave the garbage collector alone, as a library must")
    add("--stages", action="store_true", help="with clocks around every stage: see benchmarks.stages_server")
    add("--seconds", type=float, default=600, metavar="S", help="time limit, default %(default)s")
    options = parser.parse_args()
    settings = Settings(port=0, settle_ms=options.settle_ms)
    allow_files(settings.server_limits.max_connections)
    probes = install() if options.stages else None
    asyncio.run(
        serve(
            settings,
            options.data,
            options.workers,
            options.seconds,
            plain_gc=options.plain_gc,
            probes=probes,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
