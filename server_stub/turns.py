"""The line of a worker's new websocket sessions: one after the other fetches its snapshot."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

__all__ = ["Displaced", "Turn", "Turns"]


class Displaced(Exception):
    """Another session came that is to be its worker's only one."""


@dataclass(slots=True, eq=False)
class Turn:
    """The place of one session in its worker's line."""

    came: asyncio.Event = field(default_factory=asyncio.Event)
    is_displaced: bool = False


class Turns:
    """Who waits to come in, by worker.

    Args:
        must_wait: whether a new session of the worker has to wait now.
    """

    def __init__(self, must_wait: Callable[[str], bool]) -> None:
        self._must_wait = must_wait
        self._lines: dict[str, deque[Turn]] = {}

    def waiting(self, worker_sid: str) -> list[Turn]:
        """The worker's line, who has waited longest first."""
        return list(self._lines.get(worker_sid, ()))

    async def wait(self, worker_sid: str, seconds: float) -> None:
        """Wait until the worker's next session may begin, but no longer than that.

        Raises:
            Displaced: see `displace`.
        """
        if not self._must_wait(worker_sid):
            return
        turn, line = Turn(), self._lines.setdefault(worker_sid, deque())
        line.append(turn)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while self._must_wait(worker_sid) and not turn.is_displaced:
                        turn.came.clear()
                        await turn.came.wait()
        finally:
            line.remove(turn)
            if not line:
                del self._lines[worker_sid]
        if turn.is_displaced:
            raise Displaced

    def next(self, worker_sid: str) -> None:
        """Let the session go on that has waited longest, unless it must still wait.

        Only that one: to wake all of them each time would cost the square of their number.
        """
        if worker_sid in self._lines and not self._must_wait(worker_sid):
            turn = next((turn for turn in self._lines[worker_sid] if not turn.came.is_set()), None)
            if turn is not None:
                turn.came.set()

    def displace(self, worker_sid: str) -> None:
        """Send away all who wait: a session came that is to be the only one."""
        for turn in self.waiting(worker_sid):
            turn.is_displaced = True
            turn.came.set()

    def wake_all(self) -> None:
        """Nobody has to wait any more."""
        for line in self._lines.values():
            for turn in line:
                turn.came.set()
