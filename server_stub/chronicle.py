"""What happened in each workspace: its event history and its statistics, written as it happens."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .domain.events import Event
from .domain.history import History, PastEvent, event_sid
from .domain.model import Limits, Reservation, Transfer
from .domain.statistics import Statistics
from .domain.workspace import Workspace
from .event_data import description, event_data, resource_of

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

    def of(self, workspace_sid: str) -> Records:
        """The records of a workspace."""
        records = self._records.get(workspace_sid)
        if records is None:
            limits = self._limits
            records = self._records[workspace_sid] = Records(
                History(seconds=limits.event_retention_seconds, at_most=limits.max_events),
                Statistics(seconds=limits.event_retention_seconds, at_most=limits.max_counted_events),
            )
        return records

    def publish(self, workspace: Workspace, events: Sequence[Event]) -> None:
        """Record the events of one command, before the next one runs."""
        records = self.of(workspace.sid)
        actor, self._actor = self._actor, None
        for event in events:
            if event.logged:
                records.history.add(_told(records.history, workspace, event, actor))
        records.statistics.observe(workspace, events)

    def forget(self, workspace: Workspace) -> None:
        """The workspace was deleted, and its records with it."""
        self._records.pop(workspace.sid, None)

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


def _told(history: History, workspace: Workspace, event: Event, actor: str | None) -> PastEvent:
    data = event_data(workspace, event)
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
