"""What each instruction does to its reservation and task, and what the made-up telephony records."""

from __future__ import annotations

import json

import pytest

from server_stub.domain.errors import (
    DomainError,
    IllegalTransition,
    InvalidArgument,
    NotFound,
    Rescinded,
    VersionConflict,
)
from server_stub.domain.model import Limits, Reservation, Task, Worker
from server_stub.domain.telephony import KEPT, Call, CallRole, Conference, StatusCallback
from taskrouter_worker.terms import EventType, SidPrefix, WorkspaceTemplate, is_sid
from tests.domain.desk import Desk, pending, snapshot

E = EventType
URL = "http://127.0.0.1:9000/told"
TELEPHONY = ("dequeue", "call", "redirect", "conference")
NEEDED = {
    "dequeue": {},
    "call": {"CallFrom": "+15005550006", "CallUrl": URL},
    "redirect": {"RedirectCallSid": "CA" + "0" * 32, "RedirectUrl": URL},
    "conference": {},
    "accept": {},
    "reject": {},
}


def offered(desk: Desk, name: str = "nina", **attributes: object) -> Reservation:
    """A pending reservation of a new worker that can be called."""
    desk.worker(name, contact_uri=f"client:{name}")
    held = pending(desk.task(None, **attributes))  # type: ignore[arg-type] # the task's own attributes
    desk.commands.clear()
    return held


def instruct(desk: Desk, reservation: Reservation, word: str, **parameters: object) -> None:
    desk.ws.change_reservation(reservation.sid, instruction=word, parameters=parameters)
    desk.settle()


def hang_up(desk: Desk, call: Call) -> None:
    desk.ws.end_call(call.sid)
    desk.settle()


def attributes_of(task: Task) -> dict[str, object]:
    found = json.loads(task.attributes)
    assert found == task.parsed_attributes
    assert isinstance(found, dict)
    return found


def calls(desk: Desk) -> list[Call]:
    return list(desk.ws.telephony.calls.values())


def the_conference(desk: Desk) -> Conference:
    (conference,) = desk.ws.telephony.conferences.values()
    return conference


def leg(conference: Conference, role: CallRole) -> Call:
    (found,) = [p.call for p in conference.participants if p.call.role is role]
    return found


def told(desk: Desk) -> list[tuple[str, str]]:
    """Kind and event of the status callbacks since the last call."""
    return [(callback.kind, callback.event) for callback in desk.ws.telephony.take_status_callbacks()]


def in_conference(desk: Desk, **parameters: object) -> tuple[Reservation, Conference]:
    held = offered(desk)
    instruct(desk, held, "conference", **parameters)
    desk.commands.clear()
    return held, the_conference(desk)


def transferred_in(desk: Desk, held: Reservation, name: str) -> tuple[Worker, Reservation]:
    """A colleague to whom the reservation's task is on its way, warm."""
    colleague = desk.worker(name, contact_uri=f"client:{name}")
    desk.transfer(held, colleague)
    return colleague, held.task.pending_reservations[0]


# ---------------------------------------------------------------- accept and reject


def test_accept_and_reject_do_what_the_statuses_do() -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "Accept")
    assert desk.heard() == [E.RESERVATION_ACCEPTED]
    desk.set_status(held.task, "completed")
    other = pending(desk.task())
    desk.ws.change_reservation(other.sid, instruction="REJECT", worker_activity_sid=desk.offline.sid)
    desk.settle()
    assert (other.status, other.worker.activity) == ("rejected", desk.offline)
    assert other.task.rejections == 1


def test_an_instruction_wins_over_a_status_and_neither_changes_nothing() -> None:
    desk = Desk()
    held = offered(desk)
    before = snapshot(desk.ws)
    assert desk.ws.change_reservation(held.sid) is held
    assert snapshot(desk.ws) == before
    desk.ws.change_reservation(held.sid, instruction="accept", status="rejected")
    assert held.status == "accepted"
    desk.ws.change_reservation(held.sid, instruction="", status="wrapping")
    assert held.status == "wrapping"


# ---------------------------------------------------------------- dequeue


def test_dequeue_calls_the_worker_and_accepts() -> None:
    desk = Desk()
    held = offered(desk, topic="cards")
    instruct(
        desk,
        held,
        "dequeue",
        DequeueFrom="+15005550006",
        DequeueTimeout="30",
        DequeueRecord="record-from-answer",
    )
    assert desk.heard() == [E.RESERVATION_ACCEPTED, E.TASK_UPDATED]
    (call,) = calls(desk)
    assert (held.status, held.task.status) == ("accepted", "assigned")
    assert attributes_of(held.task) == {"topic": "cards", "worker_call_sid": call.sid}
    assert is_sid(call.sid, SidPrefix.CALL)
    assert (call.to, call.from_, call.timeout, call.record) == (
        "client:nina",
        "+15005550006",
        30,
        "record-from-answer",
    )
    assert (call.role, call.status, call.worker_sid) == ("worker", "answered", held.worker.sid)


