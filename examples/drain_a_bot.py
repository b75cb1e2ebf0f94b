"""A bot for a container: at SIGTERM it takes no new work, finishes what it accepted, and leaves.

Needs the environment of accept_reservations.py.
"""

import asyncio
import os

from taskrouter_worker import Reservation, Worker, worker_token

worker = Worker(
    worker_token(
        account_sid=os.environ["TWILIO_ACCOUNT_SID"],
        signing_key_sid=os.environ["TWILIO_API_KEY"],
        signing_key_secret=os.environ["TWILIO_API_SECRET"],
        workspace_sid=os.environ["TASKROUTER_WORKSPACE_SID"],
        worker_sid=os.environ["TASKROUTER_WORKER_SID"],
    ),
    eb_server=os.environ.get("TASKROUTER_EB_SERVER"),
    ws_server=os.environ.get("TASKROUTER_WS_SERVER"),
)


@worker.on("ready")
def ready(_: Worker) -> None:
    print(f"{worker.name} is ready; press Ctrl-C to stop, twice to stop at once")


@worker.on("reservationCreated")
async def work(reservation: Reservation) -> None:
    await reservation.accept()
    print("working")
    await asyncio.sleep(float(os.environ.get("WORK_SECONDS", "5")))
    await reservation.task.complete("done")
    print("done")


@worker.on("activityUpdated")
def moved(_: Worker) -> None:
    print(f"now {worker.activity_name}")


asyncio.run(worker.run(drain_timeout=60))
print("left")
