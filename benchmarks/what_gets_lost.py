"""What gets lost: the official JavaScript SDK and this one under the same faults, side by side.

One local server, two workers who do nothing but listen, one in each SDK. The server makes and ends
reservations, the same for both, while connections are cut, frames are doubled, damaged or dropped,
tokens expire or the server restarts. What each application was told is compared with what the server
did, and each SDK's model with the server's.

Both SDKs run with their default settings, but for one: neither worker goes offline with its
connection, so that work is offered to both all the time. The official SDK's application is a careful
one: at each `ready` it listens to every reservation that is there, it catches what nobody else
catches, and it answers `tokenExpired` with a new token.
"""

from __future__ import annotations

import abc
import argparse
import asyncio
import functools
import json
import logging
import platform
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from server_stub import Settings, StubServer
from server_stub.domain.workspace import Workspace
from server_stub.faults import FaultyFrame, FrameFault
from taskrouter_worker import Worker, worker_token
from taskrouter_worker._version import __version__
from tests.interop.official_sdk import HERE, JsWorker, OfficialSdk
from tests.scenarios.journal import ENDS, History, Journal, stale, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["SCENARIOS", "Losses", "play"]

PATIENCE: Final = 5.0
"""Seconds after which what should have been told counts as lost."""

DOWNTIME: Final = 1.5
"""Seconds that the server is away: long enough for the official SDK to try in vain."""

TOKEN_SECONDS: Final = 8
"""Life of the first token where one expires. Both SDKs say `tokenExpired` five seconds before its end."""

STEPS: Final = frozenset(
    {"accepted", "rejected", "timeout", "canceled", "rescinded", "wrapup", "completed"},
)


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What one SDK lost in one scenario.

    Attributes:
        reservations, ends: how many there were.
        reservations_untold, ends_untold: of them, those that the application never heard of.
        told_twice: emissions that repeat an earlier one.
        out_of_order: reservations whose steps were told in another order than they happened.
        disconnections: `disconnected` events.
        uncaught: exceptions of the SDK's own that nobody could catch where they were raised.
        model_is_the_servers: whether the SDK shows, at the end, the reservations that the server has.
    """

    scenario: str
    sdk: str
    reservations: int
    reservations_untold: int
    ends: int
    ends_untold: int
    told_twice: int
    out_of_order: int
    disconnections: int
    uncaught: int
    model_is_the_servers: bool

    @property
    def nothing_lost(self) -> bool:
        """Whether everything was told once and in order, and the model is right."""
        lost = self.reservations_untold + self.ends_untold + self.told_twice + self.out_of_order
        return not lost and self.model_is_the_servers


class Seat(abc.ABC):
    """One worker of the server, seen through one of the SDKs."""

    def __init__(self, server: StubServer, sdk: str, worker_sid: str) -> None:
        self.server = server
        self.sdk = sdk
        self.worker_sid = worker_sid
        self.history = History(worker_sid)
        server.observe(self.history.record)

    @abc.abstractmethod
    def told(self) -> dict[str, list[str]]:
        """By reservation SID: what the application heard, in order."""

    @abc.abstractmethod
    def life(self) -> list[str]:
        """The worker's `ready` and `disconnected` events, in order."""

    @abc.abstractmethod
    def uncaught(self) -> int:
        """Exceptions that nobody could catch."""

    @abc.abstractmethod
    async def model_is_the_servers(self) -> bool:
        """Whether the SDK shows the reservations that the server has."""

    @abc.abstractmethod
    async def update_token(self, token: str) -> None:
        """Use another token."""

    @property
    def connected(self) -> bool:
        """Whether the latest connection is complete, as far as the application was told."""
        return self.life()[-1:] == ["ready"]

    @property
    def disconnections(self) -> int:
        """How often the application was told of an end."""
        return self.life().count("disconnected")

    def knows(self, reservation_sid: str, step: str) -> bool:
        """Whether the application heard of it."""
        return step in self.told().get(reservation_sid, ())

    async def losses(self, scenario: str) -> Losses:
        """Compare what was told with what happened."""
        told, happened = self.told(), self.history.steps
        ended = [sid for sid, steps in happened.items() if steps[-1] in ENDS]
        return Losses(
            scenario=scenario,
            sdk=self.sdk,
            reservations=len(happened),
            reservations_untold=sum("created" not in told.get(sid, ()) for sid in happened),
            ends=len(ended),
            ends_untold=sum(happened[sid][-1] not in told.get(sid, ()) for sid in ended),
            told_twice=sum(len(steps) - len(set(steps)) for steps in told.values()),
            out_of_order=sum(not _in_order(told.get(sid, ()), steps) for sid, steps in happened.items()),
            disconnections=self.disconnections,
            uncaught=self.uncaught(),
            model_is_the_servers=await self.model_is_the_servers(),
        )


