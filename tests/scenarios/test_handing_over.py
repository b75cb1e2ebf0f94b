"""Workers with our SDK hand tasks to each other, and talk with customers whom nobody's phone connects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from server_stub import Settings, StubServer
from server_stub.domain.telephony import Telephony
from taskrouter_worker import (
    RequestInvalidError,
    Reservation,
    Supervisor,
    Worker,
    worker_token,
)
from taskrouter_worker.clock import ManualClock
from taskrouter_worker.terms import Role
from taskrouter_worker.transfer import OutgoingTransfer
from tests.scenarios.journal import until

URL = "http://127.0.0.1:9/told"
PATIENCE = 10.0


class Colleague:
    """A worker at its desk, and what it was told in order."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.offers: asyncio.Queue[Reservation] = asyncio.Queue()
        self.told: list[tuple[str, str]] = []  # event, and whose
        worker.on("reservationCreated", self._offered)

    @property
    def sid(self) -> str:
        return self.worker.sid

    def _offered(self, reservation: Reservation) -> None:
        for step in ("accepted", "rejected", "timeout", "canceled", "rescinded", "wrapup", "completed"):
            self._note(reservation, step, reservation.sid)
        for event in ("updated", "transferInitiated", "wrapup", "completed"):
            self._note(reservation.task, event, "task")
        reservation.task.on("transferInitiated", self.follow)
        self.offers.put_nowait(reservation)

    def follow(self, transfer: OutgoingTransfer) -> None:
        """Note the events of a transfer."""
        for event in ("attemptFailed", "completed", "failed", "canceled"):
            self._note(transfer, event, transfer.sid)

    def _note(self, source: Any, event: Any, sid: str) -> None:
        source.on(event, lambda *_: self.told.append((event, sid)))

    async def offered(self) -> Reservation:
        """The next reservation."""
        async with asyncio.timeout(PATIENCE):
            return await self.offers.get()

    async def hears(self, event: str, sid: str) -> None:
        """Wait until it was told so."""
        await until(lambda: (event, sid) in self.told, lambda: f"{event} of {sid}: {self.told}", PATIENCE)

    async def at_work(self) -> Reservation:
        """The next reservation, accepted."""
        reservation = await self.offered()
        await reservation.accept()
        await self.hears("accepted", reservation.sid)
        return reservation


class Desk:
    """A server, and the workers that log in."""

    def __init__(self, server: StubServer, stack: AsyncExitStack) -> None:
        self.server = server
        self._stack = stack

    @property
    def workspace(self) -> Any:
        return self.server.account.workspaces[self.server.workspace_sid]

    @property
    def telephony(self) -> Telephony:
        record: Telephony = self.workspace.telephony
        return record

    def run(self, command: Any) -> Any:
        return self.server.run(self.server.workspace_sid, command)

    def hire(self, name: str, **attributes: object) -> str:
        available = next(a.sid for a in self.workspace.activities.values() if a.available)
        text = json.dumps({"contact_uri": f"client:{name}", **attributes})
        worker = self.run(
            lambda ws: ws.create_worker(friendly_name=name, activity_sid=available, attributes=text)
        )
        return str(worker.sid)

    async def log_in(self, name: str, **attributes: object) -> Colleague:
        """A new, available worker that is ready."""
        colleague = Colleague(self.worker(Worker, self.hire(name, **attributes), Role.WORKER))
        await self._stack.enter_async_context(colleague.worker)
        return colleague

    async def supervisor(self, name: str) -> Supervisor:
        """A supervisor that is ready and takes no tasks itself."""
        sid = self.hire(name)
        offline = next(a.sid for a in self.workspace.activities.values() if not a.available)
        self.run(lambda ws: ws.update_worker(sid, activity_sid=offline))
        boss: Supervisor = self.worker(Supervisor, sid, Role.SUPERVISOR)
        await self._stack.enter_async_context(boss)
        return boss

    def worker(self, kind: Any, sid: str, role: Role) -> Any:
        token = worker_token(
            account_sid=self.server.account_sid,
            signing_key_sid=self.server.signing_key_sid,
            signing_key_secret=self.server.signing_key_secret,
            workspace_sid=self.server.workspace_sid,
            worker_sid=sid,
            role=role.value,
        )
        return kind(token, eb_server=self.server.eb_server, ws_server=self.server.ws_server, proxy=None)

    def task(self, **attributes: object) -> Any:
        return self.run(lambda ws: ws.create_task(attributes=json.dumps(attributes)))

    def queue(self, name: str, target_workers: str) -> str:
        queue = self.run(lambda ws: ws.create_task_queue(friendly_name=name, target_workers=target_workers))
        return str(queue.sid)


@pytest.fixture
async def desk(server: StubServer) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        yield Desk(server, stack)


