"""Instructions over both doors, the record of the made-up telephony, and the end of its calls."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from server_stub.domain.telephony import StatusCallback
from tests.server.conftest import Open
from tests.server.raw import Client, Desk

URL = "http://127.0.0.1:9/told"
ALL = {
    "dequeue": {
        "DequeueFrom": "+15005550006",
        "DequeueTo": "client:nina",
        "DequeueTimeout": 30,
        "DequeueRecord": "record-from-answer",
        "DequeueStatusCallbackUrl": URL,
    },
    "call": {
        "CallFrom": "+15005550006",
        "CallTo": "client:nina",
        "CallUrl": URL,
        "CallAccept": True,
        "CallTimeout": 20,
    },
    "redirect": {"RedirectCallSid": "CA" + "0" * 32, "RedirectUrl": URL, "RedirectAccept": True},
    "conference": {"From": "+15005550006", "To": "client:nina", "MaxParticipants": 10, "Muted": True},
}


def offered(desk: Desk, worker_sid: str) -> Any:
    """A pending reservation of that worker for a new task."""
    task = desk.task(topic="cards")
    [reservation] = [r for r in task.reservations.values() if r.worker.sid == worker_sid]
    return reservation


def form(params: dict[str, Any]) -> list[tuple[str, str]]:
    """Parameters as a form has them: all text, lists repeated."""
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        values = value if isinstance(value, list) else [value]
        pairs += [(name, str(v).lower() if isinstance(v, bool) else str(v)) for v in values]
    return pairs


async def instruct(client: Client, reservation: Any, word: str, **params: object) -> Any:
    return await client.send(
        f"{client.me}/Reservations/{reservation.sid}", "POST", {"Instruction": word, **params}
    )


async def record(desk: Desk) -> Any:
    """The record of telephony, as HTTP shows it."""
    url = f"{desk.server.rest_url}/stub/workspaces/{desk.server.workspace_sid}/telephony"
    answer = await desk.rest("GET", url)
    assert answer.status == 200, answer.body
    return answer.body


async def hang_up(desk: Desk, call_sid: str) -> Any:
    url = f"{desk.server.rest_url}/stub/workspaces/{desk.server.workspace_sid}/calls/{call_sid}/end"
    return await desk.rest("POST", url)


# --- Both doors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ALL)
@pytest.mark.parametrize("door", ["Tasks", "Workers", "bridge"])
async def test_instruction_is_carried_out_through_every_door(desk: Desk, word: str, door: str) -> None:
    nina = desk.client("nina")
    held = offered(desk, nina.worker_sid)
    if door == "bridge":
        answer = (await instruct(nina, held, word, **ALL[word])).payload
        assert not answer.keys() & {"task", "task_transfer", "active_outgoing_task_transfer"}
    else:
        parent = held.task.sid if door == "Tasks" else nina.worker_sid
        got = await desk.rest(
            "POST",
            f"{desk.path}/{door}/{parent}/Reservations/{held.sid}",
            data=form({"Instruction": word, **ALL[word]}),
        )
        assert got.status == 200, got.body
        assert got.headers["ETag"] == f'"{held.version}"'
        answer = got.body
    assert (answer["sid"], answer["reservation_status"]) == (held.sid, "accepted")
    shown = await record(desk)
    made = {"dequeue": 1, "call": 1, "redirect": 0, "conference": 2}
    assert (len(shown["calls"]), len(shown["redirects"])) == (made[word], 1 if word == "redirect" else 0)


async def test_frames_of_a_dequeue(desk: Desk) -> None:
    nina = desk.client("nina")
    held = offered(desk, nina.worker_sid)
    socket = await nina.ready()
    await instruct(nina, held, "dequeue", DequeueTo="client:nina")
    accepted = await socket.event("reservation.accepted")
    updated = await socket.event("task.updated")
    [call] = (await record(desk))["calls"]
    wanted = {"topic": "cards", "worker_call_sid": call["sid"]}
    assert json.loads(updated["attributes"]) == wanted
    assert json.loads(accepted["task"]["attributes"]) == wanted  # every event shows the end of the command
    assert accepted["task"]["version"] == updated["version"]


@pytest.mark.parametrize("door", ["Tasks", "Workers", "bridge"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MaxParticipants", 251),
        ("Timeout", 0),
        ("Beep", "loudly"),
        ("Muted", "maybe"),
        ("StatusCallbackEvent", ["initiated", "melted"]),
        ("PostWorkActivitySid", "WA"),
        ("Region", "mars1"),
        ("WaitUrl", "nowhere"),
    ],
)
async def test_value_out_of_range_is_refused_by_name(desk: Desk, door: str, name: str, value: object) -> None:
    nina = desk.client("nina")
    held = offered(desk, nina.worker_sid)
    params = {"Instruction": "conference", "To": "client:nina", name: value}
    if door == "bridge":
        answer = await nina.send(f"{nina.me}/Reservations/{held.sid}", "POST", params)
    else:
        parent = held.task.sid if door == "Tasks" else nina.worker_sid
        answer = await desk.rest(
            "POST", f"{desk.path}/{door}/{parent}/Reservations/{held.sid}", data=form(params)
        )
    assert (answer.status, answer.body["code"]) == (400, 20001)
    assert answer.body["message"].startswith(f"{name} is not valid")
    assert held.status == "pending"


async def test_events_of_a_callback_are_read_repeated_and_between_commas(desk: Desk) -> None:
    for events in (["initiated", "completed"], ["initiated,completed"]):
        name = f"worker {len(events)}"
        worker_sid = desk.hire(name, contact_uri="client:nina")
        held = offered(desk, worker_sid)
        params = {
            "Instruction": "conference",
            "StatusCallback": URL,
            "StatusCallbackEvent": events,
        }
        answer = await desk.rest(
            "POST", f"{desk.path}/Tasks/{held.task.sid}/Reservations/{held.sid}", data=form(params)
        )
        assert answer.status == 200
        call = next(c for c in (await record(desk))["calls"] if c["worker_sid"] == worker_sid)
        assert call["status_callback"] == {"url": URL, "method": "POST", "events": ["initiated", "completed"]}


async def test_logged_codes_are_told_as_details(desk: Desk) -> None:
    nina = desk.client("nina")
    held = offered(desk, nina.worker_sid)
    late = {"Instruction": "call", "CallFrom": "+15005550006", "CallUrl": URL}
    path = f"{desk.path}/Tasks/{held.task.sid}/Reservations/{held.sid}"
    missing = await desk.rest("POST", path, data={"Instruction": "call", "CallFrom": "+15005550006"})
    assert (missing.body["code"], missing.body["details"]) == (20001, {"log_code": 40112})
    await nina.answer_reservation(held.sid, "accepted")
    answer = await desk.rest("POST", path, data=late)
    assert (answer.status, answer.body["code"], answer.body["details"]) == (400, 20001, {"log_code": 40114})
    assert answer.body["message"].endswith("is not currently in a Pending state.")


async def test_transferred_reservation_refuses_calls_with_their_own_code(desk: Desk) -> None:
    nina = desk.client("nina")
    held = offered(desk, nina.worker_sid)
    await nina.answer_reservation(held.sid, "accepted")
    otto = desk.client("otto")
    params = {"ReservationSid": held.sid, "TaskSid": held.task.sid, "To": otto.worker_sid}
    await nina.send(f"{nina.me}/Transfers", "POST", params, api="v2")
    [taken] = held.task.pending_reservations
    answer = await instruct(otto, taken, "dequeue", DequeueTo="client:otto")
    assert (answer.status, answer.body["code"]) == (400, 40151)
    assert (await instruct(otto, taken, "conference", To="client:otto")).status == 200
    assert taken.status == "accepted"


async def test_stale_version_stops_an_instruction(desk: Desk) -> None:
    nina = desk.client("nina")
    held = offered(desk, nina.worker_sid)
    answer = await desk.rest(
        "POST",
        f"{desk.path}/Workers/{nina.worker_sid}/Reservations/{held.sid}",
        data={"Instruction": "dequeue", "DequeueTo": "client:nina"},
        headers={"If-Match": "7"},
    )
    assert (answer.status, answer.body["code"]) == (412, 20412)
    assert (await record(desk))["calls"] == []


# --- Supervising --------------------------------------------------------------------------------


async def conferred(desk: Desk, client: Client) -> Any:
    """A reservation of the client with a running conference."""
    held = offered(desk, client.worker_sid)
    assert (await instruct(client, held, "conference", To="client:nina")).status == 200
    return held


async def test_supervisor_joins_below_the_task(desk: Desk) -> None:
    nina = desk.client("nina")
    held = await conferred(desk, nina)
    boss = desk.client("boss", "Offline", role="supervisor")
    params = {"Instruction": "supervise", "Supervisor": boss.worker_sid, "SupervisorMode": "whisper"}
    answer = await boss.send(f"{boss.base}/Tasks/{held.task.sid}/Reservations/{held.sid}", "POST", params)
    assert answer.payload["reservation_status"] == "accepted"
    [conference] = (await record(desk))["conferences"]
    joined = conference["participants"][2]
    assert (joined["role"], joined["worker_sid"], joined["supervisor_mode"]) == (
        "supervisor",
        boss.worker_sid,
        "whisper",
    )
    rest = await desk.rest(
        "POST", f"{desk.path}/Tasks/{held.task.sid}/Reservations/{held.sid}", data=form(params)
    )
    assert (rest.status, rest.body["reservation_status"]) == (200, "accepted")
    worker_view = await desk.rest(
        "POST", f"{desk.path}/Workers/{nina.worker_sid}/Reservations/{held.sid}", data=form(params)
    )
    assert (worker_view.status, "below the task" in worker_view.body["message"]) == (400, True)


async def test_supervisor_acts_only_as_itself_and_a_worker_not_at_all(desk: Desk) -> None:
    nina = desk.client("nina")
    held = await conferred(desk, nina)
    boss = desk.client("boss", "Offline", role="supervisor")
    admin = desk.client("admin", "Offline", role="admin")
    path = f"{boss.base}/Tasks/{held.task.sid}/Reservations/{held.sid}"
    as_boss = {"Instruction": "supervise", "Supervisor": boss.worker_sid}
    refused = [
        (nina, as_boss),
        (nina, {"Instruction": "supervise", "Supervisor": nina.worker_sid}),
        (boss, {"Instruction": "supervise", "Supervisor": nina.worker_sid}),
        (boss, {"Instruction": "supervise"}),
        (boss, {"Instruction": "reject"}),
        (boss, {"ReservationStatus": "completed"}),
    ]
    for client, params in refused:
        assert (await client.send(path, "POST", params)).status == 403, params
    assert (await admin.send(path, "POST", as_boss)).status == 200
    assert held.status == "accepted"


# --- Participants -------------------------------------------------------------------------------


async def test_participants_are_changed_and_the_task_answered(desk: Desk) -> None:
    nina = desk.client("nina")
    held = await conferred(desk, nina)
    otto = desk.client("otto")
    params = {"ReservationSid": held.sid, "TaskSid": held.task.sid, "To": otto.worker_sid}
    await nina.send(f"{nina.me}/Transfers", "POST", params, api="v2")
    [taken] = held.task.pending_reservations
    await instruct(otto, taken, "conference", To="client:otto")
    task = {"TaskSid": held.task.sid}
    his = {**task, "TargetWorkerSid": otto.worker_sid}

    customer = await nina.send(
        f"{nina.me}/CustomerParticipant",
        "POST",
        {**task, "Hold": True, "HoldUrl": URL, "HoldMethod": "GET", "Unknown": 1},
        api="v2",
    )
    worker = await nina.send(f"{nina.me}/HoldWorkerParticipant", "POST", {**his, "Hold": True}, api="v2")
    own = await nina.send(
        f"{nina.me}/WorkerParticipant",
        "POST",
        {"ReservationSid": held.sid, "Mute": True, "EndConferenceOnExit": True, "BeepOnExit": True},
        api="v2",
    )
    assert customer.payload["sid"] == worker.payload["sid"] == held.task.sid
    assert customer.payload["attributes"] == held.task.attributes
    assert own.payload["sid"] == held.sid
    [conference] = (await record(desk))["conferences"]
    mine, customers, theirs = conference["participants"]
    assert (customers["hold"], customers["hold_url"], customers["hold_method"]) == (True, URL, "GET")
    assert theirs["hold"] is True
    assert (mine["muted"], mine["end_conference_on_exit"], mine["beep_on_exit"]) == (True, True, True)

    kicked = await nina.send(f"{nina.me}/KickWorkerParticipant", "POST", his, api="v2")
    assert kicked.payload["assignment_status"] == "assigned"
    [conference] = (await record(desk))["conferences"]
    assert conference["participants"][2]["date_left"] is not None
    assert (taken.status, held.status) == ("accepted", "accepted")


@pytest.mark.parametrize(
    ("route", "params", "named"),
    [
        ("CustomerParticipant", {"TaskSid": None}, "TaskSid field is required"),
        ("CustomerParticipant", {"TaskSid": "WT" + "0" * 32}, "TaskSid"),
        ("CustomerParticipant", {"Hold": "maybe"}, "Hold is not valid"),
        ("HoldWorkerParticipant", {}, "TargetWorkerSid field is required"),
        ("HoldWorkerParticipant", {"TargetWorkerSid": "WK" + "0" * 32}, "Hold field is required"),
        ("KickWorkerParticipant", {"TargetWorkerSid": "WK" + "0" * 32}, "TargetWorkerSid"),
        ("WorkerParticipant", {}, "ReservationSid field is required"),
        ("WorkerParticipant", {"ReservationSid": "WR" + "0" * 32}, "ReservationSid"),
    ],
)
async def test_wrong_participant_parameter_is_named(
    desk: Desk, route: str, params: dict[str, object], named: str
) -> None:
    nina = desk.client("nina")
    held = await conferred(desk, nina)
    given = {"TaskSid": held.task.sid, **params}
    answer = await nina.send(f"{nina.me}/{route}", "POST", given, api="v2")
    assert (answer.status, answer.body["code"]) == (400, 20001)
    assert answer.body["message"].startswith(named)


@pytest.mark.parametrize(
    "route", ["CustomerParticipant", "HoldWorkerParticipant", "KickWorkerParticipant", "WorkerParticipant"]
)
async def test_participants_are_changed_only_by_those_who_work_on_the_task(desk: Desk, route: str) -> None:
    nina = desk.client("nina")
    held = await conferred(desk, nina)
    stranger = desk.client("otto", "Offline")
    params = {
        "TaskSid": held.task.sid,
        "ReservationSid": held.sid,
        "TargetWorkerSid": nina.worker_sid,
        "Hold": True,
    }
    as_nina = await stranger.send(f"{nina.me}/{route}", "POST", params, api="v2")
    assert as_nina.status == 403
    as_itself = await stranger.send(f"{stranger.me}/{route}", "POST", params, api="v2")
    assert as_itself.status == 403
    [conference] = (await record(desk))["conferences"]
    assert [p["hold"] for p in conference["participants"]] == [False, False]


# --- The record and the end of calls ------------------------------------------------------------


async def test_ended_call_sends_the_worker_to_wrap_up(desk: Desk) -> None:
    nina = desk.client("nina")
    held = offered(desk, nina.worker_sid)
    await instruct(nina, held, "dequeue", DequeueTo="client:nina")
    socket = await nina.ready()
    [call] = (await record(desk))["calls"]
    answer = await hang_up(desk, call["sid"])
    assert (answer.status, answer.body["status"]) == (200, "completed")
    assert (await socket.event("task.wrapup"))["assignment_status"] == "wrapping"
    assert (await socket.event("reservation.wrapup"))["sid"] == held.sid
    again = await hang_up(desk, call["sid"])
    assert (again.status, again.body["code"]) == (400, 20001)
    unknown = await hang_up(desk, "CA" + "0" * 32)
    assert (unknown.status, unknown.body["code"]) == (404, 20404)


async def test_record_shows_what_was_asked_for_and_no_password(desk: Desk) -> None:
    nina = desk.client("nina")
    held = offered(desk, nina.worker_sid)
    await instruct(
        nina,
        held,
        "conference",
        To="sip:nina@example.com",
        SipAuthUsername="nina",
        SipAuthPassword="s3cret",
        ConferenceStatusCallback=URL,
    )
    shown = await record(desk)
    assert "s3cret" not in json.dumps(shown)
    worker, customer = shown["calls"]
    [conference] = shown["conferences"]
    assert (worker["role"], worker["to"], worker["sip_auth_username"]) == (
        "worker",
        "sip:nina@example.com",
        "nina",
    )
    assert (customer["role"], customer["worker_sid"]) == ("customer", None)
    assert {worker["conference_sid"], customer["conference_sid"]} == {conference["sid"]}
    assert (conference["friendly_name"], conference["status"]) == (held.task.sid, "in-progress")
    assert [c["event"] for c in shown["status_callbacks"]] == ["start", "join", "join"]
    assert shown["status_callbacks"][0]["parameters"]["ConferenceSid"] == conference["sid"]


async def test_status_callbacks_are_told_to_observers_once(desk: Desk) -> None:
    seen: list[tuple[str, StatusCallback]] = []
    desk.server.observe_status_callbacks(lambda ws, callbacks: seen.extend((ws.sid, c) for c in callbacks))
    nina = desk.client("nina")
    held = offered(desk, nina.worker_sid)
    params = {"DequeueStatusCallbackUrl": URL, "DequeueStatusCallbackEvent": "initiated,completed"}
    await instruct(nina, held, "dequeue", DequeueTo="client:nina", **params)
    assert [(sid, c.event, c.method) for sid, c in seen] == [(desk.server.workspace_sid, "initiated", "GET")]
    [call] = (await record(desk))["calls"]
    await hang_up(desk, call["sid"])
    assert [c.event for _, c in seen] == ["initiated", "completed"]


@pytest.mark.parametrize("path", ["telephony", "calls/CA00000000000000000000000000000000/end"])
async def test_switchboard_asks_for_credentials_and_its_own_names(open_desk: Open, path: str) -> None:
    desk: Desk = await open_desk()
    url = f"{desk.server.rest_url}/stub/workspaces/{desk.server.workspace_sid}/{path}"
    method = "GET" if path == "telephony" else "POST"
    assert (await desk.rest(method, url, auth=("nobody", "x"))).status == 401
    assert (await desk.rest(method, url, headers={"Host": "evil.example"})).status == 403
    assert (await desk.rest(method, url, headers={"Origin": "https://evil.example"})).status == 403
    key = (desk.server.signing_key_sid, desk.server.signing_key_secret)
    assert (await desk.rest(method, url, auth=key)).status in (200, 404)
    assert (await desk.rest("DELETE", url)).status == 405
    elsewhere = url.replace(desk.server.workspace_sid, "WS" + "0" * 32)
    assert (await desk.rest(method, elsewhere)).status == 404
    credentials = base64.b64encode(f"{desk.server.account_sid}:{desk.server.auth_token}".encode()).decode()
    async with desk.http.request(method, url, headers={"Authorization": f"Basic {credentials}"}) as response:
        assert response.content_type == "application/json"