def test_versions_rise_once_for_an_instruction() -> None:
    desk = Desk()
    held = offered(desk)
    versions = held.task.version, held.version
    instruct(desk, held, "dequeue")
    assert (held.task.version, held.version) == (versions[0] + 1, versions[1] + 1)


def test_the_given_address_wins_over_the_workers_own() -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "dequeue", DequeueTo="+15005550009")
    assert calls(desk)[0].to == "+15005550009"


def test_a_dequeue_tells_of_the_steps_that_were_asked_for() -> None:
    desk = Desk()
    held = offered(desk, call_sid="CA" + "1" * 32)
    events = ["initiated", "ringing", "answered", "completed"]
    instruct(desk, held, "dequeue", DequeueStatusCallbackUrl=URL, DequeueStatusCallbackEvent=events)
    (call,) = calls(desk)
    first = desk.ws.telephony.take_status_callbacks()
    assert [callback.event for callback in first] == events[:3]
    assert {(c.url, c.method, c.sid, c.task_sid) for c in first} == {(URL, "GET", call.sid, held.task.sid)}
    assert first[0].parameters["taskCallSid"] == "CA" + "1" * 32
    assert first[0].parameters["CallSid"] == call.sid
    hang_up(desk, call)
    assert told(desk) == [("call", "completed")]
    assert [c.event for c in desk.ws.telephony.status_callbacks] == events


def test_a_dequeue_tells_of_the_end_unless_asked_otherwise() -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "dequeue", DequeueStatusCallbackUrl=URL)
    assert told(desk) == []
    hang_up(desk, calls(desk)[0])
    assert told(desk) == [("call", "completed")]


@pytest.mark.parametrize("has_call", [False, True])
def test_a_strict_workspace_dequeues_only_tasks_of_calls(has_call: bool) -> None:
    desk = Desk(limits=Limits(require_call_sid=True))
    held = offered(desk, **({"call_sid": "CA" + "1" * 32} if has_call else {}))
    if has_call:
        instruct(desk, held, "dequeue")
        assert held.status == "accepted"
    else:
        with pytest.raises(InvalidArgument, match="Enqueue verb"):
            instruct(desk, held, "dequeue")
        assert calls(desk) == []


# ---------------------------------------------------------------- call


@pytest.mark.parametrize("accept", [None, False, True])
def test_a_call_accepts_only_when_it_is_told_to(accept: bool | None) -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "call", CallFrom="+15005550006", CallUrl=URL, CallAccept=accept, CallTimeout=20)
    (call,) = calls(desk)
    assert desk.heard() == ([E.RESERVATION_ACCEPTED, E.TASK_UPDATED] if accept else [E.TASK_UPDATED])
    assert held.status == ("accepted" if accept else "pending")
    assert attributes_of(held.task) == {"worker_call_sid": call.sid}
    assert (call.url, call.from_, call.to, call.timeout) == (URL, "+15005550006", "client:nina", 20)


def test_a_call_that_did_not_accept_ends_without_a_trace_in_the_task() -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "call", **NEEDED["call"], CallStatusCallbackUrl=URL)
    desk.commands.clear()
    hang_up(desk, calls(desk)[0])
    assert desk.heard() == []
    assert (held.status, told(desk)) == ("pending", [("call", "completed")])


def test_the_work_is_over_with_the_last_of_a_workers_calls() -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "call", **NEEDED["call"])
    instruct(desk, held, "dequeue")
    first, second = calls(desk)
    hang_up(desk, first)
    assert held.status == "accepted"
    hang_up(desk, second)
    assert held.status == "wrapping"


# ---------------------------------------------------------------- redirect


@pytest.mark.parametrize("accept", [False, True])
def test_a_redirect_is_noted_and_accepts_when_told_to(accept: bool) -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "redirect", **NEEDED["redirect"], RedirectAccept=accept)
    (redirect,) = desk.ws.telephony.redirects
    assert (redirect.call_sid, redirect.url, redirect.accept) == ("CA" + "0" * 32, URL, accept)
    assert (redirect.task_sid, redirect.reservation_sid) == (held.task.sid, held.sid)
    assert desk.heard() == ([E.RESERVATION_ACCEPTED] if accept else [])
    assert (attributes_of(held.task), calls(desk)) == ({}, [])


# ---------------------------------------------------------------- conference