async def handing_over(desk: Desk) -> tuple[Colleague, Reservation, Colleague]:
    """Nina holds a task, and Otto is there."""
    nina = await desk.log_in("nina")
    desk.task(topic="cards")
    held = await nina.at_work()
    return nina, held, await desk.log_in("otto")


# --- Transfers ----------------------------------------------------------------------------------


async def test_warm_transfer_keeps_both_on_the_task(desk: Desk) -> None:
    nina, held, otto = await handing_over(desk)
    transfer = await held.task.transfer(otto.sid, attributes={"topic": "loans"}, priority=0)
    assert (transfer.status, transfer.mode, transfer.type, transfer.to) == (
        "initiated",
        "WARM",
        "WORKER",
        otto.sid,
    )
    assert (transfer.reservation_sid, transfer.worker_sid) == (held.sid, nina.sid)
    await nina.hears("transferInitiated", "task")
    taken = await otto.offered()
    assert taken.task.attributes == {"topic": "loans"}
    assert taken.transfer is not None
    assert (taken.transfer.sid, taken.transfer.status) == (transfer.sid, "initiated")
    assert taken.task.transfers.incoming is taken.transfer

    await taken.accept()
    await nina.hears("completed", transfer.sid)
    await otto.hears("accepted", taken.sid)
    assert (transfer.status, taken.transfer.status, held.status) == ("complete", "complete", "accepted")
    await held.complete()
    await nina.hears("completed", held.sid)
    assert taken.status == "accepted"
    await taken.task.complete("solved")
    await otto.hears("completed", taken.sid)
    assert nina.told.index(("completed", transfer.sid)) < nina.told.index(("completed", held.sid))


async def test_cold_transfer_sends_the_first_worker_to_wrap_up(desk: Desk) -> None:
    nina, held, otto = await handing_over(desk)
    transfer = await held.task.transfer(otto.sid, mode="COLD")
    taken = await otto.at_work()
    await nina.hears("wrapup", held.sid)
    assert (transfer.status, held.status, held.task.status) == ("complete", "wrapping", "assigned")
    steps = [event for event in nina.told if event[1] in (transfer.sid, held.sid)]
    assert steps[-2:] == [("completed", transfer.sid), ("wrapup", held.sid)]
    await held.complete()
    assert taken.status == "accepted"


async def test_queue_is_asked_until_somebody_accepts(desk: Desk) -> None:
    nina = await desk.log_in("nina")
    desk.task()
    held = await nina.at_work()
    second_line = desk.queue("Second line", "line == 2")
    otto, paul = await desk.log_in("otto", line=2), await desk.log_in("paul", line=2)
    transfer = await held.task.transfer(second_line, mode="COLD")
    refused = await otto.offered()
    assert (refused.task.queue_sid, transfer.type) == (second_line, "QUEUE")
    offline = next(a for a in otto.worker.activities.values() if not a.available)
    await refused.reject(activity_sid=offline.sid)
    await nina.hears("attemptFailed", transfer.sid)
    assert transfer.status == "initiated"
    assert "reservation reject" in (transfer.transfer_failed_reason or "")
    taken = await paul.at_work()
    await nina.hears("wrapup", held.sid)
    assert (transfer.status, taken.task.queue_sid) == ("complete", second_line)


async def test_rejected_transfer_leaves_the_task_with_its_worker(desk: Desk) -> None:
    nina, held, otto = await handing_over(desk)
    transfer = await held.task.transfer(otto.sid)
    refused = await otto.offered()
    await refused.reject()
    await nina.hears("failed", transfer.sid)
    assert transfer.transfer_failed_reason == "Transfer failed because the reservation was rejected"
    assert refused.transfer is not None
    await otto.hears("rejected", refused.sid)
    assert refused.transfer.status == "failed"
    await until(lambda: held.task.status == "assigned", lambda: held.task.status)
    with pytest.raises(RequestInvalidError, match="already in state"):
        await transfer.cancel()


async def test_unanswered_transfer_fails_when_its_time_is_up() -> None:
    clock = ManualClock(1_800_000_000)
    async with AsyncExitStack() as stack:
        server = StubServer(Settings(port=0), clock=clock)
        await stack.enter_async_context(server)
        desk = Desk(server, stack)
        nina, held, otto = await handing_over(desk)
        transfer = await held.task.transfer(otto.sid)
        unanswered = await otto.offered()
        clock.advance(120)
        server.tick()
        await nina.hears("failed", transfer.sid)
        await otto.hears("timeout", unanswered.sid)
        assert transfer.transfer_failed_reason == "Transfer failed because the reservation timed out"


