"""A worker as a program: signals, draining, and what `run` raises."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from server_stub import StubServer
from taskrouter_worker import (
    InvalidTokenError,
    NotConnectedError,
    Reservation,
    SessionDisplacedError,
    SessionState,
    SyncWorker,
    Worker,
    WorkerPool,
)
from tests.sdk.loopback import closed_port
from tests.sdk.office import Office
from tests.sdk.peer import Peer, server_error, token, virtual_worker
from tests.sdk.virtual import ended, passes, settle, virtual_time
from tests.sdk.world import BREAK, OFFLINE, sid
from tests.support import access_token

ROOT = Path(__file__).parents[2]
PATIENCE = 30
ONE = sid("WR", 1)
TWO = sid("WR", 2)


def signal_me(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


# drain


@virtual_time
async def test_drain_goes_offline_gives_back_what_is_pending_and_waits_for_what_was_accepted() -> None:
    peer = Peer()
    for _ in range(2):
        peer.world.create_reservation()
    async with virtual_worker(peer) as worker:
        await worker.reservations[ONE].accept()
        draining = asyncio.create_task(ended(worker.drain(), within=60))
        await passes(10)
        assert worker.activity is worker.activities[OFFLINE]
        assert peer.requests[-1].params["RejectPendingReservations"] is True
        peer.push(peer.world.end(TWO, "rejected"))
        await passes(10)
        assert not draining.done()
        await worker.reservations[ONE].complete()
        assert await draining == pytest.approx(20)


@virtual_time
async def test_drain_returns_what_is_not_finished_in_time() -> None:
    peer = Peer()
    peer.world.create_reservation()
    async with virtual_worker(peer) as worker:
        reservation = worker.reservations[ONE]
        await reservation.accept()
        assert await worker.drain(timeout=5) == [reservation]


@virtual_time
async def test_drain_goes_to_the_activity_asked_for() -> None:
    peer = Peer()
    async with virtual_worker(peer) as worker:
        assert await worker.drain(activity_sid=BREAK) == []
        assert worker.activity_sid == BREAK
        for wrong, text in ((sid("WA", 9), "one of the workspace's"), (sid("WA", 2), "takes no work")):
            with pytest.raises(ValueError, match=text):
                await worker.drain(activity_sid=wrong)


@virtual_time
async def test_drain_without_a_resting_activity_says_so_and_waits_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer = Peer()
    for activity in (OFFLINE, BREAK):
        del peer.world.activities[activity]
    async with virtual_worker(peer) as worker:
        assert await worker.drain() == []
    assert "no activity that takes no work" in caplog.text


@virtual_time
async def test_drain_ends_with_the_worker() -> None:
    peer = Peer()
    peer.world.create_reservation()
    async with virtual_worker(peer) as worker:
        draining = asyncio.create_task(worker.drain())
        await settle()
        await worker.disconnect()
        with pytest.raises(NotConnectedError, match="never come"):
            await draining


# run


async def test_a_signal_finishes_what_was_accepted_and_leaves(server: StubServer) -> None:
    office = Office(server)
    worker_sid = office.hire()
    worker = office.worker(worker_sid)
    finish = asyncio.Event()

    @worker.on("reservationCreated")
    async def work(reservation: Reservation) -> None:
        await reservation.accept()
        signal_me()
        await finish.wait()
        await reservation.task.complete("done")

    before = signal.getsignal(signal.SIGTERM)
    running = asyncio.create_task(worker.run())
    await worker.wait_for("ready", timeout=PATIENCE)
    task_sid = office.task()
    await worker.wait_for("activityUpdated", timeout=PATIENCE)
    assert office.activity_of(worker_sid) == "Offline"
    assert not running.done()
    finish.set()
    async with asyncio.timeout(PATIENCE):
        await running
    assert office.status(task_sid) == "completed"
    assert worker.state is SessionState.CLOSED
    assert signal.getsignal(signal.SIGTERM) == before


async def test_a_second_signal_leaves_at_once(server: StubServer) -> None:
    office = Office(server)
    worker = office.worker(office.hire())

    @worker.on("reservationCreated")
    async def accept(reservation: Reservation) -> None:
        await reservation.accept()
        signal_me(signal.SIGINT)

    running = asyncio.create_task(worker.run())
    await worker.wait_for("ready", timeout=PATIENCE)
    office.task()
    await worker.wait_for("activityUpdated", timeout=PATIENCE)
    signal_me(signal.SIGINT)
    async with asyncio.timeout(PATIENCE):
        await running
    assert len(worker.reservations) == 1


async def test_a_signal_while_connecting_ends_the_program(caplog: pytest.LogCaptureFixture) -> None:
    place = await closed_port()
    worker = Worker("token", eb_server=f"http://{place}", ws_server=f"ws://{place}")
    running = asyncio.create_task(worker.run())
    await worker.wait_for_state("waiting")
    caplog.set_level("INFO")
    signal_me()
    async with asyncio.timeout(PATIENCE):
        await running
    assert worker.state is SessionState.CLOSED
    assert "finishing what was accepted" not in caplog.text  # there was nothing to drain


async def test_a_drain_that_is_refused_is_logged_and_ends_the_program(
    server: StubServer, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office(server)
    worker = office.worker(office.hire())
    running = asyncio.create_task(worker.run(drain_activity_sid=sid("WA", 9)))
    await worker.wait_for("ready", timeout=PATIENCE)
    signal_me()
    async with asyncio.timeout(PATIENCE):
        await running
    assert "could not drain" in caplog.text


@pytest.mark.parametrize("kind", [Worker, SyncWorker, WorkerPool])
async def test_run_refuses_a_wrong_drain_timeout_before_it_connects(kind: Any) -> None:
    made: Any = kind() if kind is WorkerPool else kind(token())
    for wrong, refused in (("60", TypeError), (None, TypeError), (-1, ValueError)):
        with pytest.raises(refused, match=f"drain_timeout .*{wrong!r}"):
            await made.run(drain_timeout=wrong)


async def test_run_raises_why_the_session_ended_and_no_exception_group(server: StubServer) -> None:
    office = Office(server)
    worker_sid = office.hire()
    worker = office.worker(worker_sid)
    running = asyncio.create_task(worker.run())
    await worker.wait_for("ready", timeout=PATIENCE)
    async with office.worker(worker_sid, close_existing_sessions=True):
        with pytest.raises(SessionDisplacedError):
            await running


async def test_run_raises_a_refused_token(server: StubServer) -> None:
    office = Office(server)
    wrong = access_token(server, office.hire(), secret="another-secret-of-32-bytes-or-more")
    with pytest.raises(InvalidTokenError):
        await Worker(wrong, **office.options()).run()


async def test_run_returns_when_the_worker_is_disconnected(server: StubServer) -> None:
    worker = Office(server).worker(Office(server).hire())
    worker.on("ready", lambda w: w.disconnect())
    async with asyncio.timeout(PATIENCE):
        await worker.run(signals=())


@virtual_time
async def test_what_is_left_unfinished_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.world.create_reservation()
    worker = virtual_worker(peer)
    async with worker:
        await worker.reservations[ONE].accept()
        from taskrouter_worker import _running  # noqa: PLC0415 - the part of `run` after the signal

        await _running.leave(worker, activity_sid=None, timeout=3)
        peer.fail("POST", server_error(503))
        await _running.leave(worker, activity_sid=None, timeout=3)
    assert f"left unfinished: {ONE}" in caplog.text
    assert "could not drain: out of order" in caplog.text


PROGRAM = """
import asyncio, os
from taskrouter_worker import Worker

worker = Worker(os.environ["TOKEN"], eb_server=os.environ["EB"], ws_server=os.environ["WS"])

@worker.on("reservationCreated")
async def work(reservation):
    await reservation.accept()
    print("accepted", flush=True)
    await worker.wait_for("activityUpdated")
    await reservation.complete()
    print("completed", flush=True)

worker.once("ready", lambda _: print("ready", flush=True))
asyncio.run(worker.run())
print("left")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_program_drains_on_a_real_signal(server: StubServer, number: signal.Signals) -> None:
    office = Office(server)
    worker_sid = office.hire()
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PROGRAM),
        stdout=PIPE,
        stderr=PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TOKEN": access_token(server, worker_sid),
            "EB": server.eb_server,
            "WS": server.ws_server,
        },
    )
    assert program.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await program.stdout.readline() == b"ready\n"
        task_sid = office.task()
        assert await program.stdout.readline() == b"accepted\n"
        program.send_signal(number)
        out, err = await program.communicate()
    assert (out.decode(), err.decode(), program.returncode) == ("completed\nleft\n", "", 0)
    assert office.status(task_sid) == "completed"
    assert office.activity_of(worker_sid) == "Offline"
