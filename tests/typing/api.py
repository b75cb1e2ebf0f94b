"""What type checkers must accept and refuse in an application. They read this file; nobody runs it.

An unused `type: ignore` is an error for both checkers, so each one here proves that its line is
refused.
"""

from __future__ import annotations

from typing import Any, assert_type

from taskrouter_worker import Activity, Channel, Reservation, Task, Worker, worker_token

token = worker_token(
    account_sid="AC00000000000000000000000000000001",
    signing_key_sid="SK00000000000000000000000000000001",
    signing_key_secret="secret",
    workspace_sid="WS00000000000000000000000000000001",
    worker_sid="WK00000000000000000000000000000001",
    role="supervisor",
    lifetime=600,
)
assert_type(token, str)
worker_token(account_sid="AC1")  # type: ignore[call-arg]

worker = Worker(token, eb_server="http://127.0.0.1:8300/v1/wschannels", reconnect_activity="keep")
Worker(token, reconnect_activity="stay")  # type: ignore[arg-type]
Worker(token, ebServer="http://127.0.0.1")  # type: ignore[call-arg]


@worker.on("reservationCreated")
async def handle(reservation: Reservation) -> None:
    assert_type(await reservation.accept(), Reservation)
    assert_type(reservation.task, Task)
    assert_type(await reservation.task.complete("done"), Task)
    assert_type(reservation.task.attributes["anything"], Any)
    await reservation.reject(activity_sid="WA00000000000000000000000000000001")
    await reservation.reject(activitySid="WA1")  # type: ignore[call-arg]
    reservation.on("completed", print)
    reservation.on("complete", print)  # type: ignore[call-overload]
    reservation.on("rescinded")(print)


@worker.on("activityUpdated")
def plain(changed: Worker) -> None:
    assert_type(changed.activity, Activity | None)


worker.on("reservationMade", handle)  # type: ignore[call-overload]
worker.once("ready", plain)


async def main() -> None:
    async with worker as entered:
        assert_type(entered, Worker)
        assert_type(worker.reservations, dict[str, Reservation])
        assert_type(worker.channels, dict[str, Channel])
        for activity in worker.activities.values():
            if activity.available:
                assert_type(await activity.set_as_current(), Activity)
        await worker.set_attributes({"skills": ["cards"], "level": 4})
        task_sid = await worker.create_task(
            "+15005550009",
            "+15005550006",
            "WW00000000000000000000000000000001",
            "WQ00000000000000000000000000000001",
            attributes={"campaign": 7},
        )
        assert_type(task_sid, str)
        await worker.wait_closed()
