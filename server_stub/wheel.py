"""One timer for the recurring needs of all sessions."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["Rider", "Wheel"]

TICK_SECONDS: Final = 0.1
"""The wheel's grain."""

SNAPSHOT_SECONDS: Final = 2.0
"""How long after `init` a session's frames are held at most."""


class Rider(Protocol):
    """What the wheel notes on each session: its place, so that it is found again without a search."""

    slot: int
    expiry_tick: int

    def __hash__(self) -> int: ...


S = TypeVar("S", bound=Rider)


class Wheel(Generic[S]):
    """Heartbeats, token expiries and snapshot deadlines of all sessions, on one timer.

    The sessions are dealt out evenly to the ticks of a heartbeat's period, whenever they connect.
    """

    def __init__(
        self,
        period: float,
        *,
        beat: Callable[[S], None],
        expire: Callable[[S], None],
        complete: Callable[[S], None],
    ) -> None:
        self._slots: list[set[S]] = [set() for _ in range(max(1, math.ceil(period / TICK_SECONDS)))]
        self._tick_seconds = period / len(self._slots)
        self._beat = beat
        self._expire = expire
        self._complete = complete
        self._expiries: dict[int, set[S]] = {}  # by tick
        self._snapshots: deque[tuple[int, S]] = deque()  # by tick, ascending: all wait equally long
        self._dealt = 0
        self._size = 0
        self._start = 0.0  # loop time of tick 0
        self._tick = 0  # the last one that was carried out
        self._timer: asyncio.TimerHandle | None = None

    def add(self, session: S, *, expires_in: float) -> None:
        """Look after a session that was just made. `expires_in` is in seconds."""
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._start = loop.time()
            self._tick = 0
            self._arm(loop)
        elapsed = loop.time() - self._start
        session.slot = self._dealt % len(self._slots)
        self._dealt += 1
        self._size += 1
        self._slots[session.slot].add(session)
        session.expiry_tick = max(
            self._tick + 1, math.ceil((elapsed + max(expires_in, 0)) / self._tick_seconds)
        )
        self._expiries.setdefault(session.expiry_tick, set()).add(session)
        # The tick before the deadline: it must not be late.
        due = max(self._tick + 1, math.floor((elapsed + SNAPSHOT_SECONDS) / self._tick_seconds))
        self._snapshots.append((due, session))

    def remove(self, session: S) -> None:
        """Forget a session."""
        self._slots[session.slot].discard(session)
        self._size -= 1
        expiring = self._expiries.get(session.expiry_tick)
        if expiring is not None:
            expiring.discard(session)
            if not expiring:
                del self._expiries[session.expiry_tick]
        if self._size == 0:
            self.stop()

    def stop(self) -> None:
        """Stand still."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._snapshots.clear()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_at(self._start + (self._tick + 1) * self._tick_seconds, self._turn)

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        # The timer was set for the next tick: at least that one is due, whatever the division rounds to.
        now = max(self._tick + 1, math.floor((loop.time() - self._start) / self._tick_seconds))
        # After a long halt each slot still gets one beat, not one for every missed round.
        first = max(self._tick + 1, now - len(self._slots) + 1)
        for tick in range(self._tick + 1, now + 1):
            self._tick = tick
            for session in list(self._expiries.get(tick, ())):
                self._expire(session)
            if tick >= first:
                for session in list(self._slots[tick % len(self._slots)]):
                    self._beat(session)
        while self._snapshots and self._snapshots[0][0] <= now:
            self._complete(self._snapshots.popleft()[1])
        if self._timer is not None:
            self._arm(loop)