def test_a_conference_brings_worker_and_customer_together_and_accepts() -> None:
    desk = Desk()
    held = offered(desk, topic="cards")
    instruct(desk, held, "conference", From="+15005550006", Timeout=25)
    assert desk.heard() == [E.RESERVATION_ACCEPTED, E.TASK_UPDATED]
    conference = the_conference(desk)
    worker, customer = leg(conference, CallRole.WORKER), leg(conference, CallRole.CUSTOMER)
    assert attributes_of(held.task) == {
        "topic": "cards",
        "conference": {
            "sid": conference.sid,
            "participants": {"worker": worker.sid, "customer": customer.sid},
        },
    }
    assert is_sid(conference.sid, SidPrefix.CONFERENCE)
    assert (conference.friendly_name, conference.status) == (held.task.sid, "in-progress")
    assert (worker.to, worker.from_, worker.timeout) == ("client:nina", "+15005550006", 25)
    assert held.status == "accepted"


def test_every_option_of_a_conference_is_in_its_record() -> None:
    desk = Desk()
    _, conference = in_conference(
        desk,
        To="sip:nina@example.com",
        StatusCallback=URL,
        StatusCallbackMethod="GET",
        StatusCallbackEvent="answered,ringing",
        Record="true",
        Muted=True,
        Beep="onExit",
        EndConferenceOnExit="true",
        EndConferenceOnCustomerExit=True,
        BeepOnCustomerEntrance=True,
        WaitUrl=URL,
        WaitMethod="GET",
        EarlyMedia=False,
        MaxParticipants=4,
        ConferenceStatusCallback=URL,
        ConferenceStatusCallbackEvent="start",
        ConferenceRecord="record-from-start",
        ConferenceTrim="do-not-trim",
        RecordingChannels="dual",
        RecordingStatusCallback=URL,
        ConferenceRecordingStatusCallback=URL,
        Region="ie1",
        SipAuthUsername="nina",
        SipAuthPassword="s3cret",
        JitterBufferSize="small",
        Transcribe=True,
        TranscriptionConfiguration="notes",
    )
    worker, customer = conference.participants
    assert (worker.muted, worker.beep, worker.end_conference_on_exit) == (True, "onExit", True)
    assert worker.jitter_buffer_size == "small"
    assert (customer.end_conference_on_exit, customer.beep) == (True, "true")
    call = worker.call
    assert (call.to, call.record, call.early_media) == ("sip:nina@example.com", "record-from-answer", False)
    assert (call.sip_auth_username, "s3cret" in repr(call)) == ("nina", False)
    assert call.status_callback is not None
    assert (call.status_callback.method, call.status_callback.events) == ("GET", ("ringing", "answered"))
    assert call.recording_status_callback is not None
    assert (conference.wait_url, conference.wait_method, conference.max_participants) == (URL, "GET", 4)
    assert (conference.record, conference.trim) == ("record-from-start", "do-not-trim")
    assert (conference.recording_channels, conference.region) == ("dual", "ie1")
    assert (conference.transcribe, conference.transcription_configuration) == (True, "notes")
    assert conference.status_callback is not None
    assert conference.recording_status_callback is not None
    assert [(c.kind, c.event) for c in desk.ws.telephony.status_callbacks] == [
        ("call", "ringing"),
        ("call", "answered"),
        ("conference", "start"),
    ]


def test_a_conference_tells_of_its_start_of_who_joins_and_leaves_and_of_its_end() -> None:
    desk = Desk()
    held, conference = in_conference(desk, ConferenceStatusCallback=URL, EndConferenceOnExit=True)
    seen: list[StatusCallback] = desk.ws.telephony.take_status_callbacks()
    assert [(c.kind, c.event) for c in seen] == [("conference", word) for word in ("start", "join", "join")]
    assert [c.parameters["StatusCallbackEvent"] for c in seen] == [
        "conference-start",
        "participant-join",
        "participant-join",
    ]
    assert {(c.sid, c.method) for c in seen} == {(conference.sid, "POST")}
    assert seen[0].parameters["FriendlyName"] == held.task.sid
    hang_up(desk, leg(conference, CallRole.WORKER))
    assert told(desk) == [("conference", word) for word in ("leave", "leave", "end")]


def test_a_conference_that_nobody_started_waits_for_somebody_who_does() -> None:
    desk = Desk()
    held, conference = in_conference(
        desk,
        StartConferenceOnEnter=False,
        ConferenceStatusCallback=URL,
        ConferenceStatusCallbackEvent="start",
    )
    assert (conference.status, told(desk)) == ("init", [])
    _, taken = transferred_in(desk, held, "otto")
    instruct(desk, taken, "conference")
    assert (conference.status, told(desk)) == ("in-progress", [("conference", "start")])


def test_recordings_are_told_of_when_call_and_conference_are_over() -> None:
    desk = Desk()
    _, conference = in_conference(
        desk,
        Record=True,
        RecordingStatusCallback=URL,
        ConferenceRecord=True,
        ConferenceRecordingStatusCallback=URL,
        EndConferenceOnExit=True,
    )
    call = leg(conference, CallRole.WORKER)
    hang_up(desk, call)
    of_call, of_conference = desk.ws.telephony.take_status_callbacks()
    assert (of_call.kind, of_call.parameters["CallSid"]) == ("recording", call.sid)
    assert (of_conference.kind, of_conference.parameters["ConferenceSid"]) == ("recording", conference.sid)


