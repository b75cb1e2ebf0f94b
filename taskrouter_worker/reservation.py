"""The offer of a task to the worker, and the answers to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Unpack, cast

import msgspec

from ._context import Context
from ._outcomes import RESERVATION_REACHED, carry_out
from ._requests import Request, check_sid
from ._signatures import OwnEmitter
from ._views import ReservationView
from .options import ConferenceOptions, instruction_params
from .resources import (
    UNSET,
    AnyReservationFields,
    ReservationFields,
    ShortReservationFields,
    TaskFields,
    TransferFields,
)
from .task import Task
from .terms import RESERVATION_ENDED, Instruction, ReservationStatus, SidPrefix
from .transfer import IncomingTransfer

__all__ = ["Reservation", "ReservationEvent"]

ReservationEvent = Literal[
    "accepted", "rejected", "timeout", "canceled", "rescinded", "wrapup", "completed", "ended"
]

_SHORT: Final = msgspec.json.Decoder(ShortReservationFields)
_ANY: Final = msgspec.json.Decoder(AnyReservationFields)


_IGNORED: Final = msgspec.json.Decoder(msgspec.Raw)

_CREATED: Final = 1
_ACCEPTED: Final = 2
_WRAPUP: Final = 3
_ENDED: Final = 4


class Reservation(ReservationView, OwnEmitter[ReservationEvent]):
    """A reservation. The object stays the same from `reservationCreated` to its end, across reconnects.

    Events, each with the reservation: `accepted`, `wrapup`, `completed`, `rejected`, `timeout`,
    `canceled`, `rescinded`, as in Worker.js; and `ended` after each of the last five, or alone when
    the end happened out of sight and the service no longer knows it (`outcome` is then ``unknown``).

    Attributes:
        task: the task that is offered.
        transfer: the transfer that made the reservation, None if it came from a queue.
    """

    __slots__ = ("_context", "_held", "_outcome", "_stage", "task", "transfer")

    EVENTS = frozenset(
        {"accepted", "rejected", "timeout", "canceled", "rescinded", "wrapup", "completed", "ended"}
    )

    _LAST = "ended"

    def __init__(self, context: Context, fields: ReservationFields) -> None:
        super().__init__(context.dispatcher)
        self._context = context
        self._held = fields
        self._stage = 0  # how far the application was told
        self._outcome: str | None = None
        self.task = Task(context, fields.task, fields.sid)
        self.transfer: IncomingTransfer | None = None
        self._merge_transfers(fields)

    @property
    def _fields(self) -> ReservationFields:
        return self._held

    @property
    def outcome(self) -> str | None:
        """How it ended, None while it is live; ``unknown`` if the service no longer knows."""
        return self._outcome

    async def accept(self) -> Reservation:
        """Accept the task and return the reservation.

        Like `reject`, `wrap` and `complete` it is sent once. If no answer comes, the SDK looks at the
        reservation: it returns normally if the command was carried out.

        Raises:
            EndedOtherwiseError: no answer came, and the reservation has ended in another way.
            RequestError: the service refused, for example because the reservation is no longer
                pending, or could not be reached; `carried_out` tells whether it may be repeated.
        """
        return await self._update(ReservationStatus.ACCEPTED)

    async def reject(self, *, activity_sid: str | None = None) -> Reservation:
        """Decline the task and return the reservation.

        Args:
            activity_sid: an activity to move the worker to, ``WA...``.

        Raises:
            TypeError, ValueError: a wrong SID.
            RequestError: the service refused, or could not be reached.
        """
        if activity_sid is not None:
            check_sid(activity_sid, "activity_sid", SidPrefix.ACTIVITY)
        return await self._update(ReservationStatus.REJECTED, worker_activity_sid=activity_sid)

    async def wrap(self) -> Reservation:
        """Go over to wrapping up, which still takes capacity, and return the reservation.

        Raises:
            RequestError: the service refused, or could not be reached.
        """
        return await self._update(ReservationStatus.WRAPPING)

    async def complete(self) -> Reservation:
        """Complete this reservation and return it; the task ends with its last reservation.

        Raises:
            RequestError: the service refused, or could not be reached.
        """
        return await self._update(ReservationStatus.COMPLETED)

    async def call(
        self,
        from_: str,
        url: str,
        *,
        to: str | None = None,
        accept: bool | None = None,
        record: str | None = None,
        timeout: int | None = None,
        status_callback_url: str | None = None,
    ) -> Reservation:
        """Call the worker and run the document at `url`, and return the reservation.

        Args:
            from_: caller id.
            url: the document that the call runs.
            to: whom to call; the worker's attribute ``contact_uri`` unless given.
            accept: accept the reservation once the worker answers.
            record: ``record-from-answer`` or ``do-not-record``.
            timeout: seconds the phone rings.
            status_callback_url: told about the call's progress.

        Raises:
            TypeError: an argument has the wrong type.
            RequestError: the service refused, or could not be reached.
        """
        return await self._instruct(
            Instruction.CALL,
            {
                "from_": _required("from_", from_),
                "url": _required("url", url),
                "to": to,
                "accept": accept,
                "record": record,
                "timeout": timeout,
                "status_callback_url": status_callback_url,
            },
            prefix="Call",
        )

    async def dequeue(
        self,
        *,
        to: str | None = None,
        from_: str | None = None,
        post_work_activity_sid: str | None = None,
        record: str | None = None,
        timeout: int | None = None,
        status_callback_url: str | None = None,
        status_callback_events: Sequence[str] | str | None = None,
    ) -> Reservation:
        """Connect the caller that waits in the queue with the worker, and return the reservation.

        Args:
            to: whom to call; the worker's attribute ``contact_uri`` unless given.
            from_: caller id.
            post_work_activity_sid: the activity after the call, in single-tasking workspaces.
            record: ``record-from-answer`` or ``do-not-record``.
            timeout: seconds the phone rings.
            status_callback_url: told about the call's progress.
            status_callback_events: which steps it is told of.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        if post_work_activity_sid is not None:
            check_sid(post_work_activity_sid, "post_work_activity_sid", SidPrefix.ACTIVITY)
        # The REST API calls it ...Event. The JavaScript SDK adds an s, and its filter may be ignored.
        params = instruction_params(
            {
                "to": to,
                "from_": from_,
                "post_work_activity_sid": post_work_activity_sid,
                "record": record,
                "timeout": timeout,
                "status_callback_url": status_callback_url,
                "status_callback_event": status_callback_events,
            },
            prefix="Dequeue",
        )
        return await self._carry_out(Instruction.DEQUEUE, params)

    async def redirect(self, call_sid: str, url: str, *, accept: bool | None = None) -> Reservation:
        """Send a running call to the document at `url`, and return the reservation.

        Args:
            call_sid: the call, ``CA...``.
            url: the document that it goes on with.
            accept: accept the reservation as well.

        Raises:
            TypeError, ValueError: a wrong argument.
            RequestError: the service refused, or could not be reached.
        """
        check_sid(call_sid, "call_sid", SidPrefix.CALL)
        return await self._instruct(
            Instruction.REDIRECT,
            {"call_sid": call_sid, "url": _required("url", url), "accept": accept},
            prefix="Redirect",
        )

    async def conference(self, **options: Unpack[ConferenceOptions]) -> Reservation:
        """Bring worker and customer together in a conference, and return the reservation.

        Options that this version does not know pass through: ``new_option`` as ``NewOption``. The
        reservation is accepted when the worker answers; an event tells.

        Raises:
            TypeError: an option has the wrong type.
            RequestError: the service refused, or could not be reached.
        """
        params = {
            "Instruction": Instruction.CONFERENCE.value,
            **instruction_params(cast("Mapping[str, object]", options)),
        }
        await self._context.fetch(self._context.routes.instruct_reservation(self.sid, params), _IGNORED)
        return self

    async def update_participant(
        self,
        *,
        end_conference_on_exit: bool | None = None,
        mute: bool | None = None,
        beep_on_exit: bool | None = None,
    ) -> Reservation:
        """Change the worker's own leg of the conference, and return the reservation.

        Raises:
            TypeError: an option is not a bool.
            RequestError: the service refused, or could not be reached.
        """
        params = instruction_params(
            {
                "end_conference_on_exit": end_conference_on_exit,
                "mute": mute,
                "beep_on_exit": beep_on_exit,
            }
        )
        await self._context.fetch(self._context.routes.update_worker_participant(self.sid, params), _IGNORED)
        return self

    async def fetch_latest_version(self) -> Reservation:
        """Fetch the reservation and return it, brought up to date.

        Raises:
            RequestError: the service refused, or could not be reached.
        """
        self._merge_any(await self._context.fetch(self._context.routes.reservation(self.sid), _ANY))
        return self

    async def _update(
        self, status: ReservationStatus, *, worker_activity_sid: str | None = None
    ) -> Reservation:
        request = self._context.routes.update_reservation(
            self.sid,
            status,
            self._context.if_match(self._fields.version),
            worker_activity_sid=worker_activity_sid,
        )
        await carry_out(
            lambda: self._command(request),
            sid=self.sid,
            reached=RESERVATION_REACHED[status],
            status=lambda: self.status,
            look=self.fetch_latest_version,
        )
        return self

    async def _instruct(
        self, instruction: Instruction, options: Mapping[str, object], *, prefix: str
    ) -> Reservation:
        return await self._carry_out(instruction, instruction_params(options, prefix=prefix))

    async def _carry_out(self, instruction: Instruction, params: Mapping[str, object]) -> Reservation:
        return await self._command(
            self._context.routes.instruct_reservation(self.sid, {"Instruction": instruction.value, **params})
        )

    async def _command(self, request: Request) -> Reservation:
        self._merge_short(await self._context.fetch(request, _SHORT))
        return self

    # What the model does with it

    def _merge(self, fields: ReservationFields) -> None:
        """Take the fields of an event or a snapshot, unless they are older than what is held."""
        current = fields.version >= self._held.version
        if current:
            self._held = fields
        self.task._merge(fields.task)
        if current:
            self.task._caught_up()
        self._merge_transfers(fields)

    def _merge_short(self, fields: ShortReservationFields) -> None:
        """Take what an answer shows; what it leaves out stays."""
        if fields.version < self._fields.version:
            return
        if fields.version > self._fields.version:
            self.task._expect_news()
        timeout = fields.reservation_timeout
        self._held = msgspec.structs.replace(
            self._fields,
            reservation_status=fields.reservation_status,
            date_updated=fields.date_updated,
            version=fields.version,
            reservation_timeout=self._fields.reservation_timeout if timeout is UNSET else timeout,
        )

    def _merge_any(self, fields: AnyReservationFields) -> None:
        self._merge_short(fields)
        if isinstance(fields.canceled_reason_code, int):
            self._held = msgspec.structs.replace(
                self._fields, canceled_reason_code=fields.canceled_reason_code
            )
        if isinstance(fields.task, TaskFields):
            self.task._merge(fields.task)
            self.task._caught_up()

    def _merge_transfers(self, fields: ReservationFields) -> None:
        incoming = fields.task_transfer
        if isinstance(incoming, TransferFields):
            if self.transfer is None:
                self.transfer = self.task.transfers.incoming = IncomingTransfer(incoming)
            else:
                self.transfer._replace(incoming)
        outgoing = fields.active_outgoing_task_transfer
        if isinstance(outgoing, TransferFields):
            self.task._outgoing(outgoing)

    def _told_end(self) -> frozenset[str]:
        return frozenset({"ended"} if self._outcome in (None, "unknown") else {"ended", self._outcome})

    def _known_end(self) -> bool:
        """Whether an answer already showed how it ended."""
        return self._fields.reservation_status in RESERVATION_ENDED

    def _created(self) -> None:
        """The application is being told that it exists."""
        self._stage = max(self._stage, _CREATED)
        self.task._told_all(self._fields.task)

    def _advance_to(self, status: str) -> list[ReservationEvent]:
        """The events that bring the application from what it was told to `status`, in order.

        They count as told now. A status that was told already, or lies behind, gives none; a step
        that must have happened in between is told first.
        """
        events: list[ReservationEvent] = []
        if self._stage >= _ENDED:
            return events
        if self._stage < _ACCEPTED and status in ("accepted", "wrapping", "completed"):
            events.append("accepted")
            self._stage = _ACCEPTED
        if self._stage < _WRAPUP and status == "wrapping":
            events.append("wrapup")
            self._stage = _WRAPUP
        if status in RESERVATION_ENDED or status == "unknown":
            self._stage = _ENDED
            self._outcome = status
            match status:
                case "completed" | "rejected" | "timeout" | "canceled" | "rescinded":
                    events.append(status)
                case _:
                    pass  # unknown: no event of Worker.js says so
            events.append("ended")
        return events

    def __repr__(self) -> str:
        return f"<Reservation {self.sid} {self.status} of {self.task.sid}>"


def _required(name: str, value: object) -> object:
    if value is None:
        raise TypeError(f"{name} must be a str, got None")
    return value
