"""The official SDK for JavaScript, unmodified, makes calls and conferences that nobody's phone hears of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.conftest import Desk
from tests.interop.official_sdk import JsWorker, OfficialSdkError
from tests.interop.test_official_sdk import in_reservation, in_task

URL = "http://127.0.0.1:9/told"


def telephony(desk: Desk) -> Any:
    """The record, in-process."""
    return desk.server.account.workspaces[desk.server.workspace_sid].telephony


async def offered(desk: Desk) -> tuple[JsWorker, str, str]:
    """Nina, who can be called, and a task that is offered to her: she, the task, the reservation."""
    nina = await desk.log_in(await desk.hire("nina", contact_uri="client:nina"))
    task_sid = await desk.task(topic="cards")
    return nina, task_sid, (await nina.event("reservationCreated")).data["sid"]


async def conferred(desk: Desk, **options: object) -> tuple[JsWorker, str, str]:
    """The same with a running conference."""
    nina, task_sid, sid = await offered(desk)
    await nina.call("conference", options, on=in_reservation(sid))
    await nina.event("accepted", sid=sid)
    await nina.event("updated", kind="task", sid=task_sid)
    return nina, task_sid, sid


async def test_dequeue_accepts_and_names_the_call_in_the_attributes(desk: Desk) -> None:
    nina, task_sid, sid = await offered(desk)
    options = {
        "from": "+15005550006",
        "record": "record-from-answer",
        "timeout": 30,
        "statusCallbackUrl": URL,
        "statusCallbackEvents": "initiated,completed",
    }
    answer = await nina.call("dequeue", options, on=in_reservation(sid))
    assert (answer["status"], answer["timeout"]) == ("accepted", 120)
    await nina.event("accepted", sid=sid)
    [call] = telephony(desk).calls.values()
    updated = (await nina.event("updated", kind="task", sid=task_sid)).data
    assert updated["attributes"] == {"topic": "cards", "worker_call_sid": call.sid}
    assert (call.to, call.from_, call.timeout, call.record) == (
        "client:nina",
        "+15005550006",
        30,
        "record-from-answer",
    )
    assert call.status_callback.events == ("initiated", "completed")


@pytest.mark.parametrize("accept", [True, False])
async def test_call_accepts_if_it_is_told_to(desk: Desk, accept: bool) -> None:
    nina, task_sid, sid = await offered(desk)
    options = {"accept": accept, "to": "+15005550009", "timeout": 20, "statusCallbackUrl": URL}
    answer = await nina.call("call", "+15005550006", URL, options, on=in_reservation(sid))
    assert answer["status"] == ("accepted" if accept else "pending")
    await nina.event("updated", kind="task", sid=task_sid)
    [call] = telephony(desk).calls.values()
    assert (call.to, call.from_, call.url, call.timeout) == ("+15005550009", "+15005550006", URL, 20)
    if accept:
        await nina.event("accepted", sid=sid)


@pytest.mark.parametrize("accept", [True, False])
async def test_redirect_accepts_if_it_is_told_to(desk: Desk, accept: bool) -> None:
    nina, _, sid = await offered(desk)
    call_sid = "CA" + "1" * 32
    answer = await nina.call("redirect", call_sid, URL, {"accept": accept}, on=in_reservation(sid))
    assert answer["status"] == ("accepted" if accept else "pending")
    [redirect] = telephony(desk).redirects
    assert (redirect.call_sid, redirect.url, redirect.reservation_sid) == (call_sid, URL, sid)


async def test_conference_takes_every_option_the_sdk_documents(desk: Desk) -> None:
    nina, task_sid, sid = await conferred(
        desk,
        **{
            "to": "sip:nina@example.com",
            "from": "+15005550006",
            "timeout": 25,
            "statusCallback": URL,
            "statusCallbackMethod": "POST",
            "statusCallbackEvent": "initiated,ringing,answered,completed",
            "record": "do-not-record",
            "muted": True,
            "beep": "onEnter",
            "startConferenceOnEnter": True,
            "endConferenceOnExit": True,
            "endConferenceOnCustomerExit": False,
            "beepOnCustomerEntrance": True,
            "waitUrl": URL,
            "waitMethod": "GET",
            "earlyMedia": True,
            "maxParticipants": 10,
            "conferenceStatusCallback": URL,
            "conferenceStatusCallbackMethod": "GET",
            "conferenceStatusCallbackEvent": "start,end,join,leave,mute,hold,speaker",
            "conferenceRecord": True,
            "conferenceTrim": "do-not-trim",
            "recordingChannels": "dual",
            "recordingStatusCallback": URL,
            "recordingStatusCallbackMethod": "GET",
            "conferenceRecordingStatusCallback": URL,
            "conferenceRecordingStatusCallbackMethod": "POST",
            "region": "ie1",
            "sipAuthUsername": "nina",
            "sipAuthPassword": "s3cret",
            "jitterBufferSize": "small",
            "transcribe": True,
            "transcriptionConfiguration": "notes",
        },
    )
    [conference] = telephony(desk).conferences.values()
    worker, customer = conference.participants
    task = await nina.get("reservation", sid, "task")
    assert task["attributes"]["conference"] == {
        "sid": conference.sid,
        "participants": {"worker": worker.call.sid, "customer": customer.call.sid},
    }
    assert (task["sid"], task["status"]) == (task_sid, "assigned")
    assert (worker.muted, worker.beep, worker.end_conference_on_exit) == (True, "onEnter", True)
    assert (conference.max_participants, conference.record, conference.region) == (10, "true", "ie1")


async def test_refused_option_is_named(desk: Desk) -> None:
    nina, _, sid = await offered(desk)
    with pytest.raises(OfficialSdkError, match=r"status code 400\. MaxParticipants is not valid"):
        await nina.call("conference", {"maxParticipants": 1}, on=in_reservation(sid))
    assert await nina.get("reservation", sid, "status") == "pending"


async def test_end_of_the_call_sends_the_worker_to_wrap_up(desk: Desk) -> None:
    nina, task_sid, sid = await conferred(desk)
    [conference] = telephony(desk).conferences.values()
    call_sid = conference.participants[0].call.sid
    desk.server.run(desk.server.workspace_sid, lambda ws: ws.end_call(call_sid))
    await nina.event("wrapup", kind="task", sid=task_sid)
    assert (await nina.event("wrapup", kind="reservation", sid=sid)).data["status"] == "wrapping"


async def test_worker_and_customer_legs_are_updated(desk: Desk) -> None:
    nina, task_sid, sid = await conferred(desk)
    await nina.call(
        "updateParticipant",
        {"mute": True, "endConferenceOnExit": True, "beepOnExit": True},
        on=in_reservation(sid),
    )
    task = await nina.call(
        "updateParticipant", {"hold": True, "holdUrl": URL, "holdMethod": "GET"}, on=in_task(sid)
    )
    assert task["sid"] == task_sid
    [conference] = telephony(desk).conferences.values()
    worker, customer = conference.participants
    assert (worker.muted, worker.end_conference_on_exit, worker.beep_on_exit) == (True, True, True)
    assert (customer.hold, customer.hold_url, customer.hold_method) == (True, URL, "GET")


async def test_warm_partner_joins_is_held_and_removed(desk: Desk) -> None:
    nina, task_sid, sid = await conferred(desk)
    otto_sid = await desk.hire("otto", contact_uri="client:otto")
    otto = await desk.log_in(otto_sid)
    await nina.call("transfer", otto_sid, {"mode": "WARM"}, on=in_task(sid))
    offer = (await otto.event("reservationCreated")).data["sid"]
    await otto.call("conference", {}, on=in_reservation(offer))
    accepted = (await otto.event("accepted", sid=offer)).data
    [conference] = telephony(desk).conferences.values()
    assert accepted["task"]["attributes"]["conference"]["sid"] == conference.sid
    await nina.event("completed", kind="transfer")
    assert len(conference.present) == 3

    task = await nina.call("hold", otto_sid, True, {"holdUrl": URL, "holdMethod": "POST"}, on=in_task(sid))
    assert task["sid"] == task_sid
    assert conference.worker(otto_sid).hold
    await nina.call("hold", otto_sid, False, on=in_task(sid))
    assert not conference.worker(otto_sid).hold
    await nina.call("kick", otto_sid, on=in_task(sid))
    assert conference.worker(otto_sid) is None
    assert await otto.get("reservation", offer, "status") == "accepted"


async def test_transferred_reservation_refuses_to_dequeue(desk: Desk) -> None:
    nina, _, sid = await offered(desk)
    await nina.call("accept", on=in_reservation(sid))
    otto_sid = await desk.hire("otto", contact_uri="client:otto")
    otto = await desk.log_in(otto_sid)
    await nina.call("transfer", otto_sid, on=in_task(sid))
    offer = (await otto.event("reservationCreated")).data["sid"]
    with pytest.raises(OfficialSdkError, match="made by a transfer"):
        await otto.call("dequeue", {}, on=in_reservation(offer))


async def test_supervisor_monitors_the_conference(desk: Desk) -> None:
    _, task_sid, sid = await conferred(desk)
    boss_sid = await desk.hire("boss", activity="Offline")
    boss = await desk.sdk.worker(desk.token(boss_sid, role="supervisor"), supervisor=True)
    assert await boss.call("monitor", task_sid, sid) is None
    [conference] = telephony(desk).conferences.values()
    listener = conference.participants[2]
    assert (listener.call.worker_sid, listener.mode, listener.muted) == (boss_sid, "monitor", True)


async def test_worker_may_not_monitor(desk: Desk) -> None:
    _, task_sid, sid = await conferred(desk)
    token = desk.token(await desk.hire("otto", activity="Offline"))
    otto = await desk.sdk.worker(token, supervisor=True)  # the class does not matter, the token's role does
    with pytest.raises(OfficialSdkError, match="status code 403"):
        await otto.call("monitor", task_sid, sid)
