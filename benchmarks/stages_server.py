"""Where the server's time goes: the stages of whole cycles, from the bytes of a request to those of a frame.

A cycle is a task created over REST, pushed, accepted and completed: three requests, six frames or so. The
probes are put around the server's own functions from here, in the server's process, while this program
runs; the server holds none, so that nothing is paid for when nobody measures. A stage's time does not
count the stages inside it. What no probe covers is the event loop and what aiohttp does around a request.

Times are CPU times of the thread, so that what else runs on the machine counts little. The probes
take time themselves: it is measured, shown and part of the stages around it.

    python -m benchmarks.stages_server [--cycles N] [--sqlite] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

__all__ = ["STAGES", "Probes", "main"]

STAGES: Final = (
    ("parsed", "HTTP by aiohttp, then JSON or form to typed arguments"),
    ("authorised", "token or credentials, role, policies, the request's own rule"),
    ("command", "the domain's change, and what follows it but the routing"),
    ("routing", "which worker gets which task"),
    ("recorded", "history and statistics"),
    ("stored", "what changed, as rows; in the store's own thread the writing of them"),
    ("encoded", "answers and frames to JSON"),
    ("pushed", "to which sessions a frame goes, and when"),
    ("written", "to the sockets, answers too"),
)
"""Each stage and what it is."""

Times = dict[str, tuple[int, float]]
"""By stage: how many calls, and how many seconds of CPU."""


class Probes:
    """Puts clocks around functions, for good: in a process that is there to be measured."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._calls: defaultdict[str, int] = defaultdict(int)
        self._inner = threading.local()  # seconds of the stages inside each one that is running

    def put(self, owner: Any, name: str, stage: str) -> None:
        """Around one function of a class or module, whatever it takes."""
        setattr(owner, name, self.timed(getattr(owner, name), stage))

    def timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The function with a clock around it."""
        seconds, calls, local, clock = self._seconds, self._calls, self._inner, time.thread_time

        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            try:
                running: list[float] = local.running
            except AttributeError:
                running = local.running = []
            running.append(0.0)
            began = clock()
            try:
                return function(*args, **options)
            finally:
                passed = clock() - began
                seconds[stage] += passed - running.pop()
                calls[stage] += 1
                if running:
                    running[-1] += passed

        return timed

    def cost(self) -> float:
        """Seconds that one probe takes, measured on a function that does nothing."""
        empty = Probes().timed(lambda: None, "")
        rounds = 20_000
        began = time.thread_time()
        for _ in range(rounds):
            empty()
        return (time.thread_time() - began) / rounds

    def take(self) -> Times:
        """So far."""
        return {stage: (self._calls[stage], seconds) for stage, seconds in self._seconds.items()}


def install() -> Probes:
    """Put a clock around every stage of the server in this process."""
    # Not at the top: who only wants the table needs no server.
    from asyncio import selector_events  # noqa: PLC0415

    from aiohttp.web_protocol import RequestHandler  # noqa: PLC0415

    from server_stub import sessions, views  # noqa: PLC0415
    from server_stub.chronicle import Chronicle  # noqa: PLC0415
    from server_stub.domain.workspace import Workspace  # noqa: PLC0415
    from server_stub.event_bridge import door as event_bridge  # noqa: PLC0415
    from server_stub.rest import door as rest  # noqa: PLC0415
    from server_stub.runtime import Runtime  # noqa: PLC0415
    from server_stub.storage.durability import Durability  # noqa: PLC0415
    from server_stub.storage.sql import SqlStore  # noqa: PLC0415
    from server_stub.tokens import Tokens  # noqa: PLC0415
    from server_stub.views import RestView  # noqa: PLC0415

    probes = Probes()
    for owner, name, stage in (
        (RequestHandler, "data_received", "parsed"),
        (event_bridge, "_decode", "parsed"),
        (event_bridge, "find", "parsed"),
        (event_bridge, "arguments", "parsed"),
        (rest, "_find", "parsed"),
        (rest, "_pairs", "parsed"),
        (rest, "read_params", "parsed"),
        (Tokens, "caller", "authorised"),
        (rest.Rest, "authenticate", "authorised"),
        (event_bridge.EventBridge, "_prepared", "authorised"),
        (Runtime, "run", "command"),
        (Runtime, "settle", "command"),
        (Workspace, "route", "routing"),
        (Chronicle, "publish", "recorded"),
        (Durability, "_collect", "stored"),
        (SqlStore, "_write", "stored"),
        (event_bridge, "json_response", "encoded"),
        (rest, "json_response", "encoded"),
        (sessions, "event_frame", "encoded"),
        (sessions.Sessions, "publish", "pushed"),
        (sessions.Sessions, "hold", "pushed"),
        (sessions.Sessions, "_write_all", "pushed"),
        (selector_events._SelectorSocketTransport, "write", "written"),  # type: ignore[attr-defined]  # noqa: SLF001 - the only place
    ):
        probes.put(owner, name, stage)
    for module in (views, RestView):
        for name, value in list(vars(module).items()):
            shows = name.endswith("_fields") or (module is RestView and not name.startswith("_"))
            if shows and callable(value):
                probes.put(module, name, "encoded")
    return probes


def profile(cycles: int, data: str | None) -> dict[str, Any]:
    """The stages of so many cycles, each in microseconds of a cycle."""
    from benchmarks.server_load import cycles as run  # noqa: PLC0415 - it starts this module's other half

    async def bounded() -> dict[str, Any]:
        async with asyncio.timeout(400):
            return await run(cycles, 32, data, "--stages")

    return asyncio.run(bounded())


def table(found: dict[str, Any]) -> list[tuple[str, str, float, float, float]]:
    """Stage, what it is, calls and microseconds of a cycle, share of the whole."""
    whole = found["server_cpu_ms"] * 1000
    done, times, cost = found["cycles"], found["stages"], found["probe_us"]
    rows: list[tuple[str, str, float, float, float]] = []
    for name, what in STAGES:
        calls, seconds = times.get(name, (0, 0.0))
        rows.append((name, what, calls / done, seconds / done * 1e6, seconds / done * 1e6 / whole))
    covered = sum(row[3] for row in rows)
    probes = sum(row[2] for row in rows) * cost
    rows.append(
        ("the rest", "the event loop, and aiohttp around a request", 0, whole - covered, 1 - covered / whole)
    )
    rows.append(("probes", "in all of the above: what measuring takes", 0, probes, probes / whole))
    return rows


def main() -> int:
    """The command line."""
    from rich.console import Console  # noqa: PLC0415 - the server's process needs none of them
    from rich.table import Table  # noqa: PLC0415

    from benchmarks.server_load import file_for_data  # noqa: PLC0415
    from benchmarks.suite import machine  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages_server", description=__doc__)
    parser.add_argument("--cycles", type=int, default=2_000, metavar="N", help="default %(default)s")
    parser.add_argument("--sqlite", action="store_true", help="keep the state in a file")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there")
    options = parser.parse_args()
    if options.cycles < 32:
        parser.error(f"--cycles must be 32 or more, got {options.cycles}")
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(file_for_data()) if options.sqlite else None
        found = profile(options.cycles, data)
    rows = table(found)
    shown = Table(
        title=f"Server: CPU of a whole cycle by stage, store: {found['store']}, settle_ms 0",
        title_justify="left",
    )
    shown.add_column("stage")
    shown.add_column("which is", overflow="fold")
    for heading in ("calls", "us", "share"):
        shown.add_column(heading, justify="right")
    for name, what, calls, microseconds, share in rows:
        count = f"{calls:.1f}" if calls else ""
        shown.add_row(name, what, count, f"{microseconds:.0f}", f"{share:.0%}")
    shown.add_section()
    shown.add_row("whole", "", "", f"{found['server_cpu_ms'] * 1000:.0f}", "")
    Console(width=130 if not sys.stdout.isatty() else None).print(shown)
    if options.json is not None:
        stages = {name: {"calls": c, "us": us, "share": share} for name, _, c, us, share in rows}
        report = {
            "machine": machine(),
            "store": found["store"],
            "settle_ms": 0,
            "cycles": options.cycles,
            "whole_us": found["server_cpu_ms"] * 1000,
            "stages": stages,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