class OfficialSeat(Seat):
    """A worker in the official SDK."""

    def __init__(self, server: StubServer, worker_sid: str, worker: JsWorker) -> None:
        super().__init__(server, f"official {official_version()}", worker_sid)
        self._worker = worker

    def told(self) -> dict[str, list[str]]:
        """By reservation SID: what its listeners got."""
        told: dict[str, list[str]] = defaultdict(list)
        for event in self._worker.log:
            if event.event == "reservationCreated":
                told[event.data["sid"]].append("created")
            elif event.kind == "reservation" and event.event in STEPS:
                told[event.sid].append(event.event)
        return told

    def life(self) -> list[str]:
        """Its events about itself."""
        return [name for name in self._worker.names(kind="worker") if name in {"ready", "disconnected"}]

    def uncaught(self) -> int:
        """Exceptions that would have ended the process, had the driver not caught them."""
        return len(self._worker.sdk.uncaught)

    async def model_is_the_servers(self) -> bool:
        """Compare its reservations with the server's."""
        shown: dict[str, Any] = await self._worker.get("reservations")  # Any: plain JSON
        domain = self.server.account.workspaces[self.server.workspace_sid].workers[self.worker_sid]
        here = {sid: (r["status"], r["task"]["status"]) for sid, r in shown.items()}
        return here == {r.sid: (str(r.status), str(r.task.status)) for r in domain.live_reservations}

    async def update_token(self, token: str) -> None:
        """Give it another token."""
        await self._worker.call("updateToken", token)

    async def answer_token_expired(self, mint: Callable[[], str]) -> None:
        """Give it a new token whenever it says that its own has expired."""
        while True:
            with suppress(AssertionError):  # it did not say so for a while
                await self._worker.event("tokenExpired")
                await self.update_token(mint())