def test_a_second_worker_joins_the_running_conference() -> None:
    desk = Desk()
    held, conference = in_conference(desk)
    customer = leg(conference, CallRole.CUSTOMER)
    _, taken = transferred_in(desk, held, "otto")
    desk.commands.clear()
    instruct(desk, taken, "conference")
    assert desk.heard() == [E.RESERVATION_ACCEPTED, E.TASK_TRANSFER_COMPLETED, E.TASK_UPDATED]
    assert the_conference(desk) is conference
    third = conference.participants[2]
    assert (third.call.worker_sid, len(conference.present)) == (taken.worker.sid, 3)
    assert attributes_of(held.task)["conference"] == {
        "sid": conference.sid,
        "participants": {"worker": third.call.sid, "customer": customer.sid},
    }


def test_a_full_conference_takes_nobody_else() -> None:
    desk = Desk()
    held, conference = in_conference(desk, MaxParticipants=2)
    _, taken = transferred_in(desk, held, "otto")
    before = snapshot(desk.ws)
    with pytest.raises(InvalidArgument, match="MaxParticipants 2"):
        instruct(desk, taken, "conference")
    assert (snapshot(desk.ws), len(conference.participants)) == (before, 2)


def test_a_conference_that_the_customer_left_needs_room_to_bring_the_customer_back() -> None:
    desk = Desk()
    held, conference = in_conference(desk, MaxParticipants=2)
    hang_up(desk, leg(conference, CallRole.CUSTOMER))
    _, taken = transferred_in(desk, held, "otto")
    with pytest.raises(InvalidArgument, match="MaxParticipants 2"):
        instruct(desk, taken, "conference")
    assert len(conference.present) == 1


# ---------------------------------------------------------------- supervise


@pytest.mark.parametrize(
    ("mode", "muted"), [(None, True), ("monitor", True), ("whisper", False), ("barge", False)]
)
def test_a_supervisor_joins_the_conference_and_nothing_else_changes(mode: str | None, muted: bool) -> None:
    desk = Desk()
    held, conference = in_conference(desk)
    boss = desk.worker("boss", activity=desk.offline)
    before = snapshot(desk.ws)
    instruct(desk, held, "supervise", Supervisor=boss.sid, SupervisorMode=mode)
    assert snapshot(desk.ws) == before
    third = conference.participants[2]
    assert (third.call.role, third.call.worker_sid) == ("supervisor", boss.sid)
    assert (third.mode, third.muted) == (mode or "monitor", muted)


def test_a_supervisor_who_is_there_only_changes_the_mode() -> None:
    desk = Desk()
    held, conference = in_conference(desk)
    instruct(desk, held, "supervise", Supervisor="client:boss")
    instruct(desk, held, "supervise", Supervisor="client:boss", SupervisorMode="barge")
    assert len(conference.participants) == 3
    assert (conference.participants[2].mode, conference.participants[2].muted) == ("barge", False)


def test_supervising_without_a_conference_has_no_effect() -> None:
    desk = Desk()
    held = offered(desk)
    desk.answer(held, "accepted")
    before = snapshot(desk.ws)
    instruct(desk, held, "supervise", Supervisor="client:boss")
    assert (snapshot(desk.ws), calls(desk)) == (before, [])


@pytest.mark.parametrize(
    ("parameters", "named"),
    [({}, "Supervisor field is required"), ({"Supervisor": "WK" + "f" * 32}, "Supervisor .* was not found")],
)
def test_a_supervisor_must_be_named_and_known(parameters: dict[str, object], named: str) -> None:
    desk = Desk()
    held, _ = in_conference(desk)
    with pytest.raises(InvalidArgument, match=named):
        instruct(desk, held, "supervise", **parameters)


@pytest.mark.parametrize("status", ["pending", "wrapping"])
def test_only_an_accepted_reservation_can_be_supervised(status: str) -> None:
    desk = Desk()
    held = offered(desk)
    if status == "wrapping":
        desk.answer(held, "accepted")
        desk.answer(held, "wrapping")
    with pytest.raises(IllegalTransition, match="not currently in an Accepted state"):
        instruct(desk, held, "supervise", Supervisor="client:boss")


def test_supervising_is_offered_below_the_task_only() -> None:
    desk = Desk()
    held, _ = in_conference(desk)
    with pytest.raises(InvalidArgument, match=r"^Instruction supervise is only valid below the task"):
        desk.ws.change_reservation(
            held.sid, instruction="supervise", parameters={"Supervisor": "client:boss"}, on_task=False
        )


