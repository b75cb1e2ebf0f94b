"""The model of one worker: frames and snapshots go in, notifications come out. Pure.

Three rules make it right whatever the network does:

* **Versions decide.** Data older than what is held never rewinds it.
* **Told is tracked apart from known.** An answer to a command changes what is known; only an event
  tells the application. What was known and never told is told after a gap.
* **Objects stay.** A snapshot updates the objects that are there; it never replaces them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from ._afterlife import Tasks
from ._context import Context
from ._emitter import Origin
from ._notes import Notification, Snapshot
from ._unheard import Unheard
from .activity import Activity
from .channel import Channel
from .events import Event
from .reservation import Reservation, ReservationEvent
from .resources import (
    UNSET,
    ActivityFields,
    AnyReservationFields,
    ReservationFields,
    TaskFields,
    TransferFields,
    WorkerChannelFields,
    WorkerFields,
)
from .task import Task
from .terms import RESERVATION_ENDED, RESERVATION_LIVE, EventType, TransferStatus
from .transfer import OutgoingTransfer

__all__ = ["TRANSFER_ENDS", "Model", "Notification", "Snapshot"]

REMEMBERED_ENDS: Final = 1_000
"""Ended reservations and transfers remembered by SID, so that a late duplicate does not bring one back."""


_RESERVATION_STATUS: Final[dict[str, str]] = {
    EventType.RESERVATION_ACCEPTED: "accepted",
    EventType.RESERVATION_WRAPUP: "wrapping",
    EventType.RESERVATION_COMPLETED: "completed",
    EventType.RESERVATION_REJECTED: "rejected",
    EventType.RESERVATION_TIMEOUT: "timeout",
    EventType.RESERVATION_CANCELED: "canceled",
    EventType.RESERVATION_RESCINDED: "rescinded",
}

_TASK_EVENT: Final[dict[str, str]] = {
    EventType.TASK_UPDATED: "updated",
    EventType.TASK_WRAPUP: "wrapup",
    EventType.TASK_COMPLETED: "completed",
    EventType.TASK_CANCELED: "canceled",
}

TRANSFER_ENDS: Final[dict[str, str]] = {
    EventType.TASK_TRANSFER_COMPLETED: TransferStatus.COMPLETE,
    EventType.TASK_TRANSFER_FAILED: TransferStatus.FAILED,
    EventType.TASK_TRANSFER_CANCELED: TransferStatus.CANCELED,
}
"""Events that end a transfer, and how."""


class Model:
    """The worker, its activities, channels and reservations.

    Args:
        context: handed to the objects it makes.
        now: monotonic seconds.
    """

    def __init__(self, context: Context, now: Callable[[], float]) -> None:
        self._context = context
        self.worker: WorkerFields | None = None
        self.activities: dict[str, Activity] = {}
        self.channels: dict[str, Channel] = {}
        self.reservations: dict[str, Reservation] = {}
        self._tasks = Tasks(now)
        self._unfinished: dict[str, Task] = {}  # by ended reservation: the end of a transfer is untold
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._doubted: set[str] = set()  # those of them that the service may have taken back
        self._told: WorkerFields | None = None  # the worker as the application was last told
        self._floor = -1  # worker events up to this version are part of a snapshot
        self._told_at: dict[str, int] = {}  # by event type: the version last told
        self._bumps = 0
        self._unheard = Unheard()
        context.current_activity_sid = lambda: self.worker.activity_sid if self.worker else None
        context.worker_answered = self.worker_answered
        context.worker_version = lambda: self.version
        context.keep_task = self._tasks.keep

    @property
    def version(self) -> int | None:
        """The worker's version as far as it can be known.

        The service raises it with each new reservation and channel change and does not tell; so the
        JavaScript SDK counts them, and so do we. It only ever goes into `If-Match`.
        """
        return None if self.worker is None else self.worker.version + self._bumps

    @property
    def activity(self) -> Activity | None:
        """The worker's current activity."""
        return None if self.worker is None else self._activity(self.worker)

    def worker_answered(self, fields: WorkerFields) -> None:
        """Take the worker of an answer. The application is told by the event that follows."""
        if self.worker is None or fields.version >= self.worker.version:
            if self.worker is None or fields.version > self.worker.version:
                self._bumps = 0
            self.worker = fields
            self._activity(fields)

    def untold_ends(self, snapshot: Snapshot) -> list[str]:
        """The reservations held as live that a snapshot lacks, and whose end is not known yet."""
        active = {reservation.sid for reservation in snapshot.reservations}
        held = [
            sid
            for sid, reservation in self.reservations.items()
            if sid not in active
            and (snapshot.known_before is None or sid in snapshot.known_before)
            and not reservation._known_end()
        ]
        unheard = [
            sid
            for sid, fields in self._unheard.reservations.items()
            if sid not in active and fields.reservation_status not in RESERVATION_ENDED
        ]
        return held + unheard

    def open_transfers(self) -> frozenset[str]:
        """The outgoing transfers of live reservations whose end was not told."""
        return frozenset(
            transfer.sid
            for reservation in self.reservations.values()
            for transfer in reservation.task.transfers._open()
        )

    def knows(self, sid: str) -> bool:
        """Whether the application was told of this reservation, or is about to be."""
        return sid in self.reservations or sid in self._ended

    # Snapshots

    def reconcile(self, snapshot: Snapshot, *, first: bool) -> list[Notification]:
        """Take a snapshot. The notifications tell the difference to what the application knows.

        At the first one these are the pending reservations; later ones tell, in this order, the
        worker's changes, the ends of reservations, what changed on those that live on, and new ones.
        """
        origin: Origin = "snapshot" if first else "resync"
        notes = self._take_worker(snapshot.worker, first=first)
        self._replace_activities(snapshot.activities)
        notes += self._replace_channels(snapshot.channels)
        unfinished = list(self._unfinished)
        active = {fields.sid: fields for fields in snapshot.reservations}
        for sid, reservation in list(self.reservations.items()):
            # One that was told of meanwhile, by another connection, is newer than the snapshot.
            if sid not in active and (snapshot.known_before is None or sid in snapshot.known_before):
                notes += self._catch_up_end(reservation, snapshot)
        notes += self._take_missed(snapshot, active, origin)
        new: list[Reservation] = []
        for fields in sorted(active.values(), key=_by_creation):
            known = self.reservations.get(fields.sid)
            if known is not None:
                # What began after the list was made must not be replaced by what the list shows.
                known._merge(msgspec.structs.replace(fields, active_outgoing_task_transfer=UNSET))
                transfers = self._ended_transfers(known.task, snapshot, shown=fields)
                notes += self._catch_up(known, transfers=transfers + self._shown_transfer(known, fields))
            elif fields.sid not in self._ended or self._lives_again(fields.sid, snapshot):
                new.append(self._insert(fields, floor=True))
        notes += self._catch_up_transfers(unfinished, snapshot)
        for reservation in new:
            # A reservation that was accepted before this program started is no news to anybody who
            # handles offers: it is simply there. In a gap it is: the application has never seen it.
            reservation._created()
            if reservation.status == "pending" or not first:
                notes.append(Notification(None, "reservationCreated", (reservation,), origin))
            steps = reservation._advance_to(reservation.status)
            transfers = self._shown_transfer(reservation, active[reservation.sid])
            if not first:
                notes += _in_order(reservation, steps, transfers)
        failures, self._unheard = self._unheard.failures, Unheard()
        for payload in failures:  # one that was pushed twice is told once
            notes += self._reservation_failed(payload, "resync")
        return notes

    def _take_missed(
        self, snapshot: Snapshot, active: dict[str, ReservationFields], origin: Origin
    ) -> list[Notification]:
        """Reservations that began and ended in the gap. One that lives after all becomes an active one."""
        missed = {fields.sid: fields for fields in snapshot.missed}
        for sid, pushed in self._unheard.reservations.items():
            if sid in active or sid in missed or sid in snapshot.pushed:
                continue
            end = snapshot.ends.get(sid)
            fields = pushed if end is None else _as_looked_up(pushed, end)
            if end is not None and fields.reservation_status in RESERVATION_LIVE:
                active[sid] = fields  # the list was taken at another moment
            else:
                missed[sid] = fields
        notes: list[Notification] = []
        for fields in sorted(missed.values(), key=_by_creation):
            if not self.knows(fields.sid):
                notes += self._missed(fields, origin)
        return notes

    def _take_worker(self, fields: WorkerFields, *, first: bool) -> list[Notification]:
        self.worker_answered(fields)
        told = self._told
        if told is not None and fields.version < told.version:
            return []  # another connection told of something newer
        self._told = fields
        self._floor = max(self._floor, fields.version)
        notes: list[Notification] = []
        if told is not None and not first:
            if told.activity_sid != fields.activity_sid:
                notes.append(Notification(None, "activityUpdated", (), "resync"))
            if told.attributes != fields.attributes or told.friendly_name != fields.friendly_name:
                notes.append(Notification(None, "attributesUpdated", (), "resync"))
        return notes

    def _replace_activities(self, snapshot: list[ActivityFields]) -> None:
        old = self.activities
        self.activities = {}
        for fields in snapshot:
            activity = old.get(fields.sid)
            if activity is None:
                activity = Activity(self._context, fields)
            else:
                activity._replace(fields)
            self.activities[fields.sid] = activity
        if self.worker is not None and self.worker.activity_sid not in self.activities:
            kept = old.get(self.worker.activity_sid)
            if kept is not None:
                self.activities[kept.sid] = kept
            self._activity(self.worker)

    def _replace_channels(self, snapshot: list[WorkerChannelFields]) -> list[Notification]:
        old = self.channels
        self.channels = {}
        notes: list[Notification] = []
        for fields in snapshot:
            channel = old.get(fields.sid)
            if channel is None:
                channel = Channel(self._context, fields)
            else:
                channel._merge_snapshot(fields)
            self.channels[fields.sid] = channel
            notes += [Notification(channel, event, (channel,), "resync") for event in channel._untold()]
        return notes

    def _catch_up_end(self, reservation: Reservation, snapshot: Snapshot) -> list[Notification]:
        end = snapshot.ends.get(reservation.sid)
        if end is not None:
            reservation._merge_any(end)
            if end.reservation_status in RESERVATION_LIVE:
                # The list did not show it, and it lives: the list was taken at another moment.
                return self._catch_up(reservation)
        status = reservation.status if reservation.status in RESERVATION_ENDED else "unknown"
        return self._catch_up(reservation, status, self._ended_transfers(reservation.task, snapshot))

    def _catch_up(
        self, reservation: Reservation, status: str | None = None, transfers: Iterable[Notification] = ()
    ) -> list[Notification]:
        notes = self._task_catch_up(reservation)
        notes += _in_order(reservation, reservation._advance_to(status or reservation.status), transfers)
        if reservation.outcome is not None:
            self._retire(reservation)
        return notes

    def _catch_up_transfers(self, unfinished: list[str], snapshot: Snapshot) -> list[Notification]:
        """The transfers of reservations that ended before, while the transfers' own ends never came."""
        found = [task for sid in unfinished if (task := self._unfinished.pop(sid, None)) is not None]
        return [note for task in found for note in self._ended_transfers(task, snapshot)]

    def _ended_transfers(
        self, task: Task, snapshot: Snapshot, shown: ReservationFields | None = None
    ) -> list[Notification]:
        """The ends of outgoing transfers that a snapshot does not show any more.

        Args:
            task: theirs.
            snapshot: where it was looked for.
            shown: its reservation there; None if that ended, and its transfers with it.
        """
        active = None if shown is None else shown.active_outgoing_task_transfer
        notes: list[Notification] = []
        for transfer in task.transfers._open():
            pushed = snapshot.pushed_ends.get(transfer.sid)
            if shown is None:
                if pushed is not None:
                    transfer._replace(pushed)  # its event comes too late to be told in order
            elif (
                (isinstance(active, TransferFields) and active.sid == transfer.sid)
                or (snapshot.transfers_before is not None and transfer.sid not in snapshot.transfers_before)
                or pushed is not None  # told as it came
            ):
                continue
            notes += self._announced(task, transfer, "resync")
            notes += self._transfer_ended(transfer, None, "resync")
        return notes

    def _shown_transfer(self, reservation: Reservation, fields: ReservationFields) -> list[Notification]:
        """What a snapshot tells of the outgoing transfer that it shows."""
        shown = fields.active_outgoing_task_transfer
        if not isinstance(shown, TransferFields) or shown.sid in self._ended:
            return []
        transfer = reservation.task._outgoing(shown)
        notes = self._announced(reservation.task, transfer, "resync")
        if isinstance(shown.transfer_failed_reason, str) and transfer._attempt_failed(shown):
            notes.append(Notification(transfer, "attemptFailed", (transfer,), "resync"))
        if shown.transfer_status in TRANSFER_ENDS.values():
            notes += self._transfer_ended(transfer, None, "resync")
        return notes

    def _task_catch_up(self, reservation: Reservation) -> list[Notification]:
        event = reservation.task._catch_up()
        if event is None:
            return []
        task = reservation.task
        return [Notification(task, event, (task,), "resync")]

    def _missed(self, fields: ReservationFields, origin: Origin) -> list[Notification]:
        reservation = Reservation(self._context, fields)
        reservation._created()
        ended = fields.reservation_status in RESERVATION_ENDED
        reservation._advance_to(fields.reservation_status if ended else "unknown")
        reservation._over = True  # it is told as a whole
        self._unheard.heard(fields.sid)
        self._remember_end(fields.sid)
        return [Notification(None, "reservationMissed", (reservation,), origin)]

    # Events

    def learn(self, events: Iterable[Event]) -> None:
        """Take events of a connection that ended before its snapshot.

        They change what is known. The next snapshot tells it; so nothing is told out of order.
        """
        for event in events:
            payload = event.payload
            match payload:
                case ReservationFields():
                    status = _RESERVATION_STATUS.get(event.type, payload.reservation_status)
                    self._learn_reservation(msgspec.structs.replace(payload, reservation_status=status))
                case TaskFields():
                    for task in self._tasks.of(payload.sid):
                        task._merge(payload)
                case TransferFields():
                    self._learn_transfer(payload)
                case dict():
                    self._unheard.failures.append(payload)
                case _:
                    pass  # the next snapshot shows the worker and its channels

    def _learn_reservation(self, fields: ReservationFields) -> None:
        known = self.reservations.get(fields.sid)
        if known is not None:
            known._merge(fields)
        elif fields.sid not in self._ended:
            self._unheard.moved(fields)

    def _learn_transfer(self, fields: TransferFields) -> None:
        sid = fields.initiating_reservation_sid
        reservation = self.reservations.get(sid)
        task = reservation.task if reservation is not None else self._ended_task(sid)
        if task is not None and fields.sid not in self._ended:
            task._outgoing(fields)
            self._tasks.keep(task)

    def apply(self, event: Event) -> list[Notification]:
        """Take one event and return what it has to tell; nothing if it is no news."""
        payload = event.payload
        match payload:
            case ReservationFields():
                if event.type == EventType.RESERVATION_CREATED:
                    return self._reservation_created(payload)
                return self._reservation_moved(payload, _RESERVATION_STATUS[event.type])
            case TaskFields():
                return self._task_event(payload, _TASK_EVENT[event.type])
            case WorkerFields():
                return self._worker_event(payload, event.type)
            case WorkerChannelFields():
                return self._channel_event(payload)
            case TransferFields():
                return self._transfer_event(payload, event.type)
            case dict():
                return self._reservation_failed(payload)
            case _:
                return []

    def _reservation_created(self, fields: ReservationFields) -> list[Notification]:
        known = self.reservations.get(fields.sid)
        if known is not None:
            known._merge(fields)
            return []
        if fields.sid in self._ended:
            return []
        self._bumps += 1
        reservation = self._insert(fields, floor=False)
        reservation._created()
        return [Notification(None, "reservationCreated", (reservation,))]

    def _reservation_moved(self, fields: ReservationFields, status: str) -> list[Notification]:
        reservation = self.reservations.get(fields.sid)
        notes: list[Notification] = []
        if reservation is None:
            if fields.sid in self._ended:
                return []
            # Its `reservation.created` never came.
            if status in RESERVATION_ENDED:
                return self._missed(fields, "resync")
            reservation = self._insert(fields, floor=False)
            reservation._created()
            notes.append(Notification(None, "reservationCreated", (reservation,), "resync"))
        reservation._merge(fields)
        steps = reservation._advance_to(status)
        if steps:
            reservation.task._told_all(fields.task)
        if reservation.outcome is not None:
            self._retire(reservation)
        for step in steps:
            # Only the step that the event itself is about was pushed; one before it was inferred.
            pushed = step == "ended" or _STATUS_OF_STEP[step] == status
            notes.append(Notification(reservation, step, (reservation,), "event" if pushed else "resync"))
        return notes

    def _task_event(self, fields: TaskFields, event: str) -> list[Notification]:
        notes: list[Notification] = []
        for task in self._tasks.of(fields.sid):
            task._merge(fields)
            if task._tell(event, fields.version):
                task._told_all(fields)
                notes.append(Notification(task, event, (task,)))
        return notes

    def _worker_event(self, fields: WorkerFields, event_type: str) -> list[Notification]:
        self.worker_answered(fields)
        if fields.version <= self._floor or fields.version <= self._told_at.get(event_type, -1):
            return []
        self._told_at[event_type] = fields.version
        if self._told is None or fields.version >= self._told.version:
            self._told = fields
        name = "activityUpdated" if event_type == EventType.WORKER_ACTIVITY_UPDATE else "attributesUpdated"
        return [Notification(None, name, ())]

    def _channel_event(self, fields: WorkerChannelFields) -> list[Notification]:
        channel = self.channels.get(fields.sid)
        if channel is None:
            # Made after the snapshot. Nobody can be listening to it yet.
            self.channels[fields.sid] = Channel(self._context, fields)
            self._bumps += 1
            return []
        if not channel._merge(fields):
            return []
        news = channel._untold()
        self._bumps += len(news)
        return [Notification(channel, event, (channel,)) for event in news]

    def _transfer_event(self, fields: TransferFields, event_type: str) -> list[Notification]:
        sid = fields.initiating_reservation_sid
        reservation = self.reservations.get(sid)
        task = reservation.task if reservation is not None else self._ended_task(sid)
        if task is None:
            return []
        if fields.sid in self._ended:
            return []  # late: there may be another transfer by now
        transfer = task._outgoing(fields)
        self._tasks.keep(task)
        if event_type == EventType.TASK_TRANSFER_INITIATED:
            return self._announced(task, transfer, "event")
        notes = self._announced(task, transfer, "resync")  # if its start never came
        if event_type != EventType.TASK_TRANSFER_ATTEMPT_FAILED:
            notes += self._transfer_ended(transfer, TRANSFER_ENDS[event_type], "event")
            if not task.transfers._open():
                self._unfinished.pop(sid, None)
        elif transfer._attempt_failed(fields):
            notes.append(Notification(transfer, "attemptFailed", (transfer,)))
        return notes

    def _ended_task(self, reservation_sid: str) -> Task | None:
        return self._tasks.ended(reservation_sid) or self._unfinished.get(reservation_sid)

    def _announced(self, task: Task, transfer: OutgoingTransfer, origin: Origin) -> list[Notification]:
        if not transfer._announce():
            return []
        return [Notification(task, "transferInitiated", (transfer,), origin)]

    def _transfer_ended(
        self, transfer: OutgoingTransfer, outcome: str | None, origin: Origin
    ) -> list[Notification]:
        self._remember_end(transfer.sid)
        return [Notification(transfer, event, (transfer,), origin) for event in transfer._end(outcome)]

    def _reservation_failed(self, payload: dict[str, object], origin: Origin = "event") -> list[Notification]:
        sid = payload.get("sid")
        if sid is not None:
            key = f"failed {sid}"
            if key in self._ended:
                return []
            self._remember_end(key)
        return [Notification(None, "reservationFailed", (payload,), origin)]

    # Book-keeping

    def _activity(self, fields: WorkerFields) -> Activity:
        activity = self.activities.get(fields.activity_sid)
        if activity is None:
            # Made after the snapshot. The worker itself tells what matters about it.
            activity = self.activities[fields.activity_sid] = Activity(
                self._context,
                ActivityFields(
                    sid=fields.activity_sid,
                    account_sid=fields.account_sid,
                    workspace_sid=fields.workspace_sid,
                    friendly_name=fields.activity_name,
                    available=fields.available,
                    date_created=None,
                    date_updated=None,
                ),
            )
        return activity

    def _insert(self, fields: ReservationFields, *, floor: bool) -> Reservation:
        reservation = Reservation(self._context, fields)
        if floor:
            reservation.task._floor = fields.task.version
        self.reservations[fields.sid] = reservation
        self._unheard.heard(fields.sid)
        self._tasks.add(reservation.task)
        return reservation

    def _retire(self, reservation: Reservation) -> None:
        if self.reservations.pop(reservation.sid, None) is None:
            return
        task = reservation.task
        self._tasks.end(task)
        if task.transfers.outgoing is not None and task.transfers._open():
            self._unfinished[reservation.sid] = task
        self._remember_end(reservation.sid)

    def doubt_ends(self) -> None:
        """The server asks for a fresh start: its state may have gone back to what was before some ends.

        A snapshot asked for from now on may show them as live again. A late event alone may not.
        """
        self._doubted.update(self._ended)

    def _lives_again(self, sid: str, snapshot: Snapshot) -> bool:
        known_before = snapshot.known_before
        if sid not in self._doubted or known_before is None or sid in known_before:
            return False  # the list may have been made before the end
        self._doubted.discard(sid)
        del self._ended[sid]
        self._tasks.forget(sid)
        self._unfinished.pop(sid, None)
        return True

    def _remember_end(self, key: str) -> None:
        self._ended[key] = None
        self._doubted.discard(key)
        while len(self._ended) > REMEMBERED_ENDS:
            forgotten, _ = self._ended.popitem(last=False)
            self._doubted.discard(forgotten)


