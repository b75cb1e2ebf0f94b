"""The official SDK for JavaScript, unmodified, hands tasks over, warm and cold, to workers and queues."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.conftest import Desk
from tests.interop.official_sdk import JsWorker, OfficialSdkError
from tests.interop.test_official_sdk import accepted_task, in_reservation, in_task


async def start(worker: JsWorker, reservation_sid: str, to: str, **options: object) -> Any:
    """Transfer the reservation's task; the outgoing transfer."""
    await worker.call("transfer", to, options, on=in_task(reservation_sid))
    return await worker.get("reservation", reservation_sid, "task", "transfers", "outgoing")


async def cancel(worker: JsWorker, reservation_sid: str) -> Any:
    return await worker.call("cancel", on=(*in_task(reservation_sid), "transfers", "outgoing"))


async def incoming(worker: JsWorker) -> Any:
    """The reservation that a transfer has made."""
    reservation = (await worker.event("reservationCreated")).data
    assert reservation["transfer"]["status"] == "initiated"
    assert reservation["task"]["transfers"]["incoming"]["sid"] == reservation["transfer"]["sid"]
    return reservation


async def handing_over(desk: Desk) -> tuple[JsWorker, str, str, JsWorker, str]:
    """Nina holds a task, and Otto is there: nina, her task and reservation, otto, his SID."""
    nina = await desk.log_in(await desk.hire("nina"))
    task_sid, sid = await accepted_task(desk, nina)
    otto_sid = await desk.hire("otto")
    otto = await desk.log_in(otto_sid)
    return nina, task_sid, sid, otto, otto_sid


async def second_line(desk: Desk, *names: str) -> tuple[JsWorker, str, str, list[JsWorker], str]:
    """Nina holds a task; a second line has these workers: nina, her task and reservation, they, the queue."""
    nina = await desk.log_in(await desk.hire("nina"))
    task_sid, sid = await accepted_task(desk, nina)
    queue_sid = await desk.queue("Second line", "line == 2")
    workers = [await desk.log_in(await desk.hire(name, line=2)) for name in names]
    return nina, task_sid, sid, workers, queue_sid


async def test_warm_transfer_to_a_worker_is_accepted(desk: Desk) -> None:
    nina, task_sid, sid, otto, otto_sid = await handing_over(desk)
    outgoing = await start(nina, sid, otto_sid, attributes={"topic": "loans"}, priority=3)
    assert (outgoing["mode"], outgoing["type"], outgoing["to"]) == ("WARM", "WORKER", otto_sid)
    assert (outgoing["status"], outgoing["taskSid"]) == ("initiated", task_sid)
    assert outgoing["reservationSid"] == sid
    initiated = await nina.event("transferInitiated", kind="task", sid=task_sid)
    assert initiated.data["sid"] == outgoing["sid"]

    offer = await incoming(otto)
    assert (offer["task"]["sid"], offer["task"]["attributes"], offer["task"]["priority"]) == (
        task_sid,
        {"topic": "loans"},
        3,
    )
    assert (offer["transfer"]["sid"], offer["transfer"]["reservationSid"]) == (outgoing["sid"], sid)
    await otto.call("accept", on=in_reservation(offer["sid"]))
    accepted = (await otto.event("accepted", sid=offer["sid"])).data
    assert (accepted["transfer"]["status"], accepted["task"]["status"]) == ("complete", "assigned")
    completed = await nina.event("completed", kind="transfer", sid=outgoing["sid"])
    assert completed.data["status"] == "complete"
    assert await nina.get("reservation", sid, "status") == "accepted"

    await nina.call("complete", on=in_reservation(sid))
    await nina.event("completed", kind="reservation", sid=sid)
    assert (await desk.fetch_task(task_sid)).assignment_status == "assigned"
    await otto.call("wrap", on=in_reservation(offer["sid"]))
    await otto.event("wrapup", kind="reservation", sid=offer["sid"])
    await otto.call("complete", "solved", on=in_task(offer["sid"]))
    await otto.event("completed", kind="reservation", sid=offer["sid"])
    stored = await desk.fetch_task(task_sid)
    assert (stored.assignment_status, stored.reason) == ("completed", "solved")


async def test_cold_transfer_to_a_worker_is_accepted(desk: Desk) -> None:
    nina, task_sid, sid, otto, otto_sid = await handing_over(desk)
    outgoing = await start(nina, sid, otto_sid, mode="COLD")
    offer = await incoming(otto)
    await otto.call("accept", on=in_reservation(offer["sid"]))
    await nina.event("completed", kind="transfer", sid=outgoing["sid"])
    wrapup = (await nina.event("wrapup", kind="reservation", sid=sid)).data
    assert (wrapup["status"], wrapup["task"]["status"]) == ("wrapping", "assigned")
    await nina.call("complete", on=in_reservation(sid))
    await nina.event("completed", kind="reservation", sid=sid)
    assert (await desk.fetch_task(task_sid)).assignment_status == "assigned"
    assert await otto.get("reservation", offer["sid"], "status") == "accepted"


@pytest.mark.parametrize("mode", ["WARM", "COLD"])
async def test_transfer_to_a_queue_is_accepted_there(desk: Desk, mode: str) -> None:
    nina, task_sid, sid, [otto], queue_sid = await second_line(desk, "otto")
    outgoing = await start(nina, sid, queue_sid, mode=mode)
    assert (outgoing["type"], outgoing["to"]) == ("QUEUE", queue_sid)
    offer = await incoming(otto)
    assert (offer["task"]["sid"], offer["task"]["queueSid"]) == (task_sid, queue_sid)
    await otto.call("accept", on=in_reservation(offer["sid"]))
    await nina.event("completed", kind="transfer", sid=outgoing["sid"])
    if mode == "COLD":
        await nina.event("wrapup", kind="reservation", sid=sid)
    assert (await desk.fetch_task(task_sid)).task_queue_sid == queue_sid


