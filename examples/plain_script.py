"""A worker without asyncio: commands block, and handlers run in this thread.

Needs the environment of accept_reservations.py.
"""

import os

from taskrouter_worker import SyncWorker, worker_token
from taskrouter_worker.sync import SyncReservation

worker = SyncWorker(
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
def ready(_: SyncWorker) -> None:
    print(f"{worker.name} is {worker.activity_name}; press Ctrl-C to stop")


@worker.on("reservationCreated")
def handle(reservation: SyncReservation) -> None:
    reservation.accept()
    print(f"working on {reservation.task.attributes}")
    reservation.task.complete("done")
    print(f"the task is {reservation.task.status}")


worker.run()
print("left")
