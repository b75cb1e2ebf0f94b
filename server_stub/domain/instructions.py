"""What instructions do to a reservation: `call`, `dequeue`, `redirect`, `conference`, `supervise`.

TaskRouter has Twilio call people and moves the reservation when they answer. Here everybody answers
at once: an instruction makes up its calls (see `telephony`), writes their SIDs into the task's
attributes as TaskRouter does, and accepts the reservation where a live answer would have done so.
"""

from __future__ import annotations

import json
from typing import Final, TypeVar

from taskrouter_worker.terms import (
    EventType,
    Instruction,
    ReservationStatus,
    SidPrefix,
    is_sid,
)

from . import arguments
from .engine import Engine
from .errors import IllegalTransition, InvalidArgument
from .instruction_options import (
    CallOptions,
    ConferenceOptions,
    DequeueOptions,
    InstructionOptions,
    RedirectOptions,
    SuperviseOptions,
    check_ringing,
    is_address,
)
from .lifecycle import check_reservation
from .model import Activity, JsonObject, Reservation, Task
from .state import WorkspaceState
from .telephony import Call, CallRole, Conference, Participant

__all__ = ["Instructions", "instruction_named"]

_NOT_PENDING: Final = {
    Instruction.CALL: 40114,
    Instruction.REDIRECT: 40123,
    Instruction.DEQUEUE: 40135,
    Instruction.CONFERENCE: 40136,
}
"""The code under which TaskRouter logs an instruction that came too late."""

_FOR_TRANSFERS: Final = (
    Instruction.ACCEPT,
    Instruction.REJECT,
    Instruction.CONFERENCE,
    Instruction.SUPERVISE,
)
"""What is allowed on a reservation that a transfer made (TaskRouter, error 40151)."""

_NOT_FOR_TRANSFERS: Final = 40151
_UNKNOWN: Final = 55555

_ANY_SID: Final = "C" * 34
_CALL_ATTRIBUTE: Final[JsonObject] = {"worker_call_sid": _ANY_SID}
_CONFERENCE_ATTRIBUTE: Final[JsonObject] = {
    "conference": {"sid": _ANY_SID, "participants": {"worker": _ANY_SID, "customer": _ANY_SID}}
}

T = TypeVar("T")


def instruction_named(value: object) -> Instruction:
    """The instruction of that name, whatever the case of its letters.

    Raises:
        InvalidArgument: there is none.
    """
    word = arguments.text("Instruction", value).lower()
    for instruction in Instruction:
        if instruction == word:
            return instruction
    expected = f"one of {', '.join(Instruction)}"
    raise InvalidArgument(str(arguments.refusal("Instruction", value, expected)), log_code=_UNKNOWN)


