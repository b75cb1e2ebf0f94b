"""A little TaskRouter for one worker: true histories, without I/O.

Each command changes the state and returns the frames that the event bridge pushes for it. Versions
rise as the service's do: at most once per object and command, and every frame of a command carries
the final state. What an answer or a snapshot shows is rendered at the moment it is asked for.
"""

from __future__ import annotations

import copy
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from taskrouter_worker.events import Event, decode

__all__ = ["ACCOUNT", "OFFLINE", "Frame", "World", "sid"]

Fields = dict[str, Any]
"""One resource as the wire shows it."""

Frame = tuple[str, Fields]
"""Event type and payload."""

LIVE = ("pending", "accepted", "wrapping")

EPOCH = 1_760_000_000


def sid(prefix: str, number: int) -> str:
    """A SID that reads well in a failing test."""
    return f"{prefix}{number:032x}"


ACCOUNT = sid("AC", 1)
WORKSPACE = sid("WS", 1)
WORKER = sid("WK", 1)
OFFLINE = sid("WA", 1)
AVAILABLE = sid("WA", 2)
BREAK = sid("WA", 3)
CHANNEL = sid("WC", 1)
_COMMON = {"account_sid": ACCOUNT, "workspace_sid": WORKSPACE}


def text(frame: Frame) -> str:
    """A frame as it travels."""
    return json.dumps({"event_type": frame[0], "payload": frame[1]})


def event(frame: Frame) -> Event:
    """A frame as the SDK decodes it."""
    decoded = decode(text(frame))
    assert decoded is not None
    return decoded


