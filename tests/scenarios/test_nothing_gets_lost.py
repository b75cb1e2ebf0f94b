"""A worker handles tasks of every fate while its connections are cut wherever they can be.

The server cuts at one frame, or at one request, one position after the other, and then at random
ones. Whatever happens, the application is told of each reservation once, in order, to its end, and the
worker's model equals the server's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server_stub import Settings, StubServer
from server_stub.faults import FaultyFrame, FaultyRequest, FrameFault, RequestFault
from taskrouter_worker import (
    NetworkError,
    NotConnectedError,
    RequestError,
    RequestInvalidError,
    Reservation,
    ServerError,
    SessionState,
    Worker,
    worker_token,
)
from taskrouter_worker.clock import ManualClock
from tests.budget import examples
from tests.scenarios.journal import History, Journal, differences, stale, until

FATES = ("complete", "complete the task", "reject", "cancel", "time out")


@dataclass
class Cuts:
    """Where to cut: by number of the frame or of the request, counted over the whole run."""

    frames: Collection[int] = ()
    requests: Collection[int] = ()
    after: bool = False  # after the frame was sent, or the request carried out; else before
    frames_seen: int = 0
    requests_seen: int = 0

    def frame(self, frame: FaultyFrame) -> FrameFault | None:
        if not frame.event_type:
            return None  # heartbeats come by the clock on the wall
        self.frames_seen += 1
        if self.frames_seen - 1 in self.frames:
            return FrameFault("cut_after" if self.after else "cut_before")
        return None

    def request(self, request: FaultyRequest) -> RequestFault | None:
        if request.door != "bridge":
            return None
        self.requests_seen += 1
        if self.requests_seen - 1 in self.requests:
            return RequestFault(cut="after" if self.after else "before")
        return None


@dataclass
class Desk:
    """A server, one worker of it, and the application that handles its reservations."""

    server: StubServer
    clock: ManualClock
    worker: Worker
    journal: Journal
    history: History
    offers: dict[str, int] = field(default_factory=dict)  # by task: how often it was offered

    def attach(self) -> None:
        self.worker.on("reservationCreated", self._handle)
        self.worker.on("activityUpdated", self._back_to_work)
        self.worker.on("ready", self._back_to_work)

    async def _handle(self, reservation: Reservation) -> None:
        task = reservation.task
        offer = self.offers[task.sid] = self.offers.get(task.sid, 0) + 1
        fate = task.attributes["fate"]
        if fate == "reject" and offer == 1:
            await _insist(reservation, reservation.reject, "rejected")
        elif fate in ("cancel", "time out") and offer == 1:
            return
        else:
            await _insist(reservation, reservation.accept, "accepted", "wrapping", "completed")
            await _insist(reservation, reservation.wrap, "wrapping", "completed")
            if fate == "complete the task":
                await _insist(reservation, lambda: task.complete("done"), "completed")
            else:
                await _insist(reservation, reservation.complete, "completed")

    async def _back_to_work(self, worker: Worker) -> None:
        """A reservation that times out sends the worker offline; this one comes back at once."""
        while not worker.available:
            available = next(a for a in worker.activities.values() if a.available)
            try:
                await available.set_as_current()
            except NetworkError:
                continue
            except NotConnectedError:
                return  # the test is over

    async def put_through(self, fate: str) -> None:
        """Let one task come to its end."""
        workspace_sid = self.server.workspace_sid
        task = self.server.run(workspace_sid, lambda ws: ws.create_task(attributes=f'{{"fate": "{fate}"}}'))

        def pending() -> list[str]:
            return [str(r.status) for r in task.reservations.values()]

        if fate in ("cancel", "time out"):
            await until(lambda: task.sid in self.offers, lambda: f"no offer of {fate}: {task} {self.worker}")
            if fate == "cancel":
                self.server.run(
                    workspace_sid, lambda ws: ws.update_task(task.sid, assignment_status="canceled")
                )
            else:
                self.clock.advance(121)
                self.server.tick()
        await until(
            lambda: task.status in ("completed", "canceled"),
            lambda: f"{fate}: task {task.status}, reservations {pending()}, {self.worker}",
        )

    async def settle(self) -> None:
        """Wait until the application was told everything."""

        def settled() -> bool:
            return (
                self.worker.state is SessionState.READY
                and not differences(self.journal, self.history)
                and not stale(self.worker, self.server, self.server.workspace_sid)
            )

        await until(
            settled,
            lambda: (
                self.worker,
                differences(self.journal, self.history),
                stale(self.worker, self.server, self.server.workspace_sid),
            ),
        )


async def _insist(reservation: Reservation, action: Callable[[], Awaitable[object]], *reached: str) -> None:
    """Carry a command through whatever the network does; give up when the reservation has moved on."""
    while True:
        try:
            await action()
        except RequestInvalidError:
            return
        except (NetworkError, ServerError):
            try:
                await reservation.fetch_latest_version()
            except RequestError:
                continue
            if reservation.status in reached:
                return
        except NotConnectedError:
            return  # the test is over
        else:
            return


@asynccontextmanager
async def desk(cuts: Cuts, *, settle_ms: int = 0) -> AsyncIterator[Desk]:
    clock = ManualClock(time.time())  # tokens are minted by the clock on the wall
    async with StubServer(Settings(port=0, settle_ms=settle_ms), clock=clock) as server:
        domain = server.run(
            server.workspace_sid,
            lambda ws: ws.create_worker(
                friendly_name="Ann",
                activity_sid=next(a.sid for a in ws.activities.values() if a.available),
            ),
        )
        history = History(domain.sid)
        server.observe(history.record)
        worker = Worker(
            _token(server, domain.sid),
            eb_server=server.eb_server,
            ws_server=server.ws_server,
            reconnect_backoff=lambda _: 0.0,
            proxy=None,
        )
        here = Desk(server, clock, worker, Journal(worker), history)
        here.attach()
        worker.on("error", lambda _: None)  # broken connections are what this is about
        server.faults.frame = cuts.frame
        server.faults.request = cuts.request
        async with worker:
            yield here


def _token(server: StubServer, worker_sid: str) -> str:
    return worker_token(
        account_sid=server.account_sid,
        signing_key_sid=server.signing_key_sid,
        signing_key_secret=server.signing_key_secret,
        workspace_sid=server.workspace_sid,
        worker_sid=worker_sid,
        lifetime=86_400,
    )


async def _run(cuts: Cuts, fates: Collection[str] = FATES) -> Cuts:
    async with desk(cuts) as here:
        for fate in fates:
            await here.put_through(fate)
        await here.settle()
        assert here.history.steps, "nothing happened"
        return cuts


async def test_without_cuts_everything_is_told_once_and_in_order() -> None:
    async with desk(Cuts()) as here:
        for fate in FATES:
            await here.put_through(fate)
        await here.settle()
        ends = sorted(steps[-1] for steps in here.history.steps.values())
        # Rejected and timed-out tasks are offered again, and completed then.
        assert ends == ["canceled", "completed", "completed", "completed", "completed", "rejected", "timeout"]
        assert sorted(told[-2] for told in here.journal.told.values()) == ends


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_cut_at_every_frame_of_a_session(after: bool) -> None:
    frames = (await _run(Cuts())).frames_seen
    assert frames > 25
    for position in range(frames):
        try:
            await _run(Cuts(frames={position}, after=after))
        except AssertionError as error:
            raise AssertionError(f"cut {'after' if after else 'before'} frame {position}: {error}") from error


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_cut_at_every_request_of_a_session(after: bool) -> None:
    requests = (await _run(Cuts())).requests_seen
    assert requests > 10
    for position in range(requests):
        try:
            await _run(Cuts(requests={position}, after=after))
        except AssertionError as error:
            raise AssertionError(
                f"cut {'after' if after else 'before'} request {position}: {error}"
            ) from error


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow])
@given(
    fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=5),
    frames=st.sets(st.integers(0, 60), max_size=8),
    requests=st.sets(st.integers(0, 80), max_size=5),
    after=st.booleans(),
)
def test_cut_at_random_frames_and_requests(
    fates: list[str], frames: set[int], requests: set[int], after: bool
) -> None:
    asyncio.run(_run(Cuts(frames=frames, requests=requests, after=after), fates))
