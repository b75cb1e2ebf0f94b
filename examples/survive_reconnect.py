"""Lose the connection and miss nothing: what happened meanwhile is told afterwards, on the same objects.

Needs the environment of accept_reservations.py.
"""

import asyncio
import os
from contextlib import suppress

from taskrouter_worker import Disconnect, Reservation, Worker, worker_token


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
        set_worker_offline_if_disconnected=False,
    )

    @worker.on("ready")
    def ready(_: Worker) -> None:
        print(f"ready, with {len(worker.reservations)} reservations")

    @worker.on("disconnected")
    def disconnected(how: Disconnect) -> None:
        print(f"disconnected: {how.cause}; comes back by itself: {how.will_reconnect}")

    @worker.on("reservationCreated")
    async def created(reservation: Reservation) -> None:
        # origin: "event" if it was pushed, "snapshot" if it was there at the start, "resync" after a gap.
        print(f"offered ({reservation.origin}): {reservation.task.attributes}")
        reservation.on("ended", ended)
        await reservation.accept()

    def ended(reservation: Reservation) -> None:
        print(f"ended ({reservation.origin}): {reservation.outcome}")

    async with worker:
        await worker.wait_closed()


with suppress(KeyboardInterrupt):
    asyncio.run(main())