@dataclass
class World:
    """One worker's part of TaskRouter.

    Attributes:
        now: epoch seconds; moves only when the owner says so.
        truth: what happened to each reservation, in order, as the application should hear it.
        transfers: the same of each transfer that was started.
    """

    now: int = EPOCH
    worker: Fields = field(default_factory=dict)
    activities: dict[str, Fields] = field(default_factory=dict)
    channels: dict[str, Fields] = field(default_factory=dict)
    reservations: dict[str, Fields] = field(default_factory=dict)  # all that the service still keeps
    truth: dict[str, list[str]] = field(default_factory=dict)
    transfers: dict[str, list[str]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        dates = {"date_created": EPOCH, "date_updated": EPOCH}
        for activity, name, available in (
            (OFFLINE, "Offline", False),
            (AVAILABLE, "Available", True),
            (BREAK, "Break", False),
        ):
            self.activities[activity] = {
                **_COMMON,
                "sid": activity,
                "friendly_name": name,
                "available": available,
                **dates,
            }
        self.worker = {
            **_COMMON,
            "sid": WORKER,
            "friendly_name": "Ann",
            "attributes": "{}",
            "available": True,
            "activity_sid": AVAILABLE,
            "activity_name": "Available",
            "date_status_changed": EPOCH,
            "version": 0,
            **dates,
        }
        self.channels[CHANNEL] = {
            **_COMMON,
            "sid": CHANNEL,
            "worker_sid": WORKER,
            "task_channel_sid": sid("TC", 1),
            "task_channel_unique_name": "default",
            "configured_capacity": 50,
            "assigned_tasks": 0,
            "available": 1,
            "available_capacity_percentage": 100,
            "last_reserved_time": None,
            **dates,
        }

    # What it shows

    def active(self) -> list[Fields]:
        """The reservations that a snapshot lists."""
        return [copy.deepcopy(r) for r in self.reservations.values() if r["reservation_status"] in LIVE]

    def short(self, reservation: str) -> Fields:
        """A reservation as the answer to its update shows it."""
        shown = copy.deepcopy(self.reservations[reservation])
        for key in ("task", "task_transfer", "active_outgoing_task_transfer"):
            shown.pop(key, None)
        return shown

    # Reservations

    def create_reservation(self, **task: Any) -> list[Frame]:
        """A task is offered to the worker."""
        number = next(self._numbers)
        reservation = sid("WR", number)
        self.reservations[reservation] = {
            **_COMMON,
            "sid": reservation,
            "worker_sid": WORKER,
            "reservation_status": "pending",
            "reservation_timeout": 120,
            "date_created": self.now,
            "date_updated": self.now,
            "version": 0,
            "task": {
                "sid": sid("WT", number),
                "workflow_sid": sid("WW", 1),
                "workflow_name": "Support",
                "queue_sid": sid("WQ", 1),
                "queue_name": "English",
                "task_channel_sid": sid("TC", 1),
                "task_channel_unique_name": "default",
                "attributes": "{}",
                "addons": "{}",
                "assignment_status": "reserved",
                "priority": 0,
                "age": 0,
                "timeout": 86400,
                "reason": None,
                "routing_target": None,
                "date_created": self.now,
                "date_updated": self.now,
                "virtual_start_time": self.now,
                "version": 1,
                **task,
            },
        }
        self.worker["version"] += 1
        self.truth[reservation] = ["created"]
        return [self._frame("reservation.created", self.reservations[reservation])]

    def accept(self, reservation: str) -> list[Frame]:
        """The worker takes the task."""
        return self._move(reservation, "accepted", "reservation.accepted", task="assigned")

    def wrap(self, reservation: str) -> list[Frame]:
        """The worker wraps up; the task moves with it."""
        return self._move(reservation, "wrapping", "reservation.wrapup", "task.wrapup", task="wrapping")

    def complete(self, reservation: str) -> list[Frame]:
        """Reservation and task end."""
        return self._move(
            reservation, "completed", "task.completed", "reservation.completed", task="completed"
        )

    def end(self, reservation: str, how: str) -> list[Frame]:
        """The offer ends: rejected, timeout, canceled or rescinded."""
        if how == "canceled":
            return self._move(reservation, how, "task.canceled", f"reservation.{how}", task="canceled")
        return self._move(reservation, how, f"reservation.{how}", task="pending")

    def update_task(self, reservation: str, **changes: Any) -> list[Frame]:
        """The task changes by itself, such as its attributes or its priority."""
        task = self.reservations[reservation]["task"]
        task.update(changes)
        task["version"] += 1
        task["date_updated"] = self.now
        self.truth[reservation].append("task updated")
        return [self._frame("task.updated", task)]

    def start_transfer(self, reservation: str) -> list[Frame]:
        """The worker hands the task on; its number is above 1000, so that it is no reservation's."""
        fields = self.reservations[reservation]
        assert "active_outgoing_task_transfer" not in fields, "the history would not be true"
        shown = transfer(
            reservation, 1000 + next(self._numbers), date_created=self.now, date_updated=self.now
        )
        fields["active_outgoing_task_transfer"] = shown
        self.truth[reservation].append("task transferInitiated")
        self.transfers[shown["sid"]] = []
        return [self._frame("task.transfer-initiated", shown)]

    def fail_attempt(self, reservation: str, reason: str = "declined") -> list[Frame]:
        """One of those who were offered the transfer does not take it; it goes on."""
        shown = self.reservations[reservation]["active_outgoing_task_transfer"]
        shown.update(date_updated=self.now, transfer_failed_reason=reason)
        self.transfers[shown["sid"]].append("attemptFailed")
        return [self._frame("task.transfer-attempt-failed", shown)]

    def end_transfer(self, reservation: str, how: str) -> list[Frame]:
        """The transfer ends: completed, failed or canceled."""
        shown = self.reservations[reservation].pop("active_outgoing_task_transfer")
        shown.update(
            date_updated=self.now, transfer_status=how.removesuffix("d") if how == "completed" else how
        )
        self.transfers[shown["sid"]] += [how, "ended"]
        return [self._frame(f"task.transfer-{how}", shown)]

    def purge(self, reservation: str) -> None:
        """The service forgets an ended reservation."""
        del self.reservations[reservation]

    def failed(self) -> Frame:
        """A reservation could not be made."""
        return ("reservation.failed", {"sid": sid("WT", 9), "assignment_status": "canceled"})

    def _move(self, reservation: str, status: str, *events: str, task: str) -> list[Frame]:
        fields = self.reservations[reservation]
        assert fields["reservation_status"] in LIVE, "the history would not be true"
        fields.update(reservation_status=status, date_updated=self.now, version=fields["version"] + 1)
        its_task = fields["task"]
        if its_task["assignment_status"] != task:
            its_task.update(assignment_status=task, date_updated=self.now, version=its_task["version"] + 1)
        told = {"wrapping": "wrapup"}.get(status, status)
        for name in events:
            kind, _, what = name.partition(".")
            self.truth[reservation].append(f"task {what}" if kind == "task" else told)
        if status not in LIVE:
            self.truth[reservation].append("ended")
        return [self._frame(name, its_task if name.startswith("task.") else fields) for name in events]

    # The worker

    def set_activity(self, activity: str) -> list[Frame]:
        """The worker moves to an activity."""
        shown = self.activities[activity]
        self.worker.update(
            activity_sid=activity,
            activity_name=shown["friendly_name"],
            available=shown["available"],
            date_status_changed=self.now,
            date_updated=self.now,
            version=self.worker["version"] + 1,
        )
        return [self._frame("worker.activity.update", self.worker)]

    def set_attributes(self, attributes: dict[str, Any]) -> list[Frame]:
        """The worker's attributes are replaced."""
        self.worker.update(
            attributes=json.dumps(attributes), date_updated=self.now, version=self.worker["version"] + 1
        )
        return [self._frame("worker.attributes.update", self.worker)]

    def set_channel(self, *, capacity: int | None = None, available: bool | None = None) -> list[Frame]:
        """The worker's channel changes: one event for each of the two that does."""
        channel = self.channels[CHANNEL]
        frames: list[str] = []
        if capacity is not None:
            channel["configured_capacity"] = capacity
            frames.append("worker.capacity.update")
        if available is not None:
            channel["available"] = int(available)
            frames.append("worker.channel.availability.update")
        channel["date_updated"] = self.now
        self.worker["version"] += len(frames)
        return [(name, {**copy.deepcopy(channel), "version": self.worker["version"]}) for name in frames]

    def _frame(self, event_type: str, fields: Fields) -> Frame:
        return event_type, copy.deepcopy(fields)


def transfer(reservation: str, number: int = 1, **changes: Any) -> Fields:
    """A transfer that was started from `reservation`."""
    return {
        "sid": sid("TT", number),
        "transfer_type": "QUEUE",
        "transfer_mode": "COLD",
        "transfer_to": sid("WQ", 2),
        "transfer_status": "initiated",
        "initiating_reservation_sid": reservation,
        "initiating_worker_sid": WORKER,
        "initiating_queue_sid": sid("WQ", 1),
        "initiating_workflow_sid": sid("WW", 1),
        "date_created": EPOCH,
        "date_updated": EPOCH,
        "task_sid": "WT" + reservation[2:],
        **changes,
    }
