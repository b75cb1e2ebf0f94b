"""Stay connected for longer than a token lives: the SDK asks for the next one in time.

Your provider would ask your own server for a token; this one signs it here. Needs the environment of
accept_reservations.py; TOKEN_SECONDS says how long each token lives.
"""

import asyncio
import os
from contextlib import suppress
from itertools import count

from taskrouter_worker import Disconnect, DisconnectCause, TaskRouterError, Worker, worker_token

numbers = count(1)


async def next_token() -> str:
    print(f"asked for token {next(numbers)}")
    return worker_token(
        account_sid=os.environ["TWILIO_ACCOUNT_SID"],
        signing_key_sid=os.environ["TWILIO_API_KEY"],
        signing_key_secret=os.environ["TWILIO_API_SECRET"],
        workspace_sid=os.environ["TASKROUTER_WORKSPACE_SID"],
        worker_sid=os.environ["TASKROUTER_WORKER_SID"],
        lifetime=int(os.environ.get("TOKEN_SECONDS", "3600")),
    )


async def main() -> None:
    worker = Worker(
        token_provider=next_token,
        eb_server=os.environ.get("TASKROUTER_EB_SERVER"),
        ws_server=os.environ.get("TASKROUTER_WS_SERVER"),
    )

    @worker.on("tokenUpdated")
    def updated() -> None:
        print("token in force")

    @worker.on("disconnected")
    def disconnected(disconnect: Disconnect) -> None:
        if disconnect.cause is not DisconnectCause.CLIENT:  # which is Ctrl-C
            print("a gap: this should not happen")

    @worker.on("error")
    def failed(error: TaskRouterError) -> None:
        print(f"the next try comes by itself: {error}")

    async with worker:
        print(f"{worker.name} is ready; press Ctrl-C to stop")
        await worker.wait_closed()


with suppress(KeyboardInterrupt):
    asyncio.run(main())