# ---------------------------------------------------------------- the end of calls


@pytest.mark.parametrize("word", ["dequeue", "call", "conference"])
def test_the_end_of_the_call_leads_to_wrapping_up(word: str) -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, word, **NEEDED[word], **({"CallAccept": True} if word == "call" else {}))
    desk.commands.clear()
    call = calls(desk)[0]
    desk.wait(30)
    hang_up(desk, call)
    assert desk.heard() == [E.TASK_WRAPUP, E.RESERVATION_WRAPUP]
    assert (held.status, held.task.status) == ("wrapping", "wrapping")
    assert (call.status, call.date_ended) == ("completed", desk.time)
    with pytest.raises(IllegalTransition, match="already in state"):
        desk.ws.end_call(call.sid)


@pytest.mark.parametrize("word", ["dequeue", "conference"])
def test_single_tasking_completes_the_task_and_moves_the_worker(word: str) -> None:
    desk = Desk(template=WorkspaceTemplate.NONE, multi_task_enabled=False)
    desk.workflow(default=desk.queue(assignment_activity=desk.unavailable))
    held = offered(desk)
    after = "DequeuePostWorkActivitySid" if word == "dequeue" else "PostWorkActivitySid"
    instruct(desk, held, word, **{after: desk.available.sid})
    assert held.worker.activity is desk.unavailable
    desk.commands.clear()
    hang_up(desk, calls(desk)[0])
    assert desk.heard() == [E.TASK_COMPLETED, E.RESERVATION_COMPLETED, E.WORKER_ACTIVITY_UPDATE]
    assert (held.task.status, held.worker.activity) == ("completed", desk.available)


def test_multitasking_ignores_the_post_work_activity_of_a_dequeue() -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "dequeue", DequeuePostWorkActivitySid=desk.offline.sid)
    hang_up(desk, calls(desk)[0])
    assert (held.status, held.worker.activity) == ("wrapping", desk.available)


def test_a_call_may_end_after_the_work() -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "dequeue")
    desk.set_status(held.task, "completed")
    desk.commands.clear()
    hang_up(desk, calls(desk)[0])
    assert desk.heard() == []


def test_the_end_of_a_call_takes_a_transfer_back_first() -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "dequeue")
    transferred_in(desk, held, "otto")
    desk.commands.clear()
    hang_up(desk, calls(desk)[0])
    assert desk.heard() == [
        E.RESERVATION_CANCELED,
        E.TASK_TRANSFER_CANCELED,
        E.TASK_WRAPUP,
        E.RESERVATION_WRAPUP,
    ]


def test_a_customer_who_hangs_up_leaves_the_worker_in_the_conference() -> None:
    desk = Desk()
    held, conference = in_conference(desk)
    hang_up(desk, leg(conference, CallRole.CUSTOMER))
    assert (held.status, conference.status, conference.customer) == ("accepted", "in-progress", None)
    hang_up(desk, leg(conference, CallRole.WORKER))
    assert (held.status, conference.status) == ("wrapping", "completed")


def test_a_customer_whose_exit_ends_the_conference_sends_both_workers_to_wrap_up() -> None:
    desk = Desk()
    held, conference = in_conference(desk, EndConferenceOnCustomerExit=True)
    _, taken = transferred_in(desk, held, "otto")
    instruct(desk, taken, "conference")
    instruct(desk, held, "supervise", Supervisor="client:boss")
    desk.commands.clear()
    hang_up(desk, leg(conference, CallRole.CUSTOMER))
    assert [held.status, taken.status, held.task.status] == ["wrapping", "wrapping", "wrapping"]
    assert desk.heard() == [E.RESERVATION_WRAPUP, E.TASK_WRAPUP, E.RESERVATION_WRAPUP]
    assert (conference.status, conference.present) == ("completed", [])
    assert [call.status for call in calls(desk)] == ["completed"] * 4


def test_one_of_two_workers_hanging_up_leaves_the_other_with_the_customer() -> None:
    desk = Desk()
    held, conference = in_conference(desk)
    _, taken = transferred_in(desk, held, "otto")
    instruct(desk, taken, "conference")
    hang_up(desk, conference.participants[0].call)
    assert (held.status, taken.status, held.task.status) == ("wrapping", "accepted", "assigned")
    assert conference.status == "in-progress"


def test_supervisors_do_not_keep_a_conference_alive() -> None:
    desk = Desk()
    held, conference = in_conference(desk)
    instruct(desk, held, "supervise", Supervisor="client:boss")
    hang_up(desk, leg(conference, CallRole.CUSTOMER))
    hang_up(desk, leg(conference, CallRole.WORKER))
    assert (conference.status, leg(conference, CallRole.SUPERVISOR).status) == ("completed", "completed")


