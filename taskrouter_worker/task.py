"""The task of a reservation, and what can be done with it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final, Literal

import anyio
import msgspec

from ._context import Attributes, Context, check_attributes
from ._outcomes import TASK_REACHED, carry_out
from ._requests import Request, check_sid
from ._signatures import TaskEmitter
from ._views import TaskView
from .options import instruction_params
from .resources import TaskFields, TransferFields
from .terms import SidPrefix, TaskStatus, TransferMode
from .transfer import OutgoingTransfer, Transfers

__all__ = ["Task", "TaskEvent"]

TaskEvent = Literal["updated", "wrapup", "completed", "canceled", "transferInitiated"]

NEWS_SECONDS: Final = 5.0
"""How long a version-checked command waits for the event that tells the task's version."""

_TASK: Final = msgspec.json.Decoder(TaskFields)
_TRANSFER: Final = msgspec.json.Decoder(TransferFields)

# What an `updated` is about. A task's version also rises with its reservations, and those have events of
# their own.
_CONTENT = (
    "attributes",
    "addons",
    "priority",
    "queue_sid",
    "workflow_sid",
    "task_channel_sid",
    "virtual_start_time",
    "timeout",
    "routing_target",
)


class Task(TaskView, TaskEmitter[OutgoingTransfer]):
    """A task, as one reservation shows it: two reservations of a task have two of these.

    With `enable_version_check`, a command that follows one of the reservation's waits up to five seconds
    for the event that tells the task's new version: answers do not show it.

    Events, each with the task: `updated`, `wrapup`, `completed`, `canceled`; and
    `transferInitiated` with the outgoing transfer.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_floor",
        "_held",
        "_news",
        "_reservation_sid",
        "_told",
        "_told_at",
        "transfers",
    )

    EVENTS = frozenset({"updated", "wrapup", "completed", "canceled", "transferInitiated"})

    def __init__(self, context: Context, fields: TaskFields, reservation_sid: str) -> None:
        super().__init__(context.dispatcher)
        self._context = context
        self._held = fields
        self._reservation_sid = reservation_sid
        self._news: asyncio.Event | None = None  # set when a change that an answer implied is known
        self._told = fields  # what the application was last told
        self._floor = -1  # events up to this version are part of a snapshot
        self._told_at: dict[str, int] = {}  # by event: the version it was last told with
        self.transfers = Transfers()

    @property
    def _fields(self) -> TaskFields:
        return self._held

    @property
    def reservation_sid(self) -> str:
        """The reservation that shows it, ``WR...``."""
        return self._reservation_sid

    async def complete(self, reason: str | None = None) -> Task:
        """Complete the task, with all its reservations, and return it.

        Like `wrap_up` it is sent once, and looked after if no answer comes: see `Reservation.accept`.

        Raises:
            TypeError: `reason` is not text.
            RequestError: the service refused, or could not be reached.
        """
        _check_reason(reason)
        return await self._move_to(TaskStatus.COMPLETED, reason)

    async def wrap_up(self, reason: str | None = None) -> Task:
        """Move the task to `wrapping`, which still takes capacity, and return it.

        Raises:
            TypeError: `reason` is not text.
            RequestError: the service refused, or could not be reached.
        """
        _check_reason(reason)
        return await self._move_to(TaskStatus.WRAPPING, reason)

    async def set_attributes(self, attributes: Attributes) -> Task:
        """Replace the task's attributes (no merge) and return it.

        Raises:
            TypeError, ValueError: not a dict that JSON can show.
            RequestError: the service refused, or could not be reached.
        """
        checked = check_attributes(attributes)
        return await self._command(
            self._context.routes.set_task_attributes(self.sid, checked, await self._if_match())
        )

    async def set_virtual_start_time(self, moment: datetime) -> Task:
        """Move the task in its queue (whole seconds) and return it.

        Raises:
            TypeError: not a datetime.
            ValueError: a datetime without a time zone.
            RequestError: the service refused, or could not be reached.
        """
        check_moment(moment, "moment")
        return await self._command(
            self._context.routes.set_virtual_start_time(self.sid, moment, await self._if_match())
        )

    async def update_participant(
        self, *, hold: bool | None = None, hold_url: str | None = None, hold_method: str | None = None
    ) -> Task:
        """Change the customer's leg of the conference and return the task.

        Args:
            hold: put the customer on hold, or take them off.
            hold_url: what the customer hears meanwhile.
            hold_method: how `hold_url` is fetched, GET or POST.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        params = _hold_options(hold, hold_url, hold_method)
        return await self._command(self._context.routes.update_customer_participant(self.sid, params))

    async def hold(
        self,
        worker_sid: str,
        on_hold: bool,
        *,
        hold_url: str | None = None,
        hold_method: str | None = None,
    ) -> Task:
        """Put another worker of the conference on hold, or take it off, and return the task.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(worker_sid, "worker_sid", SidPrefix.WORKER)
        if not isinstance(on_hold, bool):
            raise TypeError(f"on_hold must be a bool, got {on_hold!r}")
        params = {"TargetWorkerSid": worker_sid, **_hold_options(on_hold, hold_url, hold_method)}
        return await self._command(self._context.routes.hold_worker_participant(self.sid, params))

    async def kick(self, worker_sid: str) -> Task:
        """Remove another worker from the conference and return the task.

        Raises:
            TypeError, ValueError: a wrong SID.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(worker_sid, "worker_sid", SidPrefix.WORKER)
        return await self._command(self._context.routes.kick_worker_participant(self.sid, worker_sid))

    async def transfer(
        self,
        to: str,
        *,
        mode: TransferMode | str | None = None,
        attributes: Attributes | None = None,
        priority: int | None = None,
    ) -> OutgoingTransfer:
        """Hand the task to another worker or to a queue; the transfer is also `transfers.outgoing`.

        Args:
            to: the target, ``WK...`` or ``WQ...``.
            mode: ``WARM`` (the service's default: this worker stays) or ``COLD``.
            attributes: new attributes of the task.
            priority: new priority of the task, 0 included.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(to, "to", SidPrefix.WORKER, SidPrefix.TASK_QUEUE)
        if mode is not None and mode not in list(TransferMode):
            raise ValueError(f"mode must be WARM or COLD, got {mode!r}")
        if attributes is not None:
            check_attributes(attributes)
        if priority is not None and (isinstance(priority, bool) or not isinstance(priority, int)):
            raise TypeError(f"priority must be an int, got {priority!r}")
        request = self._context.routes.transfer(
            reservation_sid=self._reservation_sid,
            task_sid=self.sid,
            to=to,
            attributes=attributes,
            mode=None if mode is None else str(mode),
            priority=priority,
        )
        return self._outgoing(await self._context.fetch(request, _TRANSFER))

    async def fetch_latest_version(self) -> Task:
        """Fetch the task and return it, brought up to date.

        Raises:
            RequestError: the service refused, or could not be reached.
        """
        await self._command(self._context.routes.task(self.sid))
        self._caught_up()
        return self

    async def _if_match(self) -> str | None:
        """The version to send along, None when version checks are off.

        The answer to `Reservation.accept` and the like does not show the task that they changed, but
        the event that follows does. Without waiting for it, the service would refuse the next command.
        """
        if self._context.enable_version_check and self._news is not None:
            with anyio.move_on_after(NEWS_SECONDS):
                await self._news.wait()
        return self._context.if_match(self._fields.version)

    def _expect_news(self) -> None:
        """An answer said that its reservation moved; how the task stands now comes with an event."""
        if self._context.enable_version_check and self._news is None:
            self._news = asyncio.Event()

    def _caught_up(self) -> None:
        """What is held is what the reservation's latest change left."""
        if self._news is not None:
            self._news.set()
            self._news = None

    async def _move_to(self, status: TaskStatus, reason: str | None) -> Task:
        request = self._context.routes.update_task_status(
            self.sid, status, await self._if_match(), reason=reason
        )
        await carry_out(
            lambda: self._command(request),
            sid=self.sid,
            reached=TASK_REACHED[status],
            status=lambda: self.status,
            look=self.fetch_latest_version,
        )
        return self

    async def _command(self, request: Request) -> Task:
        self._merge(await self._context.fetch(request, _TASK))
        return self

    def _merge(self, fields: TaskFields) -> None:
        """Take fields of this task that are not older than the ones held."""
        held = self._held
        if fields.sid == held.sid and fields.version >= held.version:
            if fields.version > held.version:
                self._caught_up()
            self._held = fields

    def _outgoing(self, fields: TransferFields) -> OutgoingTransfer:
        """The outgoing transfer of these fields, see `Transfers`."""
        return self.transfers._take(self._context, fields, self.sid)

    def _listened(self) -> bool:
        """Whether somebody may learn of events although nobody holds this task."""
        return self._emitter is not None or self.transfers.outgoing is not None

    def _first_listener(self) -> None:
        self._context.keep_task(self)

    def _tell(self, event: str, version: int) -> bool:
        """Whether `event` with `version` is news; it counts as told from now on."""
        if version <= self._floor or version <= self._told_at.get(event, -1):
            return False
        self._told_at[event] = version
        return True

    def _told_all(self, fields: TaskFields) -> None:
        """The application was told of these fields with some event."""
        if fields.version >= self._told.version:
            self._told = fields

    def _catch_up(self) -> TaskEvent | None:
        """The event that brings the application from what it was told to the present fields."""
        old, new = self._told, self._fields
        self._told = new
        self._floor = max(self._floor, new.version)
        if new.version <= old.version:
            return None
        if old.assignment_status != new.assignment_status:
            match new.assignment_status:
                case TaskStatus.COMPLETED:
                    return "completed"
                case TaskStatus.CANCELED:
                    return "canceled"
                case TaskStatus.WRAPPING:
                    return "wrapup"
                case _:
                    pass
        if any(getattr(old, name) != getattr(new, name) for name in _CONTENT):
            return "updated"
        return None

    def __repr__(self) -> str:
        return f"<Task {self.sid} {self.status}>"


def check_moment(value: object, name: str) -> None:
    """Refuse what is not an aware datetime.

    Raises:
        TypeError: not a datetime.
        ValueError: a datetime without a time zone.
    """
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, got {type(value).__name__}: {value!r}")
    if value.tzinfo is None:
        raise ValueError(f"{name} must have a time zone, such as datetime.now(UTC), got {value!r}")


def _check_reason(reason: object) -> None:
    if reason is not None and not isinstance(reason, str):
        raise TypeError(f"reason must be a str, got {type(reason).__name__}: {reason!r}")


def _hold_options(hold: object, hold_url: object, hold_method: object) -> dict[str, object]:
    if hold_method is not None and hold_method not in ("GET", "POST"):
        raise ValueError(f"hold_method must be GET or POST, got {hold_method!r}")
    return instruction_params({"hold": hold, "hold_url": hold_url, "hold_method": hold_method})
