"""A contact centre of its own for a first look: a local TaskRouter, colleagues, and customers who call.

Everything is on this machine and in memory; it ends with the window.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from server_stub import Settings, StubServer
from taskrouter_worker import Reservation, Worker

from .login import Login

__all__ = ["Demo"]

FIRST_PAUSES: Final = (1.0, 6.0)
PAUSE: Final = 20.0
"""Seconds between two customers."""

WAITING: Final = 2
"""So many customers may wait at once before the next one comes."""

COLLEAGUE_SECONDS: Final = 2.0
"""How long a colleague thinks before accepting."""

CUSTOMERS: Final[tuple[dict[str, Any], ...]] = (  # Any: JSON
    {
        "title": "Card lost in Lisbon",
        "customer": {"name": "Ana Ribeiro", "since": 2014},
        "topic": "cards",
        "language": "pt",
        "card": "ends in 4417",
        "note": "Is at the airport and flies home tonight. Wants a new card sent to the office.",
    },
    {
        "title": "Charged twice for one purchase",
        "customer": {"name": "Ben Okafor", "since": 2021},
        "topic": "cards",
        "language": "en",
        "amount": "84.90 EUR",
        "shop": "https://shop.example.com/orders/2026/11/0005512-8871-33",
    },
    {
        "title": "New limit for a journey",
        "customer": {"name": "Chiara Conti", "since": 2019},
        "topic": "cards",
        "language": "en",
        "from_day": "1 December",
        "to_day": "20 December",
        "limit": "5,000 EUR",
        "vip": True,
    },
    {"title": "PIN forgotten", "customer": "Dmitri Wolf", "topic": "cards", "language": "en"},
    {"title": "Contactless does not work", "customer": "Eva Lind", "topic": "cards", "language": "en"},
)

SEED: Final[dict[str, Any]] = {  # Any: see docs/state.md
    "workspaces": [
        {
            "friendly_name": "Contact Center",
            "default_activity": "Offline",
            "timeout_activity": "Unavailable",
            "activities": [{"friendly_name": "Lunch"}, {"friendly_name": "Training"}],
            "queues": [
                {"friendly_name": "Cards", "target_workers": 'skills HAS "cards"'},
                {"friendly_name": "Loans", "target_workers": 'skills HAS "loans"'},
                {"friendly_name": "Supervisors", "target_workers": 'role == "supervisor"'},
            ],
            "workflows": [
                {
                    "friendly_name": "Incoming",
                    "task_reservation_timeout": 45,
                    "configuration": {"task_routing": {"default_filter": {"queue": "Cards"}}},
                }
            ],
            "workers": [
                {
                    "friendly_name": "Nina Alves",
                    "activity": "Available",
                    "attributes": {"skills": ["cards"]},
                    "channels": {"default": 3},
                },
                {
                    "friendly_name": "Omar Haddad",
                    "activity": "Available",
                    "attributes": {"skills": ["loans"]},
                    "channels": {"default": 5},
                },
                {
                    "friendly_name": "Rosa Schmidt",
                    "activity": "Available",
                    "attributes": {"role": "supervisor"},
                    "channels": {"default": 5},
                },
                {"friendly_name": "Teo Lang", "activity": "Offline", "attributes": {"skills": ["cards"]}},
            ],
        }
    ]
}


class Demo:
    """Use it as a context manager; the login lets the agent of the demonstration in.

    Args:
        feed: whether customers come by themselves; otherwise `call` brings each.
    """

    def __init__(self, *, feed: bool = True) -> None:
        self._feed = feed
        self._thread = threading.Thread(target=self._main, name="agent desktop demo", daemon=True)
        self._started: Future[Login] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._server: StubServer | None = None
        self._customers = itertools.cycle(CUSTOMERS)
        self.login = Login()

    def __enter__(self) -> Self:
        self._thread.start()
        self.login = self._started.result(timeout=30)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._stopped is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def call(self) -> None:
        """The next customer comes."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._next_customer)

    def _main(self) -> None:
        try:
            asyncio.run(self._play())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _play(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = stopped = asyncio.Event()
        async with StubServer(Settings(port=0, seed_document=SEED)) as server:
            self._server = server
            workers = {
                worker.friendly_name: worker.sid
                for worker in server.run(server.workspace_sid, lambda ws: list(ws.workers.values()))
            }
            async with (
                self._colleague(server, workers["Omar Haddad"]),
                self._colleague(server, workers["Rosa Schmidt"]),
            ):
                # A day: nobody looks at a demonstration for longer.
                token = server.worker_token(workers["Nina Alves"], lifetime=86_400)
                self._started.set_result(Login(token=token, server=server.rest_url))
                await self._bring_customers(stopped)

    def _colleague(self, server: StubServer, worker_sid: str) -> Worker:
        """Somebody who accepts what is handed over, and soon completes it."""
        worker = Worker(
            server.worker_token(worker_sid, lifetime=86_400),
            eb_server=server.eb_server,
            ws_server=server.ws_server,
        )

        @worker.on("reservationCreated")
        async def take(reservation: Reservation) -> None:
            await asyncio.sleep(COLLEAGUE_SECONDS)
            if reservation.status == "pending":
                await reservation.accept()
                await asyncio.sleep(COLLEAGUE_SECONDS * 4)
                await reservation.complete()

        return worker

    async def _bring_customers(self, stopped: asyncio.Event) -> None:
        pauses = itertools.chain(FIRST_PAUSES, itertools.repeat(PAUSE)) if self._feed else ()
        for pause in pauses:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stopped.wait()
            if stopped.is_set():
                return
            self._next_customer()
        await stopped.wait()

    def _next_customer(self) -> None:
        if self._server is None:
            return
        workspace = self._server.account.workspaces[self._server.workspace_sid]
        if sum(str(task.status) in ("pending", "reserved") for task in workspace.tasks.values()) < WAITING:
            attributes = json.dumps(next(self._customers))
            self._server.run(workspace.sid, lambda ws: ws.create_task(attributes=attributes))
