"""A worker that answers simple questions by itself: ``python -m examples.contact_center_app.bot``.

It asks the service for its tokens. At SIGTERM it takes no new work, finishes what it has, and leaves.
"""

from __future__ import annotations

import asyncio
import logging
import os
from base64 import b64encode

import aiohttp

from taskrouter_worker import RequestError, Reservation, TaskRouterError, Worker

from .routing import ANSWERS, why_not

log = logging.getLogger(__name__)


def give_rules(worker: Worker, *, seconds_per_answer: float = 0.0) -> None:
    """Let a worker serve what it is offered. Call it before the worker connects."""

    @worker.on("reservationCreated")
    async def serve(reservation: Reservation) -> None:
        task, attributes = reservation.task, reservation.task.attributes
        try:
            if reason := why_not(attributes):
                # Without the mark the router would offer it to the bot again.
                await task.set_attributes({**attributes, "needs_person": True, "refused": reason})
                await reservation.reject()
                return
            await reservation.accept()
            await asyncio.sleep(seconds_per_answer)
            await task.set_attributes({**attributes, "answer": ANSWERS[attributes["topic"]]})
            await task.wrap_up("answered")
            await task.complete("answered")
        except RequestError as error:
            # An offer that could not be answered times out, and the router asks the next one.
            log.warning("task %s: %s", task.sid, error)

    @worker.on("error")
    def failed(error: TaskRouterError) -> None:
        log.error("%s", error)


async def token_from_service(url: str, name: str, password: str) -> str:
    """Log in at the service; the token that it issues."""
    credentials = b64encode(f"{name}:{password}".encode()).decode()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Basic {credentials}"}) as http,
        http.post(f"{url}/token") as response,
    ):
        response.raise_for_status()
        answer = await response.json()
        return str(answer["token"])


async def main() -> None:
    """Work until a signal comes."""
    service, name, password = (os.environ[f"BOT_{key}"] for key in ("SERVICE", "NAME", "PASSWORD"))
    worker = Worker(
        token_provider=lambda: token_from_service(service, name, password),
        eb_server=os.environ.get("TASKROUTER_EB_SERVER"),
        ws_server=os.environ.get("TASKROUTER_WS_SERVER"),
    )
    give_rules(worker, seconds_per_answer=float(os.environ.get("BOT_SECONDS_PER_ANSWER", "1")))
    worker.on("ready", lambda _: print(f"{name} is ready", flush=True))
    await worker.run(drain_timeout=60)
    print("left", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
