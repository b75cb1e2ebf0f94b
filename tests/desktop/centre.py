"""A contact centre for the tests of the agent desktop: a local server in another thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from examples.agent_desktop.login import Login
from server_stub import Settings, StubServer
from server_stub.domain.workspace import Workspace
from server_stub.testing import BackgroundServer
from tests.support import access_token

__all__ = ["PATIENCE", "Centre", "open_centre"]

PATIENCE = 60.0
"""Seconds until something that must come counts as missing."""

T = TypeVar("T")


class Centre:
    """The default workspace, with Nina, who takes three tasks at once, and Omar, whom nothing is routed to.

    Attributes:
        background: the server.
        nina, omar: their SIDs.
    """

    def __init__(self, background: BackgroundServer) -> None:
        self.background = background
        self.nina = self.hire("Nina")
        self.omar = self.hire("Omar")

    def call(self, function: Callable[[StubServer], T]) -> T:
        """Do something in the server's thread."""
        return self.background.call(function)

    def run(self, command: Callable[[Workspace], T]) -> T:
        """A command in the workspace."""
        return self.call(lambda server: server.run(server.workspace_sid, command))

    def hire(self, name: str, **attributes: Any) -> str:
        """Somebody new, who is available."""

        def create(workspace: Workspace) -> str:
            available = next(a.sid for a in workspace.activities.values() if a.available)
            worker = workspace.create_worker(
                friendly_name=name, attributes=json.dumps(attributes), activity_sid=available
            )
            for channel in list(worker.channels.values()):
                workspace.update_worker_channel(worker.sid, channel.sid, capacity=3)
            return worker.sid

        return self.run(create)

    def login(self, worker_sid: str = "", **options: Any) -> Login:
        """What somebody logs in with; Nina unless another is named."""
        return Login(token=self.token(worker_sid, **options), server=self.url)

    def token(self, worker_sid: str = "", **options: Any) -> str:
        """A token, Nina's unless another is named."""
        return self.call(lambda server: access_token(server, worker_sid or self.nina, **options))

    @property
    def url(self) -> str:
        """Where the server is."""
        return self.call(lambda server: server.rest_url)

    def task(self, worker_sid: str = "", **attributes: Any) -> str:
        """A task for one worker, Nina unless another is named; its SID."""
        return self.run(
            lambda ws: (
                ws.create_task(routing_target=worker_sid or self.nina, attributes=json.dumps(attributes)).sid
            )
        )

    def status(self, task_sid: str) -> str:
        """Of a task."""
        return self.call(lambda server: str(self._workspace(server).task(task_sid).status))

    def activity(self, worker_sid: str = "") -> str:
        """The name of somebody's activity, Nina's unless another is named."""
        return self.call(
            lambda server: self._workspace(server).worker(worker_sid or self.nina).activity.friendly_name
        )

    def hasty(self) -> None:
        """From now on an offer waits for one second."""

        def change(workspace: Workspace) -> None:
            for workflow in list(workspace.workflows.values()):
                workspace.update_workflow(workflow.sid, task_reservation_timeout=1)

        self.run(change)

    @staticmethod
    def _workspace(server: StubServer) -> Workspace:
        return server.account.workspaces[server.workspace_sid]


@contextmanager
def open_centre() -> Iterator[Centre]:
    """One on a free port."""
    with BackgroundServer(Settings(port=0, settle_ms=0)) as background:
        yield Centre(background)
