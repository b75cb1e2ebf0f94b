"""One simulated day at work: the real SDK and the real server, a plan of faults, and an auditor.

Everything follows from the seed: SIDs, the tasks and their fates, the faults and their moments, the
latencies and the backoffs. ``python -m tests.simulation SEED`` plays one again and prints what happened.
"""

from __future__ import annotations

import asyncio
import functools
import random
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import jwt

from server_stub import Settings, StubServer
from server_stub.domain.model import Limits, Task, WorkerChannel
from server_stub.domain.workspace import Workspace
from server_stub.faults import FaultyFrame, FaultyRequest, FrameFault, RequestFault
from taskrouter_worker import (
    NotConnectedError,
    RequestError,
    RequestInvalidError,
    Reservation,
    SessionDisplacedError,
    SessionState,
    Worker,
)
from taskrouter_worker._transport import SharedSession
from tests.scenarios.journal import History, Journal, differences, stale
from tests.simulation.network import Network, SimulatedLoop
from tests.simulation.transfers import Colleague, TransferJournal

__all__ = ["Outcome", "simulate"]

FATES = ("complete", "complete the task", "reject", "ignore", "cancel", "wrap and dawdle", "hand on")
EPOCH = 1_800_000_000.0
LENGTH = 100.0  # virtual seconds of faults and tasks
CALM = 400.0  # virtual seconds to settle afterwards
LIFETIME = 45  # seconds that a token lives: several are used up


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    reservations: int = 0
    transfers: int = 0
    connections: int = 0
    faults: int = 0


class _Shared(SharedSession):
    """A session of the simulation's own, used as a pool uses its own: by the short way to its connections."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__()
        self._given = session

    def get(self) -> aiohttp.ClientSession:
        """The given one."""
        return self._given


class _LoopClock:
    """Wall-clock time that goes with the loop's, wrong by `ahead` seconds."""

    def __init__(self, epoch: float, ahead: float = 0.0) -> None:
        self._epoch = epoch
        self.ahead = ahead

    def now(self) -> float:
        return self._epoch + asyncio.get_running_loop().time() + self.ahead


