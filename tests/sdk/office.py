"""A local server with people in it, for tests of the SDK that need real sockets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from twilio.rest import Client

from server_stub import StubServer
from taskrouter_worker import Worker
from tests.support import access_token

__all__ = ["Office", "RestOffice"]


@dataclass(frozen=True)
class Office:
    """The default workspace of a server in the test's own event loop."""

    server: StubServer

    def hire(self, name: str = "nina", *, activity: str = "Available", **attributes: Any) -> str:
        """A worker in that activity; its SID."""
        workspace = self.server.account.workspaces[self.server.workspace_sid]
        [found] = [a for a in workspace.activities.values() if a.friendly_name == activity]
        return self._run(
            lambda ws: ws.create_worker(
                friendly_name=name, activity_sid=found.sid, attributes=json.dumps(attributes)
            )
        )

    def task(self, **attributes: Any) -> str:
        """A task for whoever is available; its SID."""
        return self._run(lambda ws: ws.create_task(attributes=json.dumps(attributes)))

    def task_for(self, worker_sid: str) -> str:
        """A task for that worker; its SID."""
        return self._run(lambda ws: ws.create_task(routing_target=worker_sid))

    def complete(self, task_sid: str) -> None:
        """Somebody else completes a task."""
        self._run(lambda ws: ws.update_task(task_sid, assignment_status="completed"))

    def status(self, task_sid: str) -> str:
        """`assignment_status` of a task."""
        return str(self.server.account.workspaces[self.server.workspace_sid].task(task_sid).status)

    def activity_of(self, worker_sid: str) -> str:
        """The name of a worker's activity."""
        workspace = self.server.account.workspaces[self.server.workspace_sid]
        return workspace.worker(worker_sid).activity.friendly_name

    def options(self, **options: Any) -> dict[str, Any]:
        """Options that lead a worker here."""
        return {"eb_server": self.server.eb_server, "ws_server": self.server.ws_server, **options}

    def worker(self, worker_sid: str, **options: Any) -> Worker:
        """A worker that is not connected yet."""
        return Worker(access_token(self.server, worker_sid), **self.options(**options))

    async def until(self, task_sid: str, status: str) -> None:
        """Wait for a task's status; no event of the server's announces it to a test."""
        async with asyncio.timeout(30):
            while self.status(task_sid) != status:
                await asyncio.sleep(0.01)

    def _run(self, command: Any) -> str:
        return str(self.server.run(self.server.workspace_sid, command).sid)


@dataclass(frozen=True)
class RestOffice:
    """The same, of a server in another thread: over REST, with calls that block."""

    server: StubServer
    client: Client

    @property
    def workspace(self) -> Any:
        """The `twilio` library's context of the default workspace."""
        return self.client.taskrouter.v1.workspaces(self.server.workspace_sid)

    def hire(self, name: str = "nina") -> str:
        """A worker that is available and takes five tasks at once; its SID."""
        [available] = self.workspace.activities.list(available="true")
        worker = self.workspace.workers.create(friendly_name=name, activity_sid=available.sid)
        self.workspace.workers(worker.sid).worker_channels("default").update(capacity=5)
        return str(worker.sid)

    def task(self, **attributes: Any) -> str:
        """A task for whoever is available; its SID."""
        return str(self.workspace.tasks.create(attributes=json.dumps(attributes)).sid)

    def status(self, task_sid: str) -> str:
        """`assignment_status` of a task."""
        return str(self.workspace.tasks(task_sid).fetch().assignment_status)

    def token(self, worker_sid: str, **options: Any) -> str:
        """A token for that worker."""
        return access_token(self.server, worker_sid, **options)

    def options(self, **options: Any) -> dict[str, Any]:
        """Options that lead a worker here."""
        return {"eb_server": self.server.eb_server, "ws_server": self.server.ws_server, **options}
