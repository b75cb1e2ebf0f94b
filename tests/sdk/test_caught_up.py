"""`caught_up`: when it returns, what the service had sent was applied, and every handler for it has begun."""

from __future__ import annotations

import asyncio

import pytest
from twilio.rest import Client
from websockets.asyncio.server import ServerConnection, serve

from server_stub import StubServer
from taskrouter_worker import NotConnectedError, Reservation, SyncWorker
from taskrouter_worker._signaling import Signaling
from taskrouter_worker._token import Token
from tests.sdk.office import Office, RestOffice
from tests.sdk.peer import Peer, heard, token, virtual_worker
from tests.sdk.virtual import passes, settle, virtual_time
from tests.sdk.world import BREAK, sid

LIST = "GET .*/Reservations$"


@virtual_time
async def test_the_handlers_of_every_frame_that_was_received_have_begun() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    begun: list[str] = []

    @worker.on("reservationCreated")
    async def handle(reservation: Reservation) -> None:
        begun.append(reservation.sid)
        await asyncio.sleep(1_000)

    async with worker:
        for _ in range(50):
            peer.push(peer.world.create_reservation())
        assert begun == []
        await worker.caught_up()
        assert begun == [sid("WR", number) for number in range(1, 51)]


@virtual_time
async def test_frames_that_come_before_the_pong_count_and_those_behind_it_do_not() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        websocket = peer.websockets[0]
        websocket.pongs = False
        waiting = asyncio.create_task(worker.caught_up())
        await settle()
        peer.push(peer.world.create_reservation())
        await settle()
        assert log == ["ready", "created 1"]
        assert not waiting.done()
        peer.push(peer.world.set_activity(BREAK))
        websocket.pong()
        await waiting
        assert log == ["ready", "created 1", "activity Break"]


@virtual_time
async def test_frames_held_for_a_snapshot_are_waited_for() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        release = peer.hold(LIST)
        peer.push(['{"event_type": "reservation.created", "payload": {}}'])  # unreadable: a snapshot is taken
        waiting = asyncio.create_task(worker.caught_up())
        await passes(5)
        peer.push(peer.world.create_reservation())
        await passes(5)
        assert log == ["ready", "error InvalidMessageError"]
        assert not waiting.done()
        release.set()
        await waiting
        assert log == ["ready", "error InvalidMessageError", "created 1"]


@virtual_time
async def test_after_a_connection_that_ended_the_next_ones_snapshot_is_waited_for() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        peer.websockets[0].pongs = False
        waiting = asyncio.create_task(worker.caught_up())
        await settle()
        peer.close()
        peer.world.create_reservation()
        await waiting
        assert log == ["ready", "disconnected connection_lost", "ready", "created 1 (resync)"]
        assert len(peer.openings) == 2
        peer.close()
        await worker.caught_up()  # asked while there is none
        assert len(peer.openings) == 3


@virtual_time
async def test_a_connection_that_takes_over_is_asked_instead() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    log = heard(worker)
    async with worker:
        peer.websockets[0].pongs = False
        waiting = asyncio.create_task(worker.caught_up())
        await settle()
        peer.push(peer.world.create_reservation())
        worker.update_token(token(2))
        await waiting
        assert log == ["ready", "tokenUpdated", "created 1"]


@virtual_time
async def test_waiting_is_bounded_if_wanted_and_ends_with_the_session() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    with pytest.raises(NotConnectedError, match="not started"):
        await worker.caught_up()
    async with worker:
        peer.websockets[0].pongs = False
        with pytest.raises(TimeoutError):
            await worker.caught_up(timeout=2)
        waiting = asyncio.create_task(worker.caught_up())
        await settle()
    with pytest.raises(NotConnectedError):
        await waiting
    with pytest.raises(NotConnectedError):
        await worker.caught_up()


@virtual_time
async def test_a_handler_that_outlives_the_session_does_not_keep_it_waiting() -> None:
    peer = Peer()
    worker = virtual_worker(peer)
    ends: list[str] = []

    @worker.on("reservationCreated")
    async def handle(_: object) -> None:
        try:
            await worker.caught_up()
            ends.append("caught up")
            peer.websockets[0].pongs = False
            await worker.caught_up()
        finally:
            ends.append("over")

    async with worker:
        peer.push(peer.world.create_reservation())
        await passes(1)
        assert ends == ["caught up"]
    assert ends == ["caught up", "over"]


async def test_frames_in_the_librarys_queue_are_read_before_it_returns() -> None:
    async def behave(websocket: ServerConnection) -> None:
        for number in range(500):
            await websocket.send(str(number))
        await websocket.wait_closed()

    async with serve(behave, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        opener = Signaling(
            f"ws://127.0.0.1:{port}/", offline_if_disconnected=None, ssl_context=None, proxy=None
        )
        async with await opener.open(Token.parse(token()), close_existing_sessions=False) as connection:
            frames: list[bytes] = []

            async def read() -> None:
                while (frame := await connection.receive()) is not None:
                    frames.append(frame)

            reading = asyncio.create_task(read())
            assert await connection.round_trip()
            assert len(frames) == 500
            connection.abandon(connection.end()[0], "enough")
            await reading
            assert not await connection.round_trip()


async def test_a_task_offered_by_a_real_server_was_heard_of(server: StubServer) -> None:
    office = Office(server)
    nina = office.hire()
    async with office.worker(nina) as worker:
        for _ in range(3):
            office.task()
            async with asyncio.timeout(30):
                while not worker.reservations:  # the server decides and writes in its own time
                    await worker.caught_up()
            for reservation in worker.reservations.values():
                await reservation.accept()
                await reservation.complete()
            async with asyncio.timeout(30):
                while worker.reservations:
                    await worker.caught_up()


def test_a_synchronous_worker_has_its_handlers_waiting(
    threaded_server: StubServer, twilio_client: Client
) -> None:
    office = RestOffice(threaded_server, twilio_client)
    nina = office.hire()
    worker = SyncWorker(office.token(nina), **office.options())
    with pytest.raises(NotConnectedError):
        worker.caught_up()
    heard: list[str] = []
    worker.on("reservationCreated", lambda reservation: heard.append(reservation.task.sid))
    with worker:
        task = office.task()
        while not worker.reservations:
            worker.caught_up(timeout=30)
        worker.caught_up(timeout=30)
        assert heard == []
        worker.process_events()
        assert heard == [task]