def test_calls_end_when_their_task_is_forgotten() -> None:
    desk = Desk()
    held, conference = in_conference(desk)
    desk.set_status(held.task, "completed")
    assert conference.status == "in-progress"
    desk.wait(300)
    assert (conference.status, [call.status for call in calls(desk)]) == ("completed", ["completed"] * 2)


def test_only_so_many_ended_calls_are_kept() -> None:
    desk = Desk()
    desk.worker("nina", contact_uri="client:nina")
    live = None
    for number in range(KEPT + 5):
        task = desk.task()
        held = pending(task)
        instruct(desk, held, "dequeue")
        live = next(reversed(desk.ws.telephony.calls.values()))
        if number < KEPT + 4:
            hang_up(desk, live)
            desk.set_status(task, "completed")
    assert len(desk.ws.telephony.calls) == KEPT + 1
    assert live is not None
    assert live.is_live


# ---------------------------------------------------------------- participants


def test_a_customer_is_put_on_hold_and_taken_off_it() -> None:
    desk = Desk()
    held, conference = in_conference(desk, ConferenceStatusCallback=URL, ConferenceStatusCallbackEvent="hold")
    before = snapshot(desk.ws)
    parameters = {"Hold": True, "HoldUrl": URL, "HoldMethod": "GET"}
    assert desk.ws.update_customer_participant(held.task.sid, parameters=parameters) is held.task
    customer = conference.customer
    assert customer is not None
    assert (customer.hold, customer.hold_url, customer.hold_method) == (True, URL, "GET")
    desk.ws.update_customer_participant(held.task.sid, parameters={"Hold": "false"})
    assert (customer.hold, customer.hold_url) == (False, URL)
    seen = desk.ws.telephony.take_status_callbacks()
    assert [c.parameters["StatusCallbackEvent"] for c in seen] == ["participant-hold", "participant-unhold"]
    assert snapshot(desk.ws) == before


def test_a_worker_changes_its_own_leg() -> None:
    desk = Desk()
    held, conference = in_conference(desk, ConferenceStatusCallback=URL, ConferenceStatusCallbackEvent="mute")
    desk.ws.update_worker_participant(
        held.worker.sid,
        reservation_sid=held.sid,
        parameters={"Mute": True, "EndConferenceOnExit": True, "BeepOnExit": True},
    )
    own = conference.participants[0]
    assert (own.muted, own.end_conference_on_exit, own.beep_on_exit) == (True, True, True)
    desk.ws.update_worker_participant(held.worker.sid, reservation_sid=held.sid, parameters={"Mute": False})
    assert (own.muted, own.end_conference_on_exit) == (False, True)
    seen = desk.ws.telephony.take_status_callbacks()
    assert [c.parameters["StatusCallbackEvent"] for c in seen] == ["participant-mute", "participant-unmute"]


def test_another_worker_is_held_and_removed_without_changing_any_status() -> None:
    desk = Desk()
    held, conference = in_conference(desk)
    colleague, taken = transferred_in(desk, held, "otto")
    instruct(desk, taken, "conference")
    before = snapshot(desk.ws)
    desk.ws.hold_worker_participant(held.task.sid, target_worker_sid=colleague.sid, parameters={"Hold": True})
    leg_of_otto = conference.worker(colleague.sid)
    assert leg_of_otto is not None
    assert leg_of_otto.hold
    desk.ws.kick_worker_participant(held.task.sid, target_worker_sid=colleague.sid)
    assert (conference.worker(colleague.sid), leg_of_otto.call.status) == (None, "completed")
    assert snapshot(desk.ws) == before
    assert conference.status == "in-progress"


@pytest.mark.parametrize(
    ("command", "arguments", "error", "named"),
    [
        ("update_customer_participant", {"task_sid": "WT" + "0" * 32}, InvalidArgument, "TaskSid"),
        ("update_customer_participant", {"parameters": {"Hold": "maybe"}}, InvalidArgument, "Hold"),
        ("update_customer_participant", {"parameters": {"HoldUrl": "x"}}, InvalidArgument, "HoldUrl"),
        ("update_customer_participant", {"parameters": {"HoldMethod": "PUT"}}, InvalidArgument, "HoldMethod"),
        ("hold_worker_participant", {"target_worker_sid": "WK" + "0" * 32, "parameters": {"Hold": True}},
         InvalidArgument, "TargetWorkerSid"),
        ("hold_worker_participant", {"target_worker_sid": "nina"}, InvalidArgument, "Hold"),
        ("kick_worker_participant", {"target_worker_sid": "WK" + "0" * 32},
         InvalidArgument, "TargetWorkerSid"),
        ("update_worker_participant", {"reservation_sid": "WR" + "0" * 32},
         InvalidArgument, "ReservationSid"),
        ("update_worker_participant", {"parameters": {"Mute": "loud"}}, InvalidArgument, "Mute"),
    ],
)  # fmt: skip
def test_wrong_participants_and_values_are_refused_by_name(
    command: str, arguments: dict[str, object], error: type[DomainError], named: str
) -> None:
    desk = Desk()
    held, conference = in_conference(desk)
    given: dict[str, object] = {"task_sid": held.task.sid, **arguments}
    if given.get("target_worker_sid") == "nina":
        given["target_worker_sid"] = held.worker.sid
    if command == "update_worker_participant":
        given = {"reservation_sid": held.sid, "worker_sid": held.worker.sid, **arguments}
    with pytest.raises(error, match=rf"^{named}\b"):
        getattr(desk.ws, command)(**given)
    assert [p.hold for p in conference.participants] == [False, False]


