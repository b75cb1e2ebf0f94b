"""The official SDK, and the `twilio` library as the hand that runs the contact centre, on one server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from twilio.rest import Client

from server_stub import StubServer
from tests.interop.official_sdk import JsWorker, OfficialSdk
from tests.support import access_token, close_client, rest_client


@dataclass(eq=False)
class Desk:
    """A workspace, run over REST with the `twilio` library from beside the event loop."""

    server: StubServer
    client: Client
    sdk: OfficialSdk

    @property
    def workspace(self) -> Any:
        """The library's context of the default workspace. Its methods block: see `rest`."""
        return self.client.taskrouter.v1.workspaces(self.server.workspace_sid)

    async def rest(self, call: Callable[[Any], Any]) -> Any:
        """What `call(workspace)` returns; it runs in a thread, since the library blocks."""
        return await asyncio.to_thread(call, self.workspace)

    async def activity(self, name: str) -> str:
        """The SID of the activity called `name`."""
        found = await self.rest(lambda ws: ws.activities.list(friendly_name=name))
        return str(found[0].sid)

    async def hire(self, name: str, *, activity: str = "Available", **attributes: object) -> str:
        """A new worker in that activity; its SID."""
        activity_sid = await self.activity(activity)
        worker = await self.rest(
            lambda ws: ws.workers.create(
                friendly_name=name, activity_sid=activity_sid, attributes=json.dumps(attributes)
            )
        )
        return str(worker.sid)

    async def task(self, **attributes: object) -> str:
        """A new task with these attributes; its SID."""
        task = await self.rest(lambda ws: ws.tasks.create(attributes=json.dumps(attributes)))
        return str(task.sid)

    async def task_for(self, target_sid: str) -> str:
        """A new task for that worker or queue, past all workflows; its SID."""
        task = await self.rest(lambda ws: ws.tasks.create(routing_target=target_sid))
        return str(task.sid)

    async def fetch_task(self, sid: str) -> Any:
        """The task as REST shows it now."""
        return await self.rest(lambda ws: ws.tasks(sid).fetch())

    async def fetch_worker(self, sid: str) -> Any:
        """The worker as REST shows it now."""
        return await self.rest(lambda ws: ws.workers(sid).fetch())

    async def queue(self, name: str, target_workers: str) -> str:
        """A new queue for the workers that match; its SID."""
        created = await self.rest(
            lambda ws: ws.task_queues.create(friendly_name=name, target_workers=target_workers)
        )
        return str(created.sid)

    async def queue_sid(self) -> str:
        """The SID of the template's only queue."""
        return str((await self.rest(lambda ws: ws.task_queues.list()))[0].sid)

    async def workflow_sid(self) -> str:
        """The SID of the template's only workflow."""
        return str((await self.rest(lambda ws: ws.workflows.list()))[0].sid)

    async def reservation_timeout(self, seconds: int) -> None:
        """How long reservations made from now on stay pending."""
        sid = await self.workflow_sid()
        await self.rest(lambda ws: ws.workflows(sid).update(task_reservation_timeout=seconds))

    async def max_reserved_workers(self, number: int) -> None:
        """To how many workers the queue offers one task at once."""
        sid = await self.queue_sid()
        await self.rest(lambda ws: ws.task_queues(sid).update(max_reserved_workers=number))

    def token(
        self, worker_sid: str, *, role: str = "worker", ttl: int = 3600, secret: str | None = None
    ) -> str:
        """A token for one of its workers."""
        return access_token(self.server, worker_sid, role=role, ttl=ttl, secret=secret)

    async def log_in(self, worker_sid: str, **options: object) -> JsWorker:
        """A ready Worker of the official SDK."""
        return await self.sdk.worker(self.token(worker_sid), options)


@pytest.fixture
async def official_sdk(server: StubServer) -> AsyncIterator[OfficialSdk]:
    """A Node process with the official SDK, against `server`."""
    async with OfficialSdk(server) as sdk:
        yield sdk


@pytest.fixture
async def desk(server: StubServer, official_sdk: OfficialSdk) -> AsyncIterator[Desk]:
    """The default workspace with everything one needs to run it."""
    client = rest_client(server)
    yield Desk(server, client, official_sdk)
    await asyncio.to_thread(close_client, client)
