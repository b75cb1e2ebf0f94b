"""What `listen` prints where nobody looks at a screen: JSON lines for programs, or lines of text."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Protocol

from .leaving import Stop, plain, tell

if TYPE_CHECKING:
    from taskrouter_worker import Disconnect, Reservation, TaskRouterError, Worker

__all__ = ["Face", "JsonLines", "Lines", "brief", "follow", "in_words", "reason"]

STEPS: Final[
    tuple[Literal["accepted", "wrapup", "rejected", "timeout", "canceled", "rescinded", "completed"], ...]
] = (
    "accepted",
    "wrapup",
    "rejected",
    "timeout",
    "canceled",
    "rescinded",
    "completed",
)
"""Events of a reservation that are told."""


class Face(Protocol):
    """What is told about a worker, in one form or another."""

    def ready(self, worker: Worker) -> None:
        """A snapshot was taken."""
        ...

    def activity(self, worker: Worker) -> None:
        """The worker is in another activity."""
        ...

    def reservation(self, event: str, reservation: Reservation) -> None:
        """Something about a reservation; `event` is ``created``, or the reservation's own event."""
        ...

    def disconnected(self, disconnect: Disconnect) -> None:
        """The connection ended."""
        ...

    def token(self, event: str) -> None:
        """The token: ``tokenExpired`` or ``tokenUpdated``."""
        ...

    def failed(self, error: TaskRouterError) -> None:
        """Something went wrong, and the session goes on."""
        ...


def follow(worker: Worker, face: Face) -> None:
    """Have everything told to `face`."""

    def watch(reservation: Reservation) -> None:
        for event in STEPS:
            reservation.on(event, lambda r, event=event: face.reservation(event, r))
        reservation.on("ended", lambda r: face.reservation("lost", r) if r.outcome == "unknown" else None)

    known: set[str] = set()

    def created(reservation: Reservation) -> None:
        known.add(reservation.sid)
        watch(reservation)
        face.reservation("created", reservation)

    def ready(_: Worker) -> None:
        # What was accepted in an earlier session is in the snapshot, and no event tells of it.
        for reservation in worker.reservations.values():
            if reservation.status != "pending" and reservation.sid not in known:
                known.add(reservation.sid)
                watch(reservation)
        face.ready(worker)

    worker.on("ready", ready)
    worker.on("reservationCreated", created)
    worker.on("reservationMissed", lambda r: face.reservation("missed", r))
    worker.on("activityUpdated", lambda _: face.activity(worker))
    worker.on("disconnected", face.disconnected)
    worker.on("tokenExpired", lambda: face.token("tokenExpired"))
    worker.on("tokenUpdated", lambda: face.token("tokenUpdated"))
    worker.on("error", face.failed)


