"""Where the client's time goes: an event from its bytes to its handler, a command from call to return.

One reservation at a time: the peer of the other benchmarks pushes it, two handlers take it, one of them
accepts it. What is measured is put around the SDK's own functions from here, while this program runs;
the SDK holds no probes, so that nothing is paid for when nobody measures. Times are those of the clock on
the wall: the stage that waits for the peer is not the client's, and is left out of the shares.

    python -m benchmarks.stages_client [--lives N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, Final
from unittest import mock

from aiohttp.client_proto import ResponseHandler
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection

from benchmarks.clients.scenario import Task, control, percentile
from benchmarks.suite import ROOT, machine
from taskrouter_worker import Reservation, Worker, _reading
from taskrouter_worker._door import Door
from taskrouter_worker._emitter import Dispatcher
from taskrouter_worker._requests import Routes
from taskrouter_worker._signaling import Connection
from taskrouter_worker._state import Model
from taskrouter_worker.events import decode

WARM_UP: Final = 200
TASK_SECONDS: Final = 120
PAUSE_SECONDS: Final = 0.002
"""After which the peer pushes: the client has nothing else to do by then."""

EVENT: Final = (
    ("received", "bytes of the socket to a whole frame, in the reader's hands"),
    ("decoded", "JSON to typed fields"),
    ("applied", "the model is changed, what is to be told is known"),
    ("emitted", "the dispatcher has found the handler"),
    ("plain handler begun", "a function: inside the emission"),
    ("coroutine handler begun", "a task of its own"),
)
COMMAND: Final = (
    ("request built", "accept(): route and parameters"),
    ("handed over", "token, envelope as JSON, headers"),
    ("sent", "a connection of the pool, written to its socket"),
    ("answered", "the peer, and the way there and back"),
    ("read", "HTTP parsed, the connection given back"),
    ("decoded", "envelope and payload to typed fields"),
    ("applied", "the reservation shows it"),
    ("returned", "the handler goes on"),
)
"""Each stage by what is reached at its end; the first ones begin with the bytes, and with the call."""

NOT_OURS: Final = "answered"


class Stopwatch:
    """The moments of one reservation, in nanoseconds."""

    def __init__(self) -> None:
        self.moments: dict[str, int] = {}
        self.lives: list[dict[str, int]] = []

    def mark(self, name: str) -> None:
        """It is reached now."""
        self.moments[name] = time.perf_counter_ns()

    def first(self, name: str) -> None:
        """It is reached now, unless it was before."""
        self.moments.setdefault(name, time.perf_counter_ns())

    def keep(self) -> None:
        """The reservation is through."""
        self.lives.append(self.moments)
        self.moments = {}

    def before(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, marking that it is called."""

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            self.first(name)
            return function(*args, **options)

        return call

    def after(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, marking that it has returned."""

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            result = function(*args, **options)
            self.first(name)
            return result

        return call

    def awaited(self, name: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The coroutine function `function`, marking that it has returned."""

        @functools.wraps(function)
        async def call(*args: Any, **options: Any) -> Any:
            result = await function(*args, **options)
            self.first(name)
            return result

        return call

    def stages(self, start: str, stages: tuple[tuple[str, str], ...]) -> dict[str, list[float]]:
        """Microseconds of each stage, of each reservation."""
        found: dict[str, list[float]] = {}
        before = start
        for name, _ in stages:
            found[name] = [(life[name] - life[before]) / 1e3 for life in self.lives]
            before = name
        return found


@contextlib.contextmanager
def probes(watch: Stopwatch) -> Generator[None]:
    """Around the functions at whose begin or end a stage is reached."""
    post = Door.post
    write_of: dict[int, Callable[..., Any]] = {}

    async def posted(self: Door, *args: Any) -> Any:
        watch.first("handed over")
        answer = await post(self, *args)
        watch.first("read")
        return answer

    params = ResponseHandler.set_response_params

    def about_to_write(self: ResponseHandler, **options: Any) -> None:
        params(self, **options)
        transport: Any = self.transport
        if id(transport) not in write_of:  # once for each connection of the pool
            write_of[id(transport)] = transport.write
            transport.write = watch.after("sent", transport.write)

    with contextlib.ExitStack() as stack:
        for owner, name, function in (
            (ClientConnection, "data_received", watch.before("bytes", ClientConnection.data_received)),
            (Connection, "receive", watch.awaited("received", Connection.receive)),
            (_reading, "decode", watch.after("decoded", decode)),
            (Model, "apply", watch.after("applied", Model.apply)),
            (Dispatcher, "run", watch.before("emitted", Dispatcher.run)),
            (Routes, "update_reservation", watch.after("request built", Routes.update_reservation)),
            (Door, "post", posted),
            (ResponseHandler, "set_response_params", about_to_write),
            (
                ResponseHandler,
                "data_received",
                watch.before("answered", ResponseHandler.data_received),
            ),
        ):
            stack.enter_context(mock.patch.object(owner, name, function))
        merge: Callable[..., Any] = vars(Reservation)["_merge_short"]
        merged = watch.before("fields", watch.after("merged", merge))
        stack.enter_context(mock.patch.object(Reservation, "_merge_short", merged))
        yield


async def measured(task: Task) -> Stopwatch:
    """One reservation after the other."""
    watch = Stopwatch()
    event: dict[str, int] = {}
    over = asyncio.Event()
    with probes(watch):  # before the handlers are registered: the dispatcher is asked for there
        worker = Worker(task.tokens[0], eb_server=task.http_url, ws_server=task.ws_url)

        @worker.on("reservationCreated")
        def plain(_: Reservation) -> None:
            watch.mark("plain handler begun")

        @worker.on("reservationCreated")
        async def accept(reservation: Reservation) -> None:
            watch.mark("coroutine handler begun")
            # The same functions take part in the command and in the events that follow it.
            event.update(watch.moments)
            watch.moments.clear()
            watch.mark("called")
            await reservation.accept()
            watch.mark("returned")
            moments = dict(watch.moments)
            watch.moments.clear()
            watch.moments.update({f"event {name}": moment for name, moment in event.items()})
            watch.moments.update({f"command {name}": moment for name, moment in moments.items()})
            watch.keep()
            await reservation.complete()
            over.set()

        async with worker:
            for number in range(WARM_UP + task.lives):
                if number == WARM_UP:
                    watch.lives.clear()
                    gc.collect()
                await worker.caught_up()
                event.clear()
                over.clear()
                watch.moments.clear()
                await control(task.port, {"do": "mark", "after": PAUSE_SECONDS})
                await over.wait()
    return watch


def profile(lives: int) -> dict[str, dict[str, list[float]]]:
    """The stages of event and command."""
    peer = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peer", "--seconds", str(TASK_SECONDS)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with peer:
        assert peer.stdin is not None  # noqa: S101 - asked for above
        assert peer.stdout is not None  # noqa: S101 - the same
        try:
            task = Task(scenario="loop", port=int(peer.stdout.readline()), lives=lives)

            async def bounded() -> Stopwatch:
                async with asyncio.timeout(TASK_SECONDS):
                    return await measured(task)

            watch = asyncio.run(bounded())
        finally:
            peer.stdin.close()
    return {
        "event": _named(watch, "event", "bytes", EVENT),
        "command": _named(watch, "command", "called", COMMAND),
    }


def _named(
    watch: Stopwatch, kind: str, start: str, stages: tuple[tuple[str, str], ...]
) -> dict[str, list[float]]:
    own = {"command decoded": "command fields", "command applied": "command merged"}
    names = tuple((own.get(f"{kind} {name}", f"{kind} {name}"), "") for name, _ in stages)
    found = watch.stages(f"{kind} {start}", names)
    return dict(zip((name for name, _ in stages), found.values(), strict=True))


def show(found: dict[str, dict[str, list[float]]], console: Console) -> None:
    """The table."""
    table = Table(title="Microseconds of each stage", title_justify="left")
    for heading in ("of", "reached", "which takes"):
        table.add_column(heading, overflow="fold")
    for heading in ("median", "90 %", "share"):
        table.add_column(heading, justify="right")
    for kind, described in (("event", EVENT), ("command", COMMAND)):
        medians = {name: statistics.median(values) for name, values in found[kind].items()}
        ours = sum(value for name, value in medians.items() if name != NOT_OURS)
        for number, (name, what) in enumerate(described):
            share = "" if name == NOT_OURS else f"{medians[name] / ours:.0%}"
            late = percentile(found[kind][name], 0.9)
            table.add_row("" if number else kind, name, what, f"{medians[name]:.1f}", f"{late:.1f}", share)
        table.add_row("", "[bold]all of ours[/bold]", "", f"[bold]{ours:.1f}[/bold]", "", "")
        table.add_section()
    console.print(table)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages_client", description=__doc__)
    parser.add_argument("--lives", type=int, default=2_000, metavar="N", help="default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write medians and 90 %% points there")
    options = parser.parse_args()
    if options.lives < 1:
        parser.error(f"--lives must be 1 or more, got {options.lives}")
    found = profile(options.lives)
    show(found, Console(width=130 if not sys.stdout.isatty() else None))
    if options.json is not None:
        stages = {
            kind: {
                name: {"median_us": statistics.median(values), "p90_us": percentile(values, 0.9)}
                for name, values in part.items()
            }
            for kind, part in found.items()
        }
        report = {"machine": machine(), "lives": options.lives, "stages": stages}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