def test_there_is_nobody_to_hold_without_a_conference() -> None:
    desk = Desk()
    held = offered(desk)
    instruct(desk, held, "dequeue")
    with pytest.raises(IllegalTransition, match="no running conference"):
        desk.ws.update_customer_participant(held.task.sid, parameters={"Hold": True})
    other = Desk()
    held, conference = in_conference(other)
    hang_up(other, leg(conference, CallRole.CUSTOMER))
    with pytest.raises(IllegalTransition, match="customer has left"):
        other.ws.update_customer_participant(held.task.sid, parameters={"Hold": True})


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("word", "missing", "log_code"),
    [
        ("call", "CallFrom", None),
        ("call", "CallUrl", 40112),
        ("redirect", "RedirectCallSid", None),
        ("redirect", "RedirectUrl", 40120),
    ],
)
def test_a_missing_parameter_is_named(word: str, missing: str, log_code: int | None) -> None:
    desk = Desk()
    held = offered(desk)
    before = snapshot(desk.ws)
    given = {name: value for name, value in NEEDED[word].items() if name != missing}
    with pytest.raises(InvalidArgument) as caught:
        instruct(desk, held, word, **given)
    assert str(caught.value) == f"{missing} field is required"
    assert (caught.value.code, caught.value.log_code) == (20001, log_code)
    assert (snapshot(desk.ws), calls(desk)) == (before, [])


@pytest.mark.parametrize(
    ("word", "named"), [("dequeue", "DequeueTo"), ("call", "CallTo"), ("conference", "To")]
)
@pytest.mark.parametrize("contact_uri", [None, "", "nina", 5])
def test_a_worker_without_an_address_cannot_be_called(word: str, named: str, contact_uri: object) -> None:
    desk = Desk()
    desk.worker("nina", contact_uri=contact_uri)
    held = pending(desk.task())
    before = snapshot(desk.ws)
    with pytest.raises(InvalidArgument, match=rf"{named} field is required.*contact_uri"):
        instruct(desk, held, word, **NEEDED[word])
    assert (snapshot(desk.ws), calls(desk)) == (before, [])


@pytest.mark.parametrize(
    ("word", "named"), [("dequeue", "DequeueTimeout"), ("call", "CallTimeout"), ("conference", "Timeout")]
)
def test_the_sip_phone_that_a_worker_names_rings_ten_minutes_at_most(word: str, named: str) -> None:
    desk = Desk()
    desk.worker("nina", contact_uri="sip:nina@example.com")
    held = pending(desk.task())
    before = snapshot(desk.ws)
    with pytest.raises(InvalidArgument, match=rf"^{named} is not valid: expected an integer from 1 to 600"):
        instruct(desk, held, word, **NEEDED[word], **{named: 601})
    assert (snapshot(desk.ws), calls(desk)) == (before, [])
    instruct(desk, held, word, **NEEDED[word], **{named: 600})
    assert calls(desk)[0].timeout == 600


def test_a_conference_without_an_address_says_that_it_needs_an_enqueued_call() -> None:
    desk = Desk()
    desk.worker("nina")
    with pytest.raises(InvalidArgument, match="needs a task made by the Enqueue verb"):
        instruct(desk, pending(desk.task()), "conference")


@pytest.mark.parametrize(
    ("word", "log_code"),
    [
        ("accept", None),
        ("reject", None),
        ("dequeue", 40135),
        ("call", 40114),
        ("redirect", 40123),
        ("conference", 40136),
    ],
)
def test_an_instruction_that_comes_too_late_is_refused_in_taskrouters_words(
    word: str, log_code: int | None
) -> None:
    desk = Desk()
    held = offered(desk)
    desk.answer(held, "accepted")
    before = snapshot(desk.ws)
    with pytest.raises(IllegalTransition) as caught:
        instruct(desk, held, word, **NEEDED[word])
    assert str(caught.value) == (
        f"Unable to execute {word.capitalize()} instruction. "
        f"Reservation {held.sid} is not currently in a Pending state."
    )
    assert (caught.value.status, caught.value.code, caught.value.log_code) == (400, 20001, log_code)
    assert (snapshot(desk.ws), calls(desk)) == (before, [])


