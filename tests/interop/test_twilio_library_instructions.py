"""The `twilio` library instructs reservations over REST, with every parameter that it offers."""

from __future__ import annotations

import inspect
import json
import urllib.request
from base64 import b64encode
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client
from twilio.rest.taskrouter.v1.workspace.task.reservation import ReservationContext as TaskView
from twilio.rest.taskrouter.v1.workspace.worker.reservation import ReservationContext as WorkerView

from server_stub import StubServer

URL = "http://127.0.0.1:9/told"

DEQUEUE = {
    "dequeue_from": "+15005550006",
    "dequeue_record": "record-from-answer",
    "dequeue_timeout": 30,
    "dequeue_to": "client:nina",
    "dequeue_status_callback_url": URL,
    "dequeue_status_callback_event": ["initiated", "completed"],
}
CALL = {
    "call_from": "+15005550006",
    "call_record": "do-not-record",
    "call_timeout": 20,
    "call_to": "+15005550009",
    "call_url": URL,
    "call_status_callback_url": URL,
    "call_accept": True,
}
REDIRECT = {"redirect_call_sid": "CA" + "1" * 32, "redirect_accept": True, "redirect_url": URL}
CONFERENCE = {
    "to": "client:nina",
    "from_": "+15005550006",
    "status_callback": URL,
    "status_callback_method": "GET",
    "status_callback_event": ["initiated", "ringing"],
    "timeout": 25,
    "record": True,
    "muted": True,
    "beep": "onExit",
    "start_conference_on_enter": True,
    "end_conference_on_exit": False,
    "wait_url": URL,
    "wait_method": "GET",
    "early_media": False,
    "max_participants": 4,
    "conference_status_callback": URL,
    "conference_status_callback_method": "GET",
    "conference_status_callback_event": ["start", "end"],
    "conference_record": "true",
    "conference_trim": "do-not-trim",
    "recording_channels": "dual",
    "recording_status_callback": URL,
    "recording_status_callback_method": "GET",
    "conference_recording_status_callback": URL,
    "conference_recording_status_callback_method": "GET",
    "region": "ie1",
    "sip_auth_username": "nina",
    "sip_auth_password": "s3cret",
    "end_conference_on_customer_exit": False,
    "beep_on_customer_entrance": True,
    "jitter_buffer_size": "small",
}
SUPERVISE = {"supervisor": "client:boss", "supervisor_mode": "whisper"}
OTHERS = {
    "if_match",
    "reservation_status",
    "worker_activity_sid",
    "instruction",
    # Only single-tasking workspaces move workers after their calls.
    "dequeue_post_work_activity_sid",
    "post_work_activity_sid",
}

VIEWS = ("tasks", "workers")


@pytest.fixture
def workspace(twilio_client: Client) -> Any:
    """The library's context of a workspace made from the FIFO template."""
    created = twilio_client.taskrouter.v1.workspaces.create(friendly_name="desk", template="FIFO")
    return twilio_client.taskrouter.v1.workspaces(created.sid)


def offered(workspace: Any, *, contact_uri: str | None = "client:nina") -> tuple[Any, Any]:
    """A worker and the pending reservation of a task of hers."""
    [available] = workspace.activities.list(available="true")
    attributes = {"contact_uri": contact_uri} if contact_uri else {}
    nina = workspace.workers.create(
        friendly_name="nina", activity_sid=available.sid, attributes=json.dumps(attributes)
    )
    task = workspace.tasks.create(attributes=json.dumps({"topic": "cards"}))
    [reservation] = workspace.tasks(task.sid).reservations.list()
    return nina, reservation


def seen_as(workspace: Any, reservation: Any, view: str) -> Any:
    """The library's context of the reservation below its task or its worker."""
    if view == "tasks":
        return workspace.tasks(reservation.task_sid).reservations(reservation.sid)
    return workspace.workers(reservation.worker_sid).reservations(reservation.sid)


