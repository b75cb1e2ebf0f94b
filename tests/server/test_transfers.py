"""Transfers over the event bridge: routes, frames, rights, and what a fresh session sees of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.raw import Client, Desk


async def accepted(desk: Desk, client: Client) -> Any:
    """A reservation that the client has accepted."""
    desk.task(topic="cards")
    [reservation] = desk.workspace.workers[client.worker_sid].live_reservations
    assert (await client.answer_reservation(reservation.sid, "accepted")).status == 200
    return reservation


async def transfer(client: Client, reservation: Any, to: str, **more: object) -> Any:
    """Start a transfer as the JavaScript SDK does."""
    params = {"ReservationSid": reservation.sid, "TaskSid": reservation.task.sid, "To": to, **more}
    return await client.send(f"{client.me}/Transfers", "POST", params, api="v2")


async def cancel(client: Client, transfer_sid: str, task_sid: str) -> Any:
    params = {"TaskSid": task_sid, "TransferStatus": "canceled"}
    return await client.send(f"{client.me}/Transfers/{transfer_sid}", "POST", params, api="v2")


async def test_answer_and_frames_of_an_accepted_transfer(desk: Desk) -> None:
    nina = desk.client("nina")
    held = await accepted(desk, nina)
    otto = desk.client("otto")
    hers, his = await nina.ready(), await otto.ready()

    answer = (
        await transfer(nina, held, otto.worker_sid, Mode="COLD", Attributes={"a": 1}, Priority=4)
    ).payload
    queue_sid, workflow_sid = held.task.queue.sid, held.task.workflow.sid
    assert answer == {
        "sid": answer["sid"],
        "account_sid": desk.server.account_sid,
        "workspace_sid": desk.server.workspace_sid,
        "transfer_type": "WORKER",
        "transfer_mode": "COLD",
        "transfer_to": otto.worker_sid,
        "transfer_status": "initiated",
        "initiating_reservation_sid": held.sid,
        "initiating_worker_sid": nina.worker_sid,
        "initiating_queue_sid": queue_sid,
        "initiating_workflow_sid": workflow_sid,
        "date_created": answer["date_created"],
        "date_updated": answer["date_updated"],
        "task_sid": held.task.sid,
    }
    assert answer["sid"].startswith("TT")
    initiated = await hers.event("task.transfer-initiated")
    assert initiated == {"event_type": "task.transfer-initiated", **answer}
    updated = await hers.event("task.updated")
    assert (updated["attributes"], updated["priority"], updated["assignment_status"]) == (
        '{"a":1}',
        4,
        "pending",
    )
    assert (await hers.event("task.updated"))["assignment_status"] == "reserved"

    created = await his.event("reservation.created")
    assert created["task"]["sid"] == held.task.sid
    embedded = {name: value for name, value in answer.items() if name != "task_sid"}
    assert created["task_transfer"] == embedded  # nested ones name no task
    assert "active_outgoing_task_transfer" not in created

    short = (await otto.answer_reservation(created["sid"], "accepted")).payload
    assert not short.keys() & {"task_transfer", "active_outgoing_task_transfer", "task"}
    taken = await his.event("reservation.accepted")
    assert taken["task_transfer"]["transfer_status"] == "complete"
    completed = await hers.event("task.transfer-completed")
    assert (completed["sid"], completed["transfer_status"]) == (answer["sid"], "complete")
    assert completed["task_sid"] == held.task.sid
    wrapup = await hers.event("reservation.wrapup")
    assert not wrapup.keys() & {"task_transfer", "active_outgoing_task_transfer"}


async def test_fresh_sessions_see_the_transfer_from_both_sides(desk: Desk) -> None:
    nina = desk.client("nina")
    held = await accepted(desk, nina)
    otto = desk.client("otto")
    answer = (await transfer(nina, held, otto.worker_sid)).payload
    [hers] = (await nina.reservations()).payload["contents"]
    [his] = (await otto.reservations()).payload["contents"]
    assert hers["active_outgoing_task_transfer"] == answer
    assert "task_transfer" not in hers
    assert his["task_transfer"]["sid"] == answer["sid"]
    assert "active_outgoing_task_transfer" not in his
    fetched = (await otto.send(f"{otto.me}/Reservations/{his['sid']}")).payload
    assert fetched["task_transfer"] == his["task_transfer"]


async def test_rejected_and_canceled_transfers_say_so_to_both(desk: Desk) -> None:
    nina = desk.client("nina")
    held = await accepted(desk, nina)
    otto = desk.client("otto")
    hers, his = await nina.ready(), await otto.ready()

    first = (await transfer(nina, held, otto.worker_sid)).payload
    created = await his.event("reservation.created")
    await otto.answer_reservation(created["sid"], "rejected")
    assert (await his.event("reservation.rejected"))["task_transfer"]["transfer_status"] == "failed"
    for event in ("task.transfer-initiated", "task.updated", "task.updated"):
        await hers.event(event)
    failed = await hers.event("task.transfer-failed")
    assert (failed["sid"], failed["transfer_status"]) == (first["sid"], "failed")
    assert failed["transfer_failed_reason"] == "Transfer failed because the reservation was rejected"
    assert (await hers.event("task.updated"))["assignment_status"] == "assigned"

    second = (await transfer(nina, held, otto.worker_sid)).payload
    created = await his.event("reservation.created")
    answer = (await cancel(nina, second["sid"], held.task.sid)).payload
    assert (answer["sid"], answer["transfer_status"], answer["task_sid"]) == (
        second["sid"],
        "canceled",
        held.task.sid,
    )
    canceled = await his.event("reservation.canceled")
    assert (canceled["sid"], canceled["task_transfer"]["transfer_status"]) == (created["sid"], "canceled")
    for event in ("task.transfer-initiated", "task.updated", "task.updated", "task.transfer-canceled"):
        await hers.event(event)


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"To": None}, 400, "To field is required"),
        ({"ReservationSid": None}, 400, "ReservationSid field is required"),
        ({"TaskSid": None}, 400, "TaskSid field is required"),
        ({"To": "nobody"}, 400, "To is not valid"),
        ({"Mode": "HOT"}, 400, "Mode is not valid"),
        ({"Priority": "high"}, 400, "Priority must be an integer"),
        ({"Priority": -1}, 400, "Priority is not valid"),
        ({"Attributes": "{}"}, 400, "Attributes must be an object"),
    ],
)
async def test_wrong_parameter_is_named(
    desk: Desk, change: dict[str, object], status: int, named: str
) -> None:
    nina = desk.client("nina")
    held = await accepted(desk, nina)
    otto = desk.hire("otto")
    answer = await transfer(nina, held, otto, **change)
    assert (answer.status, answer.body["code"]) == (status, 20001)
    assert answer.body["message"].startswith(named)
    assert held.task.transfer is None


async def test_only_the_worker_itself_transfers_and_cancels(desk: Desk) -> None:
    nina = desk.client("nina")
    held = await accepted(desk, nina)
    otto = desk.client("otto")
    boss = desk.client("boss", "Offline", role="supervisor")
    admin = desk.client("admin", "Offline", role="admin")
    params = {"ReservationSid": held.sid, "TaskSid": held.task.sid, "To": otto.worker_sid}
    for other in (otto, boss):
        answer = await other.send(f"{nina.me}/Transfers", "POST", params, api="v2")
        assert (answer.status, answer.body["code"]) == (403, 20006)
    sid = (await admin.send(f"{nina.me}/Transfers", "POST", params, api="v2")).payload["sid"]
    params = {"TaskSid": held.task.sid, "TransferStatus": "canceled"}
    answer = await otto.send(f"{nina.me}/Transfers/{sid}", "POST", params, api="v2")
    assert answer.status == 403
    assert (await cancel(otto, sid, held.task.sid)).status == 404
    assert (await cancel(nina, sid, held.task.sid)).status == 200
    ended = await cancel(nina, sid, held.task.sid)
    assert (ended.status, "already in state [canceled]" in ended.body["message"]) == (400, True)


async def test_one_event_per_step_is_recorded_with_the_transfers_facts(desk: Desk) -> None:
    nina = desk.client("nina")
    held = await accepted(desk, nina)
    otto = desk.client("otto")
    answer = (await transfer(nina, held, otto.worker_sid)).payload
    [offer] = held.task.pending_reservations
    await otto.answer_reservation(offer.sid, "accepted")
    events = (await desk.rest("GET", f"{desk.path}/Events?TaskSid={held.task.sid}")).body["events"]
    mine = {e["event_type"]: e["event_data"] for e in events if "transfer_to" in e["event_data"]}
    assert mine.keys() == {
        "task.transfer-initiated",
        "reservation.created",
        "reservation.accepted",
        "task.transfer-completed",
    }
    assert {data["task_transfer_sid"] for data in mine.values()} == {answer["sid"]}
    assert mine["task.transfer-completed"]["transfer_status"] == "complete"
    assert mine["task.transfer-initiated"]["transfer_initiating_worker_sid"] == nina.worker_sid
