"""Fault injection for one workspace, from a test's thread."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from server_stub.faults import FaultAction, FaultHandle, FaultRecord, FaultRule
from server_stub.faults.helpers import FaultHelpers

from .background import BackgroundServer

__all__ = ["FaultInTest", "WorkspaceFaults"]


class FaultInTest(FaultHandle):
    """A rule that was added. Its counters are live; its methods may be called from any thread."""

    def __init__(self, server: BackgroundServer, handle: FaultHandle) -> None:
        # The very same state: whoever counts in the server's thread counts for this one as well.
        self.__dict__ = handle.__dict__
        self._there = server, handle

    def remove(self) -> None:
        """End it. Does nothing the second time."""
        server, handle = self._there
        server.call(lambda _: handle.remove())

    async def wait_for_hits(self, hits: int = 1, *, timeout: float | None = 5.0) -> None:
        """Wait until it hit that often; raises TimeoutError if it does not."""
        server, handle = self._there
        await asyncio.wrap_future(server.submit(lambda _: handle.wait_for_hits(hits, timeout=timeout)))


class WorkspaceFaults(FaultHelpers):
    """What goes wrong in one workspace: `taskrouter.faults`. Nothing of it reaches another test.

    It has the methods of `StubServer.faults`: ``taskrouter.faults.refuse_requests(503, times=2)``. What is
    left of it ends with the workspace.
    """

    def __init__(self, server: BackgroundServer, workspace_sid: str) -> None:
        self._server = server
        self._workspace_sid = workspace_sid

    def add(self, rule: FaultRule) -> FaultInTest:
        """Let a rule stand; it concerns this workspace only."""
        scoped = replace(rule, workspace_sid=self._workspace_sid)
        return FaultInTest(self._server, self._server.call(lambda server: server.faults.add(scoped)))

    def do(self, action: FaultAction) -> list[int]:
        """Do something at once to sessions of this workspace; the numbers of those that it hit."""
        scoped = replace(action, workspace_sid=self._workspace_sid)
        return self._server.call(lambda server: server.faults.do(scoped))

    def clear(self) -> None:
        """Remove every rule of this workspace."""
        self._server.call(lambda server: server.faults.clear(self._workspace_sid))

    def log(self) -> list[FaultRecord]:
        """What rules and actions did in this workspace, oldest first."""
        return self._server.call(lambda server: server.faults.log_of(self._workspace_sid))
