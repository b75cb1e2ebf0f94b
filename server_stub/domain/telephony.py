"""Simulated telephony: the record of calls and conferences that instructions make up.

Nobody's phone rings. An instruction makes calls that are answered at once and go on until somebody
ends them; this module keeps what was asked for and what became of it, and which status callbacks the
application would have been sent. Tasks and reservations are moved elsewhere.

What TaskRouter's pages say about a call or conference is in `instruction_options`; everything that
happens here without a phone network is our choice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from taskrouter_worker.terms import Instruction, SidPrefix, SupervisorMode

from .entities import Entity, Registry, Watched
from .errors import IllegalTransition, InvalidArgument, NotFound
from .instruction_options import (
    CALL_EVENTS,
    Callback,
    CallOptions,
    ConferenceOptions,
    DequeueOptions,
    RedirectOptions,
)
from .model import Reservation, Task

__all__ = [
    "Call",
    "CallRole",
    "CallStatus",
    "Conference",
    "ConferenceStatus",
    "Log",
    "Participant",
    "Redirect",
    "StatusCallback",
    "StatusCallbackKind",
    "Telephony",
]

KEPT: Final = 1_000
"""How many ended calls, ended conferences, redirects and status callbacks are kept; live ones always are."""

_RECORDING: Final = "RE"
"""Begins the SID of a recording. No other object of TaskRouter refers to one."""

_CONFERENCE_EVENT: Final = {
    "start": "conference-start",
    "end": "conference-end",
    "join": "participant-join",
    "leave": "participant-leave",
    "mute": "participant-mute",
    "unmute": "participant-unmute",
    "hold": "participant-hold",
    "unhold": "participant-unhold",
}
"""`StatusCallbackEvent` of what happens in a conference (Twilio, Conference status callbacks)."""


L = TypeVar("L")


class CallRole(StrEnum):
    """Whose leg a call is."""

    WORKER = "worker"
    CUSTOMER = "customer"
    SUPERVISOR = "supervisor"


class CallStatus(StrEnum):
    """How far a call is. Made-up calls are answered at once."""

    ANSWERED = "answered"
    COMPLETED = "completed"


class ConferenceStatus(StrEnum):
    """How far a conference is."""

    INIT = "init"  # nobody has joined who starts it
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"


class StatusCallbackKind(StrEnum):
    """What a status callback tells of."""

    CALL = "call"
    CONFERENCE = "conference"
    RECORDING = "recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCallback:
    """One request that an instruction asked for, to be sent to the application's own server."""

    at: float  # epoch seconds
    kind: StatusCallbackKind
    event: str  # the step, in the word by which it was asked for: answered, join, completed...
    sid: str  # of the call, conference or recording
    task_sid: str
    url: str
    method: str  # GET or POST
    parameters: Mapping[str, str]


@dataclass(slots=True, eq=False, kw_only=True)
class Call(Entity):
    """A made-up call."""

    sid: str
    role: CallRole
    instruction: Instruction
    task: Task = field(repr=False)
    reservation: Reservation = field(repr=False)
    worker_sid: str | None  # the worker or supervisor at the phone
    to: str
    from_: str | None
    url: str | None = None  # the document that it runs
    timeout: int | None = None  # seconds that the phone would ring
    record: str = "do-not-record"
    post_work_activity_sid: str | None = None
    status_callback: Callback | None = None
    recording_status_callback: Callback | None = None
    sip_auth_username: str | None = None
    early_media: bool | None = None
    conference: Conference | None = field(default=None, repr=False)
    status: CallStatus = CallStatus.ANSWERED
    date_created: float
    date_ended: float | None = None
    ended_number: int = 0  # rises with every call and conference that ends

    @property
    def is_live(self) -> bool:
        """Whether it goes on."""
        return self.status is CallStatus.ANSWERED


@dataclass(slots=True, eq=False, kw_only=True)
class Participant(Watched):
    """A call that takes part in a conference."""

    call: Call
    muted: bool = False
    hold: bool = False
    hold_url: str | None = None
    hold_method: str | None = None
    end_conference_on_exit: bool = False
    beep: str | None = None  # true, false, onEnter, onExit
    beep_on_exit: bool = False
    mode: SupervisorMode | None = None  # of a supervisor
    jitter_buffer_size: str | None = None
    date_joined: float
    date_left: float | None = None

    @property
    def is_present(self) -> bool:
        """Whether it has not left."""
        return self.date_left is None

    def belongs_to(self) -> Entity | None:
        """Its conference."""
        return self.call.conference


