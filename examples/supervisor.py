"""Watch the workers of a workspace, send one home, and listen to another one's call.

Needs the environment of accept_reservations.py; the worker is the supervisor. SEND_HOME is the worker to
move to `Offline`, LISTEN_TO a task and its accepted reservation: WT...,WR...
"""

import asyncio
import os

from taskrouter_worker import Supervisor, Workspace, worker_token

EB_SERVER = os.environ.get("TASKROUTER_EB_SERVER")


async def main() -> None:
    token = worker_token(
        account_sid=os.environ["TWILIO_ACCOUNT_SID"],
        signing_key_sid=os.environ["TWILIO_API_KEY"],
        signing_key_secret=os.environ["TWILIO_API_SECRET"],
        workspace_sid=os.environ["TASKROUTER_WORKSPACE_SID"],
        worker_sid=os.environ["TASKROUTER_WORKER_SID"],
        role="supervisor",
    )
    supervisor = Supervisor(token, eb_server=EB_SERVER, ws_server=os.environ.get("TASKROUTER_WS_SERVER"))
    async with supervisor, Workspace(token, eb_server=EB_SERVER) as workspace:
        for other in (await workspace.fetch_workers_info()).values():
            print(f"{other.name} is {other.activity_name}")

        offline = next(a for a in supervisor.activities.values() if a.name == "Offline")
        moved = await supervisor.set_worker_activity(
            os.environ["SEND_HOME"], offline.sid, reject_pending_reservations=True
        )
        print(f"{moved.name} is now {moved.activity_name}")

        task_sid, reservation_sid = os.environ["LISTEN_TO"].split(",")
        await supervisor.monitor(task_sid, reservation_sid, mode="whisper")
        print("whispering to the worker")


asyncio.run(main())
