"""Transfers of a task, seen from the reservation that started one and from the one it made."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec

from ._context import Context, moment
from ._emitter import Emitter
from .resources import TransferFields

__all__ = ["IncomingTransfer", "OutgoingTransfer", "OutgoingTransferEvent", "Transfers"]

OutgoingTransferEvent = Literal["attemptFailed", "completed", "failed", "canceled"]

_TRANSFER: Final = msgspec.json.Decoder(TransferFields)


class _Transfer:
    """What both kinds show."""

    __slots__ = ()

    _fields: TransferFields

    @property
    def sid(self) -> str:
        """``TT...``"""
        return self._fields.sid

    @property
    def mode(self) -> str:
        """``WARM`` or ``COLD``."""
        return self._fields.transfer_mode

    @property
    def type(self) -> str:
        """``WORKER`` or ``QUEUE``."""
        return self._fields.transfer_type

    @property
    def to(self) -> str:
        """The target: ``WK...`` or ``WQ...``."""
        return self._fields.transfer_to

    @property
    def status(self) -> str:
        """``initiated``, ``complete``, ``failed`` or ``canceled``."""
        return self._fields.transfer_status

    @property
    def transfer_failed_reason(self) -> str | None:
        """Why it, or its latest attempt, failed."""
        reason = self._fields.transfer_failed_reason
        return reason if isinstance(reason, str) else None

    @property
    def reservation_sid(self) -> str:
        """The reservation that it was started from."""
        return self._fields.initiating_reservation_sid

    @property
    def worker_sid(self) -> str:
        """The worker that started it."""
        return self._fields.initiating_worker_sid

    @property
    def queue_sid(self) -> str | None:
        """The task's queue when it was started."""
        return self._fields.initiating_queue_sid

    @property
    def workflow_sid(self) -> str | None:
        """The task's workflow."""
        return self._fields.initiating_workflow_sid

    @property
    def date_created(self) -> datetime | None:
        """When it was started."""
        return moment(self._fields.date_created)

    @property
    def date_updated(self) -> datetime | None:
        """When it last changed."""
        return moment(self._fields.date_updated)

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self.sid} {self.status} to {self.to}>"


class IncomingTransfer(_Transfer):
    """The transfer that made a reservation."""

    __slots__ = ("_fields",)

    def __init__(self, fields: TransferFields) -> None:
        self._fields = fields

    def _replace(self, fields: TransferFields) -> None:
        self._fields = fields


class OutgoingTransfer(_Transfer, Emitter[OutgoingTransferEvent]):
    """A transfer started from a reservation of this worker.

    Events, each with the transfer: `attemptFailed`, `completed`, `failed`, `canceled`.
    """

    __slots__ = ("_announced", "_context", "_fields", "_task_sid")

    EVENTS = frozenset({"attemptFailed", "completed", "failed", "canceled"})

    def __init__(self, context: Context, fields: TransferFields, task_sid: str) -> None:
        super().__init__(context.dispatcher)
        self._context = context
        self._fields = fields
        self._task_sid = task_sid
        self._announced = False  # whether the application was told of its start

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
            self._fields = fields


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
