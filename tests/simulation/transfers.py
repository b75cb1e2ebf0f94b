"""Tasks that are handed on: a colleague without a program takes them, and an auditor compares."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from collections import defaultdict
from collections.abc import Sequence

from server_stub import StubServer
from server_stub.domain.errors import DomainError
from server_stub.domain.events import Event
from server_stub.domain.model import Reservation as DomainReservation
from server_stub.domain.model import Transfer
from server_stub.domain.workspace import Workspace
from taskrouter_worker import OutgoingTransfer, Reservation, Worker
from taskrouter_worker.terms import EventType

__all__ = ["Colleague", "TransferJournal"]

HAPPENED = {
    EventType.TASK_TRANSFER_ATTEMPT_FAILED: ("attemptFailed",),
    EventType.TASK_TRANSFER_COMPLETED: ("completed", "ended"),
    EventType.TASK_TRANSFER_FAILED: ("failed", "ended"),
    EventType.TASK_TRANSFER_CANCELED: ("canceled", "ended"),
}


class Colleague:
    """A worker of the server's without a connection: accepts, rejects or ignores what it is offered.

    Args:
        server: where it works; its events are to be handed to `observe`.
        rng: draws what it does.
    """

    def __init__(self, server: StubServer, rng: random.Random) -> None:
        self._server = server
        self._rng = rng
        self.sid = ""

    def observe(self, _workspace: Workspace, events: Sequence[Event]) -> None:
        """Take the events of one command."""
        for event in events:
            offer = event.resource
            if isinstance(offer, DomainReservation) and offer.worker.sid == self.sid:
                if event.type == EventType.RESERVATION_CREATED:
                    self._later(offer.sid, self._rng.choice(["accepted", "accepted", "rejected", None]))
                elif event.type == EventType.RESERVATION_ACCEPTED:
                    self._later(offer.sid, "completed")

    def _later(self, sid: str, status: str | None) -> None:
        if status is not None:
            asyncio.get_running_loop().call_later(self._rng.uniform(0, 8), self._move, sid, status)

    def _move(self, sid: str, status: str) -> None:
        with contextlib.suppress(DomainError):  # the offer may have ended meanwhile
            self._server.run(self._server.workspace_sid, lambda ws: ws.update_reservation(sid, status=status))


class TransferJournal:
    """What happened to a worker's outgoing transfers, what its application was told, and the difference."""

    def __init__(self, worker: Worker, worker_sid: str) -> None:
        self._worker_sid = worker_sid
        self.happened: dict[str, list[str]] = defaultdict(list)
        self.told: dict[str, list[str]] = defaultdict(list)
        self.origins: dict[str, int] = defaultdict(int)
        worker.on("reservationCreated", self._created)

    def record(self, _workspace: Workspace, events: Sequence[Event]) -> None:
        """Take the events of one command."""
        for event in events:
            transfer = event.resource
            if (
                isinstance(transfer, Transfer)
                and transfer.initiating_reservation.worker.sid == self._worker_sid
            ):
                if event.type == EventType.TASK_TRANSFER_INITIATED:
                    self.happened[transfer.sid].append("initiated")
                else:
                    self.happened[transfer.sid] += HAPPENED[event.type]

    def _created(self, reservation: Reservation) -> None:
        reservation.task.on("transferInitiated", self._initiated)

    def _initiated(self, transfer: OutgoingTransfer) -> None:
        self._write("initiated", transfer)
        for event in sorted(OutgoingTransfer.EVENTS):
            transfer.on(event, functools.partial(self._write, event))  # type: ignore[call-overload]

    def _write(self, event: str, transfer: OutgoingTransfer) -> None:
        self.told[transfer.sid].append(event)
        self.origins[transfer.origin] += 1

    def differences(self) -> list[str]:
        """How what was told differs from what happened.

        Only this may differ: a transfer that began and ended within one gap is not told of, how one ended
        within a gap is not known, and failed attempts of one gap are told as one or not at all.
        """
        wrong: list[str] = []
        for sid in self.happened.keys() | self.told.keys():
            told, happened = self.told.get(sid, []), self.happened.get(sid, [])
            rest = iter(happened)
            in_order = all(entry in rest for entry in told)
            known = not told or (told[0] == "initiated" and ("ended" in told) == ("ended" in happened))
            if not in_order or not known:
                wrong.append(f"{sid}: told {told}, happened {happened}")
        return wrong
