"""Switches for tests: what goes wrong between a client and this server, and when.

`StubServer.faults` is all quiet until a test sets a hook. A hook is called for each frame or
request and returns what shall happen to it, or None to let it pass::

    server.faults.frame = lambda frame: FrameFault("cut_before") if frame.event_type == "init" else None
    server.faults.request = lambda request: RequestFault(status=503) if request.method == "POST" else None
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Faults", "FaultyFrame", "FaultyRequest", "FrameFault", "RequestFault"]


@dataclass(frozen=True, slots=True)
class FaultyFrame:
    """A frame about to be written to one session's websocket."""

    worker_sid: str
    session: int  # counts the server's sessions from 1
    event_type: str  # "" for a heartbeat
    data: bytes


@dataclass(frozen=True, slots=True)
class FrameFault:
    """What happens to a frame: `delay` seconds first, then the action."""

    action: Literal["send", "duplicate", "drop", "cut_before", "cut_after"] = "send"
    delay: float = 0.0
    replace: bytes | None = None  # sent in its place, garbage included


@dataclass(frozen=True, slots=True)
class FaultyRequest:
    """An HTTP request that passed authentication. On the event bridge, the inner request."""

    door: Literal["bridge", "rest"]
    method: str
    path: str  # as in the REST API, from `Workspaces/` on


@dataclass(frozen=True, slots=True)
class RequestFault:
    """What happens to a request: `delay` seconds first, then at most one of the others.

    `cut` ends the TCP connection: before the request is carried out, or after it but before the answer.
    """

    status: int | None = None  # refuse with this status, carry nothing out
    cut: Literal["before", "after"] | None = None
    delay: float = 0.0


class Faults:
    """The hooks. Each is None, which costs nothing, until a test sets it."""

    __slots__ = ("frame", "mute_heartbeats", "request")

    def __init__(self) -> None:
        self.frame: Callable[[FaultyFrame], FrameFault | None] | None = None
        self.request: Callable[[FaultyRequest], RequestFault | None] | None = None
        self.mute_heartbeats = False

    async def on_request(
        self, door: Literal["bridge", "rest"], method: str, path: str
    ) -> RequestFault | None:
        """Ask the hook and wait its delay."""
        if self.request is None:
            return None
        fault = self.request(FaultyRequest(door, method, path))
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        return fault
