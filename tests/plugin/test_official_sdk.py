"""The official SDK for JavaScript in a workspace of the fixture's, with its time."""

from __future__ import annotations

from server_stub.testing import TaskRouter
from tests.interop.official_sdk import OfficialSdk


async def test_official_sdk_serves_and_hears_what_time_brings(taskrouter: TaskRouter) -> None:
    alice = taskrouter.worker("Alice")
    async with OfficialSdk(taskrouter) as sdk:
        worker = await sdk.worker(taskrouter.token(alice))
        task = taskrouter.task({"topic": "cards"})
        offered = (await worker.event("reservationCreated")).data["sid"]
        assert offered == taskrouter.assert_reserved(task, alice).sid
        await worker.call("accept", on=("reservations", offered))
        taskrouter.assert_accepted(task, alice)
        task.complete("solved")
        await worker.event("completed", sid=offered)

        late = taskrouter.task()
        reservation = (await worker.event("reservationCreated")).data["sid"]
        await taskrouter.clock.advance(119.999)
        assert "timeout" not in worker.names("reservation")
        await taskrouter.clock.advance(0.001)
        await worker.event("timeout", kind="reservation", sid=reservation)
        taskrouter.assert_timed_out(late, alice)
        await worker.event("activityUpdated", kind="worker", sid=alice.sid)