async def test_canceled_transfer_takes_the_offer_back(desk: Desk) -> None:
    nina, held, otto = await handing_over(desk)
    transfer = await held.task.transfer(otto.sid)
    offer = await otto.offered()
    assert await transfer.cancel() is transfer
    assert transfer.status == "canceled"
    await nina.hears("canceled", transfer.sid)
    await otto.hears("canceled", offer.sid)
    assert offer.transfer is not None
    assert offer.transfer.status == "canceled"
    assert held.status == "accepted"


# --- Instructions -------------------------------------------------------------------------------


async def offered(desk: Desk) -> tuple[Colleague, Reservation]:
    """Nina, and a task that is offered to her."""
    nina = await desk.log_in("nina")
    desk.task(topic="cards")
    return nina, await nina.offered()


async def test_dequeued_caller_talks_with_the_worker_until_somebody_hangs_up(desk: Desk) -> None:
    nina, reservation = await offered(desk)
    assert (
        await reservation.dequeue(from_="+15005550006", timeout=30, record="record-from-answer")
        is reservation
    )
    assert reservation.status == "accepted"
    await nina.hears("updated", "task")
    [call] = desk.telephony.calls.values()
    assert reservation.task.attributes == {"topic": "cards", "worker_call_sid": call.sid}
    desk.run(lambda ws: ws.end_call(call.sid))
    await nina.hears("wrapup", reservation.sid)
    assert (reservation.status, reservation.task.status) == ("wrapping", "wrapping")


@pytest.mark.parametrize("accept", [True, False])
async def test_call_and_redirect_accept_when_they_are_told_to(desk: Desk, accept: bool) -> None:
    nina, reservation = await offered(desk)
    await reservation.redirect("CA" + "1" * 32, URL)
    assert reservation.status == "pending"
    await reservation.call("+15005550006", URL, to="+15005550009", accept=accept, status_callback_url=URL)
    assert reservation.status == ("accepted" if accept else "pending")
    await nina.hears("updated", "task")
    [call], [redirect] = desk.telephony.calls.values(), desk.telephony.redirects
    assert (call.to, call.url, redirect.url) == ("+15005550009", URL, URL)


async def test_conference_with_a_warm_partner_and_a_supervisor(desk: Desk) -> None:
    nina, reservation = await offered(desk)
    await reservation.conference(
        from_="+15005550006",
        beep=True,
        status_callback_event=["initiated", "completed"],
        status_callback=URL,
        conference_record="record-from-start",
        max_participants=5,
        jitter_buffer_size="small",
    )
    await nina.hears("accepted", reservation.sid)
    await nina.hears("updated", "task")
    [conference] = desk.telephony.conferences.values()
    assert reservation.task.attributes["conference"]["sid"] == conference.sid

    await reservation.update_participant(mute=True, end_conference_on_exit=False, beep_on_exit=True)
    await reservation.task.update_participant(hold=True, hold_url=URL, hold_method="GET")
    own, customer = conference.participants
    assert (own.muted, own.beep_on_exit, customer.hold, customer.hold_url) == (True, True, True, URL)

    otto = await desk.log_in("otto")
    await reservation.task.transfer(otto.sid)
    taken = await otto.offered()
    await taken.conference()
    await otto.hears("accepted", taken.sid)
    boss = await desk.supervisor("boss")
    await boss.monitor(reservation.task.sid, reservation.sid, mode="barge")
    assert [(p.call.role, p.call.worker_sid) for p in conference.present] == [
        ("worker", nina.sid),
        ("customer", None),
        ("worker", otto.sid),
        ("supervisor", boss.sid),
    ]

    await reservation.task.hold(otto.sid, True, hold_url=URL)
    partner = conference.worker(otto.sid)
    assert partner is not None
    assert partner.hold
    await reservation.task.kick(otto.sid)
    assert conference.worker(otto.sid) is None
    assert (taken.status, reservation.status) == ("accepted", "accepted")


async def test_what_is_out_of_range_is_refused_by_name(desk: Desk) -> None:
    _, reservation = await offered(desk)
    with pytest.raises(RequestInvalidError, match="MaxParticipants is not valid"):
        await reservation.conference(max_participants=1)
    with pytest.raises(RequestInvalidError, match="DequeueRecord is not valid"):
        await reservation.dequeue(record="loudly")
    with pytest.raises(RequestInvalidError, match="has no running conference"):
        await reservation.task.update_participant(hold=True)
    assert reservation.status == "pending"


async def test_transferred_reservation_refuses_to_be_dequeued(desk: Desk) -> None:
    _, held, otto = await handing_over(desk)
    await held.task.transfer(otto.sid)
    taken = await otto.offered()
    with pytest.raises(RequestInvalidError, match="made by a transfer") as caught:
        await taken.dequeue()
    assert caught.value.code == 40151
