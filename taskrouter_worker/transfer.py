"""Transfers of a task, seen from the reservation that started one and from the one it made."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from ._context import Context
from ._signatures import OwnEmitter
from ._views import TransferView
from .resources import TransferFields

__all__ = ["IncomingTransfer", "OutgoingTransfer", "OutgoingTransferEvent", "Transfers"]

OutgoingTransferEvent = Literal["attemptFailed", "completed", "failed", "canceled"]

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

    Events, each with the transfer: `attemptFailed`, `completed`, `failed`, `canceled`.
    """

    __slots__ = ("_announced", "_context", "_held", "_task_sid")

    EVENTS = frozenset({"attemptFailed", "completed", "failed", "canceled"})

    def __init__(self, context: Context, fields: TransferFields, task_sid: str) -> None:
        super().__init__(context.dispatcher)
        self._context = context
        self._held = fields
        self._task_sid = task_sid
        self._announced = False  # whether the application was told of its start

    @property
    def _fields(self) -> TransferFields:
        return self._held

    @property
    def task_sid(self) -> str:
        """The task."""
        return self._task_sid

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
            self._fields.transfer_status != "initiated" and fields.transfer_status == "initiated"
        ):
            self._held = fields


class Transfers:
    """The transfers of a task, as this reservation sees them.

    Attributes:
        incoming: the transfer that made the reservation, None if there was none.
        outgoing: the latest transfer started from the reservation, None if there was none.
    """

    __slots__ = ("incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming: IncomingTransfer | None = None
        self.outgoing: OutgoingTransfer | None = None
