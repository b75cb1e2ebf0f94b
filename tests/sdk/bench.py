"""A model on the bench: a little TaskRouter on one side, what the application would hear on the other."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import TypeVar, cast

import msgspec

from taskrouter_worker import Channel, OutgoingTransfer, Reservation, Task
from taskrouter_worker._commands import Commands, Sender
from taskrouter_worker._context import Context
from taskrouter_worker._emitter import Dispatcher
from taskrouter_worker._state import Model, Notification, Snapshot
from taskrouter_worker._token_keeper import TokenKeeper
from taskrouter_worker.clock import ManualClock
from taskrouter_worker.resources import (
    ActivityFields,
    AnyReservationFields,
    ReservationFields,
    ShortReservationFields,
    TaskFields,
    WorkerChannelFields,
    WorkerFields,
)
from tests.sdk.world import WORKER, WORKSPACE, Fields, Frame, World, event

__all__ = ["Bench", "fields", "number"]

T = TypeVar("T")


def fields(kind: type[T], shown: Fields) -> T:
    """A resource as the SDK decodes it."""
    return msgspec.json.decode(json.dumps(shown), type=kind)


def number(sid: str) -> int:
    """What tells SIDs of the little TaskRouter apart."""
    return int(sid[2:], 16)


class Bench:
    """A `Model`, fed by hand.

    Attributes:
        log: what the application was told, in order.
        now: monotonic seconds; tests set it.
    """

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.now = 0.0
        self.log: list[str] = []
        commands = Commands(cast("Sender", None), TokenKeeper(None, None, ManualClock()))  # nothing is sent
        self.context = Context(commands=commands, dispatcher=Dispatcher(self.log.append))  # type: ignore[arg-type]
        self.context.identify(WORKSPACE, WORKER)
        self.model = Model(self.context, lambda: self.now)

    def start(self) -> list[str]:
        """The first snapshot."""
        return self.synchronise(first=True)

    def apply(self, frames: Iterable[Frame]) -> list[str]:
        """Frames arrive; what they tell."""
        before = len(self.log)
        for frame in frames:
            self._note(self.model.apply(event(frame)))
        return self.log[before:]

    def snapshot(self, *, missed: Iterable[str] = ()) -> Snapshot:
        """What the service shows now, the ends that the model asks for included."""
        world = self.world
        snapshot = Snapshot(
            worker=fields(WorkerFields, world.worker),
            activities=[fields(ActivityFields, activity) for activity in world.activities.values()],
            channels=[fields(WorkerChannelFields, channel) for channel in world.channels.values()],
            reservations=[fields(ReservationFields, reservation) for reservation in world.active()],
            missed=[fields(ReservationFields, world.reservations[sid]) for sid in missed],
        )
        self.find_ends(snapshot)
        return snapshot

    def find_ends(self, snapshot: Snapshot) -> None:
        """Look up what became of the reservations that the snapshot lacks."""
        for gone in self.model.untold_ends(snapshot):
            shown = self.world.reservations.get(gone)
            snapshot.ends[gone] = None if shown is None else fields(AnyReservationFields, shown)

    def synchronise(
        self, snapshot: Snapshot | None = None, *, first: bool = False, missed: Iterable[str] = ()
    ) -> list[str]:
        """The model takes a snapshot; what that tells."""
        before = len(self.log)
        self._note(self.model.reconcile(snapshot or self.snapshot(missed=missed), first=first))
        return self.log[before:]

    def answer(self, reservation: str) -> ShortReservationFields:
        """What the answer to an update shows now."""
        return fields(ShortReservationFields, self.world.short(reservation))

    def take_answer(self, answer: ShortReservationFields) -> None:
        """The answer to a reservation's update arrives."""
        self.reservation(answer.sid)._merge_short(answer)

    def task_answer(self, reservation: str) -> TaskFields:
        """What the answer to a task's update shows now."""
        return fields(TaskFields, copy.deepcopy(self.world.reservations[reservation]["task"]))

    def reservation(self, sid: str) -> Reservation:
        """The live object."""
        return self.model.reservations[sid]

    def _note(self, notes: list[Notification]) -> None:
        for note in notes:
            origin = "" if note.origin == "event" else f" ({note.origin})"
            self.log.append(f"{_told(note)}{origin}")


def _told(note: Notification) -> str:
    match note.target:
        case None if note.args:
            about = note.args[0]
            assert isinstance(about, Reservation | dict)
            if isinstance(about, dict):
                return note.event
            what = {"reservationCreated": "created", "reservationMissed": "missed"}[note.event]
            return f"{what} {number(about.sid)}"
        case None:
            return note.event
        case Reservation():
            return f"{note.event} {number(note.target.sid)}"
        case Task():
            return f"task {note.event} {number(note.target.reservation_sid)}"
        case OutgoingTransfer():
            return f"transfer {note.event} {number(note.target.sid)}"
        case Channel():
            return note.event
        case _:
            raise AssertionError(note)