class _Day:
    """The server, one worker, and what befalls them."""

    def __init__(self, seed: int, network: Network) -> None:
        self.rng = random.Random(seed)
        self.outcome = Outcome(seed)
        self.network = network
        self.epoch = EPOCH
        self.clock = _LoopClock(self.epoch)
        self.own_clock = _LoopClock(self.epoch, ahead=self.rng.choice([0.0, 0.0, -40.0, 40.0]))
        self.surprises: list[str] = []
        self.server = StubServer(
            Settings(
                seed=seed,
                settle_ms=self.rng.choice([0, 5, 20]),
                limits=Limits(retention_seconds=3_600),
                offline_grace_ms=self.rng.choice([0, 0, 2_000]),
            ),
            clock=self.clock,
            token_clock=self.clock,
        )
        self.frame_fault: Callable[[], FrameFault | None] = lambda: None
        self.request_fault: Callable[[], RequestFault | None] = lambda: None

    def note(self, text: str) -> None:
        self.outcome.story.append(f"{asyncio.get_running_loop().time():9.3f}  {text}")

    # The server's process

    async def serve(self) -> None:
        self.network.listener = await self.server.start_without_listening()

    async def stop_serving(self) -> None:
        self.network.listener = None
        if self.rng.random() < 0.5:
            self.network.cut_all()  # killed, not shut down
        await self.server.stop()
        self.network.cut_all()

    # The application

    def employ(self) -> None:
        workspace_sid = self.server.workspace_sid
        domain = self.server.run(
            workspace_sid,
            lambda ws: ws.create_worker(
                friendly_name="Ann",
                activity_sid=next(a.sid for a in ws.activities.values() if a.available),
                attributes='{"line": 1}',
            ),
        )
        for channel in domain.channels.values():
            self.server.run(workspace_sid, functools.partial(_widen, channel))
        workflow = next(iter(self.server.account.workspaces[workspace_sid].workflows.values()))
        self.server.run(
            workspace_sid, lambda ws: ws.update_workflow(workflow.sid, task_reservation_timeout=25)
        )
        # What is handed on goes to somebody who is offered nothing else.
        colleague = self.server.run(
            workspace_sid,
            lambda ws: ws.create_worker(
                friendly_name="Bob",
                activity_sid=domain.activity.sid,
                attributes='{"line": 2}',
            ),
        )
        for channel in colleague.channels.values():
            self.server.run(workspace_sid, functools.partial(_widen, channel))
        self.second_line = self.server.run(
            workspace_sid,
            lambda ws: ws.create_task_queue(friendly_name="second line", target_workers="line == 2"),
        ).sid
        first_line = next(
            queue
            for queue in self.server.account.workspaces[workspace_sid].task_queues.values()
            if queue.sid != self.second_line
        )
        self.server.run(
            workspace_sid, lambda ws: ws.update_task_queue(first_line.sid, target_workers="line == 1")
        )
        self.colleague = Colleague(self.server, random.Random(self.rng.random()))
        self.colleague.sid = colleague.sid
        self.server.observe(self.colleague.observe)
        self.history = History(domain.sid)
        self.server.observe(self.history.record)
        # Seeds take turns: both ways to the service are played.
        self.session = aiohttp.ClientSession(connector=aiohttp.UnixConnector("memory"))
        rng = random.Random(self.rng.random())
        provided = self.rng.random() < 0.5  # half of the workers ask for tokens, half are given them
        self.worker = Worker(
            None if provided else self.token(domain.sid),
            token_provider=functools.partial(self._provide, domain.sid) if provided else None,
            eb_server="http://127.0.0.1/v1/wschannels",
            ws_server="ws://127.0.0.1/v1/wschannels",
            proxy=None,
            http_session=_Shared(self.session) if self.outcome.seed % 2 else self.session,
            clock=self.own_clock,
            reconnect_backoff=lambda attempt: rng.uniform(0, min(8.0, 2.0**attempt)),
        )
        self.journal = Journal(self.worker, as_coroutine=self.rng.random() < 0.5)
        self.transfers = TransferJournal(self.worker, domain.sid)
        self.server.observe(self.transfers.record)
        self.worker.on("reservationCreated", self._audit)
        self.worker.on("reservationMissed", self._audit)
        self.worker.on("reservationCreated", self._handle)
        self.worker.on("activityUpdated", self._back_to_work)
        self.worker.on("ready", self._back_to_work)
        if not provided:
            self.worker.on("tokenExpired", lambda: self._renew(domain.sid))
        self.worker.on("error", lambda error: self.note(f"error: {type(error).__name__}: {error}"))
        self.worker.on("disconnected", lambda reason: self.note(f"disconnected: {reason.message}"))
        self.worker.on("ready", lambda _: self.note("ready"))
        self.worker.on("ready", lambda _: self._count_connection())

    def token(self, worker_sid: str) -> str:
        """A token by the simulated clock; `worker_token` would take the one on the wall."""
        now = int(self.clock.now())
        grant = {"workspace_sid": self.server.workspace_sid, "worker_sid": worker_sid, "role": "worker"}
        claims = {
            "iss": self.server.signing_key_sid,
            "sub": self.server.account_sid,
            "iat": now,
            "exp": now + LIFETIME,
            "grants": {"task_router": grant},
        }
        headers = {"cty": "twilio-fpa;v=1"}
        return jwt.encode(claims, self.server.signing_key_secret, algorithm="HS256", headers=headers)

    def _count_connection(self) -> None:
        self.outcome.connections += 1

    def _audit(self, reservation: Reservation) -> None:
        """Only a snapshot may find something by itself. Else an event got lost on a living connection."""
        found_at = self.worker._session.live_at
        if reservation.origin == "resync" and asyncio.get_running_loop().time() != found_at:
            self.surprises.append(f"{reservation.sid}: found late, as {reservation.status}")

    async def _provide(self, worker_sid: str) -> str:
        await asyncio.sleep(self.rng.uniform(0, 3))
        if self.rng.random() < 0.2:
            raise ConnectionError("the token service is busy")
        self.note("a token was provided")
        return self.token(worker_sid)

    def _renew(self, worker_sid: str) -> None:
        self.note("a new token")
        self.worker.update_token(self.token(worker_sid))

    async def _handle(self, reservation: Reservation) -> None:
        fate = reservation.task.attributes["fate"]
        rng = random.Random(f"{self.outcome.seed} {reservation.sid}")
        self.note(f"{reservation.sid[:8]} {reservation.status} ({reservation.origin}) {fate}")
        if fate in ("ignore", "cancel"):
            return
        await asyncio.sleep(rng.choice([0, 0, 0.01, 1.0]))
        if fate == "reject" and rng.random() < 0.7:
            await self._insist(reservation, reservation.reject, "rejected")
            return
        await self._insist(reservation, reservation.accept, "accepted", "wrapping", "completed")
        await asyncio.sleep(rng.uniform(0, 8))
        if fate == "hand on":
            await self._hand_on(reservation, rng)
        elif fate != "complete":
            await self._insist(reservation, reservation.wrap, "wrapping", "completed")
        if fate == "wrap and dawdle":
            await asyncio.sleep(20)
        if fate == "complete the task":
            await self._insist(reservation, lambda: reservation.task.complete("done"), "completed")
        else:
            await self._insist(reservation, reservation.complete, "completed")

    async def _hand_on(self, reservation: Reservation, rng: random.Random) -> None:
        """Transfer the task, take it back now and then, and leave it when somebody has it."""
        to = rng.choice([self.colleague.sid, self.second_line])
        mode = rng.choice(["WARM", "COLD"])
        try:
            transfer = await reservation.task.transfer(to, mode=mode)
            if rng.random() < 0.3:
                await asyncio.sleep(rng.uniform(0, 4))
                await transfer.cancel()
        except (RequestError, NotConnectedError) as error:
            self.note(f"handing on failed: {error}")
        await asyncio.sleep(rng.uniform(0, 60))  # as long as it may take, or less

    async def _insist(
        self, reservation: Reservation, action: Callable[[], Awaitable[object]], *reached: str
    ) -> None:
        """Carry a command through whatever happens; give up when the reservation has moved on."""
        while reservation.outcome is None:
            try:
                await action()
            except RequestInvalidError as error:
                if error.status not in (401, 429):
                    return
                await asyncio.sleep(1)
            except NotConnectedError:
                return
            except RequestError:
                await asyncio.sleep(0.5)
                try:
                    await reservation.fetch_latest_version()
                except RequestError:
                    continue
                except NotConnectedError:
                    return
                if reservation.status in reached:
                    return
            else:
                return

    async def _back_to_work(self, worker: Worker) -> None:
        while not worker.available:
            available = next(a for a in worker.activities.values() if a.available)
            try:
                await available.set_as_current()
            except NotConnectedError:
                return
            except RequestError:
                await asyncio.sleep(0.5)

    # The day

    async def tasks(self) -> None:
        workspace_sid = self.server.workspace_sid
        while asyncio.get_running_loop().time() < LENGTH:
            await asyncio.sleep(self.rng.uniform(0, 12))
            fate = self.rng.choice(FATES)
            task = self.server.run(workspace_sid, functools.partial(_new_task, fate))
            if fate == "cancel":
                asyncio.get_running_loop().call_later(self.rng.uniform(0, 20), self._cancel, task.sid)

    def _cancel(self, task_sid: str) -> None:
        task = self.server.account.workspaces[self.server.workspace_sid].tasks.get(task_sid)
        if task is not None and task.status in ("pending", "reserved"):
            self.server.run(
                self.server.workspace_sid, lambda ws: ws.update_task(task_sid, assignment_status="canceled")
            )

    async def faults(self) -> None:
        choices = (
            self._cut,
            self._mute,
            self._refuse,
            self._stall,
            self._slow_network,
            self._failing_requests,
            self._slow_requests,
            self._faulty_frames,
            self._restart,
            self._second_session,
            self._sleep,
        )
        while asyncio.get_running_loop().time() < LENGTH:
            await asyncio.sleep(self.rng.uniform(0, 40))
            fault = self.rng.choice(choices)
            self.outcome.faults += 1
            self.note(f"fault: {fault.__name__.strip('_')}")
            await fault()

    async def _cut(self) -> None:
        for _ in range(self.rng.choice([1, 1, 2, 5])):
            self.network.cut_all()
            await asyncio.sleep(self.rng.uniform(0, 0.05))

    async def _mute(self) -> None:
        self.network.mute_all()

    async def _sleep(self) -> None:
        """The worker's machine sleeps: nothing gets through, and its clock has moved when it wakes up."""
        self.network.mute_all()
        await asyncio.sleep(self.rng.uniform(0, 20))
        self.own_clock.ahead += self.rng.uniform(60, 36_000)

    async def _refuse(self) -> None:
        self.network.refusing = True
        self.network.cut_all()
        await asyncio.sleep(self.rng.uniform(0, 30))
        self.network.refusing = False

    async def _stall(self) -> None:
        stalled = self.network.stalled = asyncio.Event()
        self.network.cut_all()
        await asyncio.sleep(self.rng.uniform(0, 40))
        self.network.stalled = None
        stalled.set()

    async def _slow_network(self) -> None:
        usual, self.network.latency = self.network.latency, (0.05, 2.0)
        await asyncio.sleep(self.rng.uniform(5, 40))
        self.network.latency = usual

    async def _failing_requests(self) -> None:
        faults = [
            RequestFault(status=500),
            RequestFault(status=503),
            RequestFault(status=429),
            RequestFault(cut="before"),
            RequestFault(cut="after"),
        ]
        share = self.rng.uniform(0.1, 0.9)
        self.request_fault = lambda: self.rng.choice(faults) if self.rng.random() < share else None
        await asyncio.sleep(self.rng.uniform(0, 15))
        self.request_fault = lambda: None

    async def _slow_requests(self) -> None:
        longest = self.rng.choice([0.5, 3.0, 20.0])
        self.request_fault = lambda: RequestFault(delay=self.rng.uniform(0, longest))
        await asyncio.sleep(self.rng.uniform(0, 20))
        self.request_fault = lambda: None

    async def _faulty_frames(self) -> None:
        faults = [
            FrameFault("cut_before"),
            FrameFault("cut_after"),
            FrameFault("send", delay=self.rng.uniform(0, 3)),
            FrameFault("duplicate"),
        ]
        share = self.rng.uniform(0.1, 0.8)
        self.frame_fault = lambda: self.rng.choice(faults) if self.rng.random() < share else None
        await asyncio.sleep(self.rng.uniform(0, 30))
        self.frame_fault = lambda: None

    async def _restart(self) -> None:
        await self.stop_serving()
        await asyncio.sleep(self.rng.uniform(0, 20))
        await self.serve()

    async def _second_session(self) -> None:
        """A second session of the same worker comes and goes; it displaces nobody."""
        other = self._other_session(close_existing_sessions=False)
        try:
            async with asyncio.timeout(self.rng.uniform(0.1, 10)), other:
                await asyncio.sleep(self.rng.uniform(0, 5))
        except TimeoutError:
            pass

    def _other_session(self, *, close_existing_sessions: bool) -> Worker:
        other = Worker(
            self.token(self.worker.sid),
            eb_server="http://127.0.0.1/v1/wschannels",
            ws_server="ws://127.0.0.1/v1/wschannels",
            proxy=None,
            http_session=_Shared(self.session),
            close_existing_sessions=close_existing_sessions,
            set_worker_offline_if_disconnected=False,
            reconnect_backoff=lambda _: 1.0,
        )
        other.on("error", lambda _: None)
        return other

    async def settle(self) -> None:
        """Let everything come to rest, then compare."""
        workspace = self.server.account.workspaces[self.server.workspace_sid]

        def problems() -> list[str]:
            return [
                *differences(self.journal, self.history),
                *self.transfers.differences(),
                *stale(self.worker, self.server, self.server.workspace_sid),
                *([] if self.worker.state is SessionState.READY else [f"state {self.worker.state}"]),
                *(
                    f"task {task.sid} is still {task.status}"
                    for task in workspace.tasks.values()
                    if task.status not in ("completed", "canceled")
                ),
            ]

        loop = asyncio.get_running_loop()
        until = loop.time() + CALM
        while problems() and loop.time() < until:
            await asyncio.sleep(1)
        self.outcome.wrong = problems() + self.surprises
        self.outcome.reservations = len(self.history.steps)
        self.outcome.transfers = len(self.transfers.told)

    async def _be_displaced(self) -> None:
        """Another session takes this one's place: it must end for good, say why, and not fight back."""
        self.network.cut_all()
        await asyncio.sleep(1)
        await self.worker.wait_for_state("ready")
        other = self._other_session(close_existing_sessions=True)
        try:
            async with asyncio.timeout(60), other:
                await self.worker.wait_closed()
                self.outcome.wrong.append("a displaced session ended without a reason")
        except SessionDisplacedError:
            pass
        except TimeoutError:
            self.outcome.wrong.append("a displaced session did not end")

    def _frame(self, frame: FaultyFrame) -> FrameFault | None:
        return self.frame_fault() if frame.event_type else None

    def _request(self, request: FaultyRequest) -> RequestFault | None:
        return self.request_fault() if request.door == "bridge" else None

    async def run(self) -> Outcome:
        await self.serve()
        self.server.faults.frame = self._frame
        self.server.faults.request = self._request
        self.employ()
        async with self.session:
            async with self.worker:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.tasks())
                    group.create_task(self.faults())
                await self.settle()
                await self._be_displaced()
            await self.stop_serving()
        return self.outcome


def _new_task(fate: str, workspace: Workspace) -> Task:
    return workspace.create_task(attributes=f'{{"fate": "{fate}"}}', timeout=60)


def _widen(channel: WorkerChannel, workspace: Workspace) -> None:
    workspace.update_worker_channel(channel.worker.sid, channel.sid, capacity=3)


def simulate(seed: int) -> Outcome:
    """Play one seed."""
    network = Network(random.Random(f"network {seed}"))
    random.seed(seed)  # what the SDK itself draws
    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(network)) as runner:
        day: list[_Day] = []

        async def main() -> Outcome:
            day.append(_Day(seed, network))
            return await day[0].run()

        try:
            return runner.run(main())
        except Exception as error:  # noqa: BLE001 - whatever breaks belongs into the seed's outcome
            outcome = day[0].outcome if day else Outcome(seed)
            outcome.wrong.append("the simulation broke:\n" + "".join(traceback.format_exception(error)))
            return outcome
