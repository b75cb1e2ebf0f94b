"""On the optional faster event loop: ``pip install 'taskrouter-worker[uvloop]'``."""

from __future__ import annotations

import asyncio
import sys

import pytest

from server_stub import Settings, StubServer
from taskrouter_worker import Reservation
from tests.sdk.office import Office


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not made for Windows")
def test_a_worker_takes_and_finishes_a_task_on_uvloop_and_closes_cleanly() -> None:
    import uvloop  # noqa: PLC0415 - where it exists

    async def work() -> str:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        async with StubServer(Settings(port=0)) as server:
            office = Office(server)
            worker = office.worker(office.hire())
            done: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()

            @worker.on("reservationCreated")
            async def take(reservation: Reservation) -> None:
                await reservation.accept()
                await reservation.complete()
                done.set_result(reservation)

            async with worker, asyncio.timeout(30):
                task = office.task()
                assert (await done).status == "completed"
            return office.status(task)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(work()) == "completed"