def switchboard(server: StubServer, workspace_sid: str, path: str, *, method: str = "GET") -> Any:
    """What the server's own addresses answer."""
    credentials = b64encode(f"{server.account_sid}:{server.auth_token}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{server.rest_url}/stub/workspaces/{workspace_sid}/{path}",
        method=method,
        headers={"Authorization": f"Basic {credentials}"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - our own server
        return json.load(response)


@pytest.mark.parametrize("view", [TaskView, WorkerView])
def test_these_tests_know_every_parameter_of_the_library(view: type[Any]) -> None:
    known = {*DEQUEUE, *CALL, *REDIRECT, *CONFERENCE, *OTHERS, *(SUPERVISE if view is TaskView else ())}
    assert set(inspect.signature(view.update).parameters) - {"self"} == known


@pytest.mark.parametrize("view", VIEWS)
def test_dequeue(threaded_server: StubServer, workspace: Any, view: str) -> None:
    nina, reservation = offered(workspace)
    updated = seen_as(workspace, reservation, view).update(instruction="dequeue", **DEQUEUE)
    assert (updated.sid, updated.reservation_status) == (reservation.sid, "accepted")
    task = workspace.tasks(reservation.task_sid).fetch()
    [call] = switchboard(threaded_server, workspace_sid(workspace), "telephony")["calls"]
    assert (task.assignment_status, json.loads(task.attributes)) == (
        "assigned",
        {"topic": "cards", "worker_call_sid": call["sid"]},
    )
    assert (call["to"], call["from"], call["timeout"], call["record"], call["worker_sid"]) == (
        "client:nina",
        "+15005550006",
        30,
        "record-from-answer",
        nina.sid,
    )
    assert call["status_callback"] == {"url": URL, "method": "GET", "events": ["initiated", "completed"]}


@pytest.mark.parametrize("view", VIEWS)
def test_call(threaded_server: StubServer, workspace: Any, view: str) -> None:
    _, reservation = offered(workspace)
    updated = seen_as(workspace, reservation, view).update(instruction="call", **CALL)
    assert updated.reservation_status == "accepted"
    [call] = switchboard(threaded_server, workspace_sid(workspace), "telephony")["calls"]
    assert (call["to"], call["url"], call["timeout"]) == ("+15005550009", URL, 20)
    assert call["status_callback"] == {"url": URL, "method": "GET", "events": ["completed"]}


@pytest.mark.parametrize("view", VIEWS)
def test_redirect(threaded_server: StubServer, workspace: Any, view: str) -> None:
    _, reservation = offered(workspace)
    updated = seen_as(workspace, reservation, view).update(instruction="redirect", **REDIRECT)
    assert updated.reservation_status == "accepted"
    [redirect] = switchboard(threaded_server, workspace_sid(workspace), "telephony")["redirects"]
    assert (redirect["call_sid"], redirect["url"], redirect["accept"]) == ("CA" + "1" * 32, URL, True)


@pytest.mark.parametrize("view", VIEWS)
def test_conference(threaded_server: StubServer, workspace: Any, view: str) -> None:
    _, reservation = offered(workspace)
    updated = seen_as(workspace, reservation, view).update(instruction="conference", **CONFERENCE)
    assert updated.reservation_status == "accepted"
    shown = switchboard(threaded_server, workspace_sid(workspace), "telephony")
    [conference] = shown["conferences"]
    worker, customer = conference["participants"]
    attributes = json.loads(workspace.tasks(reservation.task_sid).fetch().attributes)
    assert attributes["conference"] == {
        "sid": conference["sid"],
        "participants": {"worker": worker["call_sid"], "customer": customer["call_sid"]},
    }
    expected = {
        "friendly_name": reservation.task_sid,
        "max_participants": 4,
        "record": "true",
        "trim": "do-not-trim",
        "recording_channels": "dual",
        "region": "ie1",
        "wait_url": URL,
        "wait_method": "GET",
        "status_callback": {"url": URL, "method": "GET", "events": ["start", "end"]},
        "recording_status_callback": {"url": URL, "method": "GET", "events": ["completed"]},
    }
    assert {name: conference[name] for name in expected} == expected
    assert (worker["muted"], worker["beep"], worker["jitter_buffer_size"]) == (True, "onExit", "small")
    assert customer["beep"] == "true"
    call = shown["calls"][0]
    assert (call["timeout"], call["early_media"], call["sip_auth_username"]) == (25, False, "nina")
    assert call["record"] == "record-from-answer"
    assert call["status_callback"] == {"url": URL, "method": "GET", "events": ["initiated", "ringing"]}
    assert call["recording_status_callback"] == {"url": URL, "method": "GET", "events": ["completed"]}
    assert "s3cret" not in json.dumps(shown)


def test_supervise(threaded_server: StubServer, workspace: Any) -> None:
    _, reservation = offered(workspace)
    below_task = seen_as(workspace, reservation, "tasks")
    below_task.update(instruction="conference")
    before = below_task.fetch()
    updated = below_task.update(instruction="supervise", **SUPERVISE)
    assert (updated.reservation_status, updated.date_updated) == ("accepted", before.date_updated)
    [conference] = switchboard(threaded_server, workspace_sid(workspace), "telephony")["conferences"]
    assert conference["participants"][2]["supervisor_mode"] == "whisper"


@pytest.mark.parametrize("view", VIEWS)
def test_accept_and_reject(workspace: Any, view: str) -> None:
    _, reservation = offered(workspace)
    [unavailable] = workspace.activities.list(friendly_name="Unavailable")
    context = seen_as(workspace, reservation, view)
    rejected = context.update(instruction="reject", worker_activity_sid=unavailable.sid)
    assert rejected.reservation_status == "rejected"
    assert workspace.workers(reservation.worker_sid).fetch().activity_name == "Unavailable"
    [available] = workspace.activities.list(available="true")
    workspace.workers(reservation.worker_sid).update(activity_sid=available.sid)
    again = workspace.tasks(reservation.task_sid).reservations.list(reservation_status="pending")[0]
    accepted = seen_as(workspace, again, view).update(instruction="accept", if_match="0")
    assert accepted.reservation_status == "accepted"


def test_ended_call_completes_the_task_of_a_single_tasking_workspace(
    threaded_server: StubServer, twilio_client: Client
) -> None:
    created = twilio_client.taskrouter.v1.workspaces.create(
        friendly_name="legacy", template="FIFO", multi_task_enabled=False
    )
    workspace = twilio_client.taskrouter.v1.workspaces(created.sid)
    nina, reservation = offered(workspace)
    [unavailable] = workspace.activities.list(friendly_name="Unavailable")
    context = seen_as(workspace, reservation, "tasks")
    context.update(instruction="conference", post_work_activity_sid=unavailable.sid)
    [call, _] = switchboard(threaded_server, created.sid, "telephony")["calls"]
    ended = switchboard(threaded_server, created.sid, f"calls/{call['sid']}/end", method="POST")
    assert ended["status"] == "completed"
    assert workspace.tasks(reservation.task_sid).fetch().assignment_status == "completed"
    assert workspace.workers(nina.sid).fetch().activity_name == "Unavailable"


@pytest.mark.parametrize("view", VIEWS)
def test_refusals_name_the_parameter(workspace: Any, view: str) -> None:
    _, reservation = offered(workspace, contact_uri=None)
    context = seen_as(workspace, reservation, view)
    for parameters, named in (
        ({"instruction": "call", "call_from": "+15005550006"}, "CallUrl field is required"),
        ({"instruction": "dequeue"}, "DequeueTo field is required"),
        ({"instruction": "dequeue", "dequeue_to": "nina"}, "DequeueTo is not valid"),
        ({"instruction": "dequeue", "dequeue_timeout": 1_000}, "DequeueTimeout is not valid"),
        ({"instruction": "conference"}, "Unable to execute Conference instruction"),
        ({"instruction": "conference", "max_participants": 1}, "MaxParticipants is not valid"),
        ({"instruction": "dance"}, "Instruction is not valid"),
    ):
        with pytest.raises(TwilioRestException) as caught:
            context.update(**parameters)
        assert (caught.value.status, caught.value.code) == (400, 20001)
        assert caught.value.msg.startswith(f"Unable to update record: {named}")
    assert context.fetch().reservation_status == "pending"


def workspace_sid(workspace: Any) -> str:
    """The SID of a workspace's context."""
    return str(workspace.fetch().sid)
