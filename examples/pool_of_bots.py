"""Run every worker whose attributes say that it is a bot, in one process with shared connections.

Needs the environment of accept_reservations.py, without TASKROUTER_WORKER_SID.
"""

import asyncio
import os

from taskrouter_worker import Reservation, TaskRouterError, Worker, WorkerPool, Workspace, worker_token

EB_SERVER = os.environ.get("TASKROUTER_EB_SERVER")
WS_SERVER = os.environ.get("TASKROUTER_WS_SERVER")


def token(worker_sid: str | None, role: str = "worker") -> str:
    return worker_token(
        account_sid=os.environ["TWILIO_ACCOUNT_SID"],
        signing_key_sid=os.environ["TWILIO_API_KEY"],
        signing_key_secret=os.environ["TWILIO_API_SECRET"],
        workspace_sid=os.environ["TASKROUTER_WORKSPACE_SID"],
        worker_sid=worker_sid,
        role=role,
    )


async def main() -> None:
    pool = WorkerPool(max_connections=20, eb_server=EB_SERVER, ws_server=WS_SERVER)
    async with Workspace(token(None, "admin"), eb_server=EB_SERVER) as workspace:
        for worker_sid in await workspace.fetch_workers_info(target_workers_expression="bot == true"):
            pool.add(token(worker_sid))
    print(f"starting {len(pool.workers)} bots; press Ctrl-C to stop")

    @pool.on("reservationCreated")
    async def work(worker: Worker, reservation: Reservation) -> None:
        await reservation.accept()
        print(f"{worker.name} works on {reservation.task.attributes}")
        await reservation.task.complete("done")

    @pool.on("error")
    def failed(worker: Worker, error: TaskRouterError) -> None:
        print(f"{worker.name}: {error}")

    @pool.on("workerEnded")
    def ended(worker: Worker, error: TaskRouterError | None) -> None:
        print(f"{worker.name} is gone: {error}")

    await pool.run(drain_timeout=30)
    print("all left")


asyncio.run(main())
