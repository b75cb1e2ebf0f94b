"""What happened in each workspace: its event history and its statistics, written as it happens."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from .domain.events import Event
from .domain.history import History, PastEvent, event_sid
from .domain.model import Limits, Reservation, Transfer
from .domain.statistics import Fact, Statistics
from .domain.workspace import Workspace
from .event_data import EventData, description, resource_of

__all__ = ["Chronicle", "Records"]

_COLLECTIONS = {
    "activity": "Activities",
    "reservation": "Reservations",
    "task": "Tasks",
    "taskchannel": "TaskChannels",
    "taskqueue": "TaskQueues",
    "worker": "Workers",
    "workflow": "Workflows",
}


@dataclass(frozen=True, slots=True)
class Records:
    """What is kept of one workspace."""

    history: History
    statistics: Statistics

    def forget(self, now: float) -> None:
        """Drop what is too old at `now`, in epoch seconds."""
        self.history.forget(now)
        self.statistics.forget(now)


class Chronicle:
    """The records of every workspace.

    Args:
        limits: how long and how much is kept.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._records: dict[str, Records] = {}
        self._actor: str | None = None
        self._new: dict[str, list[PastEvent]] | None = None  # by workspace: what is to be stored

    def of(self, workspace_sid: str) -> Records:
        """The records of a workspace."""
        records = self._records.get(workspace_sid)
        if records is None:
            limits = self._limits
            records = self._records[workspace_sid] = Records(
                History(seconds=limits.event_retention_seconds, at_most=limits.max_events),
                Statistics(seconds=limits.event_retention_seconds, at_most=limits.max_counted_events),
            )
            if self._new is not None:
                records.statistics.take_new()  # begins to note
        return records

    def publish(self, workspace: Workspace, events: Sequence[Event]) -> None:
        """Record the events of one command, before the next one runs."""
        records = self.of(workspace.sid)
        actor, self._actor = self._actor, None
        data = EventData(workspace)
        for event in events:
            if event.logged:
                told = _told(records.history, workspace, event, data.of(event), actor)
                records.history.add(told)
                if self._new is not None:
                    self._new.setdefault(workspace.sid, []).append(told)
        records.statistics.observe(workspace, events)

    def forget(self, workspace: Workspace) -> None:
        """The workspace was deleted, and its records with it."""
        self._records.pop(workspace.sid, None)
        if self._new is not None:
            self._new.pop(workspace.sid, None)

    def take_new(self, workspace_sid: str) -> tuple[list[PastEvent], list[Fact]]:
        """The events and facts of a workspace since the last call, for a store."""
        if self._new is None:
            raise RuntimeError("nothing was noted for a store: call `keep_new` first")
        return self._new.pop(workspace_sid, []), self.of(workspace_sid).statistics.take_new()

    def keep_new(self) -> None:
        """From now on, note what is new, for `take_new`."""
        self._new = {}

    def resume(self, workspace: Workspace, events: Iterable[PastEvent], facts: Iterable[Fact]) -> None:
        """Take up what was stored of a workspace, oldest first."""
        records = self.of(workspace.sid)
        for event in events:
            records.history.add(msgspec.structs.replace(event, keys=records.history.shape(event.keys)))
        records.statistics.resume(workspace, facts)

    @contextmanager
    def acting(self, worker_sid: str | None) -> Generator[None]:
        """The next command is a worker's own: its events name the worker as their actor.

        What the engine does after it names the workspace, as all that no worker asked for.
        """
        self._actor = worker_sid
        try:
            yield
        finally:
            self._actor = None


def _told(
    history: History, workspace: Workspace, event: Event, data: dict[str, str], actor: str | None
) -> PastEvent:
    kind, sid = resource_of(workspace, event)
    return PastEvent(
        sid=event_sid(workspace.sid, event.seq),
        seq=event.seq,
        type=event.type,
        at=event.at,
        description=description(workspace, event),
        resource_type=kind,
        resource_sid=sid,
        path=_path(event, kind, sid),
        actor_type="workspace" if actor is None else "worker",
        actor_sid=workspace.sid if actor is None else actor,
        keys=history.shape(tuple(data)),
        values=tuple(data.values()),
    )


def _path(event: Event, kind: str, sid: str) -> tuple[str, ...]:
    """Where the resource is, below the workspace."""
    match event.resource:
        case Reservation() as reservation:
            return "Tasks", reservation.task.sid, "Reservations", sid
        case Transfer() as transfer:
            return "Tasks", transfer.task.sid
        case None:
            return ()
        case _:
            return _COLLECTIONS[kind], sid