@dataclass(slots=True, eq=False, kw_only=True)
class Conference(Entity):
    """A made-up conference, named after its task. What its first worker asked for counts."""

    sid: str
    task: Task = field(repr=False)
    max_participants: int
    record: str
    trim: str
    recording_channels: str
    region: str | None
    wait_url: str | None
    wait_method: str
    transcribe: bool
    transcription_configuration: str | None
    status_callback: Callback | None
    recording_status_callback: Callback | None
    status: ConferenceStatus = ConferenceStatus.INIT
    participants: tuple[Participant, ...] = ()  # those that left included
    date_created: float
    date_ended: float | None = None
    ended_number: int = 0  # rises with every call and conference that ends

    def parts(self) -> Iterable[Watched]:
        """Its participants."""
        return self.participants

    @property
    def friendly_name(self) -> str:
        """The task's SID (TaskRouter, Conference instruction)."""
        return self.task.sid

    @property
    def present(self) -> list[Participant]:
        """Those who have not left."""
        return [participant for participant in self.participants if participant.is_present]

    def worker(self, worker_sid: str) -> Participant | None:
        """The worker's own leg, if it is present."""
        return next(
            (p for p in self.present if p.call.role is CallRole.WORKER and p.call.worker_sid == worker_sid),
            None,
        )

    def supervisor(self, to: str) -> Participant | None:
        """The leg of a supervisor, given by the address or SID it was let in by, if it is present."""
        return next((p for p in self.present if p.call.role is CallRole.SUPERVISOR and p.call.to == to), None)

    @property
    def customer(self) -> Participant | None:
        """The customer's leg, if it is present."""
        return next((p for p in self.present if p.call.role is CallRole.CUSTOMER), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """A running call that was sent to another document."""

    call_sid: str
    url: str
    accept: bool
    task_sid: str
    reservation_sid: str
    at: float  # epoch seconds


class Log(deque[L]):
    """The last 1,000 of what was noted, oldest first.

    Attributes:
        total: how many there ever were: the number of the last one.
    """

    def __init__(self) -> None:
        super().__init__(maxlen=KEPT)
        self.total = 0

    def append(self, line: L, /) -> None:
        """Note one more."""
        self.take_up(line, self.total + 1)

    def take_up(self, line: L, number: int) -> None:
        """Note one that has a number already; those are given in rising order."""
        super().append(line)
        self.total = number

    def since(self, number: int) -> list[tuple[int, L]]:
        """What is kept of those after a number, each with its own."""
        first = self.total - len(self) + 1
        return [(first + i, line) for i, line in enumerate(self) if first + i > number]


class Telephony:
    """The calls and conferences of a workspace.

    Args:
        account_sid, workspace_sid: whose they are.
        sids: makes a new SID that begins with the given two letters.
        moment: tells the time in epoch seconds.

    Attributes:
        calls, conferences: by SID, oldest first; the last 1,000 ended ones of each are kept.
        redirects, status_callbacks: the last 1,000 of each, oldest first.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        workspace_sid: str,
        sids: Callable[[str], str],
        moment: Callable[[], float],
    ) -> None:
        self.calls = Registry[Call]()
        self.conferences = Registry[Conference]()
        self.redirects = Log[Redirect]()
        self.status_callbacks = Log[StatusCallback]()
        self._account_sid = account_sid
        self._workspace_sid = workspace_sid
        self._sids = sids
        self._moment = moment
        self._running: dict[str, Conference] = {}  # by task
        self._live: dict[str, dict[str, Call]] = {}  # by task, then by SID
        self._ended_calls: deque[str] = deque()
        self._ended_conferences: deque[str] = deque()
        self._ends = 0  # the last `ended_number`
        self._unsent: deque[StatusCallback] = deque(maxlen=KEPT)

    def resume(self) -> None:
        """Take up what the records hold that have just been filled in."""
        for call in self.calls.values():
            if call.is_live:
                self._live.setdefault(call.task.sid, {})[call.sid] = call
        for conference in self.conferences.values():
            if conference.status is not ConferenceStatus.COMPLETED:
                self._running[conference.task.sid] = conference
        calls = sorted((call.ended_number, call.sid) for call in self.calls.values() if not call.is_live)
        rooms = sorted(
            (room.ended_number, room.sid)
            for room in self.conferences.values()
            if room.status is ConferenceStatus.COMPLETED
        )
        self._ended_calls.extend(sid for _, sid in calls)
        self._ended_conferences.extend(sid for _, sid in rooms)
        self._ends = max([0, *(number for number, _ in calls[-1:] + rooms[-1:])])

    def call(self, sid: str) -> Call:
        """The call; raises NotFound."""
        call = self.calls.get(sid)
        if call is None:
            raise NotFound("Calls", sid)
        return call

    def conference_of(self, task: Task) -> Conference | None:
        """The task's running conference."""
        return self._running.get(task.sid)

    def live_calls(self, task: Task) -> list[Call]:
        """The task's calls that go on, oldest first."""
        return list(self._live.get(task.sid, {}).values())

    def take_status_callbacks(self) -> list[StatusCallback]:
        """What is to be sent since the last call of this method, in order."""
        unsent = list(self._unsent)
        self._unsent.clear()
        return unsent

    # -------------------------------------------------------- what instructions make

    def dequeue(self, reservation: Reservation, to: str, options: DequeueOptions) -> Call:
        """Connect the caller that waits with the worker."""
        return self._dial(
            Call(
                sid=self._sids(SidPrefix.CALL),
                role=CallRole.WORKER,
                instruction=Instruction.DEQUEUE,
                task=reservation.task,
                reservation=reservation,
                worker_sid=reservation.worker.sid,
                to=to,
                from_=options.from_,
                timeout=options.timeout,
                record=options.record,
                post_work_activity_sid=options.post_work_activity_sid,
                status_callback=options.status_callback,
                date_created=self._moment(),
            )
        )

    def call_out(self, reservation: Reservation, to: str, options: CallOptions) -> Call:
        """Call the worker and run a document."""
        return self._dial(
            Call(
                sid=self._sids(SidPrefix.CALL),
                role=CallRole.WORKER,
                instruction=Instruction.CALL,
                task=reservation.task,
                reservation=reservation,
                worker_sid=reservation.worker.sid,
                to=to,
                from_=options.from_,
                url=options.url,
                timeout=options.timeout,
                record=options.record,
                status_callback=options.status_callback,
                date_created=self._moment(),
            )
        )

    def redirect(
        self, reservation: Reservation, call_sid: str, url: str, options: RedirectOptions
    ) -> Redirect:
        """Note that a call was sent to another document."""
        redirect = Redirect(
            call_sid=call_sid,
            url=url,
            accept=options.accept,
            task_sid=reservation.task.sid,
            reservation_sid=reservation.sid,
            at=self._moment(),
        )
        self.redirects.append(redirect)
        return redirect

    def check_room(self, task: Task, *, with_customer: bool = False) -> None:
        """Whether one more may join the task's conference, and the customer, if asked for and not there.

        Raises:
            InvalidArgument: it is full.
        """
        conference = self.conference_of(task)
        if conference is None:
            return
        joining = 2 if with_customer and conference.customer is None else 1
        if len(conference.present) + joining > conference.max_participants:
            raise InvalidArgument(
                f"MaxParticipants {conference.max_participants} of conference {conference.sid} is reached"
            )

    def confer(self, reservation: Reservation, to: str, options: ConferenceOptions) -> Participant:
        """Bring the worker into the task's conference, and the customer, if nobody has yet."""
        at, task = self._moment(), reservation.task
        conference = self.conference_of(task)
        if conference is None:
            conference = Conference(
                sid=self._sids(SidPrefix.CONFERENCE),
                task=task,
                max_participants=options.max_participants,
                record=options.conference_record,
                trim=options.conference_trim,
                recording_channels=options.recording_channels,
                region=options.region,
                wait_url=options.wait_url,
                wait_method=options.wait_method,
                transcribe=options.transcribe,
                transcription_configuration=options.transcription_configuration,
                status_callback=options.conference_status_callback,
                recording_status_callback=options.conference_recording_status_callback,
                date_created=at,
            )
            self.conferences[conference.sid] = self._running[task.sid] = conference
        worker = self._dial(
            Call(
                sid=self._sids(SidPrefix.CALL),
                role=CallRole.WORKER,
                instruction=Instruction.CONFERENCE,
                task=task,
                reservation=reservation,
                worker_sid=reservation.worker.sid,
                to=to,
                from_=options.from_,
                timeout=options.timeout,
                record="record-from-answer" if options.record else "do-not-record",
                post_work_activity_sid=options.post_work_activity_sid,
                status_callback=options.status_callback,
                recording_status_callback=options.recording_status_callback,
                sip_auth_username=options.sip_auth_username,
                early_media=options.early_media,
                conference=conference,
                date_created=at,
            )
        )
        if options.start_conference_on_enter and conference.status is ConferenceStatus.INIT:
            conference.status = ConferenceStatus.IN_PROGRESS
            self._tell_conference(conference, "start")
        participant = self._join(
            conference,
            Participant(
                call=worker,
                muted=options.muted,
                end_conference_on_exit=options.end_conference_on_exit,
                beep=options.beep,
                jitter_buffer_size=options.jitter_buffer_size,
                date_joined=at,
            ),
        )
        if conference.customer is None:
            self._bring_customer(conference, reservation, options)
        elif options.end_conference_on_customer_exit:
            conference.customer.end_conference_on_exit = True
        return participant

    def _bring_customer(
        self, conference: Conference, reservation: Reservation, options: ConferenceOptions
    ) -> None:
        at = self._moment()
        caller = reservation.task.parsed_attributes.get("from")
        customer = self._dial(
            Call(
                sid=self._sids(SidPrefix.CALL),
                role=CallRole.CUSTOMER,
                instruction=Instruction.CONFERENCE,
                task=reservation.task,
                reservation=reservation,
                worker_sid=None,
                to=caller if isinstance(caller, str) else "",
                from_=None,
                conference=conference,
                date_created=at,
            )
        )
        self._join(
            conference,
            Participant(
                call=customer,
                end_conference_on_exit=options.end_conference_on_customer_exit,
                beep=str(options.beep_on_customer_entrance).lower(),
                date_joined=at,
            ),
        )

    def supervise(
        self,
        conference: Conference,
        reservation: Reservation,
        supervisor: str,
        mode: SupervisorMode,
        *,
        worker_sid: str | None,
    ) -> Participant:
        """Let a supervisor in, or change what one who is there may do.

        Monitoring is listening only; a whisper reaches the worker; who barges in is heard by all.
        """
        at = self._moment()
        participant = conference.supervisor(supervisor)
        if participant is None:
            call = self._dial(
                Call(
                    sid=self._sids(SidPrefix.CALL),
                    role=CallRole.SUPERVISOR,
                    instruction=Instruction.SUPERVISE,
                    task=reservation.task,
                    reservation=reservation,
                    worker_sid=worker_sid,
                    to=supervisor,
                    from_=None,
                    conference=conference,
                    date_created=at,
                )
            )
            participant = self._join(conference, Participant(call=call, date_joined=at))
        participant.mode = mode
        participant.muted = mode is SupervisorMode.MONITOR
        return participant

    # -------------------------------------------------------- what participants do

    def hold(
        self, participant: Participant, on_hold: bool | None, url: str | None, method: str | None
    ) -> None:
        """Put a participant on hold or take it off; None leaves it."""
        if url is not None:
            participant.hold_url = url
        if method is not None:
            participant.hold_method = method
        if on_hold is not None and on_hold is not participant.hold:
            participant.hold = on_hold
            self._tell_participant(participant, "hold" if on_hold else "unhold")

    def update_worker(
        self,
        participant: Participant,
        *,
        end_conference_on_exit: bool | None,
        mute: bool | None,
        beep_on_exit: bool | None,
    ) -> None:
        """Change a worker's own leg; None leaves a value."""
        if end_conference_on_exit is not None:
            participant.end_conference_on_exit = end_conference_on_exit
        if beep_on_exit is not None:
            participant.beep_on_exit = beep_on_exit
        if mute is not None and mute is not participant.muted:
            participant.muted = mute
            self._tell_participant(participant, "mute" if mute else "unmute")

    def end(self, call: Call) -> list[Call]:
        """End a call. It leaves its conference, which may end with it.

        Returns:
            The calls that ended, this one first.

        Raises:
            IllegalTransition: it has ended before.
        """
        if not call.is_live:
            raise IllegalTransition(
                f"Call {call.sid} is already in state [{call.status}] and cannot be ended"
            )
        ended = [call]
        conference = call.conference
        if conference is None:
            self._hang_up(call)
            return ended
        leaving = next(p for p in conference.present if p.call is call)
        self._leave(leaving)
        people = [p for p in conference.present if p.call.role is not CallRole.SUPERVISOR]
        if leaving.end_conference_on_exit or not people:
            for participant in conference.present:
                self._leave(participant)
                ended.append(participant.call)
            self._close(conference)
        return ended

    def forget(self, task: Task) -> None:
        """The task is gone, and nobody is left on its calls."""
        for call in self.live_calls(task):
            if call.is_live:
                self.end(call)

    # -------------------------------------------------------- small parts

    def _dial(self, call: Call) -> Call:
        self.calls[call.sid] = call
        self._live.setdefault(call.task.sid, {})[call.sid] = call
        for step in CALL_EVENTS[:-1]:
            self._tell_call(call, step)
        return call

    def _hang_up(self, call: Call) -> None:
        call.status, call.date_ended = CallStatus.COMPLETED, self._moment()
        live = self._live[call.task.sid]
        del live[call.sid]
        if not live:
            del self._live[call.task.sid]
        self._tell_call(call, "completed")
        if call.record != "do-not-record" and call.recording_status_callback is not None:
            self._tell_recording(call.recording_status_callback, call.task, {"CallSid": call.sid})
        call.ended_number = self._next_end()
        _keep(self.calls, self._ended_calls, call.sid)

    def _join(self, conference: Conference, participant: Participant) -> Participant:
        conference.participants = (*conference.participants, participant)
        self._tell_participant(participant, "join")
        return participant

    def _leave(self, participant: Participant) -> None:
        participant.date_left = self._moment()
        self._tell_participant(participant, "leave")
        self._hang_up(participant.call)

    def _close(self, conference: Conference) -> None:
        conference.status, conference.date_ended = ConferenceStatus.COMPLETED, self._moment()
        del self._running[conference.task.sid]
        self._tell_conference(conference, "end")
        recorded = conference.record in ("true", "record-from-start")
        if recorded and conference.recording_status_callback is not None:
            subject = {"ConferenceSid": conference.sid}
            self._tell_recording(conference.recording_status_callback, conference.task, subject)
        conference.ended_number = self._next_end()
        _keep(self.conferences, self._ended_conferences, conference.sid)

    def _next_end(self) -> int:
        self._ends += 1
        return self._ends

    def _tell_call(self, call: Call, step: str) -> None:
        if call.status_callback is None:
            return
        task_call_sid = call.task.parsed_attributes.get("call_sid")
        self._tell(
            call.status_callback,
            StatusCallbackKind.CALL,
            step,
            call.sid,
            call.task,
            {
                "CallSid": call.sid,
                "CallStatus": step,
                "From": call.from_ or "",
                "To": call.to,
                "taskCallSid": task_call_sid if isinstance(task_call_sid, str) else "",
                "ReservationSid": call.reservation.sid,
                "WorkerSid": call.worker_sid or "",
            },
        )

    def _tell_conference(self, conference: Conference, step: str, **more: str) -> None:
        if conference.status_callback is None:
            return
        self._tell(
            conference.status_callback,
            StatusCallbackKind.CONFERENCE,
            step.removeprefix("un"),  # who asks for mute and hold hears of their end too
            conference.sid,
            conference.task,
            {
                "ConferenceSid": conference.sid,
                "FriendlyName": conference.friendly_name,
                "StatusCallbackEvent": _CONFERENCE_EVENT[step],
                **more,
            },
        )

    def _tell_participant(self, participant: Participant, step: str) -> None:
        conference = participant.call.conference
        if conference is not None:
            self._tell_conference(
                conference,
                step,
                CallSid=participant.call.sid,
                Muted=str(participant.muted).lower(),
                Hold=str(participant.hold).lower(),
                EndConferenceOnExit=str(participant.end_conference_on_exit).lower(),
            )

    def _tell_recording(self, callback: Callback, task: Task, subject: Mapping[str, str]) -> None:
        sid = self._sids(_RECORDING)
        self._tell(
            callback,
            StatusCallbackKind.RECORDING,
            "completed",
            sid,
            task,
            {"RecordingSid": sid, "RecordingStatus": "completed", **subject},
        )

    def _tell(
        self,
        callback: Callback,
        kind: StatusCallbackKind,
        event: str,
        sid: str,
        task: Task,
        parameters: Mapping[str, str],
    ) -> None:
        if event not in callback.events:
            return
        at = self._moment()
        told = StatusCallback(
            at=at,
            kind=kind,
            event=event,
            sid=sid,
            task_sid=task.sid,
            url=callback.url,
            method=callback.method,
            parameters={
                "AccountSid": self._account_sid,
                "WorkspaceSid": self._workspace_sid,
                "TaskSid": task.sid,
                "Timestamp": str(int(at)),
                **parameters,
            },
        )
        self.status_callbacks.append(told)
        self._unsent.append(told)


def _keep(entities: Registry[Call] | Registry[Conference], ended: deque[str], sid: str) -> None:
    """Note that an entity has ended; the oldest of too many ended ones is forgotten."""
    ended.append(sid)
    if len(ended) > KEPT:
        del entities[ended.popleft()]