_STATUS_OF_STEP: Final = {
    "accepted": "accepted",
    "wrapup": "wrapping",
    "completed": "completed",
    "rejected": "rejected",
    "timeout": "timeout",
    "canceled": "canceled",
    "rescinded": "rescinded",
}


def _in_order(
    reservation: Reservation, steps: list[ReservationEvent], transfers: Iterable[Notification]
) -> list[Notification]:
    """A reservation's steps after a gap. A transfer begins after the acceptance and ends before the rest."""
    notes = [Notification(reservation, step, (reservation,), "resync") for step in steps]
    accepted = 1 if steps[:1] == ["accepted"] else 0
    return [*notes[:accepted], *transfers, *notes[accepted:]]


def _as_looked_up(fields: ReservationFields, found: AnyReservationFields) -> ReservationFields:
    """What was pushed of a reservation, and how it is now."""
    if found.version < fields.version:
        return fields
    code = found.canceled_reason_code
    return msgspec.structs.replace(
        fields,
        reservation_status=found.reservation_status,
        date_updated=found.date_updated,
        version=found.version,
        task=found.task if isinstance(found.task, TaskFields) else fields.task,
        canceled_reason_code=code if isinstance(code, int) else fields.canceled_reason_code,
    )


def _by_creation(fields: ReservationFields) -> tuple[float, str]:
    return (fields.date_created or 0, fields.sid)