class OurSeat(Seat):
    """A worker in this SDK."""

    def __init__(self, server: StubServer, worker_sid: str, worker: Worker) -> None:
        super().__init__(server, f"this one {__version__}", worker_sid)
        self._worker = worker
        self._journal = Journal(worker)
        self._life: list[str] = []
        self._uncaught = 0
        worker.on("ready", lambda _: self._life.append("ready"))
        worker.on("disconnected", lambda _: self._life.append("disconnected"))
        worker.on("error", lambda _: None)  # faults are what this is about
        asyncio.get_running_loop().set_exception_handler(self._note_uncaught)

    def _note_uncaught(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._uncaught += 1
        loop.default_exception_handler(context)

    def told(self) -> dict[str, list[str]]:
        """By reservation SID: what its handlers got. A missed one is told with its end, in one event."""
        told: dict[str, list[str]] = {}
        for sid, steps in self._journal.told.items():
            told[sid] = []
            for step in steps:
                if step.startswith("missed as "):
                    told[sid] += ["created", step.removeprefix("missed as ")]
                elif step != "ended":
                    told[sid].append(step)
        return told

    def life(self) -> list[str]:
        """Its events about itself."""
        return self._life

    def uncaught(self) -> int:
        """What asyncio's exception handler got."""
        return self._uncaught

    async def model_is_the_servers(self) -> bool:
        """Compare its reservations and its activity with the server's, versions included."""
        return not stale(self._worker, self.server, self.server.workspace_sid)

    async def update_token(self, token: str) -> None:
        """Give it another token."""
        self._worker.update_token(token)


def _in_order(told: Sequence[str], happened: Sequence[str]) -> bool:
    places = [happened.index(step) for step in dict.fromkeys(told) if step in happened]
    return places == sorted(places)


@dataclass(eq=False)
class Stage:
    """A server, and the two who listen."""

    server: StubServer
    seats: tuple[Seat, ...]

    # What happens at the server. It happens to both, and in one turn of the event loop.

    def offer(self) -> list[str]:
        """Make a reservation for each worker; their SIDs."""
        return [self._for_one(seat.worker_sid) for seat in self.seats]

    def move(self, reservations: Sequence[str], status: str) -> None:
        """Move reservations on, as a call over REST would."""
        for sid in reservations:
            self._run(functools.partial(Workspace.update_reservation, sid=sid, status=status))

    def cancel(self, reservations: Sequence[str]) -> None:
        """Cancel the tasks of reservations."""
        for sid in reservations:
            task = self._run(functools.partial(Workspace.reservation, sid=sid)).task
            self._run(functools.partial(Workspace.update_task, sid=task.sid, assignment_status="canceled"))

    def _for_one(self, worker_sid: str) -> str:
        task = self._run(functools.partial(Workspace.create_task, routing_target=worker_sid))
        [reservation] = task.reservations
        return str(reservation)

    def changes(self, offered: Sequence[str]) -> None:
        """One offer ends, another is made, a third comes and goes."""
        self.cancel(offered)
        self.offer()
        self.cancel(self.offer())

    def _run(self, command: Callable[[Workspace], Any]) -> Any:  # Any: what the command returns
        return self.server.run(self.server.workspace_sid, command)

    # Faults

    def inject(
        self, fault: Callable[[FaultyFrame], FrameFault], event_types: Sequence[str], times: int = 1
    ) -> Callable[[], bool]:
        """Let `fault` happen to each worker's next frames of these types; the result tells when it has."""
        left = {seat.worker_sid: times for seat in self.seats}

        def hook(frame: FaultyFrame) -> FrameFault | None:
            if frame.event_type not in event_types or not left[frame.worker_sid]:
                return None
            left[frame.worker_sid] -= 1
            return fault(frame)

        self.server.faults.frame = hook
        return lambda: not any(left.values())

    def cut_at(self, *event_types: str) -> None:
        """Cut each worker's connection instead of sending it the next frame of these types."""
        self.inject(lambda _: FrameFault("cut_before"), event_types)

    # Waiting

    async def heard(self, reservations: Sequence[str], step: str) -> None:
        """Wait until each application was told, or for `PATIENCE` seconds."""
        pairs = list(zip(self.seats, reservations, strict=True))
        await _patiently(lambda: all(seat.knows(sid, step) for seat, sid in pairs))

    async def back(self) -> None:
        """Wait until each SDK lost its connection and has another, or for `PATIENCE` seconds."""
        await _patiently(lambda: all(seat.disconnections and seat.connected for seat in self.seats))

    def token(self, seat: Seat, lifetime: int = 3_600) -> str:
        """A token for one of the workers."""
        return mint(self.server, seat.worker_sid, lifetime)


async def _patiently(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for something that may never come: whether it did is seen in the result."""
    with suppress(AssertionError):
        await until(condition, lambda: None, seconds)


def mint(server: StubServer, worker_sid: str, lifetime: int) -> str:
    """A token for a worker."""
    return worker_token(
        account_sid=server.account_sid,
        signing_key_sid=server.signing_key_sid,
        signing_key_secret=server.signing_key_secret,
        workspace_sid=server.workspace_sid,
        worker_sid=worker_sid,
        lifetime=lifetime,
    )


# The scenarios


async def _canceled(stage: Stage) -> None:
    offered = stage.offer()
    await stage.heard(offered, "created")
    stage.cut_at("task.canceled", "reservation.canceled")
    stage.cancel(offered)
    await stage.back()


async def _made(stage: Stage) -> None:
    stage.cut_at("reservation.created")
    stage.offer()
    await stage.back()


async def _made_and_ended(stage: Stage) -> None:
    stage.cut_at("reservation.created")
    stage.cancel(stage.offer())
    await stage.back()


async def _worked_off(stage: Stage) -> None:
    offered = stage.offer()
    await stage.heard(offered, "created")
    stage.cut_at("reservation.accepted")
    stage.move(offered, "accepted")
    stage.move(offered, "completed")
    await stage.back()


async def _twice(stage: Stage) -> None:
    stage.server.faults.frame = lambda frame: (
        FrameFault("duplicate") if frame.event_type not in ("", "init") else None
    )
    offered = stage.offer()
    await stage.heard(offered, "created")
    for status, step in (("accepted", "accepted"), ("wrapping", "wrapup"), ("completed", "completed")):
        stage.move(offered, status)
        await stage.heard(offered, step)
    offered = stage.offer()
    await stage.heard(offered, "created")
    stage.cancel(offered)
    await stage.heard(offered, "canceled")


async def _restart(stage: Stage) -> None:
    offered = stage.offer()
    await stage.heard(offered, "created")
    await stage.server.stop()
    stage.changes(offered)
    await asyncio.sleep(DOWNTIME)
    await stage.server.start()
    await stage.back()


async def _token_replaced(stage: Stage) -> None:
    offered = stage.offer()
    await stage.heard(offered, "created")
    for seat in stage.seats:
        await seat.update_token(stage.token(seat))
    # The old token's end is where the server closes what still belongs to it.
    await _patiently(lambda: any(seat.disconnections for seat in stage.seats), TOKEN_SECONDS + PATIENCE)
    stage.changes(offered)
    await _patiently(lambda: all(seat.connected for seat in stage.seats))


async def _damaged(stage: Stage) -> None:
    offered = stage.offer()
    await stage.heard(offered, "created")
    happened = stage.inject(_without_its_status, ["reservation.canceled"])
    stage.cancel(offered)
    await _patiently(happened)


def _without_its_status(frame: FaultyFrame) -> FrameFault:
    message = json.loads(frame.data)
    del message["payload"]["reservation_status"]
    return FrameFault(replace=json.dumps(message).encode())


async def _dropped(stage: Stage) -> None:
    offered = stage.offer()
    await stage.heard(offered, "created")
    happened = stage.inject(lambda _: FrameFault("drop"), ["task.canceled", "reservation.canceled"], times=2)
    stage.cancel(offered)
    await _patiently(happened)


@dataclass(frozen=True)
class Scenario:
    """One fault: what it is called, and how it is brought about."""

    title: str
    play: Callable[[Stage], Awaitable[None]]
    token_seconds: int = 3_600


SCENARIOS: Final[dict[str, Scenario]] = {
    "canceled": Scenario("connection cut while an offered task is canceled", _canceled),
    "made": Scenario("connection cut while a reservation is made", _made),
    "made-and-ended": Scenario("a reservation made and ended within one gap", _made_and_ended),
    "worked-off": Scenario("connection cut while a reservation is accepted and completed", _worked_off),
    "twice": Scenario("each event sent twice", _twice),
    "restart": Scenario("server stopped and started again, with changes in between", _restart),
    "token": Scenario(
        "token replaced while connected; the old one expires, with changes then",
        _token_replaced,
        TOKEN_SECONDS,
    ),
    "damaged": Scenario("an event without one of its required fields", _damaged),
    "dropped": Scenario("events dropped silently inside a living connection", _dropped),
}


async def play(name: str) -> list[Losses]:
    """Play one scenario; what each SDK lost.

    At its end one more offer is made, without a fault: what comes after a fault counts as well, and
    whoever was told of it has been told everything before.
    """
    scenario = SCENARIOS[name]
    async with _stage(scenario) as stage:
        await scenario.play(stage)
        stage.server.faults.frame = None
        await stage.heard(stage.offer(), "created")
        return [await seat.losses(scenario.title) for seat in stage.seats]


@asynccontextmanager
async def _stage(scenario: Scenario) -> AsyncIterator[Stage]:
    # A port of its own, so that the server is found again after a restart.
    async with StubServer(Settings(port=_free_port())) as server, OfficialSdk(server) as sdk:
        theirs_sid, ours_sid = (_hire(server, name) for name in ("omar", "nina"))
        theirs = await sdk.worker(
            mint(server, theirs_sid, scenario.token_seconds),
            {"setWorkerOfflineIfDisconnected": False, "logLevel": "silent"},
        )
        ours = Worker(
            mint(server, ours_sid, scenario.token_seconds),
            eb_server=server.eb_server,
            ws_server=server.ws_server,
            set_worker_offline_if_disconnected=False,
        )
        official = OfficialSeat(server, theirs_sid, theirs)
        mine = OurSeat(server, ours_sid, ours)
        renewing = asyncio.create_task(
            official.answer_token_expired(lambda: mint(server, theirs_sid, 3_600)), name="renewing tokens"
        )
        try:
            async with ours:
                yield Stage(server, (official, mine))
        finally:
            renewing.cancel()
            sdk.uncaught.clear()  # they are counted; a test of the driver would fail for them


def _hire(server: StubServer, name: str) -> str:
    """A worker who is available for everything that is offered."""

    def command(ws: Workspace) -> str:
        available = next(a.sid for a in ws.activities.values() if a.available)
        worker = ws.create_worker(friendly_name=name, activity_sid=available)
        ws.update_worker_channel(worker.sid, "default", capacity=10)
        return worker.sid

    return server.run(server.workspace_sid, command)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


# The report


def official_version() -> str:
    """The version of the official SDK that is installed."""
    package = json.loads((HERE / "node_modules" / "twilio-taskrouter" / "package.json").read_text())
    return str(package["version"])


COLUMNS: Final = (
    "reservations never told",
    "ends never told",
    "told twice",
    "out of order",
    "disconnected",
    "uncaught",
    "model at the end",
)


def _cells(losses: Losses) -> list[str]:
    return [
        f"{losses.reservations_untold} of {losses.reservations}",
        f"{losses.ends_untold} of {losses.ends}",
        str(losses.told_twice),
        str(losses.out_of_order),
        str(losses.disconnections),
        str(losses.uncaught),
        "right" if losses.model_is_the_servers else "wrong",
    ]


def as_text(results: Sequence[Losses]) -> str:
    """The table for a terminal: what is 0 is shown as a dot, to let the losses stand out."""
    lines: list[str] = []
    scenario = ""
    for losses in results:
        if losses.scenario != scenario:
            scenario = losses.scenario
            lines += ["", scenario]
        cells = ", ".join(
            f"{column}: {cell}"
            for column, cell in zip(COLUMNS, _cells(losses), strict=True)
            if cell[0] != "0"
        )
        lines.append(f"  {losses.sdk:<15} {cells}")
    return "\n".join(lines[1:])


def as_markdown(results: Sequence[Losses]) -> str:
    """The table for `docs/what-gets-lost.md`."""
    rows = [["what goes wrong", "SDK", *COLUMNS], ["---"] * (len(COLUMNS) + 2)]
    scenario = ""
    for losses in results:
        rows.append([losses.scenario if losses.scenario != scenario else "", losses.sdk, *_cells(losses)])
        scenario = losses.scenario
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def versions() -> dict[str, str]:
    """What was compared, on what, when."""
    node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "official": official_version(),
        "node": node.stdout.strip().removeprefix("v"),
        "taskrouter_worker": __version__,
        "python": platform.python_version(),
    }


async def run(names: Sequence[str], seconds: float) -> list[Losses]:
    """Play scenarios one after the other.

    Raises:
        TimeoutError: they took longer than `seconds`.
    """
    results: list[Losses] = []
    async with asyncio.timeout(seconds):
        for name in names:
            results += await play(name)
    return results


def main() -> int:
    """The command line; the exit status is 1 if the time limit struck."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.what_gets_lost", description=__doc__)
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="this scenario; may be repeated")
    parser.add_argument("--seconds", type=float, default=180, metavar="S", help="limit, default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments = parser.parse_args()
    logging.getLogger("taskrouter_worker").setLevel(logging.CRITICAL)  # faults are what this is about
    try:
        results = asyncio.run(run(arguments.only or list(SCENARIOS), arguments.seconds))
    except TimeoutError:
        print(f"not done after {arguments.seconds:g} seconds", file=sys.stderr)
        return 1
    print(as_markdown(results) if arguments.markdown else as_text(results))
    if arguments.json:
        report = {**versions(), "results": [asdict(losses) for losses in results]}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
