"""A process of workers: ``python -m tests.soak.crew SPEC``. The driver starts it, and may kill it.

Each worker accepts, rejects or ignores what it is offered, by dice of its own, works for a while and
completes it. All of it is written down, see `journal`. Commands come by standard input, one a line:
``skew SECONDS`` sets the clock that the SDK is given, ``end`` ends all in order, and so does the end of the
input, when the driver is gone.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import logging
import random
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from server_stub.clocks import OffsetClock
from taskrouter_worker import (
    Disconnect,
    EndedOtherwiseError,
    NotConnectedError,
    RequestError,
    Reservation,
    TaskRouterError,
    Worker,
    WorkerPool,
)
from taskrouter_worker.tokens import worker_token
from tests.soak.journal import Journal

__all__ = ["CrewSpec", "main"]

STEPS: Final = ("accepted", "rejected", "timeout", "canceled", "rescinded", "wrapup", "completed", "ended")
LONGEST_WAIT: Final = 4.0
"""Seconds between two attempts at most."""

_serial = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewSpec:
    """What the driver tells a process of workers.

    Attributes:
        names: of the workers, by SID.
        journals: the directory for them.
        life: how many processes these workers have had, with this one.
        token_seconds: how long a token lives.
    """

    eb_server: str
    ws_server: str
    account_sid: str
    signing_key_sid: str
    signing_key_secret: str
    workspace_sid: str
    available_sid: str
    names: dict[str, str]
    journals: str
    life: int
    seed: int
    token_seconds: int

    def save(self, path: Path) -> None:
        """Write it to a file, for `load`."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> CrewSpec:
        """Read it from a file."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


class Crew:
    """The workers of this process."""

    def __init__(self, spec: CrewSpec) -> None:
        self._spec = spec
        self._clock = OffsetClock(0.0)
        self._journals: dict[Worker, Journal] = {}  # a worker has no SID before its first `init`
        self._coming_back: set[Worker] = set()
        self._known: set[str] = set()  # reservations that this process was told of
        self._at_work: set[str] = set()  # those that a handler looks after

    async def run(self, commands: asyncio.StreamReader) -> None:
        """Work until the driver says that it is over."""
        spec = self._spec
        pool = WorkerPool(
            eb_server=spec.eb_server,
            ws_server=spec.ws_server,
            connect_activity_sid=spec.available_sid,
            clock=self._clock,
            proxy=None,
            starts_at_once=20,
        )
        pool.on("ready", self._ready)
        pool.on("activityUpdated", self._come_back)
        pool.on("disconnected", self._gone)
        pool.on("reservationCreated", self._offered)
        pool.on("reservationMissed", self._missed)
        pool.on("error", self._error)
        pool.on("workerEnded", self._over)
        for sid, name in spec.names.items():
            worker = pool.add(token_provider=functools.partial(self._token, sid))
            journal = self._journals[worker] = Journal(Path(spec.journals) / f"{name}.jsonl", spec.life)
            journal.write("start")
        async with pool:
            print("ready", flush=True)
            while line := (await commands.readline()).decode():
                word, _, argument = line.strip().partition(" ")
                if word == "skew":
                    self._clock.offset = float(argument)
                elif word == "end":
                    break
        for journal in self._journals.values():
            journal.write("bye")
            journal.close()

    def _token(self, worker_sid: str) -> str:
        spec = self._spec
        return worker_token(
            account_sid=spec.account_sid,
            signing_key_sid=spec.signing_key_sid,
            signing_key_secret=spec.signing_key_secret,
            workspace_sid=spec.workspace_sid,
            worker_sid=worker_sid,
            lifetime=spec.token_seconds,
            identity=f"{spec.life} {next(_serial)}",  # an expired token must not come again
        )

    # --- What the SDK tells -------------------------------------------------------------------

    async def _ready(self, worker: Worker) -> None:
        journal = self._journals[worker]
        journal.write("ready")
        begun = [known for known in worker.reservations.values() if known.status in ("accepted", "wrapping")]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._come_back(worker))
            for reservation in begun:
                if reservation.sid not in self._known:  # an earlier process accepted it
                    self._write(journal, "found", reservation)
                    self._listen(journal, reservation)
                group.create_task(self._look_after(journal, reservation, self._finish))

    async def _come_back(self, worker: Worker) -> None:
        """A reservation that times out takes its worker offline: be available again, sooner or later."""
        if worker in self._coming_back:
            return
        self._coming_back.add(worker)
        try:
            while not worker.available:
                await asyncio.sleep(random.uniform(0.2, 1.0))
                try:
                    await worker.activities[self._spec.available_sid].set_as_current()
                except RequestError as error:
                    self._error(worker, error)
        except NotConnectedError:
            pass  # the end
        finally:
            self._coming_back.discard(worker)

    def _gone(self, worker: Worker, why: Disconnect) -> None:
        self._journals[worker].write("gone", note=why.cause.value)

    def _error(self, worker: Worker, error: TaskRouterError) -> None:
        self._journals[worker].write("error", note=f"{type(error).__name__}: {error}")

    def _over(self, worker: Worker, error: TaskRouterError | None) -> None:
        self._journals[worker].write("over", note=f"{type(error).__name__}: {error}")

    def _missed(self, worker: Worker, reservation: Reservation) -> None:
        self._write(self._journals[worker], "missed", reservation)

    async def _offered(self, worker: Worker, reservation: Reservation) -> None:
        journal = self._journals[worker]
        self._write(journal, "told", reservation, event="created", origin=reservation.origin)
        self._listen(journal, reservation)
        await self._look_after(journal, reservation, self._handle)

    def _listen(self, journal: Journal, reservation: Reservation) -> None:
        self._known.add(reservation.sid)
        for step in STEPS:
            reservation.on(step, functools.partial(self._step, journal, step))
        # An acceptance may turn out to have worked long after its answer was lost.
        reservation.on("accepted", lambda known: self._look_after(journal, known, self._finish))

    def _step(self, journal: Journal, step: str, reservation: Reservation) -> None:
        status = reservation.outcome if step == "ended" else reservation.status
        self._write(journal, "told", reservation, event=step, status=status)

    # --- What the worker does -----------------------------------------------------------------

    async def _look_after(
        self,
        journal: Journal,
        reservation: Reservation,
        work: Callable[[Journal, Reservation, random.Random], Awaitable[None]],
    ) -> None:
        if reservation.sid in self._at_work:
            return
        self._at_work.add(reservation.sid)
        try:
            await work(journal, reservation, self._dice(reservation))
        except NotConnectedError:
            pass  # the end: whoever comes next goes on with it
        finally:
            self._at_work.discard(reservation.sid)

    async def _handle(self, journal: Journal, reservation: Reservation, dice: random.Random) -> None:
        mood = dice.random()
        if mood < 0.05:
            return  # it times out
        await asyncio.sleep(dice.uniform(0.0, 0.3))
        if mood < 0.15:
            await self._insist(journal, reservation, "reject", reservation.reject)
            return
        await self._insist(journal, reservation, "accept", reservation.accept)
        if reservation.status == "accepted":
            await self._finish(journal, reservation, dice)

    async def _finish(self, journal: Journal, reservation: Reservation, dice: random.Random) -> None:
        await asyncio.sleep(dice.uniform(0.05, 1.5))
        if dice.random() < 0.3 and reservation.status == "accepted":
            await self._insist(journal, reservation, "wrap", reservation.wrap)
            await asyncio.sleep(dice.uniform(0.05, 0.5))
        await self._insist(journal, reservation, "complete", reservation.complete)

    async def _insist(
        self,
        journal: Journal,
        reservation: Reservation,
        command: str,
        send: Callable[[], Awaitable[Reservation]],
    ) -> None:
        """Send a command until it is clear what became of it, writing down each attempt."""
        from_ = {"accept": ("pending",), "reject": ("pending",), "wrap": ("accepted",)}.get(
            command, ("accepted", "wrapping")
        )
        wait = 0.25
        while reservation.outcome is None and reservation.status in from_:
            self._write(journal, "about", reservation, command=command)
            try:
                await send()
            except RequestError as error:
                outcome = error.outcome if isinstance(error, EndedOtherwiseError) else ""
                self._write(
                    journal,
                    "did",
                    reservation,
                    command=command,
                    carried_out=error.carried_out,
                    note=f"{type(error).__name__} {error.status or ''} {outcome}".strip(),
                )
                if error.status in (400, 404, 410):
                    return  # it came too late
            else:
                self._write(journal, "did", reservation, command=command, ok=True)
                return
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(2 * wait, LONGEST_WAIT)

    def _dice(self, reservation: Reservation) -> random.Random:
        number = reservation.task.attributes.get("n")
        return random.Random(f"{self._spec.seed} {number} {reservation.worker_sid} {self._spec.life}")

    def _write(self, journal: Journal, what: str, reservation: Reservation, **facts: Any) -> None:
        journal.write(
            what,
            **{
                "reservation": reservation.sid,
                "task": reservation.task.sid,
                "version": int(reservation.version),
                "status": reservation.status,
                **facts,
            },
        )


async def _main(spec: CrewSpec) -> None:
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    await Crew(spec).run(commands)


def main() -> int:
    """Work as the file says that is the only argument."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    asyncio.run(_main(CrewSpec.load(Path(sys.argv[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
