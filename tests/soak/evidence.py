"""What the auditor compares: the server's own account of a run, and everybody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

__all__ = ["Evidence", "FedTask", "Line", "LoggedEvent", "ServerRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event of the server's log (REST API, Events), in the log's order.

    Attributes:
        at: epoch seconds by the server's clock.
        data: its `event_data`.
    """

    sid: str
    type: str
    at: float
    resource_sid: str
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a worker's journal.

    Attributes:
        at: epoch seconds by the machine's clock.
        life: which process of this worker, from 1.
        what: ``start``, ``ready``, ``gone`` (disconnected), ``told`` (a handler was called), ``found``
            (accepted by an earlier process), ``missed``, ``about`` (a command follows), ``did`` (it was
            answered), ``error``, ``over`` (the session ended for good), ``bye`` (ended in order).
        event: of ``told``: ``created``, ``accepted``, ... ``ended``.
        reservation, task: SIDs.
        version: of the reservation, as the SDK shows it.
        status: of the reservation, as the SDK shows it; of ``told ended`` its outcome.
        command: of ``about`` and ``did``: ``accept``, ``reject``, ``wrap`` or ``complete``.
        ok: of ``did``: whether the command returned.
        carried_out: of a ``did`` that failed: what the SDK says about it, None for unknown.
        note: for people.
    """

    at: float
    life: int
    what: str
    event: str = ""
    reservation: str = ""
    task: str = ""
    version: int = -1
    status: str = ""
    origin: str = ""
    command: str = ""
    ok: bool = False
    carried_out: bool | None = None
    note: str = ""


@dataclass(slots=True, kw_only=True)
class FedTask:
    """A task that the feed asked for.

    Attributes:
        sid: as it was acknowledged; None if no answer came.
        cancel_acknowledged: whether its cancellation was asked for and answered with success.
    """

    number: int
    sid: str | None = None
    cancel_acknowledged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRun:
    """One process of the server.

    Attributes:
        began, ended: epoch seconds by the machine's clock, before its start and after its end.
        offset: seconds that its clock was ahead.
    """

    began: float
    ended: float
    offset: float


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything that is known about a run.

    Attributes:
        retention: seconds for which the server keeps ended tasks.
        event_retention: seconds for which it keeps events.
        runs: the processes of the server, in order.
        fed: by number.
        events: in the log's order.
        unread: how often events may have been purged before they were read. Nothing is proved then.
        rewritten: SIDs of events that were read twice and had changed in between.
        journals: by worker.
        tasks: statuses that REST showed at the end, by SID.
        reservations: the same of reservations.
        resurrected: tasks that REST showed alive after it had shown their end.
        busy: workers that have work on a channel at the end, and how much.
    """

    retention: float
    event_retention: float
    runs: list[ServerRun] = field(default_factory=list[ServerRun])
    fed: dict[int, FedTask] = field(default_factory=dict[int, FedTask])
    events: list[LoggedEvent] = field(default_factory=list[LoggedEvent])
    unread: int = 0
    rewritten: list[str] = field(default_factory=list[str])
    journals: dict[str, list[Line]] = field(default_factory=dict[str, list[Line]])
    tasks: dict[str, str] = field(default_factory=dict[str, str])
    reservations: dict[str, str] = field(default_factory=dict[str, str])
    resurrected: list[str] = field(default_factory=list[str])
    busy: dict[str, int] = field(default_factory=dict[str, int])

    def save(self, path: Path) -> None:
        """Write it to a file, for `load`: to audit a run again."""
        path.write_bytes(msgspec.json.encode(self))

    @classmethod
    def load(cls, path: Path) -> Evidence:
        """Read it from a file; raises msgspec.ValidationError if it is something else."""
        return msgspec.json.decode(path.read_bytes(), type=cls)