class Instructions:
    """Carries out the telephony instructions of a workspace."""

    def __init__(self, state: WorkspaceState, engine: Engine) -> None:
        self._state = state
        self._engine = engine
        self._telephony = state.telephony

    def check(self, reservation: Reservation, instruction: Instruction) -> None:
        """Whether the reservation may be instructed so now.

        Raises:
            Rescinded: it was to be accepted, but another worker was faster.
            IllegalTransition: it is not pending, or a transfer made it and the instruction is not for
                those; of `supervise`: it is not accepted.
        """
        if reservation.transfer is not None and instruction not in _FOR_TRANSFERS:
            raise IllegalTransition(
                f"{_unable(instruction)} Reservation {reservation.sid} was made by a transfer, "
                f"which allows {', '.join(_FOR_TRANSFERS)} only.",
                code=_NOT_FOR_TRANSFERS,
                log_code=_NOT_FOR_TRANSFERS,
            )
        wanted = ReservationStatus.PENDING
        if instruction is Instruction.SUPERVISE:
            wanted = ReservationStatus.ACCEPTED
        if reservation.status is wanted:
            return
        if instruction is Instruction.ACCEPT and reservation.status is ReservationStatus.RESCINDED:
            check_reservation(reservation, ReservationStatus.ACCEPTED)
        raise IllegalTransition(
            f"{_unable(instruction)} Reservation {reservation.sid} is not currently "
            f"in {'an Accepted' if wanted is ReservationStatus.ACCEPTED else 'a Pending'} state.",
            log_code=_NOT_PENDING.get(instruction),
        )

    def carry_out(
        self, reservation: Reservation, instruction: Instruction, options: InstructionOptions
    ) -> None:
        """Do what a telephony instruction says; it may be given now, see `check`.

        Raises:
            InvalidArgument: a parameter that it needs is missing, or names nothing here.
        """
        match instruction:
            case Instruction.DEQUEUE:
                self._dequeue(reservation, options.dequeue)
            case Instruction.CALL:
                self._call(reservation, options.call)
            case Instruction.REDIRECT:
                self._redirect(reservation, options.redirect)
            case Instruction.CONFERENCE:
                self._confer(reservation, options.conference)
            case Instruction.SUPERVISE:
                self._supervise(reservation, options.supervise)
            case other:
                raise AssertionError(f"{other} makes no call")

    def end(self, call: Call) -> None:
        """End a call, and with it, for its workers, the work on the task.

        In a multitasking workspace they wrap up. In a single-tasking one their reservation is
        completed, and they move to the activity that the instruction named for afterwards.

        Raises:
            IllegalTransition: it has ended before.
        """
        for ended in self._telephony.end(call):
            if ended.role is CallRole.WORKER:
                self._hung_up(ended)

    # -------------------------------------------------------- each instruction

    def _dequeue(self, reservation: Reservation, options: DequeueOptions) -> None:
        task = reservation.task
        call_sid = task.parsed_attributes.get("call_sid")
        if self._state.limits.require_call_sid and not is_sid(call_sid, SidPrefix.CALL):
            raise InvalidArgument(
                f"{_unable(Instruction.DEQUEUE)} Task {task.sid} has no attribute call_sid: "
                "it was not made by the Enqueue verb."
            )
        # A multitasking workspace moves nobody after a call, so there it is only checked.
        self._activity("DequeuePostWorkActivitySid", options.post_work_activity_sid, log_code=40130)
        to = self._address(reservation, "DequeueTo", options.to)
        check_ringing("DequeueTimeout", options.timeout, to)
        self._check_room(task, _CALL_ATTRIBUTE)
        call = self._telephony.dequeue(reservation, to, options)
        self._engine.accept(reservation, None)
        self._write(task, {"worker_call_sid": call.sid})

    def _call(self, reservation: Reservation, options: CallOptions) -> None:
        _needed("CallFrom", options.from_)
        _needed("CallUrl", options.url, log_code=40112)
        to = self._address(reservation, "CallTo", options.to, log_code=40110)
        check_ringing("CallTimeout", options.timeout, to)
        self._check_room(reservation.task, _CALL_ATTRIBUTE)
        call = self._telephony.call_out(reservation, to, options)
        if options.accept:
            self._engine.accept(reservation, None)
        self._write(reservation.task, {"worker_call_sid": call.sid})

    def _redirect(self, reservation: Reservation, options: RedirectOptions) -> None:
        call_sid = _needed("RedirectCallSid", options.call_sid)
        url = _needed("RedirectUrl", options.url, log_code=40120)
        self._telephony.redirect(reservation, call_sid, url, options)
        if options.accept:
            self._engine.accept(reservation, None)

    def _confer(self, reservation: Reservation, options: ConferenceOptions) -> None:
        task = reservation.task
        if options.post_work_activity_sid is not None and self._state.multi_task_enabled:
            raise InvalidArgument("PostWorkActivitySid is not valid in a multitasking workspace")
        self._activity("PostWorkActivitySid", options.post_work_activity_sid)
        if options.to is None and not is_address(reservation.worker.parsed_attributes.get("contact_uri")):
            raise InvalidArgument(
                f"{_unable(Instruction.CONFERENCE)} It needs a task made by the Enqueue verb and the "
                f"worker's address: To field is required because worker {reservation.worker.sid} "
                "has no attribute contact_uri that can be called."
            )
        to = self._address(reservation, "To", options.to)
        check_ringing("Timeout", options.timeout, to)
        self._telephony.check_room(task, with_customer=True)
        self._check_room(task, _CONFERENCE_ATTRIBUTE)
        participant = self._telephony.confer(reservation, to, options)
        self._engine.accept(reservation, None)
        conference = participant.call.conference
        if conference is None or conference.customer is None:
            raise AssertionError("a conference was just made, with the customer in it")
        legs = {"worker": participant.call.sid, "customer": conference.customer.call.sid}
        self._write(task, {"conference": {"sid": conference.sid, "participants": legs}})

    def _supervise(self, reservation: Reservation, options: SuperviseOptions) -> None:
        supervisor = _needed("Supervisor", options.supervisor)
        worker_sid = supervisor if is_sid(supervisor, SidPrefix.WORKER) else None
        if worker_sid is not None:
            self._state.named("Supervisor", self._state.workers, worker_sid)
        conference = self._telephony.conference_of(reservation.task)
        if conference is None:
            return  # there is nothing to listen to, which is no error
        if conference.supervisor(supervisor) is None:
            self._telephony.check_room(reservation.task)
        self._telephony.supervise(conference, reservation, supervisor, options.mode, worker_sid=worker_sid)

    def _hung_up(self, call: Call) -> None:
        reservation, state = call.reservation, self._state
        others = [
            c
            for c in self._telephony.live_calls(call.task)
            if c.reservation is reservation and c.role is CallRole.WORKER
        ]
        works = reservation.status is ReservationStatus.ACCEPTED and not others
        works &= state.reservations.get(reservation.sid) is reservation
        if works and state.multi_task_enabled:
            self._engine.wrap_reservation(reservation)
        elif works:
            self._engine.complete_reservation(reservation)
        afterwards = state.activities.get(call.post_work_activity_sid or "")
        if afterwards is not None and not state.multi_task_enabled:
            worker = state.workers.get(reservation.worker.sid)
            if worker is not None:
                self._engine.set_activity(worker, afterwards)

    # -------------------------------------------------------- participants

    def conference_of(self, task: Task) -> Conference:
        """The task's running conference.

        Raises:
            IllegalTransition: it has none.
        """
        conference = self._telephony.conference_of(task)
        if conference is None:
            raise IllegalTransition(f"Task {task.sid} has no running conference")
        return conference

    def worker_in(self, conference: Conference, worker_sid: str, parameter: str) -> Participant:
        """A worker's leg in a conference; `parameter` named the worker.

        Raises:
            InvalidArgument: it takes no part.
        """
        participant = conference.worker(worker_sid)
        if participant is None:
            raise InvalidArgument(f"{parameter} {worker_sid} takes no part in conference {conference.sid}")
        return participant

    # -------------------------------------------------------- small parts

    def _address(
        self, reservation: Reservation, parameter: str, given: str | None, *, log_code: int | None = None
    ) -> str:
        if given is not None:
            return given
        uri = reservation.worker.parsed_attributes.get("contact_uri")
        if isinstance(uri, str) and is_address(uri):
            return uri
        raise InvalidArgument(
            f"{parameter} field is required: worker {reservation.worker.sid} has no attribute contact_uri "
            "that can be called",
            log_code=log_code,
        )

    def _activity(self, parameter: str, sid: str | None, *, log_code: int | None = None) -> Activity | None:
        if sid is None:
            return None
        try:
            return self._state.named(parameter, self._state.activities, sid)
        except InvalidArgument as error:
            raise InvalidArgument(str(error), log_code=log_code) from None

    def _check_room(self, task: Task, more: JsonObject) -> None:
        """Whether something of that size fits into the task's attributes; raises InvalidArgument."""
        limit = self._state.limits.max_attributes_length
        if len(_with(task, more)) > limit:
            raise InvalidArgument(
                f"Attributes of task {task.sid} leave no room for the SIDs of its calls: "
                f"at most {limit} characters are kept"
            )

    def _write(self, task: Task, more: JsonObject) -> None:
        """Add to the task's attributes."""
        text = _with(task, more)
        task.attributes, task.parsed_attributes = text, {**task.parsed_attributes, **more}
        self._state.touch(task)
        self._state.record(EventType.TASK_UPDATED, task)


def _with(task: Task, more: JsonObject) -> str:
    try:
        text = json.dumps({**task.parsed_attributes, **more}, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        return json.dumps({**task.parsed_attributes, **more})  # half a surrogate pair travels escaped only
    except ValueError as error:
        raise InvalidArgument(f"Attributes of task {task.sid} cannot be added to: {error}") from None
    return text


def _unable(instruction: Instruction) -> str:
    return f"Unable to execute {instruction.capitalize()} instruction."


def _needed(parameter: str, value: T | None, *, log_code: int | None = None) -> T:
    if value is None:
        raise InvalidArgument(str(arguments.required(parameter)), log_code=log_code)
    return value
