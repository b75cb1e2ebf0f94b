"""Accept a task, hand it to a colleague or a queue, and wrap up one's own part of it.

Needs the environment of accept_reservations.py, and TASKROUTER_TRANSFER_TO: the colleague's WK... or the
queue's WQ...
"""

import asyncio
import os
from contextlib import suppress

from taskrouter_worker import Reservation, Worker, worker_token


async def main() -> None:
    token = worker_token(
        account_sid=os.environ["TWILIO_ACCOUNT_SID"],
        signing_key_sid=os.environ["TWILIO_API_KEY"],
        signing_key_secret=os.environ["TWILIO_API_SECRET"],
        workspace_sid=os.environ["TASKROUTER_WORKSPACE_SID"],
        worker_sid=os.environ["TASKROUTER_WORKER_SID"],
    )
    worker = Worker(
        token,
        eb_server=os.environ.get("TASKROUTER_EB_SERVER"),
        ws_server=os.environ.get("TASKROUTER_WS_SERVER"),
    )

    @worker.on("reservationCreated")
    async def handle(reservation: Reservation) -> None:
        await reservation.accept()
        print(f"accepted {reservation.task.attributes}")
        transfer = await reservation.task.transfer(os.environ["TASKROUTER_TRANSFER_TO"], mode="WARM")
        if transfer.status == "initiated":
            await transfer.wait_for("completed", "failed", "canceled")
        print(f"the transfer is {transfer.status}")
        await reservation.wrap()
        print("wrapping up: it still takes capacity")
        await reservation.complete()
        print("completed this worker's part")

    async with worker:
        print(f"{worker.name} is ready; press Ctrl-C to stop")
        await worker.wait_closed()


with suppress(KeyboardInterrupt):
    asyncio.run(main())
