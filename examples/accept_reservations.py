"""Accept whatever a worker is offered and complete it, against any TaskRouter.

Configuration comes from the environment. For Twilio give the first five; for a local server give
TASKROUTER_EB_SERVER and TASKROUTER_WS_SERVER as well (`taskrouter-stub serve` prints all of them).
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
        print(f"{worker.name} works on {reservation.task.attributes}")
        await reservation.task.complete("done")

    async with worker:
        print(f"{worker.name} is {worker.activity_name}; press Ctrl-C to stop")
        await worker.wait_closed()


with suppress(KeyboardInterrupt):
    asyncio.run(main())
