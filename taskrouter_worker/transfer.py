"""Transfers of a task, seen from the reservation that started one and from the one it made."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from ._context import Context
from ._signatures import OwnEmitter
from ._views import TransferView
from .resources import TransferFields
from .terms import TransferStatus

__all__ = ["IncomingTransfer", "OutgoingTransfer", "OutgoingTransferEvent", "Transfers"]

OutgoingTransferEvent = Literal["attemptFailed", "completed", "failed", "canceled", "ended"]

UNKNOWN: Final = "unknown"
"""The outcome and the status of a transfer that ended unseen: nothing can be asked how."""

_TOLD_AS: Final[dict[str, OutgoingTransferEvent]] = {
    TransferStatus.COMPLETE: "completed",
    TransferStatus.FAILED: "failed",
    TransferStatus.CANCELED: "canceled",
}

_TRANSFER: Final = msgspec.json.Decoder(TransferFields)


class IncomingTransfer(TransferView):
    """The transfer that made a reservation."""

    __slots__ = ("_held",)

    def __init__(self, fields: TransferFields) -> None:
        self._held = fields

    @property
    def _fields(self) -> TransferFields:
        return self._held

    def _replace(self, fields: TransferFields) -> None:
        self._held = fields


class OutgoingTransfer(TransferView, OwnEmitter[OutgoingTransferEvent]):
    """A transfer started from a reservation of this worker.

    Events, each with the transfer: `attemptFailed`, `completed`, `failed`, `canceled`, and `ended` after
    each of the last three. `ended` alone says that it ended while there was no connection: the event
    bridge has no request that tells how, so `outcome` and `status` are ``unknown`` then. Worker.js has
    no such event.
    """

    __slots__ = ("_announced", "_attempts", "_context", "_held", "_outcome", "_task_sid")

    EVENTS = frozenset({"attemptFailed", "completed", "failed", "canceled", "ended"})
    _LAST = "ended"

    def __init__(self, context: Context, fields: TransferFields, task_sid: str) -> None:
        super().__init__(context.dispatcher)
        self._context = context
        self._held = fields
        self._task_sid = task_sid
        self._announced = False  # whether the application was told of its start
        self._attempts: set[tuple[float | None, object]] = set()  # the failed ones that it was told of
        self._outcome: str | None = None

    @property
    def _fields(self) -> TransferFields:
        return self._held

    @property
    def task_sid(self) -> str:
        """The task."""
        return self._task_sid

    @property
    def outcome(self) -> str | None:
        """How it ended, None while it is open: ``complete``, ``failed``, ``canceled`` or ``unknown``."""
        return self._outcome

    async def cancel(self) -> OutgoingTransfer:
        """Take the transfer back and return it.

        Raises:
            RequestError: the service refused, for example because it has ended, or could not be reached.
        """
        request = self._context.routes.cancel_transfer(self.sid, self._task_sid)
        self._replace(await self._context.fetch(request, _TRANSFER))
        return self

    def _replace(self, fields: TransferFields) -> None:
        if fields.sid == self._fields.sid and not (
            self._fields.transfer_status != TransferStatus.INITIATED
            and fields.transfer_status == TransferStatus.INITIATED
        ):
            self._held = fields

    def _announce(self) -> bool:
        """Whether its start is news; it counts as told from now on."""
        news, self._announced = not self._announced, True
        return news

    def _attempt_failed(self, fields: TransferFields) -> bool:
        """Whether a failed attempt is news; it counts as told from now on.

        Nothing numbers the attempts. Moment and reason tell them apart, as far as whole seconds can.
        """
        attempt = (fields.date_updated, fields.transfer_failed_reason)
        news = attempt not in self._attempts
        self._attempts.add(attempt)
        return news

    def _told_end(self) -> frozenset[str]:
        told = None if self._outcome is None else _TOLD_AS.get(self._outcome)
        return frozenset({"ended"} if told is None else {"ended", told})

    def _end(self, outcome: str | None = None) -> list[OutgoingTransferEvent]:
        """The events that tell its end, none if that was told.

        Args:
            outcome: how it ended; None for the status that an answer showed, and unknown without one.
        """
        if self._outcome is not None:
            return []
        if outcome is None and self.status in _TOLD_AS:
            outcome = self.status
        self._outcome = outcome or UNKNOWN
        if outcome is None:
            self._held = msgspec.structs.replace(self._held, transfer_status=UNKNOWN)
            return ["ended"]
        return [_TOLD_AS[outcome], "ended"]


class Transfers:
    """The transfers of a task, as this reservation sees them.

    Attributes:
        incoming: the transfer that made the reservation, None if there was none.
        outgoing: the latest transfer started from the reservation, None if there was none.
    """

    __slots__ = ("_started", "incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming: IncomingTransfer | None = None
        self.outgoing: OutgoingTransfer | None = None
        self._started: dict[str, OutgoingTransfer] = {}  # all that were started from here, by SID

    def _open(self) -> list[OutgoingTransfer]:
        """Those whose end was not told yet, the oldest first."""
        return [transfer for transfer in self._started.values() if transfer.outcome is None]

    def _take(self, context: Context, fields: TransferFields, task_sid: str) -> OutgoingTransfer:
        """The outgoing transfer of these fields: the one known, brought up to date, or a new one."""
        known = self._started.get(fields.sid)
        if known is not None:
            known._replace(fields)
            return known
        transfer = self._started[fields.sid] = OutgoingTransfer(context, fields, task_sid)
        latest = self.outgoing
        if latest is None or (fields.date_created or 0) >= (latest._fields.date_created or 0):
            self.outgoing = transfer
        return transfer