def test_accepting_what_another_worker_won_is_gone() -> None:
    desk = Desk(template=WorkspaceTemplate.NONE)
    desk.workflow(default=desk.queue(max_reserved_workers=2))
    desk.worker("ann")
    desk.worker("bob")
    first, second = desk.task().live_reservations
    instruct(desk, first, "accept")
    with pytest.raises(Rescinded):
        instruct(desk, second, "accept")


@pytest.mark.parametrize("word", ["dequeue", "call", "redirect"])
def test_a_transferred_reservation_allows_no_calls_of_its_own(word: str) -> None:
    desk = Desk()
    held = offered(desk)
    desk.answer(held, "accepted")
    _, taken = transferred_in(desk, held, "otto")
    before = snapshot(desk.ws)
    with pytest.raises(IllegalTransition, match="made by a transfer") as caught:
        instruct(desk, taken, word, **NEEDED[word])
    assert (caught.value.status, caught.value.code) == (400, 40151)
    assert snapshot(desk.ws) == before


@pytest.mark.parametrize("word", ["accept", "reject", "conference"])
def test_a_transferred_reservation_can_be_answered_and_conferred(word: str) -> None:
    desk = Desk()
    held = offered(desk)
    desk.answer(held, "accepted")
    _, taken = transferred_in(desk, held, "otto")
    instruct(desk, taken, word)
    assert taken.status == ("rejected" if word == "reject" else "accepted")


def test_a_post_work_activity_must_exist_and_is_not_for_multitasking_conferences() -> None:
    desk = Desk()
    held = offered(desk)
    with pytest.raises(InvalidArgument, match=r"^PostWorkActivitySid is not valid in a multitasking"):
        instruct(desk, held, "conference", PostWorkActivitySid=desk.offline.sid)
    with pytest.raises(InvalidArgument, match=r"^DequeuePostWorkActivitySid .* was not found") as caught:
        instruct(desk, held, "dequeue", DequeuePostWorkActivitySid="WA" + "f" * 32)
    assert caught.value.log_code == 40130
    assert held.status == "pending"


@pytest.mark.parametrize("word", TELEPHONY)
def test_a_worker_activity_goes_with_a_rejection_only(word: str) -> None:
    desk = Desk()
    held = offered(desk)
    with pytest.raises(InvalidArgument, match=r"^WorkerActivitySid"):
        desk.ws.change_reservation(
            held.sid, instruction=word, parameters=NEEDED[word], worker_activity_sid=desk.offline.sid
        )
    assert held.status == "pending"


def test_a_stale_version_is_refused_first() -> None:
    desk = Desk()
    held = offered(desk)
    with pytest.raises(VersionConflict):
        desk.ws.change_reservation(held.sid, instruction="dance", if_match=held.version + 1)


def test_an_unknown_instruction_is_refused_with_the_code_that_taskrouter_logs() -> None:
    desk = Desk()
    held = offered(desk)
    with pytest.raises(InvalidArgument, match=r"^Instruction is not valid") as caught:
        instruct(desk, held, "dance")
    assert caught.value.log_code == 55555


@pytest.mark.parametrize("status", [None, "accepted"])
def test_a_wrong_parameter_is_refused_whether_or_not_it_is_needed(status: str | None) -> None:
    desk = Desk()
    held = offered(desk)
    with pytest.raises(InvalidArgument, match=r"^MaxParticipants"):
        desk.ws.change_reservation(held.sid, status=status, parameters={"MaxParticipants": "1"})
    assert held.status == "pending"


def test_attributes_without_room_for_the_sids_are_left_alone() -> None:
    desk = Desk()
    held = offered(desk, note="x" * 4_060)
    before = snapshot(desk.ws)
    with pytest.raises(InvalidArgument, match="leave no room"):
        instruct(desk, held, "dequeue")
    assert (snapshot(desk.ws), calls(desk)) == (before, [])


@pytest.mark.parametrize(
    ("text", "kept"),
    [('{"name": "père", "n": 1.5}', True), ('{"half": "\\ud800"}', True), ('{"n": 1e999}', False)],
)
def test_whatever_else_is_in_the_attributes_stays(text: str, kept: bool) -> None:
    desk = Desk()
    held = offered(desk)
    desk.ws.update_task(held.task.sid, attributes=text)
    desk.settle()
    if not kept:
        with pytest.raises(InvalidArgument, match="cannot be added to"):
            instruct(desk, held, "dequeue")
        return
    instruct(desk, held, "dequeue")
    assert attributes_of(held.task) == {**json.loads(text), "worker_call_sid": calls(desk)[0].sid}
    held.task.attributes.encode()


def test_an_unknown_call_cannot_be_ended() -> None:
    with pytest.raises(NotFound):
        Desk().ws.end_call("CA" + "0" * 32)
