"""A worker with our SDK beside a worker with the official one, on one server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from taskrouter_worker import Reservation, Worker
from taskrouter_worker.reservation import ReservationEvent
from tests.interop.conftest import Desk
from tests.interop.official_sdk import PATIENCE

EVENTS: tuple[ReservationEvent, ...] = (
    *("accepted", "rejected", "timeout", "canceled", "rescinded", "wrapup", "completed"),
)


@dataclass(eq=False)
class Colleague:
    """A worker with our SDK that notes every reservation event it hears."""

    worker: Worker
    reservations: asyncio.Queue[Reservation] = field(default_factory=asyncio.Queue)
    heard: asyncio.Queue[tuple[str, str]] = field(default_factory=asyncio.Queue)  # event, reservation SID

    def __post_init__(self) -> None:
        self.worker.on("reservationCreated", self._created)

    def _created(self, reservation: Reservation) -> None:
        for event in EVENTS:
            self._note(reservation, event)
        self.heard.put_nowait(("created", reservation.sid))
        self.reservations.put_nowait(reservation)

    def _note(self, reservation: Reservation, event: ReservationEvent) -> None:
        reservation.on(event, lambda *_: self.heard.put_nowait((event, reservation.sid)))

    async def offered(self) -> Reservation:
        """The next reservation."""
        async with asyncio.timeout(PATIENCE):
            return await self.reservations.get()

    async def next_event(self) -> tuple[str, str]:
        """The next event of any reservation, and whose."""
        async with asyncio.timeout(PATIENCE):
            return await self.heard.get()


def ours(desk: Desk, worker_sid: str) -> Colleague:
    return Colleague(
        Worker(desk.token(worker_sid), eb_server=desk.server.eb_server, ws_server=desk.server.ws_server)
    )


async def test_each_accepts_and_completes_its_own_tasks(desk: Desk) -> None:
    queues = {lang: await desk.queue(lang, f'lang == "{lang}"') for lang in ("pt", "es")}
    nina_sid, omar_sid = await desk.hire("nina", lang="pt"), await desk.hire("omar", lang="es")
    omar = await desk.log_in(omar_sid)
    nina = ours(desk, nina_sid)
    async with nina.worker:
        for _ in range(5):
            tasks = {lang: await desk.task_for(queue_sid) for lang, queue_sid in queues.items()}
            mine = await nina.offered()
            theirs = (await omar.event("reservationCreated")).data
            assert (mine.task.sid, theirs["task"]["sid"]) == (tasks["pt"], tasks["es"])
            await mine.accept()
            await omar.call("accept", on=("reservation", theirs["sid"]))
            await mine.task.complete("ours")
            await omar.call("complete", "theirs", on=("reservation", theirs["sid"], "task"))
            assert [await nina.next_event() for _ in range(3)] == [
                ("created", mine.sid),
                ("accepted", mine.sid),
                ("completed", mine.sid),
            ]
            await omar.event("completed", kind="reservation", sid=theirs["sid"])
            for lang, reason in (("pt", "ours"), ("es", "theirs")):
                stored = await desk.fetch_task(tasks[lang])
                assert (stored.assignment_status, stored.reason) == ("completed", reason)


async def test_our_worker_wins_and_the_other_is_rescinded(desk: Desk) -> None:
    await desk.max_reserved_workers(2)
    nina_sid, omar_sid = await desk.hire("nina"), await desk.hire("omar")
    omar, nina = await desk.log_in(omar_sid), ours(desk, nina_sid)
    async with nina.worker:
        task_sid = await desk.task()
        mine, theirs = await nina.offered(), (await omar.event("reservationCreated")).data
        assert mine.task.sid == theirs["task"]["sid"] == task_sid
        await mine.accept()
        await omar.event("rescinded", sid=theirs["sid"])
        assert await omar.get("reservations") == {}
        assert mine.status == "accepted"


async def test_the_other_wins_and_our_worker_is_rescinded(desk: Desk) -> None:
    await desk.max_reserved_workers(2)
    nina_sid, omar_sid = await desk.hire("nina"), await desk.hire("omar")
    omar, nina = await desk.log_in(omar_sid), ours(desk, nina_sid)
    async with nina.worker:
        await desk.task()
        mine, theirs = await nina.offered(), (await omar.event("reservationCreated")).data
        await omar.call("accept", on=("reservation", theirs["sid"]))
        await omar.event("accepted", sid=theirs["sid"])
        assert [await nina.next_event() for _ in range(2)] == [("created", mine.sid), ("rescinded", mine.sid)]
        assert nina.worker.reservations == {}


async def test_one_worker_in_both_sdks_sees_the_same_reservation_events(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    theirs, ours_ = await desk.log_in(nina_sid), ours(desk, nina_sid)
    async with ours_.worker:
        await desk.task()
        reservation = await ours_.offered()
        assert (await theirs.event("reservationCreated")).data["sid"] == reservation.sid
        await reservation.accept()
        await theirs.event("accepted", sid=reservation.sid)
        await theirs.call("wrap", on=("reservation", reservation.sid))
        await theirs.event("wrapup", kind="reservation", sid=reservation.sid)
        assert [await ours_.next_event() for _ in range(3)] == [
            ("created", reservation.sid),
            ("accepted", reservation.sid),
            ("wrapup", reservation.sid),
        ]
        await reservation.complete()
        assert await ours_.next_event() == ("completed", reservation.sid)
        await theirs.event("completed", kind="reservation", sid=reservation.sid)
        assert theirs.names(kind="reservation") == ["accepted", "wrapup", "completed"]
