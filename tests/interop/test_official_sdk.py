"""The official SDK for JavaScript, unmodified, works a shift against the local server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.interop.conftest import Desk
from tests.interop.official_sdk import PATIENCE, JsWorker, OfficialSdkError


async def eventually(probe: Callable[[], Awaitable[Any]], expected: object) -> None:
    """Wait until `probe` returns `expected`. For facts that nobody on our side of the wire announces."""
    async with asyncio.timeout(PATIENCE):
        while await probe() != expected:
            await asyncio.sleep(0.02)


def in_reservation(sid: str) -> tuple[str, str]:
    return ("reservation", sid)


def in_task(reservation_sid: str) -> tuple[str, str, str]:
    return ("reservation", reservation_sid, "task")


async def accepted_task(desk: Desk, worker: JsWorker) -> tuple[str, str]:
    """A new task that `worker` has accepted: the SIDs of task and reservation."""
    task_sid = await desk.task(topic="cards")
    reservation = (await worker.event("reservationCreated")).data
    assert reservation["task"]["sid"] == task_sid
    await worker.call("accept", on=in_reservation(reservation["sid"]))
    await worker.event("accepted", sid=reservation["sid"])
    return task_sid, reservation["sid"]


# --- Getting ready ------------------------------------------------------------------------------


async def test_worker_becomes_ready_with_all_its_maps(desk: Desk) -> None:
    nina_sid = await desk.hire("nina", skills=["billing"], level=4)
    task_sid = await desk.task(topic="cards")
    nina = await desk.log_in(nina_sid)
    assert await nina.get("sid") == nina_sid
    assert await nina.get("name") == "nina"
    assert await nina.get("accountSid") == desk.server.account_sid
    assert await nina.get("workspaceSid") == desk.server.workspace_sid
    assert await nina.get("attributes") == {"skills": ["billing"], "level": 4}
    assert await nina.get("activity", "name") == "Available"
    activities = (await nina.get("activities")).values()
    assert {(a["name"], a["available"], a["isCurrent"]) for a in activities} == {
        ("Offline", False, False),
        ("Available", True, True),
        ("Unavailable", False, False),
    }
    channels = (await nina.get("channels")).values()
    assert {(c["taskChannelUniqueName"], c["capacity"], c["available"]) for c in channels} == {
        (name, 1, True) for name in ("default", "voice", "sms", "chat", "video")
    }
    [reservation] = (await nina.get("reservations")).values()
    assert (reservation["status"], reservation["task"]["sid"]) == ("pending", task_sid)


async def test_connect_activity_is_set_on_connecting(desk: Desk) -> None:
    nina_sid = await desk.hire("nina", activity="Offline")
    available = await desk.activity("Available")
    nina = await desk.log_in(nina_sid, connectActivitySid=available)
    assert (await nina.event("activityUpdated")).data["available"] is True
    assert await nina.get("activity", "sid") == available


# --- The worker itself --------------------------------------------------------------------------


async def test_activity_set_by_the_worker_is_stored_and_announced(desk: Desk) -> None:
    nina_sid = await desk.hire("nina", activity="Offline")
    available = await desk.activity("Available")
    nina = await desk.log_in(nina_sid)
    answer = await nina.call("setAsCurrent", on=("activities", available))
    assert (answer["sid"], answer["isCurrent"]) == (available, True)
    await nina.event("activityUpdated")
    assert await nina.get("activity", "name") == "Available"
    assert (await desk.fetch_worker(nina_sid)).activity_name == "Available"


async def test_activity_set_over_rest_reaches_the_worker(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.log_in(nina_sid)
    unavailable = await desk.activity("Unavailable")
    await desk.rest(lambda ws: ws.workers(nina_sid).update(activity_sid=unavailable))
    assert (await nina.event("activityUpdated")).data["available"] is False
    assert await nina.get("activity", "name") == "Unavailable"


async def test_going_on_break_can_reject_what_is_pending(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    await desk.task()
    reservation_sid = (await nina.event("reservationCreated")).data["sid"]
    unavailable = await desk.activity("Unavailable")
    await nina.call("setAsCurrent", {"rejectPendingReservations": True}, on=("activities", unavailable))
    await nina.event("rejected", sid=reservation_sid)
    assert await nina.get("activity", "name") == "Unavailable"
    assert await nina.get("reservations") == {}


async def test_attributes_set_by_the_worker_are_stored_and_announced(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.log_in(nina_sid)
    attributes = {"skills": ["cards", "père"], "level": 5, "team": {"lead": None, "remote": True}}
    await nina.call("setAttributes", attributes)
    assert (await nina.event("attributesUpdated")).data["attributes"] == attributes
    stored = await desk.fetch_worker(nina_sid)
    assert json.loads(stored.attributes) == attributes


async def test_capacity_and_availability_changes_reach_the_channel(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.log_in(nina_sid)
    version = int(await nina.get("version"))
    await desk.rest(lambda ws: ws.workers(nina_sid).worker_channels("chat").update(capacity=3))
    raised = await nina.event("capacityUpdated", kind="channel")
    assert (raised.data["taskChannelUniqueName"], raised.data["capacity"]) == ("chat", 3)
    await desk.rest(lambda ws: ws.workers(nina_sid).worker_channels("chat").update(available=False))
    closed = await nina.event("availabilityUpdated", kind="channel")
    assert (closed.data["sid"], closed.data["available"]) == (raised.data["sid"], False)
    assert int(await nina.get("version")) == version + 2  # the SDK counts for itself, one per event
    await nina.call("fetchLatestVersion")
    assert int(await nina.get("version")) == version + 2


# --- Reservations -------------------------------------------------------------------------------


async def test_reservation_is_accepted_wrapped_and_completed(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.log_in(nina_sid)
    task_sid = await desk.task(topic="cards", lang="pt")

    created = (await nina.event("reservationCreated")).data
    sid = created["sid"]
    workflow_sid, queue_sid = await desk.workflow_sid(), await desk.queue_sid()
    assert created["status"] == "pending"
    assert created["timeout"] == 120
    assert created["workerSid"] == nina_sid
    assert created["workspaceSid"] == desk.server.workspace_sid
    assert created["accountSid"] == desk.server.account_sid
    task = created["task"]
    expected = {
        "sid": task_sid,
        "reservationSid": sid,
        "status": "reserved",
        "attributes": {"topic": "cards", "lang": "pt"},
        "addOns": {},
        "priority": 0,
        "timeout": 86_400,
        "reason": None,
        "routingTarget": None,
        "workflowSid": workflow_sid,
        "workflowName": "Default Fifo Workflow",
        "queueSid": queue_sid,
        "queueName": "Sample Queue",
        "taskChannelUniqueName": "default",
    }
    assert {key: task[key] for key in expected} == expected
    stored = await desk.fetch_task(task_sid)
    assert task["dateCreated"] == stored.date_created.timestamp() * 1000
    assert task["virtualStartTime"] == stored.virtual_start_time.timestamp() * 1000

    await nina.call("accept", on=in_reservation(sid))
    accepted = (await nina.event("accepted", sid=sid)).data
    assert (accepted["status"], accepted["task"]["status"]) == ("accepted", "assigned")
    assert accepted["timeout"] == 120
    await nina.call("wrap", on=in_reservation(sid))
    wrapped = (await nina.event("wrapup", kind="reservation", sid=sid)).data
    assert (wrapped["status"], wrapped["task"]["status"]) == ("wrapping", "wrapping")
    await nina.event("wrapup", kind="task", sid=task_sid)
    await nina.call("complete", on=in_reservation(sid))
    completed = (await nina.event("completed", kind="reservation", sid=sid)).data
    assert (completed["status"], completed["task"]["status"]) == ("completed", "completed")
    await nina.event("completed", kind="task", sid=task_sid)
    assert await nina.get("reservations") == {}
    assert [int(r["version"]) for r in (created, accepted, wrapped, completed)] == [0, 1, 2, 3]
    assert (await desk.fetch_task(task_sid)).assignment_status == "completed"


async def test_listener_attached_when_accept_returned_still_hears_accepted(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    await desk.task()
    sid = (await nina.event("reservationCreated")).data["sid"]
    assert await nina.call_then_listen("accept", on=in_reservation(sid), event="accepted")


async def test_task_is_completed_with_its_reason(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    task_sid, sid = await accepted_task(desk, nina)
    answer = await nina.call("complete", "card replaced", on=in_task(sid))
    assert (answer["status"], answer["reason"]) == ("completed", "card replaced")
    assert (await nina.event("completed", kind="task", sid=task_sid)).data["reason"] == "card replaced"
    await nina.event("completed", kind="reservation", sid=sid)
    assert (await desk.fetch_task(task_sid)).reason == "card replaced"


async def test_task_is_wrapped_up_and_its_attributes_change(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    task_sid, sid = await accepted_task(desk, nina)
    await nina.call("setAttributes", {"topic": "cards", "notes": "père"}, on=in_task(sid))
    updated = await nina.event("updated", kind="task", sid=task_sid)
    assert updated.data["attributes"] == {"topic": "cards", "notes": "père"}
    await nina.call("wrapUp", {"reason": "calling back"}, on=in_task(sid))
    await nina.event("wrapup", kind="reservation", sid=sid)
    assert (await nina.event("wrapup", kind="task", sid=task_sid)).data["reason"] == "calling back"


async def test_task_start_time_is_moved(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    task_sid, sid = await accepted_task(desk, nina)
    await nina.call("setVirtualStartTime", {"$date": 1_740_820_530_000}, on=in_task(sid))
    updated = await nina.event("updated", kind="task", sid=task_sid)
    assert updated.data["virtualStartTime"] == 1_740_820_530_000


async def test_objects_are_fetched_anew(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    task_sid, sid = await accepted_task(desk, nina)
    reservation = await nina.call("fetchLatestVersion", on=in_reservation(sid))
    assert (reservation["status"], reservation["timeout"]) == ("accepted", 120)
    task = await nina.call("fetchLatestVersion", on=in_task(sid))
    assert (task["sid"], task["status"]) == (task_sid, "assigned")


async def test_rejected_reservation_goes_to_the_next_worker(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    task_sid = await desk.task()
    sid = (await nina.event("reservationCreated")).data["sid"]
    omar = await desk.log_in(await desk.hire("omar"))
    await nina.call("reject", on=in_reservation(sid))
    assert (await nina.event("rejected", sid=sid)).data["status"] == "rejected"
    assert (await omar.event("reservationCreated")).data["task"]["sid"] == task_sid
    assert await nina.get("activity", "name") == "Available"
    assert await nina.get("reservations") == {}


async def test_rejecting_can_change_the_activity(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.log_in(nina_sid)
    await desk.task()
    sid = (await nina.event("reservationCreated")).data["sid"]
    unavailable = await desk.activity("Unavailable")
    await nina.call("reject", {"activitySid": unavailable}, on=in_reservation(sid))
    await nina.event("rejected", sid=sid)
    await nina.event("activityUpdated")
    assert await nina.get("activity", "sid") == unavailable
    assert (await desk.fetch_worker(nina_sid)).activity_sid == unavailable


async def test_unanswered_reservation_times_out_and_takes_the_worker_offline(desk: Desk) -> None:
    await desk.reservation_timeout(1)
    nina = await desk.log_in(await desk.hire("nina"))
    task_sid = await desk.task()
    created = (await nina.event("reservationCreated")).data
    assert created["timeout"] == 1
    assert (await nina.event("timeout", sid=created["sid"])).data["status"] == "timeout"
    await nina.event("activityUpdated")
    assert await nina.get("activity", "name") == "Offline"
    assert (await desk.fetch_task(task_sid)).assignment_status == "pending"


async def test_canceled_task_cancels_its_reservation(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    task_sid = await desk.task()
    sid = (await nina.event("reservationCreated")).data["sid"]
    await desk.rest(lambda ws: ws.tasks(task_sid).update(assignment_status="canceled", reason="hung up"))
    assert (await nina.event("canceled", kind="reservation", sid=sid)).data["status"] == "canceled"
    assert (await nina.event("canceled", kind="task", sid=task_sid)).data["reason"] == "hung up"
    assert await nina.get("reservations") == {}


async def test_first_worker_to_accept_wins_and_the_other_is_rescinded(desk: Desk) -> None:
    await desk.max_reserved_workers(2)
    nina = await desk.log_in(await desk.hire("nina"))
    omar = await desk.log_in(await desk.hire("omar"))
    task_sid = await desk.task()
    offered = [(await worker.event("reservationCreated")).data for worker in (nina, omar)]
    assert [r["task"]["sid"] for r in offered] == [task_sid, task_sid]
    await omar.call("accept", on=in_reservation(offered[1]["sid"]))
    await omar.event("accepted", sid=offered[1]["sid"])
    assert (await nina.event("rescinded", sid=offered[0]["sid"])).data["status"] == "rescinded"
    with pytest.raises(OfficialSdkError, match="410"):
        await nina.call("accept", on=in_reservation(offered[0]["sid"]))


async def test_worker_creates_a_task_for_itself(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.log_in(nina_sid)
    workflow_sid, queue_sid = await desk.workflow_sid(), await desk.queue_sid()
    task_sid = await nina.call(
        "createTask",
        "+15005550009",
        "+15005550006",
        workflow_sid,
        queue_sid,
        {"attributes": {"campaign": 7}, "taskChannelUniqueName": "voice"},
    )
    task = (await nina.event("reservationCreated")).data["task"]
    assert task["sid"] == task_sid
    assert task["routingTarget"] == nina_sid
    assert (task["workflowSid"], task["queueSid"]) == (workflow_sid, queue_sid)
    assert task["taskChannelUniqueName"] == "voice"
    assert task["attributes"] == {"campaign": 7, "outbound_to": "+15005550009", "from": "+15005550006"}


async def test_refused_call_shows_status_and_reason(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    await desk.task()
    sid = (await nina.event("reservationCreated")).data["sid"]
    with pytest.raises(OfficialSdkError) as refusal:
        await nina.call("complete", on=in_reservation(sid))
    assert refusal.value.name == "REQUEST_INVALID"
    assert refusal.value.message == (
        f"Request failed with status code 400. "
        f"Reservation {sid} is already in state [pending] and cannot be updated to [completed]"
    )


# --- Versions -----------------------------------------------------------------------------------


async def test_version_check_lets_a_worker_through_a_whole_cycle(desk: Desk) -> None:
    nina_sid = await desk.hire("nina", activity="Offline")
    nina = await desk.log_in(nina_sid, enableVersionCheck=True)
    await nina.call("setAsCurrent", on=("activities", await desk.activity("Available")))
    await nina.event("activityUpdated")
    task_sid, sid = await accepted_task(desk, nina)
    await nina.call("setAttributes", {"seen": True})
    await nina.event("attributesUpdated")
    await nina.call("setAttributes", {"step": 2}, on=in_task(sid))
    await nina.event("updated", kind="task", sid=task_sid)
    await nina.call("wrap", on=in_reservation(sid))
    await nina.event("wrapup", kind="reservation")
    await nina.call("complete", "done", on=in_task(sid))
    await nina.event("completed", kind="reservation")


async def test_version_check_refuses_the_second_of_two_blind_updates(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"), enableVersionCheck=True)
    outcomes = await nina.call_at_once(("setAttributes", ({"n": 1},)), ("setAttributes", ({"n": 2},)))
    [refusal] = [outcome for outcome in outcomes if isinstance(outcome, OfficialSdkError)]
    assert refusal.name == "REQUEST_INVALID"
    assert "status code 412" in refusal.message
    await nina.event("attributesUpdated")
    await nina.call("setAttributes", {"n": 3})  # it has the present version again


async def test_without_version_check_the_last_update_wins(desk: Desk) -> None:
    nina = await desk.log_in(await desk.hire("nina"))
    outcomes = await nina.call_at_once(("setAttributes", ({"n": 1},)), ("setAttributes", ({"n": 2},)))
    assert not any(isinstance(outcome, OfficialSdkError) for outcome in outcomes)


# --- Sessions -----------------------------------------------------------------------------------


async def test_two_sessions_of_one_worker_see_the_same_events(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    office, phone = await desk.log_in(nina_sid), await desk.log_in(nina_sid)
    await desk.task()
    sid = (await office.event("reservationCreated")).data["sid"]
    assert (await phone.event("reservationCreated")).data["sid"] == sid
    await phone.call("accept", on=in_reservation(sid))
    for session in (office, phone):
        await session.event("accepted", sid=sid)
    await office.call("complete", on=in_reservation(sid))
    for session in (office, phone):
        await session.event("completed", kind="reservation", sid=sid)


async def test_new_session_can_close_the_existing_ones(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    old = await desk.log_in(nina_sid)
    new = await desk.log_in(nina_sid, closeExistingSessions=True)
    reason = (await old.event("disconnected")).data["message"]
    assert "errorCode" not in reason  # what the SDK says when the server gave no reason
    await old.call("disconnect")
    assert new.names() == ["ready"]


@pytest.mark.parametrize(
    ("token", "why"),
    [({"secret": "x" * 32}, "a foreign signature"), ({"ttl": -60}, "expired")],
    ids=["foreign-signature", "expired"],
)
async def test_unusable_token_is_turned_away_with_a_reason(
    desk: Desk, token: dict[str, Any], why: str
) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.sdk.worker(desk.token(nina_sid, **token), ready=False)
    reason = (await nina.event("disconnected")).data["message"]
    assert "token" in reason.lower(), why
    await nina.call("disconnect")
    assert "ready" not in nina.names()


async def test_renewed_token_carries_the_worker_over_the_expiry_of_the_old(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.sdk.worker(desk.token(nina_sid, ttl=7))

    async def renew() -> None:
        # As applications do. Once is not enough: the SDK goes on counting with the first lifetime.
        while True:
            await nina.event("tokenExpired")
            await nina.call("updateToken", desk.token(nina_sid))
            await nina.event("tokenUpdated")

    renewing = asyncio.create_task(renew())
    try:
        assert "expired" in (await nina.event("disconnected")).data["message"].lower()
        await nina.event("ready")
        available = await desk.activity("Available")
        await nina.call("setAsCurrent", on=("activities", available))
        await desk.task()
        await nina.event("reservationCreated")
    finally:
        renewing.cancel()


async def test_new_activity_brings_a_fresh_snapshot_before_an_event_names_it(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.log_in(nina_sid)
    lunch = await desk.rest(lambda ws: ws.activities.create(friendly_name="Lunch", available=False))
    await desk.rest(lambda ws: ws.workers(nina_sid).update(activity_sid=lunch.sid))
    await nina.event("disconnected")
    await nina.event("ready")
    assert await nina.get("activity", "name") == "Lunch"  # what the server does itself moves nobody


async def test_worker_goes_offline_with_its_last_session(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.log_in(nina_sid)
    await nina.call("disconnect")
    assert (await nina.event("disconnected")).data == {"message": "SDK Disconnect"}

    async def activity() -> object:
        return (await desk.fetch_worker(nina_sid)).activity_name

    await eventually(activity, "Offline")


async def test_worker_stays_available_if_it_asked_for_that(desk: Desk) -> None:
    nina_sid = await desk.hire("nina")
    nina = await desk.log_in(nina_sid, setWorkerOfflineIfDisconnected=False)
    await nina.call("disconnect")
    task_sid = await desk.task()

    async def status() -> object:
        return (await desk.fetch_task(task_sid)).assignment_status

    await eventually(status, "reserved")


# --- Supervisor and Workspace -------------------------------------------------------------------


async def test_supervisor_moves_another_worker(desk: Desk) -> None:
    nina_sid, lead_sid = await desk.hire("nina"), await desk.hire("lead")
    nina = await desk.log_in(nina_sid)
    lead = await desk.sdk.worker(desk.token(lead_sid, role="supervisor"), supervisor=True)
    unavailable = await desk.activity("Unavailable")
    answer = await lead.call("setWorkerActivity", nina_sid, unavailable)
    assert answer["activity_sid"] == unavailable
    await nina.event("activityUpdated")
    await lead.call("setWorkerAttributes", nina_sid, {"coached": True})
    assert (await nina.event("attributesUpdated")).data["attributes"] == {"coached": True}


async def test_worker_may_not_move_another_worker(desk: Desk) -> None:
    nina_sid, omar_sid = await desk.hire("nina"), await desk.hire("omar")
    omar = await desk.sdk.worker(desk.token(omar_sid), supervisor=True)
    with pytest.raises(OfficialSdkError, match="status code 403"):
        await omar.call("setWorkerAttributes", nina_sid, {"mine": True})


async def test_workspace_object_lists_workers_over_several_pages(desk: Desk) -> None:
    names = ["ana", "ben", "cleo", "dan", "eve"]
    sids = [await desk.hire(name, level=level) for level, name in enumerate(names)]
    workspace = await desk.sdk.workspace(desk.token(sids[0], role="admin"), pageSize=2)
    everyone = await workspace.call("fetchWorkers", {})
    assert [worker["name"] for worker in everyone.values()] == names
    experienced = await workspace.call("fetchWorkers", {"TargetWorkersExpression": "level >= 3"})
    assert list(experienced) == sids[3:]
    by_change = await workspace.call("fetchWorkers", {"Ordering": "DateStatusChanged:desc"})
    assert sorted(by_change) == sorted(sids)
    assert list(await workspace.call("fetchWorkers", {"FriendlyName": "cleo"})) == [sids[2]]
    one = await workspace.call("fetchWorker", sids[4])
    assert (one["sid"], one["name"], one["attributes"]) == (sids[4], "eve", {"level": 4})
    assert one["activityName"] == "Available"


async def test_workspace_object_lists_queues_and_fetches_tasks(desk: Desk) -> None:
    nina_sid = await desk.hire("nina", lang="pt")
    for lang in ("pt", "es", "fr", "de"):
        await desk.queue(lang, f'lang == "{lang}"')
    task_sid = await desk.task(topic="cards")
    workspace = await desk.sdk.workspace(desk.token(nina_sid, role="admin"), pageSize=2)
    queues = await workspace.call("fetchTaskQueues", {})
    assert [queue["name"] for queue in queues.values()] == ["Sample Queue", "pt", "es", "fr", "de"]
    mine = await workspace.call("fetchTaskQueues", {"WorkerSid": nina_sid})
    assert [queue["name"] for queue in mine.values()] == ["Sample Queue", "pt"]
    newest_first = await workspace.call("fetchTaskQueues", {"Ordering": "DateUpdated:desc"})
    assert sorted(newest_first) == sorted(queues)
    [portuguese] = [queue for queue in queues.values() if queue["name"] == "pt"]
    one = await workspace.call("fetchTaskQueue", portuguese["sid"])
    assert (one["targetWorkers"], one["maxReservedWorkers"], one["taskOrder"]) == ('lang == "pt"', 1, "FIFO")
    task = await workspace.call("fetchTask", task_sid)
    assert (task["sid"], task["attributes"]) == (task_sid, {"topic": "cards"})
