"""The events of a workspace, as they were when they happened, kept for as long as retention allows.

What an event says is fixed when it is recorded: its resource is a live entity and changes with the
next command. Whoever records it renders it; here it is kept, found and forgotten.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from taskrouter_worker.terms import EventType, SidPrefix

from .errors import InvalidArgument, NotFound

__all__ = ["History", "PastEvent", "Window", "event_sid"]

DEFAULT_MINUTES = 15
"""How far back events and cumulative statistics look unless asked otherwise (TaskRouter)."""


def event_sid(workspace_sid: str, seq: int) -> str:
    """The SID of a workspace's event: the same wherever it is shown, without anyone having to note it."""
    return SidPrefix.EVENT + hashlib.md5(f"{workspace_sid} {seq}".encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in epoch seconds, both ends within it (REST API: "on or after", "on or before")."""

    start: float
    end: float

    @classmethod
    def of(
        cls,
        now: float,
        *,
        start_date: float | None = None,
        end_date: float | None = None,
        minutes: int | None = None,
    ) -> Window:
        """The window that a request asks for.

        `minutes` count back from the end and only where there is no start; without either, it is the
        last 15 of them. Without an end it is now.

        Raises:
            InvalidArgument: it would end before it starts.
        """
        end = now if end_date is None else end_date
        start = end - 60 * (DEFAULT_MINUTES if minutes is None else minutes)
        if start_date is not None:
            start = start_date
        if start > end:
            raise InvalidArgument("StartDate is not valid: expected a date that is not after the end")
        return cls(max(0.0, start), max(0.0, end))


class PastEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event as it was told. It holds nothing but texts and numbers, so that no cycle leads through it.

    Attributes:
        path: where its resource is, below the workspace.
        actor_sid: who caused it.
        keys, values: its `event_data`. Events of one shape share their keys.
    """

    sid: str
    seq: int
    type: EventType
    at: float  # epoch seconds
    description: str
    resource_type: str
    resource_sid: str
    path: tuple[str, ...]
    actor_type: str
    actor_sid: str
    keys: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def data(self) -> Mapping[str, str]:
        """The `event_data`."""
        return dict(zip(self.keys, self.values, strict=True))

    def names(self, wanted: str, *keys: str) -> bool:
        """Whether it is about `wanted`: its resource, or the value of one of these keys."""
        if self.resource_sid == wanted:
            return True
        return any(value == wanted and key in keys for key, value in zip(self.keys, self.values, strict=True))


class History:
    """What happened, oldest first, bounded in time and in number.

    Args:
        seconds: how long an event is kept.
        at_most: how many are kept; the oldest go first.
    """

    def __init__(self, *, seconds: float, at_most: int) -> None:
        self._seconds = seconds
        self._at_most = at_most
        self._events: list[PastEvent] = []
        self._latest: list[float] = []  # of each event: the latest time up to it; clocks may be set back
        self._forgotten = 0  # at the front of both lists
        self._by_sid: dict[str, PastEvent] = {}
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_sid)

    def shape(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """The one copy of these keys that all events of this shape share."""
        return self._shapes.setdefault(keys, keys)

    def add(self, event: PastEvent) -> None:
        """Keep an event, and forget those whose time is over."""
        self._events.append(event)
        self._latest.append(max(event.at, self._latest[-1]) if self._latest else event.at)
        self._by_sid[event.sid] = event
        self.forget(event.at)

    def forget(self, now: float) -> None:
        """Forget what is too old, or more than may be kept."""
        while self._by_sid and (
            len(self._by_sid) > self._at_most or self._latest[self._forgotten] < now - self._seconds
        ):
            del self._by_sid[self._events[self._forgotten].sid]
            self._forgotten += 1
        if self._forgotten > 64 + len(self._by_sid):
            del self._events[: self._forgotten], self._latest[: self._forgotten]
            self._forgotten = 0

    @property
    def kept_from(self) -> int:
        """The sequence number of the oldest event that is kept, or one above all if there is none."""
        if self._by_sid:
            return self._events[self._forgotten].seq
        return self._events[-1].seq + 1 if self._events else 0

    def event(self, sid: str) -> PastEvent:
        """The event; raises NotFound, also once it is forgotten."""
        event = self._by_sid.get(sid)
        if event is None:
            raise NotFound("Events", sid)
        return event

    def newest_first(self, window: Window, *, beside: str | None = None) -> list[PastEvent]:
        """The events of a window.

        Args:
            window: the stretch of time.
            beside: the SID of an event that is in the list, at its place, though it may lie before the
                window: where a page ended, while the window went on with the time.
        """
        first = max(bisect_left(self._latest, window.start), self._forgotten)
        found = self._events[first:][::-1]
        if window.start > 0 or (found and self._latest[-1] > window.end):  # who follows the log asks for all
            found = [event for event in found if window.start <= event.at <= window.end]
        mark = None if beside is None else self._by_sid.get(beside)
        if mark is not None and not window.start <= mark.at <= window.end:
            place = next((i for i, event in enumerate(found) if event.seq < mark.seq), len(found))
            found.insert(place, mark)
        return found