class _Printer:
    """Prints lines.

    Args:
        leave: is called when nobody reads the lines any more, or they cannot be written.

    Attributes:
        failure: why they cannot be written.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave
        self.failure: Stop | None = None

    def _print(self, line: str) -> None:
        try:
            tell(line)
        except Stop as stop:  # raised in a handler it would be an error of the worker's
            self.failure = stop if str(stop) else None
            self._leave()


class JsonLines(_Printer):
    """One JSON object a line: `event`, `at`, and what belongs to the event."""

    def ready(self, worker: Worker) -> None:
        """See `Face`."""
        reservations = [_reservation(reservation) for reservation in worker.reservations.values()]
        self._tell("ready", worker=_worker(worker), reservations=reservations)

    def activity(self, worker: Worker) -> None:
        """See `Face`."""
        self._tell("activityUpdated", worker=_worker(worker))

    def reservation(self, event: str, reservation: Reservation) -> None:
        """See `Face`."""
        name = f"reservation{event[0].upper()}{event[1:]}"
        self._tell(name, origin=reservation.origin, reservation=_reservation(reservation))

    def disconnected(self, disconnect: Disconnect) -> None:
        """See `Face`."""
        self._tell(
            "disconnected",
            cause=str(disconnect.cause),
            message=in_words(disconnect.message),
            will_reconnect=disconnect.will_reconnect,
        )

    def token(self, event: str) -> None:
        """See `Face`."""
        self._tell(event)

    def failed(self, error: TaskRouterError) -> None:
        """See `Face`."""
        self._tell("error", error=type(error).__name__, message=reason(error))

    def _tell(self, event: str, **facts: object) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._print(json.dumps({"event": event, "at": at, **facts}))


class Lines(_Printer):
    """One line of text for each event."""

    def __init__(self, leave: Callable[[], None]) -> None:
        super().__init__(leave)
        self._told = ""  # why the connection ended

    def ready(self, worker: Worker) -> None:
        """See `Face`."""
        number = len(worker.reservations)
        self._tell(
            "ready", f"{worker.name} is {worker.activity_name}, with {number} reservation{'s'[number == 1 :]}"
        )

    def activity(self, worker: Worker) -> None:
        """See `Face`."""
        self._tell("activity", f"{worker.name} is {worker.activity_name}")

    def reservation(self, event: str, reservation: Reservation) -> None:
        """See `Face`."""
        word = {"created": "offered", "wrapup": "wrapping"}.get(event, event)
        self._tell(word, f"{reservation.sid}  {brief(reservation)}")

    def disconnected(self, disconnect: Disconnect) -> None:
        """See `Face`."""
        self._told = in_words(disconnect.message)
        if disconnect.will_reconnect:
            self._tell("gone", f"{self._told}; connecting again")
        else:
            self._tell("left", self._told)

    def token(self, event: str) -> None:
        """See `Face`."""
        self._tell("token", "expires" if event == "tokenExpired" else "renewed")

    def failed(self, error: TaskRouterError) -> None:
        """See `Face`."""
        why, told, self._told = reason(error), self._told, ""
        if why != told:  # the error that ended the connection comes right after its end
            self._tell("error", why)

    def _tell(self, word: str, text: str) -> None:
        self._print(f"{datetime.now().astimezone():%H:%M:%S}  {word:<9}  {plain(text)}")


def brief(reservation: Reservation) -> str:
    """What a task is about, on one line: its attributes, or its queue where it has none."""
    task = reservation.task
    attributes = "  ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in task.attributes.items()
    )
    return attributes or task.queue_name or task.sid


def reason(error: TaskRouterError) -> str:
    """Its text, and that of what is behind it where that is the program's own."""
    cause = error.__cause__
    return f"{error}: {cause}" if isinstance(cause, Stop) else in_words(str(error))


_CONNECTOR: Final = re.compile(r"^.*: Cannot connect to host (\S+) ssl:\S+ \[(.*)\]$", re.DOTALL)
"""aiohttp's text, which names a context of TLS for plain HTTP too."""

_CALLS: Final = re.compile(
    r"(?:Multiple exceptions: )?(?:\[Errno (\d+)\] )?Connect call failed \([^)]*\)"
    r"(?:, (?:\[Errno \d+\] )?Connect call failed \([^)]*\))*"
)
"""asyncio's text: one call for each address of the host."""


_NUMBER: Final = re.compile(r"\[Errno -?\d+\] ")


def in_words(message: str) -> str:
    """A failure's text, without what the libraries below say to programmers."""

    def why(calls: re.Match[str]) -> str:
        number = int(calls[1] or 0)
        words = {0: "nothing answers there", errno.ECONNREFUSED: "nothing listens there"}
        return words.get(number) or os.strerror(number)

    message = _CONNECTOR.sub(r"cannot connect to \1: \2", message)
    return _NUMBER.sub("", _CALLS.sub(why, message))


def _worker(worker: Worker) -> dict[str, object]:
    return {
        "sid": worker.sid,
        "name": worker.name,
        "activity_sid": worker.activity_sid,
        "activity_name": worker.activity_name,
        "available": worker.available,
        "attributes": worker.attributes,
    }


def _reservation(reservation: Reservation) -> dict[str, object]:
    task = reservation.task
    return {
        "sid": reservation.sid,
        "status": reservation.status,
        "timeout": reservation.timeout,
        "task": {
            "sid": task.sid,
            "status": task.status,
            "priority": task.priority,
            "age": task.age,
            "queue_name": task.queue_name,
            "workflow_name": task.workflow_name,
            "channel": task.task_channel_unique_name,
            "attributes": task.attributes,
        },
    }
