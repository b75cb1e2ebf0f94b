"""What goes into the model of a worker and what comes out: snapshots and notifications."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._emitter import Emitter, Origin
from .resources import (
    ActivityFields,
    AnyReservationFields,
    ReservationFields,
    TransferFields,
    WorkerChannelFields,
    WorkerFields,
)

__all__ = ["Notification", "Snapshot"]


@dataclass(slots=True)  # not frozen: made for each emission, and that would triple its cost
class Notification:
    """One emission to be made: `event` on `target`; None stands for the worker itself."""

    target: Emitter[Any] | None  # Any: each kind of object has its own event names
    event: str
    args: tuple[object, ...]
    origin: Origin = "event"


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """What the service shows of the worker at the start of a session."""

    worker: WorkerFields
    activities: list[ActivityFields] = field(default_factory=list[ActivityFields])
    channels: list[WorkerChannelFields] = field(default_factory=list[WorkerChannelFields])
    reservations: list[ReservationFields] = field(default_factory=list[ReservationFields])  # the active ones
    known_before: frozenset[str] | None = None
    """What was held as live when the active reservations were asked for; None for everything."""
    ends: dict[str, AnyReservationFields | None] = field(
        default_factory=dict[str, AnyReservationFields | None]
    )
    """Reservations that were live before and are not any more; None: the service forgot them."""
    missed: list[ReservationFields] = field(default_factory=list[ReservationFields])
    """Reservations that began and ended within the gap."""
    pushed: frozenset[str] = frozenset()
    """Reservations that were pushed while the snapshot was taken; those events are applied after it."""
    transfers_before: frozenset[str] | None = None
    """As `known_before`, of open outgoing transfers."""
    pushed_ends: dict[str, TransferFields] = field(default_factory=dict[str, TransferFields])
    """Transfers whose end was pushed while the snapshot was taken; those events are applied after it."""