async def test_worker_that_rejects_fails_the_transfer(desk: Desk) -> None:
    nina, task_sid, sid, otto, otto_sid = await handing_over(desk)
    outgoing = await start(nina, sid, otto_sid)
    offer = await incoming(otto)
    await otto.call("reject", on=in_reservation(offer["sid"]))
    assert (await otto.event("rejected", sid=offer["sid"])).data["transfer"]["status"] == "failed"
    failed = (await nina.event("failed", kind="transfer", sid=outgoing["sid"])).data
    assert failed["status"] == "failed"
    assert failed["transferFailedReason"] == "Transfer failed because the reservation was rejected"
    assert (await desk.fetch_task(task_sid)).assignment_status == "assigned"
    again = await start(nina, sid, otto_sid)  # a failed transfer may be followed by another
    assert again["sid"] != outgoing["sid"]
    assert (await incoming(otto))["transfer"]["sid"] == again["sid"]


async def test_worker_that_does_not_answer_fails_the_transfer(desk: Desk) -> None:
    nina, _, sid, otto, otto_sid = await handing_over(desk)
    await desk.reservation_timeout(1)
    outgoing = await start(nina, sid, otto_sid)
    offer = await incoming(otto)
    assert (await otto.event("timeout", sid=offer["sid"])).data["transfer"]["status"] == "failed"
    failed = (await nina.event("failed", kind="transfer", sid=outgoing["sid"])).data
    assert failed["transferFailedReason"] == "Transfer failed because the reservation timed out"


@pytest.mark.parametrize("to", ["worker", "queue"])
async def test_initiator_cancels_its_transfer(desk: Desk, to: str) -> None:
    nina, task_sid, sid, [otto], queue_sid = await second_line(desk, "otto")
    target = queue_sid if to == "queue" else await otto.get("sid")
    outgoing = await start(nina, sid, target)
    offer = await incoming(otto)
    answer = await cancel(nina, sid)
    assert (answer["sid"], answer["status"]) == (outgoing["sid"], "canceled")
    await nina.event("canceled", kind="transfer", sid=outgoing["sid"])
    gone = (await otto.event("canceled", kind="reservation", sid=offer["sid"])).data
    assert gone["transfer"]["status"] == "canceled"
    stored = await desk.fetch_task(task_sid)
    assert (stored.assignment_status, stored.task_queue_sid) == ("assigned", await desk.queue_sid())


async def test_one_of_a_queue_that_rejects_is_an_attempt_and_the_next_is_tried(desk: Desk) -> None:
    nina, _, sid, workers, queue_sid = await second_line(desk, "otto", "paul")
    outgoing = await start(nina, sid, queue_sid, mode="WARM")
    otto, paul = workers
    offer = await incoming(otto)
    unavailable = await desk.activity("Unavailable")
    await otto.call("reject", {"activitySid": unavailable}, on=in_reservation(offer["sid"]))
    assert (await otto.event("rejected", sid=offer["sid"])).data["transfer"]["status"] == "initiated"
    attempt = (await nina.event("attemptFailed", kind="transfer", sid=outgoing["sid"])).data
    assert attempt["status"] == "initiated"
    assert attempt["transferFailedReason"] == (
        "Transfer attempt failed on reservation reject because there are no more pending reservations"
    )
    second = await incoming(paul)
    await paul.call("accept", on=in_reservation(second["sid"]))
    await nina.event("completed", kind="transfer", sid=outgoing["sid"])


async def test_initiator_that_completes_takes_its_transfer_back(desk: Desk) -> None:
    nina, task_sid, sid, otto, otto_sid = await handing_over(desk)
    outgoing = await start(nina, sid, otto_sid)
    offer = await incoming(otto)
    await nina.call("complete", "never mind", on=in_task(sid))
    await nina.event("canceled", kind="transfer", sid=outgoing["sid"])
    await nina.event("completed", kind="reservation", sid=sid)
    await otto.event("canceled", kind="reservation", sid=offer["sid"])
    assert (await desk.fetch_task(task_sid)).assignment_status == "completed"


async def test_transfers_are_there_after_a_reconnect_on_both_sides(desk: Desk) -> None:
    nina, _, sid, otto, otto_sid = await handing_over(desk)
    outgoing = await start(nina, sid, otto_sid)
    offer = await incoming(otto)
    nina_again = await desk.log_in(await nina.get("sid"))
    otto_again = await desk.log_in(otto_sid)
    seen = await nina_again.get("reservations", sid, "task", "transfers", "outgoing")
    assert (seen["sid"], seen["status"]) == (outgoing["sid"], "initiated")
    await otto_again.call("accept", on=in_reservation(offer["sid"]))
    await otto_again.event("accepted", sid=offer["sid"])
    await nina_again.event("completed", kind="transfer", sid=outgoing["sid"])
    await nina.event("completed", kind="transfer", sid=outgoing["sid"])


async def test_refused_transfer_says_why(desk: Desk) -> None:
    nina, _, sid, _, _ = await handing_over(desk)
    with pytest.raises(OfficialSdkError, match=r"status code 400\. To .* was not found"):
        await nina.call("transfer", "WK" + "0" * 32, on=in_task(sid))
