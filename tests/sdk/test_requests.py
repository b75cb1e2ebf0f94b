"""What each call sends: route, parameters, API version, and which calls carry a version (`If-Match`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from taskrouter_worker import RequestInvalidError, Supervisor
from taskrouter_worker._requests import Routes, pascal_case, present, utc_seconds
from taskrouter_worker.resources import TransferFields
from tests.sdk.bench import fields
from tests.sdk.peer import Peer, virtual_worker
from tests.sdk.virtual import virtual_time
from tests.sdk.world import AVAILABLE, BREAK, WORKER, WORKSPACE, sid, transfer

WS = f"Workspaces/{WORKSPACE}"
WK = f"{WS}/Workers/{WORKER}"
WR, WT, TT = sid("WR", 1), sid("WT", 1), sid("TT", 1)
OTHER, QUEUE, WORKFLOW = sid("WK", 2), sid("WQ", 2), sid("WW", 2)
NOON = datetime(2026, 1, 2, 12, 0, 30, 999_999, tzinfo=timezone(timedelta(hours=2)))
RESERVATION, TASK = f"{WK}/Reservations/{WR}", f"{WS}/Tasks/{WT}"


@dataclass
class Live:
    """The live objects that calls are made on."""

    worker: Any
    reservation: Any
    task: Any
    outgoing: Any


Call = Callable[[Live], Awaitable[object]]

# call, method, path, API version, parameters, If-Match: worker 1, reservation 1, task 2
CALLS: list[tuple[str, Call, str, str, str, dict[str, object], str | None]] = [
    ("fetch worker", lambda o: o.worker.fetch_latest_version(), "GET", WK, "v1", {}, None),
    (
        "worker attributes",
        lambda o: o.worker.set_attributes({"a": [1]}),
        "POST",
        WK,
        "v1",
        {"Attributes": {"a": [1]}},
        "1",
    ),
    (
        "activity",
        lambda o: o.worker.activities[AVAILABLE].set_as_current(),
        "POST",
        WK,
        "v1",
        {"ActivitySid": AVAILABLE},
        "1",
    ),
    (
        "activity, rejecting",
        lambda o: o.worker.activities[BREAK].set_as_current(reject_pending_reservations=True),
        "POST",
        WK,
        "v1",
        {"ActivitySid": BREAK, "RejectPendingReservations": True},
        "1",
    ),
    (
        "activity, not rejecting",
        lambda o: o.worker.activities[AVAILABLE].set_as_current(reject_pending_reservations=False),
        "POST",
        WK,
        "v1",
        {"ActivitySid": AVAILABLE, "RejectPendingReservations": False},
        "1",
    ),
    (
        "create task",
        lambda o: o.worker.create_task("+1", "+2", WORKFLOW, QUEUE, attributes={"a": 1, "from": "not this"}),
        "POST",
        f"{WS}/Tasks",
        "v1",
        {
            "WorkflowSid": WORKFLOW,
            "TaskQueueSid": QUEUE,
            "RoutingTarget": WORKER,
            "Attributes": {"a": 1, "outbound_to": "+1", "from": "+2"},
        },
        None,
    ),
    (
        "create task, all options",
        lambda o: o.worker.create_task(
            "+1",
            "+2",
            WORKFLOW,
            QUEUE,
            task_channel_unique_name="voice",
            task_channel_sid=sid("TC", 1),
            virtual_start_time=NOON,
        ),
        "POST",
        f"{WS}/Tasks",
        "v1",
        {
            "WorkflowSid": WORKFLOW,
            "TaskQueueSid": QUEUE,
            "RoutingTarget": WORKER,
            "Attributes": {"outbound_to": "+1", "from": "+2"},
            "VirtualStartTime": "2026-01-02T10:00:30Z",
            "TaskChannelUniqueName": "voice",
            "TaskChannelSid": sid("TC", 1),
        },
        None,
    ),
    ("fetch reservation", lambda o: o.reservation.fetch_latest_version(), "GET", RESERVATION, "v1", {}, None),
    (
        "accept",
        lambda o: o.reservation.accept(),
        "POST",
        RESERVATION,
        "v1",
        {"ReservationStatus": "accepted"},
        "1",
    ),
    (
        "wrap",
        lambda o: o.reservation.wrap(),
        "POST",
        RESERVATION,
        "v1",
        {"ReservationStatus": "wrapping"},
        "1",
    ),
    (
        "complete",
        lambda o: o.reservation.complete(),
        "POST",
        RESERVATION,
        "v1",
        {"ReservationStatus": "completed"},
        "1",
    ),
    (
        "reject",
        lambda o: o.reservation.reject(),
        "POST",
        RESERVATION,
        "v1",
        {"ReservationStatus": "rejected"},
        "1",
    ),
    (
        "reject, moving",
        lambda o: o.reservation.reject(activity_sid=BREAK),
        "POST",
        RESERVATION,
        "v1",
        {"ReservationStatus": "rejected", "WorkerActivitySid": BREAK},
        "1",
    ),
    (
        "call",
        lambda o: o.reservation.call("+2", "http://doc"),
        "POST",
        RESERVATION,
        "v1",
        {"Instruction": "call", "CallFrom": "+2", "CallUrl": "http://doc"},
        None,
    ),
    (
        "call, all options",
        lambda o: o.reservation.call(
            "+2", "u", to="+3", accept=False, record="do-not-record", timeout=0, status_callback_url="s"
        ),
        "POST",
        RESERVATION,
        "v1",
        {
            "Instruction": "call",
            "CallFrom": "+2",
            "CallUrl": "u",
            "CallTo": "+3",
            "CallAccept": False,
            "CallRecord": "do-not-record",
            "CallTimeout": 0,
            "CallStatusCallbackUrl": "s",
        },
        None,
    ),
    (
        "dequeue",
        lambda o: o.reservation.dequeue(),
        "POST",
        RESERVATION,
        "v1",
        {"Instruction": "dequeue"},
        None,
    ),
    (
        "dequeue, all options",
        lambda o: o.reservation.dequeue(
            to="+3",
            from_="+2",
            post_work_activity_sid=BREAK,
            record="record-from-answer",
            timeout=9,
            status_callback_url="s",
            status_callback_events="initiated,answered",
        ),
        "POST",
        RESERVATION,
        "v1",
        {
            "Instruction": "dequeue",
            "DequeueTo": "+3",
            "DequeueFrom": "+2",
            "DequeuePostWorkActivitySid": BREAK,
            "DequeueRecord": "record-from-answer",
            "DequeueTimeout": 9,
            "DequeueStatusCallbackUrl": "s",
            "DequeueStatusCallbackEvent": "initiated,answered",
        },
        None,
    ),
    (
        "redirect",
        lambda o: o.reservation.redirect(sid("CA", 1), "u", accept=True),
        "POST",
        RESERVATION,
        "v1",
        {
            "Instruction": "redirect",
            "RedirectCallSid": sid("CA", 1),
            "RedirectUrl": "u",
            "RedirectAccept": True,
        },
        None,
    ),
    (
        "conference",
        lambda o: o.reservation.conference(from_="+2", muted=False, timeout=30, something_new="x"),
        "POST",
        RESERVATION,
        "v1",
        {"Instruction": "conference", "From": "+2", "Muted": False, "Timeout": 30, "SomethingNew": "x"},
        None,
    ),
    (
        "own leg",
        lambda o: o.reservation.update_participant(mute=True, end_conference_on_exit=False),
        "POST",
        f"{WK}/WorkerParticipant",
        "v2",
        {"ReservationSid": WR, "Mute": True, "EndConferenceOnExit": False},
        None,
    ),
    ("fetch task", lambda o: o.task.fetch_latest_version(), "GET", TASK, "v1", {}, None),
    (
        "complete task",
        lambda o: o.task.complete("done"),
        "POST",
        TASK,
        "v1",
        {"AssignmentStatus": "completed", "Reason": "done"},
        "2",
    ),
    ("wrap up task", lambda o: o.task.wrap_up(), "POST", TASK, "v1", {"AssignmentStatus": "wrapping"}, "2"),
    (
        "wrap up task, why",
        lambda o: o.task.wrap_up("notes"),
        "POST",
        TASK,
        "v1",
        {"AssignmentStatus": "wrapping", "Reason": "notes"},
        "2",
    ),
    ("task attributes", lambda o: o.task.set_attributes({}), "POST", TASK, "v1", {"Attributes": {}}, "2"),
    (
        "virtual start time",
        lambda o: o.task.set_virtual_start_time(NOON),
        "POST",
        TASK,
        "v1",
        {"VirtualStartTime": "2026-01-02T10:00:30Z"},
        "2",
    ),
    (
        "customer's leg",
        lambda o: o.task.update_participant(hold=False, hold_url="u", hold_method="GET"),
        "POST",
        f"{WK}/CustomerParticipant",
        "v2",
        {"TaskSid": WT, "Hold": False, "HoldUrl": "u", "HoldMethod": "GET"},
        None,
    ),
    (
        "hold",
        lambda o: o.task.hold(OTHER, True),
        "POST",
        f"{WK}/HoldWorkerParticipant",
        "v2",
        {"TaskSid": WT, "TargetWorkerSid": OTHER, "Hold": True},
        None,
    ),
    (
        "kick",
        lambda o: o.task.kick(OTHER),
        "POST",
        f"{WK}/KickWorkerParticipant",
        "v2",
        {"TaskSid": WT, "TargetWorkerSid": OTHER},
        None,
    ),
    (
        "transfer",
        lambda o: o.task.transfer(OTHER),
        "POST",
        f"{WK}/Transfers",
        "v2",
        {"ReservationSid": WR, "TaskSid": WT, "To": OTHER},
        None,
    ),
    (
        "transfer, falsy options",
        lambda o: o.task.transfer(QUEUE, mode="COLD", priority=0, attributes={}),
        "POST",
        f"{WK}/Transfers",
        "v2",
        {"ReservationSid": WR, "TaskSid": WT, "To": QUEUE, "Mode": "COLD", "Priority": 0, "Attributes": {}},
        None,
    ),
    (
        "cancel transfer",
        lambda o: o.outgoing.cancel(),
        "POST",
        f"{WK}/Transfers/{TT}",
        "v2",
        {"TaskSid": WT, "TransferStatus": "canceled"},
        None,
    ),
    (
        "monitor",
        lambda o: o.worker.monitor(WT, WR, extra={"Extra": 1, "SupervisorMode": "not this"}),
        "POST",
        f"{TASK}/Reservations/{WR}",
        "v1",
        {"Extra": 1, "Instruction": "supervise", "Supervisor": WORKER, "SupervisorMode": "monitor"},
        None,
    ),
    (
        "another worker's attributes",
        lambda o: o.worker.set_worker_attributes(OTHER, {"a": 1}),
        "POST",
        f"{WS}/Workers/{OTHER}",
        "v1",
        {"Attributes": {"a": 1}},
        None,
    ),
    (
        "another worker's activity",
        lambda o: o.worker.set_worker_activity(OTHER, BREAK, version="7"),
        "POST",
        f"{WS}/Workers/{OTHER}",
        "v1",
        {"ActivitySid": BREAK},
        "7",
    ),
]


@pytest.mark.parametrize("check", [True, False])
@virtual_time
async def test_each_call_sends_its_route(check: bool) -> None:
    peer = Peer()
    peer.world.create_reservation()
    peer.world.accept(WR)
    worker = virtual_worker(peer, kind=Supervisor, enable_version_check=check)
    async with worker:
        reservation = worker.reservations[WR]
        outgoing = reservation.task._outgoing(fields(TransferFields, transfer(WR)))
        live = Live(worker, reservation, reservation.task, outgoing)
        for name, call, method, path, api, params, version in CALLS:
            # It is enough to see what would be sent; the refusal leaves the objects as they are.
            peer.fail(".*", RequestInvalidError("seen", method=method, path=path, status=400))
            with pytest.raises(RequestInvalidError, match="seen"):
                await call(live)
            sent = peer.requests[-1]
            assert (sent.method, sent.path, sent.api_version, dict(sent.params)) == (
                method,
                path,
                api,
                params,
            ), name
            given = name.startswith("another worker")  # the caller's own word
            assert sent.version == (version if check or given else None), name


@virtual_time
async def test_the_snapshot_reads_four_resources() -> None:
    peer = Peer()
    async with virtual_worker(peer):
        page = {"PageSize": 1000}
        assert [(r.method, r.path, r.api_version, dict(r.params)) for r in peer.requests] == [
            ("GET", WK, "v1", {}),
            ("GET", f"{WS}/Activities", "v1", page),
            ("GET", f"{WK}/WorkerChannels", "v1", page),
            ("GET", f"{WK}/Reservations", "v2", {"Active": "true", **page}),
        ]


def test_further_pages_are_asked_for_by_sid() -> None:
    routes = Routes(WORKSPACE, WORKER)
    for page in (routes.activities, routes.channels, routes.active_reservations, routes.all_reservations):
        assert page("X").params["AfterSid"] == "X"
        assert "AfterSid" not in page().params


def test_only_reads_may_be_repeated() -> None:
    routes = Routes(WORKSPACE, WORKER)
    assert routes.worker().is_read
    assert not routes.set_worker_attributes({}, None).is_read


def test_present_keeps_falsy_values_and_drops_none() -> None:
    given = {"a": 0, "b": "", "c": False, "d": None, "e": {}}
    assert present(given) == {"a": 0, "b": "", "c": False, "e": {}}


def test_option_names_become_the_wires() -> None:
    names = ["from_", "hold_url", "end_conference_on_exit", "beepOnExit", "to"]
    assert list(pascal_case((name, 1) for name in names)) == [
        "From",
        "HoldUrl",
        "EndConferenceOnExit",
        "BeepOnExit",
        "To",
    ]


def test_dates_travel_in_utc_without_fractions() -> None:
    assert utc_seconds(datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == "2026-12-31T23:59:59Z"
