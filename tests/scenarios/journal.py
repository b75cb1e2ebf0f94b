"""What an application was told, what the server did, and whether the two agree."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from server_stub import StubServer
from server_stub.domain.events import Event
from server_stub.domain.model import Reservation as DomainReservation
from server_stub.domain.workspace import Workspace
from taskrouter_worker import Reservation, Worker
from taskrouter_worker.reservation import ReservationEvent
from taskrouter_worker.terms import EventType

STEPS = {
    EventType.RESERVATION_CREATED: "created",
    EventType.RESERVATION_ACCEPTED: "accepted",
    EventType.RESERVATION_WRAPUP: "wrapup",
    EventType.RESERVATION_COMPLETED: "completed",
    EventType.RESERVATION_REJECTED: "rejected",
    EventType.RESERVATION_TIMEOUT: "timeout",
    EventType.RESERVATION_CANCELED: "canceled",
    EventType.RESERVATION_RESCINDED: "rescinded",
}
EMISSIONS: tuple[ReservationEvent, ...] = (
    "accepted",
    "wrapup",
    "completed",
    "rejected",
    "timeout",
    "canceled",
    "rescinded",
    "ended",
)
ENDS = frozenset({"completed", "rejected", "timeout", "canceled", "rescinded"})


@dataclass
class History:
    """What happened to each reservation of one worker, as the server's domain recorded it."""

    worker_sid: str
    steps: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def record(self, _workspace: Workspace, events: Sequence[Event]) -> None:
        """Take the events of one command."""
        for event in events:
            step = STEPS.get(event.type)
            resource = event.resource
            if (
                step is not None
                and isinstance(resource, DomainReservation)
                and resource.worker.sid == self.worker_sid
            ):
                self.steps[resource.sid].append(step)

    @property
    def all_ended(self) -> bool:
        """Whether nothing is open."""
        return all(steps[-1] in ENDS for steps in self.steps.values())


class Journal:
    """Writes down each emission that a worker's application sees, in order.

    Args:
        worker: not entered yet.
        as_coroutine: listen to a reservation from within a coroutine handler, as most applications do.
    """

    def __init__(self, worker: Worker, *, as_coroutine: bool = False) -> None:
        self.worker = worker
        self.told: dict[str, list[str]] = defaultdict(list)
        self.objects: dict[str, Reservation] = {}
        worker.on("reservationCreated", self._created_later if as_coroutine else self._created)
        worker.on("reservationMissed", lambda r: self.told[r.sid].append(f"missed as {r.status}"))

    async def _created_later(self, reservation: Reservation) -> None:
        self._created(reservation)

    def _created(self, reservation: Reservation) -> None:
        assert self.objects.setdefault(reservation.sid, reservation) is reservation, "another object for it"
        self.told[reservation.sid].append("created")
        for step in EMISSIONS:
            reservation.on(step, self._writer(step))

    def _writer(self, step: str) -> Callable[[Reservation], None]:
        return lambda reservation: self.told[reservation.sid].append(step)


def differences(journal: Journal, history: History) -> list[str]:
    """How what was told differs from what happened; empty when nothing was lost, doubled or out of order.

    Two things may differ, and only these: a reservation that began and ended within one gap is told
    as missed, and a wrap-up that began and ended within one gap is not told apart from the end.
    """
    wrong = [
        f"{sid}: told {journal.told[sid]}, but it never existed"
        for sid in journal.told.keys() - history.steps.keys()
    ]
    for sid, happened in history.steps.items():
        told = journal.told.get(sid, [])
        ended = happened[-1] in ENDS
        if ended and told == [f"missed as {happened[-1]}"]:
            continue
        expected = [*happened, "ended"] if ended else happened
        without_wrapup = [step for step in expected if step != "wrapup"]
        if told not in (expected, without_wrapup if ended else expected):
            wrong.append(f"{sid}: told {told}, happened {expected}")
    return wrong


def stale(worker: Worker, server: StubServer, workspace_sid: str) -> list[str]:
    """Where the worker's model differs from what a fresh snapshot would show."""
    domain = server.account.workspaces[workspace_sid].workers[worker.sid]
    wrong = []
    if worker.activity_sid != domain.activity.sid:
        wrong.append(f"activity {worker.activity_name}, the server has {domain.activity.friendly_name}")
    here = {
        r.sid: (str(r.status), r.version, r.task.status, r.task.version) for r in worker.reservations.values()
    }
    there = {
        r.sid: (str(r.status), str(r.version), str(r.task.status), str(r.task.version))
        for r in domain.live_reservations
    }
    if here != there:
        wrong.append(f"reservations {here}, the server has {there}")
    return wrong


async def until(condition: Callable[[], bool], what: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll for something that no single event announces; fail with `what()` when it does not come."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what()}") from None
